/* Reads: every offset, every limit, from the tail, from the cache, from disk. */
#include "tests/unit/storage/storage_fixture.h"

static const struct batch_spec small = { .count = 3, .value = 60, .timestamp = 1000, .step = 1 };

/* Whole batches from the one that holds the offset; never above max unless it is the first. */
static void check_read(struct world *w, struct partition *p, int64_t offset, uint32_t max)
{
        struct fetched *f = read_one(w, p, offset, max);
        cr_assert_eq(f->r.status, ST_OK);
        int64_t next = -1;
        uint32_t first = 0;
        for (uint32_t at = 0; at < f->n;) {
                struct batch b;
                cr_assert_null(batch_read(f->p + at, f->n - at, true, &b));
                cr_assert(batch_crc_ok(f->p + at, &b));
                if (at == 0) {
                        cr_assert(b.base_offset <= offset && offset <= batch_last_offset(&b));
                        first = b.size;
                } else {
                        cr_assert_eq(b.base_offset, next);
                }
                next = batch_last_offset(&b) + 1;
                at += b.size;
        }
        cr_assert(f->n <= max || f->n == first);
        cr_assert_leq(next, f->r.high_watermark);
        fetched_free(f);
}

static void check_everywhere(struct world *w, struct partition *p, int64_t end)
{
        static const uint32_t limits[] = { 0, 1, 300, 5000, 1 << 20 };
        for (int64_t at = 0; at < end; at++) check_read(w, p, at, limits[at % 5]);
        for (int64_t at = end - 1; at >= 0; at -= 7) check_read(w, p, at, limits[at % 5]);
}

STORAGE_TEST(read, from_every_offset)
{
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        int64_t end = append_many(w, p, &small, 200);
        check_everywhere(w, p, end);
        world_reopen(w, true);
        p = world_partition(w, 1, NULL);
        check_everywhere(w, p, end);
        cr_assert_gt(counter_get(&w->ls->stats.disk_reads), 0);
        append_many(w, p, &small, 50);
        check_everywhere(w, p, end + 150); /* half from disk, half from the tail */
        world_reopen(w, false);
        p = world_partition(w, 1, NULL);
        check_everywhere(w, p, end + 150);
        world_close(w);
}

/* Several blocks, read again and again in pieces that end anywhere. */
STORAGE_TEST(read, again_what_was_verified)
{
        static const uint32_t limits[] = { 7000, 100000, 300000, 1 << 20 };
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        int64_t end = append_many(w, p, &small, 3000);
        world_reopen(w, true);
        p = world_partition(w, 1, NULL);
        for (unsigned round = 0; round < 3; round++)
                for (int64_t at = round; at < end; at += 501)
                        check_read(w, p, at, limits[(at + round) % 4]);
        uint64_t reads = counter_get(&w->ls->stats.disk_reads);
        struct fetched *whole = read_one(w, p, 0, 1 << 20);
        cr_assert_eq(counter_get(&w->ls->stats.disk_reads), reads);
        struct fetched *again = read_one(w, p, 0, 1 << 20);
        cr_assert_gt(whole->n, 3 * CACHE_BLOCK / 2);
        cr_assert_eq(again->n, whole->n);
        cr_assert_eq(memcmp(again->p, whole->p, whole->n), 0);
        fetched_free(again);
        fetched_free(whole);
        world_close(w);
}

/* A batch whose offsets do not follow, though its checksum is good, ends each read before it. */
STORAGE_TEST(read, never_skips_over_damage)
{
        enum { BATCHES = 400, BAD = 200 };
        char path[512];
        uint8_t *bytes;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        int64_t end = append_many(w, p, &small, BATCHES), bad = end / BATCHES * BAD;
        uint32_t size = (uint32_t)(p->segments[0]->size / BATCHES);
        world_close(w);
        file_path(w, 1, "00000000000000000000.log", path);
        size_t n = file_get(path, &bytes);
        batch_set_base_offset(bytes + (size_t)BAD * size, bad + 1);
        file_put(path, bytes, n);
        free(bytes);
        world_open(w);
        p = world_partition(w, 1, NULL);
        for (unsigned round = 0; round < 3; round++) {
                check_read(w, p, bad + 30, 1 << 20);
                struct fetched *f = read_one(w, p, 0, 1 << 20);
                cr_assert_eq(f->r.status, ST_OK);
                cr_assert_eq(f->n, BAD * size);
                fetched_free(f);
                f = read_one(w, p, bad, 1 << 20);
                cr_assert_eq(f->r.status, ST_CORRUPT);
                fetched_free(f);
        }
        world_close(w);
}

STORAGE_TEST(read, knows_its_range)
{
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        struct fetched *f = read_one(w, p, 0, 100);
        cr_assert_eq(f->r.status, ST_OK);
        cr_assert_eq(f->n, 0);
        fetched_free(f);
        append_many(w, p, &small, 2);
        static const struct {
                int64_t offset;
                int status;
        } cases[] = { { -1, ST_OUT_OF_RANGE }, { 6, ST_OK }, { 7, ST_OUT_OF_RANGE },
                { INT64_MAX, ST_OUT_OF_RANGE } };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                f = read_one(w, p, cases[i].offset, 100);
                cr_assert_eq(f->r.status, cases[i].status);
                cr_assert_eq(f->n, 0);
                cr_assert_eq(f->r.high_watermark, 6);
                cr_assert_eq(f->r.log_start, 0);
                fetched_free(f);
        }
        cr_assert_eq(partition_readable(p, 6, 100), 0);
        cr_assert_eq(partition_readable(p, 0, 100), 100);
        f = read_one(w, p, 0, 1 << 20);
        cr_assert_eq(partition_readable(p, 0, 1 << 20), f->n);
        cr_assert_eq(partition_readable(p, 4, 1 << 20), f->n / 2);
        fetched_free(f);
        world_close(w);
}

/* Law 1: what is not durable cannot be read. */
STORAGE_TEST(read, never_above_the_high_watermark)
{
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        append_many(w, p, &small, 2);
        struct appended *x = append_begin(p, &small);
        cr_assert_eq(p->append_end, 9);
        for (int64_t at = 6; at <= 9; at++) {
                struct fetched *f = calloc(1, sizeof *f);
                f->r = (struct log_read){ .partition = p,
                        .offset = at,
                        .max_bytes = 1000,
                        .at_least_one = true,
                        .on_done = (void (*)(struct log_read *))abort };
                cr_assert_eq(partition_read(&f->r), ST_OK);
                cr_assert_eq(f->r.status, ST_OK);
                cr_assert_eq(f->r.total, 0);
                cr_assert_eq(f->r.high_watermark, 6);
                free(f);
        }
        world_until(w, &x->finished);
        appended_free(x);
        check_read(w, p, 8, 1000);
        world_close(w);
}

/* Case 18. */
STORAGE_TEST(read, a_huge_first_batch_is_returned_whole)
{
        w->blocks_limit = 64 << 20;
        w->cache_limit = 2 << 20;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        append_one(w, p, &small);
        append_one(w, p, &(struct batch_spec){ .count = 1, .value = 9 << 20 });
        append_one(w, p, &small);
        for (int i = 0; i < 2; i++) {
                struct fetched *f = read_one(w, p, 3, 1000);
                cr_assert_gt(f->n, 9 << 20);
                fetched_free(f);
                f = calloc(1, sizeof *f); /* without at_least_one: nothing */
                f->r = (struct log_read){ .partition = p,
                        .offset = 3,
                        .max_bytes = 1000,
                        .on_done = (void (*)(struct log_read *))abort };
                if (i == 0) {
                        cr_assert_eq(partition_read(&f->r), ST_OK);
                        cr_assert_eq(f->r.total, 0);
                }
                free(f);
                struct log_bytes all;
                read_all(w, p, 1 << 20, &all);
                cr_assert_eq(all.batches, 3);
                log_bytes_free(&all);
                world_reopen(w, true);
                p = world_partition(w, 1, NULL);
        }
        world_close(w);
}

/* All memory is a fraction of the log: everything is evicted again and again, and all comes back.
 */
STORAGE_TEST(read, with_little_memory)
{
        w->blocks_limit = 12 << 20;
        w->cache_limit = 1 << 20;
        w->index_limit = 4096;
        w->fds_limit = 1;
        struct log_config c = plain_config;
        c.segment_bytes = 3 << 20;
        world_open(w);
        struct partition *p[3];
        for (uint8_t i = 0; i < 3; i++) {
                p[i] = world_partition(w, i, &c);
                append_many(
                    w, p[i], &(struct batch_spec){ .count = 4, .value = 5000, .seed = i }, 400);
        }
        for (int round = 0; round < 2; round++) {
                for (int i = 0; i < 3; i++) {
                        struct log_bytes all;
                        read_all(w, p[i], 200000, &all);
                        cr_assert_eq(all.batches, 400);
                        cr_assert_eq(all.end, 1600);
                        log_bytes_free(&all);
                }
                cr_assert_leq(w->ls->cache_used, (size_t)3 << 20);
                cr_assert_leq(w->ls->n_fds, 3);
                if (round == 1) break;
                world_reopen(w, false);
                for (uint8_t i = 0; i < 3; i++) p[i] = world_partition(w, i, &c);
        }
        world_close(w);
}

/* Appends wait for memory, in order, and go on. */
static void wait_for_memory(struct world *w, size_t cache)
{
        w->blocks_limit = 8 << 20;
        w->cache_limit = cache;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        struct appended *x[60];
        for (uint32_t i = 0; i < 60; i++)
                x[i] =
                    append_begin(p, &(struct batch_spec){ .count = 1, .value = 300000, .seed = i });
        cr_assert(!list_empty(&p->queue), "18 MB do not fit in 8");
        for (int i = 0; i < 60; i++) {
                world_until(w, &x[i]->finished);
                cr_assert_eq(x[i]->a.status, ST_OK);
                cr_assert_eq(x[i]->a.base_offset, i);
                appended_free(x[i]);
        }
        struct log_bytes all;
        read_all(w, p, 1 << 20, &all);
        cr_assert_eq(all.batches, 60);
        log_bytes_free(&all);
        world_close(w);
}

STORAGE_TEST(read, appends_wait_for_memory)
{
        wait_for_memory(w, 1 << 20);
}
/* Cached bytes give way to appends even when the cache may hold all memory. */
STORAGE_TEST(read, appends_wait_for_cached_memory)
{
        wait_for_memory(w, 64 << 20);
}

STORAGE_TEST_ONE(append, what_could_never_fit_is_refused)
{
        w->blocks_limit = 8 << 20;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        struct batch_spec huge = { .count = 1, .value = 5 << 20 };
        cr_assert_eq(append_one(w, p, &huge), ST_TOO_LARGE);
        cr_assert_eq(append_one(w, p, &small), ST_OK);
        world_close(w);
}

/* --- appends that are no good --- */
STORAGE_TEST(append, a_bad_checksum_moves_nothing)
{
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        append_one(w, p, &small);
        for (uint32_t size = 60; size < 60000; size *= 9) {
                struct bytes_of b = batch_make(&(struct batch_spec){ .count = 2, .value = size });
                b.p[b.n / 2] ^= 1;
                struct appended *x = append_raw(p, b.p, b.n);
                struct appended *y = append_begin(p, &small);
                world_until(w, &x->finished);
                world_until(w, &y->finished);
                cr_assert_eq(x->a.status, ST_BAD_CRC);
                cr_assert_eq(y->a.status, ST_OK);
                appended_free(x);
                appended_free(y);
        }
        struct log_bytes all;
        read_all(w, p, 1 << 20, &all);
        cr_assert_eq(all.batches, 5);
        log_bytes_free(&all);
        world_close(w);
}

struct watched {
        struct log_watch w;
        unsigned fired;
        struct partition *again;
};
static void on_move(struct log_watch *lw)
{
        struct watched *x = CONTAINER_OF(lw, struct watched, w);
        x->fired++;
        if (x->again) partition_watch(x->again, lw);
}

STORAGE_TEST(append, watches_fire_when_the_high_watermark_moves)
{
        struct watched once = { .w.on_move = on_move }, always = { .w.on_move = on_move },
                       off = once;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        always.again = p;
        partition_watch(p, &once.w);
        partition_watch(p, &always.w);
        partition_watch(p, &off.w);
        partition_unwatch(&off.w);
        partition_unwatch(&off.w);
        struct appended *x = append_begin(p, &small);
        cr_assert_eq(once.fired, 0);
        world_until(w, &x->finished);
        appended_free(x);
        append_one(w, p, &small);
        world_settle(w);
        cr_assert_eq(once.fired, 1);
        cr_assert_eq(always.fired, 2);
        cr_assert_eq(off.fired, 0);
        partition_unwatch(&always.w);
        world_close(w);
}
