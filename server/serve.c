/* `varve serve`: one thread per shard (the main one runs shard 0), one for signals.
 *
 * All goes well: rings -> server_open -> each thread recovers its shard -> listen -> the ready line
 * -> turns until the first SIGTERM or SIGINT -> what is in flight ends -> exit 0.  A second signal
 * ends at once; everything acknowledged is on disk anyway.  Where io_uring is refused the posix
 * backend takes its place, with one warning that names the cause. */
#include "server/serve.h"

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "server/server.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#ifndef VARVE_VERSION
#define VARVE_VERSION "0.1.0"
#endif

enum { EXIT_FAILED = 1, EXIT_NO_URING = 3, SAME_WISH_MS = 100, SLEEP_NS_MAX = 1000 * 1000 * 1000 };

/* How the threads wait for each other at start. */
struct gate {
        pthread_mutex_t lock;
        pthread_cond_t changed;
        unsigned recovered;
        int failed; /* the first status */
        struct err why;
        enum { GATE_WAIT, GATE_RUN, GATE_ABORT } order;
};

struct runner {
        pthread_t thread;
        bool started;
        unsigned shard;
        struct serve *serve;
};

struct serve {
        const struct config *config;
        unsigned n;
        struct io **ios;
        struct runner *runners;
        struct server *server;
        struct gate gate;
        pthread_t signals;
        bool signals_started;
};

/* --- rings --- */

static void ios_free(struct serve *s)
{
        for (unsigned i = 0; i < s->n; i++)
                if (s->ios[i]) io_free(TAKE(s->ios[i]));
}

static int ios_make(struct serve *s,
    int (*make)(const struct io_options *o, struct io **ret_io, struct err *e), struct err *e)
{
        for (unsigned i = 0; i < s->n; i++) {
                int r = make(NULL, &s->ios[i], e);
                if (r < 0) {
                        ios_free(s);
                        return r;
                }
        }
        return 0;
}

/* 0, or the exit code. */
static int ios_open(struct serve *s)
{
        struct err e = { .code = 0 };
        if (s->config->io != CONFIG_IO_POSIX) {
                if (ios_make(s, io_uring_new, &e) >= 0) return 0;
                if (s->config->io == CONFIG_IO_URING) {
                        log_event(LOG_ERROR, "cannot start", LOG_STR("cause", e.text), LOG_END);
                        return EXIT_NO_URING;
                }
                log_event(LOG_WARN, "io_uring is not available, slower system calls take its place",
                    LOG_STR("cause", e.text), LOG_END);
        }
        if (ios_make(s, io_posix_new, &e) >= 0) return 0;
        log_event(LOG_ERROR, "cannot start", LOG_STR("cause", e.text), LOG_END);
        return EXIT_FAILED;
}

/* --- threads --- */

static void gate_report(struct gate *g, int status, const struct err *why)
{
        pthread_mutex_lock(&g->lock);
        g->recovered++;
        if (status < 0 && g->failed == 0) {
                g->failed = status;
                g->why = *why;
        }
        pthread_cond_broadcast(&g->changed);
        pthread_mutex_unlock(&g->lock);
}

static bool gate_wait_order(struct gate *g)
{
        pthread_mutex_lock(&g->lock);
        while (g->order == GATE_WAIT) pthread_cond_wait(&g->changed, &g->lock);
        bool run = g->order == GATE_RUN;
        pthread_mutex_unlock(&g->lock);
        return run;
}

static void gate_order(struct gate *g, bool run)
{
        pthread_mutex_lock(&g->lock);
        g->order = run ? GATE_RUN : GATE_ABORT;
        pthread_cond_broadcast(&g->changed);
        pthread_mutex_unlock(&g->lock);
}

/* Waits for n reports. */
static int gate_wait_recovered(struct gate *g, unsigned n, struct err *e)
{
        pthread_mutex_lock(&g->lock);
        while (g->recovered < n) pthread_cond_wait(&g->changed, &g->lock);
        int failed = g->failed;
        if (failed < 0) *e = g->why;
        pthread_mutex_unlock(&g->lock);
        return failed;
}

static void turns(struct server *server, unsigned shard)
{
        while (!server_stopped(server)) shard_turn(&server->shards[shard], SLEEP_NS_MAX);
}

static void *runner_main(void *runner)
{
        struct runner *r = runner;
        struct serve *s = r->serve;
        char name[16];
        struct err e = { .code = 0 };
        snprintf(name, sizeof(name), "shard-%u", r->shard);
        pthread_setname_np(pthread_self(), name);
        gate_report(&s->gate, server_recover(s->server, r->shard, &e), &e);
        if (gate_wait_order(&s->gate)) turns(s->server, r->shard);
        return NULL;
}

static uint64_t now_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / (1000 * 1000);
}

static void *signals_main(void *serve)
{
        struct serve *s = serve;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGUSR2); /* ours: the server has ended */
        pthread_setname_np(pthread_self(), "signals");
        uint64_t first_ms = 0;
        for (int how = 1, sig;;) {
                if (sigwait(&set, &sig) != 0 || sig == SIGHUP) continue;
                if (sig == SIGUSR2) return NULL;
                /* A supervisor may tell the process and its group: that is one wish. */
                if (how == 1)
                        first_ms = now_ms();
                else if (now_ms() - first_ms < SAME_WISH_MS)
                        continue;
                log_event(LOG_INFO,
                    how == 1 ? "stopping: what is in flight ends first" : "stopping at once",
                    LOG_STR("signal", strsignal(sig)), LOG_END);
                server_stop(s->server, how);
                how = 2;
        }
}

static void signals_prepare(void)
{
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGHUP);
        sigaddset(&set, SIGUSR2);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
}

static int threads_start(struct serve *s, struct err *e)
{
        for (unsigned i = 1; i < s->n; i++) {
                struct runner *r = &s->runners[i];
                *r = (struct runner){ .shard = i, .serve = s };
                int code = pthread_create(&r->thread, NULL, runner_main, r);
                if (code != 0) return err_set(e, ST_NOMEM, "thread: %s", strerror(code));
                r->started = true;
        }
        return 0;
}

static void threads_join(struct serve *s)
{
        for (unsigned i = 1; i < s->n; i++)
                if (s->runners[i].started) pthread_join(s->runners[i].thread, NULL);
        if (!s->signals_started) return;
        pthread_kill(s->signals, SIGUSR2);
        pthread_join(s->signals, NULL);
}

/* --- the process --- */

static void raise_fds(void)
{
        struct rlimit r;
        if (getrlimit(RLIMIT_NOFILE, &r) < 0) return;
        r.rlim_cur = r.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &r);
}

static void say_ready(const struct serve *s)
{
        const struct config *c = s->config;
        bool v6 = strchr(c->listen.host, ':') != NULL;
        printf("varve %s listening on %s%s%s:%u (%s, %u shard%s, data in %s)\n", VARVE_VERSION,
            v6 ? "[" : "", c->listen.host, v6 ? "]" : "", server_port(s->server),
            s->ios[0]->table->name, s->n, s->n == 1 ? "" : "s", c->data_dir);
        fflush(stdout);
}

/* Everything up to the ready line. */
static int start(struct serve *s, struct err *e)
{
        int r = server_new(s->config, s->ios, s->n, &s->server, e);
        if (r < 0) return r;
        r = server_open(s->server, e);
        if (r < 0) return r;
        r = threads_start(s, e);
        if (r < 0) return r;
        r = server_recover(s->server, 0, e);
        struct err other;
        int r2 = gate_wait_recovered(&s->gate, s->n - 1, &other);
        if (r >= 0 && r2 < 0) {
                *e = other;
                r = r2;
        }
        if (r >= 0) r = server_listen(s->server, e);
        if (r < 0) return r;
        int code = pthread_create(&s->signals, NULL, signals_main, s);
        if (code != 0) return err_set(e, ST_NOMEM, "thread: %s", strerror(code));
        s->signals_started = true;
        return 0;
}

static int run(struct serve *s)
{
        struct err e = { .code = 0 };
        int r = start(s, &e);
        gate_order(&s->gate, r >= 0);
        if (r < 0) {
                log_event(LOG_ERROR, "cannot start", LOG_STR("cause", e.text), LOG_END);
        } else {
                say_ready(s);
                turns(s->server, 0);
                log_event(LOG_INFO, "stopped", LOG_END);
        }
        threads_join(s);
        if (s->server && atomic_load(&s->server->stopping) >= 2) _exit(0);
        if (s->server) server_free(s->server);
        return r < 0 ? EXIT_FAILED : 0;
}

int serve_main(const struct config *c)
{
        struct serve s = { .config = c, .n = config_shards(c) };
        pthread_mutex_init(&s.gate.lock, NULL);
        pthread_cond_init(&s.gate.changed, NULL);
        s.ios = calloc(s.n, sizeof(struct io *));
        s.runners = calloc(s.n, sizeof(*s.runners));
        if (!s.ios || !s.runners) {
                log_event(LOG_ERROR, "cannot start", LOG_STR("cause", "out of memory"), LOG_END);
                return EXIT_FAILED;
        }
        signals_prepare();
        raise_fds();
        int code = ios_open(&s);
        if (code == 0) code = run(&s);
        ios_free(&s);
        free(s.runners);
        free(s.ios);
        pthread_cond_destroy(&s.gate.changed);
        pthread_mutex_destroy(&s.gate.lock);
        return code;
}
