/* Topic settings under Kafka's names: one table of all keys that a topic has (kafka-protocol 6.17):
 * name, type, default, range, broker key, meaning, and whether varve acts on it.
 *
 * The rule for a key that varve does not act on: a legal value is accepted when it asks for no more
 * than what happens anyway (`anyway` says why: every record is flushed before it is acknowledged,
 * so any flush.messages is kept); otherwise only the default is, and another value is refused by
 * name rather than swallowed.  An illegal value is refused for every key. */
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
        const char *fallback;   /* default, as text */
        const char *broker_key; /* gives the default when set on the broker; NULL: none */
        const char *meaning;
        bool effective;           /* varve acts on it */
        const char *anyway;       /* not effective, but any legal value is true here: why */
        int64_t min, max;         /* numbers */
        bool not_zero;            /* of the range only */
        const char *const *words; /* allowed values of strings and list items, NULL: any */
        const char *not_yet;      /* one of words that is legal in Kafka and refused here */
};
/* Sorted by name. */
enum { TOPIC_KEYS = 33 };
const struct topic_key *topic_keys(unsigned *ret_count);
/* NULL: no such key. */
const struct topic_key *topic_key_find(struct str name);

/* A checked value: `text` is its normal form (of the input, or in buf), numbers and booleans also
 * as such. */
struct topic_parsed {
        struct str text;
        int64_t number;
        char buf[32];
};
/* shown: the name that an error text uses (a broker key, or k->name).  ret may not be copied. */
int topic_key_parse(const struct topic_key *k, const char *shown, struct str value,
    struct topic_parsed *ret, struct err *e);

/* Effective settings of one topic, with what was set on it. */
struct topic_config {
        struct log_config log;
        int32_t max_message_bytes;
        bool append_time; /* message.timestamp.type = LogAppendTime */
        bool compact;     /* cleanup.policy contains compact */
        int64_t timestamp_before_max_ms, timestamp_after_max_ms;
        int32_t min_insync_replicas;
        const struct config_entry *set; /* own values, sorted by name, owned by the config */
        int32_t n_set;
};
/* Checks every entry and computes the effective values over the broker's.  ST_INVALID with a text
 * that names key, value and allowed range.  The same key twice: the last one wins. */
int topic_config_new(const struct config *broker, const struct config_entry *entries, int32_t n,
    struct topic_config **ret_config, struct err *e);
void topic_config_free(struct topic_config *c);
/* Value and source of one key for one topic; the value lives as long as c and broker.  c NULL: of a
 * topic on which nothing is set. */
struct topic_value {
        struct str value;
        enum config_source source;
};
struct topic_value topic_config_value(
    const struct config *broker, const struct topic_config *c, const struct topic_key *key);
