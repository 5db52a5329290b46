/* Inside the registry: what registry_change.c, registry_remove.c and registry.c share.  All of it
 * belongs to shard 0's thread, except where a comment says otherwise. */
#pragma once

#include "server/registry_fold.h"
#include "server/registry_view.h"
#include "server/server.h"
#include "storage/state_log.h"

enum { REGISTRY_MAGIC = 0x76726567, REMOVALS_MAX = 4, REMOVE_PARALLEL = 16 };

/* Changes of one name (or of names that collide) go one after the other. */
struct change_key {
        struct name_key name;
        struct list waiting; /* registry_change.link, in order of arrival */
        UT_hash_handle hh;
};

/* A new view on its way to one shard, and the answer on its way back. */
struct view_swap {
        struct message message;
        struct registry *registry;
        struct shard *shard;
        struct registry_view *view; /* the shard gets this reference */
};

struct registry {
        uint32_t magic;
        struct server *server;
        struct shard *home; /* shard 0 */
        struct state_log *log;
        struct registry_fold fold;
        struct registry_view *view; /* the newest; every shard has it unless swaps_out > 0 */
        struct change_key *busy;
        int64_t reserved; /* partitions of changes that are not in the fold yet */

        struct list applied;     /* changes in the fold, not in a view yet */
        struct list publishing;  /* in a view that is on its way to the shards */
        struct view_swap *swaps; /* one per shard */
        unsigned swaps_out;
        struct message publish;
        bool publish_posted;
        struct timer retry; /* memory was short */

        struct list removals; /* of deleted topics whose files are going */
        unsigned n_removals;
};

/* registry_change.c: shard 0 received it. */
void registry_change_arrived(struct message *m);
/* Its result is final and all shards know: lets the next one of that name go, and answers. */
void registry_change_end(struct registry *r, struct registry_change *c);

/* registry.c: there are applied changes; they get into a view soon. */
void registry_publish_soon(struct registry *r);
/* The first view, before any shard turns, or the next one. < 0: out of memory, or (at start) stored
 * settings that this configuration refuses. */
int registry_make_view(struct registry *r, struct registry_view **ret_view, struct err *e);

/* registry_remove.c: starts removals of tombstones as far as REMOVALS_MAX allows. */
void registry_remove_more(struct registry *r);
void registry_remove_free(struct registry *r);
