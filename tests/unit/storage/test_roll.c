/* Segments: rolling, sealing, their files, descriptors, idle tails, index files. */
#include "tests/unit/storage/fault_io.h"
#include "tests/unit/storage/storage_fixture.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND_NS UINT64_C(1000000000)

static const struct batch_spec kilo = { .count = 2, .value = 480, .timestamp = 1000, .step = 1 };

static void dir_path(struct world *w, char out[512])
{
        file_path(w, 1, "", out);
        out[strlen(out) - 1] = 0;
}

STORAGE_TEST(roll, by_size)
{
        char dir[512], name[64], path[512];
        struct log_config c = plain_config;
        c.segment_bytes = 10000;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c);
        append_many(w, p, &kilo, 95);
        world_settle(w);
        int64_t base[64];
        uint32_t n = partition_segment_offsets(p, base, 64);
        cr_assert_eq(n, p->n_segments);
        cr_assert_gt(n, 9);
        for (uint32_t i = 0; i + 1 < n; i++) cr_assert_gt(base[i], base[i + 1]);
        cr_assert_eq(counter_get(&w->ls->stats.segments_rolled), n - 1);
        for (uint32_t i = 1; i < n; i++) { /* sealed: exact size, not larger than allowed */
                snprintf(name, sizeof name, "%020" PRId64 ".log", base[i]);
                file_path(w, 1, name, path);
                cr_assert_leq(file_size_of(path), 10000);
                cr_assert_eq(file_size_of(path), (int64_t)p->segments[n - 1 - i]->size);
        }
        dir_path(w, dir);
        cr_assert_eq(dir_count(dir, ".log"), n);
        cr_assert_eq(dir_count(dir, ".index"), n - 1);
        cr_assert_eq(dir_count(dir, ".tmp"), 0);
        world_close(w);
        snprintf(name, sizeof name, "%020" PRId64 ".log", base[0]);
        file_path(w, 1, name, path);
        cr_assert_eq(file_size_of(path) % 1000 == 0, false, "cut to size at the stop");
}

/* A batch larger than a segment may be gets one of its own. */
STORAGE_TEST(roll, around_a_batch_that_is_too_large)
{
        struct log_config c = plain_config;
        c.segment_bytes = 2000;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c);
        append_one(w, p, &kilo);
        append_one(w, p, &(struct batch_spec){ .count = 1, .value = 50000 });
        append_one(w, p, &kilo);
        cr_assert_eq(p->n_segments, 3);
        struct log_bytes all;
        world_reopen(w, false);
        p = world_partition(w, 1, &c);
        read_all(w, p, 1 << 20, &all);
        cr_assert_eq(all.batches, 3);
        log_bytes_free(&all);
        world_close(w);
}

STORAGE_TEST_ONE(roll, by_age)
{
        struct log_config c = plain_config;
        c.segment_ms = 60000;
        w->wrap = fault_io_new;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c);
        append_one(w, p, &kilo);
        append_one(w, p, &kilo);
        cr_assert_eq(p->n_segments, 1);
        fault_of(w->io)->mono_ahead_ns += 61 * SECOND_NS;
        append_one(w, p, &kilo);
        cr_assert_eq(p->n_segments, 2);
        fault_of(w->io)->wall_ahead_ms += 3600 * 1000; /* the wall clock does not roll */
        append_one(w, p, &kilo);
        cr_assert_eq(p->n_segments, 2);
        world_close(w);
}

/* Thousands of thin partitions must not eat the disk. */
STORAGE_TEST_ONE(roll, room_is_made_in_steps)
{
        char path[512];
        struct stat st;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        append_one(w, p, &kilo);
        file_path(w, 1, "00000000000000000000.log", path);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_leq(st.st_size, 128 << 10);
        append_many(w, p, &(struct batch_spec){ .count = 1, .value = 500000 }, 40);
        world_settle(w);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_gt(st.st_size, 24 << 20);
        cr_assert_leq(st.st_size, 128 << 20);
        world_close(w);
        cr_assert_eq(stat(path, &st), 0);
        cr_assert_lt(st.st_size, 21 << 20);
}

STORAGE_TEST_ONE(roll, an_idle_partition_costs_no_descriptor_and_no_chunk)
{
        w->wrap = fault_io_new;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        append_many(w, p, &kilo, 3);
        cr_assert_eq(w->ls->n_fds, 1);
        cr_assert_not_null(tail_last(p));
        for (int i = 0; i < 20; i++) {
                fault_of(w->io)->mono_ahead_ns += 5 * SECOND_NS;
                world_settle(w);
        }
        cr_assert_eq(w->ls->n_fds, 0);
        cr_assert_null(tail_last(p));
        cr_assert_gt(log_mark_hits("tail: idle chunk let go"), 0);
        append_many(w, p, &kilo, 3); /* the last page comes back */
        struct log_bytes all;
        read_all(w, p, 500, &all);
        cr_assert_eq(all.batches, 6);
        log_bytes_free(&all);
        world_reopen(w, false);
        p = world_partition(w, 1, NULL);
        read_all(w, p, 500, &all);
        cr_assert_eq(all.batches, 6);
        log_bytes_free(&all);
        world_close(w);
}

/* Case 47: index files torn, stale, zeroed, of another partition: the log is read all the same. */
STORAGE_TEST(roll, a_damaged_index_is_ignored)
{
        char path[512];
        uint8_t *good;
        struct log_config c = plain_config;
        c.segment_bytes = 40000;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c);
        append_many(w, p, &kilo, 60);
        cr_assert_gt(p->n_segments, 1);
        world_close(w);
        file_path(w, 1, "00000000000000000000.index", path);
        size_t n = file_get(path, &good);
        cr_assert_gt(n, sizeof(struct index_header) + 3 * sizeof(struct index_entry));
        for (size_t i = 0; i < n + 4; i += i < n ? 5 : 1) {
                uint8_t *bad = calloc(1, n + 1);
                if (i < n || i > n + 1) memcpy(bad, good, n);
                if (i < n) bad[i] ^= 0x40;
                file_put(path, bad, i >= n + 3 ? i - n : i == n + 2 ? n - 7 : n);
                free(bad);
                world_open(w);
                p = world_partition(w, 1, &c);
                cr_assert_eq(p->status, ST_OK);
                struct log_bytes all;
                read_all(w, p, 2000, &all);
                cr_assert_eq(all.batches, 60);
                log_bytes_free(&all);
                for (int64_t at = 119; at >= 0; at -= 11) {
                        struct fetched *f = read_one(w, p, at, 1);
                        cr_assert_eq(f->r.status, ST_OK);
                        fetched_free(f);
                }
                world_kill(w);
        }
        free(good);
}

static void age(struct world *w, unsigned seconds)
{
        for (unsigned i = 0; i < seconds; i++) {
                fault_of(w->io)->mono_ahead_ns += SECOND_NS;
                fault_of(w->io)->wall_ahead_ms += 1000;
                world_turn(w);
                if (i % 10 == 0) world_settle(w); /* the disk has no part in this clock */
        }
        world_settle(w);
}

/* --- retention --- */
STORAGE_TEST_ONE(retention, by_bytes)
{
        char dir[512];
        struct log_config c = plain_config;
        c.segment_bytes = 10000;
        c.retention_bytes = 30000;
        w->wrap = fault_io_new;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c);
        int64_t end = append_many(w, p, &kilo, 95);
        age(w, 5);
        cr_assert_eq(p->log_start, 0, "cleanup.policy does not say delete");
        c.delete_old = true;
        partition_configure(p, &c);
        age(w, 5);
        struct partition_state st;
        partition_get_state(p, &st);
        cr_assert_gt(st.log_start, 0);
        cr_assert_geq(st.bytes, 30000);
        cr_assert_lt(st.bytes, 45000);
        dir_path(w, dir);
        cr_assert_eq(dir_count(dir, ".log"), st.segments);
        cr_assert_leq(dir_count(dir, ".index"), st.segments);
        struct fetched *f = read_one(w, p, st.log_start - 1, 100);
        cr_assert_eq(f->r.status, ST_OUT_OF_RANGE);
        fetched_free(f);
        world_reopen(w, false);
        p = world_partition(w, 1, &c);
        cr_assert_eq(p->log_start, st.log_start);
        struct log_bytes all;
        read_all(w, p, 5000, &all);
        cr_assert_eq(all.end, end);
        log_bytes_free(&all);
        world_close(w);
}

STORAGE_TEST_ONE(retention, by_age_and_a_jumping_clock)
{
        struct log_config c = plain_config;
        c.segment_bytes = 10000;
        c.retention_ms = 600 * 1000;
        c.delete_old = true;
        w->wrap = fault_io_new;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c);
        struct batch_spec s = kilo;
        s.timestamp = io_wall_ms(w->io);
        append_many(w, p, &s, 40);
        int64_t ten_years = INT64_C(10) * 365 * 86400 * 1000;
        fault_of(w->io)->wall_ahead_ms += ten_years; /* case 52 */
        for (int i = 0; i < 10; i++) {
                fault_of(w->io)->mono_ahead_ns += SECOND_NS;
                world_settle(w);
        }
        cr_assert_eq(p->log_start, 0, "no jump of the wall clock deletes data");
        cr_assert(w->ls->wall_doubt);
        fault_of(w->io)->wall_ahead_ms -= ten_years;
        age(w, 300);
        cr_assert_not(w->ls->wall_doubt);
        cr_assert_eq(p->log_start, 0);
        age(w, 400); /* old for real: the newest segment is rolled, then all go */
        cr_assert_eq(p->log_start, 80);
        cr_assert_eq(p->durable_end, 80);
        cr_assert_eq(p->n_segments, 1);
        world_reopen(w, false);
        p = world_partition(w, 1, &c);
        cr_assert_eq(p->log_start, 80);
        cr_assert_eq(p->durable_end, 80, "offsets are not given twice");
        cr_assert_eq(append_one(w, p, &s), ST_OK);
        cr_assert_eq(p->durable_end, 82);
        world_close(w);
}

/* Case 74: a reader keeps what it reads. */
STORAGE_TEST_ONE(retention, waits_for_a_reader)
{
        char path[512];
        struct log_config c = plain_config;
        c.segment_bytes = 10000;
        w->wrap = fault_io_new;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c);
        append_many(w, p, &kilo, 95);
        world_reopen(w, true);
        p = world_partition(w, 1, &c);
        fetched_free(read_one(w, p, 0, 1)); /* its index is loaded */
        cache_forget_segment(w->ls, p->segments[0]);
        struct fetched f = { 0 };
        f.r = (struct log_read){ .partition = p,
                .offset = 0,
                .max_bytes = 3000,
                .at_least_one = true,
                .on_done = fetched_on_done };
        struct fault_io *io = fault_of(w->io);
        io->hold_reads = true;
        cr_assert_eq(partition_read(&f.r), ST_PENDING);
        for (int k = 0; k < 50; k++) world_turn(w);
        c.retention_bytes = 20000;
        c.delete_old = true;
        partition_configure(p, &c);
        for (int i = 0; i < 3; i++) {
                io->mono_ahead_ns += SECOND_NS;
                for (int k = 0; k < 50; k++) world_turn(w);
        }
        cr_assert_gt(p->log_start, 0);
        file_path(w, 1, "00000000000000000000.log", path);
        cr_assert_gt(file_size_of(path), 0, "still read");
        io->hold_reads = false;
        world_until(w, &f.finished);
        cr_assert_eq(f.r.status, ST_OK);
        cr_assert_gt(f.r.total, 0);
        log_read_release(&f.r);
        world_settle(w);
        cr_assert_eq(file_size_of(path), -1);
        world_close(w);
}

/* --- deletion --- */
struct gone {
        bool flag;
        int status;
};
static void on_gone(void *arg, int status)
{
        struct gone *g = arg;
        cr_assert(!g->flag);
        g->flag = true;
        g->status = status;
}

STORAGE_TEST(delete, everything_goes)
{
        char dir[512];
        struct log_config c = plain_config;
        c.segment_bytes = 10000;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c), *other = world_partition(w, 2, &c);
        append_many(w, p, &kilo, 50);
        append_many(w, other, &kilo, 5);
        dir_path(w, dir);
        cr_assert_gt(dir_count(dir, ""), 5);
        struct gone g = { 0 };
        partition_delete(p, on_gone, &g);
        cr_assert_null(partition_find(w->ls, topic(1), 0));
        cr_assert_not(g.flag);
        world_until(w, &g.flag);
        cr_assert_eq(g.status, ST_OK);
        cr_assert_eq(access(dir, F_OK), -1);
        p = world_partition(w, 1, &c); /* recreated at once */
        cr_assert_eq(p->durable_end, 0);
        append_many(w, p, &kilo, 5);
        cr_assert_eq(other->durable_end, 10);
        world_close(w);
}

STORAGE_TEST(delete, of_a_partition_without_files)
{
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        struct gone g = { 0 };
        partition_delete(p, on_gone, &g);
        world_until(w, &g.flag);
        cr_assert_eq(g.status, ST_OK);
        world_close(w);
}

static void on_moved(struct log_watch *x)
{
        (void)x;
        log_mark("test: watch fired on delete");
}

/* Case 61: while produced to and fetched. */
STORAGE_TEST_ONE(delete, under_producers_and_readers)
{
        struct log_config c = plain_config;
        c.segment_bytes = 10000;
        w->wrap = fault_io_new;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c);
        append_many(w, p, &kilo, 50);
        world_reopen(w, true);
        p = world_partition(w, 1, &c);
        struct log_watch watch = { .on_move = on_moved };
        partition_watch(p, &watch);
        struct fault_io *io = fault_of(w->io);
        io->hold_reads = true;
        struct fetched f = { 0 };
        f.r = (struct log_read){ .partition = p,
                .offset = 0,
                .max_bytes = 3000,
                .at_least_one = true,
                .on_done = fetched_on_done };
        cr_assert_eq(partition_read(&f.r), ST_PENDING);
        struct appended *x[5];
        for (int i = 0; i < 5; i++)
                x[i] = append_begin(p, &kilo); /* wait for the tail's last page */
        for (int k = 0; k < 50; k++) world_turn(w);
        struct gone g = { 0 };
        partition_delete(p, on_gone, &g);
        for (int k = 0; k < 50; k++) world_turn(w);
        for (int i = 0; i < 5; i++) {
                cr_assert(x[i]->finished);
                cr_assert_eq(x[i]->a.status, ST_NOT_FOUND);
                appended_free(x[i]);
        }
        cr_assert_gt(log_mark_hits("test: watch fired on delete"), 0);
        cr_assert_not(g.flag, "its reader is not done");
        io->hold_reads = false;
        world_until(w, &g.flag);
        cr_assert(f.finished);
        log_read_release(&f.r);
        world_close(w);
}
