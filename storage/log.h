/* What one shard owns of the store: its partitions, their tails, the flush planner, the read cache.
 *
 * Offsets of a partition, in order:
 *   log_start <= settled_end <= durable_end (= high watermark) <= append_end
 * settled: durable in the partition's own segment; durable: settled or in the journal.
 *
 * Everything here belongs to the shard's thread.  No call blocks; what ends later says so through a
 * callback, which runs from io_dispatch() or log_shard_plan(), never from inside the call itself.
 */
#pragma once

#include "base/block.h"
#include "base/io.h"
#include "base/list.h"
#include "base/timer.h"
#include "protocol/batch.h"
#include "protocol/out.h"
#include "storage/store.h"

struct log_shard;
struct partition;

struct log_shard_config {
        struct store *store;
        struct io *io;
        struct timers *timers;
        struct block_pool *blocks;  /* tails and cached reads come out of it          */
        size_t cache_limit;         /* of it, for cached reads and finished tails     */
        size_t index_limit;         /* bytes of segment indexes kept in memory        */
        uint32_t fds_limit;         /* open segment files                             */
        int64_t retention_check_ms; /* between two looks at a partition; 0: every second */
        size_t write_max;           /* W: largest direct write, bytes; 0: 4 MiB       */
        size_t journal_bytes;       /* of the journal; 0: none                          */
};

/* Effective settings of a partition's topic; all that storage needs of them. */
struct log_config {
        uint32_t segment_bytes;
        uint32_t index_interval_bytes;
        int64_t segment_ms;   /* age of the active segment's first append at which it is rolled */
        int64_t retention_ms; /* -1: none */
        int64_t retention_bytes; /* -1: none */
        bool delete_old;         /* cleanup.policy contains delete */
};

struct log_shard *log_shard_new(const struct log_shard_config *c);
/* The end of a turn: starts the direct writes that are due, lets waiting appends go on where memory
 * came back.  Returns how many operations it started. */
unsigned log_shard_plan(struct log_shard *ls);
/* Flushes all tails, cuts the active segments to size, then calls on_closed.  Appends are refused
 * (ST_CLOSED) from here on. */
void log_shard_close(struct log_shard *ls, void (*on_closed)(void *arg), void *arg);
/* After on_closed, or instead of it (memory only, as after a crash; nothing may be in flight). */
void log_shard_free(struct log_shard *ls);

/* What it counts: storage/stats.h.  Any thread may read there. */
struct log_stats;
const struct log_stats *log_shard_stats(const struct log_shard *ls);
/* Every second or so: brings what is only looked up now and then up to date. */
void log_shard_stats_refresh(struct log_shard *ls);

/* --- partitions --- */
/* In memory at once, with or without files.  NULL: out of memory.  A partition without a directory
 * is empty and begins at 0; its directory comes with its first append. */
struct partition *partition_new(
    struct log_shard *ls, struct uuid topic_id, int32_t index, const struct log_config *c);
/* NULL: not here. */
struct partition *partition_find(struct log_shard *ls, struct uuid topic_id, int32_t index);
/* Start-up only, blocking: finds the segments, scans the active one from its settled position, cuts
 * a torn tail, refuses what it cannot explain (then the partition is offline: every call on it
 * answers ST_CORRUPT, its files stay as they are).  Idempotent.  < 0 only when the whole store is
 * in doubt. */
int partition_recover(struct partition *p, struct err *e);
/* All partitions are recovered: what the journals held is in the segments.  Journals are not used
 * before this.  Start-up only, blocking, once per store. */
int store_recovered(struct store *s, struct io *io, struct err *e);
void partition_configure(struct partition *p, const struct log_config *c);
/* Deletes its files once nobody reads them, then calls on_gone; waiting appends end with
 * ST_NOT_FOUND, watches fire.  The struct is gone afterwards, and partition_find() does not see it
 * from now on. */
void partition_delete(struct partition *p, void (*on_gone)(void *arg, int status), void *arg);

struct partition_state {
        int64_t log_start, high_watermark, append_end;
        int64_t max_timestamp; /* below high watermark; -1: none */
        uint64_t bytes;        /* on disk, sealed and active     */
        uint32_t segments;
        int32_t leader_epoch; /* constant 0 until there are elections */
        int status;           /* ST_OK, ST_FENCED, ST_CORRUPT (offline) */
};
void partition_get_state(const struct partition *p, struct partition_state *ret);

/* --- appending --- */
/* One batch on its way: accepted -> copied (bytes are in the tail; `batch` may be reused) ->
 * durable. Embedded in the caller's struct, which lives until on_done. */
struct log_append {
        /* in */
        struct partition *partition;
        uint8_t *batch;    /* whole batch; base offset and leader epoch get patched in the copy */
        struct batch info; /* its header, already checked                                        */
        bool crc_checked;  /* the caller verified (or recomputed) the CRC                        */
        void (*on_copied)(struct log_append *a); /* may be NULL */
        void (*on_done)(struct log_append *a);
        /* out */
        int status; /* ST_OK: durable. ST_BAD_CRC, ST_FENCED, ST_DISK_FULL, ST_CLOSED … */
        int64_t base_offset;
        int64_t log_start;
        /* storage's */
        struct list link;
        uint64_t end_offset;
};
/* Takes it in, in the order of calls per partition.  Offsets are given when it is copied, in the
 * same order; when memory is short copying waits (that is the back-pressure).  on_copied and
 * on_done run exactly once each, on_copied first, both later; a failed append gets both as well. */
void partition_append(struct log_append *a);

/* --- reading --- */
enum { LOG_READ_SLICES_MAX = 16 };

/* Whole batches from the one that holds `offset` on.  Embedded in the caller's struct. */
struct log_read {
        /* in */
        struct partition *partition;
        int64_t offset;
        uint32_t max_bytes;
        bool at_least_one; /* the first batch is returned whole even when larger than max_bytes */
        void (*on_done)(struct log_read *r);
        /* out */
        int status; /* ST_OK, ST_OUT_OF_RANGE, ST_CORRUPT, ST_IO, ST_NOMEM, ST_NOT_FOUND */
        int64_t high_watermark, log_start;
        uint32_t total; /* bytes in slices; 0 at the end of the log */
        uint32_t n_slices;
        struct slice slices[LOG_READ_SLICES_MAX]; /* each holds a reference on its block */
        /* storage's */
        struct list link;
        struct {
                uint64_t a, b;
                void *p, *q;
        } state;
        struct io_op op;
};
/* ST_OK: done now (from the tail, the cache, or nothing to read), on_done is not called;
 * ST_PENDING: on_done follows.  Errors come in r->status in both cases. */
int partition_read(struct log_read *r);
/* Lets the blocks go.  Owner's thread. */
void log_read_release(struct log_read *r);
/* Bytes that a read from `offset` could return now, without reading: 0 … limit. */
uint64_t partition_readable(const struct partition *p, int64_t offset, uint64_t limit);

/* Fires (once, then it is off) when the high watermark or the log start moves, or the partition
 * ends. Runs from log_shard_plan() or io_dispatch(). */
struct log_watch {
        struct list link;
        void (*on_move)(struct log_watch *w);
        bool armed;
};
void partition_watch(struct partition *p, struct log_watch *w);
void partition_unwatch(struct log_watch *w); /* harmless when off */

/* First record in offset order with timestamp >= t, below the high watermark; t == LOG_TIME_MAX:
 * the first record that has the biggest timestamp. */
#define LOG_TIME_MAX INT64_MIN
struct log_find {
        struct partition *partition;
        int64_t timestamp;
        void (*on_done)(struct log_find *f);
        int status;
        int64_t offset, found_timestamp; /* -1, -1: none */
        struct log_read read;            /* storage's */
        struct {
                uint64_t a, b;
        } state;
};
/* ST_OK: done now; ST_PENDING: on_done follows. */
int partition_find_time(struct log_find *f);
/* Base offsets of the segments, newest first, then at most max of them (ListOffsets v0). */
uint32_t partition_segment_offsets(const struct partition *p, int64_t *out, uint32_t max);
