/* The journal of a shard: one file, DIR/journal-<shard>, a ring of groups.  A group carries the
 * newest bytes of many partitions in one durable write, so that thin partitions cost one flush
 * together.  What it holds is settled into the segments later, in larger runs; then its space is
 * used again.
 *
 * A group is durable before the next one is written, so at most the newest can be torn.  Groups
 * are numbered within a run of the server, and each names the oldest one that is still needed.
 *
 * The journal of a partition's bytes is contiguous: [jfirst, jend) in virtual positions.  A part
 * that does not follow begins at the start of its page, so a page that is written again is always
 * here as a whole as far as it holds acknowledged bytes. */
#pragma once

#include "storage/internal.h"

enum {
        JOURNAL_PARTS_MAX = 4096,
        JOURNAL_GROUP_MAX = 1 << 20,
        JOURNAL_BYTES_MIN = 512 << 10,
};

/* What one group carries of one partition. */
struct journal_part {
        struct partition *partition; /* held */
        uint64_t from, to;
        bool begins; /* does not follow what the journal has */
};

struct journal {
        uint32_t magic;
        struct log_shard *ls;
        enum { JOURNAL_NONE, JOURNAL_MAKING, JOURNAL_READY, JOURNAL_FAILED } state;
        int fd;
        uint64_t size; /* of the ring */
        uint64_t run, next_seq;
        uint64_t head;    /* bytes ever begun; where in the ring: head % size */
        uint64_t *starts; /* of the groups that are kept, by seq % pages */
        uint64_t floor;   /* oldest group that the last durable one names: behind it is no room */
        struct list kept; /* partitions with unsettled bytes here, oldest group first */
        uint32_t settling;
        uint64_t retry_ns; /* not before: making it, settling after a full disk */

        /* the group being filled or written */
        bool writing;
        struct block *block;
        size_t used, room;
        unsigned retries;
        struct uuid topic; /* of the entry before */
        uint32_t n_parts;
        struct journal_part *parts;
        struct io_op op;
        struct iovec iov;
        uint64_t begun_ns;
        uint64_t made; /* bytes written while making the file */
        char name[STORE_NAME_MAX];
};

/* The longest group; half the ring at most, so that the next one has room. */
static inline size_t journal_group_max(const struct journal *j)
{
        return (size_t)MIN(page_down(j->size / 2), (uint64_t)JOURNAL_GROUP_MAX);
}

/* journal.c: the file.  A journal is made when it is first wanted. */
struct journal *journal_new(struct log_shard *ls, size_t bytes);
void journal_free(struct journal *j);
void journal_want(struct journal *j);
void journal_close(struct journal *j);

/* journal_group.c: groups. */
/* May bytes of this partition go by the journal? */
bool journal_serves(const struct partition *p);
/* Bytes up to here are in the journal, or on their way to the segment, or settled. */
uint64_t journal_covered(const struct partition *p);
/* Settling failed a moment ago, and there is no room: it will not come soon. */
bool journal_stuck(const struct journal *j);
/* False: no room now, or a group is being written. */
bool journal_add(struct journal *j, struct partition *p);
void journal_submit(struct journal *j);
/* n: the header's length, already within bounds. */
bool journal_group_valid(const struct journal_group *g, size_t n);
/* Some of its bytes were settled. */
void journal_settled(struct partition *p);
/* Starts writes that free the oldest groups. */
unsigned journal_settle(struct journal *j);
/* Bytes that nobody was told of are in it, or may be soon. */
bool journal_holds_more(const struct partition *p);
void journal_forget(struct partition *p);

/* journal_load.c: what a crash left. */
struct journal_piece {
        struct journal_piece *next;
        const uint8_t *bytes;
        uint32_t length, position;
        int64_t segment;
};
/* In the order they were written; NULL: none. */
const struct journal_piece *journal_pieces(const struct store *s, const struct partition_key *k);
