/* A connection of a scripted client.  See client.h.
 *
 * connect -> one receive always under way; one send while there is something to send -> replies in
 * order. Any failure, and client_stop(): shut down, wait for both operations, close, then every
 * request that has no reply is told so. */
#include "tests/sim/client.h"

#include "base/check.h"

enum { FIRST_BUFFER = 4096, FRAME_MAX = 512 << 20 };

static void pump_send(struct client *c);
static void pump_recv(struct client *c);

static void request_free(struct client_request *q)
{
        list_remove(&q->link);
        free(q->frame);
        free(q->note);
        free(q);
}

static void fail_all(struct client *c, struct list *requests)
{
        while (!list_empty(requests)) {
                struct client_request *q =
                    CONTAINER_OF(requests->next, struct client_request, link);
                list_remove(&q->link);
                q->on_reply(q, (struct bytes){ NULL, -1 });
                request_free(q);
        }
        (void)c;
}

static void maybe_end(struct client *c)
{
        if (!c->closing || c->connecting || c->sending || c->receiving || c->ended) return;
        if (c->fd >= 0) io_sock_close(c->io, c->fd);
        c->fd = -1;
        c->ended = true;
        fail_all(c, &c->waiting);
        fail_all(c, &c->unsent);
}

static void client_end(struct client *c, int64_t why)
{
        if (!c->closing) {
                c->closing = true;
                c->why = why;
                if (c->fd >= 0) io_shutdown(c->io, c->fd);
        }
        maybe_end(c);
}

/* --- sending --- */

static void on_sent(struct io_op *op)
{
        struct client *c = CONTAINER_OF(op, struct client, send_op);
        CHECK_OBJ(c, CLIENT_MAGIC);
        c->sending = false;
        if (op->res <= 0 || c->closing) {
                client_end(c, op->res);
                return;
        }
        struct client_request *q = CONTAINER_OF(c->unsent.next, struct client_request, link);
        q->sent += (size_t)op->res;
        assert(q->sent <= q->n);
        if (q->sent == q->n) {
                list_remove(&q->link);
                if (q->no_reply) {
                        q->on_reply(q, (struct bytes){ NULL, 0 });
                        request_free(q);
                } else {
                        list_push_back(&c->waiting, &q->link);
                }
        }
        pump_send(c);
}

static void pump_send(struct client *c)
{
        if (c->sending || c->connecting || c->closing || list_empty(&c->unsent)) return;
        struct client_request *q = CONTAINER_OF(c->unsent.next, struct client_request, link);
        c->iov = (struct iovec){ q->frame + q->sent, q->n - q->sent };
        c->sending = true;
        c->send_op.on_done = on_sent;
        io_send(c->io, &c->send_op, c->fd, &c->iov, 1);
}

struct client_request *client_send(struct client *c, int16_t key, int16_t version, const void *m,
    void (*on_reply)(struct client_request *q, struct bytes payload))
{
        CHECK_OBJ(c, CLIENT_MAGIC);
        assert(!c->ended);
        struct client_request *q = calloc(1, sizeof *q);
        if (!q) abort();
        q->client = c;
        q->key = key;
        q->version = version;
        q->correlation = c->next_correlation++;
        q->on_reply = on_reply;
        q->frame = frame_request(key, version, q->correlation, m, &q->n);
        list_push_back(&c->unsent, &q->link);
        pump_send(c);
        return q;
}

/* --- receiving --- */

static void take_frames(struct client *c)
{
        size_t at = 0;
        while (c->in_n - at >= 4 && !c->closing) {
                uint32_t n = load_be32(c->in + at);
                assert(n >= 4 && n <= FRAME_MAX);
                if (c->in_n - at - 4 < n) break;
                struct list *l = list_pop_front(&c->waiting);
                assert(l != NULL); /* a reply that nobody asked for */
                struct client_request *q = CONTAINER_OF(l, struct client_request, link);
                struct bytes payload = { c->in + at + 4, (int32_t)n };
                q->on_reply(q, payload);
                request_free(q);
                at += 4 + n;
        }
        memmove(c->in, c->in + at, c->in_n - at);
        c->in_n -= at;
}

static void on_received(struct io_op *op)
{
        struct client *c = CONTAINER_OF(op, struct client, recv_op);
        CHECK_OBJ(c, CLIENT_MAGIC);
        c->receiving = false;
        if (op->res <= 0) {
                client_end(c, op->res);
                return;
        }
        c->in_n += (size_t)op->res;
        take_frames(c);
        if (c->closing)
                maybe_end(c);
        else
                pump_recv(c);
}

static void pump_recv(struct client *c)
{
        size_t need = c->in_n >= 4 ? 4 + (size_t)load_be32(c->in) : FIRST_BUFFER;
        if (c->in_cap < MAX(need, c->in_n + FIRST_BUFFER)) {
                c->in_cap = MAX(need, c->in_n + FIRST_BUFFER);
                c->in = realloc(c->in, c->in_cap);
                if (!c->in) abort();
        }
        c->receiving = true;
        c->recv_op.on_done = on_received;
        io_recv(
            c->io, &c->recv_op, c->fd, (struct bytes_mut){ c->in + c->in_n, c->in_cap - c->in_n });
}

/* --- life --- */

static void on_connect(struct io_op *op)
{
        struct client *c = CONTAINER_OF(op, struct client, connect_op);
        CHECK_OBJ(c, CLIENT_MAGIC);
        c->connecting = false;
        if (op->res < 0) {
                client_end(c, op->res);
                return;
        }
        c->fd = (int)op->res;
        if (c->closing) {
                maybe_end(c);
                return;
        }
        if (c->on_connected) c->on_connected(c);
        pump_recv(c);
        pump_send(c);
}

struct client *client_new(struct io *io, uint16_t port)
{
        struct client *c = calloc(1, sizeof *c);
        if (!c) abort();
        c->magic = CLIENT_MAGIC;
        c->io = io;
        c->fd = -1;
        c->next_correlation = 1;
        list_init(&c->unsent);
        list_init(&c->waiting);
        c->connecting = true;
        c->connect_op.on_done = on_connect;
        io_connect(io, &c->connect_op, "127.0.0.1", port);
        return c;
}

void client_stop(struct client *c)
{
        CHECK_OBJ(c, CLIENT_MAGIC);
        if (!c->ended) client_end(c, 0);
}

void client_free(struct client *c)
{
        CHECK_OBJ(c, CLIENT_MAGIC);
        assert(c->ended);
        c->magic = 0;
        free(c->in);
        free(c);
}

unsigned client_pending(const struct client *c)
{
        unsigned n = 0;
        for (const struct list *l = c->unsent.next; l != &c->unsent; l = l->next) n++;
        for (const struct list *l = c->waiting.next; l != &c->waiting; l = l->next) n++;
        return n;
}
