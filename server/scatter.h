/* Asking the owners of partitions something: one message per shard there, one back.  For requests
 * whose parts need no more than that (ListOffsets, OffsetForLeaderEpoch). */
#pragma once

#include "server/request.h"

struct scatter;
struct scatter_group;

/* Embedded in the handler's own part.  The owner's until the request is finished. */
struct scatter_part {
        struct scatter_part *next;
        struct scatter_group *group;
        const struct topic *topic;
        int32_t index;
};

struct scatter_group {
        struct message go, done;
        struct scatter *scatter;
        struct shard *owner;
        struct scatter_part *first, *last, *at;
        unsigned out;       /* the owner's */
        struct arena arena; /* the owner's, until it is done */
};

struct scatter {
        struct request *r;
        /* On the owner.  partition NULL: it is not there, error says why.  True: done; false:
         * scatter_part_done() follows, later. */
        bool (*run)(struct scatter_part *p, struct partition *partition, int16_t error);
        struct scatter_group *groups; /* one per shard; unused ones have no parts */
};

/* False: out of memory. */
bool scatter_init(struct scatter *s, struct request *r,
    bool (*run)(struct scatter_part *p, struct partition *partition, int16_t error));
/* A part for the partition's owner; topic and index are set. */
void scatter_add(struct scatter *s, struct scatter_part *p);
/* Starts; the request is held until all parts are done. */
void scatter_start(struct scatter *s);
/* Owner. */
void scatter_part_done(struct scatter_part *p);
/* In finish: memory of the groups. */
void scatter_free(struct scatter *s);
