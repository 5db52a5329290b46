/* The front of the I/O table: fills operations, runs completions.  See io.h. */
#include "base/io.h"

#include "base/io_backend.h"

#include <stdlib.h>

void io_init(struct io *io, const struct io_table *table)
{
        *io = (struct io){ .table = table };
        io->done_tail = &io->done_head;
}

void io_free(struct io *io)
{
        if (!io) return;
        assert(io->started == io->finished);
        assert(io->done_head == NULL);
        io->table->free(io);
}

void io_done(struct io *io, struct io_op *op, int64_t res)
{
        op->res = res;
        op->next = NULL;
        *io->done_tail = op;
        io->done_tail = &op->next;
}

unsigned io_dispatch(struct io *io, unsigned max)
{
        unsigned n = 0;
        while (n < max && io->done_head) {
                struct io_op *op = io->done_head;
                io->done_head = op->next;
                if (!io->done_head) io->done_tail = &io->done_head;
                io->finished++;
                n++;
                op->on_done(op);
        }
        return n;
}

void io_turn(struct io *io, uint64_t wait_ns)
{
        counter_add(&io->turns, 1);
        io->table->turn(io, wait_ns);
}

static void await_on_done(struct io_op *op)
{
        op->on_done = NULL;
}

int64_t io_await(struct io *io, struct io_op *op)
{
        enum { COMPLETIONS_PER_TURN_MAX = 1024 };
        op->on_done = await_on_done;
        while (op->on_done) {
                io_turn(io, UINT64_MAX);
                io_dispatch(io, COMPLETIONS_PER_TURN_MAX);
        }
        return op->res;
}

/* --- operations --- */

static void prepare(struct io *io, struct io_op *op, enum io_kind kind, int fd)
{
        op->io = io;
        op->kind = kind;
        op->fd = fd;
        op->next = NULL;
        op->res = 0;
        op->flags = 0;
        op->reg = -1;
        op->n_iov = 0;
        op->iov = NULL;
        op->off = op->len = 0;
        op->path = op->path2 = NULL;
        op->ptr = NULL;
}

static void start(struct io_op *op)
{
        op->io->started++;
        op->io->table->start(op->io, op);
}

static void set_buffer(struct io_op *op, struct bytes_mut buf)
{
        op->one = (struct iovec){ .iov_base = buf.p, .iov_len = buf.n };
        op->iov = &op->one;
        op->n_iov = 1;
        op->len = buf.n;
}

static void start_path(
    struct io *io, struct io_op *op, enum io_kind kind, int dir_fd, const char *path)
{
        assert(path != NULL);
        prepare(io, op, kind, dir_fd);
        op->path = path;
        start(op);
}

static void start_plain(struct io *io, struct io_op *op, enum io_kind kind, int fd)
{
        prepare(io, op, kind, fd);
        start(op);
}

void io_nop(struct io *io, struct io_op *op)
{
        start_plain(io, op, IO_NOP, -1);
}
void io_accept(struct io *io, struct io_op *op, int fd)
{
        start_plain(io, op, IO_ACCEPT, fd);
}
void io_sync(struct io *io, struct io_op *op, int fd)
{
        start_plain(io, op, IO_SYNC, fd);
}
void io_close(struct io *io, struct io_op *op, int fd)
{
        start_plain(io, op, IO_CLOSE, fd);
}
void io_size(struct io *io, struct io_op *op, int fd)
{
        start_plain(io, op, IO_SIZE, fd);
}
void io_lock(struct io *io, struct io_op *op, int fd)
{
        start_plain(io, op, IO_LOCK, fd);
}

void io_recv(struct io *io, struct io_op *op, int fd, struct bytes_mut buf)
{
        assert(buf.n > 0); /* a result of 0 means that the peer closed */
        prepare(io, op, IO_RECV, fd);
        set_buffer(op, buf);
        start(op);
}

void io_send(struct io *io, struct io_op *op, int fd, struct iovec *iov, uint32_t n_iov)
{
        assert(n_iov > 0 && n_iov <= IO_IOV_MAX);
        prepare(io, op, IO_SEND, fd);
        op->iov = iov;
        op->n_iov = n_iov;
        start(op);
}

void io_connect(struct io *io, struct io_op *op, const char *host, uint16_t port)
{
        assert(host != NULL);
        prepare(io, op, IO_CONNECT, -1);
        op->path = host;
        op->off = port;
        start(op);
}

void io_read(struct io *io, struct io_op *op, int fd, struct bytes_mut buf, uint64_t off)
{
        prepare(io, op, IO_READ, fd);
        set_buffer(op, buf);
        op->off = off;
        start(op);
}

void io_write(struct io *io, struct io_op *op, const struct io_write_args *a)
{
        assert(a->n_iov > 0 && a->n_iov <= IO_IOV_MAX);
        assert((a->flags & ~(uint32_t)IO_DSYNC) == 0);
        prepare(io, op, IO_WRITE, a->fd);
        op->iov = a->iov;
        op->n_iov = a->n_iov;
        op->flags = (int)a->flags;
        op->reg = a->n_iov == 1 ? a->reg : -1;
        op->off = a->off;
        start(op);
}

void io_open(struct io *io, struct io_op *op, int dir_fd, const char *path, int flags)
{
        assert(path != NULL);
        prepare(io, op, IO_OPEN, dir_fd);
        op->path = path;
        op->flags = flags;
        start(op);
}

void io_allocate(struct io *io, struct io_op *op, int fd, uint64_t off, uint64_t len)
{
        prepare(io, op, IO_ALLOCATE, fd);
        op->off = off;
        op->len = len;
        start(op);
}

void io_truncate(struct io *io, struct io_op *op, int fd, uint64_t size)
{
        prepare(io, op, IO_TRUNCATE, fd);
        op->len = size;
        start(op);
}

void io_mkdir(struct io *io, struct io_op *op, int dir_fd, const char *path)
{
        start_path(io, op, IO_MKDIR, dir_fd, path);
}

void io_unlink(struct io *io, struct io_op *op, int dir_fd, const char *path)
{
        start_path(io, op, IO_UNLINK, dir_fd, path);
}

void io_rmdir(struct io *io, struct io_op *op, int dir_fd, const char *path)
{
        start_path(io, op, IO_RMDIR, dir_fd, path);
}

void io_rename(struct io *io, struct io_op *op, int dir_fd, const char *from, const char *to)
{
        assert(from != NULL && to != NULL);
        prepare(io, op, IO_RENAME, dir_fd);
        op->path = from;
        op->path2 = to;
        start(op);
}

void io_list(struct io *io, struct io_op *op, int dir_fd, const char *path, struct io_names *out)
{
        assert(path != NULL && out != NULL);
        *out = (struct io_names){ 0 };
        prepare(io, op, IO_LIST, dir_fd);
        op->path = path;
        op->ptr = out;
        start(op);
}

void io_space(struct io *io, struct io_op *op, int dir_fd, struct io_space *out)
{
        assert(out != NULL);
        prepare(io, op, IO_SPACE, dir_fd);
        op->ptr = out;
        start(op);
}

void io_names_free(struct io_names *n)
{
        free(n->text);
        *n = (struct io_names){ 0 };
}

/* --- at once --- */

int io_listen(struct io *io, const char *host, uint16_t port, struct err *e)
{
        return io->table->listen(io, host, port, e);
}

void io_shutdown(struct io *io, int fd)
{
        io->table->shutdown(io, fd);
}
void io_sock_close(struct io *io, int fd)
{
        io->table->sock_close(io, fd);
}
void io_wake(struct io *io, struct io *from)
{
        io->table->wake(io, from);
}
uint64_t io_now_ns(struct io *io)
{
        return io->table->now_ns(io);
}
int64_t io_wall_ms(struct io *io)
{
        return io->table->wall_ms(io);
}
void io_random(struct io *io, void *buf, size_t n)
{
        io->table->random(io, buf, n);
}

int io_register_slab(struct io *io, void *base, size_t len)
{
        return io->table->register_slab(io, base, len);
}

void io_unregister_slab(struct io *io, int reg)
{
        if (reg >= 0) io->table->unregister_slab(io, reg);
}
