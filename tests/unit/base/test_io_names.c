/* Names and extents: what runs on worker threads. */
#include "tests/unit/base/io_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t do_open(struct io *io, int dir, const char *name, int flags)
{
        struct io_op op;
        io_open(io, &op, dir, name, flags);
        return io_await(io, &op);
}

static void do_close(struct io *io, int64_t fd)
{
        struct io_op op;
        cr_assert_geq(fd, 0);
        io_close(io, &op, (int)fd);
        cr_assert_eq(io_await(io, &op), 0);
}

IO_TEST(open_and_close)
{
        struct dir d = dir_open();
        cr_expect_eq(do_open(io, d.fd, "none", O_RDONLY), -ENOENT);
        int64_t fd = do_open(io, d.fd, "a", O_RDWR | O_CREAT | O_EXCL);
        cr_assert_geq(fd, 0);
        cr_expect_eq(fcntl((int)fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
        cr_expect_eq(do_open(io, d.fd, "a", O_RDWR | O_CREAT | O_EXCL), -EEXIST);
        cr_expect_eq(do_open(io, d.fd, "a", O_RDONLY | O_DIRECTORY), -ENOTDIR);
        do_close(io, fd);
        struct io_op op;
        io_close(io, &op, (int)fd);
        cr_expect_eq(io_await(io, &op), -EBADF);
        char path[96];
        snprintf(path, sizeof path, "%s/a", d.path);
        do_close(io, do_open(io, AT_FDCWD, path, O_RDONLY));
        dir_close(&d);
}

IO_TEST(sizes)
{
        struct dir d = dir_open();
        int fd = (int)do_open(io, d.fd, "a", O_RDWR | O_CREAT);
        struct io_op op;
        io_size(io, &op, fd);
        cr_expect_eq(io_await(io, &op), 0);
        io_allocate(io, &op, fd, 4096, 8192);
        cr_expect_eq(io_await(io, &op), 0);
        io_size(io, &op, fd);
        cr_expect_eq(io_await(io, &op), 12288);
        struct stat st;
        cr_assert_eq(fstat(fd, &st), 0);
        cr_expect_geq(st.st_blocks * 512, 8192, "space is there, not only size");
        io_truncate(io, &op, fd, 100);
        cr_expect_eq(io_await(io, &op), 0);
        io_size(io, &op, fd);
        cr_expect_eq(io_await(io, &op), 100);
        do_close(io, fd);
        io_size(io, &op, fd);
        cr_expect_eq(io_await(io, &op), -EBADF);
        io_truncate(io, &op, fd, 0);
        cr_expect_eq(io_await(io, &op), -EBADF);
        io_allocate(io, &op, fd, 0, 1);
        cr_expect_eq(io_await(io, &op), -EBADF);
        dir_close(&d);
}

IO_TEST(directories_renames_and_removals)
{
        struct dir d = dir_open();
        struct io_op op;
        io_mkdir(io, &op, d.fd, "sub");
        cr_expect_eq(io_await(io, &op), 0);
        io_mkdir(io, &op, d.fd, "sub");
        cr_expect_eq(io_await(io, &op), -EEXIST);
        do_close(io, do_open(io, d.fd, "sub/f", O_RDWR | O_CREAT));
        io_rmdir(io, &op, d.fd, "sub");
        cr_expect_eq(io_await(io, &op), -ENOTEMPTY);
        io_rename(io, &op, d.fd, "sub/f", "g");
        cr_expect_eq(io_await(io, &op), 0);
        io_rename(io, &op, d.fd, "sub/f", "g");
        cr_expect_eq(io_await(io, &op), -ENOENT);
        io_rmdir(io, &op, d.fd, "sub");
        cr_expect_eq(io_await(io, &op), 0);
        io_unlink(io, &op, d.fd, "g");
        cr_expect_eq(io_await(io, &op), 0);
        io_unlink(io, &op, d.fd, "g");
        cr_expect_eq(io_await(io, &op), -ENOENT);
        dir_close(&d);
}

IO_TEST(lists_every_name_once)
{
        struct dir d = dir_open();
        struct io_op op;
        struct io_names names;
        io_list(io, &op, d.fd, ".", &names);
        cr_assert_eq(io_await(io, &op), 0);
        cr_assert(names.count == 0 && names.len == 0);
        enum { N = 700 };
        char name[32];
        for (unsigned i = 0; i < N; i++) {
                snprintf(name, sizeof name, "file-%020u", i);
                do_close(io, do_open(io, d.fd, name, O_RDWR | O_CREAT));
        }
        io_list(io, &op, d.fd, ".", &names);
        cr_assert_eq(io_await(io, &op), N);
        cr_assert_eq(names.count, N);
        static bool seen[N];
        const char *p = names.text;
        for (unsigned i = 0; i < names.count; i++, p += strlen(p) + 1) {
                unsigned k = N;
                cr_assert_eq(sscanf(p, "file-%u", &k), 1, "%s", p);
                cr_assert(k < N && !seen[k]);
                seen[k] = true;
        }
        cr_assert_eq((size_t)(p - names.text), names.len);
        io_names_free(&names);
        io_list(io, &op, d.fd, "none", &names);
        cr_assert_eq(io_await(io, &op), -ENOENT);
        cr_assert_null(names.text);
        dir_close(&d);
}

/* faults.md 50 */
IO_TEST(a_lock_belongs_to_one)
{
        struct dir d = dir_open();
        int a = (int)do_open(io, d.fd, "lock", O_RDWR | O_CREAT);
        int b = (int)do_open(io, d.fd, "lock", O_RDWR);
        struct io_op op;
        io_lock(io, &op, a);
        cr_expect_eq(io_await(io, &op), 0);
        io_lock(io, &op, b);
        cr_expect_eq(io_await(io, &op), -EWOULDBLOCK);
        do_close(io, a);
        io_lock(io, &op, b);
        cr_expect_eq(io_await(io, &op), 0);
        do_close(io, b);
        dir_close(&d);
}

IO_TEST(space_of_the_file_system)
{
        struct dir d = dir_open();
        struct io_op op;
        struct io_space s = { 0 };
        io_space(io, &op, d.fd, &s);
        cr_assert_eq(io_await(io, &op), 0);
        cr_expect(s.total > 0 && s.available <= s.total);
        struct io_space here = { 0 };
        io_space(io, &op, AT_FDCWD, &here);
        cr_assert_eq(io_await(io, &op), 0);
        cr_expect_eq(here.total, s.total);
        io_space(io, &op, 9999, &here);
        cr_expect_eq(io_await(io, &op), -EBADF);
        dir_close(&d);
}

/* More blocking calls than threads: all come back, each once. */
IO_TEST(many_blocking_calls_at_once)
{
        struct dir d = dir_open();
        enum { N = 1000 };
        static struct counted c[N];
        static char names[N][16];
        unsigned n = 0;
        for (unsigned i = 0; i < N; i++) {
                snprintf(names[i], sizeof names[i], "d%u", i);
                io_mkdir(io, counted(&c[i], &n), d.fd, names[i]);
        }
        run_until(io, &n, N);
        for (unsigned i = 0; i < N; i++) cr_assert(c[i].runs == 1 && c[i].op.res == 0);
        dir_close(&d);
}
