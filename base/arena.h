/* A request's scratch memory: bump allocation in growing chunks, freed all at once.
 * Bounded: an arena never holds more than its limit.  One owner thread; not thread-safe. */
#pragma once

#include <stddef.h>

struct arena_chunk;

struct arena {
        struct arena_chunk *chunks;
        size_t room;  /* bytes left in the newest chunk                  */
        size_t used;  /* bytes taken from the heap, all chunks together  */
        size_t limit; /* `used` never passes this                        */
};

void arena_init(struct arena *a, size_t limit);
/* Zeroed, aligned to 16.  NULL: over the limit or out of memory; the caller fails its request. */
void *arena_alloc(struct arena *a, size_t size);
/* The same for n elements; NULL also when n * size overflows. */
void *arena_array(struct arena *a, size_t n, size_t size);
/* Everything handed out becomes invalid.  The arena may be used again. */
void arena_reset(struct arena *a);
