/* The journal while the server runs: who goes by it, who reads from it, what fails, what a stop
 * leaves.  After a crash: test_journal_crash.c; its file: test_journal_file.c. */
#include "storage/flush.h"
#include "tests/unit/storage/fault_io.h"
#include "tests/unit/storage/journal_fixture.h"

#include <errno.h>

#define SECOND_NS UINT64_C(1000000000)

static uint64_t writes(struct world *w)
{
        return counter_get(&w->ls->stats.writes);
}
static uint64_t groups(struct world *w)
{
        return counter_get(&w->ls->stats.journal_writes);
}

/* Bytes of a partition that only the journal and the tail have. */
static uint64_t unsettled(const struct partition *p)
{
        return p->durable_virt - MIN(p->settled_virt, p->durable_virt);
}

/* --- who goes by it --- */
STORAGE_TEST(journal, thin_appends_of_a_turn_share_one_write)
{
        struct parts all = { .n = 12 };
        struct appended *x[12];
        parts_open(w, &all);
        uint64_t direct = writes(w), before = groups(w);
        for (unsigned round = 1; round <= 5; round++) {
                for (unsigned i = 0; i < all.n; i++) x[i] = append_begin(all.p[i], &thin);
                log_shard_plan(w->ls);
                cr_assert_eq(groups(w), before + round);
                for (unsigned i = 0; i < all.n; i++) {
                        world_until(w, &x[i]->finished);
                        cr_assert_eq(x[i]->a.status, ST_OK);
                        cr_assert_eq(x[i]->a.base_offset, 3 * round);
                        appended_free(x[i]);
                }
        }
        cr_assert_eq(groups(w), before + 5);
        cr_assert_eq(writes(w), direct, "none has a write of its own");
        world_close(w);
}

/* What arrives while a group is written forms the next one. */
STORAGE_TEST(journal, a_group_in_flight_collects_the_next)
{
        struct parts all = { .n = 1 };
        struct appended *x[10];
        parts_open(w, &all);
        uint64_t before = groups(w);
        for (unsigned i = 0; i < 10; i++) {
                x[i] = append_begin(all.p[0], &thin);
                log_shard_plan(w->ls); /* nothing completes in between */
        }
        cr_assert_eq(groups(w), before + 1);
        for (unsigned i = 0; i < 10; i++) world_until(w, &x[i]->finished);
        cr_assert_eq(groups(w), before + 2);
        for (unsigned i = 0; i < 10; i++) {
                cr_assert_eq(x[i]->a.base_offset, 3 + 3 * i);
                appended_free(x[i]);
        }
        world_close(w);
}

STORAGE_TEST(journal, fat_appends_go_directly)
{
        struct parts all = { .n = 1 };
        parts_open(w, &all);
        uint64_t direct = writes(w), before = groups(w);
        struct partition *p = all.p[0];
        cr_assert_eq(append_one(w, p, &(struct batch_spec){ .count = 1, .value = 100000 }), ST_OK);
        cr_assert_eq(writes(w), direct + 1);
        cr_assert_eq(groups(w), before);
        cr_assert_eq(p->settled_virt, p->append_virt);
        cr_assert_eq(p->durable_virt, p->append_virt);
        cr_assert_eq(append_one(w, p, &thin), ST_OK);
        cr_assert_eq(writes(w), direct + 1);
        cr_assert_eq(groups(w), before + 1);
        cr_assert_eq(p->jfirst, page_down(p->settled_virt), "from its page's start on");
        cr_assert_eq(p->jend, p->append_virt);
        world_close(w);
}

/* The group with what follows is durable first: that says nothing yet. */
STORAGE_TEST_ONE(journal, a_group_counts_when_what_is_before_it_is_durable)
{
        struct parts all = { .n = 1 };
        w->wrap = fault_io_new;
        parts_open(w, &all);
        struct partition *p = all.p[0];
        for (int i = 0; i < 3; i++) /* room in its file */
                append_many(w, p, &(struct batch_spec){ .count = 1, .value = 100000 }, 1);
        world_settle(w);
        int64_t end = p->durable_end;
        uint64_t before = groups(w);
        fault_of(w->io)->hold_writes_fd = p->segments[0]->fd;
        struct appended *fat =
            append_begin(p, &(struct batch_spec){ .count = 1, .value = 100000, .seed = 1 });
        log_shard_plan(w->ls);
        struct appended *after = append_begin(p, &thin);
        for (int i = 0; i < 1000 && p->jend != p->append_virt; i++) world_turn(w);
        cr_assert_eq(p->jend, p->append_virt, "what follows is durable");
        cr_assert_eq(groups(w), before + 1);
        for (int i = 0; i < 5; i++) world_turn(w);
        cr_assert(!fat->finished && !after->finished);
        cr_assert_eq(p->durable_end, end);
        fault_of(w->io)->hold_writes_fd = 0;
        world_until(w, &fat->finished);
        world_until(w, &after->finished);
        cr_assert(fat->a.status == ST_OK && after->a.status == ST_OK);
        cr_assert_eq(p->durable_end, end + 4);
        appended_free(fat);
        appended_free(after);
        world_close(w);
}

/* Thin ones that are never fat are settled in large runs. */
STORAGE_TEST_ONE(journal, many_thin_appends_are_settled_by_few_writes)
{
        struct parts all = { .n = 2 };
        w->journal_bytes = 4 << 20;
        parts_open(w, &all);
        uint64_t direct = writes(w);
        parts_append(w, &all, &(struct batch_spec){ .count = 1, .value = 3000 }, 300);
        world_settle(w);
        cr_assert_geq(writes(w), direct + 2 * 3);
        cr_assert_leq(writes(w), direct + 2 * 4);
        world_close(w);
}

/* --- reading --- */
STORAGE_TEST(journal, a_reader_gets_what_only_the_journal_has)
{
        struct parts all = { .n = 1 };
        parts_open(w, &all);
        uint64_t disk = counter_get(&w->ls->stats.disk_reads);
        for (int64_t i = 1; i <= 40; i++) {
                cr_assert_eq(append_one(w, all.p[0], &thin), ST_OK);
                struct fetched *f = read_one(w, all.p[0], 3 * i, 1 << 20);
                cr_assert_eq(f->r.status, ST_OK);
                cr_assert_eq(f->r.high_watermark, 3 * i + 3);
                struct batch b;
                cr_assert_null(batch_read(f->p, f->n, true, &b));
                cr_assert_eq(b.base_offset, 3 * i);
                cr_assert(batch_crc_ok(f->p, &b));
                fetched_free(f);
        }
        cr_assert_gt(unsettled(all.p[0]), 0);
        cr_assert_eq(counter_get(&w->ls->stats.disk_reads), disk);
        world_close(w);
}

/* Nothing is readable before its group is durable. */
STORAGE_TEST_ONE(journal, a_group_in_flight_is_not_readable)
{
        struct parts all = { .n = 1 };
        parts_open(w, &all);
        struct appended *x = append_begin(all.p[0], &thin);
        log_shard_plan(w->ls);
        cr_assert(w->ls->journal->writing);
        struct fetched *f = read_one(w, all.p[0], 3, 1000);
        cr_assert_eq(f->r.high_watermark, 3);
        cr_assert_eq(f->n, 0);
        fetched_free(f);
        world_until(w, &x->finished);
        appended_free(x);
        world_close(w);
}

/* Its beginning is in the file alone, its end in the tail and the journal alone. */
static void read_evicted(struct world *w, uint32_t value)
{
        struct parts all = { .n = 1 };
        w->cache_limit = CACHE_MIN;
        w->write_max = 1 << 20;
        parts_open(w, &all);
        struct partition *p = all.p[0];
        cr_assert_eq(append_one(w, p, &(struct batch_spec){ .count = 1, .value = value }), ST_OK);
        flush_start(p, FLUSH_WHOLE);
        world_settle(w);
        cr_assert_gt(unsettled(p), 0);
        while (tail_evict_one(w->ls))
                ;
        uint64_t begin = tail_begin(p);
        cr_assert(begin >= PAGE && begin < p->settled_virt, "in the batch, value %u", value);
        for (int again = 0; again < 2; again++) {
                struct fetched *f = read_one(w, p, 3, 100);
                struct batch b;
                cr_assert_eq(f->r.status, ST_OK);
                cr_assert_null(batch_read(f->p, f->n, true, &b));
                cr_assert(b.base_offset == 3 && b.size == f->n && batch_crc_ok(f->p, &b));
                fetched_free(f);
        }
        struct log_bytes bytes;
        read_all(w, p, 1 << 20, &bytes);
        cr_assert_eq(bytes.batches, 2);
        log_bytes_free(&bytes);
        world_close(w);
}

STORAGE_TEST(journal, a_batch_that_begins_in_an_evicted_chunk_is_read_whole)
{
        read_evicted(w, 60000);
}
STORAGE_TEST_ONE(journal, one_larger_than_a_mebibyte_that_begins_in_an_evicted_chunk)
{
        read_evicted(w, (1 << 20) + 30000);
}

/* --- idle --- */
static void seconds_pass(struct world *w, unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                fault_of(w->io)->mono_ahead_ns += SECOND_NS;
                world_turn(w);
                world_settle(w);
        }
}

STORAGE_TEST_ONE(journal, an_idle_partition_is_settled_and_its_chunk_let_go)
{
        struct parts all = { .n = 2 };
        struct shot s;
        w->wrap = fault_io_new;
        parts_open(w, &all);
        parts_append(w, &all, &thin, 5);
        shot_take(w, &all, &s);
        for (unsigned i = 0; i < all.n; i++) cr_assert_gt(unsettled(all.p[i]), 0);
        seconds_pass(w, 60);
        for (unsigned i = 0; i < all.n; i++) {
                cr_assert_eq(all.p[i]->settled_virt, all.p[i]->append_virt);
                cr_assert(list_empty(&all.p[i]->kept));
                cr_assert_null(tail_last(all.p[i]));
        }
        shot_check(w, &all, &s);
        parts_append(w, &all, &thin, 1); /* its page is read back first */
        shot_free(&s);
        shot_take(w, &all, &s);
        parts_crash(w, &all);
        shot_check(w, &all, &s);
        shot_free(&s);
        world_close(w);
}

/* --- what fails --- */
static void fence_by(struct world *w, enum io_kind kind, bool dsync)
{
        struct parts all = { .n = 3 };
        struct appended *x[3];
        struct shot s;
        w->wrap = fault_io_new;
        parts_open(w, &all);
        w->store->dsync = dsync;
        parts_append(w, &all, &thin, 4);
        shot_take(w, &all, &s);
        int fd = w->ls->journal->fd;
        fault_of(w->io)->fault = (struct fault){ .kind = kind, .error = EIO, .times = 1, .fd = fd };
        for (unsigned i = 0; i < 3; i++) x[i] = append_begin(all.p[i], &thin);
        for (unsigned i = 0; i < 3; i++) {
                world_until(w, &x[i]->finished);
                cr_assert_eq(x[i]->a.status, ST_FENCED, "%s", status_text(x[i]->a.status));
                appended_free(x[i]);
        }
        cr_assert_eq(fault_of(w->io)->hits, 1);
        cr_assert_eq(w->store->fenced, 1);
        cr_assert_eq(append_one(w, all.p[0], &thin), ST_FENCED);
        for (unsigned i = 0; i < 3; i++) {
                struct partition_state st;
                partition_get_state(all.p[i], &st);
                cr_assert_eq(st.status, ST_FENCED);
                cr_assert_eq(st.high_watermark, s.logs[i].end);
                cr_assert_eq(st.append_end, s.logs[i].end);
                struct log_bytes now;
                read_all(w, all.p[i], 500, &now);
                cr_assert(now.n == s.logs[i].n && memcmp(now.p, s.logs[i].p, now.n) == 0);
                log_bytes_free(&now);
        }
        world_close(w);
        world_open(w);
        cr_assert_not(w->store->was_clean);
        parts_start(w, &all);
        for (unsigned i = 0; i < 3; i++) {
                cr_assert_geq(all.p[i]->durable_end, s.logs[i].end);
                cr_assert_leq(all.p[i]->durable_end, s.logs[i].end + 3);
        }
        shot_free(&s);
        world_close(w);
}

STORAGE_TEST(journal, a_failed_write_of_a_group_fences)
{
        fence_by(w, IO_WRITE, true);
}
STORAGE_TEST_ONE(journal, a_failed_sync_of_a_group_fences)
{
        fence_by(w, IO_SYNC, false);
}

/* It cannot be made: all goes directly, and it is tried again later. */
STORAGE_TEST_ONE(journal, without_room_for_it_appends_go_directly)
{
        static const struct {
                enum io_kind kind;
                int error;
        } steps[] = { { IO_OPEN, EMFILE }, { IO_ALLOCATE, ENOSPC }, { IO_WRITE, ENOSPC },
                { IO_WRITE, EIO }, { IO_SYNC, EIO } };
        for (size_t i = 0; i < COUNT_OF(steps); i++) {
                struct parts all = { .n = 1 };
                w->wrap = fault_io_new;
                w->journal_bytes = RING;
                world_open(w);
                parts_start(w, &all);
                w->ls->journal->retry_ns = UINT64_MAX; /* not yet */
                cr_assert_eq(append_one(w, all.p[0], &thin), ST_OK);
                w->ls->journal->retry_ns = 0;
                fault_of(w->io)->fault =
                    (struct fault){ .kind = steps[i].kind, .error = steps[i].error, .times = 1 };
                journal_want(w->ls->journal);
                world_settle(w);
                cr_assert_eq((int)w->ls->journal->state, (int)JOURNAL_FAILED, "step %zu", i);
                cr_assert_eq(w->store->fenced, 0);
                cr_assert_eq(append_one(w, all.p[0], &thin), ST_OK);
                cr_assert_eq(groups(w), 0);
                fault_of(w->io)->mono_ahead_ns += 31 * SECOND_NS;
                cr_assert_eq(append_one(w, all.p[0], &thin), ST_OK);
                journal_until_ready(w);
                cr_assert_eq(append_one(w, all.p[0], &thin), ST_OK);
                cr_assert_eq(groups(w), 1);
                parts_crash(w, &all);
                cr_assert_eq(all.p[0]->durable_end, 12);
                world_close(w);
                dir_remove(w->dir);
        }
}

/* Three partitions, so that half of the ring is used before one of them is fat; their files have
 * 64 KiB of room at first. */
STORAGE_TEST_ONE(journal, a_full_disk_stops_settling_and_appends_go_on_for_a_while)
{
        struct parts all = { .n = 3 };
        struct batch_spec s = { .count = 1, .value = 3500 };
        struct shot shot;
        w->wrap = fault_io_new;
        parts_open(w, &all);
        fault_of(w->io)->fault =
            (struct fault){ .kind = IO_ALLOCATE, .error = ENOSPC, .times = UINT32_MAX };
        unsigned n = 0, hits = 0;
        for (; n < 1000; n++) {
                s.seed = n;
                int st = append_one(w, all.p[n % 3], &s);
                if (hits == 0 && fault_of(w->io)->hits > 0) hits = n;
                if (st == ST_OK) continue;
                cr_assert_eq(st, ST_DISK_FULL, "%u: %s", n, status_text(st));
                break;
        }
        cr_assert_gt(hits, 48, "nothing is settled before");
        cr_assert(n > hits + 16 && n < 1000, "the ring takes more: %u, %u", n, hits);
        cr_assert_eq(w->store->fenced, 0);
        shot_take(w, &all, &shot);
        fault_of(w->io)->fault.times = 0;
        fault_of(w->io)->mono_ahead_ns += 2 * SECOND_NS;
        parts_append(w, &all, &s, 30);
        for (unsigned i = 0; i < all.n; i++)
                cr_assert_eq(all.p[i]->durable_end, shot.logs[i].end + 30);
        shot_free(&shot);
        shot_take(w, &all, &shot);
        parts_crash(w, &all);
        shot_check(w, &all, &shot);
        shot_free(&shot);
        world_close(w);
}

/* --- the stop --- */
STORAGE_TEST_ONE(journal, a_clean_stop_settles_everything)
{
        struct parts all = { .n = 5 };
        struct shot s;
        parts_open(w, &all);
        parts_append(w, &all, &(struct batch_spec){ .count = 1, .value = 70000 }, 1);
        parts_append(w, &all, &thin, 6);
        shot_take(w, &all, &s);
        for (unsigned i = 0; i < all.n; i++) cr_assert_gt(unsettled(all.p[i]), 0);
        world_close(w);
        for (unsigned i = 0; i < all.n; i++) {
                char path[512];
                uint8_t *bytes;
                file_path(w, (uint8_t)(i + 1), "00000000000000000000.log", path);
                size_t n = file_get(path, &bytes);
                cr_assert(n == s.logs[i].n && memcmp(bytes, s.logs[i].p, n) == 0);
                free(bytes);
        }
        world_open(w);
        cr_assert(w->store->was_clean);
        parts_recover(w, &all);
        for (unsigned i = 0; i < all.n; i++)
                cr_assert_null(journal_pieces(w->store, &all.p[i]->key));
        struct err e = { 0 };
        cr_assert_eq(store_recovered(w->store, w->io, &e), ST_OK);
        shot_check(w, &all, &s);
        shot_free(&s);
        world_close(w);
}

/* A damaged group behind a clean stop was needed by nobody. */
STORAGE_TEST_ONE(journal, after_a_clean_stop_no_group_is_read)
{
        struct parts all = { .n = 2 };
        struct disk_journal j;
        struct shot s;
        parts_open(w, &all);
        parts_append(w, &all, &thin, 6);
        shot_take(w, &all, &s);
        world_close(w);
        disk_get(w, 0, &j);
        cr_assert_gt(j.n_groups, 6);
        j.p[j.groups[3].at + 100] ^= 1;
        disk_put(&j);
        disk_free(&j);
        world_open(w);
        parts_start(w, &all);
        shot_check(w, &all, &s);
        shot_free(&s);
        world_close(w);
}

/* --- deletion --- */
static void on_gone(void *arg, int status)
{
        cr_assert_eq(status, ST_OK);
        *(bool *)arg = true;
}

STORAGE_TEST_ONE(journal, a_partition_can_go_while_its_bytes_are_in_a_group)
{
        struct parts all = { .n = 3 };
        struct appended *x[3];
        struct shot s;
        bool gone = false;
        parts_open(w, &all);
        parts_append(w, &all, &thin, 2);
        for (unsigned i = 0; i < 3; i++) x[i] = append_begin(all.p[i], &thin);
        log_shard_plan(w->ls);
        cr_assert(all.p[2]->jwriting);
        partition_delete(all.p[2], on_gone, &gone);
        world_until(w, &gone);
        for (unsigned i = 0; i < 3; i++) {
                world_until(w, &x[i]->finished);
                cr_assert_eq(x[i]->a.status, i == 2 ? ST_NOT_FOUND : ST_OK);
                appended_free(x[i]);
        }
        all.n = 2;
        parts_append(w, &all, &thin, 2);
        shot_take(w, &all, &s);
        parts_crash(w, &all);
        shot_check(w, &all, &s);
        shot_free(&s);
        /* Pieces of what is gone are nobody's. */
        all.p[2] = world_partition(w, 3, NULL);
        cr_assert_eq(all.p[2]->durable_end, 0);
        world_close(w);
}
