/* ListOffsets and OffsetForLeaderEpoch through a socket. */
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
TestSuite(offsets, .init = setup, .fini = teardown, .timeout = 120);

enum { T = 1700000000 };

typedef struct list_offsets_res_topics_partitions told;

static told ask(int16_t version, int32_t partition, int64_t timestamp)
{
        struct list_offsets_req_topics_partitions p;
        list_offsets_req_topics_partitions_init(&p);
        p.partition_index = partition;
        p.timestamp = timestamp;
        p.max_num_offsets = 10;
        struct list_offsets_req_topics t = { STR("t"), { 1, &p } };
        struct list_offsets_req req = { .replica_id = -1, .topics = { 1, &t } };
        struct list_offsets_res res;
        cr_assert(rig_call(&rig, API_LIST_OFFSETS, version, &req, &res));
        cr_assert_eq(res.topics.n, 1);
        cr_assert_eq(res.topics.at[0].partitions.n, 1);
        return res.topics.at[0].partitions.at[0];
}

static void expect(int16_t version, int64_t asked, int64_t offset, int64_t timestamp, int32_t epoch)
{
        told r = ask(version, 0, asked);
        cr_expect_eq(r.error_code, 0, "v%d %ld: error %d", version, (long)asked, r.error_code);
        cr_expect_eq(r.offset, offset, "v%d %ld: %ld", version, (long)asked, (long)r.offset);
        cr_expect_eq(
            r.timestamp, timestamp, "v%d %ld: %ld", version, (long)asked, (long)r.timestamp);
        if (version >= 4) cr_expect_eq(r.leader_epoch, epoch);
}

Test(offsets, ends_and_times)
{
        cr_assert_eq(rig_create(&rig, "t", 2), 0);
        /* Offsets 0-9 have T … T+9, 10-19 T+100 … T+109, 20-24 T+50 … */
        wire_produce(&rig, "t", 0, wire_batch(&rig, "a", 10, T));
        wire_produce(&rig, "t", 0, wire_batch(&rig, "b", 10, T + 100));
        wire_produce(&rig, "t", 0, wire_batch(&rig, "c", 5, T + 50));
        for (int16_t v = 1; v <= 11; v++) {
                expect(v, -1, 25, -1, 0);
                expect(v, -2, 0, -1, 0);
                expect(v, 0, 0, T, 0);
                expect(v, T, 0, T, 0);
                expect(v, T + 5, 5, T + 5, 0);
                expect(v, T + 10, 10, T + 100, 0);
                expect(v, T + 103, 13, T + 103, 0);
                expect(v, T + 110, -1, -1, -1);
                expect(v, INT64_MAX, -1, -1, -1);
                if (v >= 7) expect(v, -3, 19, T + 109, 0);
                if (v >= 8) expect(v, -4, 0, -1, 0);
                if (v >= 9) expect(v, -5, -1, -1, -1);
                if (v >= 11) expect(v, -6, -1, -1, -1);
        }
}

Test(offsets, an_empty_partition)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        expect(11, -1, 0, -1, 0);
        expect(11, -2, 0, -1, 0);
        expect(11, -3, -1, -1, -1);
        expect(11, 5, -1, -1, -1);
}

Test(offsets, specials_that_a_version_does_not_know)
{
        static const struct {
                int16_t version;
                int64_t asked;
        } bad[] = { { 6, -3 }, { 7, -4 }, { 8, -5 }, { 10, -6 }, { 11, -7 }, { 1, -3 },
                { 11, INT64_MIN } };
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
                told r = ask(bad[i].version, 0, bad[i].asked);
                cr_expect_eq(r.error_code, WIRE_UNSUPPORTED_VERSION);
                cr_expect_eq(r.offset, -1);
        }
}

Test(offsets, version_0_lists_segments)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        wire_produce(&rig, "t", 0, wire_batch(&rig, "a", 10, T));
        told r = ask(0, 0, -1);
        cr_assert_eq(r.old_style_offsets.n, 2);
        cr_expect_eq(r.old_style_offsets.at[0], 10);
        cr_expect_eq(r.old_style_offsets.at[1], 0);
        r = ask(0, 0, -2);
        cr_assert_eq(r.old_style_offsets.n, 1);
        cr_expect_eq(r.old_style_offsets.at[0], 0);
        r = ask(0, 0, INT64_MAX);
        cr_expect_eq(r.old_style_offsets.n, 2);
        cr_expect_eq(ask(0, 0, T - 1).old_style_offsets.n, 0, "the segment holds later records");
}

Test(offsets, errors)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        cr_expect_eq(ask(5, 7, -1).error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
        struct list_offsets_req_topics_partitions p[3];
        for (int i = 0; i < 3; i++) {
                list_offsets_req_topics_partitions_init(&p[i]);
                p[i].timestamp = -1;
        }
        p[2].partition_index = 1;
        struct list_offsets_req_topics t[] = { { STR("t"), { 3, p } }, { STR("u"), { 1, p } } };
        struct list_offsets_req req = { .replica_id = -1, .topics = { 2, t } };
        struct list_offsets_res res;
        cr_assert(rig_call(&rig, API_LIST_OFFSETS, 7, &req, &res));
        cr_assert_eq(res.topics.n, 2);
        cr_assert_eq(res.topics.at[0].partitions.n, 2, "named twice, answered once");
        cr_expect_eq(res.topics.at[0].partitions.at[0].error_code, WIRE_INVALID_REQUEST);
        cr_expect_eq(res.topics.at[0].partitions.at[1].error_code, 3);
        cr_expect_eq(res.topics.at[1].partitions.at[0].error_code, 3);
        p[0].current_leader_epoch = 4;
        t[0].partitions.n = 1;
        req.topics.n = 1;
        cr_assert(rig_call(&rig, API_LIST_OFFSETS, 7, &req, &res));
        cr_expect_eq(res.topics.at[0].partitions.at[0].error_code, WIRE_UNKNOWN_LEADER_EPOCH);
        p[0].current_leader_epoch = 0;
        req.isolation_level = 7;
        cr_assert(rig_call(&rig, API_LIST_OFFSETS, 7, &req, &res));
        cr_expect_eq(res.topics.at[0].partitions.at[0].error_code, -1);
}

Test(offsets, for_leader_epochs)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        wire_produce(&rig, "t", 0, wire_batch(&rig, "a", 10, T));
        static const struct {
                int32_t asked, epoch;
                int64_t end;
        } want[] = { { 0, 0, 10 }, { -1, -1, -1 }, { 1, -1, -1 }, { -5, -5, 0 } };
        for (int16_t v = 0; v <= 4; v++) {
                struct offset_for_leader_epoch_req_topics_partitions p[5];
                for (int i = 0; i < 5; i++) {
                        offset_for_leader_epoch_req_topics_partitions_init(&p[i]);
                        if (i < 4) p[i].leader_epoch = want[i].asked;
                }
                p[4].partition = 1;
                struct offset_for_leader_epoch_req_topics t = { STR("t"), { 5, p } };
                struct offset_for_leader_epoch_req req = { -1, { 1, &t } };
                struct offset_for_leader_epoch_res res;
                cr_assert(rig_call(&rig, API_OFFSET_FOR_LEADER_EPOCH, v, &req, &res));
                cr_assert_eq(res.topics.at[0].partitions.n, 5);
                for (int i = 0; i < 4; i++) {
                        struct offset_for_leader_epoch_res_topics_partitions r =
                            res.topics.at[0].partitions.at[i];
                        cr_expect_eq(r.error_code, 0);
                        cr_expect_eq(r.end_offset, want[i].end);
                        if (v >= 1) cr_expect_eq(r.leader_epoch, want[i].epoch);
                }
                cr_expect_eq(res.topics.at[0].partitions.at[4].error_code, 3);
        }
}
