/* Arenas and budgets. */
#include "base/arena.h"
#include "base/budget.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

Test(arena, memory_is_zeroed_aligned_and_apart)
{
        struct arena a;
        arena_init(&a, 1 << 20);
        enum { N = 500 };
        unsigned char *p[N];
        for (unsigned round = 0; round < 2; round++) {
                for (unsigned i = 0; i < N; i++) {
                        size_t n = i * 7 % 300;
                        p[i] = arena_alloc(&a, n);
                        cr_assert_not_null(p[i]);
                        cr_assert_eq((uintptr_t)p[i] % 16, 0);
                        for (size_t k = 0; k < n; k++) cr_assert_eq(p[i][k], 0);
                        memset(p[i], (int)(i & 0xff), n);
                }
                for (unsigned i = 0; i < N; i++)
                        for (size_t k = 0; k < i * 7 % 300; k++)
                                cr_assert_eq(p[i][k], (unsigned char)i);
                arena_reset(&a);
                cr_assert_eq(a.used, 0);
        }
}

Test(arena, never_holds_more_than_its_limit)
{
        for (size_t limit = 0; limit < 20000; limit += 97) {
                struct arena a;
                arena_init(&a, limit);
                size_t got = 0;
                while (arena_alloc(&a, 100)) {
                        got += 100;
                        cr_assert_leq(a.used, limit);
                        cr_assert_leq(got, limit);
                }
                if (limit >= 1024) cr_assert_gt(got, limit / 2, "%zu of %zu", got, limit);
                arena_reset(&a);
        }
}

Test(arena, large_pieces_and_overflows)
{
        struct arena a;
        arena_init(&a, 1 << 20);
        cr_assert_not_null(arena_alloc(&a, 300000));
        cr_assert_null(arena_alloc(&a, 1 << 20));
        cr_assert_null(arena_alloc(&a, SIZE_MAX));
        cr_assert_null(arena_alloc(&a, SIZE_MAX - 8));
        cr_assert_null(arena_array(&a, SIZE_MAX / 2, 3));
        cr_assert_null(arena_array(&a, 1u << 31, 1u << 31));
        cr_assert_not_null(arena_array(&a, 1000, 12));
        cr_assert_not_null(arena_alloc(&a, 0));
        arena_reset(&a);
        cr_assert_not_null(arena_alloc(&a, 1000000));
        arena_reset(&a);
}

Test(budget, takes_up_to_the_limit)
{
        struct budget b = { .limit = 100 };
        cr_assert(budget_take(&b, 60));
        cr_assert_not(budget_take(&b, 41));
        cr_assert_not(budget_take(&b, SIZE_MAX));
        cr_assert(budget_take(&b, 40));
        budget_give(&b, 100);
        cr_assert_eq(b.used, 0);
}

Test(budget, giving_more_than_was_taken_traps, .signal = SIGABRT)
{
        struct budget b = { .limit = 100, .used = 10 };
        budget_give(&b, 11);
}
