/* Metadata, DescribeCluster and DescribeTopicPartitions against a whole server.  Rows C3, C10, C19
 * and C27 of the compatibility register; fault 62. */
#include "base/check.h"
#include "protocol/errors.h"
#include "server/admin.h"
#include "tests/unit/server/admin_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct metadata_res metadata(struct rig *g, int16_t version, const struct metadata_req *req)
{
        struct metadata_res res;
        cr_assert(rig_call(g, API_METADATA, version, req, &res));
        return res;
}

static struct metadata_res ask(
    struct rig *g, int16_t version, struct metadata_req_topics *t, int32_t n)
{
        struct metadata_req req = { .topics = { n, t }, .allow_auto_topic_creation = true };
        return metadata(g, version, &req);
}

Test(metadata, who_we_are_in_every_version)
{
        struct rig g;
        rig_open(&g, NULL);
        for (int16_t v = 0; v <= 13; v++) {
                struct metadata_req req = { .topics = { v == 0 ? 0 : -1, NULL } };
                struct metadata_res res = metadata(&g, v, &req);
                cr_assert_eq(res.brokers.n, 1, "v%d", v);
                cr_expect_eq(res.brokers.at[0].node_id, 1);
                cr_expect(str_eq(res.brokers.at[0].host, STR("127.0.0.1")));
                cr_expect_eq(res.brokers.at[0].port, server_port(g.server));
                cr_expect_eq(res.topics.n, 0);
                if (v >= 1) cr_expect_eq(res.controller_id, 1);
                if (v >= 2) cr_expect_eq(res.cluster_id.n, 22);
                cr_expect_eq(res.error_code, 0);
        }
        rig_close(&g);
}

/* Row C10: the answer has the finished topic, also for clients that negotiate nothing. */
Test(metadata, creates_what_it_is_asked_for)
{
        const char *sets[] = { "num.partitions=3", NULL };
        struct rig g;
        rig_open(&g, sets);
        for (int16_t v = 0; v <= 13; v++) {
                char name[16];
                snprintf(name, sizeof(name), "auto.%d", v);
                struct metadata_req_topics t = { .name = str_of(name) };
                struct metadata_res res = ask(&g, v, &t, 1);
                cr_assert_eq(res.topics.n, 1);
                const struct metadata_res_topics *got = &res.topics.at[0];
                cr_expect_eq(got->error_code, 0, "v%d", v);
                cr_expect(str_eq(got->name, t.name));
                cr_assert_eq(got->partitions.n, 3);
                for (int32_t i = 0; i < 3; i++) {
                        const struct metadata_res_topics_partitions *p = &got->partitions.at[i];
                        cr_expect(
                            p->error_code == 0 && p->partition_index == i && p->leader_id == 1);
                        cr_expect(p->replica_nodes.n == 1 && p->replica_nodes.at[0] == 1);
                        cr_expect(p->isr_nodes.n == 1 && p->isr_nodes.at[0] == 1);
                        cr_expect_eq(p->offline_replicas.n, 0);
                        if (v >= 7) cr_expect_eq(p->leader_epoch, 0);
                }
                if (v >= 10) cr_expect_not(uuid_is_zero(got->topic_id));
        }
        rig_close(&g);
}

Test(metadata, creates_only_when_all_agree)
{
        struct rig g;
        rig_open(&g, NULL);
        struct metadata_req_topics t = { .name = STR("nope") };
        struct metadata_req req = { .topics = { 1, &t } };
        for (int16_t v = 4; v <= 13; v++) {
                struct metadata_res res = metadata(&g, v, &req);
                cr_expect_eq(res.topics.at[0].error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
                cr_expect_eq(res.topics.at[0].partitions.n, 0);
        }
        rig_close(&g);
        const char *sets[] = { "auto.create.topics.enable=false", NULL };
        rig_open(&g, sets);
        struct metadata_res res = ask(&g, 1, &t, 1);
        cr_expect_eq(res.topics.at[0].error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
        rig_close(&g);
}

Test(metadata, all_topics_sorted_and_none)
{
        struct rig g;
        rig_open(&g, NULL);
        static const char *const names[] = { "b", "a", "ab", "B", "a-b" };
        static const char *const sorted[] = { "B", "a", "a-b", "ab", "b" };
        for (size_t i = 0; i < COUNT_OF(names); i++) cr_assert_eq(rig_create(&g, names[i], 1), 0);
        for (int16_t v = 0; v <= 13; v++) {
                struct metadata_req all = { .topics = { v == 0 ? 0 : -1, NULL } };
                struct metadata_res res = metadata(&g, v, &all);
                cr_assert_eq(res.topics.n, COUNT_OF(names), "v%d", v);
                for (int32_t i = 0; i < res.topics.n; i++)
                        cr_expect(str_eq(res.topics.at[i].name, str_of(sorted[i])));
                if (v == 0) continue;
                struct metadata_req none = { .topics = { 0, NULL } };
                cr_expect_eq(metadata(&g, v, &none).topics.n, 0, "v%d", v);
        }
        rig_close(&g);
}

/* fault 62 */
Test(metadata, illegal_names_create_nothing)
{
        struct rig g;
        char long_name[250];
        memset(long_name, 'n', sizeof(long_name));
        rig_open(&g, NULL);
        struct metadata_req_topics t[] = { { .name = STR("") }, { .name = STR(".") },
                { .name = STR("..") }, { .name = STR("../../etc") }, { .name = STR("a\r\nb") },
                { .name = { "a\0b", 3 } }, { .name = STR("\xff\xfe") },
                { .name = { long_name, 250 } } };
        struct metadata_res res = ask(&g, 9, t, COUNT_OF(t));
        cr_assert_eq(res.topics.n, COUNT_OF(t));
        for (size_t i = 0; i < COUNT_OF(t); i++) {
                cr_expect_eq(res.topics.at[i].error_code, WIRE_INVALID_TOPIC_EXCEPTION, "%zu", i);
                cr_expect(str_eq(res.topics.at[i].name, t[i].name));
        }
        struct metadata_req_topics good = { .name = { long_name, 249 } };
        cr_expect_eq(ask(&g, 9, &good, 1).topics.at[0].error_code, 0);
        struct metadata_req all = { .topics = { -1, NULL } };
        cr_expect_eq(metadata(&g, 9, &all).topics.n, 1);
        rig_close(&g);
}

Test(metadata, twice_once_colliding_and_internal)
{
        struct rig g;
        rig_open(&g, NULL);
        struct metadata_req_topics t[] = { { .name = STR("x.y") }, { .name = STR("x.y") },
                { .name = STR("x_y") }, { .name = STR("__consumer_offsets") } };
        struct metadata_res res = ask(&g, 5, t, 2);
        cr_assert_eq(res.topics.n, 1, "named twice, answered once");
        cr_expect_eq(res.topics.at[0].error_code, 0);
        res = ask(&g, 5, t + 2, 2);
        cr_assert_eq(res.topics.n, 2);
        cr_expect_eq(res.topics.at[0].error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION, "it collides");
        cr_expect_eq(res.topics.at[1].error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
        cr_expect(res.topics.at[1].is_internal);
        rig_close(&g);
}

Test(metadata, by_id)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "one", 2), 0);
        struct uuid id = rig_topic(&g, "one")->topic_id, other = { { 7 } };
        struct metadata_req_topics t[] = { { .topic_id = id, .name = STR_NULL },
                { .topic_id = other, .name = STR_NULL }, { .name = STR("named") },
                { .topic_id = id, .name = STR("ignored") } };
        for (int16_t v = 12; v <= 13; v++) {
                struct metadata_res res = ask(&g, v, t, 4);
                cr_assert_eq(res.topics.n, 2, "names are ignored, an id is answered once");
                cr_expect(str_eq(res.topics.at[0].name, STR("one")));
                cr_expect(uuid_eq(res.topics.at[0].topic_id, id));
                cr_expect_eq(res.topics.at[0].partitions.n, 2);
                cr_expect_eq(res.topics.at[1].error_code, WIRE_UNKNOWN_TOPIC_ID);
                cr_expect(str_is_null(res.topics.at[1].name));
                cr_expect(uuid_eq(res.topics.at[1].topic_id, other));
        }
        for (int16_t v = 10; v <= 11; v++) {
                struct metadata_res res = ask(&g, v, t, 1);
                cr_expect_eq(res.topics.at[0].error_code, WIRE_INVALID_REQUEST);
                cr_expect(str_eq(res.topics.at[0].name, STR("")));
        }
        struct metadata_req_topics neither = { .name = STR_NULL };
        struct metadata_res res = ask(&g, 12, &neither, 1);
        cr_expect_eq(res.topics.at[0].error_code, WIRE_UNKNOWN_SERVER_ERROR);
        cr_expect(str_eq(res.topics.at[0].name, STR("")));
        rig_close(&g);
}

Test(metadata, operations_when_asked)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "t", 1), 0);
        struct metadata_req req = { .topics = { -1, NULL } };
        struct metadata_res res = metadata(&g, 8, &req);
        cr_expect_eq(res.cluster_authorized_operations, INT32_MIN);
        cr_expect_eq(res.topics.at[0].topic_authorized_operations, INT32_MIN);
        req.include_cluster_authorized_operations = req.include_topic_authorized_operations = true;
        res = metadata(&g, 8, &req);
        cr_expect_eq(res.cluster_authorized_operations, OPERATIONS_CLUSTER);
        cr_expect_eq(res.topics.at[0].topic_authorized_operations, OPERATIONS_TOPIC);
        res = metadata(&g, 13, &req);
        cr_expect_eq(res.topics.at[0].topic_authorized_operations, OPERATIONS_TOPIC);
        rig_close(&g);
}

/* A flood of names creates a bounded number at a time; asking again gets the rest. */
Test(metadata, a_flood_creates_a_few_at_a_time)
{
        enum { N = 150 };
        static char names[N][16];
        struct metadata_req_topics t[N];
        struct rig g;
        rig_open(&g, NULL);
        for (int i = 0; i < N; i++) {
                snprintf(names[i], sizeof(names[i]), "f%d", i);
                t[i] = (struct metadata_req_topics){ .name = str_of(names[i]) };
        }
        int created = 0, rounds = 0;
        while (created < N && rounds++ < 10) {
                struct metadata_res res = ask(&g, 4, t, N);
                int before = created;
                created = 0;
                cr_assert_eq(res.topics.n, N);
                for (int i = 0; i < N; i++) created += res.topics.at[i].error_code == 0;
                cr_expect_leq(created - before, 64);
        }
        cr_expect_eq(created, N);
        rig_close(&g);
}

/* An answer that is too large for its memory ends that connection; others are served on. */
Test(metadata, memory_is_bounded)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "large", 90000), 0);
        cr_assert_eq(rig_create(&g, "small", 1), 0);
        const struct shard *s = &g.server->shards[0];
        for (int i = 0; i < 3; i++) {
                struct metadata_req req = { .topics = { -1, NULL } };
                struct metadata_res res;
                cr_expect_not(rig_call(&g, API_METADATA, 9, &req, &res));
                cr_expect_eq(rig_topic(&g, "small")->error_code, 0);
        }
        for (int i = 0; i < 100; i++) rig_turn(&g);
        cr_expect_lt(s->own.arenas.used, s->own.arenas.limit / 4, "it came back");
        rig_close(&g);
}

/* --- DescribeCluster --- */

Test(describe_cluster, us_and_wrong_endpoints)
{
        struct rig g;
        rig_open(&g, NULL);
        for (int16_t v = 0; v <= 2; v++) {
                struct describe_cluster_req req = { .endpoint_type = 1 };
                struct describe_cluster_res res;
                cr_assert(rig_call(&g, API_DESCRIBE_CLUSTER, v, &req, &res));
                cr_expect_eq(res.error_code, 0);
                cr_expect_eq(res.cluster_id.n, 22);
                cr_expect_eq(res.controller_id, 1);
                cr_assert_eq(res.brokers.n, 1);
                cr_expect_eq(res.brokers.at[0].port, server_port(g.server));
                cr_expect_eq(res.cluster_authorized_operations, INT32_MIN);
                req.include_cluster_authorized_operations = true;
                cr_assert(rig_call(&g, API_DESCRIBE_CLUSTER, v, &req, &res));
                cr_expect_eq(res.cluster_authorized_operations, OPERATIONS_CLUSTER);
        }
        for (int8_t type = 2; type <= 3; type++) {
                struct describe_cluster_req req = { .endpoint_type = type };
                struct describe_cluster_res res;
                cr_assert(rig_call(&g, API_DESCRIBE_CLUSTER, 1, &req, &res));
                cr_expect_eq(res.error_code,
                    type == 2 ? WIRE_MISMATCHED_ENDPOINT_TYPE : WIRE_UNSUPPORTED_ENDPOINT_TYPE);
                cr_expect_eq(res.brokers.n, 0);
                cr_expect_eq(res.cluster_id.n, 0);
        }
        rig_close(&g);
}

/* --- DescribeTopicPartitions --- */

static struct describe_topic_partitions_res page(
    struct rig *g, const struct describe_topic_partitions_req *req)
{
        struct describe_topic_partitions_res res;
        cr_assert(rig_call(g, API_DESCRIBE_TOPIC_PARTITIONS, 0, req, &res));
        return res;
}

/* Pages of every size together give each partition once, in order. */
Test(describe_topic_partitions, pages_cover_everything_once)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "c", 4), 0);
        cr_assert_eq(rig_create(&g, "a", 3), 0);
        cr_assert_eq(rig_create(&g, "b", 1), 0);
        for (int32_t limit = 1; limit <= 9; limit++) {
                char text[128] = "";
                struct describe_topic_partitions_req_cursor cursor;
                struct describe_topic_partitions_req req = { .response_partition_limit = limit };
                for (int pages = 0;; pages++) {
                        struct describe_topic_partitions_res res = page(&g, &req);
                        int32_t count = 0;
                        for (int32_t i = 0; i < res.topics.n; i++) {
                                count += res.topics.at[i].partitions.n;
                                for (int32_t p = 0; p < res.topics.at[i].partitions.n; p++)
                                        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                                            "%.1s%d ", res.topics.at[i].name.p,
                                            res.topics.at[i].partitions.at[p].partition_index);
                        }
                        cr_expect_leq(count, limit);
                        if (!res.next_cursor) break;
                        cr_assert_lt(pages, 20);
                        cursor.topic_name = res.next_cursor->topic_name;
                        cursor.partition_index = res.next_cursor->partition_index;
                        req.cursor = &cursor;
                }
                cr_expect_str_eq(text, "a0 a1 a2 b0 c0 c1 c2 c3 ", "limit %d", limit);
        }
        rig_close(&g);
}

Test(describe_topic_partitions, named_unknown_and_bad_cursors)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "m", 2), 0);
        struct describe_topic_partitions_req_topics t[] = { { STR("z") }, { STR("m") },
                { STR("m") }, { STR("a/b") } };
        struct describe_topic_partitions_req req = { .topics = { 4, t },
                .response_partition_limit = 2000 };
        struct describe_topic_partitions_res res = page(&g, &req);
        cr_assert_eq(res.topics.n, 3);
        cr_expect_eq(res.topics.at[0].error_code, WIRE_INVALID_TOPIC_EXCEPTION);
        cr_expect_eq(res.topics.at[1].error_code, 0);
        cr_expect_eq(res.topics.at[1].partitions.n, 2);
        cr_expect_eq(res.topics.at[1].topic_authorized_operations, OPERATIONS_TOPIC);
        cr_expect_eq(res.topics.at[1].partitions.at[1].leader_id, 1);
        cr_expect_eq(res.topics.at[2].error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
        cr_expect_null(res.next_cursor);
        struct describe_topic_partitions_req_cursor bad[] = { { STR("m"), -1 }, { STR("q"), 0 } };
        for (int i = 0; i < 2; i++) {
                req.cursor = &bad[i];
                res = page(&g, &req);
                cr_assert_eq(res.topics.n, 4);
                cr_expect_eq(res.topics.at[0].error_code, WIRE_INVALID_REQUEST);
        }
        struct describe_topic_partitions_req_cursor far = { STR("m"), 1000 };
        req.cursor = &far;
        res = page(&g, &req);
        cr_expect_eq(res.topics.n, 2, "before the cursor nothing");
        cr_expect_eq(res.topics.at[0].partitions.n, 0);
        rig_close(&g);
}
