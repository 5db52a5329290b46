/* The state that the registry's log folds into: live topics and tombstones of deleted ones.  Pure:
 * commands in, state out; the same for replay and live.  Owner: shard 0. */
#pragma once

#include "base/hash.h"
#include "base/list.h"
#include "server/registry.h"
#include "server/registry_command.h"

enum { TOPIC_NAME_ROOM = 250, REGISTRY_FOLD_MAGIC = 0x76726631 };

/* A name with '.' as '_': names that are equal in this form collide. */
struct name_key {
        int32_t n;
        char text[TOPIC_NAME_ROOM];
};
/* The name is legal. */
void name_key_make(struct name_key *k, struct str name);

struct registry_entry {
        struct uuid id;
        struct str name;
        int32_t partitions;
        bool deleted; /* a tombstone: its files are going */
        int32_t n_set;
        struct config_entry *set;
        struct name_key key;
        struct list changed;   /* in fold.changed: differs from the last view */
        struct list tombstone; /* in fold.tombstones: nobody began to remove its files */
        UT_hash_handle by_id, by_key;
};

struct registry_fold {
        uint32_t magic;
        struct registry_entry *ids;  /* all */
        struct registry_entry *keys; /* live ones */
        int64_t partitions;          /* of all entries, tombstones included */
        uint32_t live;
        size_t bytes; /* of a snapshot */
        struct list changed, tombstones;
};

void registry_fold_init(struct registry_fold *f);
void registry_fold_reset(struct registry_fold *f);
int registry_fold_apply(
    struct registry_fold *f, struct bytes key, struct bytes value, struct err *e);
int registry_fold_snapshot(
    struct registry_fold *f, int (*emit)(void *to, struct bytes key, struct bytes value), void *to);

/* Live or tombstone; NULL: none. */
struct registry_entry *registry_fold_id(struct registry_fold *f, struct uuid id);
/* The live topic that has this name or collides with it. */
struct registry_entry *registry_fold_key(struct registry_fold *f, const struct name_key *key);
