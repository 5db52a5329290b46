/* A worker's thread: connect, wait for the others, run its connections, close. */
#include "bench/worker.h"

#include "base/check.h"
#include "base/status.h"
#include "bench/call.h"
#include "protocol/errors.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <time.h>

enum {
        WORKER_MAGIC = 0x776f726b,
        DISPATCH_MAX = 256,
        TIMERS_MAX = 1024,
        WORKER_ARENA_MAX = 512 << 20,
};

uint64_t mono_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* --- failures --- */

static void wake_main(struct run *r)
{
        atomic_store(&r->failures.any, true);
        io_wake(r->main_io, NULL);
}

void failure_code(struct run *r, const char *api, int16_t code)
{
        int i = code + 1;
        pthread_mutex_lock(&r->failures.lock);
        r->failures.by_code[i >= 0 && i < ERROR_CODES ? i : 0]++;
        if (!r->failures.first[0])
                snprintf(r->failures.first, sizeof r->failures.first, "%s answered %s (%d)", api,
                    wire_error_name(code), code);
        pthread_mutex_unlock(&r->failures.lock);
        wake_main(r);
}

void failure_text(struct run *r, const char *fmt, ...)
{
        va_list ap;
        va_start(ap, fmt);
        pthread_mutex_lock(&r->failures.lock);
        if (!r->failures.first[0]) vsnprintf(r->failures.first, sizeof r->failures.first, fmt, ap);
        pthread_mutex_unlock(&r->failures.lock);
        va_end(ap);
        wake_main(r);
}

/* --- the thread --- */

static bool connect_link(struct worker *w, struct link *l)
{
        struct err e = { 0 };
        if (call_connect(w->io, w->run->host, w->run->port, &l->fd, &e) == 0) return true;
        failure_text(w->run, "%s", e.text);
        return false;
}

static bool open_all(struct worker *w)
{
        bool ok = true;
        for (uint32_t i = 0; i < w->n_producers && ok; i++) {
                ok = connect_link(w, &w->producers[i].link);
                if (ok && !(ok = producer_open(&w->producers[i])))
                        failure_text(w->run, "no memory for a connection");
        }
        for (uint32_t i = 0; i < w->n_consumers && ok; i++) {
                ok = connect_link(w, &w->consumers[i].link);
                if (ok && !(ok = consumer_open(&w->consumers[i])))
                        failure_text(w->run, "no memory for a connection");
        }
        return ok;
}

static double thread_cpu(void)
{
        struct timespec t;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void turn(struct worker *w)
{
        uint64_t now = mono_ns(), next = timers_next(&w->timers), wait = UINT64_MAX;
        if (next != UINT64_MAX) wait = next > now ? next - now : 0;
        io_turn(w->io, wait);
        io_dispatch(w->io, DISPATCH_MAX);
        timers_run(&w->timers, mono_ns(), TIMERS_MAX);
        if (atomic_load_explicit(&w->run->ends, memory_order_acquire))
                for (uint32_t i = 0; i < w->n_consumers; i++) consumer_look_done(&w->consumers[i]);
        link_flush_all(&w->dirty);
}

static void measure(struct worker *w)
{
        struct run *r = w->run;
        double cpu_from = -1;
        for (uint32_t i = 0; i < w->n_consumers; i++) consumer_begin(&w->consumers[i]);
        for (uint32_t i = 0; i < w->n_producers; i++) producer_pump(&w->producers[i], mono_ns());
        link_flush_all(&w->dirty);
        while (!atomic_load_explicit(&r->stop, memory_order_acquire)) {
                turn(w);
                uint64_t now = io_now_ns(w->io);
                if (cpu_from < 0 && now >= r->window.from_ns) cpu_from = thread_cpu();
                if (now < r->window.until_ns && cpu_from >= 0)
                        w->cpu_seconds = thread_cpu() - cpu_from;
        }
}

static void close_all(struct worker *w)
{
        bool idle;
        for (uint32_t i = 0; i < w->n_producers; i++)
                if (w->producers[i].link.magic) link_shutdown(&w->producers[i].link);
        for (uint32_t i = 0; i < w->n_consumers; i++)
                if (w->consumers[i].link.magic) link_shutdown(&w->consumers[i].link);
        do {
                io_turn(w->io, 0);
                io_dispatch(w->io, DISPATCH_MAX);
                idle = true;
                for (uint32_t i = 0; i < w->n_producers; i++)
                        idle = idle && link_is_idle(&w->producers[i].link);
                for (uint32_t i = 0; i < w->n_consumers; i++)
                        idle = idle && link_is_idle(&w->consumers[i].link);
                if (!idle) io_turn(w->io, UINT64_MAX);
        } while (!idle);
}

static void *worker_main(void *p)
{
        struct worker *w = p;
        CHECK_OBJ(w, WORKER_MAGIC);
        prctl(PR_SET_TIMERSLACK, 1UL); /* due times are kept to the microsecond */
        bool ok = open_all(w);
        pthread_barrier_wait(&w->run->barrier);
        /* the main thread sets the window here */
        pthread_barrier_wait(&w->run->barrier);
        if (ok && !atomic_load(&w->run->stop)) measure(w);
        close_all(w);
        return NULL;
}

/* --- life --- */

int worker_init(struct worker *w, struct run *r, struct err *e)
{
        *w = (struct worker){ .magic = WORKER_MAGIC, .run = r };
        timers_init(&w->timers);
        list_init(&w->dirty);
        arena_init(&w->arena, WORKER_ARENA_MAX);
        w->cx = codec_ctx_new();
        if (!w->cx || !flow_init(&w->produce) || !flow_init(&w->fetch) || !flow_init(&w->e2e))
                return err_set(e, ST_NOMEM, "no memory for a worker");
        return (r->posix ? io_posix_new : io_uring_new)(NULL, &w->io, e);
}

bool worker_start(struct worker *w)
{
        for (uint32_t i = 0; i < w->n_producers; i++) w->producers[i].worker = w;
        for (uint32_t i = 0; i < w->n_consumers; i++) w->consumers[i].worker = w;
        return pthread_create(&w->thread, NULL, worker_main, w) == 0;
}

void worker_free(struct worker *w)
{
        if (w->magic == 0) return;
        CHECK_OBJ(w, WORKER_MAGIC);
        for (uint32_t i = 0; i < w->n_producers; i++) producer_free(&w->producers[i]);
        for (uint32_t i = 0; i < w->n_consumers; i++) consumer_free(&w->consumers[i]);
        free(w->producers);
        free(w->consumers);
        io_free(w->io);
        codec_ctx_free(w->cx);
        arena_reset(&w->arena);
        flow_free(&w->produce);
        flow_free(&w->fetch);
        flow_free(&w->e2e);
        *w = (struct worker){ 0 };
}
