/* What the io suites share: backends, loopback connections, directories. */
#include "tests/unit/base/io_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct io *new_io(bool uring, const struct io_options *o)
{
        struct io *io = NULL;
        struct err e = { 0 };
        int r = uring ? io_uring_new(o, &io, &e) : io_posix_new(o, &io, &e);
        if (r < 0 && uring) cr_skip_test("%s", e.text);
        cr_assert_eq(r, 0, "%s", e.text);
        return io;
}

void on_uring(io_test_fn *fn)
{
        struct io *io = new_io(true, NULL);
        fn(io);
        io_free(io);
}

void on_posix(io_test_fn *fn)
{
        struct io *io = new_io(false, NULL);
        fn(io);
        io_free(io);
}

void counted_on_done(struct io_op *op)
{
        struct counted *c = CONTAINER_OF(op, struct counted, op);
        c->runs++;
        ++*c->count;
}

void run_until(struct io *io, const unsigned *count, unsigned n)
{
        while (*count < n) {
                io_turn(io, UINT64_MAX);
                io_dispatch(io, 256);
        }
}

uint16_t port_of(int fd)
{
        struct sockaddr_in6 a;
        socklen_t len = sizeof a;
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        return be16toh(a.sin6_port); /* where IPv4 has it, too */
}

struct pair pair_open(struct io *io)
{
        struct err e = { 0 };
        struct pair p;
        p.listener = io_listen(io, "127.0.0.1", 0, &e);
        cr_assert_geq(p.listener, 0, "%s", e.text);
        unsigned n = 0;
        struct counted c, a;
        io_accept(io, counted(&a, &n), p.listener);
        io_connect(io, counted(&c, &n), "127.0.0.1", port_of(p.listener));
        run_until(io, &n, 2);
        p.client = (int)c.op.res;
        p.server = (int)a.op.res;
        cr_assert_geq(p.client, 0);
        cr_assert_geq(p.server, 0);
        return p;
}

void pair_close(struct io *io, struct pair *p)
{
        io_sock_close(io, p->client);
        io_sock_close(io, p->server);
        io_sock_close(io, p->listener);
}

struct dir dir_open(void)
{
        struct dir d;
        snprintf(d.path, sizeof d.path, "unit-base-XXXXXX");
        cr_assert_not_null(mkdtemp(d.path));
        d.fd = open(d.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        cr_assert_geq(d.fd, 0);
        return d;
}

void dir_close(struct dir *d)
{
        DIR *list = fdopendir(d->fd);
        cr_assert_not_null(list);
        rewinddir(list);
        for (struct dirent *e; (e = readdir(list)) != NULL;)
                if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                        if (unlinkat(d->fd, e->d_name, 0) < 0)
                                unlinkat(d->fd, e->d_name, AT_REMOVEDIR);
        closedir(list);
        cr_assert_eq(rmdir(d->path), 0);
}
