/* Block pools: classes, alignment, budget, slabs that come back, waiters. */
#include "base/block.h"
#include "base/check.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || \
    __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SANITIZED
#endif

static const size_t MiB = 1 << 20;

Test(block, sizes_find_their_class)
{
        static const struct {
                size_t size, cap;
        } rows[] = {
                { 1, 4096 },
                { 4096, 4096 },
                { 4097, 16384 },
                { 16385, 65536 },
                { 65536, 65536 },
                { 65537, 262144 },
                { 262145, 1 << 20 },
                { 1 << 20, 1 << 20 },
                { (1 << 20) + 1, (1 << 20) + 4096 },
                { 5 << 20, 5 << 20 },
        };
        struct block_pool *p = block_pool_new(NULL, 64 * MiB);
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                struct block *b = block_get(p, rows[i].size);
                cr_assert_not_null(b);
                cr_assert_eq(b->cap, rows[i].cap);
                cr_assert_eq((uintptr_t)b->data % BLOCK_ALIGN, 0);
                cr_assert_eq(b->reg, -1);
                cr_assert_eq(block_pool_used(p), b->cap);
                memset(b->data, 0xa5, b->cap);
                block_unref(b);
                cr_assert_eq(block_pool_used(p), 0);
        }
        block_pool_free(p);
}

Test(block, references_are_counted)
{
        struct block_pool *p = block_pool_new(NULL, 8 * MiB);
        struct block *b = block_get(p, 4096);
        cr_assert_eq(block_ref(b), b);
        block_unref(b);
        cr_assert_eq(block_pool_used(p), 4096);
        block_unref(b);
        cr_assert_eq(block_pool_used(p), 0);
        block_pool_free(p);
}

static uint64_t seed = 7;
static uint64_t rnd(uint64_t below)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed % below;
}

/* Random gets and releases: blocks never overlap (each keeps its stamp), the limit holds. */
Test(block, blocks_do_not_overlap_and_the_limit_holds)
{
        enum { N = 400 };
        static struct block *held[N];
        const size_t limit = 24 * MiB;
        struct block_pool *p = block_pool_new(NULL, limit);
        size_t out = 0;
        unsigned refused = 0;
        for (unsigned step = 0; step < 60000; step++) {
                size_t i = rnd(N);
                struct block *b = held[i];
                if (b) {
                        cr_assert_eq(memcmp(b->data, &i, sizeof i), 0);
                        cr_assert_eq(memcmp(b->data + b->cap - sizeof i, &i, sizeof i), 0);
                        out -= b->cap;
                        block_unref(b);
                        held[i] = NULL;
                        continue;
                }
                size_t size = (size_t)1 << rnd(22);
                b = block_get(p, size);
                if (!b) {
                        refused++;
                        continue;
                }
                cr_assert_geq(b->cap, size);
                memcpy(b->data, &i, sizeof i);
                memcpy(b->data + b->cap - sizeof i, &i, sizeof i);
                out += b->cap;
                held[i] = b;
                cr_assert_leq(out, limit);
                cr_assert_eq(block_pool_used(p), out);
        }
        cr_assert_gt(refused, 0u);
        for (size_t i = 0; i < N; i++)
                if (held[i]) block_unref(held[i]);
        cr_assert_eq(block_pool_used(p), 0);
        block_pool_free(p);
}

Test(block, a_small_pool_serves_every_class)
{
        struct block_pool *p = block_pool_new(NULL, 2 * MiB);
        struct block *a = block_get(p, 4096), *b = block_get(p, 1 << 20);
        cr_assert_not_null(a);
        cr_assert_null(b, "the slab is in use for small ones");
        block_unref(a);
        b = block_get(p, 1 << 20);
        cr_assert_not_null(b, "a free slab changes its class");
        a = block_get(p, 4096);
        cr_assert_not_null(a, "a larger free block stands in");
        cr_assert_eq(a->cap, (size_t)1 << 20);
        block_unref(a);
        block_unref(b);
        block_pool_free(p);

        p = block_pool_new(NULL, 100 << 10); /* less than a slab */
        a = block_get(p, 64 << 10);
        cr_assert_not_null(a);
        cr_assert_null(block_get(p, 64 << 10));
        b = block_get(p, 4096);
        cr_assert_not_null(b);
        cr_assert_null(block_get(p, MiB));
        cr_assert_null(block_get(p, SIZE_MAX));
        block_unref(a);
        block_unref(b);
        block_pool_free(p);
}

static size_t resident(void)
{
        size_t total = 0, pages = 0;
        FILE *f = fopen("/proc/self/statm", "r");
        cr_assert_not_null(f);
        cr_assert_eq(fscanf(f, "%zu %zu", &total, &pages), 2);
        fclose(f);
        return pages * 4096;
}

Test(block, idle_pools_hold_little)
{
#ifdef SANITIZED
        cr_skip_test("sanitizers hold memory of their own");
#endif
        struct block_pool *p = block_pool_new(NULL, 256 * MiB);
        size_t before = resident();
        struct block *one[3];
        for (unsigned i = 0; i < 3; i++) {
                one[i] = block_get(p, (size_t)4096 << (2 * i));
                one[i]->data[0] = 1;
        }
        cr_assert_leq(resident() - before, MiB, "one touched page per block, not a slab");
        enum { N = 100 };
        struct block *b[N];
        for (unsigned i = 0; i < N; i++) {
                b[i] = block_get(p, MiB);
                memset(b[i]->data, 1, b[i]->cap);
        }
        cr_assert_geq(resident() - before, N * MiB);
        for (unsigned i = 0; i < N; i++) block_unref(b[i]);
        block_pool_trim(p);
        cr_assert_geq(resident() - before, N * MiB, "they were wanted just now");
        block_pool_trim(p);
        cr_assert_leq(resident() - before, 10 * MiB, "slabs went back");
        for (unsigned i = 0; i < 3; i++) block_unref(one[i]);
        block_pool_free(p);
}

struct waiter {
        struct block_waiter w;
        struct block_pool *pool;
        struct block *got;
        unsigned order;
};
static unsigned order;

static void waiter_on_room(struct block_waiter *w)
{
        struct waiter *me = CONTAINER_OF(w, struct waiter, w);
        me->got = block_get(me->pool, MiB);
        if (me->got)
                me->order = ++order;
        else
                block_pool_wait(me->pool, w);
}

Test(block, waiters_are_served_in_order)
{
        struct block_pool *p = block_pool_new(NULL, 4 * MiB);
        struct block *b[4];
        for (unsigned i = 0; i < 4; i++) cr_assert_not_null(b[i] = block_get(p, MiB));
        cr_assert_null(block_get(p, MiB));
        struct waiter w[5];
        for (unsigned i = 0; i < 5; i++) {
                w[i] = (struct waiter){ .w.on_room = waiter_on_room, .pool = p };
                block_pool_wait(p, &w[i].w);
        }
        cr_assert_eq(block_pool_run_waiters(p), 0, "nothing came back yet");
        block_waiter_cancel(&w[1].w);
        block_waiter_cancel(&w[1].w);
        block_unref(b[0]);
        block_unref(b[1]);
        cr_assert_null(w[0].got, "not from inside unref");
        cr_assert_gt(block_pool_run_waiters(p), 0u);
        cr_assert(w[0].got && !w[1].got && w[2].got && !w[3].got && !w[4].got);
        cr_assert(w[0].order == 1 && w[2].order == 2);
        cr_assert_eq(block_pool_run_waiters(p), 0);
        block_unref(b[2]);
        block_pool_run_waiters(p);
        cr_assert(w[3].got && !w[4].got, "first come, first served");
        block_unref(b[3]);
        block_pool_run_waiters(p);
        cr_assert_not_null(w[4].got);
        for (unsigned i = 0; i < 5; i++)
                if (w[i].got) block_unref(w[i].got);
        block_pool_free(p);
}

Test(block, freeing_a_pool_in_use_traps, .signal = SIGABRT)
{
        struct block_pool *p = block_pool_new(NULL, 4 * MiB);
        cr_assert_not_null(block_get(p, 1));
        block_pool_free(p);
}
