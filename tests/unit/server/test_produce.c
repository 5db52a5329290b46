/* Produce through a socket: answers, order, acknowledgements. */
#include "base/check.h"
#include "protocol/errors.h"
#include "tests/unit/server/wire_client.h"

#include <criterion/criterion.h>

static struct rig rig;
static void setup(void)
{
        rig_open(&rig, NULL);
}
static void teardown(void)
{
        rig_close(&rig);
}
TestSuite(produce, .init = setup, .fini = teardown, .timeout = 120);

typedef struct produce_req_topic_data_partition_data part;
typedef struct produce_req_topic_data topic_data;
typedef struct produce_res_responses_partition_responses part_res;

enum { T = 1700000000 };

Test(produce, offsets_go_up_and_come_back)
{
        cr_assert_eq(rig_create(&rig, "t", 3), 0);
        for (int32_t p = 0; p < 3; p++) {
                part_res a = wire_produce(&rig, "t", p, wire_batch(&rig, "one", 5, T));
                part_res b = wire_produce(&rig, "t", p, wire_batch(&rig, "two", 2, T));
                cr_expect_eq(a.error_code, 0);
                cr_expect_eq(a.base_offset, 0);
                cr_expect_eq(b.base_offset, 5);
                cr_expect_eq(b.log_append_time_ms, -1);
                cr_expect_eq(b.log_start_offset, 0);
                struct wire_fetch f = { .topic = "t", .partition = p };
                struct fetch_res_responses_partitions got = wire_fetch(&rig, &f);
                cr_expect_eq(got.high_watermark, 7);
                cr_expect_eq(wire_count(got.records), 7);
        }
}

Test(produce, each_partition_for_itself)
{
        cr_assert_eq(rig_create(&rig, "t", 4), 0);
        struct records good = wire_batch(&rig, "x", 1, T), bad = wire_batch(&rig, "x", 1, T);
        union {
                const uint8_t *in;
                uint8_t *own;
        } flip = { .in = bad.p };
        flip.own[bad.n - 1] ^= 1;
        part p[] = { { 0, good }, { 1, bad }, { 2, { .n = -1 } }, { 3, good }, { 4, good },
                { -1, good } };
        part q[] = { { 0, good } };
        topic_data t[] = { { .name = STR("t"), .partition_data = { COUNT_OF(p), p } },
                { .name = STR("nobody"), .partition_data = { 1, q } } };
        struct produce_req req = {
                .transactional_id = STR_NULL, .acks = -1, .timeout_ms = 1000, .topic_data = { 2, t }
        };
        struct produce_res res;
        static const int16_t want[] = { 0, WIRE_CORRUPT_MESSAGE, WIRE_INVALID_RECORD, 0,
                WIRE_UNKNOWN_TOPIC_OR_PARTITION, WIRE_UNKNOWN_TOPIC_OR_PARTITION };
        cr_assert(rig_call(&rig, API_PRODUCE, 9, &req, &res));
        cr_assert_eq(res.responses.n, 2);
        cr_assert_eq(res.responses.at[0].partition_responses.n, (int)COUNT_OF(p));
        for (size_t i = 0; i < COUNT_OF(p); i++) {
                part_res r = res.responses.at[0].partition_responses.at[i];
                cr_expect_eq(r.index, p[i].index);
                cr_expect_eq(r.error_code, want[i], "%zu: %d", i, r.error_code);
                cr_expect_eq(r.base_offset, want[i] ? -1 : 0);
                cr_expect_eq(r.error_message.n >= 0, want[i] != 0);
        }
        cr_expect(str_eq(res.responses.at[1].name, STR("nobody")));
        cr_expect_eq(res.responses.at[1].partition_responses.at[0].error_code, 3);
}

Test(produce, fault_9_a_partition_named_twice_is_appended_to_not_at_all)
{
        cr_assert_eq(rig_create(&rig, "t", 2), 0);
        struct records b = wire_batch(&rig, "x", 1, T);
        part p[] = { { 0, b }, { 1, b } }, q[] = { { 0, b } };
        topic_data t[] = { { .name = STR("t"), .partition_data = { 2, p } },
                { .name = STR("t"), .partition_data = { 1, q } } };
        struct produce_req req = {
                .transactional_id = STR_NULL, .acks = 1, .timeout_ms = 1000, .topic_data = { 2, t }
        };
        struct produce_res res;
        cr_assert(rig_call(&rig, API_PRODUCE, 8, &req, &res));
        cr_assert_eq(res.responses.n, 1, "one topic in two entries is one answer");
        cr_assert_eq(res.responses.at[0].partition_responses.n, 2);
        cr_expect_eq(
            res.responses.at[0].partition_responses.at[0].error_code, WIRE_INVALID_REQUEST);
        cr_expect_eq(res.responses.at[0].partition_responses.at[1].error_code, 0);
        struct wire_fetch f = { .topic = "t" };
        cr_expect_eq(wire_fetch(&rig, &f).high_watermark, 0);
}

Test(produce, acks_other_than_three)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        part p[] = { { 0, wire_batch(&rig, "x", 1, T) }, { 1, wire_batch(&rig, "x", 1, T) } };
        topic_data t = { .name = STR("t"), .partition_data = { 2, p } };
        struct produce_req req = {
                .transactional_id = STR_NULL, .acks = 2, .timeout_ms = 1000, .topic_data = { 1, &t }
        };
        struct produce_res res;
        cr_assert(rig_call(&rig, API_PRODUCE, 9, &req, &res));
        cr_expect_eq(res.responses.at[0].partition_responses.at[0].error_code, 21);
        cr_expect_eq(res.responses.at[0].partition_responses.at[1].error_code, 3);
}

Test(produce, acks_0_has_no_answer_and_an_error_closes)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        part p = { 0, wire_batch(&rig, "x", 1, T) };
        topic_data t = { .name = STR("t"), .partition_data = { 1, &p } };
        struct produce_req req = {
                .transactional_id = STR_NULL, .timeout_ms = 1000, .topic_data = { 1, &t }
        };
        for (int i = 0; i < 10; i++) rig_send(&rig, API_PRODUCE, 7, &req);
        /* The next answer on the connection is this one's. */
        part_res r = wire_produce(&rig, "t", 0, wire_batch(&rig, "y", 1, T));
        cr_expect_eq(r.base_offset, 10);
        p.index = 5;
        rig_send(&rig, API_PRODUCE, 7, &req);
        struct produce_res res;
        cr_expect_not(rig_receive(&rig, API_PRODUCE, 7, &res));
}

Test(produce, by_topic_id)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        const struct metadata_res_topics *m = rig_topic(&rig, "t");
        part p = { 0, wire_batch(&rig, "x", 1, T) };
        topic_data t[] = {
                { .name = STR(""), .topic_id = m->topic_id, .partition_data = { 1, &p } },
                { .name = STR(""), .topic_id = { { 1 } }, .partition_data = { 1, &p } },
                { .name = STR(""), .partition_data = { 1, &p } }
        };
        struct produce_req req = {
                .transactional_id = STR_NULL, .acks = -1, .timeout_ms = 1000, .topic_data = { 3, t }
        };
        struct produce_res res;
        cr_assert(rig_call(&rig, API_PRODUCE, 13, &req, &res));
        cr_assert_eq(res.responses.n, 3);
        static const int16_t want[] = { 0, WIRE_UNKNOWN_TOPIC_ID, WIRE_UNKNOWN_TOPIC_ID };
        for (int i = 0; i < 3; i++) {
                cr_expect(uuid_eq(res.responses.at[i].topic_id, t[i].topic_id));
                cr_expect_eq(res.responses.at[i].partition_responses.at[0].error_code, want[i]);
        }
}

Test(produce, nothing_asked_nothing_told)
{
        struct produce_req req = { .transactional_id = STR_NULL, .acks = -1 };
        struct produce_res res;
        cr_assert(rig_call(&rig, API_PRODUCE, 9, &req, &res));
        cr_expect_eq(res.responses.n, 0);
}

Test(produce, transactional_batches_are_refused)
{
        cr_assert_eq(rig_create(&rig, "t", 2), 0);
        struct records b = wire_batch(&rig, "x", 1, T);
        union {
                const uint8_t *in;
                uint8_t *own;
        } bytes = { .in = b.p };
        bytes.own[BATCH_ATTRIBUTES + 1] = BATCH_ATTR_TXN;
        part p[] = { { 0, b }, { 1, wire_batch(&rig, "y", 1, T) } };
        topic_data t = { .name = STR("t"), .partition_data = { 2, p } };
        struct produce_req req = { .transactional_id = STR_NULL,
                .acks = -1,
                .timeout_ms = 1000,
                .topic_data = { 1, &t } };
        struct produce_res res;
        cr_assert(rig_call(&rig, API_PRODUCE, 9, &req, &res));
        for (int i = 0; i < 2; i++)
                cr_expect_eq(res.responses.at[0].partition_responses.at[i].error_code,
                    WIRE_TRANSACTIONAL_ID_AUTHORIZATION_FAILED);
        req.transactional_id = STR("tx");
        cr_assert(rig_call(&rig, API_PRODUCE, 9, &req, &res));
        cr_expect_eq(
            res.responses.at[0].partition_responses.at[0].error_code, WIRE_INVALID_TXN_STATE);
        cr_expect_eq(res.responses.at[0].partition_responses.at[1].error_code, 0);
}

Test(produce, pipelined_requests_are_answered_in_order)
{
        enum { N = 40 };
        cr_assert_eq(rig_create(&rig, "t", 6), 0);
        for (int i = 0; i < N; i++) {
                part p = { i % 6, wire_batch(&rig, "x", 1 + i % 3, T) };
                topic_data t = { .name = STR("t"), .partition_data = { 1, &p } };
                struct produce_req req = { .transactional_id = STR_NULL,
                        .acks = -1,
                        .timeout_ms = 30000,
                        .topic_data = { 1, &t } };
                rig_send(&rig, API_PRODUCE, 9, &req);
        }
        int64_t next[6] = { 0 };
        for (int i = 0; i < N; i++) {
                struct produce_res res;
                cr_assert(rig_receive(&rig, API_PRODUCE, 9, &res));
                part_res r = res.responses.at[0].partition_responses.at[0];
                cr_assert_eq(r.index, i % 6);
                cr_assert_eq(r.base_offset, next[i % 6]);
                next[i % 6] += 1 + i % 3;
        }
}
