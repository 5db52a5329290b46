/* The topics and partitions that a request names: topics by name or by id, each once, resolved in
 * the request's view; partitions of them, each once.  Memory: the request's arena.  Nothing here
 * borrows from the request's frame afterwards. */
#pragma once

#include "server/admin.h"
#include "server/request.h"

struct asked_topic {
        struct str name;           /* "" when asked for by id and unknown */
        struct uuid id;            /* zero when unknown by name */
        const struct topic *topic; /* NULL: unknown */
        int16_t error;             /* 3 or 100 when unknown, else 0 */
        int32_t first, last;       /* the caller's list of its partitions; -1: empty */
};

struct asked_pair {
        uint64_t key;
        int32_t place; /* + 1; 0: free */
};

struct asked {
        struct request *r;
        bool by_id;
        struct name_set names;
        struct asked_topic *topics;
        int32_t n_topics;
        uint32_t pair_mask;
        struct asked_pair *pairs;
};

/* Room for n topics and n_pairs partitions.  False: out of memory. */
bool asked_init(struct asked *a, struct request *r, bool by_id, int32_t n, size_t n_pairs);
/* Index into topics, the same for the same topic; -1: out of memory. */
int32_t asked_topic_add(struct asked *a, struct str name, struct uuid id);
/* -1: new, and place is remembered; else the place that this partition has. */
int32_t asked_pair_add(struct asked *a, int32_t topic, int32_t partition, int32_t place);
/* 0, or the code that the partition's answer carries. */
int16_t asked_error(const struct asked_topic *t, int32_t partition);
