/* The acceptor: on shard 0, so that the counts of connections need no lock.
 *
 * All goes well: accept -> the limits allow it -> posted to the next shard in turn -> it comes back
 * when it is closed -> counted and freed.  A few accepts are armed, and each is armed again only
 * when its connection is on its way: a flood is taken at the pace of the turns. It can fail at:
 * limits, memory (the socket is closed at once), file descriptors (a spare one makes room to accept
 * and close, so that clients see an end and the backlog does not spin; then a pause), other errors
 * (a pause). To stop, the listening socket is shut down, which ends the accepts. */
#include "server/accept.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/status.h"
#include "server/conn.h"
#include "server/server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { ACCEPTOR_MAGIC = 0x76736163, ARMED_MAX = 4, PAUSE_NS = 100 * 1000 * 1000 };

/* Connections of one address. */
struct host {
        uint8_t addr[16];
        unsigned count;
        UT_hash_handle hh;
};

struct accept_op {
        struct io_op op;
        struct acceptor *acceptor;
        bool armed;
};

struct acceptor {
        uint32_t magic;
        struct server *server;
        struct shard *shard;
        unsigned limit, count, next;
        struct host *hosts;
        struct accept_op ops[ARMED_MAX];
        unsigned armed;
        int spare_fd; /* given up to accept one connection when there are no others */
        struct timer pause;
        bool stopped;
};

static void on_accept(struct io_op *op);
static void on_pause(struct timer *t);

struct acceptor *acceptor_new(struct server *server, unsigned limit)
{
        struct acceptor *a = calloc(1, sizeof(*a));
        if (!a) return NULL;
        a->magic = ACCEPTOR_MAGIC;
        a->server = server;
        a->shard = &server->shards[0];
        a->limit = MIN(limit, (unsigned)server->config->max_connections);
        a->pause.on_due = on_pause;
        a->spare_fd = eventfd(0, EFD_CLOEXEC);
        for (unsigned i = 0; i < ARMED_MAX; i++) {
                a->ops[i].acceptor = a;
                a->ops[i].op.on_done = on_accept;
        }
        return a;
}

static void arm(struct acceptor *a, struct accept_op *x)
{
        if (a->stopped) return;
        assert(!x->armed);
        x->armed = true;
        a->armed++;
        io_accept(a->shard->own.io, &x->op, a->server->listen_fd);
}

void acceptor_start(struct acceptor *a)
{
        CHECK_OBJ(a, ACCEPTOR_MAGIC);
        for (unsigned i = 0; i < ARMED_MAX; i++) arm(a, &a->ops[i]);
}

void acceptor_stop(struct acceptor *a)
{
        if (a->stopped) return;
        a->stopped = true;
        timer_cancel(&a->shard->own.timers, &a->pause);
        io_shutdown(a->shard->own.io, a->server->listen_fd);
}

bool acceptor_stopped(const struct acceptor *a)
{
        return a->stopped && a->armed == 0;
}

void acceptor_free(struct acceptor *a)
{
        CHECK_OBJ(a, ACCEPTOR_MAGIC);
        struct host *h, *next;
        HASH_ITER(hh, a->hosts, h, next)
        {
                HASH_DEL(a->hosts, h);
                free(h);
        }
        if (a->spare_fd >= 0) close(a->spare_fd);
        a->magic = 0;
        free(a);
}

/* --- counting --- */

static struct host *host_find(struct acceptor *a, const struct peer *p)
{
        struct host *h;
        HASH_FIND(hh, a->hosts, p->addr, sizeof(p->addr), h);
        return h;
}

/* NULL: may come in; else why not. */
static const char *count_in(struct acceptor *a, const struct peer *p)
{
        if (a->count >= a->limit) return "max.connections";
        struct host *h = host_find(a, p);
        if (h && h->count >= (unsigned)a->server->config->max_connections_per_ip)
                return "max.connections.per.ip";
        if (!h) {
                h = calloc(1, sizeof(*h));
                if (!h) return "out of memory";
                memcpy(h->addr, p->addr, sizeof(h->addr));
                HASH_ADD(hh, a->hosts, addr, sizeof(h->addr), h);
        }
        h->count++;
        a->count++;
        return NULL;
}

static void count_out(struct acceptor *a, const struct peer *p)
{
        struct host *h = host_find(a, p);
        assert(h != NULL && h->count > 0 && a->count > 0);
        a->count--;
        if (--h->count > 0) return;
        HASH_DEL(a->hosts, h);
        free(h);
}

void acceptor_conn_gone(struct message *m)
{
        struct conn *c = CONTAINER_OF(m, struct conn, message);
        CHECK_OBJ(c, CONN_MAGIC);
        count_out(c->shard->server->acceptor, &c->peer);
        conn_delete(c);
}

/* --- accepting --- */

static void refuse(struct acceptor *a, int fd, const struct peer *p, const char *why)
{
        static struct log_limit limit = { .burst = 2 };
        char text[PEER_TEXT];
        io_sock_close(a->shard->own.io, fd);
        counter_add(&a->shard->own.stats->refused, 1);
        log_limited(&limit, LOG_WARN, "connection refused", LOG_STR("peer", peer_text(p, text)),
            LOG_STR("cause", why), LOG_INT("connections", a->count), LOG_END);
}

static void accepted(struct acceptor *a, int fd)
{
        struct peer peer = peer_of(fd), local = peer_local(fd);
        const char *why = count_in(a, &peer);
        if (why) {
                refuse(a, fd, &peer, why);
                return;
        }
        struct shard *to = &a->server->shards[a->next++ % a->server->n_shards];
        struct conn *c = conn_new(to, fd, &peer, &local);
        if (!c) {
                count_out(a, &peer);
                refuse(a, fd, &peer, "out of memory");
                return;
        }
        peer_watch(fd);
        shard_post(a->shard, to, &c->message);
}

/* The spare descriptor is free now: one connection is taken and closed with the next accept; then
 * the spare one is taken again. */
static void out_of_fds(struct acceptor *a)
{
        static struct log_limit limit = { .burst = 1 };
        log_limited(&limit, LOG_ERROR, "no file descriptor for a connection",
            LOG_INT("connections", a->count), LOG_STR("hint", "raise the limit of open files"),
            LOG_END);
        log_mark("accept: out of file descriptors");
        if (a->spare_fd >= 0) {
                close(a->spare_fd);
                a->spare_fd = -1;
        }
}

static void pause_a_while(struct acceptor *a)
{
        if (!a->pause.armed)
                timer_arm(&a->shard->own.timers, &a->pause, io_now_ns(a->shard->own.io) + PAUSE_NS);
}

static void on_pause(struct timer *t)
{
        struct acceptor *a = CONTAINER_OF(t, struct acceptor, pause);
        CHECK_OBJ(a, ACCEPTOR_MAGIC);
        for (unsigned i = 0; i < ARMED_MAX; i++)
                if (!a->ops[i].armed) arm(a, &a->ops[i]);
}

static void take_spare(struct acceptor *a)
{
        if (a->spare_fd < 0) a->spare_fd = eventfd(0, EFD_CLOEXEC);
}

static void on_accept(struct io_op *op)
{
        struct accept_op *x = CONTAINER_OF(op, struct accept_op, op);
        struct acceptor *a = x->acceptor;
        CHECK_OBJ(a, ACCEPTOR_MAGIC);
        x->armed = false;
        a->armed--;
        const int64_t res = op->res;
        if (a->stopped) {
                if (res >= 0) io_sock_close(a->shard->own.io, (int)res);
        } else if (res >= 0 && a->spare_fd < 0) {
                struct peer peer = peer_of((int)res);
                refuse(a, (int)res, &peer, "no file descriptors");
                take_spare(a);
                arm(a, x);
        } else if (res >= 0) {
                accepted(a, (int)res);
                arm(a, x);
        } else if (res == -EMFILE || res == -ENFILE) {
                bool had_spare = a->spare_fd >= 0;
                out_of_fds(a);
                if (had_spare)
                        arm(a, x);
                else
                        pause_a_while(a);
        } else if (res == -ECONNABORTED || res == -EINTR || res == -EAGAIN || res == -EPROTO) {
                arm(a, x);
        } else {
                pause_a_while(a);
        }
}
