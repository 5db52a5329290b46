/* Byte buffers of a shard: aligned blocks in size classes out of slabs, all inside one budget.
 * Tail chunks, cached disk blocks, receive buffers and large replies are blocks.
 *
 * Classes 4 KiB, 16 KiB, 64 KiB, 256 KiB and 1 MiB come out of 2 MiB slabs (a slab serves one class
 * at a time and goes back when all its blocks are free); larger sizes are mapped for themselves and
 * unmapped on release.  Data is aligned to 4 KiB, so every block fits O_DIRECT.
 * Slabs are registered with the shard's ring where that is possible (`reg`).
 *
 * Owner: the shard's thread, for everything here.  Another thread that borrows a block's bytes
 * sends its owner a message to let go. */
#pragma once

#include "base/budget.h"
#include "base/list.h"
#include "base/types.h"

struct io;

enum { BLOCK_ALIGN = 4096, BLOCK_CLASS_MAX = 1 << 20, BLOCK_SLAB_SIZE = 2 << 20 };

struct block {
        uint8_t *data;
        size_t cap;
        uint32_t refs;
        int reg;           /* index of the registered buffer that holds it, -1: none */
        struct list link;  /* free: the pool's; in use: the holder's                 */
        struct slab *slab; /* NULL: mapped for itself                                */
        struct block_pool *pool;
};

struct block_pool;

/* io: registers slabs with it while it can; NULL: never. */
struct block_pool *block_pool_new(struct io *io, size_t limit);
/* All blocks must be back. */
void block_pool_free(struct block_pool *p);
/* cap >= size, one reference, contents undefined.  NULL: over budget or out of memory; wait for
 * block_pool_on_room. */
struct block *block_get(struct block_pool *p, size_t size);
static inline struct block *block_ref(struct block *b)
{
        b->refs++;
        return b;
}
/* The last reference gives the block back to its pool. */
void block_unref(struct block *b);

/* Somebody who got NULL waits here and is called (from block_unref's caller's turn, not from inside
 * it: see block_pool_run_waiters) when memory came back.  They are asked in the order they came. */
struct block_waiter {
        struct list link;
        void (*on_room)(struct block_waiter *w);
};
void block_pool_wait(struct block_pool *p, struct block_waiter *w);
void block_waiter_cancel(struct block_waiter *w);
/* Once a turn.  Returns how many waiters ran. */
unsigned block_pool_run_waiters(struct block_pool *p);

/* Every second or so: gives back memory that nobody wanted since the last call. */
void block_pool_trim(struct block_pool *p);

size_t block_pool_used(const struct block_pool *p);
size_t block_pool_limit(const struct block_pool *p);

struct block_pool_usage {
        size_t used, held, spare, limit; /* bytes: in blocks that are out, mapped, of these in spare
                                            slabs, allowed */
        uint64_t waiters, waits;         /* who waits now; how often anybody began to */
};
/* For statistics: it counts the waiters. */
struct block_pool_usage block_pool_usage(const struct block_pool *p);
