/* Batches as they are meant to be, in all sizes: encode, scan, iterate, search by time. */
#include "tests/unit/protocol/batch_util.h"

static struct codec_ctx *x;
static struct rng r;

static void begin(void)
{
        x = codec_ctx_new();
        r.s = 0xa4093822299f31d0;
}
static void end(void)
{
        codec_ctx_free(x);
}
TestSuite(batch_records, .init = begin, .fini = end, .timeout = 300);

enum { CAP = 64 << 20, MAX_RECORDS = 400 };

static int find_at(const uint8_t *p, const struct batch *b, int64_t t, int64_t from,
    int64_t *ret_offset, int64_t *ret_timestamp)
{
        struct batch_search s = { .timestamp = t, .from = from };
        int found = batch_find_timestamp(p, b, x, CAP, &s);
        if (found > 0) {
                *ret_offset = s.found_offset;
                *ret_timestamp = s.found_timestamp;
        }
        return found;
}

static uint8_t noise[8 << 20];

static struct bytes some(uint32_t most)
{
        if (rnd_below(&r, 10) == 0) return (struct bytes){ NULL, -1 };
        uint32_t n = rnd_below(&r, most + 1);
        return (struct bytes){ noise + rnd_below(&r, (uint32_t)sizeof noise - n), (int32_t)n };
}

static struct blob encode(const struct batch_build *in)
{
        size_t bound = batch_encode_bound(in);
        uint8_t *out = malloc(bound), *scratch = malloc(bound);
        struct err e = { 0 };
        int64_t n = batch_encode(
            in, x, (struct bytes_mut){ scratch, bound }, (struct bytes_mut){ out, bound }, &e);
        cr_assert(n > 0 && (size_t)n <= bound, "%s", e.text);
        struct blob b = blob_of(out, (size_t)n);
        free(out);
        free(scratch);
        return b;
}

struct expect {
        struct record_visitor v;
        const struct record_in *records;
        int64_t base;
        int32_t n, stop_at;
};

static int expect_record(struct record_visitor *v, const struct record *got)
{
        struct expect *e = CONTAINER_OF(v, struct expect, v);
        const struct record_in *want = &e->records[e->n];
        cr_assert(got->offset == e->base + e->n && got->timestamp == want->timestamp);
        cr_assert(got->key.n == want->key.n && got->value.n == want->value.n);
        if (want->key.n > 0) cr_assert_arr_eq(got->key.p, want->key.p, (size_t)want->key.n);
        if (want->value.n > 0) cr_assert_arr_eq(got->value.p, want->value.p, (size_t)want->value.n);
        cr_assert_eq(got->header_count, want->n_headers);
        e->n++;
        return e->n == e->stop_at ? 42 : 0;
}

static void check_round_trip(const struct batch_build *in)
{
        struct blob b = encode(in);
        struct batch h;
        cr_assert_null(batch_read(b.p, b.n, true, &h));
        cr_assert(
            batch_crc_ok(b.p, &h) && h.count == in->count && h.base_offset == in->base_offset);
        struct batch_scan s;
        struct batch_fault f = { 0 };
        cr_assert(batch_scan_records(b.p, &h, x, CAP, &s, &f), "%s", f.text);
        cr_assert_eq(s.max_timestamp, h.max_timestamp);
        struct expect e = {
                .v = { expect_record }, .records = in->records, .base = in->base_offset
        };
        struct err why = { 0 };
        cr_assert_eq(batch_each_record(b.p, &h, x, CAP, &e.v, &why), 0, "%s", why.text);
        cr_assert_eq(e.n, in->count);
        e.n = 0;
        e.stop_at = 1 + (int32_t)rnd_below(&r, (uint32_t)in->count);
        cr_assert_eq(batch_each_record(b.p, &h, x, CAP, &e.v, &why), 42, "a visitor stops it");
        cr_assert_eq(e.n, e.stop_at);
        free(b.p);
}

static struct batch_build build_with(
    const struct coding *c, const struct record_in *records, int32_t n)
{
        return (struct batch_build){ .base_offset = 1000,
                .leader_epoch = 5,
                .attributes = (int16_t)c->codec,
                .snappy_xerial = c->xerial,
                .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = records,
                .count = n };
}

Test(batch_records, round_trips_in_every_codec)
{
        static struct record_in records[MAX_RECORDS];
        static const struct record_header headers[3] = { { { "a", 1 }, { NULL, -1 } },
                { { "trace-id", 8 }, { (const uint8_t *)"0123456789abcdef", 16 } },
                { { "", 0 }, { (const uint8_t *)"", 0 } } };
        random_bytes(&r, noise, sizeof noise / 2); /* the other half compresses */
        for (int round = 0; round < 60; round++) {
                int32_t n = 1 + (int32_t)rnd_below(&r, MAX_RECORDS);
                uint32_t most = round % 3 ? 200 : 20000;
                for (int32_t i = 0; i < n; i++)
                        records[i] =
                            (struct record_in){ .timestamp = 1700000000000 + rnd_below(&r, 1000000),
                                    .key = some(most / 10),
                                    .value = some(most),
                                    .headers = headers,
                                    .n_headers = (int32_t)rnd_below(&r, 4) };
                for (size_t c = 0; c < COUNT_OF(codings); c++) {
                        struct batch_build in = build_with(&codings[c], records, n);
                        check_round_trip(&in);
                }
        }
}

/* Values around the window's size and far above it: cut records are put together. */
Test(batch_records, records_larger_than_the_window)
{
        static const int32_t sizes[] = { 0, 1, 63, 64, 65535, 65536, 65537, 131060, 131072, 131073,
                1 << 20, 5 << 20 };
        random_bytes(&r, noise, sizeof noise);
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
                struct record_in records[5];
                for (int k = 0; k < 5; k++)
                        records[k] = (struct record_in){ .timestamp = k,
                                .key = { noise, 3 },
                                .value = { noise + k, k & 1 ? 5 : sizes[i] } };
                for (size_t c = 0; c < COUNT_OF(codings); c++) {
                        struct batch_build in = build_with(&codings[c], records, 5);
                        check_round_trip(&in);
                }
        }
}

Test(batch_records, one_record_shapes)
{
        static const struct bytes shapes[] = { { NULL, -1 }, { (const uint8_t *)"", 0 },
                { (const uint8_t *)"x", 1 } };
        for (size_t c = 0; c < COUNT_OF(codings); c++)
                for (size_t k = 0; k < COUNT_OF(shapes); k++)
                        for (size_t v = 0; v < COUNT_OF(shapes); v++) {
                                struct record_in one = { .key = shapes[k], .value = shapes[v] };
                                struct batch_build in = build_with(&codings[c], &one, 1);
                                check_round_trip(&in);
                        }
}

/* --- search by time --- */

enum order { RISING, RANDOM, ABSURD, ORDERS };

static int64_t timestamp_in(enum order order, int32_t i)
{
        static const int64_t edges[] = { INT64_MIN / 2, -1, 0, 1, INT64_MAX / 2 };
        switch (order) {
        case RISING:
                return 1000 + i / 3 * 5;
        case RANDOM:
                return (int64_t)rnd_below(&r, 1000);
        default:
                return edges[rnd_below(&r, COUNT_OF(edges))];
        }
}

static int reference(const struct record_in *records, int32_t n, int64_t t, int64_t from)
{
        for (int32_t i = 0; i < n; i++)
                if (records[i].timestamp >= t && 1000 + i >= from) return i;
        return -1;
}

static void search(const struct record_in *records, int32_t n, struct blob b, const struct batch *h)
{
        static const int64_t edges[] = { INT64_MIN, INT64_MAX, -1, 0, 999, 1000 };
        for (int i = 0; i < 40; i++) {
                int64_t t =
                    i < 6 ? edges[i] : records[rnd_below(&r, (uint32_t)n)].timestamp + i % 3 - 1;
                int64_t from = i % 2 ? INT64_MIN : 995 + (int64_t)rnd_below(&r, (uint32_t)n + 10);
                int want = reference(records, n, t, from);
                int64_t offset = -7, timestamp = -7;
                int got = find_at(b.p, h, t, from, &offset, &timestamp);
                cr_assert_eq(got, want >= 0);
                cr_assert_eq(offset, want >= 0 ? 1000 + want : -7);
                cr_assert_eq(timestamp, want >= 0 ? records[want].timestamp : -7);
        }
}

Test(batch_records, find_timestamp_as_the_reference_does)
{
        static struct record_in records[MAX_RECORDS];
        for (int order = 0; order < ORDERS; order++)
                for (int round = 0; round < 60; round++) {
                        int32_t n = 1 + (int32_t)rnd_below(&r, MAX_RECORDS);
                        for (int32_t i = 0; i < n; i++)
                                records[i] = (struct record_in){ .timestamp = timestamp_in(
                                                                     (enum order)order, i),
                                        .key = { NULL, -1 },
                                        .value = some(900) };
                        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                                struct batch_build in = build_with(&codings[c], records, n);
                                struct blob b = encode(&in);
                                struct batch h;
                                cr_assert_null(batch_read(b.p, b.n, true, &h));
                                search(records, n, b, &h);
                                free(b.p);
                        }
                }
}

/* min and max int64 cannot both be one delta away, so the base is set by hand. */
Test(batch_records, find_timestamp_at_both_ends)
{
        struct record_in records[2] = { { .timestamp = 0 }, { .timestamp = INT64_MAX } };
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                struct batch_build in = build_with(&codings[c], records, 2);
                struct blob b = encode(&in);
                struct batch h;
                int64_t o = -7, t = -7;
                cr_assert_null(batch_read(b.p, b.n, true, &h));
                cr_assert_eq(find_at(b.p, &h, INT64_MAX, 0, &o, &t), 1);
                cr_assert(o == 1001 && t == INT64_MAX);
                h.base_timestamp = INT64_MIN; /* as if the header said so */
                cr_assert_eq(find_at(b.p, &h, INT64_MIN, 0, &o, &t), 1);
                cr_assert(o == 1000 && t == INT64_MIN);
                cr_assert_eq(find_at(b.p, &h, -1, 0, &o, &t), 1);
                cr_assert(o == 1001 && t == -1);
                h.base_timestamp = 1; /* and now the second one overflows */
                cr_assert_eq(find_at(b.p, &h, 2, 0, &o, &t), ST_BAD_BATCH);
                free(b.p);
        }
}

Test(batch_records, append_time_is_the_time_of_every_record)
{
        struct record_in records[4] = { { .timestamp = 50 }, { .timestamp = 60 },
                { .timestamp = INT64_MAX }, { .timestamp = 1 } };
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                struct batch_build in = build_with(&codings[c], records, 4);
                struct blob b = encode(&in);
                struct batch h;
                int64_t o = -7, t = -7;
                cr_assert_null(batch_read(b.p, b.n, true, &h));
                batch_set_timestamp(b.p, &h, true, 777);
                cr_assert_null(batch_read(b.p, b.n, true, &h));
                cr_assert_eq(find_at(b.p, &h, 778, 0, &o, &t), 0);
                cr_assert_eq(find_at(b.p, &h, 777, 0, &o, &t), 1);
                cr_assert(o == 1000 && t == 777);
                cr_assert_eq(find_at(b.p, &h, 0, 1002, &o, &t), 1);
                cr_assert(o == 1002 && t == 777);
                cr_assert_eq(find_at(b.p, &h, 0, 1004, &o, &t), 0);
                free(b.p);
        }
}

Test(batch_records, caps_hold_for_each_reader)
{
        struct record_in one = { .value = { noise, 100000 } };
        for (size_t c = 1; c < COUNT_OF(codings); c++) {
                struct batch_build in = build_with(&codings[c], &one, 1);
                struct blob b = encode(&in);
                struct batch h;
                struct batch_scan s;
                struct batch_fault f = { 0 };
                struct expect e = { .v = { expect_record }, .records = &one, .base = 1000 };
                cr_assert_null(batch_read(b.p, b.n, true, &h));
                cr_assert_not(batch_scan_records(b.p, &h, x, 100000, &s, &f));
                cr_assert_eq(f.error, 10);
                cr_assert_eq(batch_each_record(b.p, &h, x, 100000, &e.v, NULL), ST_TOO_LARGE);
                struct batch_search few = { .timestamp = 1 };
                cr_assert_eq(batch_find_timestamp(b.p, &h, x, 100000, &few), ST_TOO_LARGE);
                cr_assert_eq(batch_each_record(b.p, &h, x, 100100, &e.v, NULL), 0);
                free(b.p);
        }
}
