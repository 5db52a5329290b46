/* Frames over a socket pair, in all kinds of pieces. */
#include "bench/link.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

struct end {
        struct link link;
        struct list dirty;
        uint32_t frames, sent;
        size_t bytes;
        int64_t down;
};

static bool on_frame(struct link *l, struct bytes frame)
{
        struct end *x = CONTAINER_OF(l, struct end, link);
        for (int32_t i = 0; i < frame.n; i++)
                cr_assert_eq(frame.p[i], (uint8_t)((uint32_t)frame.n + x->frames));
        x->frames++;
        x->bytes += (size_t)frame.n;
        return true;
}

static void on_sent(struct link *l, uint32_t frames)
{
        CONTAINER_OF(l, struct end, link)->sent += frames;
}

static void on_down(struct link *l, int64_t res)
{
        CONTAINER_OF(l, struct end, link)->down = res;
}

static void start(struct end *x, struct io *io, int fd, size_t room)
{
        *x = (struct end){ .down = 1,
                .link = {
                    .io = io, .on_frame = on_frame, .on_sent = on_sent, .on_down = on_down } };
        list_init(&x->dirty);
        x->link.dirty = &x->dirty;
        cr_assert(link_start(&x->link, fd, 512, room));
}

static uint8_t *frame_of(uint32_t n, uint32_t number)
{
        uint8_t *p = malloc(n + 4);
        store_be32(p, n);
        memset(p + 4, (uint8_t)(n + number), n);
        return p;
}

static void exchange(struct io *io)
{
        enum { FRAMES = 300 };
        struct end a, b;
        int fd[2];
        uint8_t *frames[FRAMES];
        size_t total = 0;
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
        start(&a, io, fd[0], 64);
        start(&b, io, fd[1], 1000); /* most frames are larger, or cross its end */
        for (uint32_t i = 0; i < FRAMES; i++) {
                uint32_t n = i % 7 == 0 ? 300000 : i * 13 % 700;
                frames[i] = frame_of(n, i);
                total += n;
                link_send(&a.link, frames[i], n + 4);
        }
        link_flush_all(&a.dirty);
        while (b.frames < FRAMES || a.sent < FRAMES) {
                io_turn(io, UINT64_MAX);
                io_dispatch(io, 16);
        }
        cr_assert_eq(b.bytes, total);
        cr_assert_eq(a.sent, FRAMES);
        link_shutdown(&a.link);
        while (!link_is_idle(&a.link) || !link_is_idle(&b.link)) {
                io_turn(io, UINT64_MAX);
                io_dispatch(io, 16);
        }
        cr_assert_eq(b.down, 0, "the other side sees the end");
        cr_assert_eq(a.down, 1, "and who closed is not told");
        link_free(&a.link);
        link_free(&b.link);
        for (int i = 0; i < FRAMES; i++) free(frames[i]);
        io_free(io);
}

Test(link, frames_arrive_whole_through_io_uring)
{
        struct io *io;
        cr_assert_eq(io_uring_new(NULL, &io, NULL), 0);
        exchange(io);
}

Test(link, frames_arrive_whole_through_epoll)
{
        struct io *io;
        cr_assert_eq(io_posix_new(NULL, &io, NULL), 0);
        exchange(io);
}

Test(link, a_frame_that_is_too_large_ends_it)
{
        struct io *io;
        struct end a;
        int fd[2];
        uint8_t size[4];
        cr_assert_eq(io_uring_new(NULL, &io, NULL), 0);
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
        start(&a, io, fd[0], 64);
        store_be32(size, LINK_FRAME_MAX + 1U);
        cr_assert_eq(write(fd[1], size, 4), 4);
        while (!a.link.down || !link_is_idle(&a.link)) {
                io_turn(io, UINT64_MAX);
                io_dispatch(io, 16);
        }
        cr_assert_lt(a.down, 0);
        link_free(&a.link);
        close(fd[1]);
        io_free(io);
}
