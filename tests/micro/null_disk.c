/* See null_disk.h. */
#include "tests/micro/null_disk.h"

#include "base/check.h"
#include "base/io_backend.h"
#include "tests/sim/io_sim.h"

struct null_disk {
        struct io io;
        struct sim_world *world;
        struct io *inner;
        bool on;
};

static struct null_disk *of(struct io *io)
{
        return CONTAINER_OF(io, struct null_disk, io);
}

static int64_t bytes_of(const struct io_op *op)
{
        int64_t n = 0;
        for (uint32_t i = 0; i < op->n_iov; i++) n += (int64_t)op->iov[i].iov_len;
        return n;
}

static void start(struct io *io, struct io_op *op)
{
        struct null_disk *d = of(io);
        if (d->on && op->kind == IO_WRITE) {
                io_done(io, op, bytes_of(op));
        } else if (d->on &&
                   (op->kind == IO_SYNC || op->kind == IO_ALLOCATE || op->kind == IO_TRUNCATE)) {
                io_done(io, op, 0);
        } else {
                d->inner->started++;
                op->io = d->inner;
                d->inner->table->start(d->inner, op);
        }
}

static void turn(struct io *io, uint64_t wait_ns)
{
        struct null_disk *d = of(io);
        if (io->done_head) return;
        io_turn(d->inner, wait_ns);
        while (d->inner->done_head) {
                struct io_op *op = d->inner->done_head;
                d->inner->done_head = op->next;
                if (!op->next) d->inner->done_tail = &d->inner->done_head;
                d->inner->finished++;
                op->io = io;
                io_done(io, op, op->res);
        }
}

static void wake(struct io *io, struct io *from)
{
        io_wake(of(io)->inner, from);
}
static uint64_t now_ns(struct io *io)
{
        return sim_now(of(io)->world);
}
static int64_t wall_ms(struct io *io)
{
        return io_wall_ms(of(io)->inner);
}
static void random_bytes(struct io *io, void *buf, size_t n)
{
        io_random(of(io)->inner, buf, n);
}
static int register_slab(struct io *io, void *base, size_t len)
{
        (void)io;
        (void)base;
        (void)len;
        return -1;
}
static void unregister_slab(struct io *io, int reg)
{
        (void)io;
        (void)reg;
}
static void destroy(struct io *io)
{
        struct null_disk *d = of(io);
        io_free(d->inner);
        sim_world_free(d->world);
        free(d);
}

struct io *null_disk_new(void)
{
        static const struct io_table table = {
                .name = "null",
                .start = start,
                .turn = turn,
                .wake = wake,
                .now_ns = now_ns,
                .wall_ms = wall_ms,
                .random = random_bytes,
                .register_slab = register_slab,
                .unregister_slab = unregister_slab,
                .free = destroy,
        };
        struct null_disk *d = calloc(1, sizeof *d);
        if (!d) return NULL;
        d->world = sim_world_new(&(struct sim_options){ .seed = 1 });
        if (!d->world || sim_io_new(d->world, &d->inner) < 0) {
                if (d->world) sim_world_free(d->world);
                free(d);
                return NULL;
        }
        io_init(&d->io, &table);
        return &d->io;
}

void null_disk_on(struct io *io, bool on)
{
        of(io)->on = on;
}
