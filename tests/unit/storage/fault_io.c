#include "tests/unit/storage/fault_io.h"

#include "base/check.h"

static bool hits(struct fault_io *f, const struct io_op *op)
{
        if (f->fault.times == 0 || f->fault.kind != op->kind) return false;
        if (f->fault.path_part && (!op->path || !strstr(op->path, f->fault.path_part)))
                return false;
        if (f->fault.fd > 0 && (op->fd == f->fault.fd) == f->fault.other_fds) return false;
        if (f->fault.after > 0) {
                f->fault.after--;
                return false;
        }
        f->fault.times--;
        f->hits++;
        return true;
}

static void forward(struct fault_io *f, struct io_op *op)
{
        f->inner->started++;
        op->io = f->inner;
        f->inner->table->start(f->inner, op);
}

static void fault_start(struct io *io, struct io_op *op)
{
        struct fault_io *f = fault_of(io);
        if (hits(f, op)) {
                if (f->fault.short_by == 0) {
                        io_done(io, op, -f->fault.error);
                        return;
                }
                assert(op->kind == IO_WRITE && op->n_iov == 1);
                op->iov[0].iov_len -= f->fault.short_by; /* the caller counts on the whole */
        }
        bool late = op->kind == IO_WRITE && f->hold_writes_fd > 0 && op->fd == f->hold_writes_fd;
        if (late || (f->hold_reads && op->kind == IO_READ)) {
                op->next = f->held;
                f->held = op;
                return;
        }
        forward(f, op);
}

static void fault_turn(struct io *io, uint64_t wait_ns)
{
        struct fault_io *f = fault_of(io);
        while (f->held && !f->hold_reads && f->hold_writes_fd == 0) {
                struct io_op *op = f->held;
                f->held = op->next;
                op->next = NULL;
                forward(f, op);
        }
        io_turn(f->inner, io->done_head ? 0 : MIN(wait_ns, UINT64_C(10000000)));
        while (f->inner->done_head) {
                struct io_op *op = f->inner->done_head;
                f->inner->done_head = op->next;
                if (!op->next) f->inner->done_tail = &f->inner->done_head;
                f->inner->finished++;
                op->io = io;
                io_done(io, op, op->res);
        }
}

static void fault_wake(struct io *io, struct io *from)
{
        io_wake(fault_of(io)->inner, from);
}
static uint64_t fault_now(struct io *io)
{
        return io_now_ns(fault_of(io)->inner) + fault_of(io)->mono_ahead_ns;
}
static int64_t fault_wall(struct io *io)
{
        return io_wall_ms(fault_of(io)->inner) + fault_of(io)->wall_ahead_ms;
}
static void fault_random(struct io *io, void *buf, size_t n)
{
        io_random(fault_of(io)->inner, buf, n);
}
static int fault_register(struct io *io, void *base, size_t len)
{
        (void)io;
        (void)base;
        (void)len;
        return -1;
}
static void fault_unregister(struct io *io, int reg)
{
        (void)io;
        (void)reg;
}
static void fault_free(struct io *io)
{
        io_free(fault_of(io)->inner);
        free(io);
}

struct io *fault_io_new(struct io *inner)
{
        static const struct io_table table = {
                .name = "fault",
                .start = fault_start,
                .turn = fault_turn,
                .wake = fault_wake,
                .now_ns = fault_now,
                .wall_ms = fault_wall,
                .random = fault_random,
                .register_slab = fault_register,
                .unregister_slab = fault_unregister,
                .free = fault_free,
        };
        struct fault_io *f = calloc(1, sizeof *f);
        assert(f);
        io_init(&f->io, &table);
        f->inner = inner;
        return &f->io;
}
