/* Sending: many pieces, more than fits, to peers that went away. */
#include "tests/unit/base/io_fixture.h"

#include <errno.h>
#include <signal.h>

static uint8_t byte_at(uint64_t i)
{
        return (uint8_t)(i * 2654435761u >> 13);
}

/* Receives until it has seen n bytes; checks every one of them. */
struct reader {
        struct io_op op;
        struct io *io;
        int fd;
        uint64_t seen, want;
        uint8_t buf[8192];
};

static void reader_next(struct reader *r);

static void reader_on_done(struct io_op *op)
{
        struct reader *r = CONTAINER_OF(op, struct reader, op);
        cr_assert_gt(op->res, 0);
        for (int64_t i = 0; i < op->res; i++)
                cr_assert_eq(r->buf[i], byte_at(r->seen + (uint64_t)i));
        r->seen += (uint64_t)op->res;
        if (r->seen < r->want) reader_next(r);
}

static void reader_next(struct reader *r)
{
        r->op.on_done = reader_on_done;
        io_recv(r->io, &r->op, r->fd, mut(r->buf, sizeof r->buf));
}

/* Sends all of iov, continuing after short results. */
static unsigned send_all(struct io *io, int fd, struct iovec *iov, uint32_t n, struct reader *r)
{
        unsigned calls = 0;
        while (n > 0) {
                struct io_op op;
                io_send(io, &op, fd, iov, MIN(n, (uint32_t)IO_IOV_MAX));
                int64_t took = io_await(io, &op);
                cr_assert_gt(took, 0);
                calls++;
                while (n > 0 && (uint64_t)took >= iov->iov_len) {
                        took -= (int64_t)iov->iov_len;
                        iov++;
                        n--;
                }
                if (n > 0) {
                        iov->iov_base = (char *)iov->iov_base + took;
                        iov->iov_len -= (size_t)took;
                }
        }
        while (r->seen < r->want) {
                io_turn(io, UINT64_MAX);
                io_dispatch(io, 100);
        }
        return calls;
}

IO_TEST(a_thousand_pieces_leave_in_one_operation)
{
        struct pair p = pair_open(io);
        enum { PIECE = 37, N = IO_IOV_MAX };
        static uint8_t bytes[PIECE * N];
        static struct iovec iov[N];
        for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = byte_at(i);
        for (unsigned i = 0; i < N; i++)
                iov[i] = (struct iovec){ .iov_base = bytes + i * PIECE, .iov_len = PIECE };
        static struct reader r;
        r = (struct reader){ .io = io, .fd = p.server, .want = sizeof bytes };
        reader_next(&r);
        cr_assert_eq(send_all(io, p.client, iov, N, &r), 1u);
        cr_assert_eq(r.seen, sizeof bytes);
        pair_close(io, &p);
}

IO_TEST(more_than_the_socket_holds_goes_out_in_the_end)
{
        struct pair p = pair_open(io);
        const int small = 4096;
        setsockopt(p.client, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        enum { PIECE = 64 << 10, N = 64 };
        static uint8_t bytes[PIECE * N];
        struct iovec iov[N];
        for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = byte_at(i);
        for (unsigned i = 0; i < N; i++)
                iov[i] = (struct iovec){ .iov_base = bytes + i * PIECE, .iov_len = PIECE };
        static struct reader r;
        r = (struct reader){ .io = io, .fd = p.server, .want = sizeof bytes };
        reader_next(&r);
        send_all(io, p.client, iov, N, &r);
        cr_assert_eq(r.seen, sizeof bytes);
        pair_close(io, &p);
}

IO_TEST(sending_to_a_closed_peer_is_an_error_and_no_signal)
{
        struct sigaction before;
        sigaction(SIGPIPE, NULL, &before);
        cr_assert(before.sa_handler == SIG_DFL, "the test would prove nothing");
        struct pair p = pair_open(io);
        io_sock_close(io, p.server);
        char bytes[4096] = { 0 };
        struct iovec v = { .iov_base = bytes, .iov_len = sizeof bytes };
        struct io_op op;
        int64_t r = 0;
        for (unsigned i = 0; i < 1000 && r >= 0; i++) {
                io_send(io, &op, p.client, &v, 1);
                r = io_await(io, &op);
        }
        cr_assert(r == -EPIPE || r == -ECONNRESET, "%ld", (long)r);
        io_sock_close(io, p.client);
        io_sock_close(io, p.listener);
}

/* faults.md 22: a peer that never reads; shutting down frees the sender. */
IO_TEST(shutdown_ends_a_send_that_nobody_reads)
{
        struct pair p = pair_open(io);
        enum { N = 1 << 20 };
        static uint8_t bytes[N];
        struct iovec v = { .iov_base = bytes, .iov_len = N };
        struct counted c;
        unsigned n = 0, sent = 0;
        do {
                cr_assert_lt(sent, 64u, "loopback swallows all: no test");
                io_send(io, counted(&c, &n), p.client, &v, 1);
                sent++;
                io_turn(io, 0);
                io_dispatch(io, 8);
        } while (n == sent);
        io_shutdown(io, p.client);
        run_until(io, &n, sent);
        cr_assert(c.op.res == -EPIPE || c.op.res >= 0, "%ld", (long)c.op.res);
        pair_close(io, &p);
}
