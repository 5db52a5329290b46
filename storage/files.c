/* See files.h. */
#include "storage/files.h"

#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

int64_t file_open(struct io *io, int dir_fd, const char *name, int flags)
{
        struct io_op op;
        assert(io && name);
        io_open(io, &op, dir_fd, name, flags);
        return io_await(io, &op);
}

void file_close(struct io *io, int fd)
{
        struct io_op op;
        assert(io);
        if (fd < 0) return;
        io_close(io, &op, fd);
        io_await(io, &op);
}

int64_t file_read(struct io *io, int fd, struct bytes_mut to, uint64_t off)
{
        size_t at = 0;
        assert(io && fd >= 0);
        while (at < to.n) {
                struct io_op op;
                io_read(io, &op, fd, (struct bytes_mut){ to.p + at, to.n - at }, off + at);
                int64_t r = io_await(io, &op);
                if (r < 0) return r;
                if (r == 0) break;
                at += (size_t)r;
                if (at % STORE_PAGE != 0) break; /* the end of the file; O_DIRECT could not go on */
        }
        return (int64_t)at;
}

int64_t file_write(struct io *io, int fd, struct bytes b, uint64_t off)
{
        size_t at = 0, n = (size_t)b.n;
        assert(io && fd >= 0 && b.n >= 0);
        while (at < n) {
                struct io_op op;
                struct iovec iov = { (void *)(uintptr_t)(b.p + at), n - at };
                io_write(io, &op,
                    &(struct io_write_args){
                        .fd = fd, .reg = -1, .n_iov = 1, .iov = &iov, .off = off + at });
                int64_t r = io_await(io, &op);
                if (r <= 0) return r < 0 ? r : -EIO;
                at += (size_t)r;
        }
        return 0;
}

int64_t file_sync(struct io *io, int fd)
{
        struct io_op op;
        assert(io && fd >= 0);
        io_sync(io, &op, fd);
        return io_await(io, &op);
}

int64_t file_load(struct io *io, int dir_fd, const char *name, struct bytes_mut to)
{
        int64_t fd = file_open(io, dir_fd, name, O_RDONLY);
        if (fd < 0) return fd;
        struct io_op op;
        io_size(io, &op, (int)fd);
        int64_t r = io_await(io, &op);
        if (r > (int64_t)to.n) r = -EFBIG;
        if (r > 0) r = file_read(io, (int)fd, (struct bytes_mut){ to.p, (size_t)r }, 0);
        file_close(io, (int)fd);
        return r;
}

int64_t file_replace(struct io *io, int dir_fd, const char *name, struct bytes b)
{
        char tmp[STORE_NAME_MAX];
        int n = snprintf(tmp, sizeof tmp, "%s.tmp", name);
        assert(n > 0 && (size_t)n < sizeof tmp);
        int64_t fd = file_open(io, dir_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC);
        if (fd < 0) return fd;
        int64_t r = file_write(io, (int)fd, b, 0);
        if (r == 0) r = file_sync(io, (int)fd);
        file_close(io, (int)fd);
        if (r < 0) return r;
        struct io_op op;
        io_rename(io, &op, dir_fd, tmp, name);
        r = io_await(io, &op);
        return r < 0 ? r : file_sync(io, dir_fd);
}
