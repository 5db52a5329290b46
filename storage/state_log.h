/* State that must survive (the topic registry now; committed offsets, producer ids, transactions
 * later) is a fold over a log of its own: append a command, apply it when durable, write a snapshot
 * into the same log when the log is several times larger than the live state, then drop the
 * segments below it.  One mechanism, one recovery.
 *
 * A command is one record: key = its type (1 byte) and key bytes, value = its body.  A snapshot is
 * SNAPSHOT_BEGIN, the commands that rebuild the state, SNAPSHOT_END; replay resets the state at a
 * BEGIN that has its END, and ignores one that has none.
 *
 * Owner: the shard of its partition. */
#pragma once

#include "storage/log.h"

struct state_log;

struct state_command {
        struct bytes key, value; /* valid until on_applied */
        /* Runs after the fold applied it, or with a status < 0: refused, nothing applied. */
        void (*on_applied)(struct state_command *c, int status);
        struct list link;
};

struct state_fold {
        void *arg;
        void (*reset)(void *arg);
        /* Replay and live take the same path. < 0: not understood (start-up stops). */
        int (*apply)(void *arg, struct bytes key, struct bytes value, struct err *e);
        /* Writes the whole state as commands through emit; stops when emit fails. */
        int (*snapshot)(
            void *arg, int (*emit)(void *to, struct bytes key, struct bytes value), void *to);
        /* Bytes that a snapshot would take, roughly. */
        size_t (*size)(void *arg);
};

/* Start-up, blocking: opens (or begins) the log of that topic id and replays it. */
int state_log_open(struct log_shard *ls, struct uuid topic_id, int32_t partition,
    const struct state_fold *fold, struct state_log **ret_log, struct err *e);
/* Commands are applied in the order of calls; several of one turn share a batch. */
void state_log_append(struct state_log *sl, struct state_command *c);
/* Nothing may be pending. */
void state_log_free(struct state_log *sl);
