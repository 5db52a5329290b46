/* Disk operations as plain blocking calls: what a worker thread does with one. */
#include "base/io_backend.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* 0 or a count stays, -1 becomes -errno. */
static int64_t result(int64_t r)
{
        return r < 0 ? -errno : r;
}

static int64_t call_read(struct io_op *op)
{
        return result(pread(op->fd, op->one.iov_base, op->one.iov_len, (off_t)op->off));
}

static int64_t call_write(struct io_op *op)
{
        int flags = op->flags & IO_DSYNC ? RWF_DSYNC : 0;
        return result(pwritev2(op->fd, op->iov, (int)op->n_iov, (off_t)op->off, flags));
}

static int64_t call_sync(struct io_op *op)
{
        struct stat st;
        if (fstat(op->fd, &st) < 0) return -errno;
        return result(S_ISDIR(st.st_mode) ? fsync(op->fd) : fdatasync(op->fd));
}

static int64_t call_open(struct io_op *op)
{
        return result(openat(op->fd, op->path, op->flags | O_CLOEXEC, 0640));
}

static int64_t call_close(struct io_op *op)
{
        /* Linux releases the descriptor whatever close() says; EINTR must not be repeated. */
        int r = close(op->fd);
        return r < 0 && errno != EINTR ? -errno : 0;
}

static int64_t call_allocate(struct io_op *op)
{
        return result(fallocate(op->fd, 0, (off_t)op->off, (off_t)op->len));
}

static int64_t call_truncate(struct io_op *op)
{
        return result(ftruncate(op->fd, (off_t)op->len));
}

static int64_t call_size(struct io_op *op)
{
        struct stat st;
        return fstat(op->fd, &st) < 0 ? -errno : st.st_size;
}

static int64_t call_mkdir(struct io_op *op)
{
        return result(mkdirat(op->fd, op->path, 0750));
}

static int64_t call_rename(struct io_op *op)
{
        return result(renameat(op->fd, op->path, op->fd, op->path2));
}

static int64_t call_unlink(struct io_op *op)
{
        return result(unlinkat(op->fd, op->path, 0));
}
static int64_t call_rmdir(struct io_op *op)
{
        return result(unlinkat(op->fd, op->path, AT_REMOVEDIR));
}

static int names_add(struct io_names *n, const char *name)
{
        enum { NAMES_BYTES_MAX = 256 << 20 };
        size_t len = strlen(name) + 1;
        if (n->cap - n->len < len) {
                size_t cap = MAX(n->cap * 2, (size_t)4096);
                if (cap > NAMES_BYTES_MAX) return -EFBIG;
                char *text = realloc(n->text, cap);
                if (!text) return -ENOMEM;
                n->text = text;
                n->cap = cap;
        }
        memcpy(n->text + n->len, name, len);
        n->len += len;
        n->count++;
        return 0;
}

static int names_read(struct io_names *n, DIR *d)
{
        for (;;) {
                errno = 0;
                const struct dirent *e = readdir(d);
                if (!e) return -errno;
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
                int r = names_add(n, e->d_name);
                if (r < 0) return r;
        }
}

static int64_t call_list(struct io_op *op)
{
        int fd = openat(op->fd, op->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0) return -errno;
        DIR *d = fdopendir(fd);
        if (!d) {
                int r = -errno;
                close(fd);
                return r;
        }
        struct io_names *n = op->ptr;
        int r = names_read(n, d);
        closedir(d);
        if (r < 0) {
                io_names_free(n);
                return r;
        }
        return n->count;
}

static int64_t call_lock(struct io_op *op)
{
        return result(flock(op->fd, LOCK_EX | LOCK_NB));
}

static int64_t call_space(struct io_op *op)
{
        struct statvfs v;
        int r = op->fd == AT_FDCWD ? statvfs(".", &v) : fstatvfs(op->fd, &v);
        if (r < 0) return -errno;
        *(struct io_space *)op->ptr = (struct io_space){
                .total = (uint64_t)v.f_blocks * v.f_frsize,
                .available = (uint64_t)v.f_bavail * v.f_frsize,
        };
        return 0;
}

int64_t io_call(struct io_op *op)
{
        enum { INTERRUPTS_MAX = 100 };
        static int64_t (*const calls[IO_KIND_COUNT])(struct io_op *) = {
                [IO_READ] = call_read,
                [IO_WRITE] = call_write,
                [IO_SYNC] = call_sync,
                [IO_OPEN] = call_open,
                [IO_CLOSE] = call_close,
                [IO_ALLOCATE] = call_allocate,
                [IO_TRUNCATE] = call_truncate,
                [IO_SIZE] = call_size,
                [IO_MKDIR] = call_mkdir,
                [IO_RENAME] = call_rename,
                [IO_UNLINK] = call_unlink,
                [IO_RMDIR] = call_rmdir,
                [IO_LIST] = call_list,
                [IO_LOCK] = call_lock,
                [IO_SPACE] = call_space,
        };
        assert(op->kind < IO_KIND_COUNT && calls[op->kind] != NULL);
        int64_t r = -EINTR;
        for (unsigned i = 0; i < INTERRUPTS_MAX && r == -EINTR; i++) r = calls[op->kind](op);
        return r;
}
