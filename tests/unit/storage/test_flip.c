/* Cases 43 and 44: one flipped bit, any position.  Found, never served, neighbours stay readable,
 * nothing is cut.  SWEEP_BIT=n repeats one of them. */
#include "tests/unit/storage/storage_fixture.h"

#include <stdio.h>
#include <unistd.h>

enum { BATCHES = 12, RECORDS = 3 };

static int64_t sweep(const char *name, int64_t fallback)
{
        const char *v = getenv(name);
        return v ? strtoll(v, NULL, 10) : fallback;
}

/* Reads from every offset: all that comes must be the original's bytes. */
static void check_flipped(struct world *w, struct partition *p, const uint8_t *good,
    const size_t *starts, unsigned hit, int64_t bit)
{
        for (int64_t at = 0; at < BATCHES * RECORDS; at++) {
                struct fetched *f = read_one(w, p, at, 1);
                unsigned i = (unsigned)(at / RECORDS);
                size_t from = starts[i], n = starts[i + 1] - from;
                if (f->r.status == ST_OK) {
                        cr_assert_neq(
                            i, hit, "SWEEP_BIT=%" PRId64 ": damage served at %" PRId64, bit, at);
                        cr_assert_eq(f->n, n, "SWEEP_BIT=%" PRId64 ": offset %" PRId64, bit, at);
                        cr_assert_eq(memcmp(f->p, good + from, n), 0, "SWEEP_BIT=%" PRId64, bit);
                } else {
                        cr_assert_eq(f->r.status, ST_CORRUPT, "SWEEP_BIT=%" PRId64 ": %s", bit,
                            status_text(f->r.status));
                        cr_assert_eq(i, hit, "SWEEP_BIT=%" PRId64 ": neighbour %" PRId64 " is gone",
                            bit, at);
                }
                fetched_free(f);
        }
        /* And from the beginning in large pieces: nothing but good bytes before the damage. */
        struct fetched *f = read_one(w, p, 0, 1 << 20);
        if (hit == 0)
                cr_assert_eq(f->r.status, ST_CORRUPT);
        else
                cr_assert(f->r.status == ST_OK && f->n == starts[hit], "SWEEP_BIT=%" PRId64, bit);
        fetched_free(f);
}

static void flip_all(struct world *w, const struct log_config *c, bool sealed)
{
        char path[512], index[512];
        size_t starts[BATCHES + 1] = { 0 };
        uint8_t *good;
        world_open(w);
        struct partition *p = world_partition(w, 1, c);
        append_many(
            w, p, &(struct batch_spec){ .count = RECORDS, .value = 20, .timestamp = 1 }, BATCHES);
        if (sealed) append_one(w, p, &(struct batch_spec){ .count = RECORDS, .value = 20000 });
        world_close(w);
        file_path(w, 1, "00000000000000000000.log", path);
        file_path(w, 1, "00000000000000000000.index", index);
        size_t n = file_get(path, &good);
        for (unsigned i = 0; i < BATCHES; i++)
                starts[i + 1] = starts[i] + load_be32(good + starts[i] + 8) + 12;
        cr_assert_eq(starts[BATCHES], n);
        world_open(w);
        p = world_partition(w, 1, c);
        int64_t first = sweep("SWEEP_BIT", 0), last = sweep("SWEEP_BIT", (int64_t)n * 8 - 1);
        for (int64_t bit = first; bit <= last; bit++) {
                unsigned hit = 0;
                while (starts[hit + 1] <= (size_t)bit / 8) hit++;
                uint8_t *bad = malloc(n);
                memcpy(bad, good, n);
                bad[bit / 8] ^= (uint8_t)(1U << (bit % 8));
                int fd = p->segments[0]->fd;
                (void)fd;
                file_put(path, bad, n);
                cache_forget_segment(w->ls, p->segments[0]);
                for (int i = 0; i < HINTS; i++) p->hints[i].offset = -1;
                check_flipped(w, p, good, starts, hit, bit);
                free(bad);
        }
        file_put(path, good, n);
        world_close(w);
        cr_assert_eq(file_size_of(path), (int64_t)n);
        free(good);
}

STORAGE_TEST_ONE(flip, any_bit_of_the_newest_segment_below_its_mark)
{
        flip_all(w, &plain_config, false);
}

STORAGE_TEST_ONE(flip, any_bit_of_a_sealed_segment)
{
        struct log_config c = plain_config;
        c.segment_bytes = 20000;
        flip_all(w, &c, true);
}

/* A sealed segment without index is scanned at the start; damage in it costs its batch alone. */
STORAGE_TEST(flip, sealed_segments_are_never_cut)
{
        char path[512], index[512];
        struct log_config c = plain_config;
        c.segment_bytes = 20000;
        uint8_t *bytes;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c);
        int64_t end = append_many(w, p, &(struct batch_spec){ .count = 1, .value = 900 }, 60);
        cr_assert_gt(p->n_segments, 2);
        int64_t second = p->segments[1]->base_offset;
        world_close(w);
        file_path(w, 1, "00000000000000000000.log", path);
        file_path(w, 1, "00000000000000000000.index", index);
        size_t n = file_get(path, &bytes);
        uint32_t size = load_be32(bytes + 8) + 12;
        cr_assert_eq(n, size * (size_t)second);
        for (int64_t hit = 0; hit < second; hit += 4) {
                bytes[(size_t)hit * size + 300] ^= 1;
                file_put(path, bytes, n);
                unlink(index);
                world_open(w);
                p = world_partition(w, 1, &c);
                cr_assert_eq(p->status, ST_OK);
                cr_assert_eq(p->durable_end, end);
                for (int64_t at = 0; at < end; at++) {
                        struct fetched *f = read_one(w, p, at, 1);
                        bool bad = at == hit || (hit == second - 1 && at == hit);
                        cr_assert(bad ? f->r.status != ST_OK : f->r.status == ST_OK,
                            "hit %" PRId64 ", at %" PRId64, hit, at);
                        fetched_free(f);
                }
                world_close(w);
                cr_assert_eq(file_size_of(path), (int64_t)n);
                bytes[(size_t)hit * size + 300] ^= 1;
        }
        free(bytes);
}
