/* Reads, writes and flushes, buffered and direct, on both backends. */
#include "tests/unit/base/io_fixture.h"

#include "base/block.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int open_file(struct io *io, struct dir *d, const char *name, int flags)
{
        struct io_op op;
        io_open(io, &op, d->fd, name, flags);
        return (int)io_await(io, &op);
}

/* O_DIRECT where the file system takes it. */
static int open_direct(struct io *io, struct dir *d, const char *name)
{
        int fd = open_file(io, d, name, O_RDWR | O_CREAT | O_DIRECT);
        if (fd == -EINVAL) fd = open_file(io, d, name, O_RDWR | O_CREAT);
        cr_assert_geq(fd, 0, "%s", strerror(-fd));
        return fd;
}

static void close_file(struct io *io, int fd)
{
        struct io_op op;
        io_close(io, &op, fd);
        cr_assert_eq(io_await(io, &op), 0);
}

static int64_t write_at(struct io *io, int fd, struct iovec *iov, uint32_t n, uint64_t off)
{
        struct io_op op;
        const struct io_write_args a = {
                .fd = fd, .reg = -1, .n_iov = n, .flags = IO_DSYNC, .iov = iov, .off = off
        };
        io_write(io, &op, &a);
        return io_await(io, &op);
}

static void fill(uint8_t *p, size_t n, unsigned seed)
{
        for (size_t i = 0; i < n; i++) p[i] = (uint8_t)((i * 31 + seed) * 2654435761u >> 11);
}

IO_TEST(direct_durable_writes_read_back)
{
        struct dir d = dir_open();
        int fd = open_direct(io, &d, "direct");
        struct block_pool *pool = block_pool_new(io, 16 << 20);
        struct io_op op;
        io_allocate(io, &op, fd, 0, 1 << 20);
        cr_assert_eq(io_await(io, &op), 0);

        struct block *out = block_get(pool, 256 << 10), *in = block_get(pool, 256 << 10);
        for (unsigned i = 0; i < 4; i++) {
                fill(out->data, out->cap, i);
                struct iovec v = { .iov_base = out->data, .iov_len = out->cap };
                cr_assert_eq(write_at(io, fd, &v, 1, i * out->cap), (int64_t)out->cap);
        }
        for (unsigned i = 0; i < 4; i++) {
                fill(out->data, out->cap, i);
                io_read(io, &op, fd, mut(in->data, in->cap), i * in->cap);
                cr_assert_eq(io_await(io, &op), (int64_t)in->cap);
                cr_assert_arr_eq(in->data, out->data, in->cap);
        }
        io_read(io, &op, fd, mut(in->data, in->cap), 1 << 20);
        cr_assert_eq(io_await(io, &op), 0, "past the end");
        block_unref(out);
        block_unref(in);
        block_pool_free(pool);
        close_file(io, fd);
        dir_close(&d);
}

IO_TEST(pieces_are_gathered_into_one_write)
{
        struct dir d = dir_open();
        int fd = open_direct(io, &d, "gather");
        struct block_pool *pool = block_pool_new(NULL, 16 << 20);
        enum { N = 64 };
        struct block *b[N];
        struct iovec v[N];
        for (unsigned i = 0; i < N; i++) {
                b[i] = block_get(pool, 4096);
                fill(b[i]->data, 4096, i);
                v[i] = (struct iovec){ .iov_base = b[i]->data, .iov_len = 4096 };
        }
        cr_assert_eq(write_at(io, fd, v, N, 4096), N * 4096);
        struct block *in = block_get(pool, N * 4096);
        struct io_op op;
        io_read(io, &op, fd, mut(in->data, N * 4096), 4096);
        cr_assert_eq(io_await(io, &op), N * 4096);
        for (unsigned i = 0; i < N; i++) {
                cr_assert_arr_eq(in->data + i * 4096, b[i]->data, 4096);
                block_unref(b[i]);
        }
        block_unref(in);
        block_pool_free(pool);
        close_file(io, fd);
        dir_close(&d);
}

/* A slab is registered after its blocks went round twice; then writes name the registered buffer.
 */
IO_TEST(writes_from_registered_blocks_are_the_same_bytes)
{
        struct dir d = dir_open();
        int fd = open_direct(io, &d, "registered");
        struct block_pool *pool = block_pool_new(io, 16 << 20);
        bool registered = false;
        struct block *first = NULL;
        for (unsigned i = 0; i < 40; i++) {
                struct block *b = block_get(pool, 256 << 10), *hold = block_get(pool, 256 << 10);
                registered |= b->reg >= 0;
                fill(b->data, b->cap, i);
                struct iovec v = { .iov_base = b->data, .iov_len = b->cap };
                struct io_op op;
                const struct io_write_args a = {
                        .fd = fd, .reg = b->reg, .n_iov = 1, .flags = IO_DSYNC, .iov = &v
                };
                io_write(io, &op, &a);
                cr_assert_eq(io_await(io, &op), (int64_t)b->cap);
                io_read(io, &op, fd, mut(hold->data, hold->cap), 0);
                cr_assert_eq(io_await(io, &op), (int64_t)hold->cap);
                cr_assert_arr_eq(hold->data, b->data, b->cap);
                block_unref(hold);
                if (i == 0)
                        first = b; /* keeps the slab from being retired every round */
                else
                        block_unref(b);
        }
        cr_assert_eq(registered, strcmp(io->table->name, "io_uring") == 0);
        block_unref(first);
        block_pool_free(pool);
        close_file(io, fd);
        dir_close(&d);
}

IO_TEST(sync_takes_files_and_directories)
{
        struct dir d = dir_open();
        int fd = open_file(io, &d, "f", O_RDWR | O_CREAT);
        cr_assert_geq(fd, 0);
        struct iovec v = { .iov_base = "abc", .iov_len = 3 };
        struct io_op op;
        const struct io_write_args a = { .fd = fd, .reg = -1, .n_iov = 1, .iov = &v };
        io_write(io, &op, &a);
        cr_assert_eq(io_await(io, &op), 3);
        io_sync(io, &op, fd);
        cr_assert_eq(io_await(io, &op), 0);
        io_sync(io, &op, d.fd);
        cr_assert_eq(io_await(io, &op), 0);
        close_file(io, fd);
        io_sync(io, &op, fd);
        cr_assert_eq(io_await(io, &op), -EBADF);
        dir_close(&d);
}

IO_TEST(data_errors_are_results)
{
        struct dir d = dir_open();
        struct io_op op;
        char buf[8];
        io_read(io, &op, -1, mut(buf, 8), 0);
        cr_expect_eq(io_await(io, &op), -EBADF);
        struct iovec v = { .iov_base = buf, .iov_len = 8 };
        cr_expect_eq(write_at(io, -1, &v, 1, 0), -EBADF);
        int fd = open_file(io, &d, "readonly", O_RDONLY | O_CREAT);
        cr_assert_geq(fd, 0);
        cr_expect_eq(write_at(io, fd, &v, 1, 0), -EBADF);
        io_read(io, &op, d.fd, mut(buf, 8), 0);
        cr_expect_eq(io_await(io, &op), -EISDIR);
        v.iov_base = NULL;
        close_file(io, fd);
        fd = open_file(io, &d, "fault", O_RDWR | O_CREAT);
        cr_expect_eq(write_at(io, fd, &v, 1, 0), -EFAULT);
        close_file(io, fd);
        dir_close(&d);
}

/* Many at once: more than the ring has room for, each with its own bytes at its own place. */
IO_TEST(thousands_of_writes_and_reads_in_flight)
{
        struct dir d = dir_open();
        int fd = open_file(io, &d, "many", O_RDWR | O_CREAT);
        cr_assert_geq(fd, 0);
        enum { N = 3000, SIZE = 64 };
        static struct counted w[N], r[N];
        static uint8_t out[N][SIZE], in[N][SIZE];
        static struct iovec v[N];
        unsigned n = 0;
        for (unsigned i = 0; i < N; i++) {
                fill(out[i], SIZE, i);
                v[i] = (struct iovec){ .iov_base = out[i], .iov_len = SIZE };
                const struct io_write_args a = {
                        .fd = fd, .reg = -1, .n_iov = 1, .iov = &v[i], .off = i * SIZE
                };
                io_write(io, counted(&w[i], &n), &a);
        }
        run_until(io, &n, N);
        n = 0;
        for (unsigned i = 0; i < N; i++)
                io_read(io, counted(&r[i], &n), fd, mut(in[i], SIZE), i * SIZE);
        run_until(io, &n, N);
        for (unsigned i = 0; i < N; i++) {
                cr_assert(w[i].runs == 1 && r[i].runs == 1);
                cr_assert_eq(w[i].op.res, SIZE);
                cr_assert_eq(r[i].op.res, SIZE);
                cr_assert_arr_eq(in[i], out[i], SIZE);
        }
        close_file(io, fd);
        dir_close(&d);
}
