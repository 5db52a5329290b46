/* Sending: one send under way per connection, with all consecutive replies that are finished.
 *
 * All goes well: replies in request order -> one list of segments, record bytes borrowed from their
 * blocks -> one send -> requests end, blocks are let go, reading goes on where a limit stopped it.
 * It can fail at: send (closed), memory for the list (a shorter one; without any: closed).
 * A short send goes on where it stopped.  A reader that does not read stalls only itself: the
 * limits of conn_in.c stop its requests, the deadline closes it. */
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "server/conn.h"

#include <stdlib.h>

enum { IOV_FIRST = 16, IOV_KEEP = 64, SEND_BYTES_MAX = 16 << 20 };

static void on_send(struct io_op *op);

void conn_out_free(struct conn *c)
{
        assert(!c->out.busy);
        free(TAKE(c->out.iov));
}

/* Everything of its reply is sent, or it has none. */
static bool is_through(const struct request *r)
{
        return r->step == REQUEST_FINISHED && (r->no_reply || r->n_sent == out_segments(&r->reply));
}

/* Requests at the head of the queue that are through, end. */
static void end_sent(struct conn *c)
{
        struct list *l;
        while (!c->closing && (l = list_first(&c->queue)) != NULL) {
                struct request *r = CONTAINER_OF(l, struct request, link);
                if (!is_through(r)) return;
                bool close = r->close;
                stats_request_sent(r);
                request_end(r);
                conn_touch(c); /* a limit may be open again */
                if (close) conn_close(c, NULL);
        }
}

static bool iov_push(struct conn_out *o, struct iovec v)
{
        if (o->n_iov == o->cap_iov) {
                uint32_t cap = o->cap_iov ? o->cap_iov * 4 : IOV_FIRST;
                struct iovec *iov = realloc(o->iov, cap * sizeof(*iov));
                if (!iov) return false;
                o->iov = iov;
                o->cap_iov = cap;
        }
        o->iov[o->n_iov++] = v;
        o->sending += v.iov_len;
        return true;
}

/* False: the list is full. */
static bool gather_one(struct conn *c, struct request *r)
{
        const uint32_t n = out_segments(&r->reply);
        for (; r->n_sent < n; r->n_sent++) {
                if (c->out.n_iov == IO_IOV_MAX || c->out.sending >= SEND_BYTES_MAX) return false;
                if (!iov_push(&c->out, r->reply.iov[r->n_sent])) return false;
        }
        return true;
}

static void gather(struct conn *c)
{
        for (struct list *l = c->queue.next; l != &c->queue; l = l->next) {
                struct request *r = CONTAINER_OF(l, struct request, link);
                if (r->step != REQUEST_FINISHED || r->close) return;
                if (!r->no_reply && !gather_one(c, r)) return;
        }
}

static void send_rest(struct conn *c)
{
        struct conn_out *o = &c->out;
        o->busy = true;
        c->send.on_done = on_send;
        io_send(c->shard->own.io, &c->send, c->fd, o->iov + o->at, o->n_iov - o->at);
}

void conn_flush(struct conn *c)
{
        struct conn_out *o = &c->out;
        if (o->busy || c->closing) return;
        end_sent(c);
        if (c->closing) return;
        o->n_iov = o->at = 0;
        o->sending = 0;
        gather(c);
        if (o->n_iov == 0) {
                struct list *l = list_first(&c->queue);
                struct request *r = l ? CONTAINER_OF(l, struct request, link) : NULL;
                if (r && r->step == REQUEST_FINISHED) conn_close(c, "out of memory for a reply");
                return;
        }
        counter_add(&c->shard->own.stats->sends, 1);
        c->send_begun_ns = io_now_ns(c->shard->own.io);
        send_rest(c);
}

static void advance(struct conn_out *o, size_t n)
{
        assert(n <= o->sending);
        o->sending -= n;
        while (n > 0) {
                struct iovec *v = &o->iov[o->at];
                size_t part = MIN(n, v->iov_len);
                v->iov_base = (char *)v->iov_base + part;
                v->iov_len -= part;
                n -= part;
                if (v->iov_len == 0) o->at++;
        }
}

static void on_send(struct io_op *op)
{
        struct conn *c = CONTAINER_OF(op, struct conn, send);
        CHECK_OBJ(c, CONN_MAGIC);
        struct conn_out *o = &c->out;
        o->busy = false;
        if (c->closing || op->res <= 0) {
                conn_close(c, NULL);
                conn_touch(c);
                return;
        }
        c->sent_ns = c->send_begun_ns = io_now_ns(c->shard->own.io);
        counter_add(&c->shard->own.stats->bytes_out, (uint64_t)op->res);
        advance(o, (size_t)op->res);
        if (o->sending > 0) {
                send_rest(c);
                return;
        }
        if (o->cap_iov > IOV_KEEP) {
                free(TAKE(o->iov));
                o->cap_iov = 0;
        }
        end_sent(c);
        conn_touch(c);
}
