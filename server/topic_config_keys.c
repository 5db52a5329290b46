/* The table of topic settings: Kafka 4.3's 33 keys, and what each means here. */
#include "server/topic_config.h"

#include "base/check.h"

#include <stdlib.h>

static const char *const words_cleanup[] = { "delete", "compact", NULL };
static const char *const words_compression[] = { "producer", "uncompressed", "zstd", "lz4",
        "snappy", "gzip", NULL };
static const char *const words_stamp[] = { "CreateTime", "LogAppendTime", NULL };

#define NO_RECOMPRESSION "batches are stored as sent, so the server never compresses"
#define NOT_COMPACTED "it concerns compacted topics only"
#define ONE_REPLICA "there is one replica"
#define NOT_TIERED "it concerns remote storage only, which is off"
#define FLUSHED "every record is on stable storage before it is acknowledged"
#define LONG_MAX_TEXT "9223372036854775807"

static const struct topic_key keys[] = {
        { "cleanup.policy", KEY_LIST, "delete", "log.cleanup.policy",
            "What happens to old segments: delete, or empty to keep them for ever.",
            .effective = true, .words = words_cleanup, .not_yet = "compact" },
        { "compression.gzip.level", KEY_INT, "-1", "compression.gzip.level",
            "Level when the server compresses with gzip.", .anyway = NO_RECOMPRESSION, .min = -1,
            .max = 9, .not_zero = true },
        { "compression.lz4.level", KEY_INT, "9", "compression.lz4.level",
            "Level when the server compresses with lz4.", .anyway = NO_RECOMPRESSION, .min = 1,
            .max = 17 },
        { "compression.type", KEY_STRING, "producer", "compression.type",
            "Codec of stored batches; producer: as they were sent.", .words = words_compression },
        { "compression.zstd.level", KEY_INT, "3", "compression.zstd.level",
            "Level when the server compresses with zstd.", .anyway = NO_RECOMPRESSION,
            .min = -131072, .max = 22 },
        { "delete.retention.ms", KEY_LONG, "86400000", "log.cleaner.delete.retention.ms",
            "How long tombstones stay in a compacted topic.", .anyway = NOT_COMPACTED,
            .max = INT64_MAX },
        { "file.delete.delay.ms", KEY_LONG, "60000", "log.segment.delete.delay.ms",
            "Delay before files of deleted segments go.",
            .anyway = "files go as soon as no reader holds them", .max = INT64_MAX },
        { "flush.messages", KEY_LONG, LONG_MAX_TEXT, "log.flush.interval.messages",
            "Flush to disk every so many records.", .anyway = FLUSHED, .min = 1, .max = INT64_MAX },
        { "flush.ms", KEY_LONG, LONG_MAX_TEXT, "log.flush.interval.ms",
            "Flush to disk after so many milliseconds.", .anyway = FLUSHED, .max = INT64_MAX },
        { "follower.replication.throttled.replicas", KEY_LIST, "", NULL,
            "Followers whose replication is throttled: partition:broker, or *.",
            .anyway = ONE_REPLICA },
        { "index.interval.bytes", KEY_INT, "4096", "log.index.interval.bytes",
            "Bytes of log between two entries of the offset index.", .effective = true,
            .max = INT32_MAX },
        { "leader.replication.throttled.replicas", KEY_LIST, "", NULL,
            "Leaders whose replication is throttled: partition:broker, or *.",
            .anyway = ONE_REPLICA },
        { "local.retention.bytes", KEY_LONG, "-2", "log.local.retention.bytes",
            "With remote storage: size that stays local; -2: as retention.bytes.",
            .anyway = NOT_TIERED, .min = -2, .max = INT64_MAX },
        { "local.retention.ms", KEY_LONG, "-2", "log.local.retention.ms",
            "With remote storage: age that stays local; -2: as retention.ms.", .anyway = NOT_TIERED,
            .min = -2, .max = INT64_MAX },
        { "max.compaction.lag.ms", KEY_LONG, LONG_MAX_TEXT, "log.cleaner.max.compaction.lag.ms",
            "A record of a compacted topic must become compactable after this.",
            .anyway = NOT_COMPACTED, .min = 1, .max = INT64_MAX },
        { "max.message.bytes", KEY_INT, "1048588", "message.max.bytes",
            "Largest record batch that is accepted.", .effective = true, .max = INT32_MAX },
        { "message.timestamp.after.max.ms", KEY_LONG, "3600000",
            "log.message.timestamp.after.max.ms",
            "How far a record's timestamp may be ahead of the server's clock.", .effective = true,
            .max = INT64_MAX },
        { "message.timestamp.before.max.ms", KEY_LONG, LONG_MAX_TEXT,
            "log.message.timestamp.before.max.ms",
            "How far a record's timestamp may be behind the server's clock.", .effective = true,
            .max = INT64_MAX },
        { "message.timestamp.type", KEY_STRING, "CreateTime", "log.message.timestamp.type",
            "Whose clock stamps records: the producer's (CreateTime) or the server's.",
            .effective = true, .words = words_stamp },
        { "min.cleanable.dirty.ratio", KEY_DOUBLE, "0.5", "log.cleaner.min.cleanable.ratio",
            "Dirty share of a compacted topic that starts compaction.", .anyway = NOT_COMPACTED,
            .max = 1 },
        { "min.compaction.lag.ms", KEY_LONG, "0", "log.cleaner.min.compaction.lag.ms",
            "A record of a compacted topic stays uncompacted this long.", .anyway = NOT_COMPACTED,
            .max = INT64_MAX },
        { "min.insync.replicas", KEY_INT, "1", "min.insync.replicas",
            "Replicas that acks=all needs; there is one, so more refuses acks=all.",
            .effective = true, .min = 1, .max = INT32_MAX },
        { "preallocate", KEY_BOOL, "false", "log.preallocate",
            "Allocate segment files ahead of writing.",
            .anyway = "segments are always preallocated" },
        { "remote.log.copy.disable", KEY_BOOL, "false", NULL,
            "With remote storage: stop copying to it.", .anyway = NOT_TIERED },
        { "remote.log.delete.on.disable", KEY_BOOL, "false", NULL,
            "With remote storage: delete what is there when it is switched off.",
            .anyway = NOT_TIERED },
        { "remote.storage.enable", KEY_BOOL, "false", NULL,
            "Keep old segments in remote storage." },
        { "retention.bytes", KEY_LONG, "-1", "log.retention.bytes",
            "Size of a partition above which its oldest segments are deleted; below 0: no limit.",
            .effective = true, .min = INT64_MIN, .max = INT64_MAX },
        { "retention.ms", KEY_LONG, "604800000", "log.retention.ms",
            "Age at which segments are deleted; -1: never.", .effective = true, .min = -1,
            .max = INT64_MAX },
        { "segment.bytes", KEY_INT, "1073741824", "log.segment.bytes", "Size of a segment file.",
            .effective = true, .min = 1048576, .max = INT32_MAX },
        { "segment.index.bytes", KEY_INT, "10485760", "log.index.size.max.bytes",
            "Size of an index file.", .anyway = "an index is as large as its segment needs",
            .min = 4, .max = INT32_MAX },
        { "segment.jitter.ms", KEY_LONG, "0", "log.roll.jitter.ms",
            "Largest random part taken off segment.ms.", .max = INT64_MAX },
        { "segment.ms", KEY_LONG, "604800000", "log.roll.ms",
            "Age at which a segment is closed and the next one begun.", .effective = true, .min = 1,
            .max = INT64_MAX },
        { "unclean.leader.election.enable", KEY_BOOL, "false", "unclean.leader.election.enable",
            "Whether a replica that lags may become leader.", .anyway = ONE_REPLICA },
};
static_assert(COUNT_OF(keys) == TOPIC_KEYS, "one row per key of kafka-protocol 6.17");

const struct topic_key *topic_keys(unsigned *ret_count)
{
        *ret_count = COUNT_OF(keys);
        return keys;
}

static int key_compare(const void *name, const void *row)
{
        struct str a = *(const struct str *)name, b = str_of(((const struct topic_key *)row)->name);
        int r = memcmp(a.p, b.p, (size_t)MAX(MIN(a.n, b.n), 0));
        return r ? r : (a.n > b.n) - (a.n < b.n);
}

const struct topic_key *topic_key_find(struct str name)
{
        if (name.n <= 0) return NULL;
        return bsearch(&name, keys, COUNT_OF(keys), sizeof(keys[0]), key_compare);
}

int8_t topic_key_wire_type(enum topic_key_type t)
{
        switch (t) {
        case KEY_BOOL:
                return 1;
        case KEY_STRING:
                return 2;
        case KEY_INT:
                return 3;
        case KEY_LONG:
                return 5;
        case KEY_DOUBLE:
                return 6;
        case KEY_LIST:
                return 7;
        }
        return 0;
}
