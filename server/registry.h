/* The topic registry: which topics exist, with ids, partition counts and settings.
 *
 * A view is immutable; every shard holds the current one and swaps it by message.  A change goes to
 * shard 0, is checked there against the newest view, appended to the registry's state log, and when
 * it is durable a new view goes to all shards; the change is done when all have it.  Several
 * changes of one turn share one log write and one view. */
#pragma once

#include "base/err.h"
#include "base/inbox.h"
#include "server/topic_config.h"
#include "storage/log.h"

struct shard;
struct server;
struct registry;

struct topic {
        struct uuid id;
        struct str name; /* lives as long as the view */
        int32_t partitions;
        const struct topic_config *config;
};

struct registry_view {
        _Atomic uint32_t refs;
        uint64_t version; /* grows by one per view */
        uint32_t count;
        const struct topic *const *by_name; /* sorted by name (bytes) */
        struct topic_index *index;          /* by name and by id */
};
const struct topic *registry_find(const struct registry_view *v, struct str name);
const struct topic *registry_find_id(const struct registry_view *v, struct uuid id);
struct registry_view *registry_view_ref(struct registry_view *v);
void registry_view_unref(struct registry_view *v); /* any thread */

/* NULL: legal; else what is wrong with it (1-249 of [a-zA-Z0-9._-], not "." or ".."). */
const char *topic_name_invalid(struct str name);
/* A name that belongs to the server (__consumer_offsets ...): clients cannot create it. */
bool topic_name_internal(struct str name);
/* Text form of ids: URL-safe base64 without padding. */
struct uuid_text {
        char text[23];
};
struct uuid_text uuid_show(struct uuid id);

/* The log of the registry itself is partition 0 of this id, always on shard 0; no topic has it. */
extern const struct uuid registry_topic_id;

enum registry_change_kind { TOPIC_CREATE, TOPIC_DELETE, TOPIC_ADD_PARTITIONS };

struct registry_change {
        /* in; all memory stays valid until on_done */
        enum registry_change_kind kind;
        bool validate_only;
        struct str name;    /* CREATE; DELETE/ADD by name */
        struct uuid id;     /* DELETE by id when not zero */
        int32_t partitions; /* CREATE: count; ADD: new total */
        const struct config_entry *configs;
        int32_t n_configs;
        void (*on_done)(struct registry_change *c); /* on the shard that submitted it */
        /* out */
        int16_t error;  /* wire code, 0: done */
        char text[256]; /* when error != 0 */
        struct uuid new_id;
        struct registry_view *view; /* one that contains the change (held until on_done returned) */
        /* registry's */
        struct message message;
        struct shard *from;
        struct list link;
        void *state;
};
void registry_submit(struct shard *from, struct registry_change *c);
/* Fills error and text. */
void registry_refuse(struct registry_change *c, int16_t error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Start-up, on shard 0 with its log recovered: replays, gives every shard its first view, goes on
 * with the removal of deleted topics whose files are still there. */
int registry_open(struct server *server, struct err *e);
/* True: the store knows this topic as deleted (its files may go); false: never heard of it. */
bool registry_was_deleted(const struct registry *r, struct uuid id);
void registry_close(struct server *server);
