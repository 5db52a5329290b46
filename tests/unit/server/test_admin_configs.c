/* DescribeConfigs against a whole server.  Rows C7 and C9: every key, with default and source. */
#include "base/check.h"
#include "protocol/errors.h"
#include "server/admin.h"
#include "tests/unit/server/admin_rig.h"

#include <criterion/criterion.h>
#include <stdlib.h>

typedef struct describe_configs_req_resources resource;
typedef struct describe_configs_res_results result;
typedef struct describe_configs_res_results_configs setting;

static struct describe_configs_res describe(struct rig *g, int16_t version, resource *r, int32_t n)
{
        struct describe_configs_req req = {
                .resources = { n, r }, .include_synonyms = true, .include_documentation = true
        };
        struct describe_configs_res res;
        cr_assert(rig_call(g, API_DESCRIBE_CONFIGS, version, &req, &res));
        cr_assert_eq(res.results.n, n);
        return res;
}

static const setting *find(const result *r, const char *name)
{
        for (int32_t i = 0; i < r->configs.n; i++)
                if (str_eq(r->configs.at[i].name, str_of(name))) return &r->configs.at[i];
        cr_assert_fail("%s is not there", name);
        return NULL;
}

static void create_with(struct rig *g, const char *name, const char *key, const char *value)
{
        struct create_topics_req_topics_configs c = { str_of(key), str_of(value) };
        struct create_topics_req_topics t = { .name = str_of(name),
                .num_partitions = 1,
                .replication_factor = 1,
                .configs = { 1, &c } };
        struct create_topics_req req = { .topics = { 1, &t } };
        struct create_topics_res res;
        cr_assert(rig_call(g, API_CREATE_TOPICS, 4, &req, &res));
        cr_assert_eq(res.topics.at[0].error_code, 0);
}

Test(describe_configs, topic_in_every_version)
{
        const char *sets[] = { "log.segment.bytes=2000000", NULL };
        struct rig g;
        rig_open(&g, sets);
        create_with(&g, "t", "segment.bytes", "3000000");
        resource r = { 2, STR("t"), { -1, NULL } };
        for (int16_t v = 0; v <= 4; v++) {
                struct describe_configs_res res = describe(&g, v, &r, 1);
                const result *x = &res.results.at[0];
                cr_expect(x->error_code == 0 && str_is_null(x->error_message));
                cr_assert_eq(x->configs.n, TOPIC_KEYS, "v%d", v);
                const setting *own = find(x, "segment.bytes"), *plain = find(x, "retention.ms");
                cr_expect(str_eq(own->value, STR("3000000")));
                cr_expect(str_eq(plain->value, STR("604800000")));
                cr_expect_not(own->read_only || own->is_sensitive);
                if (v == 0) {
                        cr_expect_not(own->is_default);
                        cr_expect(plain->is_default);
                        continue;
                }
                cr_expect_eq(own->config_source, SOURCE_TOPIC);
                cr_expect_eq(plain->config_source, SOURCE_DEFAULT);
                cr_assert_eq(own->synonyms.n, 3);
                cr_expect(str_eq(own->synonyms.at[0].name, STR("segment.bytes")) &&
                          own->synonyms.at[0].source == SOURCE_TOPIC);
                cr_expect(str_eq(own->synonyms.at[1].name, STR("log.segment.bytes")) &&
                          own->synonyms.at[1].source == SOURCE_STATIC_BROKER &&
                          str_eq(own->synonyms.at[1].value, STR("2000000")));
                cr_expect(own->synonyms.at[2].source == SOURCE_DEFAULT &&
                          str_eq(own->synonyms.at[2].value, STR("1073741824")));
                if (v < 3) continue;
                cr_expect_eq(own->config_type, 3);
                cr_expect_eq(plain->config_type, 5);
                cr_expect_eq(find(x, "cleanup.policy")->config_type, 7);
                cr_expect_eq(find(x, "preallocate")->config_type, 1);
                for (int32_t i = 0; i < x->configs.n; i++)
                        cr_expect_gt(x->configs.at[i].documentation.n, 10);
        }
        rig_close(&g);
}

Test(describe_configs, nothing_extra_unless_asked)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "t", 1), 0);
        resource r[] = { { 2, STR("t"), { -1, NULL } }, { 4, STR("1"), { -1, NULL } } };
        struct describe_configs_req req = { .resources = { 2, r } };
        struct describe_configs_res res;
        cr_assert(rig_call(&g, API_DESCRIBE_CONFIGS, 4, &req, &res));
        for (int32_t k = 0; k < 2; k++)
                for (int32_t i = 0; i < res.results.at[k].configs.n; i++) {
                        cr_expect_eq(res.results.at[k].configs.at[i].synonyms.n, 0);
                        cr_expect(str_is_null(res.results.at[k].configs.at[i].documentation));
                }
        rig_close(&g);
}

/* Row C9 */
Test(describe_configs, broker)
{
        const char *sets[] = { "num.partitions=7", NULL };
        struct rig g;
        rig_open(&g, sets);
        resource r = { 4, STR("1"), { -1, NULL } };
        const struct config_item *items;
        unsigned n = config_items(g.config, &items);
        for (int16_t v = 0; v <= 4; v++) {
                struct describe_configs_res res = describe(&g, v, &r, 1);
                const result *x = &res.results.at[0];
                cr_assert_eq(x->error_code, 0);
                cr_assert_eq(x->configs.n, (int32_t)n);
                const setting *s = find(x, "num.partitions");
                cr_expect(str_eq(s->value, STR("7")) && s->read_only);
                if (v >= 1) cr_expect_eq(s->config_source, SOURCE_STATIC_BROKER);
                if (v >= 1) cr_expect_eq(s->synonyms.n, 2);
                if (v >= 1) cr_expect(str_eq(s->synonyms.at[1].value, STR("1")));
                s = find(x, "node.id");
                if (v >= 1) cr_expect_eq(s->config_source, SOURCE_DEFAULT);
                cr_expect(str_eq(find(x, "log.retention.ms")->value, STR("604800000")));
                cr_expect(str_eq(find(x, "default.replication.factor")->value, STR("1")));
        }
        rig_close(&g);
}

Test(describe_configs, key_filter)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "t", 1), 0);
        struct str keys[] = { STR("retention.ms"), STR("no.such.key"), STR("segment.ms"),
                STR("retention.ms") };
        resource r[] = { { 2, STR("t"), { 4, keys } }, { 2, STR("t"), { 0, NULL } },
                { 4, STR("1"), { 4, keys } } };
        struct describe_configs_res res = describe(&g, 4, r, 3);
        cr_expect_eq(res.results.at[0].configs.n, 2, "unknown keys are left out");
        cr_expect_eq(res.results.at[1].configs.n, TOPIC_KEYS, "an empty list asks for all");
        cr_expect_eq(res.results.at[2].configs.n, 0);
        cr_expect_eq(res.results.at[2].error_code, 0);
        rig_close(&g);
}

Test(describe_configs, other_resources)
{
        struct rig g;
        rig_open(&g, NULL);
        cr_assert_eq(rig_create(&g, "t", 1), 0);
        static const struct {
                int8_t type;
                const char *name;
                int16_t error;
                int32_t settings; /* -1: many */
        } rows[] = {
                { 2, "unknown", WIRE_UNKNOWN_TOPIC_OR_PARTITION, 0 },
                { 2, "a/b", WIRE_INVALID_TOPIC_EXCEPTION, 0 },
                { 2, "", WIRE_INVALID_TOPIC_EXCEPTION, 0 },
                { 2, "t", 0, -1 },
                { 2, "t", 0, -1 }, /* named twice, answered twice */
                { 4, "", 0, 0 },
                { 4, "2", WIRE_INVALID_REQUEST, 0 },
                { 4, "one", WIRE_INVALID_REQUEST, 0 },
                { 4, "1", 0, -1 },
                { 8, "1", 0, 1 },
                { 8, "5", WIRE_INVALID_REQUEST, 0 },
                { 16, "", WIRE_INVALID_REQUEST, 0 },
                { 16, "sub", 0, 0 },
                { 32, "", WIRE_INVALID_REQUEST, 0 },
                { 32, "group", 0, 0 },
                { 0, "x", WIRE_INVALID_REQUEST, 0 },
                { 99, "x", WIRE_INVALID_REQUEST, 0 },
        };
        resource r[COUNT_OF(rows)];
        for (size_t i = 0; i < COUNT_OF(rows); i++)
                r[i] = (resource){ rows[i].type, str_of(rows[i].name), { -1, NULL } };
        struct describe_configs_res res = describe(&g, 4, r, COUNT_OF(rows));
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                const result *x = &res.results.at[i];
                cr_expect_eq(x->error_code, rows[i].error, "row %zu", i);
                cr_expect_eq(str_is_null(x->error_message), rows[i].error == 0, "row %zu", i);
                cr_expect_eq(x->resource_type, rows[i].type);
                cr_expect(str_eq(x->resource_name, str_of(rows[i].name)));
                if (rows[i].settings >= 0)
                        cr_expect_eq(x->configs.n, rows[i].settings, "row %zu", i);
                else
                        cr_expect_gt(x->configs.n, 30);
        }
        cr_expect_eq(res.results.at[9].configs.at[0].config_source, 6);
        cr_expect(str_eq(res.results.at[9].configs.at[0].value, STR("INFO")));
        rig_close(&g);
}
