/* The appends of one Produce: grouped by owning shard, one message there, for large frames one back
 * when the bytes are copied, one back when they are durable.  The work outlives its request when
 * the answer was due earlier (timeout.ms): the appends still complete. */
#pragma once

#include "server/produce_check.h"
#include "server/request.h"

struct produce_work;
struct produce_group;

/* One batch.  Before the message and after it came back: the connection's shard; in between the
 * owner's. */
struct produce_part {
        struct log_append append;
        struct produce_group *group;
        struct produce_part *next; /* of its group */
        const struct topic *topic;
        int32_t index;
        uint8_t *records;
        int32_t size; /* -1: null */
        /* result */
        struct produce_verdict verdict;
        int64_t base_offset, log_start;
};

struct produce_group {
        struct message go;     /* to the owner */
        struct message copied; /* back, of a large frame: it is not needed any more */
        struct message done;   /* back: all of its parts have their result */
        struct produce_work *work;
        struct shard *owner;
        struct produce_part *first, *last;
        unsigned uncopied, unfinished; /* the owner's */
        bool back;                     /* the connection's shard's */
};

struct produce_work {
        uint32_t magic;
        struct shard *home; /* of the connection */
        struct request *r;  /* NULL: answered before all was done */
        struct registry_view *view;
        struct block *frame; /* that the records lie in; NULL: copied, or not needed any more */
        struct arena arena;  /* parts, groups, this struct */
        size_t charged;
        int16_t version;
        bool answered;
        bool early; /* the frame is let go when it is copied, not only when all is done */
        struct timer timeout;
        struct produce_group *groups; /* one per shard; unused ones have no parts */
        unsigned groups_out, groups_uncopied;
};

/* NULL: out of memory. */
struct produce_work *produce_work_new(struct request *r);
/* The next part; NULL: out of memory. */
struct produce_part *produce_part_add(
    struct produce_work *w, const struct topic *topic, int32_t index, struct records records);
/* Sends the groups off.  timeout_ms <= 0: no limit.  The request is held until the answer is due.
 */
void produce_work_start(struct produce_work *w, int32_t timeout_ms);
/* The answer is encoded (or will never be): ends the work, or lets it end alone. */
void produce_work_release(struct produce_work *w);
