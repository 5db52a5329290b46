/* A share of memory.limit.bytes.  Taking fails rather than going over; the taker then waits.
 * Owned by one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct budget {
        size_t limit, used;
};

static inline bool budget_take(struct budget *b, size_t n)
{
        if (n > b->limit - b->used) return false;
        b->used += n;
        return true;
}
void budget_give(struct budget *b, size_t n); /* asserts that n was taken */
