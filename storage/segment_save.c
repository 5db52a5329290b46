/* Leaves a wholly durable segment as a plain file of exact size with its index beside it:
 * (open) -> truncate -> index: create .tmp -> write -> close -> rename.
 *
 * What fails is logged and left: a file with spare room and no index is recovered all the same. */
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>

static void save_on_open(struct fd_waiter *w, int64_t fd);
static void save_on_truncate(struct io_op *op);
static void save_on_create(struct io_op *op);
static void save_on_write(struct io_op *op);
static void save_on_close(struct io_op *op);
static void save_on_rename(struct io_op *op);

static struct io *io_of(struct segment_save *v)
{
        return v->segment->partition->ls->io;
}

static void save_fail(struct segment_save *v, const char *what, int64_t res)
{
        char name[STORE_NAME_MAX];
        segment_name(v->segment, ".log", name);
        v->failed = true;
        log_event(LOG_WARN, "segment not trimmed", LOG_STR("file", name),
            LOG_STR("operation", what), LOG_STR("cause", strerror((int)-res)), LOG_END);
}

static void save_finish(struct segment_save *v)
{
        free(v->image.bytes);
        v->image.bytes = NULL;
        v->on_done(v);
}

void segment_save(struct segment_save *v)
{
        CHECK_OBJ(v->segment, SEGMENT_MAGIC);
        assert(v->segment->pins > 0 && v->segment->durable == v->segment->size && v->on_done);
        v->fd = -1;
        v->opened.on_open = save_on_open;
        int fd = segment_open(v->segment, &v->opened);
        if (fd != -1) save_on_open(&v->opened, fd);
}

static void save_on_open(struct fd_waiter *w, int64_t fd)
{
        struct segment_save *v = CONTAINER_OF(w, struct segment_save, opened);
        if (fd < 0) {
                save_fail(v, "open", fd);
                v->op.on_done = save_on_rename; /* done is never called from inside the call */
                io_nop(io_of(v), &v->op);
                return;
        }
        v->op.on_done = save_on_truncate;
        io_truncate(io_of(v), &v->op, (int)fd, v->segment->size);
}

static void save_on_truncate(struct io_op *op)
{
        struct segment_save *v = CONTAINER_OF(op, struct segment_save, op);
        struct segment *s = v->segment;
        if (op->res < 0) save_fail(v, "truncate", op->res);
        /* A segment without spots is walked in no time. */
        if (op->res < 0 || s->index.n == 0 || !index_encode(s, &v->image)) {
                save_finish(v);
                return;
        }
        segment_name(s, ".index", v->path);
        segment_name(s, ".index.tmp", v->path2);
        op->on_done = save_on_create;
        io_open(
            io_of(v), op, s->partition->ls->store->data_fd, v->path2, O_WRONLY | O_CREAT | O_TRUNC);
}

static void save_on_create(struct io_op *op)
{
        struct segment_save *v = CONTAINER_OF(op, struct segment_save, op);
        if (op->res < 0) {
                save_fail(v, "create index", op->res);
                save_finish(v);
                return;
        }
        v->fd = (int)op->res;
        v->iov = (struct iovec){ v->image.bytes, v->image.len };
        op->on_done = save_on_write;
        io_write(io_of(v), op,
            &(struct io_write_args){ .fd = v->fd, .reg = -1, .n_iov = 1, .iov = &v->iov });
}

static void save_on_write(struct io_op *op)
{
        struct segment_save *v = CONTAINER_OF(op, struct segment_save, op);
        if (op->res != (int64_t)v->image.len)
                save_fail(v, "write index", op->res < 0 ? op->res : -EIO);
        op->on_done = save_on_close;
        io_close(io_of(v), op, v->fd);
}

static void save_on_close(struct io_op *op)
{
        struct segment_save *v = CONTAINER_OF(op, struct segment_save, op);
        if (v->failed) {
                save_finish(v);
                return;
        }
        op->on_done = save_on_rename;
        io_rename(io_of(v), op, v->segment->partition->ls->store->data_fd, v->path2, v->path);
}

static void save_on_rename(struct io_op *op)
{
        struct segment_save *v = CONTAINER_OF(op, struct segment_save, op);
        if (op->res < 0) save_fail(v, "rename index", op->res);
        save_finish(v);
}
