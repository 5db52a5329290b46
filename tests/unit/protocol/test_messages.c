/* Generated codecs: defaults, nulls, version gaps, tagged fields; every message in every version.
 */
#include "tests/unit/protocol/message_util.h"

#include "base/check.h"
#include "protocol/msg/all.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct arena arena;
static struct out out;

static void setup(void)
{
        arena_init(&arena, 1 << 20);
        out_init(&out, &arena);
}
static void teardown(void)
{
        arena_reset(&arena);
}

TestSuite(messages, .init = setup, .fini = teardown);

static struct cursor of_hex(const char *hex)
{
        struct bytes_mut b = bytes_kept(hex);
        return cursor_of(b.p, b.n);
}

Test(messages, defaults_survive_every_version)
{
        for (unsigned i = 0; i < msg_codecs_count; i++) {
                const struct msg_codec *codec = &msg_codecs[i];
                for (int16_t v = codec->min; v <= codec->max; v++) {
                        void *m = arena_alloc(&arena, codec->size);
                        cr_assert_not_null(m);
                        codec->init(m);
                        out_init(&out, &arena);
                        codec->encode(m, &out, v);
                        cr_assert_not(out.bad, "%s v%d", codec->name, v);
                        struct bytes_mut b = bytes_of_out(&out);
                        struct cursor c = cursor_of(b.p, b.n);
                        void *back = arena_alloc(&arena, codec->size);
                        cr_assert(codec->decode(back, &c, v, &arena), "%s v%d: %s", codec->name, v,
                            c.why);
                        cr_expect_eq(cursor_left(&c), 0, "%s v%d", codec->name, v);
                        free(b.p);
                }
                arena_reset(&arena);
        }
}

Test(messages, a_version_without_schema_is_refused)
{
        struct cursor c = of_hex("0000");
        struct metadata_req m;
        cr_expect_not(metadata_req_decode(&m, &c, 14, &arena));
        cr_expect_str_eq(c.why, "unknown version");
        c = of_hex("0000");
        cr_expect_not(metadata_req_decode(&m, &c, -1, &arena));
        cr_expect(m.allow_auto_topic_creation, "as initialised");
}

Test(messages, bytes_after_the_body_stay)
{
        struct cursor c = of_hex("00000000 010203");
        struct metadata_req m;
        cr_expect(metadata_req_decode(&m, &c, 0, &arena));
        cr_expect_eq(cursor_left(&c), 3);
}

Test(messages, fields_that_a_version_lacks_are_left_out)
{
        struct delete_topics_res m;
        delete_topics_res_init(&m);
        struct delete_topics_res_responses r[1];
        delete_topics_res_responses_init(&r[0]);
        r[0].name = STR("t");
        r[0].error_code = 3;
        r[0].error_message = STR("gone");
        m.throttle_time_ms = 9;
        m.responses.n = 1;
        m.responses.at = r;
        delete_topics_res_encode(&m, &out, 0);
        expect_bytes(bytes_of_out(&out), "00000001 0001 74 0003", "v0");
        out_init(&out, &arena);
        delete_topics_res_encode(&m, &out, 5);
        expect_bytes(bytes_of_out(&out), "00000009 02 02 74 0003 05 676f6e65 00 00", "v5");
}

Test(messages, null_where_it_may_not_be_is_written_as_empty)
{
        struct metadata_res_topics t[1];
        metadata_res_topics_init(&t[0]);
        t[0].name = STR_NULL;
        t[0].partitions.n = -1;
        struct metadata_res m;
        metadata_res_init(&m);
        m.brokers.n = -1;
        m.topics = (struct metadata_res_topics_array){ 1, t };
        metadata_res_encode(&m, &out, 0);
        expect_bytes(bytes_of_out(&out), "00000000 00000001 0000 0000 00000000", "v0");
        out_init(&out, &arena);
        metadata_res_encode(&m, &out, 12); /* there the name may be null */
        expect_bytes(bytes_of_out(&out),
            "00000000 01 00 ffffffff"
            "02 0000 00 00000000000000000000000000000000 00 01 80000000 00 00",
            "v12");
}

Test(messages, any_negative_count_is_a_null_array)
{
        struct cursor c = of_hex("fffffff0");
        struct metadata_req m;
        cr_expect(metadata_req_decode(&m, &c, 1, &arena));
        cr_expect_eq(m.topics.n, -1);
        c = of_hex("ffffffff");
        cr_expect_not(metadata_req_decode(&m, &c, 0, &arena), "v0 knows no null");
}

Test(messages, tagged_fields_are_left_out_when_default)
{
        struct fetch_res_responses_partitions p[1];
        fetch_res_responses_partitions_init(&p[0]);
        struct fetch_res_responses t[1];
        fetch_res_responses_init(&t[0]);
        t[0].partitions = (struct fetch_res_responses_partitions_array){ 1, p };
        struct fetch_res m;
        fetch_res_init(&m);
        m.responses = (struct fetch_res_responses_array){ 1, t };
        fetch_res_encode(&m, &out, 16);
        expect_bytes(bytes_of_out(&out),
            "00000000 0000 00000000 02 00000000000000000000000000000000"
            "02 00000000 0000 0000000000000000 ffffffffffffffff ffffffffffffffff 01 ffffffff 00 00"
            "00 00",
            "nothing tagged");
        p[0].current_leader.leader_epoch = 0;
        out_init(&out, &arena);
        fetch_res_encode(&m, &out, 16);
        expect_bytes(bytes_of_out(&out),
            "00000000 0000 00000000 02 00000000000000000000000000000000"
            "02 00000000 0000 0000000000000000 ffffffffffffffff ffffffffffffffff 01 ffffffff 00"
            "01 01 09 ffffffff 00000000 00 00 00",
            "current_leader");
}

/* metadata-like small message with known tags: ApiVersions v3 response, whose body ends in them. */
static bool decode_tags(const char *tags, struct api_versions_res *m, const char **ret_why)
{
        char hex[256];
        snprintf(hex, sizeof hex, "0000 01 00000000 %s", tags);
        struct cursor c = of_hex(hex);
        bool ok = api_versions_res_decode(m, &c, 3, &arena);
        *ret_why = c.why;
        return ok && cursor_left(&c) == 0;
}

Test(messages, unknown_tags_among_known_ones)
{
        struct api_versions_res m;
        const char *why;
        cr_expect(
            decode_tags("04 ffffffff0f 02 abcd 01 08 0000000000000007 09 00 09 01 ff", &m, &why));
        cr_expect_eq(m.finalized_features_epoch, 7);
}

Test(messages, tagged_fields_that_lie)
{
        static const struct {
                const char *tags, *why;
        } cases[] = {
                { "01 01 07 00000000000000", "ends inside a field" },
                { "01 01 09 000000000000000000", "tagged field is longer than its value" },
                { "01 01 08 00000000000000", "tagged field runs past the end" },
                { "02 03 01 01 03 01 01", "tagged field comes twice" },
                { "01 00 01 05", "more elements than the message has room for" },
                { "02 00 01 01", "ends inside a field" },
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                struct api_versions_res m;
                const char *why = NULL;
                cr_assert_not(decode_tags(cases[i].tags, &m, &why), "%s", cases[i].tags);
                cr_expect_str_eq(why, cases[i].why, "%s", cases[i].tags);
        }
}

/* A tag that a version does not know yet is unknown there. */
Test(messages, tags_of_later_versions)
{
        struct bytes_mut b =
            bytes_of_hex("000001f4 00000001 7fffffff 00 00000000 00000000"
                         "02 000102030405060708090a0b0c0d0e0f"
                         "02 00000000 00000003 0000000000000000 ffffffff ffffffffffffffff 00100000"
                         "02 00 10 0f0e0d0c0b0a09080706050403020100 01 08 0000000000000001"
                         "00 01 01 00");
        for (int16_t v = 16; v <= 18; v++) {
                struct cursor c = cursor_of(b.p, b.n);
                struct fetch_req m;
                cr_assert(fetch_req_decode(&m, &c, v, &arena), "v%d %s", v, c.why);
                const struct fetch_req_topics_partitions *p = &m.topics.at[0].partitions.at[0];
                cr_expect_eq(uuid_is_zero(p->replica_directory_id), v < 17);
                cr_expect_eq(p->high_watermark, v < 18 ? INT64_MAX : 1);
        }
        free(b.p);
}

Test(messages, record_slices_are_borrowed)
{
        static uint8_t bytes[] = { 1, 2, 3, 4, 5 };
        const struct slice slices[] = { { bytes, 2, NULL }, { bytes + 2, 3, NULL } };
        struct fetch_res_responses_partitions p[1];
        fetch_res_responses_partitions_init(&p[0]);
        p[0].records = (struct records){ .n = 5, .n_slices = 2, .slices = slices };
        struct fetch_res_responses t[1];
        fetch_res_responses_init(&t[0]);
        t[0].topic = STR("t");
        t[0].partitions = (struct fetch_res_responses_partitions_array){ 1, p };
        struct fetch_res m;
        fetch_res_init(&m);
        m.responses = (struct fetch_res_responses_array){ 1, t };
        fetch_res_encode(&m, &out, 4);
        cr_expect_eq(out.iov[1].iov_base, bytes);
        cr_expect_eq(out.iov[2].iov_base, bytes + 2);
        expect_bytes(bytes_of_out(&out),
            "00000000 00000001 0001 74 00000001 00000000 0000 0000000000000000 ffffffffffffffff"
            "00000000 00000005 0102030405",
            "fetch");
}
