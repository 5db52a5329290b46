/* The histogram against exact percentiles. */
#include "bench/dist.h"
#include "bench/hist.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

enum { VALUES = 200000 };

static int ascending(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return (x > y) - (x < y);
}

static uint64_t exact(const uint64_t *sorted, size_t n, double q)
{
        size_t rank = (size_t)ceil(q * (double)n);
        return sorted[rank ? rank - 1 : 0];
}

static void compare(unsigned bits, uint64_t (*draw)(struct rng *r))
{
        static const double q[] = { 0, .01, .5, .9, .99, .999, .9999, 1 };
        static uint64_t values[VALUES];
        struct hist h;
        struct rng r = { 3 };
        double sum = 0;
        cr_assert(hist_init(&h, bits));
        for (size_t i = 0; i < VALUES; i++) {
                values[i] = draw(&r);
                sum += (double)values[i];
                hist_add(&h, values[i], 1);
        }
        qsort(values, VALUES, sizeof *values, ascending);
        for (size_t i = 0; i < sizeof q / sizeof *q; i++) {
                uint64_t want = exact(values, VALUES, q[i]), got = hist_quantile(&h, q[i]);
                double error = (double)want / (double)(1 << (bits - 1));
                cr_assert_geq(got, want, "q %g", q[i]);
                cr_assert_leq(
                    (double)got, (double)want + error, "q %g: %lu, not %lu", q[i], got, want);
        }
        cr_assert_eq(h.min, values[0]);
        cr_assert_eq(h.max, values[VALUES - 1]);
        cr_assert_float_eq(hist_mean(&h), sum / VALUES, 1e-6 * sum / VALUES);
        hist_free(&h);
}

static uint64_t wide(struct rng *r)
{
        return rng_next(r) >> (21 + rng_below(r, 42));
}
static uint64_t narrow(struct rng *r)
{
        return 80000 + rng_below(r, 20000);
}
static uint64_t small(struct rng *r)
{
        return rng_below(r, 1500);
}

Test(hist, quantiles_lie_within_the_promised_error)
{
        compare(HIST_FINE, wide);
        compare(HIST_FINE, narrow);
        compare(HIST_COARSE, wide);
        compare(HIST_COARSE, narrow);
}

Test(hist, small_values_are_exact)
{
        struct hist h;
        cr_assert(hist_init(&h, HIST_FINE));
        for (uint64_t v = 0; v < 2048; v++) hist_add(&h, v, 1);
        for (uint64_t v = 1; v <= 2048; v++)
                cr_assert_eq(hist_quantile(&h, (double)v / 2048), v - 1);
        hist_free(&h);
        compare(HIST_FINE, small);
}

Test(hist, weights_and_merging_equal_single_additions)
{
        struct hist one, two, sum;
        cr_assert(
            hist_init(&one, HIST_FINE) && hist_init(&two, HIST_FINE) && hist_init(&sum, HIST_FINE));
        struct rng r = { 9 };
        for (int i = 0; i < 1000; i++) {
                uint64_t v = wide(&r), times = 1 + rng_below(&r, 5);
                hist_add(i % 2 ? &one : &two, v, times);
                for (uint64_t k = 0; k < times; k++) hist_add(&sum, v, 1);
        }
        hist_merge(&one, &two);
        cr_assert_eq(one.total, sum.total);
        cr_assert_eq(one.max, sum.max);
        cr_assert_eq(one.min, sum.min);
        cr_assert_arr_eq(one.counts, sum.counts, sum.n_counts * sizeof *sum.counts);
        hist_clear(&one);
        cr_assert_eq(one.total, 0);
        cr_assert_eq(hist_quantile(&one, .99), 0);
        hist_free(&one);
        hist_free(&two);
        hist_free(&sum);
}

Test(hist, what_is_too_large_counts_as_the_largest)
{
        struct hist h;
        cr_assert(hist_init(&h, HIST_COARSE));
        hist_add(&h, UINT64_MAX, 1);
        cr_assert_eq(hist_quantile(&h, 1), (UINT64_C(1) << HIST_TOP) - 1);
        hist_free(&h);
}
