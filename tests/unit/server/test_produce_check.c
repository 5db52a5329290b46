/* Every row of kafka-protocol 4.1's table of checks: the error, the record, and whether the log's
 * start goes into the answer. */
#include "base/check.h"
#include "protocol/errors.h"
#include "server/produce_check.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { NOW = 1700000000, ROOM = 1 << 16 };

static struct codec_ctx *cx;
static uint8_t bytes[ROOM], scratch[ROOM];

static struct produce_rules usual(void)
{
        return (struct produce_rules){ .version = 9,
                .max_message_bytes = 1048588,
                .segment_bytes = 1 << 30,
                .before_ms = INT64_MAX,
                .after_ms = 3600000,
                .now_ms = NOW };
}

static void setup(void)
{
        cx = codec_ctx_new();
}
static void teardown(void)
{
        codec_ctx_free(cx);
}

static int32_t make(int16_t attributes, const struct record_in *records, int32_t count)
{
        struct batch_build b = { .attributes = attributes,
                .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .leader_epoch = -1,
                .records = records,
                .count = count };
        struct err e;
        int64_t n = batch_encode(
            &b, cx, (struct bytes_mut){ scratch, ROOM }, (struct bytes_mut){ bytes, ROOM }, &e);
        cr_assert_gt(n, 0, "%s", e.text);
        return (int32_t)n;
}

static int32_t simple(int16_t attributes)
{
        static const uint8_t value[] = "sediment";
        struct record_in r[3];
        for (int i = 0; i < 3; i++)
                r[i] = (struct record_in){ .timestamp = NOW + i,
                        .key = { (const uint8_t *)"k", 1 },
                        .value = { value, sizeof(value) } };
        return make(attributes, r, 3);
}

/* After a header field was changed, so that only what is tested is wrong. */
static void mend_crc(int32_t n)
{
        struct batch b;
        cr_assert_null(batch_read(bytes, (size_t)n, true, &b));
        bool append = b.attributes & BATCH_ATTR_APPEND_TIME;
        batch_set_timestamp(bytes, &b, append, b.max_timestamp);
}

static struct produce_verdict check(int32_t n, const struct produce_rules *r)
{
        struct batch b;
        struct produce_verdict v;
        bool ok = produce_check(bytes, n, r, cx, &b, &v);
        cr_assert_eq(ok, v.error == WIRE_NONE);
        cr_assert_eq(ok, v.text == NULL);
        if (ok) cr_assert(b.size <= (uint32_t)n);
        return v;
}

static void expect(int32_t n, const struct produce_rules *r, int16_t error, bool start)
{
        struct produce_verdict v = check(n, r);
        cr_expect_eq(v.error, error, "%s instead of %s (%s)", wire_error_name(v.error),
            wire_error_name(error), v.text ? v.text : "accepted");
        cr_expect_eq(v.knows_start, start || error == WIRE_NONE, "%s", wire_error_name(error));
}

TestSuite(produce_check, .init = setup, .fini = teardown);

Test(produce_check, good_batches_of_every_codec)
{
        struct produce_rules r = usual();
        for (int16_t codec = 0; codec < CODEC_COUNT; codec++) {
                int32_t n = simple(codec);
                struct produce_verdict v = check(n, &r);
                cr_expect_eq(v.error, WIRE_NONE);
                cr_expect_not(v.crc_checked, "nothing was patched: the copy verifies it");
                cr_expect_eq(v.append_ms, -1);
        }
}

Test(produce_check, what_is_no_single_batch)
{
        struct produce_rules r = usual();
        int32_t n = simple(0);
        expect(-1, &r, WIRE_INVALID_RECORD, false);
        expect(0, &r, WIRE_INVALID_RECORD, false);
        expect(n - 1, &r, WIRE_INVALID_RECORD, false);
        memcpy(bytes + n, bytes, (size_t)n);
        expect(2 * n, &r, WIRE_INVALID_RECORD, false);
        expect(n + 20, &r, WIRE_NONE, true); /* the beginning of another one is dropped */
        bytes[BATCH_MAGIC] = 1;
        expect(n, &r, WIRE_INVALID_RECORD, false);
        bytes[BATCH_MAGIC] = 3;
        expect(n, &r, WIRE_CORRUPT_MESSAGE, false);
}

Test(produce_check, fault_11_a_wrong_checksum_is_called_so_whatever_else_is_wrong)
{
        struct produce_rules r = usual();
        int32_t n = simple(0);
        store_be32(bytes + BATCH_COUNT, 7); /* breaks the checksum and the count */
        expect(n, &r, WIRE_CORRUPT_MESSAGE, false);
        n = simple(0);
        bytes[n - 1] ^= 1; /* the checksum alone: left to the copy, unless a patch is due */
        r.append_time = true;
        expect(n, &r, WIRE_CORRUPT_MESSAGE, false);
}

Test(produce_check, sizes)
{
        struct produce_rules r = usual();
        int32_t n = simple(0);
        r.max_message_bytes = n;
        expect(n, &r, WIRE_NONE, true);
        r.max_message_bytes = n - 1;
        expect(n, &r, WIRE_MESSAGE_TOO_LARGE, false);
        r = usual();
        r.segment_bytes = (uint32_t)n - 1;
        expect(n, &r, WIRE_RECORD_LIST_TOO_LARGE, false);
}

Test(produce_check, fault_16_zstd_needs_version_7)
{
        struct produce_rules r = usual();
        int32_t n = simple(CODEC_ZSTD);
        r.version = 6;
        expect(n, &r, WIRE_UNSUPPORTED_COMPRESSION_TYPE, false);
        r.version = 7;
        expect(n, &r, WIRE_NONE, true);
}

Test(produce_check, header_fields_of_a_client)
{
        struct produce_rules r = usual();
        int32_t n = simple(0);
        batch_set_base_offset(bytes, 5);
        expect(n, &r, WIRE_INVALID_RECORD, true);
        n = simple(0);
        store_be32(bytes + BATCH_COUNT, 4);
        mend_crc(n);
        expect(n, &r, WIRE_INVALID_RECORD, true);
        n = simple(0);
        store_be32(bytes + BATCH_LAST_OFFSET_DELTA, 4);
        mend_crc(n);
        expect(n, &r, WIRE_INVALID_RECORD, true);
        n = simple(BATCH_ATTR_CONTROL);
        expect(n, &r, WIRE_INVALID_RECORD, true); /* fault 20 */
        n = simple(0);
        store_be64(bytes + BATCH_PRODUCER_ID, 9);
        mend_crc(n);
        expect(n, &r, WIRE_INVALID_RECORD, true);
        n = simple(0);
        bytes[BATCH_ATTRIBUTES + 1] = 6;
        mend_crc(n);
        expect(n, &r, WIRE_UNSUPPORTED_COMPRESSION_TYPE, true);
}

Test(produce_check, null_key_on_a_compacted_topic)
{
        struct record_in recs[2] = { { .timestamp = NOW, .key = { (const uint8_t *)"k", 1 } },
                { .timestamp = NOW, .key = { NULL, -1 } } };
        struct produce_rules r = usual();
        int32_t n = make(0, recs, 2);
        expect(n, &r, WIRE_NONE, true);
        r.compact = true;
        struct produce_verdict v = check(n, &r);
        cr_expect_eq(v.error, WIRE_INVALID_RECORD);
        cr_expect_eq(v.record, 1);
        cr_expect(v.knows_start);
}

static struct produce_verdict at_time(int64_t timestamp, const struct produce_rules *r)
{
        struct record_in recs[2] = { { .timestamp = NOW }, { .timestamp = timestamp } };
        return check(make(0, recs, 2), r);
}

Test(produce_check, fault_19_timestamps_out_of_range)
{
        struct produce_rules r = usual();
        cr_expect_eq(at_time(NOW + r.after_ms, &r).error, WIRE_NONE);
        struct produce_verdict v = at_time(NOW + r.after_ms + 1, &r);
        cr_expect_eq(v.error, WIRE_INVALID_TIMESTAMP);
        cr_expect_eq(v.record, 1);
        cr_expect_eq(at_time(-1, &r).error, WIRE_NONE);
        cr_expect_eq(at_time(-1000, &r).error, WIRE_NONE);
        cr_expect_eq(at_time(0, &r).error, WIRE_NONE);
        cr_expect_eq(at_time(INT64_C(9000000000000000000), &r).error, WIRE_INVALID_TIMESTAMP);
        r.before_ms = 1000;
        cr_expect_eq(at_time(NOW - 1000, &r).error, WIRE_NONE);
        cr_expect_eq(at_time(NOW - 1001, &r).error, WIRE_INVALID_TIMESTAMP);
        r.after_ms = INT64_MAX;
        cr_expect_eq(at_time(INT64_C(9000000000000000000), &r).error, WIRE_NONE);
}

Test(produce_check, max_timestamp_is_corrected_and_the_rest_stays)
{
        struct produce_rules r = usual();
        int32_t n = simple(0);
        struct batch b;
        struct produce_verdict v;
        store_be64(bytes + BATCH_MAX_TIMESTAMP, 5);
        mend_crc(n);
        cr_assert(produce_check(bytes, n, &r, cx, &b, &v), "%s", v.text);
        cr_expect(v.crc_checked);
        cr_expect_eq(b.max_timestamp, NOW + 2);
        cr_expect_eq(load_be64(bytes + BATCH_MAX_TIMESTAMP), (uint64_t)NOW + 2);
        cr_expect(batch_crc_ok(bytes, &b));
}

Test(produce_check, log_append_time)
{
        struct produce_rules r = usual();
        struct batch b;
        struct produce_verdict v;
        int32_t n = simple(0);
        r.append_time = true;
        r.after_ms = 0; /* does not matter then */
        r.now_ms = NOW + 77;
        cr_assert(produce_check(bytes, n, &r, cx, &b, &v), "%s", v.text);
        cr_expect_eq(v.append_ms, NOW + 77);
        cr_expect_eq(b.max_timestamp, NOW + 77);
        cr_expect(b.attributes & BATCH_ATTR_APPEND_TIME);
        cr_expect(batch_crc_ok(bytes, &b));
}

Test(produce_check, the_append_time_bit_of_a_client)
{
        struct produce_rules r = usual();
        struct batch b;
        struct produce_verdict v;
        int32_t n = simple(BATCH_ATTR_APPEND_TIME);
        cr_assert(produce_check(bytes, n, &r, cx, &b, &v), "%s", v.text);
        cr_expect_not(b.attributes & BATCH_ATTR_APPEND_TIME);
        cr_expect(batch_crc_ok(bytes, &b));
        n = simple(BATCH_ATTR_APPEND_TIME);
        store_be64(bytes + BATCH_MAX_TIMESTAMP, UINT64_MAX);
        mend_crc(n);
        expect(n, &r, WIRE_INVALID_TIMESTAMP, true);
        r.append_time = true;
        n = simple(BATCH_ATTR_APPEND_TIME);
        expect(n, &r, WIRE_INVALID_TIMESTAMP, true);
}

Test(produce_check, fault_15_a_bomb_ends_at_the_cap)
{
        struct produce_rules r = usual();
        cr_expect_eq(produce_inflate_max(100, &r), (1 << 20) + 100 * 1000);
        cr_expect_eq(produce_inflate_max(1000000, &r), 64 << 20);
        r.max_message_bytes = 100 << 20;
        cr_expect_eq(produce_inflate_max(100 << 20, &r), UINT64_C(800) << 20);
}
