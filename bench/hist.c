/* Log-linear histogram. */
#include "bench/hist.h"

#include "base/check.h"

#include <math.h>
#include <string.h>

enum { HIST_MAGIC = 0x68697374 };

void hist_init_at(struct hist *h, unsigned bits, uint64_t *counts)
{
        assert(bits >= 2 && bits < HIST_TOP && counts);
        *h = (struct hist){ .magic = HIST_MAGIC,
                .bits = bits,
                .n_counts = hist_counts_for(bits),
                .min = UINT64_MAX,
                .counts = counts };
}

bool hist_init(struct hist *h, unsigned bits)
{
        uint64_t *counts = calloc(hist_counts_for(bits), sizeof *counts);
        if (counts) hist_init_at(h, bits, counts);
        return counts != NULL;
}

void hist_free(struct hist *h)
{
        free(h->counts);
        *h = (struct hist){ 0 };
}

void hist_clear(struct hist *h)
{
        CHECK_OBJ(h, HIST_MAGIC);
        memset(h->counts, 0, h->n_counts * sizeof *h->counts);
        hist_init_at(h, h->bits, h->counts);
}

static uint32_t bucket_of(const struct hist *h, uint64_t v)
{
        const uint32_t half = 1U << (h->bits - 1);
        if (v < 2 * half) return (uint32_t)v;
        unsigned shift = 63U - (unsigned)__builtin_clzll(v) - (h->bits - 1);
        return 2 * half + (shift - 1) * half + ((uint32_t)(v >> shift) - half);
}

/* The largest value of a bucket. */
static uint64_t bucket_top(const struct hist *h, uint32_t i)
{
        const uint32_t half = 1U << (h->bits - 1);
        if (i < 2 * half) return i;
        unsigned shift = (i - 2 * half) / half + 1;
        uint64_t top = half + (i - 2 * half) % half;
        return ((top + 1) << shift) - 1;
}

void hist_add(struct hist *h, uint64_t value, uint64_t times)
{
        CHECK_OBJ(h, HIST_MAGIC);
        const uint64_t most = (UINT64_C(1) << HIST_TOP) - 1;
        value = MIN(value, most);
        uint32_t i = bucket_of(h, value);
        assert(i < h->n_counts);
        if (times == 0) return;
        h->counts[i] += times;
        h->total += times;
        h->min = MIN(h->min, value);
        h->max = MAX(h->max, value);
        h->sum += (double)value * (double)times;
}

void hist_merge(struct hist *to, const struct hist *from)
{
        CHECK_OBJ(to, HIST_MAGIC);
        assert(to->bits == from->bits);
        for (uint32_t i = 0; i < to->n_counts; i++) to->counts[i] += from->counts[i];
        to->total += from->total;
        to->min = MIN(to->min, from->min);
        to->max = MAX(to->max, from->max);
        to->sum += from->sum;
}

uint64_t hist_quantile(const struct hist *h, double q)
{
        CHECK_OBJ(h, HIST_MAGIC);
        assert(q >= 0 && q <= 1);
        if (h->total == 0) return 0;
        uint64_t rank = (uint64_t)ceil(q * (double)h->total), seen = 0;
        rank = MIN(MAX(rank, (uint64_t)1), h->total);
        for (uint32_t i = 0; i < h->n_counts; i++) {
                seen += h->counts[i];
                if (seen >= rank) return MIN(bucket_top(h, i), h->max);
        }
        return h->max;
}

double hist_mean(const struct hist *h)
{
        return h->total ? h->sum / (double)h->total : 0;
}
