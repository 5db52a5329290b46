/* What the registry writes to its state log.
 *
 * One command is one record.  All numbers big-endian.
 *
 *   key    type:1 topic_id:16
 *   value  version:1 (= 1), then by type:
 *            1 TOPIC_CREATE      partitions:4 name_length:2 name settings:2 of
 *                                { key_length:2 key value_length:4 value }
 *            2 TOPIC_DELETE      nothing: a tombstone, kept until the files are gone
 *            3 TOPIC_PARTITIONS  count:4, the new total
 *            4 TOPIC_GONE        nothing: the files are gone, the tombstone goes too
 *
 * A type or a version that is not listed stops start-up (ST_TOO_NEW); bytes left over or missing, a
 * create of what exists, a delete of what does not: ST_CORRUPT. */
#pragma once

#include "base/err.h"
#include "server/topic_config.h"

enum registry_command_type {
        COMMAND_CREATE = 1,
        COMMAND_DELETE = 2,
        COMMAND_PARTITIONS = 3,
        COMMAND_GONE = 4,
};
enum {
        REGISTRY_KEY_SIZE = 17,
        REGISTRY_BODY_VERSION = 1,
        REGISTRY_SETTINGS_MAX = 1000, /* a bound for decoding; there are far fewer keys */
};

struct registry_command {
        enum registry_command_type type;
        struct uuid id;
        int32_t partitions;
        struct str name;
        int32_t n_settings;
        struct bytes settings; /* decoded: their bytes, checked; read with registry_setting() */
        const struct config_entry *entries; /* to encode */
};

void registry_command_key(const struct registry_command *c, uint8_t key[REGISTRY_KEY_SIZE]);
/* Bytes of the value, and the value into room for that many. */
size_t registry_command_size(const struct registry_command *c);
void registry_command_encode(const struct registry_command *c, uint8_t *value);
/* Borrows from key and value. */
int registry_command_decode(
    struct bytes key, struct bytes value, struct registry_command *ret, struct err *e);
/* Takes the first setting off. */
struct config_entry registry_setting(struct bytes *settings);
