/* Record batches: golden bytes of the Java client, what a client may send (the sheet's table 4.1),
 * timestamps, patches.  faults.md 11 to 14 and 16 to 20 as far as the batch itself decides. */
#include "protocol/errors.h"
#include "tests/unit/protocol/golden_batches.h"

static struct codec_ctx *x;

static void begin(void)
{
        x = codec_ctx_new();
}
static void end(void)
{
        codec_ctx_free(x);
}
TestSuite(batch, .init = begin, .fini = end, .timeout = 120);

enum { CAP = 1 << 20, NO_ERROR = 0 };

/* The whole of what is checked of a client's bytes, in the order in which the server does it. */
static int16_t verdict_at(const uint8_t *p, size_t n, int32_t *ret_record)
{
        struct batch b;
        struct batch_fault f = { 0, -1, NULL };
        struct batch_scan s;
        *ret_record = -1;
        if (!batch_read_client(p, n, &b, &f)) return f.error;
        if (!batch_crc_ok(p, &b)) return WIRE_CORRUPT_MESSAGE;
        if (!batch_check_client(&b, &f)) return f.error;
        bool ok = batch_scan_records(p, &b, x, CAP, &s, &f);
        if (!ok) cr_assert(f.error != 0 && f.text != NULL);
        *ret_record = ok ? -1 : f.record;
        return ok ? NO_ERROR : f.error;
}
static int16_t verdict(const uint8_t *p, size_t n)
{
        int32_t record;
        return verdict_at(p, n, &record);
}

/* --- golden -------------------------------------------------------------------------------- */

static const struct record_header golden_headers[] = {
        { { "h1", 2 }, { (const uint8_t *)"x", 1 } },
        { { "", 0 }, { NULL, -1 } },
};
static const struct record_in golden_records[] = {
        { 1700000000000, { (const uint8_t *)"key-a", 5 },
            { (const uint8_t *)"value value value value value", 29 }, NULL, 0 },
        { 1700000000005, { NULL, -1 }, { (const uint8_t *)"no key", 6 }, golden_headers, 2 },
        { 1699999999999, { (const uint8_t *)"tomb", 4 }, { NULL, -1 }, NULL, 0 },
};

struct golden_visit {
        struct record_visitor v;
        int n;
};

static void expect_bytes(struct bytes got, struct bytes want)
{
        cr_assert_eq(got.n, want.n);
        if (want.n > 0) cr_assert_arr_eq(got.p, want.p, (size_t)want.n);
}

static int golden_record(struct record_visitor *v, const struct record *r)
{
        struct golden_visit *g = CONTAINER_OF(v, struct golden_visit, v);
        const struct record_in *want = &golden_records[g->n];
        cr_assert_eq(r->offset, g->n);
        cr_assert_eq(r->timestamp, want->timestamp);
        cr_assert_eq(r->header_count, want->n_headers);
        expect_bytes(r->key, want->key);
        expect_bytes(r->value, want->value);
        static const uint8_t headers[] = { 4, 4, 'h', '1', 2, 'x', 0, 1 };
        expect_bytes(r->headers, want->n_headers ? (struct bytes){ headers, sizeof headers }
                                                 : (struct bytes){ (const uint8_t *)"", 1 });
        g->n++;
        return 0;
}

Test(batch, golden_batches_of_the_java_client)
{
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                struct blob g = golden(c);
                struct batch b;
                cr_assert_null(batch_read(g.p, g.n, true, &b), "%s", codings[c].name);
                cr_assert(b.size == g.n && b.magic == 2 && b.base_offset == 0);
                cr_assert(b.leader_epoch == -1 && b.attributes == (int)codings[c].codec);
                cr_assert(b.last_offset_delta == 2 && b.count == 3 && batch_last_offset(&b) == 2);
                cr_assert(b.base_timestamp == 1700000000000 && b.max_timestamp == 1700000000005);
                cr_assert(b.producer_id == 4711 && b.producer_epoch == 3 && b.base_sequence == 17);
                cr_assert(batch_crc_ok(g.p, &b));
                cr_assert_eq(verdict(g.p, g.n), NO_ERROR);
                struct batch_scan s;
                struct batch_fault f;
                cr_assert(batch_scan_records(g.p, &b, x, CAP, &s, &f));
                cr_assert(s.max_timestamp == 1700000000005 && s.max_timestamp_record == 1);
                cr_assert(s.min_timestamp == 1699999999999 && s.min_timestamp_record == 2);
                cr_assert_eq(s.null_key_record, 1);
                struct golden_visit v = { .v = { golden_record } };
                struct err e = { 0 };
                cr_assert_eq(batch_each_record(g.p, &b, x, CAP, &v.v, &e), 0, "%s", e.text);
                cr_assert_eq(v.n, 3);
                free(g.p);
        }
}

static struct blob encoded(const struct batch_build *in)
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

static struct batch_build golden_build(const struct coding *c)
{
        return (struct batch_build){ .leader_epoch = -1,
                .attributes = (int16_t)c->codec,
                .snappy_xerial = c->xerial,
                .producer_id = 4711,
                .producer_epoch = 3,
                .base_sequence = 17,
                .records = golden_records,
                .count = 3 };
}

/* Byte for byte where there is only one way to write it, and the same records in any case. */
Test(batch, encodes_what_java_encodes)
{
        struct blob plain = golden(0);
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                struct batch_build in = golden_build(&codings[c]);
                struct blob b = encoded(&in);
                if (c == 0) cr_assert(b.n == plain.n && memcmp(b.p, plain.p, b.n) == 0);
                struct gather g = {
                        .sink = { gather_bytes }, .p = malloc(plain.n), .room = plain.n
                };
                struct bytes payload = { b.p + BATCH_HEADER_SIZE,
                        (int32_t)b.n - BATCH_HEADER_SIZE };
                cr_assert_eq(codec_inflate(x, codings[c].codec, payload, CAP, &g.sink, NULL), 0);
                cr_assert_eq(g.n, plain.n - BATCH_HEADER_SIZE);
                cr_assert_arr_eq(g.p, plain.p + BATCH_HEADER_SIZE, g.n);
                cr_assert_eq(verdict(b.p, b.n), NO_ERROR);
                free(g.p);
                free(b.p);
        }
        free(plain.p);
}

/* --- what a client may send: the header ------------------------------------------------------ */

static int16_t with(size_t at, size_t size, int64_t v, bool crc)
{
        struct blob g = golden(0);
        uint8_t be[8];
        store_be64(be, (uint64_t)v);
        memcpy(g.p + at, be + 8 - size, size);
        if (crc) fix_crc(g.p, g.n);
        int16_t got = verdict(g.p, g.n);
        free(g.p);
        return got;
}

Test(batch, header_rows_of_the_validation_table)
{
        static const struct {
                size_t at, size;
                int64_t v;
                int16_t want;
        } rows[] = {
                { BATCH_MAGIC, 1, 0, WIRE_INVALID_RECORD },
                { BATCH_MAGIC, 1, 1, WIRE_INVALID_RECORD },
                { BATCH_MAGIC, 1, 3, WIRE_CORRUPT_MESSAGE },
                { BATCH_MAGIC, 1, 127, WIRE_CORRUPT_MESSAGE },
                { BATCH_MAGIC, 1, -1, WIRE_CORRUPT_MESSAGE },
                { BATCH_LENGTH, 4, 48, WIRE_CORRUPT_MESSAGE },
                { BATCH_LENGTH, 4, 20, WIRE_CORRUPT_MESSAGE },
                { BATCH_LENGTH, 4, 13, WIRE_CORRUPT_MESSAGE },
                { BATCH_LENGTH, 4, 0, WIRE_CORRUPT_MESSAGE },
                { BATCH_LENGTH, 4, -1, WIRE_CORRUPT_MESSAGE },
                { BATCH_LENGTH, 4, INT32_MIN, WIRE_CORRUPT_MESSAGE },
                { BATCH_LENGTH, 4, INT32_MAX, WIRE_CORRUPT_MESSAGE },
                { BATCH_LENGTH, 4, 1000000, WIRE_INVALID_RECORD },
                { BATCH_BASE_OFFSET, 8, 1, WIRE_INVALID_RECORD },
                { BATCH_BASE_OFFSET, 8, -1, WIRE_INVALID_RECORD },
                { BATCH_COUNT, 4, 0, WIRE_INVALID_RECORD },
                { BATCH_COUNT, 4, -1, WIRE_INVALID_RECORD },
                { BATCH_COUNT, 4, 2, WIRE_INVALID_RECORD },
                { BATCH_COUNT, 4, 4, WIRE_INVALID_RECORD },
                { BATCH_COUNT, 4, INT32_MAX, WIRE_INVALID_RECORD },
                { BATCH_LAST_OFFSET_DELTA, 4, -1, WIRE_INVALID_RECORD },
                { BATCH_LAST_OFFSET_DELTA, 4, 1, WIRE_INVALID_RECORD },
                { BATCH_LAST_OFFSET_DELTA, 4, INT32_MAX, WIRE_INVALID_RECORD },
                { BATCH_ATTRIBUTES, 2, BATCH_ATTR_CONTROL, WIRE_INVALID_RECORD },
                { BATCH_ATTRIBUTES, 2, BATCH_ATTR_CONTROL | BATCH_ATTR_TXN, WIRE_INVALID_RECORD },
                { BATCH_BASE_SEQUENCE, 4, -1, WIRE_INVALID_RECORD },
                { BATCH_ATTRIBUTES, 2, 5, WIRE_UNSUPPORTED_COMPRESSION_TYPE },
                { BATCH_ATTRIBUTES, 2, 6, WIRE_UNSUPPORTED_COMPRESSION_TYPE },
                { BATCH_ATTRIBUTES, 2, 7, WIRE_UNSUPPORTED_COMPRESSION_TYPE },
                { BATCH_ATTRIBUTES, 2, 1, WIRE_CORRUPT_MESSAGE }, /* payload is not gzip, … */
                { BATCH_ATTRIBUTES, 2, 3, WIRE_CORRUPT_MESSAGE },
                { BATCH_ATTRIBUTES, 2, 4, WIRE_CORRUPT_MESSAGE },
                /* stored as sent */
                { BATCH_ATTRIBUTES, 2, BATCH_ATTR_APPEND_TIME, NO_ERROR },
                { BATCH_ATTRIBUTES, 2, BATCH_ATTR_TXN, NO_ERROR },
                { BATCH_ATTRIBUTES, 2, (int64_t)0xffc0, NO_ERROR },
                { BATCH_PRODUCER_EPOCH, 2, -1, NO_ERROR },
                { BATCH_PRODUCER_ID, 8, -1, NO_ERROR },
                { BATCH_LEADER_EPOCH, 4, 77, NO_ERROR },
                { BATCH_MAX_TIMESTAMP, 8, -1, NO_ERROR },
                { BATCH_MAX_TIMESTAMP, 8, INT64_MAX, NO_ERROR },
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++)
                cr_expect_eq(with(rows[i].at, rows[i].size, rows[i].v, true), rows[i].want,
                    "row %zu: %lld at %zu", i, (long long)rows[i].v, rows[i].at);
        /* A wrong checksum comes before what the fields say. */
        cr_expect_eq(with(BATCH_CRC, 4, 0, false), WIRE_CORRUPT_MESSAGE);
        cr_expect_eq(with(BATCH_COUNT, 4, -1, false), WIRE_CORRUPT_MESSAGE);
        cr_expect_eq(with(BATCH_HEADER_SIZE + 8, 1, 'x', false), WIRE_CORRUPT_MESSAGE);
}

Test(batch, exactly_one_batch)
{
        struct blob g = golden(0);
        for (size_t n = 0; n < g.n; n++) {
                struct blob cut = blob_of(g.p, n);
                cr_assert_eq(verdict(cut.p, cut.n), WIRE_INVALID_RECORD, "cut at %zu", n);
                free(cut.p);
        }
        for (size_t n = g.n; n <= 2 * g.n; n++) { /* a second one, cut: dropped in silence */
                struct blob two = { malloc(n), n };
                memcpy(two.p, g.p, g.n);
                memcpy(two.p + g.n, g.p, n - g.n);
                cr_assert_eq(
                    verdict(two.p, n), n < 2 * g.n ? NO_ERROR : WIRE_INVALID_RECORD, "%zu", n);
                if (n >= g.n + 17) {
                        two.p[g.n + BATCH_MAGIC] = 9;
                        cr_assert_eq(verdict(two.p, n), WIRE_CORRUPT_MESSAGE);
                }
                free(two.p);
        }
        free(g.p);
}

Test(batch, read_names_the_reason)
{
        struct blob g = golden(0);
        struct batch b = { .count = -77 };
        cr_assert_str_eq(batch_read(g.p, 60, true, &b), "header is cut");
        cr_assert_str_eq(batch_read(g.p, g.n - 1, true, &b), "batch is cut");
        cr_assert_eq(b.count, -77, "untouched on failure");
        cr_assert_null(batch_read(g.p, 61, false, &b), "a header alone may be asked for");
        cr_assert_eq(b.size, g.n);
        batch_set_base_offset(g.p, INT64_MAX - 2);
        cr_assert_null(batch_read(g.p, g.n, true, &b));
        cr_assert_eq(batch_last_offset(&b), INT64_MAX);
        batch_set_base_offset(g.p, INT64_MAX - 1);
        cr_assert_str_eq(batch_read(g.p, g.n, true, &b), "last offset overflows");
        batch_set_base_offset(g.p, 0);
        g.p[BATCH_COUNT] = 0x80;
        cr_assert_str_eq(batch_read(g.p, g.n, true, &b), "record count is negative");
        g.p[BATCH_LAST_OFFSET_DELTA] = 0x80;
        g.p[BATCH_COUNT] = 0;
        cr_assert_str_eq(batch_read(g.p, g.n, true, &b), "last offset delta is negative");
        g.p[BATCH_MAGIC] = 1;
        cr_assert_str_eq(batch_read(g.p, g.n, true, &b), "magic is not 2");
        store_be32(g.p + BATCH_LENGTH, 48);
        cr_assert_str_eq(batch_read(g.p, g.n, true, &b), "length is out of range");
        store_be32(g.p + BATCH_LENGTH, INT32_MAX - 11);
        cr_assert_str_eq(batch_read(g.p, g.n, false, &b), "length is out of range");
        free(g.p);
}

/* --- what a client may send: the records ------------------------------------------------------ */

/* Writes records by hand. */
struct pen {
        uint8_t b[512];
        int32_t n;
};

static void byte(struct pen *p, uint8_t v)
{
        p->b[p->n++] = v;
}
static void number(struct pen *p, int64_t v)
{
        uint64_t z = (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
        for (; z >= 128; z >>= 7) byte(p, (uint8_t)(z | 128));
        byte(p, (uint8_t)z);
}
static void text(struct pen *p, const char *t)
{
        number(p, (int64_t)strlen(t));
        while (*t) byte(p, (uint8_t)*t++);
}
/* A record around its body (timestamp, offset and what follows). */
static void record(struct pen *p, const struct pen *body)
{
        number(p, body->n + 1);
        byte(p, 0);
        memcpy(p->b + p->n, body->b, (size_t)body->n);
        p->n += body->n;
}
static struct pen body(int64_t timestamp, int32_t offset)
{
        struct pen p = { .n = 0 };
        number(&p, timestamp);
        number(&p, offset);
        return p;
}
static void simple(struct pen *p, int64_t timestamp, int32_t offset)
{
        struct pen b = body(timestamp, offset);
        text(&b, "k");
        text(&b, "v");
        number(&b, 0);
        record(p, &b);
}

/* The same verdict is due for each way of writing the payload. */
static void expect_records(
    const struct pen *p, int32_t count, int64_t base_timestamp, int16_t want, int32_t want_record)
{
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                struct blob payload = deflated(x, &codings[c], (struct bytes){ p->b, p->n });
                struct batch h = plain_header(count);
                h.attributes = (int16_t)codings[c].codec;
                h.base_timestamp = base_timestamp;
                struct blob b = batch_around(&h, blob_bytes(payload));
                int32_t at;
                cr_expect_eq(verdict_at(b.p, b.n, &at), want, "%s", codings[c].name);
                cr_expect_eq(at, want_record, "%s: record %d", codings[c].name, at);
                free(b.p);
                free(payload.p);
        }
}

Test(batch, record_counts_and_lengths)
{
        struct pen p = { .n = 0 };
        for (int32_t i = 0; i < 3; i++) simple(&p, i, i);
        expect_records(&p, 3, 1000, NO_ERROR, -1);
        expect_records(&p, 2, 1000, WIRE_INVALID_RECORD, -1);
        struct pen more = p;
        byte(&more, 0);                  /* a length of 0 */
        for (size_t c = 0; c < 2; c++) { /* bytes after the last record */
                struct blob payload = deflated(x, &codings[c], (struct bytes){ more.b, more.n });
                struct batch h = plain_header(3);
                h.attributes = (int16_t)codings[c].codec;
                struct blob b = batch_around(&h, blob_bytes(payload));
                cr_expect_eq(verdict(b.p, b.n), WIRE_INVALID_RECORD, "%s", codings[c].name);
                free(b.p);
                free(payload.p);
        }
        struct pen bad = p;
        bad.b[0] += 2; /* first record claims one byte more */
        expect_records(&bad, 3, 1000, WIRE_INVALID_RECORD, 0);
        bad = p;
        bad.b[0] -= 2;
        expect_records(&bad, 3, 1000, WIRE_INVALID_RECORD, 0);
        bad = p;
        bad.b[0] = 0xff; /* a length of many bytes */
        expect_records(&bad, 3, 1000, WIRE_INVALID_RECORD, 0);
}

Test(batch, fewer_records_than_announced)
{
        struct pen p = { .n = 0 };
        for (int32_t i = 0; i < 3; i++) simple(&p, i, i);
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                struct blob payload = deflated(x, &codings[c], (struct bytes){ p.b, p.n });
                struct batch h = plain_header(4);
                h.attributes = (int16_t)codings[c].codec;
                struct blob b = batch_around(&h, blob_bytes(payload));
                cr_expect_eq(verdict(b.p, b.n), WIRE_INVALID_RECORD, "%s", codings[c].name);
                free(b.p);
                free(payload.p);
        }
}

Test(batch, fields_that_lie)
{
        enum { KEY, VALUE, HEADERS, HEADER_KEY, HEADER_VALUE };
        static const struct {
                int field;
                int64_t v;
                int16_t want;
        } rows[] = {
                { KEY, -2, WIRE_INVALID_RECORD },
                { KEY, 1000, WIRE_INVALID_RECORD },
                { KEY, INT32_MAX, WIRE_INVALID_RECORD },
                { KEY, INT32_MIN, WIRE_INVALID_RECORD },
                { KEY, INT64_C(1) << 33, WIRE_INVALID_RECORD },
                { VALUE, -2, WIRE_INVALID_RECORD },
                { VALUE, 1000, WIRE_INVALID_RECORD },
                { VALUE, INT32_MAX, WIRE_INVALID_RECORD },
                { HEADERS, -1, WIRE_INVALID_RECORD },
                { HEADERS, 2, WIRE_INVALID_RECORD },
                { HEADERS, INT32_MAX, WIRE_INVALID_RECORD },
                { HEADERS, 0, WIRE_INVALID_RECORD },
                { HEADER_KEY, -1, WIRE_INVALID_RECORD },
                { HEADER_KEY, INT32_MAX, WIRE_INVALID_RECORD },
                { HEADER_VALUE, -2, WIRE_INVALID_RECORD },
                { HEADER_VALUE, INT32_MAX, WIRE_INVALID_RECORD },
                { HEADER_VALUE, 1, WIRE_INVALID_RECORD },
                /* nothing wrong: null key, value and header value; one header */
                { KEY, -1, NO_ERROR },
                { VALUE, -1, NO_ERROR },
                { HEADERS, 1, NO_ERROR },
                { HEADER_KEY, 0, NO_ERROR },
                { HEADER_VALUE, -1, NO_ERROR },
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                int64_t v[] = { -1, -1, 1, 0, -1 };
                v[rows[i].field] = rows[i].v;
                struct pen p = { .n = 0 }, b = body(0, 1);
                simple(&p, 0, 0);
                for (size_t k = 0; k < COUNT_OF(v); k++) number(&b, v[k]);
                record(&p, &b);
                simple(&p, 0, 2);
                expect_records(&p, 3, 0, rows[i].want, rows[i].want ? 1 : -1);
        }
}

Test(batch, offset_deltas_are_checked_whatever_the_codec)
{
        struct pen p = { .n = 0 };
        simple(&p, 0, 0);
        simple(&p, 0, 5);
        simple(&p, 0, -3);
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                struct blob payload = deflated(x, &codings[c], (struct bytes){ p.b, p.n });
                struct batch h = plain_header(3);
                h.attributes = (int16_t)codings[c].codec;
                struct blob b = batch_around(&h, blob_bytes(payload));
                int32_t at;
                cr_expect_eq(verdict_at(b.p, b.n, &at), WIRE_INVALID_RECORD);
                cr_expect_eq(at, 1);
                free(b.p);
                free(payload.p);
        }
}

Test(batch, record_attributes_are_stored_as_sent)
{
        struct pen p = { .n = 0 };
        simple(&p, 0, 0);
        p.b[1] = 0xff;
        expect_records(&p, 1, 0, NO_ERROR, -1);
}

Test(batch, bytes_after_gzip_are_ignored_and_bombs_are_too_large)
{
        struct pen p = { .n = 0 };
        simple(&p, 0, 0);
        struct blob z = deflated(x, &codings[1], (struct bytes){ p.b, p.n });
        struct blob longer = { calloc(1, z.n + 5), z.n + 5 };
        memcpy(longer.p, z.p, z.n);
        struct batch h = plain_header(1);
        h.attributes = CODEC_GZIP;
        struct blob b = batch_around(&h, blob_bytes(longer));
        cr_assert_eq(verdict(b.p, b.n), NO_ERROR);
        free(b.p);
        free(longer.p);
        free(z.p);
        enum { N = CAP + 100 };
        uint8_t *big = calloc(1, N);
        struct pen head = { .n = 0 }; /* a record whose value is longer than the cap */
        number(&head, N - 50);
        memcpy(big, head.b, (size_t)head.n);
        memset(big + head.n, 0, 8);
        big[head.n + 3] = 1; /* null key */
        struct pen value = { .n = 0 };
        number(&value, N - 60);
        memcpy(big + head.n + 4, value.b, (size_t)value.n);
        for (size_t c = 1; c < COUNT_OF(codings); c++) {
                struct blob s = deflated(x, &codings[c], (struct bytes){ big, N });
                h.attributes = (int16_t)codings[c].codec;
                b = batch_around(&h, blob_bytes(s));
                cr_assert_eq(verdict(b.p, b.n), WIRE_MESSAGE_TOO_LARGE, "%s", codings[c].name);
                free(b.p);
                free(s.p);
        }
        free(big);
}

/* --- timestamps, faults.md 19 ----------------------------------------------------------------- */

static bool scan(const struct pen *p, int32_t count, int64_t base, struct batch_scan *ret)
{
        struct batch h = plain_header(count);
        h.base_timestamp = base;
        struct blob b = batch_around(&h, (struct bytes){ p->b, p->n });
        struct batch_fault f;
        struct batch read;
        cr_assert_null(batch_read(b.p, b.n, true, &read));
        bool ok = batch_scan_records(b.p, &read, NULL, 0, ret, &f);
        if (!ok) cr_assert_eq(f.error, WIRE_INVALID_RECORD);
        free(b.p);
        return ok;
}

Test(batch, timestamps_at_the_edges)
{
        struct batch_scan s;
        struct pen p = { .n = 0 };
        simple(&p, INT64_MAX, 0);
        simple(&p, 0, 1);
        cr_assert(scan(&p, 2, 0, &s));
        cr_assert(s.max_timestamp == INT64_MAX && s.max_timestamp_record == 0);
        cr_assert(s.min_timestamp == 0 && s.min_timestamp_record == 1);
        cr_assert_not(scan(&p, 2, 1, &s), "overflow upwards");
        expect_records(&p, 2, 1, WIRE_INVALID_RECORD, 0);
        p.n = 0;
        simple(&p, 0, 0);
        simple(&p, INT64_MIN, 1);
        cr_assert(scan(&p, 2, 0, &s));
        cr_assert(s.min_timestamp == INT64_MIN && s.min_timestamp_record == 1);
        cr_assert_not(scan(&p, 2, -1, &s), "overflow downwards");
        expect_records(&p, 2, -1, WIRE_INVALID_RECORD, 1);
}

Test(batch, all_negative_timestamps_have_no_maximum)
{
        struct batch_scan s;
        struct pen p = { .n = 0 };
        simple(&p, -1, 0);
        simple(&p, -5, 1);
        cr_assert(scan(&p, 2, 0, &s));
        cr_assert(s.max_timestamp == -1 && s.max_timestamp_record == -1);
        cr_assert(s.min_timestamp == -5 && s.min_timestamp_record == 1);
        p.n = 0;
        for (int32_t i = 0; i < 4; i++) simple(&p, i == 2 ? 9 : 9 - i, i);
        cr_assert(scan(&p, 4, 0, &s));
        cr_assert_eq(s.max_timestamp_record, 0, "the first of equals");
}

Test(batch, emptied_by_compaction)
{
        struct batch h = plain_header(0);
        struct batch_scan s;
        struct batch_fault f;
        struct batch b;
        h.last_offset_delta = 9;
        h.attributes = CODEC_ZSTD;
        struct blob e = batch_around(&h, (struct bytes){ NULL, 0 });
        cr_assert_null(batch_read(e.p, e.n, true, &b));
        cr_assert(batch_scan_records(e.p, &b, x, CAP, &s, &f));
        cr_assert(s.max_timestamp == -1 && s.max_timestamp_record == -1);
        cr_assert(s.min_timestamp == -1 && s.null_key_record == -1);
        cr_assert_eq(verdict(e.p, e.n), WIRE_INVALID_RECORD, "but no client may send it");
        free(e.p);
        e = batch_around(&h, (struct bytes){ (const uint8_t *)"x", 1 });
        cr_assert_null(batch_read(e.p, e.n, true, &b));
        cr_assert_not(batch_scan_records(e.p, &b, x, CAP, &s, &f));
        free(e.p);
}

/* --- patches ---------------------------------------------------------------------------------- */

Test(batch, offset_and_epoch_lie_before_the_checksum)
{
        struct blob g = golden(4), was = golden(4);
        struct batch b;
        batch_set_base_offset(g.p, 0x0102030405060708);
        batch_set_leader_epoch(g.p, 0x11121314);
        cr_assert_null(batch_read(g.p, g.n, true, &b));
        cr_assert(b.base_offset == 0x0102030405060708 && b.leader_epoch == 0x11121314);
        cr_assert(batch_crc_ok(g.p, &b));
        cr_assert_arr_eq(g.p + BATCH_MAGIC, was.p + BATCH_MAGIC, g.n - BATCH_MAGIC);
        free(g.p);
        free(was.p);
}

Test(batch, append_time_sets_bit_maximum_and_checksum)
{
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                struct blob g = golden(c), was = golden(c);
                struct batch b;
                cr_assert_null(batch_read(g.p, g.n, true, &b));
                batch_set_timestamp(g.p, &b, true, 1800000000000);
                cr_assert_null(batch_read(g.p, g.n, true, &b));
                cr_assert(b.max_timestamp == 1800000000000 && batch_crc_ok(g.p, &b));
                cr_assert_eq(b.attributes, BATCH_ATTR_APPEND_TIME | (int)codings[c].codec);
                cr_assert_eq(b.base_timestamp, 1700000000000, "stays, as the deltas do");
                batch_set_timestamp(g.p, &b, false, 1700000000005);
                cr_assert_arr_eq(g.p, was.p, g.n, "and back to the byte");
                free(g.p);
                free(was.p);
        }
}

/* --- encoding --------------------------------------------------------------------------------- */

Test(batch, encode_refuses_what_cannot_be_written)
{
        struct batch_build in = golden_build(&codings[0]);
        size_t bound = batch_encode_bound(&in);
        uint8_t *out = malloc(bound);
        struct bytes_mut none = { NULL, 0 }, room = { out, bound - 1 };
        cr_assert_eq(batch_encode(&in, x, none, room, NULL), ST_TOO_LARGE);
        in.count = 0;
        room.n = bound;
        cr_assert_eq(batch_encode(&in, x, none, room, NULL), ST_INVALID);
        struct record_in far[2] = { { .timestamp = INT64_MIN }, { .timestamp = 1 } };
        in.records = far;
        in.count = 2;
        cr_assert_eq(batch_encode(&in, x, none, room, NULL), ST_INVALID);
        free(out);
}
