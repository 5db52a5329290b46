/* Counters of one thread that any thread may read.
 *
 * The owner alone changes them, so a change is a plain load and a plain store: no lock, no atomic
 * instruction, and no cache line that two threads write.  Readers get a value that was true a
 * moment ago; two counters are not read at the same moment. */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

struct counter {
        _Atomic uint64_t n;
};

/* Any thread. */
static inline uint64_t counter_get(const struct counter *c)
{
        return atomic_load_explicit(&c->n, memory_order_relaxed);
}

/* The rest: the owner's thread. */
static inline void counter_set(struct counter *c, uint64_t n)
{
        atomic_store_explicit(&c->n, n, memory_order_relaxed);
}
static inline void counter_add(struct counter *c, uint64_t n)
{
        counter_set(c, counter_get(c) + n);
}
/* For what goes up and down. */
static inline void counter_sub(struct counter *c, uint64_t n)
{
        counter_set(c, counter_get(c) - n);
}
