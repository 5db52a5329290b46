/* A histogram of one thread that any thread may read: counters in log-linear buckets.
 *
 * Values below 8 are exact, every power of two above has eight buckets, which are one cache line:
 * a value is told to within 1/8 of itself, and adding one touches two lines.  Values from 2^40 on
 * (18 minutes in nanoseconds, 1 TiB) count as the largest. */
#pragma once

#include "base/check.h"
#include "base/counter.h"

#include <stdalign.h>

enum {
        HISTOGRAM_BITS = 3,
        HISTOGRAM_PART = 1 << HISTOGRAM_BITS,
        HISTOGRAM_TOP = 40,
        HISTOGRAM_BUCKETS = (HISTOGRAM_TOP - HISTOGRAM_BITS + 1) * HISTOGRAM_PART,
};

struct histogram {
        alignas(64) struct counter buckets[HISTOGRAM_BUCKETS];
        struct counter sum, max; /* of the values as they were */
};

static inline unsigned histogram_bucket(uint64_t value)
{
        const uint64_t most = (UINT64_C(1) << HISTOGRAM_TOP) - 1;
        value = MIN(value, most);
        if (value < HISTOGRAM_PART) return (unsigned)value;
        unsigned shift = 63U - (unsigned)__builtin_clzll(value) - HISTOGRAM_BITS;
        return (shift << HISTOGRAM_BITS) + (unsigned)(value >> shift);
}

/* The smallest and the largest value of a bucket. */
static inline uint64_t histogram_from(unsigned bucket)
{
        assert(bucket < HISTOGRAM_BUCKETS);
        if (bucket < 2 * HISTOGRAM_PART) return bucket;
        unsigned shift = (bucket >> HISTOGRAM_BITS) - 1;
        return (uint64_t)(bucket % HISTOGRAM_PART + HISTOGRAM_PART) << shift;
}
static inline uint64_t histogram_to(unsigned bucket)
{
        assert(bucket < HISTOGRAM_BUCKETS);
        if (bucket < 2 * HISTOGRAM_PART) return bucket;
        unsigned shift = (bucket >> HISTOGRAM_BITS) - 1;
        return histogram_from(bucket) + (UINT64_C(1) << shift) - 1;
}

/* The owner's thread. */
static inline void histogram_add(struct histogram *h, uint64_t value)
{
        counter_add(&h->buckets[histogram_bucket(value)], 1);
        counter_add(&h->sum, value);
        if (value > counter_get(&h->max)) counter_set(&h->max, value);
}

/* Any thread. */
static inline uint64_t histogram_count(const struct histogram *h)
{
        uint64_t n = 0;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) n += counter_get(&h->buckets[i]);
        return n;
}
