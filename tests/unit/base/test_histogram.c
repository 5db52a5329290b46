/* Counters and histograms: edges of buckets, the error that is promised, readers beside the owner.
 */
#include "base/histogram.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static struct histogram *histogram_new(void)
{
        struct histogram *h = aligned_alloc(alignof(struct histogram), sizeof *h);
        cr_assert_not_null(h);
        memset(h, 0, sizeof *h);
        return h;
}

Test(histogram, buckets_follow_each_other_without_a_gap)
{
        cr_assert_eq(histogram_from(0), 0);
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                cr_assert_leq(histogram_from(i), histogram_to(i));
                cr_assert_eq(histogram_bucket(histogram_from(i)), i);
                cr_assert_eq(histogram_bucket(histogram_to(i)), i);
                if (i > 0) cr_assert_eq(histogram_from(i), histogram_to(i - 1) + 1);
        }
        cr_assert_eq(histogram_to(HISTOGRAM_BUCKETS - 1), (UINT64_C(1) << HISTOGRAM_TOP) - 1);
        cr_assert_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

Test(histogram, a_bucket_is_an_eighth_wide_at_most)
{
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                uint64_t wide = histogram_to(i) - histogram_from(i) + 1;
                cr_assert(wide == 1 || wide * HISTOGRAM_PART <= histogram_from(i));
        }
}

/* What shares a power of two shares a cache line. */
Test(histogram, an_octave_is_one_line)
{
        struct histogram *h = histogram_new();
        cr_assert_eq((uintptr_t)&h->buckets[0] % 64, 0);
        cr_assert_eq(HISTOGRAM_PART * sizeof h->buckets[0], 64);
        for (unsigned shift = HISTOGRAM_BITS; shift < HISTOGRAM_TOP; shift++)
                cr_assert_eq(histogram_bucket(UINT64_C(1) << shift) % HISTOGRAM_PART, 0);
        free(h);
}

Test(histogram, adds_up)
{
        static const uint64_t values[] = { 0, 1, 7, 8, 9, 1000, 1000, 123456789,
                UINT64_C(1) << 41 };
        struct histogram *h = histogram_new();
        uint64_t sum = 0;
        for (size_t i = 0; i < COUNT_OF(values); i++) {
                histogram_add(h, values[i]);
                sum += values[i];
                cr_assert_eq(histogram_count(h), i + 1);
        }
        cr_assert_eq(counter_get(&h->sum), sum);
        cr_assert_eq(counter_get(&h->max), UINT64_C(1) << 41);
        cr_assert_eq(counter_get(&h->buckets[histogram_bucket(1000)]), 2);
        cr_assert_eq(counter_get(&h->buckets[HISTOGRAM_BUCKETS - 1]), 1);
        free(h);
}

enum { ROUNDS = 300000 };
static struct counter up, level;

static void *owner_main(void *arg)
{
        for (uint64_t i = 0; i < ROUNDS; i++) {
                counter_add(&up, 3);
                counter_add(&level, 2);
                counter_sub(&level, 1);
        }
        return arg;
}

Test(counter, a_reader_beside_the_owner_sees_no_step_back)
{
        pthread_t owner;
        cr_assert_eq(pthread_create(&owner, NULL, owner_main, NULL), 0);
        for (uint64_t last = 0, n = 0; last < 3 * ROUNDS && n < UINT64_C(1) << 40; n++) {
                uint64_t now = counter_get(&up);
                cr_assert_geq(now, last);
                cr_assert_eq(now % 3, 0);
                last = now;
        }
        pthread_join(owner, NULL);
        cr_assert_eq(counter_get(&up), 3 * ROUNDS);
        cr_assert_eq(counter_get(&level), ROUNDS);
        counter_set(&level, 7);
        cr_assert_eq(counter_get(&level), 7);
}
