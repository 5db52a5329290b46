/* How large the cache of a shard may be just now.  Memory that was never touched costs more than
 * anything else that an append does: the kernel, and on a virtual machine its host too, must find
 * and zero each page.  So finished chunks and cached blocks go round in a small cache, which grows
 * towards its limit only where a larger one would have helped: when a reader wants a block that was
 * let go, and that would still be here within the limit.  What nobody asked for shrinks it again.
 *
 * Blocks that went are remembered in a table of ghosts: a fingerprint, and how many bytes had gone
 * before.  A lost or a wrong ghost costs one guess. */
#include "storage/internal.h"

#include <xxhash.h>

enum { GHOSTS = 1 << 16, FADE_TICKS = 60, FADE_SHIFT = 4 };

/* In units of a page: 2^40 of them are 4 PiB. */
#define GHOST_CLOCK_BITS 40
#define GHOST_CLOCK_MASK ((UINT64_C(1) << GHOST_CLOCK_BITS) - 1)

struct ghosts {
        uint64_t at[GHOSTS]; /* fingerprint above the clock; 0: none */
};

bool cache_size_init(struct log_shard *ls, size_t limit)
{
        ls->cache_limit = MAX(limit, (size_t)CACHE_MIN);
        ls->cache_target = MIN(ls->cache_limit, (size_t)CACHE_START);
        ls->ghosts = calloc(1, sizeof *ls->ghosts); /* pages come when used */
        return ls->ghosts != NULL;
}

void cache_size_free(struct log_shard *ls)
{
        free(ls->ghosts);
}

static uint64_t *ghost_slot(
    struct log_shard *ls, const struct segment *s, uint64_t number, uint64_t *ret_print)
{
        const struct {
                const struct partition *partition;
                int64_t base;
                uint64_t number;
        } key = { s->partition, s->base_offset, number };
        uint64_t h = XXH3_64bits(&key, sizeof key);
        *ret_print = (h >> GHOST_CLOCK_BITS | 1) << GHOST_CLOCK_BITS;
        return &ls->ghosts->at[h % GHOSTS];
}

void cache_size_gone(struct log_shard *ls, const struct segment *s, uint64_t pos, size_t n)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        assert(n > 0);
        ls->cache_gone += n / STORE_PAGE;
        for (uint64_t i = pos / CACHE_BLOCK; i <= (pos + n - 1) / CACHE_BLOCK; i++) {
                uint64_t print, *slot = ghost_slot(ls, s, i, &print);
                *slot = print | (ls->cache_gone & GHOST_CLOCK_MASK);
        }
}

void cache_size_missed(struct log_shard *ls, const struct segment *s, uint64_t number)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        uint64_t print, *slot = ghost_slot(ls, s, number, &print);
        if ((*slot & ~GHOST_CLOCK_MASK) != print) return;
        uint64_t since = (ls->cache_gone - *slot) & GHOST_CLOCK_MASK;
        *slot = 0;
        if (since * STORE_PAGE > ls->cache_limit - ls->cache_target) return;
        ls->cache_target = MIN(ls->cache_limit, ls->cache_target + CACHE_BLOCK);
        ls->cache_wanted = true;
}

/* Called every second. */
void cache_size_tick(struct log_shard *ls)
{
        size_t least = MIN(ls->cache_limit, (size_t)CACHE_START);
        assert(ls->cache_target >= least);
        ls->cache_unwanted_ticks = ls->cache_wanted ? 0 : ls->cache_unwanted_ticks + 1;
        ls->cache_wanted = false;
        if (ls->cache_unwanted_ticks < FADE_TICKS) return;
        ls->cache_target -= (ls->cache_target - least) >> FADE_SHIFT;
        shard_cache_trim(ls, 0);
}
