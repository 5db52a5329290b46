/* Topic settings under Kafka's names: one table of all keys that a topic has (kafka-protocol 6.17):
 * name, type, default, range, broker key, meaning, and whether varve acts on it.  A known key that has
 * no effect here is accepted only with the value that describes what happens anyway (its default);
 * another value is refused by name rather than swallowed. */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "storage/log.h"

struct config;

struct config_entry {
        struct str name, value; /* value null: as sent */
};

enum topic_key_type { KEY_BOOL, KEY_STRING, KEY_INT, KEY_LONG, KEY_DOUBLE, KEY_LIST };
/* Kafka's numbers for config_type and config_source. */
int8_t topic_key_wire_type(enum topic_key_type t);
enum config_source {
        SOURCE_TOPIC = 1,
        SOURCE_DYNAMIC_BROKER = 2,
        SOURCE_DYNAMIC_DEFAULT = 3,
        SOURCE_STATIC_BROKER = 4,
        SOURCE_DEFAULT = 5
};

struct topic_key {
        const char *name;
        enum topic_key_type type;
        const char *fallback;     /* default, as text */
        const char *broker_key;   /* gives the default when set on the broker; NULL: none */
        const char *meaning;
        bool effective;           /* varve acts on it */
        int64_t min, max;         /* numbers */
        const char *const *words; /* allowed values of strings and list items, NULL: any */
};
const struct topic_key *topic_keys(unsigned *ret_count);

/* Effective settings of one topic, with what was set on it. */
struct topic_config {
        struct log_config log;
        int32_t max_message_bytes;
        bool append_time;                    /* message.timestamp.type = LogAppendTime */
        bool compact;                        /* cleanup.policy contains compact */
        int64_t timestamp_before_max_ms, timestamp_after_max_ms;
        int32_t min_insync_replicas;
        const struct config_entry *set;      /* own values, sorted by name, owned by the config */
        int32_t n_set;
};
/* Checks every entry and computes the effective values over the broker's.  ST_INVALID with a text that
 * names key, value and allowed range.  The same key twice: the last one wins. */
int topic_config_new(const struct config *broker, const struct config_entry *entries, int32_t n,
    struct topic_config **ret_config, struct err *e);
void topic_config_free(struct topic_config *c);
/* Value and source of one key for one topic; buf holds numbers. */
struct topic_value {
        struct str value;
        enum config_source source;
};
struct topic_value topic_config_value(const struct config *broker, const struct topic_config *c,
    const struct topic_key *key);
