/* Configuration of the server: a server.properties-style file, then VARVE_… environment, then
 * --set key=value; Kafka's names where Kafka has one.  Unknown key, bad value: refuses to start and
 * names key, value and allowed range (law 11). Immutable after start. */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "base/types.h"
#include "storage/store.h"

struct config_listener {
        char host[256];
        uint16_t port;
};

struct config {
        char data_dir[4096];               /* log.dirs */
        struct config_listener listen;     /* listeners */
        struct config_listener advertised; /* advertised.listeners; host "": where it came in */
        int32_t node_id;                   /* node.id */
        unsigned shards;                   /* varve.shards; 0: one per core */
        enum { CONFIG_IO_AUTO, CONFIG_IO_URING, CONFIG_IO_POSIX } io; /* varve.io */
        enum store_durability durability;                             /* varve.durability.method */
        uint64_t memory_limit;          /* memory.limit.bytes; shares of it in config_memory() */
        uint64_t journal_bytes;         /* varve.journal.bytes, of each shard; 0: none */
        int32_t num_partitions;         /* num.partitions */
        bool auto_create_topics;        /* auto.create.topics.enable */
        bool delete_topics;             /* delete.topic.enable */
        int32_t max_request_bytes;      /* socket.request.max.bytes */
        int32_t fetch_max_bytes;        /* fetch.max.bytes */
        int64_t idle_close_ms;          /* connections.max.idle.ms */
        int32_t max_connections;        /* max.connections */
        int32_t max_connections_per_ip; /* max.connections.per.ip */
        int32_t inflight_requests;      /* varve.connection.max.requests */
        int64_t retention_check_ms;     /* log.retention.check.interval.ms */
        int32_t max_partitions;         /* varve.max.partitions: of all topics together */
        enum log_level log_level;       /* varve.log.level  */
        enum log_format log_format;     /* varve.log.format */
        struct config_values *values; /* every key with value and source, for print and describe */
};

/* How memory.limit.bytes is divided, per shard where it says so. */
struct config_memory {
        uint64_t receive, blocks, cache, indexes, arenas; /* per shard, bytes */
};
void config_memory(const struct config *c, unsigned shards, struct config_memory *ret);

struct config_args {
        const char *file;        /* NULL: none */
        const char *const *sets; /* "key=value" */
        unsigned n_sets;
        const char *data_dir, *listen, *io; /* shortcuts, NULL: not given */
        char *const *environ;
};
/* Two keys may each be fine and not fit each other: that is refused here as well. */
int config_load(const struct config_args *a, struct config **ret_config, struct err *e);
void config_free(struct config *c);

/* One row per key, for `config print` and DescribeConfigs of a broker. */
struct config_item {
        const char *key, *value, *unit, *meaning, *fallback;
        int8_t type;             /* Kafka's config_type */
        int8_t source;           /* Kafka's config_source */
        const char *source_text; /* "default", "file …:12", "environment", "--set" */
        bool topic_default;      /* gives a topic key its default */
};
unsigned config_items(const struct config *c, const struct config_item **ret_items);
/* NULL: unknown key. */
const struct config_item *config_item(const struct config *c, const char *key);
/* The broker's key behind a topic key (index into topic_keys()); NULL: it has none. */
const struct config_item *config_topic_default(const struct config *c, unsigned topic_key);
/* Things that are legal and probably not meant; logs one line each. After log_setup(). */
void config_warn(const struct config *c);
/* Shards of this run: varve.shards, or one per core as far as the memory limit goes. */
unsigned config_shards(const struct config *c);
void config_print(const struct config *c, bool json, int fd);
