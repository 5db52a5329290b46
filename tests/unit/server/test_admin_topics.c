/* CreateTopics, DeleteTopics and CreatePartitions against a whole server: every rule of
 * kafka-protocol 6.15.  Row C19: one result per topic that was named, always. */
#include "base/check.h"
#include "protocol/errors.h"
#include "server/admin.h"
#include "tests/unit/server/admin_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct create_topics_req_topics asked;
typedef struct create_topics_res_topics created;

static struct create_topics_res create(struct rig *g, int16_t version, asked *t, int32_t n)
{
        struct create_topics_req req = { .topics = { n, t }, .timeout_ms = 5000 };
        struct create_topics_res res;
        cr_assert(rig_call(g, API_CREATE_TOPICS, version, &req, &res));
        return res;
}

static void expect_text(const created *t, const char *text)
{
        cr_assert_not(str_is_null(t->error_message));
        cr_expect(str_eq(t->error_message, str_of(text)), "\"%.*s\"", t->error_message.n,
            t->error_message.p);
}

Test(create_topics, every_version)
{
        const char *sets[] = { "num.partitions=4", NULL };
        struct rig g;
        rig_open(&g, sets);
        for (int16_t v = 0; v <= 7; v++) {
                char name[8];
                snprintf(name, sizeof(name), "v%d", v);
                asked t = { .name = str_of(name), .num_partitions = -1, .replication_factor = -1 };
                struct create_topics_res res = create(&g, v, &t, 1);
                cr_assert_eq(res.topics.n, 1);
                const created *got = &res.topics.at[0];
                cr_expect_eq(got->error_code, 0, "v%d", v);
                cr_expect(str_eq(got->name, t.name));
                if (v >= 1) cr_expect(str_is_null(got->error_message));
                if (v >= 5) cr_expect(got->num_partitions == 4 && got->replication_factor == 1);
                if (v >= 5) cr_expect_eq(got->configs.n, TOPIC_KEYS);
                const struct metadata_res_topics *m = rig_topic(&g, name);
                cr_expect(m->error_code == 0 && m->partitions.n == 4);
                if (v >= 7) cr_expect(uuid_eq(m->topic_id, got->topic_id));
                cr_expect_eq(m->topic_id.b[6] >> 4, 4, "a random id");
                res = create(&g, v, &t, 1);
                cr_expect_eq(res.topics.at[0].error_code, WIRE_TOPIC_ALREADY_EXISTS);
                if (v >= 5) cr_expect_eq(res.topics.at[0].num_partitions, -1);
                if (v >= 5) cr_expect_eq(res.topics.at[0].configs.n, 0, "empty, not null");
        }
        rig_close(&g);
}

Test(create_topics, refusals)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "dot.name", 1), 0);
        static const struct {
                const char *name;
                int32_t partitions;
                int16_t replicas, error;
                const char *text;
        } rows[] = {
                { "", 1, 1, WIRE_INVALID_TOPIC_EXCEPTION, "the topic name is empty" },
                { "..", 1, 1, WIRE_INVALID_TOPIC_EXCEPTION, "the topic name is . or .." },
                { "a b", 1, 1, WIRE_INVALID_TOPIC_EXCEPTION,
                    "the topic name has a character other than a-z A-Z 0-9 . _ -" },
                { "dot_name", 1, 1, WIRE_INVALID_TOPIC_EXCEPTION,
                    "the topic name collides with topic dot.name ('.' and '_' count as the same)" },
                { "__consumer_offsets", 1, 1, WIRE_INVALID_TOPIC_EXCEPTION,
                    "the topic name __consumer_offsets is the server's own" },
                { "dot.name", 1, 1, WIRE_TOPIC_ALREADY_EXISTS, "topic dot.name exists already" },
                { "x", 0, 1, WIRE_INVALID_PARTITIONS,
                    "number of partitions is 0, must be at least 1, or -1 for the default" },
                { "x", -2, 1, WIRE_INVALID_PARTITIONS,
                    "number of partitions is -2, must be at least 1, or -1 for the default" },
                { "x", 1, 0, WIRE_INVALID_REPLICATION_FACTOR,
                    "replication factor is 0, must be 1 (there is one broker), or -1 for the "
                    "default" },
                { "x", 1, 2, WIRE_INVALID_REPLICATION_FACTOR,
                    "replication factor is 2, must be 1 (there is one broker), or -1 for the "
                    "default" },
                { "x", 1, -2, WIRE_INVALID_REPLICATION_FACTOR,
                    "replication factor is -2, must be 1 (there is one broker), or -1 for the "
                    "default" },
                { "x", INT32_MAX, 1, WIRE_POLICY_VIOLATION,
                    "2147483647 more partitions would pass varve.max.partitions=100000 (there are "
                    "1)" },
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                asked t = { .name = str_of(rows[i].name),
                        .num_partitions = rows[i].partitions,
                        .replication_factor = rows[i].replicas };
                struct create_topics_res res = create(&g, 7, &t, 1);
                cr_assert_eq(res.topics.n, 1);
                cr_expect_eq(res.topics.at[0].error_code, rows[i].error, "row %zu", i);
                expect_text(&res.topics.at[0], rows[i].text);
                cr_expect(uuid_is_zero(res.topics.at[0].topic_id));
        }
        struct metadata_req all = { .topics = { -1, NULL } };
        struct metadata_res m;
        cr_assert(rig_call(&g, API_METADATA, 9, &all, &m));
        cr_expect_eq(m.topics.n, 1, "nothing of that was created");
        rig_close(&g);
}

Test(create_topics, named_twice)
{
        struct rig g;
        rig_open(&g, NULL);
        asked t[] = { { STR("a"), 1, 1 }, { STR("b"), 1, 1 }, { STR("a"), 2, 1 },
                { STR("a"), 3, 1 }, { STR("c.d"), 1, 1 }, { STR("c_d"), 1, 1 } };
        struct create_topics_res res = create(&g, 4, t, COUNT_OF(t));
        cr_assert_eq(res.topics.n, 4);
        cr_expect_eq(res.topics.at[0].error_code, WIRE_INVALID_REQUEST);
        cr_expect_eq(res.topics.at[1].error_code, 0);
        cr_expect_eq(res.topics.at[2].error_code, 0, "the first of two that collide");
        cr_expect_eq(res.topics.at[3].error_code, WIRE_INVALID_TOPIC_EXCEPTION);
        cr_expect_eq(rig_topic(&g, "a")->error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
        struct create_topics_res none = create(&g, 4, t, 0);
        cr_expect_eq(none.topics.n, 0);
        rig_close(&g);
}

Test(create_topics, validate_only_has_no_effect)
{
        struct rig g;
        rig_open(&g, NULL);
        asked t = { STR("v"), 2, 1 };
        struct create_topics_req req = {
                .topics = { 1, &t }, .timeout_ms = 1000, .validate_only = true
        };
        struct create_topics_res res;
        for (int16_t v = 1; v <= 7; v++) {
                cr_assert(rig_call(&g, API_CREATE_TOPICS, v, &req, &res));
                cr_expect_eq(res.topics.at[0].error_code, 0);
                if (v >= 7) cr_expect_not(uuid_is_zero(res.topics.at[0].topic_id));
                cr_expect_eq(rig_topic(&g, "v")->error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
        }
        cr_assert_eq(rig_create(&g, "v", 1), 0);
        cr_assert(rig_call(&g, API_CREATE_TOPICS, 7, &req, &res));
        cr_expect_eq(res.topics.at[0].error_code, WIRE_TOPIC_ALREADY_EXISTS);
        rig_close(&g);
}

Test(create_topics, settings)
{
        struct rig g;
        rig_open(&g, NULL);
        struct create_topics_req_topics_configs good[] = { { STR("retention.ms"), STR("1") },
                { STR("segment.bytes"), STR("2000000") }, { STR("retention.ms"), STR("77") } };
        struct create_topics_req_topics_configs bad[] = { { STR("retention.ms"), STR("soon") } };
        struct create_topics_req_topics_configs null[] = { { STR("retention.ms"), STR_NULL } };
        struct create_topics_req_topics_configs unknown[] = { { STR("retention"), STR("1") } };
        struct create_topics_req_topics_configs compact[] = { { STR("cleanup.policy"),
            STR("compact") } };
        asked t[] = { { STR("good"), 1, 1, .configs = { 3, good } },
                { STR("bad"), 1, 1, .configs = { 1, bad } },
                { STR("null"), 1, 1, .configs = { 1, null } },
                { STR("unknown"), 1, 1, .configs = { 1, unknown } },
                { STR("compact"), 1, 1, .configs = { 1, compact } } };
        struct create_topics_res res = create(&g, 7, t, COUNT_OF(t));
        cr_assert_eq(res.topics.n, COUNT_OF(t));
        for (int32_t i = 1; i < res.topics.n; i++)
                cr_expect_eq(res.topics.at[i].error_code, WIRE_INVALID_CONFIG);
        expect_text(&res.topics.at[1],
            "retention.ms=soon: not a whole number; allowed: -1 to 9223372036854775807");
        expect_text(&res.topics.at[2], "retention.ms: the value is null");
        expect_text(&res.topics.at[3], "retention: unknown topic setting");
        expect_text(&res.topics.at[4],
            "cleanup.policy=compact: not supported yet; allowed: delete, or empty");
        const created *got = &res.topics.at[0];
        cr_assert(got->error_code == 0 && got->configs.n == TOPIC_KEYS);
        unsigned own = 0;
        for (int32_t i = 0; i < got->configs.n; i++) {
                const struct create_topics_res_topics_configs *c = &got->configs.at[i];
                cr_expect_not(c->read_only || c->is_sensitive);
                if (str_eq(c->name, STR("retention.ms"))) cr_expect(str_eq(c->value, STR("77")));
                own += c->config_source == SOURCE_TOPIC;
        }
        cr_expect_eq(own, 2);
        rig_close(&g);
}

Test(create_topics, manual_assignments)
{
        struct rig g;
        rig_open(&g, NULL);
        int32_t us[] = { 1 }, other[] = { 2 }, twice[] = { 1, 1 };
        typedef struct create_topics_req_topics_assignments line;
        line good[] = { { 1, { 1, us } }, { 0, { 1, us } } };
        line gap[] = { { 0, { 1, us } }, { 2, { 1, us } } };
        line again[] = { { 0, { 1, us } }, { 0, { 1, us } } };
        line below[] = { { -1, { 1, us } } };
        line stranger[] = { { 0, { 1, other } } };
        line same[] = { { 0, { 2, twice } } };
        line nobody[] = { { 0, { 0, NULL } } };
        asked t[] = { { STR("good"), -1, -1, .assignments = { 2, good } },
                { STR("gap"), -1, -1, .assignments = { 2, gap } },
                { STR("again"), -1, -1, .assignments = { 2, again } },
                { STR("below"), -1, -1, .assignments = { 1, below } },
                { STR("stranger"), -1, -1, .assignments = { 1, stranger } },
                { STR("same"), -1, -1, .assignments = { 1, same } },
                { STR("nobody"), -1, -1, .assignments = { 1, nobody } },
                { STR("count"), 1, -1, .assignments = { 1, good } },
                { STR("factor"), -1, 1, .assignments = { 1, good } } };
        struct create_topics_res res = create(&g, 7, t, COUNT_OF(t));
        cr_assert_eq(res.topics.n, COUNT_OF(t));
        cr_expect(res.topics.at[0].error_code == 0 && res.topics.at[0].num_partitions == 2);
        for (int32_t i = 1; i < 7; i++)
                cr_expect_eq(
                    res.topics.at[i].error_code, WIRE_INVALID_REPLICA_ASSIGNMENT, "row %d", i);
        for (int32_t i = 7; i < 9; i++)
                cr_expect_eq(res.topics.at[i].error_code, WIRE_INVALID_REQUEST, "row %d", i);
        rig_close(&g);
}

/* Pipelined requests for one name: one wins, the others hear that it exists. */
Test(create_topics, at_the_same_time)
{
        enum { N = 20 };
        struct rig g;
        rig_open(&g, NULL);
        asked t = { STR("race"), 1, 1 };
        struct create_topics_req req = { .topics = { 1, &t }, .timeout_ms = 1000 };
        for (int i = 0; i < N; i++) rig_send(&g, API_CREATE_TOPICS, 7, &req);
        int won = 0;
        for (int i = 0; i < N; i++) {
                struct create_topics_res res;
                cr_assert(rig_receive(&g, API_CREATE_TOPICS, 7, &res));
                int16_t error = res.topics.at[0].error_code;
                cr_expect(error == 0 || error == WIRE_TOPIC_ALREADY_EXISTS, "%d", error);
                won += error == 0;
        }
        cr_expect_eq(won, 1);
        rig_close(&g);
}

Test(create_topics, limit_of_all_partitions)
{
        const char *sets[] = { "varve.max.partitions=10", NULL };
        struct rig g;
        rig_open(&g, sets);
        asked t[] = { { STR("a"), 6, 1 }, { STR("b"), 6, 1 }, { STR("c"), 4, 1 } };
        struct create_topics_res res = create(&g, 4, t, 3);
        cr_expect_eq(res.topics.at[0].error_code, 0);
        cr_expect_eq(res.topics.at[1].error_code, WIRE_POLICY_VIOLATION);
        cr_expect_eq(res.topics.at[2].error_code, 0);
        cr_expect_eq(rig_create(&g, "d", 1), WIRE_POLICY_VIOLATION);
        rig_close(&g);
}

/* --- DeleteTopics --- */

static struct delete_topics_res delete_v6(
    struct rig *g, struct delete_topics_req_topics *t, int32_t n)
{
        struct delete_topics_req req = { .topics = { n, t }, .timeout_ms = 5000 };
        struct delete_topics_res res;
        cr_assert(rig_call(g, API_DELETE_TOPICS, 6, &req, &res));
        return res;
}

Test(delete_topics, every_version)
{
        struct rig g;
        rig_open(&g, NULL);
        for (int16_t v = 0; v <= 5; v++) {
                cr_assert_eq(rig_create(&g, "t", 1), 0);
                struct str names[] = { STR("t"), STR("unknown"), STR("a/b") };
                struct delete_topics_req req = { .topic_names = { 3, names }, .timeout_ms = 1000 };
                struct delete_topics_res res;
                cr_assert(rig_call(&g, API_DELETE_TOPICS, v, &req, &res));
                cr_assert_eq(res.responses.n, 3);
                cr_expect_eq(res.responses.at[0].error_code, 0, "v%d", v);
                for (int i = 1; i < 3; i++)
                        cr_expect_eq(
                            res.responses.at[i].error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
                if (v >= 5) cr_expect_gt(res.responses.at[1].error_message.n, 0);
                cr_expect_eq(rig_topic(&g, "t")->error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
        }
        rig_close(&g);
}

Test(delete_topics, by_name_and_by_id)
{
        struct rig g;
        rig_open(&g, NULL);
        struct uuid id[4], unknown = { { 9 } };
        static const char *const names[] = { "a", "b", "c", "d" };
        for (int i = 0; i < 4; i++) {
                cr_assert_eq(rig_create(&g, names[i], 1), 0);
                id[i] = rig_topic(&g, names[i])->topic_id;
        }
        struct delete_topics_req_topics t[] = {
                { .name = STR("a") },                    /* by name */
                { .name = STR_NULL, .topic_id = id[1] }, /* by id */
                { .name = STR_NULL, .topic_id = unknown },
                { .name = STR("c"), .topic_id = id[2] },                       /* both */
                { .name = STR_NULL },                                          /* neither */
                { .name = STR("d") }, { .name = STR_NULL, .topic_id = id[3] }, /* named before */
                { .name = STR("unknown") }, { .name = STR_NULL, .topic_id = unknown }, /* twice */
        };
        struct delete_topics_res res = delete_v6(&g, t, COUNT_OF(t));
        cr_assert_eq(res.responses.n, 7);
        const struct delete_topics_res_responses *r = res.responses.at;
        cr_expect(
            r[0].error_code == 0 && str_eq(r[0].name, STR("a")) && uuid_eq(r[0].topic_id, id[0]));
        cr_expect(
            r[1].error_code == 0 && str_eq(r[1].name, STR("b")) && uuid_eq(r[1].topic_id, id[1]));
        cr_expect_eq(r[2].error_code, WIRE_INVALID_REQUEST, "an unknown id, twice");
        cr_expect(str_is_null(r[2].name) && uuid_eq(r[2].topic_id, unknown));
        cr_expect_eq(r[3].error_code, WIRE_INVALID_REQUEST);
        cr_expect_eq(r[4].error_code, WIRE_INVALID_REQUEST);
        cr_expect_eq(r[5].error_code, WIRE_INVALID_REQUEST, "by name and again by id");
        cr_expect_eq(r[6].error_code, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
        cr_expect_eq(rig_topic(&g, "c")->error_code, 0);
        cr_expect_eq(rig_topic(&g, "d")->error_code, 0);
        struct delete_topics_req_topics once = { .name = STR_NULL, .topic_id = unknown };
        res = delete_v6(&g, &once, 1);
        cr_expect_eq(res.responses.at[0].error_code, WIRE_UNKNOWN_TOPIC_ID);
        rig_close(&g);
}

Test(delete_topics, disabled)
{
        const char *sets[] = { "delete.topic.enable=false", NULL };
        struct rig g;
        rig_open(&g, sets);
        cr_assert_eq(rig_create(&g, "t", 1), 0);
        for (int16_t v = 0; v <= 5; v++) {
                struct str name = STR("t");
                struct delete_topics_req req = { .topic_names = { 1, &name } };
                struct delete_topics_res res;
                cr_assert(rig_call(&g, API_DELETE_TOPICS, v, &req, &res));
                cr_expect_eq(res.responses.at[0].error_code,
                    v >= 3 ? WIRE_TOPIC_DELETION_DISABLED : WIRE_INVALID_REQUEST);
        }
        cr_expect_eq(rig_topic(&g, "t")->error_code, 0);
        rig_close(&g);
}

/* --- CreatePartitions --- */

Test(create_partitions, grows_only)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "t", 2), 0);
        int32_t us[] = { 1 }, other[] = { 5 };
        struct create_partitions_req_topics_assignments good[] = { { { 1, us } }, { { 1, us } } };
        struct create_partitions_req_topics_assignments bad[] = { { { 1, other } }, { { 1, us } } };
        struct {
                struct create_partitions_req_topics t;
                int16_t error;
                int32_t after;
        } rows[] = {
                { { STR("t"), 2, { -1, NULL } }, WIRE_INVALID_PARTITIONS, 2 },
                { { STR("t"), 1, { -1, NULL } }, WIRE_INVALID_PARTITIONS, 2 },
                { { STR("t"), -1, { -1, NULL } }, WIRE_INVALID_PARTITIONS, 2 },
                { { STR("u"), 3, { -1, NULL } }, WIRE_UNKNOWN_TOPIC_OR_PARTITION, 2 },
                { { STR("t"), 4, { 1, good } }, WIRE_INVALID_REPLICA_ASSIGNMENT, 2 },
                { { STR("t"), 4, { 2, bad } }, WIRE_INVALID_REPLICA_ASSIGNMENT, 2 },
                { { STR("t"), 4, { 0, NULL } }, WIRE_INVALID_REPLICA_ASSIGNMENT, 2 },
                { { STR("t"), 4, { 2, good } }, 0, 4 },
                { { STR("t"), 7, { -1, NULL } }, 0, 7 },
                { { STR("t"), 200000, { -1, NULL } }, WIRE_POLICY_VIOLATION, 7 },
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                int16_t version = (int16_t)(i % 4);
                struct create_partitions_req req = { .topics = { 1, &rows[i].t },
                        .timeout_ms = 1000 };
                struct create_partitions_res res;
                if (rows[i].error == 0) { /* first without effect */
                        req.validate_only = true;
                        cr_assert(rig_call(&g, API_CREATE_PARTITIONS, version, &req, &res));
                        cr_expect_eq(res.results.at[0].error_code, 0);
                        cr_expect_lt(rig_topic(&g, "t")->partitions.n, rows[i].after);
                        req.validate_only = false;
                }
                cr_assert(rig_call(&g, API_CREATE_PARTITIONS, version, &req, &res));
                cr_assert_eq(res.results.n, 1);
                cr_expect_eq(res.results.at[0].error_code, rows[i].error, "row %zu", i);
                cr_expect_eq(res.results.at[0].error_message.n > 0, rows[i].error != 0);
                cr_expect_eq(rig_topic(&g, "t")->partitions.n, rows[i].after, "row %zu", i);
        }
        rig_close(&g);
}

Test(create_partitions, named_twice)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "t", 1), 0);
        struct create_partitions_req_topics t[] = { { STR("t"), 2, { -1, NULL } },
                { STR("t"), 3, { -1, NULL } } };
        struct create_partitions_req req = { .topics = { 2, t } };
        struct create_partitions_res res;
        cr_assert(rig_call(&g, API_CREATE_PARTITIONS, 3, &req, &res));
        cr_assert_eq(res.results.n, 1);
        cr_expect_eq(res.results.at[0].error_code, WIRE_INVALID_REQUEST);
        cr_expect_eq(rig_topic(&g, "t")->partitions.n, 1);
        rig_close(&g);
}
