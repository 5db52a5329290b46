/* Recovery: the table, and files damaged by hand. */
#include "storage/recovery_cases.h"
#include "tests/unit/storage/storage_fixture.h"

#include <stdio.h>
#include <unistd.h>

static const struct batch_spec small = { .count = 3, .value = 60, .timestamp = 1000, .step = 1 };

/* --- the table --- */
Test(recovery_table, exactly_one_row_for_every_set_of_facts)
{
        for (uint32_t facts = 0; facts < RECOVERY_FACTS; facts++) {
                unsigned rows = 0;
                for (size_t i = 0; i < recovery_cases_count; i++)
                        rows += (facts & recovery_cases[i].care) == recovery_cases[i].want;
                cr_expect_eq(rows, 1, "facts %x match %u rows", facts, rows);
                enum recovery_action a = recovery_decide(facts)->action;
                if (facts & (RECOVERY_UNREADABLE | RECOVERY_SHORT))
                        cr_expect_eq(a, RECOVERY_REFUSE);
                if (a == RECOVERY_CUT)
                        cr_expect_eq(facts, 0, "cuts only what nothing speaks against");
        }
}

/* --- helpers --- */
struct image {
        char path[512];
        uint8_t *p;
        size_t n;
        int64_t end;
        size_t starts[512]; /* of batches */
        unsigned batches;
};

/* A log of n batches as a plain file of exact size, without checkpoint. */
static void image_make(struct world *w, struct image *m, const struct batch_spec *s, unsigned n)
{
        char checkpoint[512];
        struct log_bytes all;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        m->end = append_many(w, p, s, n);
        read_all(w, p, 1 << 20, &all);
        log_bytes_free(&all);
        world_close(w);
        snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint-0", w->dir);
        cr_assert_eq(unlink(checkpoint), 0);
        file_path(w, 1, "00000000000000000000.log", m->path);
        m->n = file_get(m->path, &m->p);
        m->batches = 0;
        for (size_t at = 0; at < m->n;) {
                struct batch b;
                cr_assert_null(batch_read(m->p + at, m->n - at, true, &b));
                m->starts[m->batches++] = at;
                at += b.size;
        }
        cr_assert_eq(m->batches, n);
}

/* What the partition looks like after a start; the world stays open. */
static struct partition_state recovered(struct world *w, struct partition **ret_p)
{
        struct partition_state st;
        world_open(w);
        *ret_p = world_partition(w, 1, NULL);
        partition_get_state(*ret_p, &st);
        return st;
}

static void check_prefix(struct world *w, struct partition *p, const struct image *m, size_t n)
{
        struct log_bytes all;
        read_all(w, p, 1 << 20, &all);
        cr_assert_eq(all.n, n);
        cr_assert_eq(memcmp(all.p, m->p, n), 0);
        log_bytes_free(&all);
}

/* --- torn tails --- */
/* Case 35; what is behind the tear: nothing, zeros, noise. */
static void tear_at(struct world *w, const struct image *m, size_t at, int behind)
{
        size_t keep = m->starts[m->batches - 1];
        size_t n = behind == 0 ? at : page_up(m->n) + 8192;
        uint8_t *torn = calloc(1, n + 1);
        memcpy(torn, m->p, at);
        for (size_t i = at; behind == 2 && i < n; i++) torn[i] = (uint8_t)(i * 131 + 7);
        file_put(m->path, torn, n);
        bool whole = n >= m->n && memcmp(torn, m->p, m->n) == 0; /* what was lost was zero anyway */
        free(torn);
        struct partition *p;
        struct partition_state st = recovered(w, &p);
        cr_assert_eq(st.status, ST_OK);
        cr_assert_eq(st.high_watermark, whole ? m->end : m->end - 3, "torn at %zu, %d", at, behind);
        check_prefix(w, p, m, whole ? m->n : keep);
        /* And it goes on from there. */
        cr_assert_eq(append_one(w, p, &small), ST_OK);
        cr_assert_eq(p->durable_end, st.high_watermark + 3);
        world_kill(w);
}

STORAGE_TEST_ONE(recovery, torn_at_every_byte_of_the_last_batch)
{
        struct image m;
        image_make(w, &m, &small, 30);
        size_t step = 1;
        for (size_t at = m.starts[m.batches - 1]; at <= m.n; at += step)
                tear_at(w, &m, at, (int)(at % 3));
        free(m.p);
}

STORAGE_TEST(recovery, torn_with_each_kind_of_rest)
{
        struct image m;
        image_make(w, &m, &small, 30);
        for (int behind = 0; behind < 3; behind++) {
                tear_at(w, &m, m.starts[m.batches - 1] + 21, behind);
                tear_at(w, &m, m.n - 1, behind);
                tear_at(w, &m, m.n, behind);
        }
        free(m.p);
}

STORAGE_TEST(recovery, a_cut_is_really_cut)
{
        struct image m;
        struct partition *p;
        image_make(w, &m, &small, 30);
        m.p[m.starts[20] + 70] ^= 1;
        file_put(m.path, m.p, m.n);
        struct partition_state st = recovered(w, &p);
        cr_assert_eq(st.high_watermark, 60);
        cr_assert_eq(file_size_of(m.path), (int64_t)m.starts[20]);
        cr_assert_eq(append_one(w, p, &small), ST_OK);
        world_kill(w);
        st = recovered(w, &p);
        cr_assert_eq(st.high_watermark, 63, "no batch of the old tail comes back");
        world_close(w);
        free(m.p);
}

STORAGE_TEST(recovery, an_empty_file_is_an_empty_segment)
{
        struct image m;
        struct partition *p;
        image_make(w, &m, &small, 3);
        file_put(m.path, "", 0);
        struct partition_state st = recovered(w, &p);
        cr_assert_eq(st.status, ST_OK);
        cr_assert_eq(st.high_watermark, 0);
        cr_assert_eq(append_one(w, p, &small), ST_OK);
        world_close(w);
        free(m.p);
}

/* --- refusals --- */
static void expect_refused(struct world *w, const struct image *m, const uint8_t *p, size_t n)
{
        uint8_t *after;
        struct partition *q;
        file_put(m->path, p, n);
        struct partition_state st = recovered(w, &q);
        cr_assert_eq(st.status, ST_CORRUPT);
        cr_assert_eq(append_one(w, q, &small), ST_CORRUPT);
        struct fetched *f = read_one(w, q, 0, 1000);
        cr_assert_eq(f->r.status, ST_CORRUPT);
        fetched_free(f);
        world_close(w);
        size_t left = file_get(m->path, &after);
        cr_assert_eq(left, n, "the file stays as it is");
        cr_assert_eq(memcmp(after, p, n), 0);
        free(after);
}

/* Case 44: damage with durable batches further behind it than one write could reach. */
STORAGE_TEST(recovery, damage_before_durable_batches_is_never_cut)
{
        struct image m;
        struct batch_spec large = { .count = 1, .value = 400000, .timestamp = 5 };
        image_make(w, &m, &large, 14); /* 5.6 MB */
        m.p[m.starts[1] + 1000] ^= 0x20;
        expect_refused(w, &m, m.p, m.n);
        m.p[m.starts[1] + 1000] ^= 0x20;
        m.p[m.starts[0] + BATCH_LENGTH + 1] ^= 1; /* the length of the first one */
        expect_refused(w, &m, m.p, m.n);
        m.p[m.starts[0] + BATCH_LENGTH + 1] ^= 1;
        m.p[m.starts[12] + 1000] ^= 0x20; /* near the end it may be a tear */
        file_put(m.path, m.p, m.n);
        struct partition *p;
        struct partition_state st = recovered(w, &p);
        cr_assert_eq(st.status, ST_OK);
        cr_assert_eq(st.high_watermark, 12);
        world_close(w);
        free(m.p);
}

STORAGE_TEST(recovery, a_file_shorter_than_its_mark_is_refused)
{
        struct image m = { .n = 0 };
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        append_many(w, p, &small, 30);
        world_close(w);
        file_path(w, 1, "00000000000000000000.log", m.path);
        m.n = file_get(m.path, &m.p);
        expect_refused(w, &m, m.p, m.n - 1);
        free(m.p);
}

/* With a mark only what is behind it is scanned. */
STORAGE_TEST(recovery, scans_from_the_mark)
{
        char path[512];
        uint8_t *bytes;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        append_many(w, p, &small, 30);
        world_close(w);
        file_path(w, 1, "00000000000000000000.log", path);
        size_t n = file_get(path, &bytes);
        bytes[100] ^= 1; /* not looked at by recovery, found by the reader */
        file_put(path, bytes, n);
        world_open(w);
        p = world_partition(w, 1, NULL);
        cr_assert_eq(p->durable_end, 90);
        struct fetched *f = read_one(w, p, 0, 1000);
        cr_assert_eq(f->r.status, ST_CORRUPT);
        fetched_free(f);
        f = read_one(w, p, 3, 1000);
        cr_assert_eq(f->r.status, ST_OK);
        fetched_free(f);
        world_close(w);
        free(bytes);
}

/* --- several segments --- */
static const struct log_config rolling = { .segment_bytes = 2000,
        .index_interval_bytes = 4096,
        .segment_ms = INT64_MAX,
        .retention_ms = -1,
        .retention_bytes = -1 };

static unsigned bases(struct world *w, struct partition *p, int64_t out[64])
{
        (void)w;
        return partition_segment_offsets(p, out, 64);
}

/* Case 46. */
STORAGE_TEST(recovery, a_missing_segment_is_a_gap)
{
        int64_t base[64];
        char name[64], path[512];
        world_open(w);
        struct partition *p = world_partition(w, 1, &rolling);
        int64_t end = append_many(w, p, &small, 30);
        unsigned n = bases(w, p, base);
        cr_assert_gt(n, 4);
        world_close(w);
        int64_t gone = base[2], next = base[1];
        snprintf(name, sizeof name, "%020" PRId64 ".log", gone);
        file_path(w, 1, name, path);
        cr_assert_eq(unlink(path), 0);
        world_open(w);
        p = world_partition(w, 1, &rolling);
        cr_assert_eq(p->status, ST_OK);
        cr_assert_eq(p->durable_end, end);
        for (int64_t at = 0; at < end; at++) {
                struct fetched *f = read_one(w, p, at, 1);
                cr_assert_eq(f->r.status, at >= gone && at < next ? ST_OUT_OF_RANGE : ST_OK);
                fetched_free(f);
        }
        cr_assert_eq(append_one(w, p, &small), ST_OK);
        world_close(w);
}

/* Case 45: a segment that is there twice, under another base. */
STORAGE_TEST(recovery, overlapping_segments_are_refused)
{
        int64_t base[64];
        char name[64], path[512], copy[512];
        uint8_t *bytes;
        world_open(w);
        struct partition *p = world_partition(w, 1, &rolling);
        append_many(w, p, &small, 30);
        bases(w, p, base);
        world_close(w);
        snprintf(name, sizeof name, "%020" PRId64 ".log", base[3]);
        file_path(w, 1, name, path);
        snprintf(name, sizeof name, "%020" PRId64 ".log", base[3] + 1);
        file_path(w, 1, name, copy);
        size_t n = file_get(path, &bytes);
        file_put(copy, bytes, n);
        free(bytes);
        world_open(w);
        p = world_partition(w, 1, &rolling);
        cr_assert_eq(p->status, ST_CORRUPT);
        world_close(w);
        cr_assert_geq(file_size_of(copy), 0);
}

STORAGE_TEST(recovery, unknown_files_stay)
{
        char path[512];
        world_open(w);
        struct partition *p = world_partition(w, 1, &rolling);
        int64_t end = append_many(w, p, &small, 30);
        world_close(w);
        static const char *const names[] = { "notes", "123.log", "0000000000000000000x.log",
                "00000000000000000000.log.bak", "00000000000000000000.deleted" };
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                file_path(w, 1, names[i], path);
                file_put(path, "hello", 5);
        }
        world_open(w);
        p = world_partition(w, 1, &rolling);
        cr_assert_eq(p->durable_end, end);
        cr_assert_eq(p->status, ST_OK);
        world_close(w);
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                file_path(w, 1, names[i], path);
                cr_assert_eq(file_size_of(path), 5);
        }
}

/* Case 37: again and again, killed each time. */
STORAGE_TEST(recovery, is_idempotent)
{
        struct image m;
        struct partition *p;
        image_make(w, &m, &small, 30);
        m.p[m.starts[25] + 30] ^= 1;
        file_put(m.path, m.p, m.n);
        for (int i = 0; i < 5; i++) {
                struct partition_state st = recovered(w, &p);
                cr_assert_eq(st.high_watermark, 75);
                check_prefix(w, p, &m, m.starts[25]);
                world_kill(w);
        }
        free(m.p);
}

/* A batch can hold bytes that look like batches; they are never taken for the log's. */
STORAGE_TEST(recovery, batches_inside_of_a_batch_do_not_confuse)
{
        struct image m;
        image_make(w, &m, &small, 5);
        uint8_t *inner = malloc(m.n);
        memcpy(inner, m.p, m.n);
        for (unsigned i = 0; i < m.batches; i++)
                batch_set_base_offset(inner + m.starts[i], 16 + 3 * (int64_t)i);
        struct partition *p;
        recovered(w, &p);
        struct record_in r = {
                .timestamp = 1, .key = { NULL, -1 }, .value = { inner, (int32_t)m.n }
        };
        struct batch_build in = { .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = &r,
                .count = 1 };
        size_t cap = batch_encode_bound(&in);
        uint8_t *bytes = malloc(cap);
        int64_t n = batch_encode(
            &in, NULL, (struct bytes_mut){ NULL, 0 }, (struct bytes_mut){ bytes, cap }, NULL);
        struct appended *x = append_raw(p, bytes, (uint32_t)n);
        world_until(w, &x->finished);
        appended_free(x);
        world_kill(w);
        uint8_t *file;
        size_t size = file_get(m.path, &file);
        file[m.n + 40] ^= 1; /* the outer one is torn, the inner ones are whole */
        file_put(m.path, file, size);
        struct partition_state st = recovered(w, &p);
        cr_assert_eq(st.status, ST_OK);
        cr_assert_eq(st.high_watermark, 15);
        world_close(w);
        free(file);
        free(inner);
        free(m.p);
}
