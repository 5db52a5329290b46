/* Inside of the state log: what appending and replay share. */
#pragma once

#include "storage/internal.h"
#include "storage/state_log.h"

enum { STATE_LOG_MAGIC = 0x7673746c };

/* First byte of a record's key.  Commands of a snapshot have a letter of their own, so that one
 * that was broken off can never be taken for live commands. */
enum state_record {
        STATE_COMMAND = 'C',
        STATE_SNAPSHOT_BEGIN = 'B',
        STATE_SNAPSHOT_COMMAND = 'S',
        STATE_SNAPSHOT_END = 'E', /* value: number of its commands, 8 bytes big-endian */
};

struct state_log {
        uint32_t magic;
        struct log_shard *ls;
        struct partition *partition;
        struct state_fold fold;
        struct plan_hook hook;
        struct list queue;  /* commands, not in a batch yet      */
        uint32_t in_flight; /* batches                            */
        bool snapshotting;
        bool snapshot_failed;
        int64_t snapshot_begin; /* offset of the one being written    */
        int64_t keep_from;      /* offset of the last complete one: segments below it go */
        uint64_t retry_bytes;   /* after a failed one: not before the log is this large */
};

/* Blocking. */
int state_log_replay(struct state_log *sl, struct io *io, struct err *e);
