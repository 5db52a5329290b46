/* What a segment file needs before it can be written: its directory, its name, room, an open
 * descriptor. Law 8: a name is durable only after its directory's fsync, so that comes before any
 * write into it. */
#include "storage/flush.h"

#include <errno.h>
#include <fcntl.h>

/* --- the directory: mkdir -> fsync of p/ --- */
static void make_dir_on_mkdir(struct io_op *op);
static void make_dir_on_sync(struct io_op *op);

void flush_make_dir(struct flush *f)
{
        struct partition *p = f->partition;
        assert(!p->dir_created);
        partition_dir_name(p, f->path);
        f->op.on_done = make_dir_on_mkdir;
        io_mkdir(p->ls->io, &f->op, p->ls->store->data_fd, f->path);
}

static void make_dir_on_mkdir(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        struct log_shard *ls = f->partition->ls;
        if (op->res < 0 && op->res != -EEXIST) {
                flush_fail(f, "mkdir", op->res);
                return;
        }
        op->on_done = make_dir_on_sync;
        io_sync(ls->io, op, ls->store->data_fd);
}

static void make_dir_on_sync(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        if (op->res < 0) {
                flush_fail(f, "fsync of p", op->res);
                return;
        }
        f->partition->dir_created = true;
        flush_advance(f);
}

/* --- the file: open -> allocate -> fsync -> open directory -> fsync -> close directory --- */
static void make_file_on_open(struct io_op *op);
static void make_file_on_allocate(struct io_op *op);
static void make_file_on_sync(struct io_op *op);
static void make_file_on_dir(struct io_op *op);
static void make_file_on_dir_sync(struct io_op *op);
static void make_file_on_dir_close(struct io_op *op);

void flush_make_file(struct flush *f)
{
        struct segment *s = f->segment;
        struct log_shard *ls = f->partition->ls;
        assert(!s->created && s->durable == 0);
        segment_name(s, ".log", f->path);
        if (s->fd >= 0) { /* an earlier attempt came as far as this */
                f->op.res = s->fd;
                make_file_on_open(&f->op);
                return;
        }
        f->op.on_done = make_file_on_open;
        io_open(ls->io, &f->op, ls->store->data_fd, f->path,
            O_RDWR | O_CREAT | (ls->store->direct ? O_DIRECT : 0));
}

static void make_file_on_open(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        struct segment *s = f->segment;
        if (op->res < 0) {
                if (op->res == -EMFILE) segment_fds_trim(f->partition->ls, 0);
                flush_fail(f, "create", op->res);
                return;
        }
        if (s->fd < 0) segment_opened(s, (int)op->res);
        f->target = segment_grow_target(s);
        op->on_done = make_file_on_allocate;
        io_allocate(f->partition->ls->io, op, s->fd, 0, f->target);
}

static void make_file_on_allocate(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        struct log_shard *ls = f->partition->ls;
        if (op->res == -EOPNOTSUPP && op->kind == IO_ALLOCATE) {
                io_truncate(ls->io, op, f->segment->fd, f->target);
                return;
        }
        if (op->res < 0) {
                flush_fail(f, "allocate", op->res);
                return;
        }
        f->segment->allocated = f->target;
        op->on_done = make_file_on_sync;
        io_sync(ls->io, op, f->segment->fd);
}

static void make_file_on_sync(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        if (op->res < 0) {
                flush_fail(f, "fsync", op->res);
                return;
        }
        partition_dir_name(f->partition, f->path);
        op->on_done = make_file_on_dir;
        io_open(f->partition->ls->io, op, f->partition->ls->store->data_fd, f->path,
            O_RDONLY | O_DIRECTORY);
}

static void make_file_on_dir(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        if (op->res < 0) {
                if (op->res == -EMFILE) segment_fds_trim(f->partition->ls, 0);
                flush_fail(f, "open directory", op->res);
                return;
        }
        f->fd = (int)op->res;
        op->on_done = make_file_on_dir_sync;
        io_sync(f->partition->ls->io, op, f->fd);
}

static void make_file_on_dir_sync(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        f->res = op->res;
        op->on_done = make_file_on_dir_close;
        io_close(f->partition->ls->io, op, f->fd);
}

static void make_file_on_dir_close(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        f->fd = -1;
        if (f->res < 0) {
                flush_fail(f, "fsync of the directory", f->res);
                return;
        }
        f->segment->created = true;
        flush_advance(f);
}

/* --- open again, after the descriptor had been let go --- */
static void flush_on_open(struct fd_waiter *w, int64_t fd)
{
        struct flush *f = CONTAINER_OF(w, struct flush, opened);
        if (fd < 0) {
                flush_fail(f, "open", fd);
                return;
        }
        flush_advance(f);
}

void flush_open(struct flush *f)
{
        f->opened.on_open = flush_on_open;
        int fd = segment_open(f->segment, &f->opened);
        if (fd >= 0) flush_advance(f);
        if (fd < -1) flush_fail(f, "open", fd);
}

/* --- cut: bytes of appends that failed may be in the file; they must not come back --- */
static void cut_on_truncate(struct io_op *op);
static void cut_on_sync(struct io_op *op);

void flush_cut(struct flush *f)
{
        struct segment *s = f->segment;
        assert(s->cut_due && s->fd >= 0);
        if (s->allocating) { /* it would make room that is about to be cut */
                f->wants_room = true;
                return;
        }
        f->op.on_done = cut_on_truncate;
        f->target = s->durable;
        io_truncate(f->partition->ls->io, &f->op, s->fd, f->target);
}

static void cut_on_truncate(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        if (op->res < 0) {
                flush_fail(f, "truncate", op->res);
                return;
        }
        op->on_done = cut_on_sync;
        io_sync(f->partition->ls->io, op, f->segment->fd);
}

static void cut_on_sync(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        if (op->res < 0) {
                flush_fail(f, "fsync after truncate", op->res);
                return;
        }
        f->segment->cut_due = false;
        f->segment->allocated = f->segment->written = f->target;
        flush_advance(f);
}

/* --- room --- */
struct grow {
        struct io_op op;
        struct segment *segment;
        uint64_t target;
};

static void grow_on_done(struct io_op *op);

/* Small at first, so that thousands of thin partitions do not eat the disk; then doubling. */
uint64_t segment_grow_target(const struct segment *s)
{
        uint64_t step =
            MIN(MAX(page_up(s->allocated), (uint64_t)ALLOCATE_FIRST), (uint64_t)ALLOCATE_STEP_MAX);
        uint64_t most = MAX(page_up(s->partition->config.segment_bytes), page_up(s->size));
        return MAX(MIN(page_up(s->allocated) + step, most), page_up(s->size));
}

void segment_grow(struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        struct partition *p = s->partition;
        uint64_t target = segment_grow_target(s);
        uint64_t ahead = MIN(s->allocated, (uint64_t)ALLOCATE_STEP_MAX) / 2;
        bool needed = s->allocated < page_up(s->size) + ahead;
        if (s->allocating || !needed || target <= s->allocated || s->fd < 0) return;
        struct grow *g = calloc(1, sizeof *g);
        if (!g) {
                if (p->flush && p->flush->wants_room) {
                        p->flush->wants_room = false;
                        flush_fail(p->flush, "allocate", -ENOMEM);
                }
                return;
        }
        s->allocating = true;
        g->segment = s;
        g->target = target;
        segment_pin(s);
        g->op.on_done = grow_on_done;
        io_allocate(
            p->ls->io, &g->op, s->fd, page_down(s->allocated), target - page_down(s->allocated));
}

static void grow_on_done(struct io_op *op)
{
        struct grow *g = CONTAINER_OF(op, struct grow, op);
        struct segment *s = g->segment;
        struct partition *p = s->partition;
        struct flush *f = p->flush;
        if (op->res == -EOPNOTSUPP && op->kind == IO_ALLOCATE) {
                io_truncate(p->ls->io, op, s->fd, g->target);
                return;
        }
        int64_t res = op->res;
        s->allocating = false;
        if (res >= 0) s->allocated = g->target;
        free(g);
        /* Ahead of need a failure says nothing; who needs it tries once more and is told. */
        if (f && f->segment == s && f->wants_room) {
                f->wants_room = false;
                if (res < 0 && !s->cut_due)
                        flush_fail(f, "allocate", res);
                else
                        flush_advance(f);
        }
        segment_unpin(s);
}
