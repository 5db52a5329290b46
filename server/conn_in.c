/* Receiving: length -> frame -> begin -> length …
 *
 * Memory follows what really arrives, never a length that was only claimed: an idle connection
 * receives into its own head; a frame that is larger gets a block that grows in steps, and a
 * connection that has delivered frames of a size before gets a block for the whole frame at once.
 * Then nothing is copied: a large frame is received into a block of its own, together with the
 * length of the next one.  Smaller frames that come in a row share a block, and each request holds
 * a reference on it. It can fail at: a length that cannot be (closed after one log line), receive
 * (closed), no memory (the socket is not read until some comes back, or the frame's deadline ends
 * it). */
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "server/conn.h"
#include "server/server.h"

#include <errno.h>

enum { LENGTH_SIZE = 4, BLOCK_FIRST = 16 << 10 };

static enum next run_length(struct conn *c);
static enum next run_frame(struct conn *c);
static enum next run_begin(struct conn *c);
static void on_recv(struct io_op *op);
static void on_room(struct block_waiter *w);

static const struct step step_length = { "length", run_length };
static const struct step step_frame = { "frame", run_frame };
static const struct step step_begin = { "begin", run_begin };

void conn_in_init(struct conn *c)
{
        struct conn_in *in = &c->in;
        in->buf = in->head;
        in->cap = sizeof(in->head);
        in->waiter.on_room = on_room;
        list_init(&in->waiter.link);
        c->step = &step_length;
        c->recv.on_done = on_recv;
}

void conn_in_free(struct conn *c)
{
        assert(!c->in.receiving);
        if (c->in.block) block_unref(TAKE(c->in.block));
}

void conn_run(struct conn *c)
{
        do {
                CHECK_OBJ(c, CONN_MAGIC);
                assert(c->in.start <= c->in.end && c->in.end <= c->in.cap);
        } while (!c->in.ended && c->step->run(c) == STEP_MORE);
}

/* --- buffers --- */

/* What is not consumed moves to the front of another buffer; block NULL: into the head. */
static void move_to(struct conn *c, struct block *block)
{
        struct conn_in *in = &c->in;
        size_t have = in->end - in->start;
        uint8_t *to = block ? block->data : in->head;
        size_t cap = block ? block->cap : sizeof(in->head);
        assert(have <= cap);
        if (have > 0) memmove(to, in->buf + in->start, have);
        counter_add(&c->shard->own.stats->receive_copied, have);
        if (in->block) block_unref(in->block);
        in->block = block;
        in->buf = to;
        in->cap = cap;
        in->start = 0;
        in->end = have;
}

bool conn_in_rests(const struct conn *c)
{
        const struct conn_in *in = &c->in;
        return !in->receiving && !in->waiting && c->step != &step_begin &&
               in->end - in->start <= sizeof(in->head);
}

void conn_in_pack(struct conn *c)
{
        assert(conn_in_rests(c));
        if (c->in.block) move_to(c, NULL);
}

static bool pool_is_roomy(const struct shard *s)
{
        return block_pool_used(s->own.receive) < block_pool_limit(s->own.receive) / 2;
}

/* Where to receive what may come, or never: the head, unless requests of late were small and did
 * not fit there; then a block that several of them share.  An idle connection holds one of these,
 * as long as memory is plentiful. */
static size_t boundary_target(const struct conn *c)
{
        if (!c->in.small || !pool_is_roomy(c->shard)) return 0;
        return c->n_queued > 1 ? CONN_SMALL_SHARED : CONN_SMALL;
}

/* Nothing is buffered. */
static void boundary_buffer(struct conn *c)
{
        struct conn_in *in = &c->in;
        assert(in->start == in->end);
        size_t target = boundary_target(c);
        bool fits = target > 0 && in->block && in->cap <= CONN_SMALL_SHARED;
        if (fits && in->block->refs > 1 && in->cap - in->end >= in->cap / 4) return;
        if (!fits || in->block->refs > 1) {
                struct block *b = target > 0 ? block_get(c->shard->own.receive, target) : NULL;
                if (b || in->block) move_to(c, b);
        }
        in->start = in->end = 0;
}

/* How large a buffer the frame that begins may have now. */
static size_t frame_target(const struct conn *c)
{
        static const size_t steps[] = { BLOCK_FIRST, 256 << 10, 1 << 20, 8 << 20, 64 << 20 };
        const struct conn_in *in = &c->in;
        size_t need = in->frame, have = in->end - in->start;
        bool fits_class = need <= BLOCK_CLASS_MAX && need + LENGTH_SIZE > BLOCK_CLASS_MAX;
        size_t whole = fits_class ? need : need + LENGTH_SIZE;
        if (need <= MAX(in->trusted, (size_t)BLOCK_FIRST)) {
                if (need < CONN_LARGE && c->n_queued > 1 && pool_is_roomy(c->shard))
                        return CONN_SHARED;
                return whole;
        }
        for (size_t i = 0; i < COUNT_OF(steps); i++)
                if (steps[i] > have) return MIN(steps[i], whole);
        return whole;
}

/* Room for more of the frame.  False: not now (waits for memory), or never (closed). */
static bool frame_buffer(struct conn *c)
{
        struct conn_in *in = &c->in;
        struct block_pool *pool = c->shard->own.receive;
        if (in->cap - in->start >= in->frame) return true;
        bool trusted = in->frame <= MAX(in->trusted, (size_t)BLOCK_FIRST);
        if (!trusted && in->block && in->end < in->cap) return true; /* first what is there */
        size_t target = frame_target(c);
        struct block *b = block_get(pool, target);
        if (b) {
                move_to(c, b);
                return true;
        }
        if (target > block_pool_limit(pool)) {
                conn_close_fault(c, "a request does not fit into the memory for requests", NULL);
                return false;
        }
        log_mark("receive: no memory, the socket is not read");
        in->waiting = true;
        block_pool_wait(pool, &in->waiter);
        conn_deadline_check(c);
        return false;
}

static void on_room(struct block_waiter *w)
{
        struct conn *c = CONTAINER_OF(w, struct conn, in.waiter);
        CHECK_OBJ(c, CONN_MAGIC);
        c->in.waiting = false;
        conn_run(c);
        conn_touch(c);
}

/* --- the socket --- */

static enum next receive(struct conn *c, size_t n)
{
        struct conn_in *in = &c->in;
        assert(n > 0 && n <= in->cap - in->end && !in->receiving);
        in->receiving = true;
        io_recv(c->shard->own.io, &c->recv, c->fd,
            (struct bytes_mut){ .p = in->buf + in->end, .n = n });
        return STEP_PARKED;
}

static void on_recv(struct io_op *op)
{
        struct conn *c = CONTAINER_OF(op, struct conn, recv);
        CHECK_OBJ(c, CONN_MAGIC);
        c->in.receiving = false;
        if (c->closing) {
                conn_touch(c);
        } else if (op->res > 0) {
                assert((size_t)op->res <= c->in.cap - c->in.end);
                c->in.end += (size_t)op->res;
                c->received_ns = io_now_ns(c->shard->own.io);
                counter_add(&c->shard->own.stats->recvs, 1);
                counter_add(&c->shard->own.stats->bytes_in, (uint64_t)op->res);
                conn_run(c);
                /* What follows from it is done at the end of the turn. */
                conn_touch(c);
        } else if (op->res == 0) {
                conn_end_reading(c); /* it may still read: what it asked for is answered */
        } else if (op->res == -EAGAIN || op->res == -EINTR || op->res == -ENOBUFS) {
                conn_run(c);
        } else {
                conn_close(c, NULL);
        }
}

/* --- the steps --- */

static void bad_length(struct conn *c, int32_t len, const uint8_t *p, size_t n)
{
        struct err why;
        const int32_t max = c->shard->server->config->max_request_bytes;
        static const char *const http[] = { "GET ", "POST", "HEAD", "PUT ", "OPTI", "DELE",
                "PRI " };
        err_set(&why, ST_INVALID, "length %d, allowed are 1 to %d", len, max);
        if (n >= 2 && p[0] == 0x16 && p[1] == 3)
                err_set(
                    &why, ST_INVALID, "this is a TLS handshake, and the port speaks plain text");
        if (n >= 4 && memcmp(p, "SSH-", 4) == 0)
                err_set(&why, ST_INVALID, "this is SSH, and the port speaks Kafka's protocol");
        for (size_t i = 0; i < COUNT_OF(http) && n >= 4; i++)
                if (memcmp(p, http[i], 4) == 0)
                        err_set(
                            &why, ST_INVALID, "this is HTTP, and the port speaks Kafka's protocol");
        conn_end_fault(c, "not a request", &why);
}

static enum next run_length(struct conn *c)
{
        struct conn_in *in = &c->in;
        size_t have = in->end - in->start;
        if (have < LENGTH_SIZE) {
                if (in->receiving || c->place.to) return STEP_PARKED;
                if (have == 0)
                        boundary_buffer(c);
                else if (in->cap - in->start < LENGTH_SIZE)
                        move_to(c, NULL);
                return receive(c, in->cap - in->end);
        }
        int32_t len = (int32_t)load_be32(in->buf + in->start);
        if (len <= 0 || len > c->shard->server->config->max_request_bytes) {
                bad_length(c, len, in->buf + in->start, have);
                return STEP_PARKED;
        }
        in->start += LENGTH_SIZE;
        in->frame = (size_t)len;
        c->step = &step_frame;
        return STEP_MORE;
}

static enum next run_frame(struct conn *c)
{
        struct conn_in *in = &c->in;
        size_t have = in->end - in->start;
        if (have >= in->frame) {
                c->step = &step_begin;
                return STEP_MORE;
        }
        if (in->receiving || in->waiting) return STEP_PARKED;
        if (c->place.to && conn_in_rests(c)) return STEP_PARKED;
        if (!frame_buffer(c)) return STEP_PARKED;
        size_t room = in->cap - in->end;
        /* No more than a large frame and the next length: what follows has a block of its own. */
        if (in->frame >= CONN_LARGE) room = MIN(room, in->frame - have + LENGTH_SIZE);
        return receive(c, room);
}

/* Over a limit the socket is not read; a reply that leaves opens the gate again. */
static bool gate_is_open(const struct conn *c)
{
        const struct config *config = c->shard->server->config;
        if (c->n_queued == 0) return true;
        if (c->n_queued >= (unsigned)config->inflight_requests) return false;
        if (c->inflight + c->in.frame > CONN_INFLIGHT_BYTES) return false;
        return c->promised + c->unsent <= CONN_OUT_BYTES;
}

static enum next starve(struct conn *c)
{
        log_mark("requests: scratch memory is used up");
        if (list_empty(&c->starving)) list_push_back(&c->shard->own.conns->starving, &c->starving);
        return STEP_PARKED;
}

static enum next run_begin(struct conn *c)
{
        struct conn_in *in = &c->in;
        assert(in->frame > 0 && in->end - in->start >= in->frame);
        if (!gate_is_open(c)) return STEP_PARKED;
        if (!list_empty(&c->starving)) return STEP_PARKED;
        if (!request_may_begin(c->shard)) return starve(c);
        size_t n = in->frame;
        struct bytes_mut frame = { .p = in->buf + in->start, .n = n };
        struct err why = { .code = 0 };
        c->step = &step_length;
        in->start += n;
        in->frame = 0;
        in->trusted = MIN(MAX(in->trusted, n), (size_t)CONN_TRUST_MAX);
        in->small = n + LENGTH_SIZE > CONN_HEAD && n + LENGTH_SIZE <= CONN_SMALL;
        int r = request_begin(c, frame, in->block, &why);
        if (r < 0) {
                conn_end_fault(c, "request refused", &why);
                return STEP_PARKED;
        }
        c->greeted = true;
        return STEP_MORE;
}
