/* The log directory: opened once per process, locked, identified, then shared read-only by shards.
 *
 *   DIR/varve.lock                        advisory lock of the running server
 *   DIR/store                             identity: format version, store id, cluster id (64 bytes)
 *   DIR/clean                             the last stop was clean; removed while a server runs
 *   DIR/checkpoint-<shard>                a cache: settled positions at the last clean stop or tick
 *   DIR/journal-<shard>                   a ring: newest bytes of many partitions
 *   DIR/p/<topic id, 32 hex>-<partition>/ one directory per partition that ever held data
 *           <base offset, 20 digits>.log      record batches, as sent, back to back
 *           <base offset, 20 digits>.index    of a sealed segment: a cache, rebuilt on doubt
 *
 * Threads: store_open/close on the main thread while no shard runs; afterwards read-only for all,
 * except the atomics. */
#pragma once

#include "base/io.h"

enum store_durability { STORE_DURABILITY_AUTO, STORE_DURABILITY_DSYNC, STORE_DURABILITY_SYNC };

struct store_config {
        const char *dir;                  /* created when missing (its parent must exist) */
        enum store_durability durability; /* AUTO: both are timed on that directory       */
};

enum { STORE_MAGIC = 0x76737431, STORE_FORMAT = 1 };

struct store {
        uint32_t magic;
        int dir_fd, data_fd /* DIR/p */, lock_fd;
        struct uuid id, cluster_id;
        bool direct;        /* O_DIRECT works here; else buffered, and said so once       */
        bool dsync;         /* writes carry RWF_DSYNC; else write, then fdatasync          */
        bool created;       /* this run made it                                            */
        bool was_clean;     /* the last stop wrote a checkpoint that covers everything     */
        _Atomic int fenced; /* law 2: set once by whichever shard saw a write or flush fail */
        char *dir;
        _Atomic uint32_t shards_seen;        /* log_shard_new() numbers itself with it        */
        _Atomic uint32_t shards_dirty;       /* not closed cleanly (yet): no DIR/clean        */
        struct checkpoint_table *checkpoint; /* what all checkpoints say; read-only */
        struct journal_set *journals;        /* found at start; read-only after store_recovered() */
        _Atomic bool recovered;              /* journals may be written */
        _Atomic bool journals_needed;        /* a partition is offline that has bytes there */
};

/* ST_LOCKED, ST_TOO_NEW, ST_CORRUPT, ST_IO …, with a text that names directory and cause. */
int store_open(
    struct io *io, const struct store_config *c, struct store **ret_store, struct err *e);
/* Shards are closed already. */
void store_close(struct store *s, struct io *io);

/* Partitions that have a directory. Calls fn for each; names that are not ours are left alone and
 * logged. fn < 0 stops and is returned. */
struct store_entry {
        struct uuid topic_id;
        int32_t partition;
};
int store_each(struct store *s, struct io *io, int (*fn)(void *arg, const struct store_entry *x),
    void *arg, struct err *e);
/* Free and total bytes of the file system; blocking, for tools and a slow timer. */
int store_space(struct store *s, struct io *io, struct io_space *ret_space);
