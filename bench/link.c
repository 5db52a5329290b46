/* Framed connections.
 *
 * Happy path: link_send queues, link_flush_all starts one gathering send, its completion counts
 * frames off and starts the next; one receive is always under way.  Failures: any error or the end
 * of the stream calls on_down once; nothing is sent any more.  On close: shutdown makes both
 * operations finish, then the owner frees. */
#include "bench/link.h"

#include "base/check.h"

#include <errno.h>

enum { LINK_MAGIC = 0x6c696e6b };

static void start_send(struct link *l);
static void start_recv(struct link *l);

static void go_down(struct link *l, int64_t res)
{
        if (l->down) return;
        l->down = true;
        io_shutdown(l->io, l->fd);
        if (l->on_down) l->on_down(l, res);
}

/* --- sending --- */

static void on_send(struct io_op *op)
{
        struct link *l = CONTAINER_OF(op, struct link, send_op);
        CHECK_OBJ(l, LINK_MAGIC);
        l->sending = false;
        if (op->res < 0) {
                go_down(l, op->res);
                return;
        }
        size_t left = (size_t)op->res + l->queue_sent;
        uint32_t frames = 0;
        while (l->queue_n > 0 && left >= l->queue[l->queue_at].iov_len) {
                left -= l->queue[l->queue_at].iov_len;
                l->queue_at = (l->queue_at + 1) % l->queue_room;
                l->queue_n--;
                frames++;
        }
        l->queue_sent = left;
        if (frames && l->on_sent) l->on_sent(l, frames);
        if (l->queue_n > 0) start_send(l);
}

static void start_send(struct link *l)
{
        if (l->sending || l->down || l->queue_n == 0) return;
        uint32_t n = 0;
        size_t bytes = 0;
        while (n < l->queue_n && n < LINK_GATHER && bytes < LINK_GATHER_BYTES) {
                l->iov[n] = l->queue[(l->queue_at + n) % l->queue_room];
                bytes += l->iov[n++].iov_len;
        }
        l->iov[0].iov_base = (uint8_t *)l->iov[0].iov_base + l->queue_sent;
        l->iov[0].iov_len -= l->queue_sent;
        l->send_op.on_done = on_send;
        l->sending = true;
        io_send(l->io, &l->send_op, l->fd, l->iov, n);
}

void link_send(struct link *l, const void *p, size_t n)
{
        CHECK_OBJ(l, LINK_MAGIC);
        assert(l->queue_n < l->queue_room && n > 0);
        l->queue[(l->queue_at + l->queue_n++) % l->queue_room] =
            (struct iovec){ (void *)(uintptr_t)p, n };
        if (list_empty(&l->pending)) list_push_back(l->dirty, &l->pending);
}

void link_flush_all(struct list *dirty)
{
        for (struct list *n; (n = list_pop_front(dirty));)
                start_send(CONTAINER_OF(n, struct link, pending));
}

/* --- receiving --- */

/* Room for a whole frame of `size` bytes that begins at `at`.  False: it cannot be had. */
static bool make_room(struct link *l, size_t size)
{
        if (l->at + size <= l->room) return true;
        if (size > l->room) {
                if (size > LINK_FRAME_MAX) return false;
                size_t room = MAX(size, MIN(l->room * 2, (size_t)LINK_FRAME_MAX));
                uint8_t *buf = malloc(room);
                if (!buf) return false;
                memcpy(buf, l->buf + l->at, l->n - l->at);
                free(l->buf);
                l->buf = buf;
                l->room = room;
        } else
                memmove(l->buf, l->buf + l->at, l->n - l->at);
        l->n -= l->at;
        l->at = 0;
        return true;
}

/* Gives away whole frames; false: the link is of no more use. */
static bool give_frames(struct link *l)
{
        while (l->n - l->at >= 4) {
                size_t size = load_be32(l->buf + l->at);
                if (l->n - l->at - 4 < size) return make_room(l, size + 4);
                struct bytes frame = { l->buf + l->at + 4, (int32_t)size };
                l->at += 4 + size;
                if (!l->on_frame(l, frame)) return false;
        }
        if (l->at == l->n) l->at = l->n = 0;
        return make_room(l, 4);
}

static void on_recv(struct io_op *op)
{
        struct link *l = CONTAINER_OF(op, struct link, recv_op);
        CHECK_OBJ(l, LINK_MAGIC);
        l->receiving = false;
        if (op->res <= 0) {
                go_down(l, op->res);
                return;
        }
        l->n += (size_t)op->res;
        if (!give_frames(l)) {
                go_down(l, -EPROTO);
                return;
        }
        if (!l->down) start_recv(l);
}

static void start_recv(struct link *l)
{
        assert(!l->receiving && l->n < l->room);
        l->recv_op.on_done = on_recv;
        l->receiving = true;
        io_recv(l->io, &l->recv_op, l->fd, (struct bytes_mut){ l->buf + l->n, l->room - l->n });
}

/* --- life --- */

bool link_start(struct link *l, int fd, uint32_t queue_room, size_t buf_room)
{
        assert(l->io && l->dirty && l->on_frame && fd >= 0 && queue_room > 0 && buf_room >= 4);
        l->magic = LINK_MAGIC;
        l->fd = fd;
        l->queue_room = queue_room;
        l->room = buf_room;
        list_init(&l->pending);
        l->queue = calloc(queue_room, sizeof *l->queue);
        l->buf = malloc(buf_room);
        if (!l->queue || !l->buf) return false;
        start_recv(l);
        return true;
}

void link_shutdown(struct link *l)
{
        CHECK_OBJ(l, LINK_MAGIC);
        l->on_down = NULL;
        go_down(l, 0);
        list_remove(&l->pending);
        l->queue_n = 0;
}

void link_free(struct link *l)
{
        if (l->magic == 0) return;
        CHECK_OBJ(l, LINK_MAGIC);
        assert(link_is_idle(l));
        list_remove(&l->pending);
        if (l->fd >= 0) io_sock_close(l->io, l->fd);
        free(l->queue);
        free(l->buf);
        *l = (struct link){ .fd = -1 };
}
