/* Blocks out of slabs.  See block.h.
 *
 * The budget is charged for whole slabs, because that is what the process holds.  A slab is mapped
 * when a class runs dry, its pages come into being when they are touched.  With all its blocks back
 * it is a spare one, for whatever class wants it next: fresh pages cost the kernel more than
 * anything done with them here.  Spare slabs that nobody wanted for a while are unmapped.  Near the
 * limit, where no further slab fits: a single block is mapped for itself, or a free block of a
 * larger class stands in.
 * A slab is registered with the ring once its blocks have gone round: by then its pages are in use
 * anyway, and pinning them costs no memory. */
#include "base/block.h"

#include "base/check.h"
#include "base/io.h"

#include <stdlib.h>
#include <sys/mman.h>

enum {
        POOL_MAGIC = 0x7662706c,
        CLASSES = 5,
        SMALLEST_SHIFT = 12,
        CLASS_SHIFT = 2, /* each class is four times the one before */
        SPARE_SLABS_MAX = 64,
        SPARE_SLABS_KEPT = 2,    /* by an idle pool */
        REGISTER_MIN = 64 << 10, /* smaller writes gain nothing from a registered buffer */
        REGISTER_ROUNDS = 2,
};
static_assert(BLOCK_CLASS_MAX == 1 << (SMALLEST_SHIFT + (CLASSES - 1) * CLASS_SHIFT),
    "the classes end at BLOCK_CLASS_MAX");
static_assert(1 << SMALLEST_SHIFT == BLOCK_ALIGN, "any run of blocks stays aligned");

/* Mapped memory; wholly free slabs keep nothing but this. */
struct slab {
        struct list link; /* full: none; else its class's list, or the spare ones */
        uint8_t *data;
        int reg;
        unsigned class;
        unsigned n_blocks, n_free;
        uint64_t gets; /* since it got its class */
        struct list free;
        struct block *blocks;
};

struct block_pool {
        uint32_t magic;
        struct io *io;
        struct budget budget;
        size_t used;                 /* bytes in blocks that are out */
        struct list usable[CLASSES]; /* slabs with free blocks       */
        struct list spare;
        unsigned n_spare, n_slabs;
        unsigned spare_least; /* of n_spare since the last trim */
        struct list waiters;
        bool room;      /* memory came back since the waiters ran */
        uint64_t waits; /* ever */
};

static size_t class_size(unsigned class)
{
        return (size_t)1 << (SMALLEST_SHIFT + class * CLASS_SHIFT);
}

static unsigned class_of(size_t size)
{
        unsigned class = 0;
        while (class_size(class) < size) class ++;
        assert(class < CLASSES);
        return class;
}

/* --- mappings --- */

static void *map(size_t len)
{
        void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return p == MAP_FAILED ? NULL : p;
}

static void unmap(void *p, size_t len)
{
        int r = munmap(p, len);
        assert(r == 0);
}

/* Aligned to its size: cut out of twice as much. */
static void *map_slab(void)
{
        const size_t size = BLOCK_SLAB_SIZE;
        uint8_t *p = map(2 * size);
        if (!p) return NULL;
        size_t before = (size - (uintptr_t)p % size) % size;
        if (before > 0) unmap(p, before);
        unmap(p + before + size, size - before);
        return p + before;
}

/* --- slabs --- */

/* Small blocks of a huge page would make all of it resident with the first one. */
static void slab_set_pages(const struct slab *s)
{
        bool large = class_size(s->class) > REGISTER_MIN;
        (void)madvise(s->data, BLOCK_SLAB_SIZE, large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

/* False: out of memory. */
static bool slab_set_class(struct block_pool *p, struct slab *s, unsigned class)
{
        const size_t size = class_size(class);
        const unsigned n = (unsigned)(BLOCK_SLAB_SIZE / size);
        s->blocks = calloc(n, sizeof *s->blocks);
        if (!s->blocks) return false;
        s->class = class;
        s->n_blocks = s->n_free = n;
        s->gets = 0;
        list_init(&s->free);
        for (unsigned i = 0; i < n; i++) {
                struct block *b = &s->blocks[i];
                b->data = s->data + i * size;
                b->cap = size;
                b->reg = -1;
                b->slab = s;
                b->pool = p;
                list_push_back(&s->free, &b->link);
        }
        slab_set_pages(s);
        return true;
}

static void slab_unmap(struct block_pool *p, struct slab *s)
{
        assert(s->n_free == s->n_blocks);
        if (p->io) io_unregister_slab(p->io, s->reg);
        unmap(s->data, BLOCK_SLAB_SIZE);
        budget_give(&p->budget, BLOCK_SLAB_SIZE);
        p->n_slabs--;
        free(s->blocks);
        free(s);
}

static void spare_drop(struct block_pool *p)
{
        struct slab *oldest = CONTAINER_OF(p->spare.prev, struct slab, link);
        assert(p->n_spare > 0);
        list_remove(&oldest->link);
        p->n_spare--;
        p->spare_least = MIN(p->spare_least, p->n_spare);
        slab_unmap(p, oldest);
}

static struct slab *slab_map(struct block_pool *p)
{
        if (!budget_take(&p->budget, BLOCK_SLAB_SIZE)) return NULL;
        struct slab *s = calloc(1, sizeof *s);
        if (s) s->data = map_slab();
        if (!s || !s->data) {
                budget_give(&p->budget, BLOCK_SLAB_SIZE);
                free(s);
                return NULL;
        }
        s->reg = -1;
        list_init(&s->link);
        p->n_slabs++;
        return s;
}

/* A slab of free blocks of this class: a spare one or a new one.  NULL: over budget or out of
 * memory. */
static struct slab *slab_take(struct block_pool *p, unsigned class)
{
        struct list *l = list_pop_front(&p->spare);
        struct slab *s = l ? CONTAINER_OF(l, struct slab, link) : NULL;
        if (l) {
                p->n_spare--;
                p->spare_least = MIN(p->spare_least, p->n_spare);
        } else {
                s = slab_map(p);
        }
        if (!s) return NULL;
        if (!slab_set_class(p, s, class)) {
                slab_unmap(p, s);
                return NULL;
        }
        list_push_front(&p->usable[class], &s->link);
        return s;
}

/* All its blocks are free. */
static void slab_retire(struct block_pool *p, struct slab *s)
{
        list_remove(&s->link);
        free(s->blocks);
        s->blocks = NULL;
        s->n_blocks = s->n_free = 0;
        list_push_front(&p->spare, &s->link);
        if (++p->n_spare > SPARE_SLABS_MAX) spare_drop(p);
}

static void slab_register(struct block_pool *p, struct slab *s)
{
        if (!p->io || s->reg >= 0 || class_size(s->class) < REGISTER_MIN) return;
        if (s->gets != (uint64_t)REGISTER_ROUNDS * s->n_blocks) return;
        s->reg = io_register_slab(p->io, s->data, BLOCK_SLAB_SIZE);
}

/* --- blocks --- */

static struct block *slab_pop(struct block_pool *p, struct slab *s)
{
        assert(s->n_free > 0);
        s->gets++;
        slab_register(p, s);
        struct list *l = list_pop_front(&s->free);
        struct block *b = CONTAINER_OF(l, struct block, link);
        if (--s->n_free == 0) list_remove(&s->link);
        assert(b->refs == 0);
        b->refs = 1;
        b->reg = s->reg;
        p->used += b->cap;
        return b;
}

/* A block of its own mapping. */
static struct block *block_map(struct block_pool *p, size_t size)
{
        size_t cap = (size + BLOCK_ALIGN - 1) & ~(size_t)(BLOCK_ALIGN - 1);
        while (!budget_take(&p->budget, cap)) {
                if (p->n_spare == 0) return NULL;
                spare_drop(p);
        }
        struct block *b = calloc(1, sizeof *b);
        if (b) b->data = map(cap);
        if (!b || !b->data) {
                budget_give(&p->budget, cap);
                free(b);
                return NULL;
        }
        b->cap = cap;
        b->refs = 1;
        b->reg = -1;
        list_init(&b->link);
        b->pool = p;
        p->used += cap;
        return b;
}

static struct slab *usable_of(struct block_pool *p, unsigned class)
{
        struct list *l = list_first(&p->usable[class]);
        return l ? CONTAINER_OF(l, struct slab, link) : NULL;
}

struct block *block_get(struct block_pool *p, size_t size)
{
        CHECK_OBJ(p, POOL_MAGIC);
        if (size > p->budget.limit) return NULL;
        if (size > BLOCK_CLASS_MAX) return block_map(p, size);
        const unsigned class = class_of(size);
        struct slab *s = usable_of(p, class);
        if (!s) s = slab_take(p, class);
        if (s) return slab_pop(p, s);
        struct block *b = block_map(p, class_size(class));
        for (unsigned c = class + 1; !b && c < CLASSES; c++) {
                s = usable_of(p, c);
                if (s) b = slab_pop(p, s);
        }
        return b;
}

static void slab_push(struct block_pool *p, struct slab *s, struct block *b)
{
        list_push_front(&s->free, &b->link);
        if (s->n_free++ == 0) list_push_front(&p->usable[s->class], &s->link);
        if (s->n_free == s->n_blocks) slab_retire(p, s);
}

void block_unref(struct block *b)
{
        assert(b->refs > 0);
        if (--b->refs > 0) return;
        struct block_pool *p = b->pool;
        CHECK_OBJ(p, POOL_MAGIC);
        assert(p->used >= b->cap);
        p->used -= b->cap;
        p->room = true;
        list_remove(&b->link);
        if (b->slab) {
                slab_push(p, b->slab, b);
                return;
        }
        unmap(b->data, b->cap);
        budget_give(&p->budget, b->cap);
        free(b);
}

/* --- the pool --- */

struct block_pool *block_pool_new(struct io *io, size_t limit)
{
        struct block_pool *p = calloc(1, sizeof *p);
        if (!p) return NULL;
        p->magic = POOL_MAGIC;
        p->io = io;
        p->budget.limit = limit;
        for (unsigned c = 0; c < CLASSES; c++) list_init(&p->usable[c]);
        list_init(&p->spare);
        list_init(&p->waiters);
        return p;
}

void block_pool_free(struct block_pool *p)
{
        if (!p) return;
        CHECK_OBJ(p, POOL_MAGIC);
        assert(p->used == 0 && list_empty(&p->waiters));
        while (p->n_spare > 0) spare_drop(p);
        assert(p->n_slabs == 0 && p->budget.used == 0);
        p->magic = 0;
        free(p);
}

void block_pool_trim(struct block_pool *p)
{
        CHECK_OBJ(p, POOL_MAGIC);
        for (unsigned n = p->spare_least; n > 0 && p->n_spare > SPARE_SLABS_KEPT; n--)
                spare_drop(p);
        p->spare_least = p->n_spare;
}

size_t block_pool_used(const struct block_pool *p)
{
        return p->used;
}
size_t block_pool_limit(const struct block_pool *p)
{
        return p->budget.limit;
}

struct block_pool_usage block_pool_usage(const struct block_pool *p)
{
        CHECK_OBJ(p, POOL_MAGIC);
        struct block_pool_usage u = { .used = p->used,
                .held = p->budget.used,
                .spare = (size_t)p->n_spare * BLOCK_SLAB_SIZE,
                .limit = p->budget.limit,
                .waits = p->waits };
        for (const struct list *l = p->waiters.next; l != &p->waiters; l = l->next) u.waiters++;
        return u;
}

/* --- waiting for room --- */

void block_pool_wait(struct block_pool *p, struct block_waiter *w)
{
        CHECK_OBJ(p, POOL_MAGIC);
        assert(w->on_room != NULL);
        list_push_back(&p->waiters, &w->link);
        p->waits++;
}

void block_waiter_cancel(struct block_waiter *w)
{
        if (w->link.next) list_remove(&w->link);
}

/* Everybody who waits now gets one call, in order, until nothing comes back any more: who finds no
 * room again waits again, behind the others, for the next turn. */
unsigned block_pool_run_waiters(struct block_pool *p)
{
        CHECK_OBJ(p, POOL_MAGIC);
        if (!p->room) return 0;
        p->room = false;
        struct list now;
        list_init(&now);
        while (!list_empty(&p->waiters)) list_push_back(&now, list_pop_front(&p->waiters));
        unsigned n = 0;
        for (struct list *l; (l = list_pop_front(&now)) != NULL; n++) {
                struct block_waiter *w = CONTAINER_OF(l, struct block_waiter, link);
                w->on_room(w);
        }
        return n;
}
