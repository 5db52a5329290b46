/* The simulator's own tests: what it promises about time, disks, names, crashes and sockets. */
#include "tests/sim/io_sim.h"

#include "base/check.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { BLOCK = 4096, SEEDS = 200 };

struct fixture {
        struct sim_world *world;
        struct io *io;
};

static struct fixture fixture_new(uint64_t seed)
{
        struct sim_options o = { .seed = seed, .garble = seed % 2 == 0 };
        struct fixture f = { .world = sim_world_new(&o) };
        sim_io_new(f.world, &f.io);
        return f;
}

/* After a crash: a new process on what survived. */
static void restart(struct fixture *f)
{
        sim_io_new(f->world, &f->io);
}
static void fixture_free(struct fixture *f)
{
        sim_world_free(f->world);
}

static int64_t do_open(struct fixture *f, int dir, const char *path, int flags)
{
        struct io_op op;
        io_open(f->io, &op, dir, path, flags);
        return io_await(f->io, &op);
}

static int64_t do_write(
    struct fixture *f, int64_t fd, const void *p, size_t n, uint64_t off, uint32_t flags)
{
        struct io_op op;
        struct iovec iov = { (void *)(uintptr_t)p, n };
        struct io_write_args a = { (int)fd, -1, 1, flags, &iov, off };
        io_write(f->io, &op, &a);
        return io_await(f->io, &op);
}

static int64_t do_read(struct fixture *f, int64_t fd, void *p, size_t n, uint64_t off)
{
        struct io_op op;
        io_read(f->io, &op, (int)fd, (struct bytes_mut){ p, n }, off);
        return io_await(f->io, &op);
}

#define DO_FD(name)                                             \
        static int64_t do_##name(struct fixture *f, int64_t fd) \
        {                                                       \
                struct io_op op;                                \
                io_##name(f->io, &op, (int)fd);                 \
                return io_await(f->io, &op);                    \
        }
DO_FD(sync)
DO_FD(size)
DO_FD(close)
DO_FD(lock)

#define DO_PATH(name)                                                 \
        static int64_t do_##name(struct fixture *f, const char *path) \
        {                                                             \
                struct io_op op;                                      \
                io_##name(f->io, &op, AT_FDCWD, path);                \
                return io_await(f->io, &op);                          \
        }
DO_PATH(mkdir)
DO_PATH(unlink)
DO_PATH(rmdir)

static int64_t do_rename(struct fixture *f, const char *from, const char *to)
{
        struct io_op op;
        io_rename(f->io, &op, AT_FDCWD, from, to);
        return io_await(f->io, &op);
}

static int64_t do_sync_dir(struct fixture *f, const char *path)
{
        int64_t fd = do_open(f, AT_FDCWD, path, O_RDONLY | O_DIRECTORY);
        if (fd < 0) return fd;
        int64_t r = do_sync(f, fd);
        do_close(f, fd);
        return r;
}

/* A durable empty file under a durable name. */
static int64_t new_file(struct fixture *f, const char *path)
{
        int64_t fd = do_open(f, AT_FDCWD, path, O_RDWR | O_CREAT);
        cr_assert_geq(fd, 0);
        cr_assert_eq(do_sync_dir(f, "."), 0);
        return fd;
}

static uint8_t *block(uint8_t fill, size_t n)
{
        uint8_t *p = aligned_alloc(BLOCK, n);
        memset(p, fill, n);
        return p;
}

Test(sim, time_moves_only_in_steps)
{
        struct fixture f = fixture_new(1);
        uint64_t t0 = io_now_ns(f.io);
        struct io_op op;
        io_mkdir(f.io, &op, AT_FDCWD, "d");
        io_turn(f.io, 0);
        cr_assert_eq(io_now_ns(f.io), t0);
        cr_assert(sim_step(f.world));
        cr_assert_gt(io_now_ns(f.io), t0);
        cr_assert(!sim_step(f.world));
        cr_assert(sim_ready(f.io));
        io_await(f.io, &op);
        cr_assert_eq(op.res, 0);
        uint64_t t1 = sim_now(f.world);
        cr_assert(!sim_step_until(f.world, t1 + 5));
        cr_assert_eq(sim_now(f.world), t1 + 5);
        io_free(f.io);
        fixture_free(&f);
}

static uint64_t trace(uint64_t seed)
{
        struct fixture f = fixture_new(seed);
        uint64_t sum = 0;
        for (int i = 0; i < 20; i++) {
                char name[16];
                snprintf(name, sizeof name, "f%d", i);
                sum = sum * 31 + (uint64_t)do_open(&f, AT_FDCWD, name, O_CREAT | O_RDWR);
                sum = sum * 31 + io_now_ns(f.io);
        }
        fixture_free(&f);
        return sum;
}

Test(sim, a_seed_repeats_and_another_differs)
{
        cr_assert_eq(trace(7), trace(7));
        cr_assert_neq(trace(7), trace(8));
}

Test(sim, direct_files_refuse_unaligned_access)
{
        struct fixture f = fixture_new(3);
        int64_t fd = do_open(&f, AT_FDCWD, "x", O_RDWR | O_CREAT | O_DIRECT);
        uint8_t *p = block(1, 2 * BLOCK);
        cr_assert_eq(do_write(&f, fd, p, BLOCK, 0, 0), BLOCK);
        cr_assert_eq(do_write(&f, fd, p, 512, 0, 0), -EINVAL);
        cr_assert_eq(do_write(&f, fd, p + 512, BLOCK, 0, 0), -EINVAL);
        cr_assert_eq(do_read(&f, fd, p, BLOCK, 100), -EINVAL);
        cr_assert_eq(do_read(&f, fd, p, 2 * BLOCK, 0), BLOCK); /* short at the end */
        free(p);
        fixture_free(&f);
}

Test(sim, what_was_synced_survives_and_the_rest_may_not)
{
        unsigned lost = 0, kept = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct fixture f = fixture_new(seed);
                uint8_t *a = block(0xaa, 4 * BLOCK), *b = block(0xbb, 4 * BLOCK), got[4 * BLOCK];
                int64_t fd = new_file(&f, "x");
                cr_assert_eq(do_write(&f, fd, a, 4 * BLOCK, 0, 0), 4 * BLOCK);
                cr_assert_eq(do_sync(&f, fd), 0);
                cr_assert_eq(do_write(&f, fd, b, 2 * BLOCK, BLOCK, 0), 2 * BLOCK);
                sim_crash(f.world);
                restart(&f);
                fd = do_open(&f, AT_FDCWD, "x", O_RDONLY);
                cr_assert_geq(fd, 0, "seed %lu", seed);
                cr_assert_eq(do_read(&f, fd, got, sizeof got, 0), 4 * BLOCK);
                for (size_t i = 0; i < sizeof got; i++) {
                        bool over = i >= BLOCK && i < 3 * BLOCK;
                        cr_assert(got[i] == 0xaa || (over && got[i] == 0xbb));
                        cr_assert_eq(got[i], got[i / SIM_GRANULE * SIM_GRANULE]);
                        if (over && i % SIM_GRANULE == 0) ++*(got[i] == 0xaa ? &lost : &kept);
                }
                free(a), free(b);
                fixture_free(&f);
        }
        cr_assert_gt(lost, 100);
        cr_assert_gt(kept, 100);
}

Test(sim, dsync_writes_survive_over_older_volatile_ones)
{
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct fixture f = fixture_new(seed);
                uint8_t *a = block(0xaa, 2 * BLOCK), *b = block(0xbb, BLOCK), got[2 * BLOCK];
                int64_t fd = new_file(&f, "x");
                do_write(&f, fd, a, 2 * BLOCK, 0, 0);
                cr_assert_eq(do_write(&f, fd, b, BLOCK, 0, IO_DSYNC), BLOCK);
                sim_crash(f.world);
                restart(&f);
                fd = do_open(&f, AT_FDCWD, "x", O_RDONLY);
                cr_assert_geq(do_read(&f, fd, got, sizeof got, 0), BLOCK);
                for (size_t i = 0; i < BLOCK; i++) cr_assert_eq(got[i], 0xbb);
                free(a), free(b);
                fixture_free(&f);
        }
}

Test(sim, a_write_in_flight_happens_in_part)
{
        unsigned none = 0, some = 0, all = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct fixture f = fixture_new(seed);
                uint8_t *a = block(0xaa, 16 * BLOCK), got[16 * BLOCK] = { 0 };
                int64_t fd = new_file(&f, "x");
                struct io_op op;
                struct iovec iov = { a, 16 * BLOCK };
                io_write(f.io, &op, &(struct io_write_args){ (int)fd, -1, 1, IO_DSYNC, &iov, 0 });
                cr_assert_eq(sim_in_flight(f.world), 1);
                sim_crash(f.world);
                restart(&f);
                fd = do_open(&f, AT_FDCWD, "x", O_RDONLY);
                do_read(&f, fd, got, sizeof got, 0);
                unsigned n = 0;
                for (size_t i = 0; i < sizeof got; i += SIM_GRANULE) n += got[i] == 0xaa;
                ++*(n == 0 ? &none : n == sizeof got / SIM_GRANULE ? &all : &some);
                free(a);
                fixture_free(&f);
        }
        cr_assert(none > 10 && some > 10 && all > 10, "%u %u %u", none, some, all);
}

Test(sim, names_need_their_directory_synced)
{
        unsigned lost = 0, kept = 0;
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct fixture f = fixture_new(seed);
                cr_assert_eq(do_mkdir(&f, "d"), 0);
                cr_assert_eq(do_sync_dir(&f, "."), 0);
                int64_t fd = do_open(&f, AT_FDCWD, "d/sure", O_RDWR | O_CREAT);
                cr_assert_eq(do_sync_dir(&f, "d"), 0);
                do_close(&f, fd);
                fd = do_open(&f, AT_FDCWD, "d/maybe", O_RDWR | O_CREAT);
                cr_assert_eq(do_sync(&f, fd), 0); /* the file, not its name */
                sim_crash(f.world);
                restart(&f);
                cr_assert_geq(do_open(&f, AT_FDCWD, "d/sure", O_RDONLY), 0);
                int64_t r = do_open(&f, AT_FDCWD, "d/maybe", O_RDONLY);
                cr_assert(r >= 0 || r == -ENOENT);
                ++*(r >= 0 ? &kept : &lost);
                fixture_free(&f);
        }
        cr_assert(lost > 20 && kept > 20, "%u %u", lost, kept);
}

Test(sim, rename_and_unlink_are_old_or_new)
{
        unsigned seen[4] = { 0 };
        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct fixture f = fixture_new(seed);
                uint8_t *a = block(1, BLOCK), *b = block(2, BLOCK), got[BLOCK];
                do_write(&f, new_file(&f, "t"), a, BLOCK, 0, IO_DSYNC);
                do_write(&f, new_file(&f, "t.new"), b, BLOCK, 0, IO_DSYNC);
                new_file(&f, "gone");
                cr_assert_eq(do_rename(&f, "t.new", "t"), 0);
                cr_assert_eq(do_unlink(&f, "gone"), 0);
                cr_assert_eq(do_open(&f, AT_FDCWD, "t.new", O_RDONLY), -ENOENT);
                sim_crash(f.world);
                restart(&f);
                int64_t fd = do_open(&f, AT_FDCWD, "t", O_RDONLY);
                cr_assert_eq(do_read(&f, fd, got, BLOCK, 0), BLOCK);
                bool renamed = got[0] == 2;
                cr_assert_eq(do_open(&f, AT_FDCWD, "t.new", O_RDONLY) < 0, renamed);
                bool gone = do_open(&f, AT_FDCWD, "gone", O_RDONLY) < 0;
                seen[renamed * 2 + gone]++;
                free(a), free(b);
                fixture_free(&f);
        }
        cr_assert(seen[0] > 10 && seen[2] > 10 && seen[3] > 10);
}

Test(sim, kill_keeps_everything_that_was_done)
{
        struct fixture f = fixture_new(11);
        uint8_t *a = block(7, BLOCK), got[BLOCK];
        int64_t fd = do_open(&f, AT_FDCWD, "x", O_RDWR | O_CREAT);
        do_write(&f, fd, a, BLOCK, 0, 0);
        cr_assert_eq(do_lock(&f, fd), 0);
        sim_kill(f.world);
        restart(&f);
        fd = do_open(&f, AT_FDCWD, "x", O_RDWR);
        cr_assert_eq(do_lock(&f, fd), 0); /* released by the death of its holder */
        cr_assert_eq(do_read(&f, fd, got, BLOCK, 0), BLOCK);
        cr_assert_eq(got[9], 7);
        free(a);
        fixture_free(&f);
}

Test(sim, locks_lists_sizes_and_space)
{
        struct sim_options o = { .seed = 4, .disk_bytes = 64 << 10 };
        struct fixture f = { .world = sim_world_new(&o) };
        sim_io_new(f.world, &f.io);
        int64_t a = new_file(&f, "a"), b = do_open(&f, AT_FDCWD, "a", O_RDWR);
        cr_assert_eq(do_lock(&f, a), 0);
        cr_assert_eq(do_lock(&f, b), -EWOULDBLOCK);
        do_close(&f, a);
        cr_assert_eq(do_lock(&f, b), 0);
        struct io_op op;
        io_allocate(f.io, &op, (int)b, 0, 60 << 10);
        cr_assert_eq(io_await(f.io, &op), 0);
        cr_assert_eq(do_size(&f, b), 60 << 10);
        io_allocate(f.io, &op, (int)b, 0, 65 << 10);
        cr_assert_eq(io_await(f.io, &op), -ENOSPC);
        io_truncate(f.io, &op, (int)b, 100);
        cr_assert_eq(io_await(f.io, &op), 0);
        struct io_space space;
        io_space(f.io, &op, AT_FDCWD, &space);
        cr_assert_eq(io_await(f.io, &op), 0);
        cr_assert_eq(space.available, (64 << 10) - 100);
        cr_assert_eq(do_mkdir(&f, "d"), 0);
        cr_assert_eq(do_mkdir(&f, "d"), -EEXIST);
        do_open(&f, AT_FDCWD, "d/one", O_CREAT | O_WRONLY);
        cr_assert_eq(do_rmdir(&f, "d"), -ENOTEMPTY);
        struct io_names names;
        io_list(f.io, &op, AT_FDCWD, ".", &names);
        cr_assert_eq(io_await(f.io, &op), 2);
        cr_assert_eq(names.count, 2);
        io_names_free(&names);
        fixture_free(&f);
}

Test(sim, the_nth_operation_fails_and_a_failed_sync_is_final)
{
        struct fixture f = fixture_new(12);
        uint8_t *a = block(9, BLOCK), got[BLOCK];
        int64_t fd = new_file(&f, "00.log");
        sim_fail(f.world, &(struct sim_fault){ IO_SYNC, 2, EIO, false, ".log" });
        cr_assert_eq(do_sync(&f, fd), 0);
        do_write(&f, fd, a, BLOCK, 0, 0);
        cr_assert_eq(do_sync(&f, fd), -EIO);
        cr_assert_eq(do_sync(&f, fd), 0); /* lies, as kernels do */
        cr_assert_eq(do_read(&f, fd, got, BLOCK, 0), BLOCK);
        sim_crash(f.world);
        restart(&f);
        fd = do_open(&f, AT_FDCWD, "00.log", O_RDONLY);
        cr_assert_eq(do_read(&f, fd, got, BLOCK, 0), 0);
        free(a);
        fixture_free(&f);
}

/* --- sockets --- */

struct pair {
        struct io *client;
        int listen_fd, near, far;
};

static struct pair pair_new(struct fixture *f)
{
        struct pair p;
        sim_client_io_new(f->world, &p.client);
        struct io_op accept_op, connect_op;
        p.listen_fd = io_listen(f->io, "127.0.0.1", 9092, NULL);
        cr_assert_geq(p.listen_fd, 0);
        io_accept(f->io, &accept_op, p.listen_fd);
        io_connect(p.client, &connect_op, "127.0.0.1", 9092);
        p.near = (int)io_await(p.client, &connect_op);
        p.far = (int)io_await(f->io, &accept_op);
        cr_assert(p.near >= 0 && p.far >= 0);
        return p;
}

struct pump {
        struct io_op op;
        struct io *io;
        int fd;
        uint8_t *bytes;
        size_t n, done;
        struct iovec iov;
        int64_t ended;
};

static void send_more(struct io_op *op)
{
        struct pump *p = CONTAINER_OF(op, struct pump, op);
        if (op->res < 0) {
                p->ended = op->res;
                return;
        }
        p->done += (size_t)op->res;
        p->iov = (struct iovec){ p->bytes + p->done, p->n - p->done };
        if (p->done < p->n) io_send(p->io, &p->op, p->fd, &p->iov, 1);
}

static void recv_more(struct io_op *op)
{
        struct pump *p = CONTAINER_OF(op, struct pump, op);
        if (op->res <= 0) {
                p->ended = op->res;
                return;
        }
        p->done += (size_t)op->res;
        if (p->done < p->n)
                io_recv(
                    p->io, &p->op, p->fd, (struct bytes_mut){ p->bytes + p->done, p->n - p->done });
}

static void start_pumps(struct pump *out, struct pump *in)
{
        out->ended = in->ended = 1;
        out->op.on_done = send_more;
        in->op.on_done = recv_more;
        out->iov = (struct iovec){ out->bytes, out->n };
        io_send(out->io, &out->op, out->fd, &out->iov, 1);
        io_recv(in->io, &in->op, in->fd, (struct bytes_mut){ in->bytes, in->n });
}

static void run(struct fixture *f, struct pair *p)
{
        do {
                io_dispatch(f->io, 10);
                io_dispatch(p->client, 10);
        } while (f->io->done_head || p->client->done_head || sim_step(f->world));
}

Test(sim, bytes_arrive_in_order_and_in_pieces)
{
        struct sim_stats st = { 0 };
        for (uint64_t seed = 0; seed < 20; seed++) {
                struct fixture f = fixture_new(seed);
                struct pair p = pair_new(&f);
                struct pump out = { .io = p.client, .fd = p.near, .n = 200000 };
                struct pump in = { .io = f.io, .fd = p.far, .n = 200000 };
                out.bytes = malloc(out.n);
                in.bytes = calloc(1, in.n);
                for (size_t i = 0; i < out.n; i++) out.bytes[i] = (uint8_t)sim_random(f.world);
                start_pumps(&out, &in);
                run(&f, &p);
                cr_assert_eq(out.done, out.n);
                cr_assert_eq(in.done, in.n);
                cr_assert_arr_eq(in.bytes, out.bytes, in.n);
                sim_get_stats(f.world, &st);
                io_shutdown(p.client, p.near);
                cr_assert_eq(in.ended, 1);
                uint8_t one;
                struct io_op op;
                io_recv(f.io, &op, p.far, (struct bytes_mut){ &one, 1 });
                cr_assert_eq(io_await(f.io, &op), 0);
                io_sock_close(p.client, p.near);
                io_sock_close(f.io, p.far);
                free(out.bytes), free(in.bytes);
                fixture_free(&f);
        }
        cr_assert_gt(st.short_recvs, 0);
}

Test(sim, a_crash_resets_clients_and_a_reset_ends_both_sides)
{
        for (int how = 0; how < 2; how++) {
                struct fixture f = fixture_new(21);
                struct pair p = pair_new(&f);
                struct pump in = { .io = p.client, .fd = p.near, .n = 10, .bytes = calloc(1, 10) };
                in.op.on_done = recv_more;
                io_recv(p.client, &in.op, p.near, (struct bytes_mut){ in.bytes, 10 });
                while (sim_step(f.world)) {
                }
                if (how == 0)
                        sim_crash(f.world);
                else
                        sim_sock_reset(f.world, p.far);
                while (sim_step(f.world)) {
                }
                io_dispatch(p.client, 10);
                cr_assert_eq(in.ended, -ECONNRESET);
                io_sock_close(p.client, p.near);
                struct io_op op;
                io_connect(p.client, &op, "127.0.0.1", 9092);
                int64_t r = io_await(p.client, &op);
                cr_assert_eq(r, how == 0 ? -ECONNREFUSED : r);
                cr_assert(how == 0 || r >= 0);
                free(in.bytes);
                fixture_free(&f);
        }
}

Test(sim, shutdown_of_a_listener_ends_its_accepts)
{
        struct fixture f = fixture_new(30);
        int fd = io_listen(f.io, "127.0.0.1", 9092, NULL);
        struct io_op op;
        io_accept(f.io, &op, fd);
        while (sim_step(f.world)) {
        }
        io_shutdown(f.io, fd);
        cr_assert_lt(io_await(f.io, &op), 0);
        io_sock_close(f.io, fd);
        io_free(f.io);
        fixture_free(&f);
}
