/* Sockets: accept, connect, receive, close, shutdown, on both backends. */
#include "tests/unit/base/io_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

static int option(int fd, int level, int name)
{
        int v = -1;
        socklen_t len = sizeof v;
        cr_assert_eq(getsockopt(fd, level, name, &v, &len), 0);
        return v;
}

IO_TEST(accepted_and_connected_sockets_are_set_up)
{
        struct pair p = pair_open(io);
        const int fds[] = { p.client, p.server };
        for (unsigned i = 0; i < 2; i++) {
                cr_expect_neq(option(fds[i], IPPROTO_TCP, TCP_NODELAY), 0);
                cr_expect_neq(option(fds[i], SOL_SOCKET, SO_KEEPALIVE), 0);
                cr_expect_eq(option(fds[i], IPPROTO_TCP, TCP_KEEPIDLE), 60);
                cr_expect_eq(fcntl(fds[i], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        }
        /* 512 KiB, which the kernel doubles and net.core.wmem_max may cut; the client's is its own.
         */
        cr_expect_leq(option(p.server, SOL_SOCKET, SO_SNDBUF), 2 * 512 << 10);
        pair_close(io, &p);
}

IO_TEST(bytes_arrive_and_a_close_is_seen)
{
        struct pair p = pair_open(io);
        char got[16] = { 0 };
        struct io_op op;
        struct iovec v = { .iov_base = "varve", .iov_len = 5 };
        io_send(io, &op, p.client, &v, 1);
        cr_assert_eq(io_await(io, &op), 5);
        io_recv(io, &op, p.server, mut(got, sizeof got));
        cr_assert_eq(io_await(io, &op), 5);
        cr_assert_str_eq(got, "varve");

        unsigned n = 0;
        struct counted c;
        io_recv(io, counted(&c, &n), p.server, mut(got, sizeof got));
        io_turn(io, 0);
        io_dispatch(io, 10);
        cr_assert_eq(n, 0, "nothing was sent, so nothing may have been received");
        io_sock_close(io, p.client);
        run_until(io, &n, 1);
        cr_assert_eq(c.op.res, 0);
        io_sock_close(io, p.server);
        io_sock_close(io, p.listener);
}

IO_TEST(receive_takes_what_is_there)
{
        struct pair p = pair_open(io);
        char got[4];
        struct io_op op;
        struct iovec v = { .iov_base = "abcdefg", .iov_len = 7 };
        io_send(io, &op, p.client, &v, 1);
        cr_assert_eq(io_await(io, &op), 7);
        io_recv(io, &op, p.server, mut(got, 4));
        cr_assert_eq(io_await(io, &op), 4);
        cr_assert_arr_eq(got, "abcd", 4);
        io_recv(io, &op, p.server, mut(got, 4));
        cr_assert_eq(io_await(io, &op), 3);
        cr_assert_arr_eq(got, "efg", 3);
        pair_close(io, &p);
}

IO_TEST(shutdown_ends_a_pending_receive)
{
        struct pair p = pair_open(io);
        char got[16];
        unsigned n = 0;
        struct counted c;
        io_recv(io, counted(&c, &n), p.server, mut(got, sizeof got));
        io_turn(io, 0);
        io_dispatch(io, 10);
        cr_assert_eq(n, 0);
        io_shutdown(io, p.server);
        run_until(io, &n, 1);
        cr_assert_leq(c.op.res, 0);
        pair_close(io, &p);
}

IO_TEST(shutdown_ends_a_pending_accept)
{
        struct err e = { 0 };
        int fd = io_listen(io, "127.0.0.1", 0, &e);
        cr_assert_geq(fd, 0, "%s", e.text);
        unsigned n = 0;
        struct counted c;
        io_accept(io, counted(&c, &n), fd);
        io_turn(io, 0);
        io_dispatch(io, 10);
        cr_assert_eq(n, 0);
        io_shutdown(io, fd);
        run_until(io, &n, 1);
        cr_assert_eq(c.op.res, -EINVAL);
        io_sock_close(io, fd);
}

IO_TEST(shutdown_twice_is_harmless)
{
        struct pair p = pair_open(io);
        io_shutdown(io, p.server);
        io_shutdown(io, p.server);
        char got[1];
        struct io_op op;
        io_recv(io, &op, p.client, mut(got, 1));
        cr_assert_eq(io_await(io, &op), 0);
        pair_close(io, &p);
}

IO_TEST(a_reset_is_an_error)
{
        struct pair p = pair_open(io);
        char got[16];
        unsigned n = 0;
        struct counted c;
        io_recv(io, counted(&c, &n), p.server, mut(got, sizeof got));
        io_turn(io, 0);
        const struct linger now = { .l_onoff = 1, .l_linger = 0 };
        cr_assert_eq(setsockopt(p.client, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
        io_sock_close(io, p.client);
        run_until(io, &n, 1);
        cr_assert_eq(c.op.res, -ECONNRESET);
        io_sock_close(io, p.server);
        io_sock_close(io, p.listener);
}

IO_TEST(connect_fails_with_its_cause)
{
        struct err e = { 0 };
        int fd = io_listen(io, "127.0.0.1", 0, &e);
        cr_assert_geq(fd, 0, "%s", e.text);
        uint16_t port = port_of(fd);
        io_sock_close(io, fd);
        struct io_op op;
        io_connect(io, &op, "127.0.0.1", port);
        cr_assert_eq(io_await(io, &op), -ECONNREFUSED);
        io_connect(io, &op, "no numeric address", port);
        cr_assert_eq(io_await(io, &op), -EINVAL);
}

IO_TEST(ipv6_works)
{
        struct err e = { 0 };
        int fd = io_listen(io, "::1", 0, &e);
        if (fd < 0) cr_skip_test("no IPv6 here: %s", e.text);
        unsigned n = 0;
        struct counted a, c;
        io_accept(io, counted(&a, &n), fd);
        io_connect(io, counted(&c, &n), "::1", port_of(fd));
        run_until(io, &n, 2);
        cr_assert_geq(a.op.res, 0);
        cr_assert_geq(c.op.res, 0);
        io_sock_close(io, (int)a.op.res);
        io_sock_close(io, (int)c.op.res);
        io_sock_close(io, fd);
}

IO_TEST(listen_names_what_is_wrong)
{
        struct err e = { 0 };
        int fd = io_listen(io, "127.0.0.1", 0, &e);
        cr_assert_geq(fd, 0);
        cr_assert_lt(io_listen(io, "127.0.0.1", port_of(fd), &e), 0);
        cr_assert_not_null(strstr(e.text, "Address already in use"), "%s", e.text);
        cr_assert_lt(io_listen(io, "192.0.2.1", 0, &e), 0);
        cr_assert_not_null(strstr(e.text, "192.0.2.1"), "%s", e.text);
        io_sock_close(io, fd);
}

IO_TEST(one_accept_takes_one_connection)
{
        struct err e = { 0 };
        int fd = io_listen(io, "127.0.0.1", 0, &e);
        cr_assert_geq(fd, 0);
        enum { N = 100 };
        static struct counted a[N], c[N];
        unsigned n = 0;
        for (unsigned i = 0; i < N; i++) io_accept(io, counted(&a[i], &n), fd);
        for (unsigned i = 0; i < N; i++)
                io_connect(io, counted(&c[i], &n), "127.0.0.1", port_of(fd));
        run_until(io, &n, 2 * N);
        for (unsigned i = 0; i < N; i++) {
                cr_assert_geq(a[i].op.res, 0);
                cr_assert_geq(c[i].op.res, 0);
                cr_assert(a[i].runs == 1 && c[i].runs == 1);
                io_sock_close(io, (int)a[i].op.res);
                io_sock_close(io, (int)c[i].op.res);
        }
        io_sock_close(io, fd);
}

/* faults.md 25: the caller learns it and decides; accept works again when descriptors came back. */
IO_TEST(accept_without_descriptors_says_so)
{
        struct err e = { 0 };
        int fd = io_listen(io, "127.0.0.1", 0, &e);
        cr_assert_geq(fd, 0);
        struct io_op op;
        io_connect(io, &op, "127.0.0.1", port_of(fd));
        int client = (int)io_await(io, &op);
        cr_assert_geq(client, 0);

        struct rlimit before, none;
        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = before;
        none.rlim_cur = 0; /* what is open stays open */
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        io_accept(io, &op, fd);
        int64_t r = io_await(io, &op);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        cr_assert_eq(r, -EMFILE);

        io_accept(io, &op, fd);
        r = io_await(io, &op);
        cr_assert_geq(r, 0);
        io_sock_close(io, (int)r);
        io_sock_close(io, client);
        io_sock_close(io, fd);
}

IO_TEST(operations_on_what_is_no_socket_fail)
{
        struct io_op op;
        char got[1];
        struct iovec v = { .iov_base = "x", .iov_len = 1 };
        io_recv(io, &op, -1, mut(got, 1));
        cr_expect_eq(io_await(io, &op), -EBADF);
        io_accept(io, &op, -1);
        cr_expect_eq(io_await(io, &op), -EBADF);
        int fds[2];
        cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
        io_recv(io, &op, fds[0], mut(got, 1));
        cr_expect_eq(io_await(io, &op), -ENOTSOCK);
        io_send(io, &op, fds[1], &v, 1);
        cr_expect_eq(io_await(io, &op), -ENOTSOCK);
        close(fds[0]);
        close(fds[1]);
        io_recv(io, &op, fds[0], mut(got, 1));
        cr_expect_eq(io_await(io, &op), -EBADF);
}

/* A descriptor that another io closed and that came back as another socket still gets its events.
 */
IO_TEST(a_recycled_descriptor_is_waited_for)
{
        struct pair p = pair_open(io);
        char got[4];
        unsigned n = 0;
        struct counted c;
        io_recv(io, counted(&c, &n), p.server, mut(got, 4));
        io_turn(io, 0);
        struct iovec v = { .iov_base = "x", .iov_len = 1 };
        struct io_op op;
        io_send(io, &op, p.client, &v, 1);
        cr_assert_eq(io_await(io, &op), 1);
        run_until(io, &n, 1);
        close(p.server); /* not through this io */

        io_connect(io, &op, "127.0.0.1", port_of(p.listener));
        int client = (int)io_await(io, &op);
        io_accept(io, &op, p.listener);
        int server = (int)io_await(io, &op);
        cr_assert(client == p.server || server == p.server, "the number was meant to come back");
        n = 0;
        int from = server == p.server ? client : server;
        io_recv(io, counted(&c, &n), p.server, mut(got, 4));
        io_turn(io, 0);
        io_dispatch(io, 1);
        cr_assert_eq(n, 0);
        io_send(io, &op, from, &v, 1);
        cr_assert_eq(io_await(io, &op), 1);
        run_until(io, &n, 1);
        cr_assert_eq(c.op.res, 1);
        io_sock_close(io, client);
        io_sock_close(io, server);
        io_sock_close(io, p.client);
        io_sock_close(io, p.listener);
}

IO_TEST(both_directions_wait_at_the_same_time)
{
        struct pair p = pair_open(io);
        enum { N = 1 << 20 };
        static char sent[N], got[2];
        /* Fill the way to the client, then wait for both room and bytes on one socket. */
        unsigned n_sent = 0, n_recv = 0;
        struct counted s, r;
        struct iovec v = { .iov_base = sent, .iov_len = N };
        uint64_t total = 0;
        for (unsigned i = 0; i < 64; i++) {
                io_send(io, counted(&s, &n_sent), p.server, &v, 1);
                io_turn(io, 0);
                io_dispatch(io, 8);
                if (n_sent == i) break;
                cr_assert_gt(s.op.res, 0);
                total += (uint64_t)s.op.res;
        }
        unsigned done = n_sent;
        io_recv(io, counted(&r, &n_recv), p.server, mut(got, 2));
        io_turn(io, 0);
        io_dispatch(io, 8);
        cr_assert_eq(n_sent, done);
        cr_assert_eq(n_recv, 0);

        struct io_op op;
        struct iovec small = { .iov_base = "hi", .iov_len = 2 };
        io_send(io, &op, p.client, &small, 1);
        cr_assert_eq(io_await(io, &op), 2);
        run_until(io, &n_recv, 1);
        cr_assert_eq(r.op.res, 2);
        static char sink[N];
        uint64_t read = 0;
        while (n_sent == done) {
                io_recv(io, &op, p.client, mut(sink, N));
                int64_t got_n = io_await(io, &op);
                cr_assert_gt(got_n, 0);
                read += (uint64_t)got_n;
        }
        cr_assert_gt(s.op.res, 0);
        total += (uint64_t)s.op.res;
        while (read < total) {
                io_recv(io, &op, p.client, mut(sink, N));
                int64_t got_n = io_await(io, &op);
                cr_assert_gt(got_n, 0);
                read += (uint64_t)got_n;
        }
        cr_assert_eq(read, total);
        pair_close(io, &p);
}
