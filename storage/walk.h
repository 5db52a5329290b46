/* A walk over the batches of a segment: what reads and searches by time have in common.
 *
 * A walk runs until it needs a block or an index that is not in memory; then it is ST_PENDING, and
 * runs again from the same state when that is there.  Bytes come from tail chunks or from the read
 * cache. */
#pragma once

#include "storage/internal.h"

struct span {
        const uint8_t *p;
        uint32_t n;
        struct block *block;
        struct cached *cached; /* NULL: from a chunk */
        uint32_t at;           /* in the cached block */
        bool verified;
};

enum { SPANS_MAX = LOG_READ_SLICES_MAX };

/* Between two batches of a segment. */
struct boundary {
        uint64_t pos;
        int64_t expect;     /* the next base offset                           */
        int64_t max_before; /* the largest timestamp before, or somewhat more */
};

struct walk {
        struct list link; /* first: ls->free_walks or a cached block's waiters */
        uint32_t magic;
        uint64_t serial;                  /* no other walk of the shard has it */
        uint64_t bytes_from[LOG_SOURCES]; /* of the read, for statistics       */
        struct log_shard *ls;
        struct partition *partition;
        struct segment *segment; /* pinned */
        int (*run)(struct walk *w);
        void (*finish)(struct walk *w, int status);
        struct log_read *read;
        struct log_find *find;
        int failed; /* how the wait ended, ST_OK: go on */
        unsigned step, tries;
        bool sequential, header_due, search_prev;

        /* where */
        uint64_t limit_virt; /* durable when it began */
        int64_t limit_offset;
        uint64_t pos;   /* of the next header in the segment */
        int64_t expect; /* the base offset it must have     */
        int64_t max_before;
        struct batch batch; /* the header at pos, once read     */
        uint64_t prev_pos;  /* the header before: walked over, not verified */
        int64_t prev_expect;
        bool have_prev;
        uint64_t skip_from; /* gather_verified() looks again from here on */

        /* looking for the next batch behind damage */
        bool searching;
        uint64_t search_pos, search_after;
        int64_t search_expect;

        /* a batch in a block of its own */
        struct block *own;
        uint64_t own_pos;
        uint32_t own_have, own_want, own_size; /* want: of the file; the rest is the tail's */
        bool own_reading;

        struct index_waiter indexed;
        struct fd_waiter opened;
        struct block_waiter room;
        struct io_op op;
};

struct walk *walk_new(struct partition *p);
void walk_free(struct walk *w);
/* Runs it; ST_PENDING, or it is over: finish was not called. */
int walk_start(struct walk *w);
/* What it waited for is there (status ST_OK) or failed. */
void walk_resume(struct walk *w, int status);

/* --- all below: ST_OK, ST_PENDING, or why not --- */
/* Goes to a segment and loads its index. */
int walk_enter(struct walk *w, struct segment *s);
void walk_leave(struct walk *w);
/* First position in the current segment that may not be read. */
uint64_t walk_limit(const struct walk *w);
/* The first offset behind walk_limit(). */
int64_t walk_limit_offset(const struct walk *w);
void walk_at(struct walk *w, struct index_spot spot);
/* A sequential reader will want these blocks next.  Spans are no good afterwards. */
void walk_ahead(struct walk *w, uint64_t number);
/* Over batches that need no look, to a boundary ahead. */
void walk_skip(struct walk *w, const struct boundary *to);
int walk_span(struct walk *w, uint64_t pos, uint32_t n, struct span *ret);
/* The same without waiting, and only bytes of batches that passed their CRC.  False: not these. */
bool walk_span_verified(struct walk *w, uint64_t pos, uint32_t n, struct span *ret);
/* Header at pos into batch. ST_CORRUPT: it cannot be that batch. */
int walk_header(struct walk *w);
/* Over the batch at pos. */
void walk_next(struct walk *w);
/* The whole batch at pos as spans, its CRC good. ST_TOO_LARGE: needs walk_own(). */
int walk_spans(struct walk *w, struct span spans[SPANS_MAX], uint32_t *ret_n);
/* The whole batch at pos in w->own, at own data + (pos - own_pos), its CRC good. */
int walk_own(struct walk *w);
void walk_own_drop(struct walk *w);
/* Behind damage at pos: goes to the next batch that is certainly one.  from_prev: the header at pos
 * is no good, so the length of the batch before it is in doubt.  ST_CORRUPT: there is none. */
int walk_search(struct walk *w, bool from_prev);
void walk_note_damage(struct walk *w, const char *why);

/* stats.c: these bytes are in the answer; and the answer is complete. */
void log_stats_span(struct walk *w, const struct span *s);
void log_stats_read(const struct walk *w);
