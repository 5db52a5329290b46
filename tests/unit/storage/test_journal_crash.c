/* The journal behind a stop without a close: what was acknowledged is there, nothing else is. */
#include "storage/flush.h"
#include "tests/unit/storage/fault_io.h"
#include "tests/unit/storage/journal_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

static const char *const first_log = "00000000000000000000.log";

/* --- it comes back --- */
STORAGE_TEST(journal_crash, acknowledged_bytes_come_out_of_the_journal)
{
        struct parts all = { .n = 1 };
        struct shot s;
        char path[512];
        uint8_t *bytes;
        parts_open(w, &all);
        parts_append(w, &all, &thin, 30);
        shot_take(w, &all, &s);
        size_t settled = (size_t)all.p[0]->settled_virt;
        world_kill(w);
        file_path(w, 1, first_log, path);
        size_t n = file_get(path, &bytes);
        for (size_t i = settled; i < n; i++) cr_assert_eq(bytes[i], 0, "not in the file");
        free(bytes);
        world_open(w);
        parts_start(w, &all);
        cr_assert_eq(all.p[0]->durable_end, 93);
        shot_check(w, &all, &s);
        n = file_get(path, &bytes);
        cr_assert(n >= s.logs[0].n && memcmp(bytes, s.logs[0].p, s.logs[0].n) == 0);
        free(bytes);
        cr_assert_eq(append_one(w, all.p[0], &thin), ST_OK);
        cr_assert_eq(all.p[0]->durable_end, 96);
        shot_free(&s);
        world_close(w);
}

/* A page that is written again is in the journal as a whole: garbled, it is mended. */
STORAGE_TEST(journal_crash, a_page_that_was_garbled_while_it_was_settled_is_mended)
{
        struct parts all = { .n = 1 };
        struct shot s;
        char path[512];
        uint8_t *bytes;
        parts_open(w, &all);
        parts_append(w, &all, &thin, 10);
        shot_take(w, &all, &s);
        cr_assert_gt(all.p[0]->settled_virt, 0);
        cr_assert_lt(all.p[0]->settled_virt, PAGE);
        world_kill(w);
        file_path(w, 1, first_log, path);
        size_t n = file_get(path, &bytes);
        for (size_t i = 0; i < PAGE; i++) bytes[i] = (uint8_t)(i * 131 + 7);
        file_put(path, bytes, n);
        free(bytes);
        world_open(w);
        parts_start(w, &all);
        shot_check(w, &all, &s);
        shot_free(&s);
        world_close(w);
}

STORAGE_TEST(journal_crash, many_partitions_and_groups_come_back)
{
        struct parts all = { .n = 9 };
        struct shot s;
        parts_open(w, &all);
        for (unsigned i = 0; i < all.n; i++) append_many(w, all.p[i], &thin, 1 + 3 * i);
        parts_append(w, &all, &(struct batch_spec){ .count = 2, .value = 700 }, 5);
        shot_take(w, &all, &s);
        parts_crash(w, &all);
        shot_check(w, &all, &s);
        shot_free(&s);
        world_close(w);
}

/* Partitions of one topic: entries behind the first do not repeat its id. */
STORAGE_TEST_ONE(journal_crash, partitions_of_one_topic_come_back)
{
        struct partition *p[6];
        struct appended *x[6];
        struct err e = { 0 };
        w->journal_bytes = RING;
        for (int run = 0; run < 3; run++) {
                world_open(w);
                for (int32_t i = 0; i < 6; i++) {
                        p[i] =
                            partition_new(w->ls, topic((uint8_t)(1 + i / 3)), i % 3, &plain_config);
                        cr_assert_eq(partition_recover(p[i], &e), ST_OK, "%s", e.text);
                        cr_assert_eq(p[i]->durable_end, 12 * run);
                }
                cr_assert_eq(store_recovered(w->store, w->io, &e), ST_OK, "%s", e.text);
                for (int i = 0; i < 6; i++) cr_assert_eq(append_one(w, p[i], &thin), ST_OK);
                journal_until_ready(w);
                for (int round = 0; round < 3; round++) {
                        for (int i = 0; i < 6; i++) x[i] = append_begin(p[i], &thin);
                        for (int i = 0; i < 6; i++) {
                                world_until(w, &x[i]->finished);
                                appended_free(x[i]);
                        }
                }
                for (int i = 0; i < 6; i++) {
                        struct log_bytes all;
                        read_all(w, p[i], 1 << 20, &all);
                        cr_assert_eq(all.end, 12 * run + 12);
                        log_bytes_free(&all);
                }
                cr_assert_gt(p[5]->jend, p[5]->settled_virt);
                world_kill(w);
        }
}

STORAGE_TEST(journal_crash, a_ring_that_went_round_many_times)
{
        struct parts all = { .n = 7 };
        struct disk_journal j;
        struct shot s;
        parts_open(w, &all);
        for (uint32_t i = 0; counter_get(&w->ls->stats.journal_bytes) < 5 * RING + 100000; i++)
                parts_append(
                    w, &all, &(struct batch_spec){ .count = 1, .value = 2000 + i * 97 % 9000 }, 1);
        shot_take(w, &all, &s);
        world_kill(w);
        disk_get(w, 0, &j);
        const struct disk_group *g = disk_newest(&j);
        cr_assert_gt(g->seq, j.size / PAGE);
        cr_assert_lt(g->oldest, g->seq);
        disk_free(&j);
        world_open(w);
        parts_start(w, &all);
        shot_check(w, &all, &s);
        shot_free(&s);
        world_close(w);
}

/* A roll makes the next segment; the journal's pieces of the one before are settled by then. */
STORAGE_TEST_ONE(journal_crash, rolled_segments_come_back)
{
        struct log_config c = plain_config;
        struct parts all = { .n = 3, .config = &c };
        struct shot s;
        c.segment_bytes = 9000;
        parts_open(w, &all);
        for (unsigned round = 0; round < 4; round++) {
                parts_append(w, &all, &(struct batch_spec){ .count = 1, .value = 800 }, 7 + round);
                shot_take(w, &all, &s);
                parts_crash(w, &all);
                shot_check(w, &all, &s);
                shot_free(&s);
        }
        for (unsigned i = 0; i < all.n; i++) cr_assert_gt(all.p[i]->n_segments, 3);
        world_close(w);
}

/* Thin and fat in turn, so that the journal has pieces with gaps between them. */
STORAGE_TEST_ONE(journal_crash, thin_and_fat_in_turn_come_back)
{
        struct parts all = { .n = 3 };
        struct shot s;
        parts_open(w, &all);
        for (unsigned round = 0; round < 5; round++) {
                parts_append(w, &all, &thin, 1 + round % 3);
                parts_append(
                    w, &all, &(struct batch_spec){ .count = 1, .value = 66000 + 5000 * round }, 1);
                parts_append(w, &all, &thin, round % 2);
                shot_take(w, &all, &s);
                if (round % 2) parts_crash(w, &all);
                shot_check(w, &all, &s);
                shot_free(&s);
        }
        world_close(w);
}

/* --- the number of shards --- */
STORAGE_TEST_ONE(journal_crash, a_journal_of_another_number_is_read_too)
{
        struct parts all = { .n = 3 };
        struct shot s;
        char from[512], to[512];
        parts_open(w, &all);
        parts_append(w, &all, &thin, 6);
        shot_take(w, &all, &s);
        world_kill(w);
        journal_path(w, 0, from);
        journal_path(w, 3, to);
        cr_assert_eq(rename(from, to), 0);
        world_open(w);
        parts_start(w, &all);
        shot_check(w, &all, &s);
        parts_append(w, &all, &thin, 1);
        journal_until_ready(w);
        parts_append(w, &all, &thin, 3); /* into a new journal-0 */
        cr_assert_geq(file_size_of(from), RING);
        shot_free(&s);
        shot_take(w, &all, &s);
        parts_crash(w, &all);
        shot_check(w, &all, &s);
        shot_free(&s);
        world_close(w);
}

/* Two shards write a journal each; then there is one shard. */
STORAGE_TEST_ONE(journal_crash, two_shards_become_one)
{
        struct partition *p[2];
        struct log_shard *ls[2];
        struct err e = { 0 };
        char path[512];
        w->journal_bytes = RING;
        world_open(w);
        ls[0] = w->ls;
        ls[1] = world_shard(w);
        for (int i = 0; i < 2; i++) {
                w->ls = ls[i];
                p[i] = world_partition(w, (uint8_t)(i + 1), NULL);
        }
        cr_assert_eq(store_recovered(w->store, w->io, &e), ST_OK);
        for (int i = 0; i < 2; i++) {
                w->ls = ls[i];
                append_many(w, p[i], &thin, 1);
                journal_until_ready(w);
                append_many(w, p[i], &thin, 5 + (unsigned)i);
                cr_assert_gt(p[i]->jend, p[i]->settled_virt);
                journal_path(w, (unsigned)i, path);
                cr_assert_geq(file_size_of(path), RING);
        }
        world_settle(w);
        w->ls = ls[0];
        segment_fds_trim(ls[0], 0);
        journal_close(ls[0]->journal);
        while (ls[0]->busy > 0) world_turn(w);
        log_shard_free(ls[0]);
        w->ls = ls[1];
        world_kill(w);
        world_open(w);
        for (int i = 0; i < 2; i++) {
                struct log_bytes all;
                p[i] = world_partition(w, (uint8_t)(i + 1), NULL);
                read_all(w, p[i], 1000, &all);
                cr_assert_eq(all.end, 18 + 3 * i);
                log_bytes_free(&all);
        }
        cr_assert_eq(store_recovered(w->store, w->io, &e), ST_OK);
        world_close(w);
}

/* --- again and again --- */
STORAGE_TEST_ONE(journal_crash, recovery_that_is_broken_off_can_be_repeated)
{
        struct parts all = { .n = 4 };
        struct shot s;
        char path[512];
        uint8_t *before, *after;
        parts_open(w, &all);
        parts_append(w, &all, &thin, 8);
        shot_take(w, &all, &s);
        world_kill(w);
        journal_path(w, 0, path);
        size_t n = file_get(path, &before);
        for (int i = 0; i < 3; i++) { /* pieces written, the journal not used up */
                world_open(w);
                parts_recover(w, &all);
                cr_assert_not_null(journal_pieces(w->store, &all.p[0]->key));
                shot_check(w, &all, &s);
                world_kill(w);
                cr_assert_eq(file_get(path, &after), n);
                cr_assert_eq(memcmp(before, after, n), 0, "the journal is as it was");
                free(after);
        }
        for (int i = 0; i < 3; i++) {
                world_open(w);
                parts_start(w, &all);
                shot_check(w, &all, &s);
                world_kill(w);
        }
        world_open(w);
        parts_recover(w, &all);
        cr_assert_null(journal_pieces(w->store, &all.p[0]->key), "used up");
        shot_check(w, &all, &s);
        world_kill(w);
        free(before);
        shot_free(&s);
}

STORAGE_TEST_ONE(journal_crash, every_run_has_groups_of_its_own)
{
        struct parts all = { .n = 3 };
        struct shot s;
        parts_open(w, &all);
        for (unsigned run = 0; run < 6; run++) {
                parts_append(w, &all, &thin, 1 + run); /* the first one directly */
                journal_until_ready(w);
                parts_append(w, &all, &thin, 1 + run % 3);
                shot_take(w, &all, &s);
                if (run % 3 == 2) {
                        world_close(w);
                        world_open(w);
                        parts_start(w, &all);
                } else
                        parts_crash(w, &all);
                shot_check(w, &all, &s);
                shot_free(&s);
        }
        world_close(w);
}

/* After recovery more is appended directly; the groups are still in the ring. */
STORAGE_TEST_ONE(journal_crash, groups_of_an_earlier_run_do_not_come_back)
{
        struct parts all = { .n = 2 };
        struct shot s;
        parts_open(w, &all);
        parts_append(w, &all, &thin, 6);
        world_kill(w);
        w->journal_bytes = 0;
        world_open(w);
        parts_start(w, &all);
        parts_append(w, &all, &thin, 4);
        shot_take(w, &all, &s);
        parts_crash(w, &all);
        shot_check(w, &all, &s);
        shot_free(&s);
        world_close(w);
}

/* A batch of exactly so many bytes. */
static struct batch_spec sized(uint64_t size)
{
        struct batch_spec s = { .count = 1, .value = (uint32_t)size - 100, .seed = 7 };
        for (;; s.value++) { /* bounded: each byte of value is one at least */
                struct bytes_of b = batch_make(&s);
                cr_assert_leq(b.n, size);
                free(b.p);
                if (b.n == size) return s;
        }
}

/* A direct write fails, what follows it is in a group: nobody was told of it, and it has to stay
 * away even when the log later ends exactly where that piece begins. */
static void lost_run(struct world *w, struct parts *all, uint64_t *ret_piece, int64_t *ret_end)
{
        w->wrap = fault_io_new;
        parts_open(w, all);
        struct partition *p = all->p[0];
        for (int i = 0; i < 3; i++) /* room in its file */
                append_many(w, p, &(struct batch_spec){ .count = 1, .value = 100000 }, 1);
        world_settle(w);
        *ret_end = p->durable_end;
        *ret_piece = page_down(p->append_virt) + (128 << 10);
        struct batch_spec s = sized(*ret_piece - p->append_virt);
        fault_of(w->io)->fault = (struct fault){ .kind = IO_WRITE,
                .error = EIO,
                .times = 1,
                .fd = w->ls->journal->fd,
                .other_fds = true };
        struct appended *fat = append_begin(p, &s);
        log_shard_plan(w->ls);
        cr_assert(p->flush && p->flush->to == *ret_piece);
        struct appended *after = append_begin(p, &thin);
        log_shard_plan(w->ls);
        world_until(w, &fat->finished);
        world_until(w, &after->finished);
        cr_assert(fat->a.status == ST_FENCED && after->a.status == ST_FENCED);
        appended_free(fat);
        appended_free(after);
        world_kill(w);
}

STORAGE_TEST_ONE(journal_crash, a_piece_behind_lost_bytes_stays_away)
{
        struct parts all = { .n = 1 };
        struct disk_journal j;
        uint64_t piece;
        int64_t end;
        lost_run(w, &all, &piece, &end);
        disk_get(w, 0, &j);
        struct disk_entry *x = disk_entries(&j, disk_newest(&j));
        cr_assert_eq(x[0].position, piece, "the rest is in a group");
        free(x);
        disk_free(&j);
        world_open(w);
        parts_start(w, &all);
        cr_assert_eq(all.p[0]->status, ST_OK);
        cr_assert_eq(all.p[0]->durable_end, end);
        w->ls->journal->retry_ns = UINT64_MAX; /* all goes directly */
        struct batch_spec again = sized(piece - all.p[0]->append_virt);
        cr_assert_eq(append_one(w, all.p[0], &again), ST_OK);
        cr_assert_eq(all.p[0]->append_virt, piece);
        world_kill(w);
        world_open(w);
        parts_start(w, &all);
        cr_assert_eq(all.p[0]->durable_end, end + 1);
        cr_assert_eq(append_one(w, all.p[0], &thin), ST_OK);
        world_close(w);
}

/* More than the buffer that brings it into the file, of which nothing is there yet. */
STORAGE_TEST_ONE(journal_crash, four_megabytes_of_one_partition_come_back)
{
        enum { LATER = 75 };
        const struct batch_spec large = { .count = 1, .value = 100000 };
        struct parts all = { .n = 1 };
        struct appended *x[LATER];
        struct shot s;
        w->wrap = fault_io_new;
        w->journal_bytes = 16 << 20;
        parts_open(w, &all);
        struct partition *p = all.p[0];
        for (int i = 0; i < 3; i++) append_many(w, p, &large, 1); /* room in its file */
        world_settle(w);
        struct fault_io *f = fault_of(w->io);
        const int fd = p->segments[0]->fd;
        f->hold_writes_fd = fd;
        struct appended *fat = append_begin(p, &large);
        log_shard_plan(w->ls);
        for (unsigned i = 0; i < LATER; i++) {
                x[i] =
                    append_begin(p, &(struct batch_spec){ .count = 1, .value = 50000, .seed = i });
                for (int k = 0; k < 1000 && p->jend != p->append_virt; k++) world_turn(w);
                cr_assert_eq(p->jend, p->append_virt);
        }
        f->hold_writes_fd = 0;
        io_turn(w->io, 0); /* the direct write leaves, and none after it */
        f->fault = (struct fault){ .kind = IO_WRITE, .error = EIO, .times = UINT32_MAX, .fd = fd };
        world_until(w, &fat->finished);
        for (unsigned i = 0; i < LATER; i++) {
                world_until(w, &x[i]->finished);
                cr_assert_eq(x[i]->a.status, ST_OK);
                appended_free(x[i]);
        }
        appended_free(fat);
        cr_assert_gt(p->durable_virt - p->settled_virt, UINT64_C(3700000));
        shot_take(w, &all, &s);
        parts_crash(w, &all);
        shot_check(w, &all, &s);
        world_close(w);
}
