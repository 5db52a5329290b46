/* Search by time against a plain loop over all records. */
#include "tests/unit/storage/storage_fixture.h"

#include <stdio.h>
#include <unistd.h>

enum { TOTAL = 600 };

struct model {
        int64_t timestamp[TOTAL];
        int64_t n;
};

static uint32_t dice(uint32_t *x)
{
        return *x = *x * 1664525U + 1013904223U, *x >> 8;
}

static void expect_find(struct world *w, struct partition *p, const struct model *m, int64_t t);

struct finding {
        struct log_find f;
        bool finished;
};
static void on_found(struct log_find *f)
{
        CONTAINER_OF(f, struct finding, f)->finished = true;
}

static void expect_find(struct world *w, struct partition *p, const struct model *m, int64_t t)
{
        struct finding x = { .f = { .partition = p, .timestamp = t, .on_done = on_found } };
        int64_t want = -1, biggest = -1;
        for (int64_t i = 0; i < m->n; i++)
                biggest = m->timestamp[i] > biggest ? m->timestamp[i] : biggest;
        int64_t target = t == LOG_TIME_MAX ? biggest : t;
        for (int64_t i = p->log_start; i < m->n && want < 0; i++)
                if (m->timestamp[i] >= target) want = i;
        if (partition_find_time(&x.f) == ST_PENDING) world_until(w, &x.finished);
        cr_assert_eq(x.f.status, ST_OK, "%s", status_text(x.f.status));
        cr_assert_eq(
            x.f.offset, want, "t %" PRId64 ": %" PRId64 ", not %" PRId64, t, x.f.offset, want);
        cr_assert_eq(x.f.found_timestamp, want < 0 ? -1 : m->timestamp[want]);
}

/* Mostly ascending, with jumps back and forth, as late producers make them. */
static void fill(struct world *w, struct partition *p, struct model *m)
{
        uint32_t x = 7;
        int64_t t = 1000;
        while (m->n + 8 < TOTAL) {
                struct batch_spec s = { .count = 1 + (int32_t)(dice(&x) % 8),
                        .value = dice(&x) % 900,
                        .timestamp = t + (int64_t)(dice(&x) % 200) - 100,
                        .step = (int64_t)(dice(&x) % 5) - 1,
                        .seed = x };
                for (int32_t i = 0; i < s.count; i++)
                        m->timestamp[m->n + i] = s.timestamp + i * s.step;
                m->n = append_many(w, p, &s, 1);
                t += (int64_t)(dice(&x) % 60);
        }
}

static void check(struct world *w, struct partition *p, const struct model *m)
{
        for (int64_t i = 0; i < m->n; i += 3)
                for (int64_t d = -1; d <= 1; d++) expect_find(w, p, m, m->timestamp[i] + d);
        expect_find(w, p, m, 0);
        expect_find(w, p, m, INT64_MAX);
        expect_find(w, p, m, LOG_TIME_MAX);
}

STORAGE_TEST(find_time, agrees_with_a_plain_loop)
{
        static struct model m;
        char path[512];
        struct log_config c = plain_config;
        c.segment_bytes = 60000;
        m.n = 0;
        world_open(w);
        struct partition *p = world_partition(w, 1, &c);
        expect_find(w, p, &m, 5);
        expect_find(w, p, &m, LOG_TIME_MAX);
        fill(w, p, &m);
        cr_assert_gt(p->n_segments, 3);
        check(w, p, &m);
        for (int i = 0; i < 3; i++) {
                world_reopen(w, i != 1);
                if (i == 2) { /* without indexes */
                        world_close(w);
                        file_path(w, 1, "00000000000000000000.index", path);
                        cr_assert_eq(unlink(path), 0);
                        world_open(w);
                }
                p = world_partition(w, 1, &c);
                check(w, p, &m);
        }
        world_close(w);
}

STORAGE_TEST_ONE(find_time, no_timestamps_are_no_answer)
{
        struct model m = { .n = 6 };
        for (int i = 0; i < 6; i++) m.timestamp[i] = -1;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        append_many(w, p, &(struct batch_spec){ .count = 3, .value = 10, .timestamp = -1 }, 2);
        struct finding x = { .f = {
                                 .partition = p, .timestamp = LOG_TIME_MAX, .on_done = on_found } };
        cr_assert_eq(partition_find_time(&x.f), ST_OK);
        cr_assert_eq(x.f.offset, -1);
        expect_find(w, p, &m, 0);
        world_close(w);
}
