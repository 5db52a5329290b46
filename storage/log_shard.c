/* A shard's part of the store: lists of what is due, memory that is shared by tails and cache, the
 * plan at the end of a turn. */
#include "storage/flush.h"
#include "storage/journal.h"

#include "protocol/compress.h"

#include <string.h>

enum { CALLBACK_ROUNDS_MAX = 64, TICK_MS = 1000, CHECKPOINT_TICKS = 30, IDLE_TICKS = 8 };
#define CHECKPOINT_BYTES (UINT64_C(64) << 20)
#define MS_NS UINT64_C(1000000)
#define RETENTION_CHECK_MS_MAX (INT64_C(366) * 24 * 3600 * 1000)

static void tick_on_due(struct timer *t);

static void lists_init(struct log_shard *ls)
{
        struct list *all[] = { &ls->partitions, &ls->dirty, &ls->notify, &ls->moved, &ls->refused,
                &ls->failed, &ls->hooks, &ls->finished, &ls->cache_lru, &ls->open_fds, &ls->indexes,
                &ls->free_flushes, &ls->free_walks, &ls->drops, &ls->deletes };
        for (size_t i = 0; i < COUNT_OF(all); i++) list_init(all[i]);
}

struct log_shard *log_shard_new(const struct log_shard_config *c)
{
        assert(c && c->store && c->io && c->timers && c->blocks);
        struct log_shard *ls = aligned_alloc(alignof(struct log_shard), sizeof *ls);
        if (!ls) return NULL;
        memset(ls, 0, sizeof *ls);
        ls->number = c->store->shards_seen++;
        ls->edge_reserve = block_get(c->blocks, STORE_PAGE);
        bool good = ls->edge_reserve && cache_size_init(ls, c->cache_limit);
        if (good && c->journal_bytes > 0) {
                ls->journal = journal_new(ls, c->journal_bytes);
                good = ls->journal != NULL;
        }
        if (!good) {
                if (ls->edge_reserve) block_unref(ls->edge_reserve);
                cache_size_free(ls);
                free(ls);
                return NULL;
        }
        ls->magic = LOG_SHARD_MAGIC;
        ls->store = c->store;
        ls->io = c->io;
        ls->timers = c->timers;
        ls->blocks = c->blocks;
        ls->index_limit = c->index_limit;
        ls->fds_limit = MAX(c->fds_limit, 1U);
        ls->write_max = c->write_max ? MIN(page_down(c->write_max), (size_t)WRITE_MAX) : WRITE_MAX;
        ls->write_max = MAX(ls->write_max, (size_t)STORE_PAGE);
        c->store->shards_dirty++;
        lists_init(ls);
        ls->retention_at = &ls->partitions;
        ls->retention_every_ns =
            (uint64_t)MIN(c->retention_check_ms, RETENTION_CHECK_MS_MAX) * MS_NS;
        ls->wall_start_ms = io_wall_ms(ls->io);
        ls->mono_start_ns = io_now_ns(ls->io);
        ls->tick.on_due = tick_on_due;
        timer_arm(ls->timers, &ls->tick, ls->mono_start_ns + TICK_MS * MS_NS);
        return ls;
}

static void free_list(struct list *l)
{
        /* Both free lists hold structs whose first member is the link. */
        for (struct list *x = list_pop_front(l); x; x = list_pop_front(l)) free(x);
}

void log_shard_free(struct log_shard *ls)
{
        if (!ls) return;
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        timer_cancel(ls->timers, &ls->tick);
        while (!list_empty(&ls->partitions))
                partition_free(CONTAINER_OF(ls->partitions.next, struct partition, all));
        while (!list_empty(&ls->drops)) {
                struct segment *s =
                    CONTAINER_OF(list_pop_front(&ls->drops), struct segment, drop_link);
                segment_free(s);
        }
        cache_free(ls);
        cache_size_free(ls);
        journal_free(ls->journal);
        free_list(&ls->free_flushes);
        free_list(&ls->free_walks);
        if (ls->codecs) codec_ctx_free(ls->codecs);
        block_unref(ls->edge_reserve);
        ls->magic = 0;
        free(ls);
}

/* --- memory --- */
/* Whichever of the two kinds holds more than half gives first. */
static bool evict_one(struct log_shard *ls)
{
        bool reads_first = ls->cache_read_used > ls->cache_target / 2;
        if (reads_first) return cache_evict_one(ls) || tail_evict_one(ls);
        return tail_evict_one(ls) || cache_evict_one(ls);
}

struct block *shard_block_get(struct log_shard *ls, size_t size)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        for (;;) { /* bounded: each round frees something or ends */
                struct block *b = block_get(ls->blocks, size);
                if (b || !evict_one(ls)) return b;
        }
}

void shard_room_wait(struct log_shard *ls, struct block_waiter *w)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        ls->room_waits++;
        block_pool_wait(ls->blocks, w);
}

void shard_room_came(struct log_shard *ls)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        assert(ls->room_waits > 0);
        ls->room_waits--;
}

void shard_cache_trim(struct log_shard *ls, size_t coming)
{
        while (ls->cache_used + coming > ls->cache_target && evict_one(ls))
                ;
}

/* --- law 2 --- */
bool shard_fenced(struct log_shard *ls)
{
        return ls->store->fenced != 0;
}

void shard_fence(struct log_shard *ls, const char *name, const char *what, int64_t res)
{
        ls->store->fenced = 1;
        log_event(LOG_ERROR, "write failed: the log directory takes no more writes",
            LOG_STR("dir", ls->store->dir), LOG_STR("file", name), LOG_STR("operation", what),
            LOG_STR("cause", strerror((int)-res)), LOG_END);
}

/* Everybody who waits for this directory gets an answer. */
static void fence_all(struct log_shard *ls)
{
        ls->fence_seen = true;
        for (struct list *l = ls->partitions.next; l != &ls->partitions; l = l->next) {
                struct partition *p = CONTAINER_OF(l, struct partition, all);
                append_fail_queue(p, ST_FENCED);
                append_discard(p, ST_FENCED);
        }
}

/* --- the plan --- */
static void run_hooks(struct log_shard *ls)
{
        for (struct list *l = ls->hooks.next, *next; l != &ls->hooks; l = next) {
                next = l->next;
                struct plan_hook *h = CONTAINER_OF(l, struct plan_hook, link);
                h->run(h);
        }
}

unsigned log_shard_plan(struct log_shard *ls)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        unsigned n = 0;
        if (shard_fenced(ls) && !ls->fence_seen) fence_all(ls);
        run_hooks(ls);
        /* What became cache since they began to wait has to go for those who wait. */
        if (ls->room_waits > 0) evict_one(ls);
        n += block_pool_run_waiters(ls->blocks);
        /* Callbacks may append, which makes more callbacks due. */
        for (unsigned i = 0; i < CALLBACK_ROUNDS_MAX; i++) {
                unsigned ran = append_run_callbacks(ls) + partition_run_watches(ls);
                if (ran == 0) break;
                n += ran;
        }
        n += partition_run_deletes(ls);
        n += flush_plan(ls);
        if (ls->closing) close_continue(ls);
        return n;
}

/* --- the slow timer --- */
static void checkpoint_ticked(struct log_shard *ls, int64_t res)
{
        (void)ls;
        (void)res; /* logged; the older one still holds */
}

static void drop_idle_tails(struct log_shard *ls, uint64_t now)
{
        for (struct list *l = ls->partitions.next; l != &ls->partitions; l = l->next)
                tail_drop_idle(CONTAINER_OF(l, struct partition, all), now);
}

static void tick_on_due(struct timer *t)
{
        struct log_shard *ls = CONTAINER_OF(t, struct log_shard, tick);
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        uint64_t now = io_now_ns(ls->io);
        timer_arm(ls->timers, &ls->tick, now + TICK_MS * MS_NS);
        if (ls->closing) return;
        ls->tick_count++;
        segment_fds_idle(ls, now);
        cache_size_tick(ls);
        if (ls->tick_count % IDLE_TICKS == 0) drop_idle_tails(ls, now);
        retention_tick(ls);
        if (ls->tick_count % CHECKPOINT_TICKS == 0 && ls->settled_bytes >= CHECKPOINT_BYTES &&
            !shard_fenced(ls) && checkpoint_write(ls, checkpoint_ticked))
                ls->settled_bytes = 0;
}
