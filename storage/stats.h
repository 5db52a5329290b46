/* What a shard's part of the store counts.  Its thread counts, any thread reads. */
#pragma once

#include "base/histogram.h"
#include "storage/log.h"

/* Where readers' bytes came from. */
enum log_source {
        LOG_FROM_TAIL,  /* chunks in memory that were never read back      */
        LOG_FROM_CACHE, /* blocks of files that were in memory already     */
        LOG_FROM_DISK,  /* the reader waited until a block had been loaded */
        LOG_SOURCES,
};

struct log_stats {
        /* appends, of everything: records of clients and the server's own */
        struct counter appends, append_bytes;
        struct counter waiting_partitions; /* now: with bytes that are not durable */

        /* flushes: direct writes, whole pages */
        struct counter writes, write_bytes;
        struct counter writing;       /* now: in flight                                 */
        struct histogram write_size;  /* bytes                                          */
        struct histogram write_time;  /* ns, from the start of the write until durable  */
        struct histogram write_depth; /* writes in flight, this one included, at starts */

        /* reads: each by the slowest source that it needed, its bytes by where they were */
        struct counter read_count[LOG_SOURCES], read_bytes[LOG_SOURCES];
        struct counter disk_reads, disk_read_bytes; /* of files, ahead and for searches too */

        struct counter journal_writes, journal_bytes; /* groups, and their whole pages  */
        struct histogram journal_time; /* ns, from the start of a group's write until durable */

        struct counter segments_rolled, segments_deleted;
        struct counter partitions, open_files, cached_bytes; /* now, a second late */
};
