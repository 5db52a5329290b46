/* What fails, and what it does to whom: law 2, a full disk, descriptors, short and unreadable
 * files. */
#include "tests/unit/storage/fault_io.h"
#include "tests/unit/storage/storage_fixture.h"

#include <errno.h>
#include <fcntl.h>

static const struct batch_spec small = { .count = 3, .value = 60, .timestamp = 1000, .step = 1 };

static struct partition *start(struct world *w)
{
        w->wrap = fault_io_new;
        world_open(w);
        return world_partition(w, 1, NULL);
}

static void fail_next(
    struct world *w, enum io_kind kind, int error, unsigned times, const char *part)
{
        fault_of(w->io)->fault =
            (struct fault){ .kind = kind, .error = error, .times = times, .path_part = part };
}

/* --- law 2 --- */
static void expect_fenced(
    struct world *w, struct partition *p, struct partition *other, int64_t durable)
{
        struct partition_state st;
        cr_assert_eq(w->store->fenced, 1);
        world_settle(w); /* a write of the other partition may still be under way */
        cr_assert_eq(append_one(w, p, &small), ST_FENCED);
        cr_assert_eq(append_one(w, other, &small), ST_FENCED);
        partition_get_state(p, &st);
        cr_assert_eq(st.status, ST_FENCED);
        cr_assert_eq(st.high_watermark, durable);
        cr_assert_eq(st.append_end, durable);
        struct log_bytes all;
        read_all(w, p, 500, &all);
        cr_assert_eq(all.end, durable, "durable offsets stay readable");
        log_bytes_free(&all);
        world_close(w);
        world_open(w);
        cr_assert_not(w->store->was_clean);
        p = world_partition(w, 1, NULL);
        read_all(w, p, 500, &all);
        cr_assert_geq(all.end, durable);
        log_bytes_free(&all);
        world_close(w);
}

static void fence_by(struct world *w, enum io_kind kind, bool dsync)
{
        struct partition *p = start(w), *other = world_partition(w, 2, NULL);
        w->store->dsync = dsync;
        append_many(w, p, &small, 5);
        append_many(w, other, &small, 5);
        fail_next(w, kind, EIO, 1, NULL);
        struct appended *x[4];
        for (int i = 0; i < 4; i++) x[i] = append_begin(i < 3 ? p : other, &small);
        for (int i = 0; i < 4; i++) {
                world_until(w, &x[i]->finished);
                if (i < 3)
                        cr_assert_eq(x[i]->a.status, ST_FENCED, "%s", status_text(x[i]->a.status));
                appended_free(x[i]);
        }
        expect_fenced(w, p, other, 15);
}

STORAGE_TEST(fault, a_failed_write_fences)
{
        fence_by(w, IO_WRITE, true);
}
STORAGE_TEST(fault, a_failed_sync_fences)
{
        fence_by(w, IO_SYNC, false);
}

/* Another shard's failure is everybody's. */
STORAGE_TEST_ONE(fault, a_fence_from_elsewhere_ends_waiting)
{
        struct partition *p = start(w);
        append_many(w, p, &small, 5);
        fault_of(w->io)->hold_reads = true;
        struct appended *x = append_begin(p, &small);
        w->store->fenced = 1;
        world_until(w, &x->finished);
        cr_assert_eq(x->a.status, ST_FENCED);
        appended_free(x);
        cr_assert_eq(p->append_end, 15);
        world_close(w);
}

STORAGE_TEST_ONE(fault, making_a_segment_can_fail_at_every_step)
{
        static const struct {
                enum io_kind kind;
                int error, status;
        } steps[] = {
                { IO_MKDIR, EIO, ST_FENCED },
                { IO_MKDIR, ENOSPC, ST_DISK_FULL },
                { IO_SYNC, EIO, ST_FENCED },
                { IO_OPEN, EROFS, ST_FENCED },
                { IO_OPEN, EMFILE, ST_IO },
                { IO_OPEN, ENOSPC, ST_DISK_FULL },
                { IO_ALLOCATE, EIO, ST_FENCED },
                { IO_ALLOCATE, ENOSPC, ST_DISK_FULL },
                { IO_ALLOCATE, EDQUOT, ST_DISK_FULL },
                { IO_WRITE, ENOSPC, ST_DISK_FULL },
        };
        for (size_t i = 0; i < COUNT_OF(steps); i++) {
                struct partition *p = start(w);
                fail_next(w, steps[i].kind, steps[i].error, 1, NULL);
                cr_assert_eq(append_one(w, p, &small), steps[i].status, "step %zu", i);
                cr_assert_eq(p->append_end, 0);
                if (steps[i].status != ST_FENCED) {
                        cr_assert_eq(w->store->fenced, 0);
                        cr_assert_eq(append_one(w, p, &small), ST_OK, "step %zu: it goes on", i);
                        cr_assert_eq(p->durable_end, 3);
                }
                int64_t end = p->durable_end;
                world_close(w);
                world_open(w);
                p = world_partition(w, 1, NULL);
                cr_assert_eq(p->durable_end, end);
                cr_assert_eq(append_one(w, p, &small), ST_OK);
                world_close(w);
                dir_remove(w->dir);
        }
}

/* The directory may be there already, from an attempt that did not come far. */
STORAGE_TEST_ONE(fault, file_systems_without_fallocate_work)
{
        struct partition *p = start(w);
        fail_next(w, IO_ALLOCATE, EOPNOTSUPP, 1000, NULL);
        append_many(w, p, &(struct batch_spec){ .count = 1, .value = 100000 }, 20);
        world_reopen(w, false);
        p = world_partition(w, 1, NULL);
        struct log_bytes all;
        read_all(w, p, 1 << 20, &all);
        cr_assert_eq(all.batches, 20);
        log_bytes_free(&all);
        world_close(w);
}

/* --- a full disk: case 40 --- */
STORAGE_TEST(fault, a_full_disk_refuses_and_recovers)
{
        struct partition *p = start(w), *other = world_partition(w, 2, NULL);
        append_many(w, p, &small, 5);
        for (unsigned round = 0; round < 3; round++) {
                struct appended *x[6];
                fail_next(w, round == 1 ? IO_ALLOCATE : IO_WRITE, ENOSPC, round == 1 ? 2 : 1, NULL);
                for (uint32_t i = 0; i < 6; i++)
                        x[i] = append_begin(
                            p, &(struct batch_spec){
                                   .count = 3, .value = round ? 70000 : 60, .seed = i });
                for (int i = 0; i < 6; i++) {
                        world_until(w, &x[i]->finished);
                        cr_assert_eq(
                            x[i]->a.status, ST_DISK_FULL, "%s", status_text(x[i]->a.status));
                        appended_free(x[i]);
                }
                fault_of(w->io)->fault.times = 0;
                cr_assert_eq(w->store->fenced, 0);
                cr_assert_eq(append_one(w, other, &small), ST_OK, "others live");
                cr_assert_eq(p->append_end, 15 + 3 * round);
                cr_assert_eq(append_one(w, p, &small), ST_OK, "space is back");
                cr_assert_eq(p->durable_end, 18 + 3 * round);
        }
        struct log_bytes all;
        read_all(w, p, 1 << 20, &all);
        cr_assert_eq(all.batches, 8);
        log_bytes_free(&all);
        world_reopen(w, false);
        p = world_partition(w, 1, NULL);
        cr_assert_eq(p->durable_end, 24, "nothing of what was refused comes back");
        world_close(w);
}

/* Bytes of a refused append that reached the file are cut before the next write. */
STORAGE_TEST_ONE(fault, refused_bytes_do_not_come_back)
{
        struct partition *p = start(w);
        append_many(w, p, &small, 5);
        fault_of(w->io)->fault = (struct fault){ .kind = IO_SYNC, .error = ENOSPC, .times = 1 };
        w->store->dsync = false; /* written, then refused */
        struct appended *x[3];
        for (int i = 0; i < 3; i++) x[i] = append_begin(p, &small);
        for (int i = 0; i < 3; i++) {
                world_until(w, &x[i]->finished);
                cr_assert_eq(x[i]->a.status, ST_DISK_FULL);
                appended_free(x[i]);
        }
        cr_assert(p->segments[0]->cut_due);
        cr_assert_eq(append_one(w, p, &small), ST_OK);
        cr_assert_not(p->segments[0]->cut_due);
        world_reopen(w, false);
        p = world_partition(w, 1, NULL);
        cr_assert_eq(p->durable_end, 18);
        world_close(w);
}

STORAGE_TEST_ONE(fault, a_short_write_is_written_again)
{
        struct partition *p = start(w);
        append_one(w, p, &(struct batch_spec){ .count = 1, .value = 100 });
        world_settle(w);
        fault_of(w->io)->fault = (struct fault){ .kind = IO_WRITE, .times = 1, .short_by = 4096 };
        cr_assert_eq(append_one(w, p, &(struct batch_spec){ .count = 1, .value = 3000 }), ST_OK);
        cr_assert_eq(append_one(w, p, &small), ST_OK);
        world_reopen(w, false);
        p = world_partition(w, 1, NULL);
        struct log_bytes all;
        read_all(w, p, 1 << 20, &all);
        cr_assert_eq(all.batches, 3);
        log_bytes_free(&all);
        world_close(w);
}

/* --- reading: case 38 --- */
STORAGE_TEST(fault, an_unreadable_range_is_told_and_tried_again)
{
        struct partition *p = start(w);
        append_many(w, p, &(struct batch_spec){ .count = 1, .value = 50000 }, 20);
        world_reopen(w, true);
        p = world_partition(w, 1, NULL);
        fail_next(w, IO_READ, EIO, 2, NULL);
        struct fetched *f = read_one(w, p, 0, 1000);
        cr_assert_eq(f->r.status, ST_IO);
        fetched_free(f);
        fault_of(w->io)->fault.times = 0;
        cr_assert_eq(w->store->fenced, 0, "a failed read fences nothing");
        struct log_bytes all;
        read_all(w, p, 100000, &all);
        cr_assert_eq(all.batches, 20);
        log_bytes_free(&all);
        fail_next(w, IO_OPEN, EIO, 1, ".log");
        segment_fds_trim(w->ls, 0);
        world_settle(w);
        cache_forget_segment(w->ls, p->segments[0]);
        f = read_one(w, p, 0, 1000);
        cr_assert_eq(f->r.status, ST_IO);
        fetched_free(f);
        world_close(w);
}

/* Case 25: too many open files close idle ones first. */
STORAGE_TEST_ONE(fault, a_lack_of_descriptors_is_survived)
{
        struct partition *p = start(w), *other = world_partition(w, 2, NULL);
        append_many(w, p, &(struct batch_spec){ .count = 1, .value = 50000 }, 20);
        append_many(w, other, &small, 1);
        world_reopen(w, true);
        p = world_partition(w, 1, NULL);
        other = world_partition(w, 2, NULL);
        fail_next(w, IO_OPEN, EMFILE, 2, ".log");
        struct log_bytes all;
        read_all(w, p, 100000, &all);
        cr_assert_eq(all.batches, 20);
        log_bytes_free(&all);
        cr_assert_eq(fault_of(w->io)->hits, 2);
        world_close(w);
}

/* --- the stop --- */
static void set_flag(void *arg)
{
        *(bool *)arg = true;
}

STORAGE_TEST(fault, a_stop_answers_everybody)
{
        struct partition *p = start(w);
        struct appended *x[20];
        for (uint32_t i = 0; i < 20; i++)
                x[i] =
                    append_begin(p, &(struct batch_spec){ .count = 1, .value = 3000, .seed = i });
        bool closed = false;
        log_shard_close(w->ls, set_flag, &closed);
        struct appended *late = append_begin(p, &small);
        world_until(w, &closed);
        for (int i = 0; i < 20; i++) {
                cr_assert(x[i]->finished);
                cr_assert_eq(x[i]->a.status, ST_OK, "what was copied is flushed");
                appended_free(x[i]);
        }
        cr_assert(late->finished);
        cr_assert_eq(late->a.status, ST_CLOSED);
        appended_free(late);
        log_shard_free(w->ls);
        store_close(w->store, w->io);
        block_pool_free(w->blocks);
        io_free(w->io);
        world_open(w);
        cr_assert(w->store->was_clean);
        p = world_partition(w, 1, NULL);
        cr_assert_eq(p->durable_end, 20);
        world_close(w);
}
