/* The read cache: blocks of segment files, least recently used first out.  A block is read once for
 * all that want it.  `valid` is how much of it was durable when the read began; a block of a
 * growing segment is read again when more is needed.
 *
 * A read: open -> read -> who waits goes on.  On failure all who wait get the reason and the block
 * is gone; next time it is read anew. */
#include "storage/walk.h"

#include <errno.h>

static void cache_on_open(struct fd_waiter *w, int64_t fd);
static void cache_on_read(struct io_op *op);

static void cache_unlink(struct cached *c)
{
        CHECK_OBJ(c, CACHED_MAGIC);
        struct log_shard *ls = c->ls;
        if (c->orphan) return;
        c->orphan = true;
        HASH_DEL(ls->cache, c);
        list_remove(&c->lru);
        ls->cache_used -= c->block->cap;
        ls->cache_read_used -= c->block->cap;
}

static void cache_drop(struct cached *c)
{
        CHECK_OBJ(c, CACHED_MAGIC);
        assert(!c->reading && list_empty(&c->waiters));
        cache_unlink(c);
        block_unref(c->block);
        c->magic = 0;
        free(c);
}

bool cache_evict_one(struct log_shard *ls)
{
        for (struct list *l = ls->cache_lru.next; l != &ls->cache_lru; l = l->next) {
                struct cached *c = CONTAINER_OF(l, struct cached, lru);
                if (c->reading) continue;
                cache_size_gone(ls, c->key.segment, c->key.number * CACHE_BLOCK, CACHE_BLOCK);
                cache_drop(c);
                return true;
        }
        return false;
}

void cache_forget_segment(struct log_shard *ls, struct segment *s)
{
        if (!ls->cache) return;
        for (uint64_t i = 0; i * CACHE_BLOCK < s->size; i++) {
                struct cache_key key = { .segment = s, .number = i };
                struct cached *c;
                HASH_FIND(hh, ls->cache, &key, sizeof key, c);
                if (!c) continue;
                if (c->reading) /* only when all memory goes at once */
                        cache_unlink(c);
                else
                        cache_drop(c);
        }
}

void cache_free(struct log_shard *ls)
{
        struct cached *c, *next;
        HASH_ITER(hh, ls->cache, c, next)
        {
                c->reading = false;
                list_init(&c->waiters);
                cache_drop(c);
        }
        assert(ls->cache_read_used == 0);
}

/* --- reading --- */
/* In the table, its read not started. NULL: no memory. */
static struct cached *cache_add(struct log_shard *ls, struct segment *s, uint64_t number)
{
        cache_size_missed(ls, s, number);
        shard_cache_trim(ls, CACHE_BLOCK);
        struct cached *c = calloc(1, sizeof *c);
        struct block *b = c ? shard_block_get(ls, CACHE_BLOCK) : NULL;
        if (!b) {
                free(c);
                return NULL;
        }
        c->magic = CACHED_MAGIC;
        c->ls = ls;
        c->block = b;
        c->key.segment = s;
        c->key.number = number;
        list_init(&c->lru);
        list_init(&c->waiters);
        HASH_ADD(hh, ls->cache, key, sizeof c->key, c);
        if (!c->hh.tbl) {
                block_unref(b);
                free(c);
                return NULL;
        }
        list_push_back(&ls->cache_lru, &c->lru);
        ls->cache_used += b->cap;
        ls->cache_read_used += b->cap;
        return c;
}

static void cache_read(struct cached *c, int fd)
{
        uint64_t at = c->key.number * CACHE_BLOCK;
        c->op.on_done = cache_on_read;
        log_stats_disk_read(c->ls, page_up(c->valid));
        io_read(c->ls->io, &c->op, fd, (struct bytes_mut){ c->block->data, page_up(c->valid) }, at);
}

static void cache_start(struct cached *c)
{
        struct segment *s = c->key.segment;
        uint64_t at = c->key.number * CACHE_BLOCK;
        assert(at < s->durable && !c->reading);
        c->valid = (uint32_t)MIN(s->durable - at, (uint64_t)CACHE_BLOCK);
        c->reading = true;
        segment_pin(s);
        c->opened.on_open = cache_on_open;
        int fd = segment_open(s, &c->opened);
        if (fd >= 0) cache_read(c, fd);
        if (fd < -1) {
                c->op.on_done = cache_on_read; /* nothing read: fails, later */
                io_nop(c->ls->io, &c->op);
        }
}

static void cache_finish(struct cached *c, int status)
{
        struct segment *s = c->key.segment;
        struct list due;
        list_init(&due);
        c->reading = false;
        while (!list_empty(&c->waiters)) list_push_back(&due, list_pop_front(&c->waiters));
        if (status != ST_OK || c->orphan) cache_drop(c);
        for (struct list *l = list_pop_front(&due); l; l = list_pop_front(&due))
                walk_resume(CONTAINER_OF(l, struct walk, link), status);
        segment_unpin(s);
}

static void cache_on_open(struct fd_waiter *w, int64_t fd)
{
        struct cached *c = CONTAINER_OF(w, struct cached, opened);
        if (fd < 0)
                cache_finish(c, ST_IO);
        else
                cache_read(c, (int)fd);
}

static void cache_on_read(struct io_op *op)
{
        struct cached *c = CONTAINER_OF(op, struct cached, op);
        CHECK_OBJ(c, CACHED_MAGIC);
        int status = op->res < 0 ? ST_IO : op->res < (int64_t)c->valid ? ST_CORRUPT : ST_OK;
        if (status != ST_OK) {
                static struct log_limit limit = { .burst = 5 };
                char name[STORE_NAME_MAX];
                segment_name(c->key.segment, ".log", name);
                log_limited(&limit, LOG_ERROR, "read failed", LOG_STR("file", name),
                    LOG_INT("position", c->key.number * CACHE_BLOCK),
                    LOG_STR("cause", op->res < 0 ? strerror((int)-op->res) : "the file is cut"),
                    LOG_END);
        }
        cache_finish(c, status);
}

/* --- asking --- */
static struct cached *cache_find(struct log_shard *ls, struct segment *s, uint64_t number)
{
        struct cache_key key = { .segment = s, .number = number };
        struct cached *c;
        HASH_FIND(hh, ls->cache, &key, sizeof key, c);
        return c;
}

static void cache_use(struct cached *c)
{
        struct log_shard *ls = c->ls;
        list_remove(&c->lru);
        list_push_back(&ls->cache_lru, &c->lru);
        ls->cache_wanted = true;
}

struct cached *cache_peek(struct walk *w, uint64_t number, uint32_t need)
{
        assert(need > 0 && need <= CACHE_BLOCK);
        struct cached *c = cache_find(w->ls, w->segment, number);
        if (!c || c->valid < need || c->reading) return NULL;
        cache_use(c);
        return c;
}

struct cached *cache_get(struct walk *w, uint64_t number, uint32_t need, int *ret_status)
{
        struct log_shard *ls = w->ls;
        assert(need > 0 && need <= CACHE_BLOCK);
        struct cached *c = cache_find(ls, w->segment, number);
        if (c && c->valid >= need && !c->reading) {
                cache_use(c);
                return c;
        }
        *ret_status = ST_PENDING;
        if (c && c->valid < need) { /* the segment grew; whoever reads the old one may finish */
                if (c->reading)
                        cache_unlink(c);
                else
                        cache_drop(c);
                c = NULL;
        }
        if (!c) {
                c = cache_add(ls, w->segment, number);
                if (!c) { /* holds nothing while it waits, so waiting ends */
                        walk_own_drop(w);
                        shard_room_wait(ls, &w->room);
                        return NULL;
                }
                cache_start(c);
        }
        c->read_for = w->serial;
        list_push_back(&c->waiters, &w->link);
        return NULL;
}

void cache_ahead(struct log_shard *ls, struct segment *s, uint64_t number)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        uint64_t at = number * CACHE_BLOCK;
        if (at >= s->durable || cache_find(ls, s, number)) return;
        uint64_t virt = s->virt + at;
        if (virt >= tail_begin(s->partition)) return;
        struct cached *c = cache_add(ls, s, number);
        if (c) cache_start(c);
}
