/* What survives a restart, and what goes: the registry over its log, and the files of deleted
 * topics. Faults 60 and 61. */
#include "base/check.h"
#include "protocol/batch.h"
#include "protocol/errors.h"
#include "server/admin.h"
#include "tests/unit/server/admin_rig.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

/* One record to one partition; returns the error. */
static int16_t produce(struct rig *g, const char *name, int32_t partition, int64_t *ret_offset)
{
        uint8_t buf[256];
        struct err e;
        struct record_in record = { .timestamp = 1, .value = { (const uint8_t *)"v", 1 } };
        struct batch_build b = { .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = &record,
                .count = 1 };
        int64_t n = batch_encode(
            &b, NULL, (struct bytes_mut){ NULL, 0 }, (struct bytes_mut){ buf, sizeof(buf) }, &e);
        cr_assert_gt(n, 0, "%s", e.text);
        struct produce_req_topic_data_partition_data p = { .index = partition,
                .records = { .p = buf, .n = (int32_t)n } };
        struct produce_req_topic_data t = { .name = str_of(name), .partition_data = { 1, &p } };
        struct produce_req req = { .transactional_id = STR_NULL,
                .acks = -1,
                .timeout_ms = 5000,
                .topic_data = { 1, &t } };
        struct produce_res res;
        cr_assert(rig_call(g, API_PRODUCE, 8, &req, &res));
        cr_assert_eq(res.responses.at[0].partition_responses.n, 1);
        *ret_offset = res.responses.at[0].partition_responses.at[0].base_offset;
        return res.responses.at[0].partition_responses.at[0].error_code;
}

/* Directories of that topic. */
static unsigned directories(const struct rig *g, struct uuid id)
{
        char path[128], prefix[33];
        unsigned n = 0;
        for (int i = 0; i < 16; i++) snprintf(prefix + 2 * i, 3, "%02x", id.b[i]);
        snprintf(path, sizeof(path), "%s/data/p", g->dir);
        DIR *d = opendir(path);
        cr_assert_not_null(d);
        for (struct dirent *x; (x = readdir(d)) != NULL;) n += strncmp(x->d_name, prefix, 32) == 0;
        closedir(d);
        return n;
}

static void wait_until_gone(struct rig *g, struct uuid id)
{
        for (int i = 0; i < 200000 && directories(g, id) > 0; i++) rig_turn(g);
        cr_assert_eq(directories(g, id), 0, "the files stay");
}

Test(registry, topics_survive_a_restart)
{
        struct rig g;
        rig_open(&g, NULL);
        struct create_topics_req_topics_configs c = { STR("retention.ms"), STR("1234") };
        struct create_topics_req_topics t = { .name = STR("kept"),
                .num_partitions = 2,
                .replication_factor = 1,
                .configs = { 1, &c } };
        struct create_topics_req req = { .topics = { 1, &t } };
        struct create_topics_res res;
        cr_assert(rig_call(&g, API_CREATE_TOPICS, 7, &req, &res));
        cr_assert_eq(res.topics.at[0].error_code, 0);
        struct uuid id = res.topics.at[0].topic_id;
        cr_assert_eq(rig_create(&g, "deleted", 1), 0);
        cr_assert_eq(rig_delete(&g, "deleted"), 0);
        struct create_partitions_req_topics more = { STR("kept"), 5, { -1, NULL } };
        struct create_partitions_req grow = { .topics = { 1, &more } };
        struct create_partitions_res grown;
        cr_assert(rig_call(&g, API_CREATE_PARTITIONS, 3, &grow, &grown));
        cr_assert_eq(grown.results.at[0].error_code, 0);
        for (int round = 0; round < 3; round++) {
                rig_restart(&g);
                const struct metadata_res_topics *m = rig_topic(&g, "kept");
                cr_expect_eq(m->error_code, 0);
                cr_expect(uuid_eq(m->topic_id, id));
                cr_expect_eq(m->partitions.n, 5);
                cr_expect_eq(rig_topic(&g, "deleted")->error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
                const struct topic *topic =
                    registry_find(g.server->shards[0].own.view, STR("kept"));
                cr_expect_eq(topic->config->log.retention_ms, 1234);
        }
        rig_close(&g);
}

/* fault 61 */
Test(registry, files_of_a_deleted_topic_go_and_its_name_is_free)
{
        struct rig g;
        int64_t offset;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "a", 8), 0);
        cr_assert_eq(rig_create(&g, "b", 1), 0);
        struct uuid a = rig_topic(&g, "a")->topic_id, b = rig_topic(&g, "b")->topic_id;
        for (int32_t i = 0; i < 6; i++) cr_assert_eq(produce(&g, "a", i, &offset), 0);
        cr_assert_eq(produce(&g, "b", 0, &offset), 0);
        cr_assert_eq(directories(&g, a), 6);
        cr_assert_eq(rig_delete(&g, "a"), 0);
        cr_assert_eq(rig_create(&g, "a", 8), 0);
        struct uuid again = rig_topic(&g, "a")->topic_id;
        cr_expect_not(uuid_eq(a, again));
        cr_assert_eq(produce(&g, "a", 0, &offset), 0);
        cr_expect_eq(offset, 0, "nothing of the old topic is there");
        wait_until_gone(&g, a);
        cr_expect_eq(directories(&g, again), 1);
        cr_expect_eq(directories(&g, b), 1);
        cr_assert_eq(produce(&g, "b", 0, &offset), 0);
        cr_expect_eq(offset, 1);
        rig_close(&g);
}

/* The stop may come before, between or after the files are removed. */
Test(registry, removal_goes_on_after_a_restart)
{
        for (int turns = 0; turns < 12; turns += 3) {
                struct rig g;
                int64_t offset;
                rig_open(&g, NULL);
                cr_assert_eq(rig_create(&g, "a", 30), 0);
                struct uuid id = rig_topic(&g, "a")->topic_id;
                for (int32_t i = 0; i < 30; i += 2) cr_assert_eq(produce(&g, "a", i, &offset), 0);
                cr_assert_eq(rig_delete(&g, "a"), 0);
                for (int i = 0; i < turns; i++) rig_turn(&g);
                rig_restart(&g);
                wait_until_gone(&g, id);
                cr_expect_eq(rig_topic(&g, "a")->error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
                rig_close(&g);
        }
}

/* fault 60, small: tombstones go too, so the limit never fills up. */
Test(registry, churn_stays_within_the_limit)
{
        const char *sets[] = { "varve.max.partitions=40", NULL };
        struct rig g;
        int64_t offset;
        rig_open(&g, sets);
        cr_assert_eq(rig_create(&g, "stays", 2), 0);
        for (int i = 0; i < 120; i++) {
                char name[16];
                snprintf(name, sizeof(name), "churn-%d", i % 7);
                int16_t error = rig_create(&g, name, 10);
                for (int turn = 0; error == WIRE_POLICY_VIOLATION && turn < 200000; turn++) {
                        rig_turn(&g); /* files are still going */
                        if (turn % 10 == 9) error = rig_create(&g, name, 10);
                }
                cr_assert_eq(error, 0, "round %d: %d", i, error);
                if (i % 10 == 0) cr_assert_eq(produce(&g, name, i % 10, &offset), 0);
                cr_assert_eq(rig_delete(&g, name), 0);
        }
        rig_restart(&g);
        cr_expect_eq(rig_topic(&g, "stays")->partitions.n, 2);
        cr_expect_eq(g.server->shards[0].own.view->count, 1);
        rig_close(&g);
}

/* Enough commands that the log is rewritten as a snapshot and its head goes. */
Test(registry, a_long_history_becomes_a_snapshot)
{
        static char list[16001];
        struct rig g;
        rig_open(&g, NULL);
        for (size_t i = 0; i + 4 <= sizeof(list); i += 4) memcpy(list + i, "0:1,", 4);
        struct create_topics_req_topics_configs c = { STR("leader.replication.throttled.replicas"),
                { list, sizeof(list) - 2 } };
        for (int i = 0; i < 400; i++) {
                char name[16];
                snprintf(name, sizeof(name), "s%d", i);
                struct create_topics_req_topics t = { .name = str_of(name),
                        .num_partitions = 1,
                        .replication_factor = 1,
                        .configs = { 1, &c } };
                struct create_topics_req req = { .topics = { 1, &t } };
                struct create_topics_res res;
                cr_assert(rig_call(&g, API_CREATE_TOPICS, 4, &req, &res));
                cr_assert_eq(res.topics.at[0].error_code, 0);
                if (i % 40) cr_assert_eq(rig_delete(&g, name), 0);
        }
        struct partition_state state;
        struct partition *log = partition_find(g.server->shards[0].own.log, registry_topic_id, 0);
        cr_assert_not_null(log);
        for (int i = 0; i < 1000; i++) rig_turn(&g);
        partition_get_state(log, &state);
        cr_expect_gt(state.log_start, 0, "the head is gone");
        rig_restart(&g);
        const struct registry_view *v = g.server->shards[0].own.view;
        cr_expect_eq(v->count, 10);
        const struct topic *t = registry_find(v, STR("s40"));
        cr_assert_not_null(t);
        cr_expect_eq(t->config->n_set, 1);
        cr_expect_eq(t->config->set[0].value.n, (int32_t)sizeof(list) - 2);
        rig_close(&g);
}

/* Every shard has a change's view by the time its answer leaves. */
Test(registry, views_are_everywhere_when_the_answer_comes)
{
        struct rig g;
        rig_open(&g, NULL);
        for (int i = 0; i < 20; i++) {
                char name[16];
                snprintf(name, sizeof(name), "t%d", i);
                cr_assert_eq(rig_create(&g, name, 1), 0);
                for (unsigned s = 0; s < RIG_SHARDS; s++) {
                        const struct registry_view *v = g.server->shards[s].own.view;
                        cr_expect_not_null(registry_find(v, str_of(name)));
                        cr_expect_eq(v->count, (uint32_t)i + 1);
                }
        }
        cr_assert_eq(rig_delete(&g, "t3"), 0);
        for (unsigned s = 0; s < RIG_SHARDS; s++)
                cr_expect_null(registry_find(g.server->shards[s].own.view, STR("t3")));
        rig_close(&g);
}

/* Many topics in one request are one view. */
Test(registry, changes_of_one_turn_share_a_view)
{
        enum { N = 500 };
        static char names[N][16];
        static struct create_topics_req_topics t[N];
        struct rig g;
        rig_open(&g, NULL);
        for (int i = 0; i < N; i++) {
                snprintf(names[i], sizeof(names[i]), "m%d", i);
                t[i] = (struct create_topics_req_topics){
                        .name = str_of(names[i]), .num_partitions = 1, .replication_factor = 1
                };
        }
        struct create_topics_req req = { .topics = { N, t } };
        struct create_topics_res res;
        uint64_t before = g.server->shards[0].own.view->version;
        cr_assert(rig_call(&g, API_CREATE_TOPICS, 4, &req, &res));
        cr_assert_eq(res.topics.n, N);
        for (int i = 0; i < N; i++) cr_assert_eq(res.topics.at[i].error_code, 0);
        cr_expect_eq(g.server->shards[0].own.view->count, N);
        cr_expect_leq(g.server->shards[0].own.view->version, before + 10);
        rig_close(&g);
}
