/* The topics of a run, named once; everywhere else a partition is one number:
 * topic * partitions + partition. */
#pragma once

#include "base/types.h"

enum { TOPIC_NAME_ROOM = 250 };

struct bench_topic {
        char name[TOPIC_NAME_ROOM];
        struct uuid id; /* zero: the server knows none */
        bool ours;      /* made by this run: it may delete it */
};

struct topic_set {
        struct bench_topic *at;
        uint32_t n, partitions; /* each topic has as many */
};

static inline uint32_t topic_set_total(const struct topic_set *t)
{
        return t->n * t->partitions;
}
static inline const struct bench_topic *topic_of(const struct topic_set *t, uint32_t partition)
{
        return &t->at[partition / t->partitions];
}
static inline int32_t topic_index(const struct topic_set *t, uint32_t partition)
{
        return (int32_t)(partition % t->partitions);
}
