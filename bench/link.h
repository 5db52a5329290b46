/* One connection that carries frames both ways.  Frames to send are borrowed and gathered: all that
 * were queued in a turn leave with one call.  What arrives is given away frame by frame out of one
 * buffer.  One owner thread. */
#pragma once

#include "base/io.h"
#include "base/list.h"

enum {
        LINK_GATHER = 128,           /* frames in one call                  */
        LINK_GATHER_BYTES = 4 << 20, /* and no more bytes, unless one frame */
        LINK_FRAME_MAX = 256 << 20,
};

struct link {
        uint32_t magic;
        struct io *io;
        int fd; /* -1: closed */
        bool sending, receiving, down;
        struct io_op send_op, recv_op;
        /* frames to send: a ring, the oldest may be partly sent */
        struct iovec *queue;
        uint32_t queue_room, queue_at, queue_n;
        size_t queue_sent; /* bytes of the oldest */
        struct iovec iov[LINK_GATHER];
        /* what arrived */
        uint8_t *buf;
        size_t room, at, n; /* bytes at..n are not yet given away */
        struct list *dirty; /* links with something to send, by pending */
        struct list pending;
        /* The frame without its size, valid during the call.  False: the link is closed. */
        bool (*on_frame)(struct link *l, struct bytes frame);
        void (*on_sent)(struct link *l, uint32_t frames); /* NULL: of no interest */
        void (*on_down)(struct link *l, int64_t res);     /* 0: the peer closed, else -errno */
};

/* fd: connected.  io, dirty and the callbacks are set by the caller.  queue_room: frames. */
bool link_start(struct link *l, int fd, uint32_t queue_room, size_t buf_room);
/* The bytes must stay until sent.  The queue never overflows: the caller counts. */
void link_send(struct link *l, const void *p, size_t n);
/* Starts what was queued on these links. */
void link_flush_all(struct list *dirty);
/* Operations finish soon; link_is_idle() then. */
void link_shutdown(struct link *l);
static inline bool link_is_idle(const struct link *l)
{
        return !l->sending && !l->receiving;
}
/* Idle or never started. */
void link_free(struct link *l);
