/* A connection's life, its deadlines, and all connections of a shard.
 *
 * All goes well: accepted on shard 0 -> arrives on its shard -> reads and answers -> the peer
 * closes -> what is under way is answered -> closed.  In between it may move to another shard.  It
 * can fail at: receive and send (closed at once), a frame that nobody understands (closed after the
 * replies before it), deadlines (closed). The closing rule: the socket is shut down, so that both
 * operations finish; replies that are not being sent are dropped; parked requests are hurried. When
 * nothing is pending any more the socket is closed and the struct goes back to the acceptor, which
 * counts and frees it. */
#include "server/conn.h"

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "server/accept.h"
#include "server/server.h"

#include <stdlib.h>

enum { NS_PER_MS = 1000 * 1000, NS_PER_S = 1000 * 1000 * 1000 };

static void on_timer(struct timer *t);

struct conn *conn_new(struct shard *to, int fd, const struct peer *peer, const struct peer *local)
{
        assert(fd >= 0);
        struct conn *c = calloc(1, sizeof(*c));
        if (!c) return NULL;
        c->magic = CONN_MAGIC;
        c->fd = fd;
        c->shard = to;
        c->peer = *peer;
        c->local = *local;
        peer_host(local, c->local_host);
        list_init(&c->link);
        list_init(&c->dirty);
        list_init(&c->starving);
        list_init(&c->queue);
        c->timer.on_due = on_timer;
        c->message.run = conn_arrive;
        conn_in_init(c);
        return c;
}

void conn_delete(struct conn *c)
{
        CHECK_OBJ(c, CONN_MAGIC);
        assert(list_empty(&c->queue) && !c->in.receiving && !c->out.busy);
        c->magic = 0;
        free(c);
}

void conn_arrive(struct message *m)
{
        struct conn *c = CONTAINER_OF(m, struct conn, message);
        CHECK_OBJ(c, CONN_MAGIC);
        c->begun_ns = c->received_ns = c->sent_ns = io_now_ns(c->shard->own.io);
        counter_add(&c->shard->own.stats->accepted, 1);
        conn_enter(c);
}

void conn_enter(struct conn *c)
{
        struct conns *cs = c->shard->own.conns;
        list_push_back(&cs->all, &c->link);
        cs->count++;
        counter_add(&c->shard->own.stats->open, 1);
        if (cs->draining)
                conn_close(c, NULL);
        else
                conn_progress(c);
}

void conn_leave(struct conn *c)
{
        struct shard *s = c->shard;
        timer_cancel(&s->own.timers, &c->timer);
        list_remove(&c->link);
        list_remove(&c->dirty);
        assert(list_empty(&c->starving) && s->own.conns->count > 0);
        s->own.conns->count--;
        counter_sub(&s->own.stats->open, 1);
}

void conn_touch(struct conn *c)
{
        CHECK_OBJ(c, CONN_MAGIC);
        if (list_empty(&c->dirty)) list_push_back(&c->shard->own.conns->dirty, &c->dirty);
}

static void hurry_all(struct conn *c)
{
        for (struct list *l = c->queue.next, *next; l != &c->queue; l = next) {
                struct request *r = CONTAINER_OF(l, struct request, link);
                next = l->next;
                if (r->step == REQUEST_RUNNING && r->hurry) r->hurry(r);
        }
}

void conn_end_reading(struct conn *c)
{
        if (c->in.ended) return;
        c->in.ended = true;
        hurry_all(c);
        conn_touch(c);
}

static void log_close(struct conn *c, enum log_level level, const char *what, const char *detail)
{
        static struct log_limit limit = { .burst = 20 };
        char peer[PEER_TEXT];
        log_limited(&limit, level, "connection closed", LOG_STR("peer", peer_text(&c->peer, peer)),
            LOG_STR("client", c->client), LOG_STR("cause", what), LOG_STR("detail", detail),
            LOG_INT("shard", c->shard->index), LOG_END);
}

void conn_close(struct conn *c, const char *why)
{
        CHECK_OBJ(c, CONN_MAGIC);
        if (c->closing) return;
        if (why) log_close(c, LOG_INFO, why, "");
        c->closing = true;
        c->in.ended = true;
        io_shutdown(c->shard->own.io, c->fd);
        timer_cancel(&c->shard->own.timers, &c->timer);
        if (c->in.waiting) block_waiter_cancel(&c->in.waiter);
        c->in.waiting = false;
        list_remove(&c->starving);
        hurry_all(c);
        conn_touch(c);
}

void conn_close_fault(struct conn *c, const char *what, const struct err *why)
{
        if (c->closing) return;
        counter_add(&c->shard->own.stats->closed_by_fault, 1);
        log_close(c, LOG_WARN, what, why ? why->text : "");
        conn_close(c, NULL);
}

void conn_end_fault(struct conn *c, const char *what, const struct err *why)
{
        if (c->closing || c->in.ended) return;
        counter_add(&c->shard->own.stats->closed_by_fault, 1);
        log_close(c, LOG_WARN, what, why->text);
        conn_end_reading(c);
}

/* Replies that nobody is going to read. */
static void drop_finished(struct conn *c)
{
        if (c->out.busy) return; /* the kernel reads from some of them */
        for (struct list *l = c->queue.next, *next; l != &c->queue; l = next) {
                struct request *r = CONTAINER_OF(l, struct request, link);
                next = l->next;
                if (r->step == REQUEST_FINISHED) request_end(r);
        }
}

void conn_release(struct conn *c)
{
        if (c->in.receiving || c->out.busy || !list_empty(&c->queue)) return;
        struct shard *s = c->shard;
        io_sock_close(s->own.io, c->fd);
        conn_place_cancel(c);
        conn_leave(c);
        conn_in_free(c);
        conn_out_free(c);
        c->message.run = acceptor_conn_gone;
        shard_post(s, &s->server->shards[0], &c->message);
}

void conn_progress(struct conn *c)
{
        CHECK_OBJ(c, CONN_MAGIC);
        if (!c->closing) {
                conn_run(c);
                list_remove(&c->dirty); /* what the steps finished is sent now */
                conn_flush(c);
        }
        if (!c->closing && c->in.ended && list_empty(&c->queue) && !c->out.busy)
                conn_close(c, NULL);
        if (!c->closing) {
                if (!conn_place_run(c)) conn_deadline_check(c);
                return;
        }
        list_remove(&c->dirty);
        drop_finished(c);
        conn_release(c);
}

/* --- deadlines --- */

struct deadline {
        uint64_t due;
        const char *what;
};

static struct deadline sooner(struct deadline a, uint64_t due, const char *what)
{
        return due < a.due ? (struct deadline){ due, what } : a;
}

static struct deadline next_deadline(const struct conn *c)
{
        const int64_t idle_ms = c->shard->server->config->idle_close_ms;
        struct deadline d = { UINT64_MAX, "" };
        bool in_frame = c->in.frame > 0 || c->in.end > c->in.start;
        if (!c->greeted)
                d = sooner(
                    d, c->begun_ns + (uint64_t)CONN_HANDSHAKE_S * NS_PER_S, "no request in time");
        if (in_frame && (c->in.receiving || c->in.waiting))
                d = sooner(d, c->received_ns + (uint64_t)CONN_FRAME_S * NS_PER_S,
                    c->in.waiting ? "no memory for its request in time"
                                  : "a request stopped half-way");
        if (c->out.busy)
                d = sooner(d,
                    c->send_begun_ns + (uint64_t)CONN_SEND_S * NS_PER_S +
                        c->out.sending * (NS_PER_S / CONN_SEND_RATE),
                    "replies are not read");
        if (!in_frame && !c->out.busy && list_empty(&c->queue) && idle_ms > 0)
                d = sooner(
                    d, MAX(c->received_ns, c->sent_ns) + (uint64_t)idle_ms * NS_PER_MS, NULL);
        return d;
}

/* The timer may be early, never late; it looks again when it is due. */
void conn_deadline_check(struct conn *c)
{
        struct deadline d = next_deadline(c);
        if (d.due == UINT64_MAX) return;
        if (c->timer.armed && c->timer.due_ns <= d.due) return;
        timer_arm(&c->shard->own.timers, &c->timer, d.due);
}

static void on_timer(struct timer *t)
{
        struct conn *c = CONTAINER_OF(t, struct conn, timer);
        CHECK_OBJ(c, CONN_MAGIC);
        struct deadline d = next_deadline(c);
        if (d.due > io_now_ns(c->shard->own.io)) {
                conn_deadline_check(c);
                return;
        }
        if (d.what)
                conn_close_fault(c, d.what, NULL);
        else
                conn_close(c, NULL);
}

/* --- all of a shard --- */

struct conns *conns_new(struct shard *s)
{
        struct conns *cs = calloc(1, sizeof(*cs));
        if (!cs) return NULL;
        cs->shard = s;
        list_init(&cs->all);
        list_init(&cs->dirty);
        list_init(&cs->starving);
        return cs;
}

void conns_free(struct conns *cs)
{
        assert(list_empty(&cs->all) && cs->requests == 0);
        while (cs->spare) {
                struct request *r = cs->spare;
                cs->spare = r->state;
                free(r);
        }
        free(cs);
}

/* Requests' scratch memory came back: in order of arrival. */
static void feed_starving(struct conns *cs)
{
        while (!list_empty(&cs->starving) && request_may_begin(cs->shard)) {
                struct list *l = list_pop_front(&cs->starving);
                struct conn *c = CONTAINER_OF(l, struct conn, starving);
                conn_run(c);
                conn_touch(c);
        }
}

unsigned conns_run(struct conns *cs)
{
        unsigned n = 0;
        struct list batch;
        list_init(&batch);
        /* Only those that are there now: what they cause comes next turn. */
        for (struct list *l; (l = list_pop_front(&cs->dirty)) != NULL;) list_push_back(&batch, l);
        for (struct list *l; (l = list_pop_front(&batch)) != NULL; n++)
                conn_progress(CONTAINER_OF(l, struct conn, dirty));
        feed_starving(cs);
        return n;
}

bool conns_busy(const struct conns *cs)
{
        return !list_empty(&cs->dirty) ||
               (!list_empty(&cs->starving) && request_may_begin(cs->shard));
}

unsigned conns_count(const struct conns *cs)
{
        return cs->count;
}

void conns_drain(struct conns *cs)
{
        cs->draining = true;
        for (struct list *l = cs->all.next; l != &cs->all; l = l->next)
                conn_end_reading(CONTAINER_OF(l, struct conn, link));
}

void conns_cut(struct conns *cs)
{
        for (struct list *l = cs->all.next; l != &cs->all; l = l->next)
                conn_close(CONTAINER_OF(l, struct conn, link), NULL);
}

bool conns_idle(const struct conns *cs)
{
        return cs->count == 0 && cs->requests == 0;
}

bool conns_quiet(const struct conns *cs)
{
        return conns_idle(cs) && cs->detached == 0;
}
