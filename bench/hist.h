/* A histogram with a fixed relative error over a wide range (after Gil Tene's HDR): values below
 * 2^bits are exact, every power of two above has 2^(bits - 1) buckets.  Values are nanoseconds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
        HIST_FINE = 11,  /* error < 0.1 % */
        HIST_COARSE = 6, /* error < 3.2 %: one per second of a run */
        HIST_TOP = 44,   /* 2^44 ns are 4.9 hours; what is above counts as that */
};

struct hist {
        uint32_t magic;
        unsigned bits;
        uint32_t n_counts;
        uint64_t total, min, max;
        double sum;
        uint64_t *counts;
};

/* False: out of memory. */
bool hist_init(struct hist *h, unsigned bits);
void hist_free(struct hist *h);
void hist_clear(struct hist *h);
/* `times` times the same value. */
void hist_add(struct hist *h, uint64_t value, uint64_t times);
/* Both of the same bits. */
void hist_merge(struct hist *to, const struct hist *from);
/* The value that a share of q (0..1) of all values does not exceed; 0 when there is none. */
uint64_t hist_quantile(const struct hist *h, double q);
double hist_mean(const struct hist *h);

static inline uint32_t hist_counts_for(unsigned bits)
{
        return (1U << bits) + (HIST_TOP - bits) * (1U << (bits - 1));
}
/* The same without memory of its own: counts has hist_counts_for(bits) zeroed elements. */
void hist_init_at(struct hist *h, unsigned bits, uint64_t *counts);
