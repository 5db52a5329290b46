/* Topic settings: the table against Kafka's, what is accepted, what is refused and how it is said.
 */
#include "base/check.h"
#include "base/status.h"
#include "server/config.h"
#include "server/topic_config.h"

#include <criterion/criterion.h>
#include <stdio.h>

/* kafka-protocol 6.17: name, type, default, broker key. */
static const struct row {
        const char *name;
        enum topic_key_type type;
        const char *fallback, *broker_key;
} sheet[] = {
        { "cleanup.policy", KEY_LIST, "delete", "log.cleanup.policy" },
        { "compression.gzip.level", KEY_INT, "-1", "compression.gzip.level" },
        { "compression.lz4.level", KEY_INT, "9", "compression.lz4.level" },
        { "compression.type", KEY_STRING, "producer", "compression.type" },
        { "compression.zstd.level", KEY_INT, "3", "compression.zstd.level" },
        { "delete.retention.ms", KEY_LONG, "86400000", "log.cleaner.delete.retention.ms" },
        { "file.delete.delay.ms", KEY_LONG, "60000", "log.segment.delete.delay.ms" },
        { "flush.messages", KEY_LONG, "9223372036854775807", "log.flush.interval.messages" },
        { "flush.ms", KEY_LONG, "9223372036854775807", "log.flush.interval.ms" },
        { "follower.replication.throttled.replicas", KEY_LIST, "", NULL },
        { "index.interval.bytes", KEY_INT, "4096", "log.index.interval.bytes" },
        { "leader.replication.throttled.replicas", KEY_LIST, "", NULL },
        { "local.retention.bytes", KEY_LONG, "-2", "log.local.retention.bytes" },
        { "local.retention.ms", KEY_LONG, "-2", "log.local.retention.ms" },
        { "max.compaction.lag.ms", KEY_LONG, "9223372036854775807",
            "log.cleaner.max.compaction.lag.ms" },
        { "max.message.bytes", KEY_INT, "1048588", "message.max.bytes" },
        { "message.timestamp.after.max.ms", KEY_LONG, "3600000",
            "log.message.timestamp.after.max.ms" },
        { "message.timestamp.before.max.ms", KEY_LONG, "9223372036854775807",
            "log.message.timestamp.before.max.ms" },
        { "message.timestamp.type", KEY_STRING, "CreateTime", "log.message.timestamp.type" },
        { "min.cleanable.dirty.ratio", KEY_DOUBLE, "0.5", "log.cleaner.min.cleanable.ratio" },
        { "min.compaction.lag.ms", KEY_LONG, "0", "log.cleaner.min.compaction.lag.ms" },
        { "min.insync.replicas", KEY_INT, "1", "min.insync.replicas" },
        { "preallocate", KEY_BOOL, "false", "log.preallocate" },
        { "remote.log.copy.disable", KEY_BOOL, "false", NULL },
        { "remote.log.delete.on.disable", KEY_BOOL, "false", NULL },
        { "remote.storage.enable", KEY_BOOL, "false", NULL },
        { "retention.bytes", KEY_LONG, "-1", "log.retention.bytes" },
        { "retention.ms", KEY_LONG, "604800000", "log.retention.ms" },
        { "segment.bytes", KEY_INT, "1073741824", "log.segment.bytes" },
        { "segment.index.bytes", KEY_INT, "10485760", "log.index.size.max.bytes" },
        { "segment.jitter.ms", KEY_LONG, "0", "log.roll.jitter.ms" },
        { "segment.ms", KEY_LONG, "604800000", "log.roll.ms" },
        { "unclean.leader.election.enable", KEY_BOOL, "false", "unclean.leader.election.enable" },
};

Test(topic_config, table_is_kafkas)
{
        unsigned n;
        const struct topic_key *k = topic_keys(&n);
        cr_assert_eq(n, COUNT_OF(sheet));
        for (unsigned i = 0; i < n; i++) {
                cr_expect_str_eq(k[i].name, sheet[i].name);
                cr_expect_eq(k[i].type, sheet[i].type, "%s", k[i].name);
                cr_expect_str_eq(k[i].fallback, sheet[i].fallback, "%s", k[i].name);
                cr_assert_eq(k[i].broker_key != NULL, sheet[i].broker_key != NULL, "%s", k[i].name);
                if (sheet[i].broker_key) cr_expect_str_eq(k[i].broker_key, sheet[i].broker_key);
                cr_expect(strlen(k[i].meaning) > 10, "%s", k[i].name);
                cr_expect_eq(topic_key_find(str_of(k[i].name)), &k[i]);
                cr_expect_not(k[i].effective && k[i].anyway, "%s is one or the other", k[i].name);
        }
        cr_expect_null(topic_key_find(STR("")));
        cr_expect_null(topic_key_find(STR("aaa")));
        cr_expect_null(topic_key_find(STR("zzz")));
        cr_expect_null(topic_key_find(STR("segment.byte")));
        cr_expect_null(topic_key_find(STR_NULL));
}

static int set_one(const char *name, struct str value, struct topic_config **ret, struct err *e)
{
        struct config_entry x = { str_of(name), value };
        return topic_config_new(NULL, &x, 1, ret, e);
}

Test(topic_config, every_default_is_legal)
{
        for (unsigned i = 0; i < COUNT_OF(sheet); i++) {
                struct topic_config *c;
                struct err e;
                cr_assert_eq(
                    set_one(sheet[i].name, str_of(sheet[i].fallback), &c, &e), 0, "%s", e.text);
                cr_expect_eq(c->n_set, 1);
                topic_config_free(c);
        }
}

Test(topic_config, effective_defaults)
{
        struct topic_config *c;
        cr_assert_eq(topic_config_new(NULL, NULL, 0, &c, NULL), 0);
        cr_expect_eq(c->n_set, 0);
        cr_expect_eq(c->log.segment_bytes, 1U << 30);
        cr_expect_eq(c->log.segment_ms, 604800000);
        cr_expect_eq(c->log.retention_ms, 604800000);
        cr_expect_eq(c->log.retention_bytes, -1);
        cr_expect_eq(c->log.index_interval_bytes, 4096);
        cr_expect(c->log.delete_old);
        cr_expect_eq(c->max_message_bytes, 1048588);
        cr_expect_not(c->append_time);
        cr_expect_not(c->compact);
        cr_expect_eq(c->timestamp_before_max_ms, INT64_MAX);
        cr_expect_eq(c->timestamp_after_max_ms, 3600000);
        cr_expect_eq(c->min_insync_replicas, 1);
        topic_config_free(c);
}

Test(topic_config, what_is_set_takes_effect)
{
        const struct config_entry x[] = {
                { STR("segment.bytes"), STR("1048576") },
                { STR("retention.ms"), STR("-1") },
                { STR("retention.bytes"), STR(" 5000 ") },
                { STR("segment.ms"), STR("1") },
                { STR("message.timestamp.type"), STR("LogAppendTime") },
                { STR("cleanup.policy"), STR("") },
                { STR("max.message.bytes"), STR("0") },
                { STR("min.insync.replicas"), STR("2") },
                { STR("index.interval.bytes"), STR("0") },
                { STR("message.timestamp.before.max.ms"), STR("7") },
                { STR("message.timestamp.after.max.ms"), STR("8") },
        };
        struct topic_config *c;
        struct err e;
        cr_assert_eq(topic_config_new(NULL, x, COUNT_OF(x), &c, &e), 0, "%s", e.text);
        cr_expect_eq(c->log.segment_bytes, 1048576);
        cr_expect_eq(c->log.retention_ms, -1);
        cr_expect_eq(c->log.retention_bytes, 5000);
        cr_expect_eq(c->log.segment_ms, 1);
        cr_expect(c->append_time);
        cr_expect_not(c->log.delete_old);
        cr_expect_eq(c->max_message_bytes, 0);
        cr_expect_eq(c->min_insync_replicas, 2);
        cr_expect_eq(c->log.index_interval_bytes, 0);
        cr_expect_eq(c->timestamp_before_max_ms, 7);
        cr_expect_eq(c->timestamp_after_max_ms, 8);
        cr_assert_eq(c->n_set, (int32_t)COUNT_OF(x));
        for (int32_t i = 1; i < c->n_set; i++)
                cr_expect_lt(strncmp(c->set[i - 1].name.p, c->set[i].name.p, 40), 0, "sorted");
        topic_config_free(c);
}

Test(topic_config, last_of_two_wins_and_values_have_one_form)
{
        const struct config_entry x[] = {
                { STR("retention.ms"), STR("1") },
                { STR("preallocate"), STR(" TRUE") },
                { STR("retention.ms"), STR("+0022 ") },
                { STR("retention.bytes"), STR("-77") },
                { STR("cleanup.policy"), STR(" delete , delete ") },
        };
        struct topic_config *c;
        cr_assert_eq(topic_config_new(NULL, x, COUNT_OF(x), &c, NULL), 0);
        cr_assert_eq(c->n_set, 4);
        cr_expect(str_eq(c->set[0].value, STR("delete")));
        cr_expect(str_eq(c->set[1].value, STR("true")));
        cr_expect(str_eq(c->set[2].value, STR("-77")));
        cr_expect(str_eq(c->set[3].value, STR("22")));
        cr_expect_eq(c->log.retention_ms, 22);
        cr_expect_eq(c->log.retention_bytes, -1, "any negative number is no limit");
        topic_config_free(c);
}

/* What Connect, Streams, kafka-ui, Terraform and Java's admin client like to set. */
Test(topic_config, what_clients_set_is_accepted)
{
        static const char *const pairs[][2] = {
                { "cleanup.policy", "delete" },
                { "compression.type", "producer" },
                { "retention.ms", "9223372036854775807" },
                { "retention.bytes", "-1" },
                { "segment.bytes", "52428800" },
                { "segment.index.bytes", "52428800" },
                { "message.timestamp.type", "CreateTime" },
                { "min.insync.replicas", "1" },
                { "unclean.leader.election.enable", "true" },
                { "flush.messages", "1" },
                { "flush.ms", "1000" },
                { "preallocate", "true" },
                { "file.delete.delay.ms", "1000" },
                { "delete.retention.ms", "100" },
                { "min.cleanable.dirty.ratio", "0.01" },
                { "min.compaction.lag.ms", "60000" },
                { "leader.replication.throttled.replicas", "0:1,1:1" },
                { "follower.replication.throttled.replicas", "*" },
                { "local.retention.ms", "1000" },
                { "remote.storage.enable", "false" },
        };
        for (size_t i = 0; i < COUNT_OF(pairs); i++) {
                struct topic_config *c;
                struct err e;
                cr_assert_eq(set_one(pairs[i][0], str_of(pairs[i][1]), &c, &e), 0, "%s", e.text);
                cr_expect(str_eq(c->set[0].value, str_of(pairs[i][1])));
                topic_config_free(c);
        }
}

Test(topic_config, refusals_name_key_value_and_range)
{
        static const char *const rows[][3] = {
                { "retention.ms", "abc",
                    "retention.ms=abc: not a whole number; allowed: -1 to 9223372036854775807" },
                { "retention.ms", "-2",
                    "retention.ms=-2: out of range; allowed: -1 to 9223372036854775807" },
                { "retention.ms", "9223372036854775808",
                    "retention.ms=9223372036854775808: not a whole number; "
                    "allowed: -1 to 9223372036854775807" },
                { "retention.ms", "7d",
                    "retention.ms=7d: not a whole number; allowed: -1 to 9223372036854775807" },
                { "retention.ms", "",
                    "retention.ms=: not a whole number; allowed: -1 to 9223372036854775807" },
                { "segment.bytes", "1024",
                    "segment.bytes=1024: out of range; allowed: 1048576 to 2147483647" },
                { "segment.bytes", "2147483648",
                    "segment.bytes=2147483648: out of range; allowed: 1048576 to 2147483647" },
                { "segment.bytes", "1 GiB",
                    "segment.bytes=1 GiB: not a whole number; allowed: 1048576 to 2147483647" },
                { "cleanup.policy", "compact",
                    "cleanup.policy=compact: not supported yet; allowed: delete, or empty" },
                { "cleanup.policy", "compact,delete",
                    "cleanup.policy=compact,delete: not supported yet; allowed: delete, or empty" },
                { "cleanup.policy", "shred",
                    "cleanup.policy=shred: not a value of this key; allowed: delete, or empty" },
                { "cleanup.policy", "delete,",
                    "cleanup.policy=delete,: not a value of this key; allowed: delete, or empty" },
                { "compression.type", "zstd",
                    "compression.type=zstd: not supported yet; allowed: producer" },
                { "compression.type", "brotli",
                    "compression.type=brotli: not a value of this key; "
                    "allowed: producer, uncompressed, zstd, lz4, snappy, gzip" },
                { "remote.storage.enable", "true",
                    "remote.storage.enable=true: not supported yet; allowed: false" },
                { "preallocate", "yes", "preallocate=yes: not a boolean; allowed: true, false" },
                { "segment.jitter.ms", "5", "segment.jitter.ms=5: not supported yet; allowed: 0" },
                { "min.insync.replicas", "0",
                    "min.insync.replicas=0: out of range; allowed: 1 to 2147483647" },
                { "min.cleanable.dirty.ratio", "1.5",
                    "min.cleanable.dirty.ratio=1.5: out of range; allowed: 0 to 1" },
                { "min.cleanable.dirty.ratio", "nan",
                    "min.cleanable.dirty.ratio=nan: not a number; allowed: 0 to 1" },
                { "message.timestamp.type", "createtime",
                    "message.timestamp.type=createtime: not a value of this key; "
                    "allowed: CreateTime, LogAppendTime" },
                { "leader.replication.throttled.replicas", "1:2:3",
                    "leader.replication.throttled.replicas=1:2:3: not such a list; "
                    "allowed: empty, *, or partition:broker,..." },
                { "leader.replication.throttled.replicas", "1:,",
                    "leader.replication.throttled.replicas=1:,: not such a list; "
                    "allowed: empty, *, or partition:broker,..." },
                { "compression.gzip.level", "0",
                    "compression.gzip.level=0: out of range; allowed: -1 to 9 without 0" },
                { "retention.sm", "1",
                    "retention.sm: unknown topic setting "
                    "(did you mean retention.ms?)" },
                { "durability", "async", "durability: unknown topic setting" },
                { "", "1", ": unknown topic setting" },
                { "a\nb\x7f", "1", "a?b?: unknown topic setting" },
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                struct topic_config *c = NULL;
                struct err e;
                cr_expect_eq(set_one(rows[i][0], str_of(rows[i][1]), &c, &e), ST_INVALID);
                cr_expect_str_eq(e.text, rows[i][2]);
                cr_expect_null(c, "output untouched");
        }
}

Test(topic_config, null_long_and_contradicting_values)
{
        struct topic_config *c;
        struct err e;
        cr_expect_eq(set_one("retention.ms", STR_NULL, &c, &e), ST_INVALID);
        cr_expect_str_eq(e.text, "retention.ms: the value is null");
        static char text[20000];
        memset(text, '1', sizeof(text));
        cr_expect_eq(set_one("leader.replication.throttled.replicas",
                         (struct str){ text, sizeof(text) }, &c, &e),
            ST_INVALID);
        cr_expect_str_eq(
            e.text, "leader.replication.throttled.replicas: the value is longer than 16384 bytes");
        const struct config_entry x[] = {
                { STR("min.compaction.lag.ms"), STR("10") },
                { STR("max.compaction.lag.ms"), STR("9") },
        };
        cr_expect_eq(topic_config_new(NULL, x, 2, &c, &e), ST_INVALID);
        cr_expect_str_eq(e.text, "min.compaction.lag.ms=10: more than max.compaction.lag.ms=9");
}

Test(topic_config, broker_gives_defaults_and_sources)
{
        const char *sets[] = { "log.retention.ms=5", "message.max.bytes=77" };
        struct config_args a = { .sets = sets, .n_sets = 2 };
        struct config *broker;
        struct topic_config *c;
        struct err e;
        cr_assert_eq(config_load(&a, &broker, &e), 0, "%s", e.text);
        const struct config_entry own = { STR("max.message.bytes"), STR("99") };
        cr_assert_eq(topic_config_new(broker, &own, 1, &c, &e), 0, "%s", e.text);
        cr_expect_eq(c->log.retention_ms, 5);
        cr_expect_eq(c->max_message_bytes, 99);
        struct topic_value v = topic_config_value(broker, c, topic_key_find(STR("retention.ms")));
        cr_expect(str_eq(v.value, STR("5")) && v.source == SOURCE_STATIC_BROKER);
        v = topic_config_value(broker, c, topic_key_find(STR("max.message.bytes")));
        cr_expect(str_eq(v.value, STR("99")) && v.source == SOURCE_TOPIC);
        v = topic_config_value(broker, NULL, topic_key_find(STR("max.message.bytes")));
        cr_expect(str_eq(v.value, STR("77")) && v.source == SOURCE_STATIC_BROKER);
        v = topic_config_value(broker, c, topic_key_find(STR("segment.ms")));
        cr_expect(str_eq(v.value, STR("604800000")) && v.source == SOURCE_DEFAULT);
        topic_config_free(c);
        config_free(broker);
}
