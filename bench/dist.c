/* Seeded random numbers, sizes and keys. */
#include "bench/dist.h"

#include "base/check.h"

#include <math.h>
#include <string.h>
#include <xxhash.h>

uint64_t rng_next(struct rng *r)
{
        uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
        z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        return z ^ z >> 31;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
        assert(n > 0);
        __extension__ typedef unsigned __int128 wide;
        return (uint64_t)((wide)rng_next(r) * n >> 64);
}

double rng_unit(struct rng *r)
{
        return (double)(rng_next(r) >> 11) * 0x1p-53;
}

void rng_fill(struct rng *r, void *buf, size_t n)
{
        uint8_t *p = buf;
        for (; n >= 8; p += 8, n -= 8) {
                uint64_t v = rng_next(r);
                memcpy(p, &v, 8);
        }
        uint64_t v = rng_next(r);
        memcpy(p, &v, n);
}

static double normal_unit(struct rng *r)
{
        double u = 1 - rng_unit(r), v = rng_unit(r); /* u is never 0 */
        return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static uint32_t clamp_size(double v, double most)
{
        if (v < 1) return 1;
        return (uint32_t)(v > most ? most : v);
}

uint32_t size_draw(const struct size_dist *d, struct rng *r)
{
        switch (d->kind) {
        case SIZE_UNIFORM:
                assert(d->a <= d->b);
                return d->a + (uint32_t)rng_below(r, (uint64_t)d->b - d->a + 1);
        case SIZE_NORMAL:
                return clamp_size(d->a + d->b * normal_unit(r), size_most(d));
        case SIZE_EXP:
                return clamp_size(-log(1 - rng_unit(r)) * d->a, size_most(d));
        case SIZE_FIXED:
        default:
                return d->a;
        }
}

uint32_t size_least(const struct size_dist *d)
{
        return d->kind == SIZE_FIXED || d->kind == SIZE_UNIFORM ? d->a : 1;
}

uint32_t size_most(const struct size_dist *d)
{
        double most = d->a;
        if (d->kind == SIZE_UNIFORM) most = d->b;
        if (d->kind == SIZE_NORMAL) most = d->a + 6.0 * d->b;
        if (d->kind == SIZE_EXP) most = d->a * 20.0;
        return clamp_size(most, RECORD_SIZE_MAX);
}

bool keys_init(struct keys *k, const struct key_dist *d)
{
        *k = (struct keys){ .dist = *d };
        if (d->kind != KEYS_ZIPF) return true;
        assert(d->n > 0 && d->n <= KEYS_MAX);
        k->upto = malloc(d->n * sizeof *k->upto);
        if (!k->upto) return false;
        double sum = 0;
        for (uint32_t i = 0; i < d->n; i++) k->upto[i] = sum += pow(i + 1.0, -d->skew);
        for (uint32_t i = 0; i < d->n; i++) k->upto[i] /= sum;
        return true;
}

void keys_free(struct keys *k)
{
        free(k->upto);
        k->upto = NULL;
}

/* The first rank whose cumulated weight is above u. */
static uint32_t zipf_draw(const struct keys *k, double u)
{
        uint32_t low = 0, high = k->dist.n - 1;
        while (low < high) {
                uint32_t middle = low + (high - low) / 2;
                if (k->upto[middle] > u)
                        high = middle;
                else
                        low = middle + 1;
        }
        return low;
}

uint32_t keys_draw(const struct keys *k, struct rng *r)
{
        assert(k->dist.kind != KEYS_NONE);
        if (k->dist.kind == KEYS_ZIPF) return zipf_draw(k, rng_unit(r));
        return (uint32_t)rng_below(r, k->dist.n);
}

void key_text(uint32_t number, char *out)
{
        memcpy(out, "key-", 4);
        for (int i = KEY_TEXT_LEN - 1; i >= 4; i--, number /= 10)
                out[i] = (char)('0' + number % 10);
}

uint32_t key_partition(const char *key, size_t n, uint32_t partitions)
{
        assert(partitions > 0);
        return (uint32_t)(XXH3_64bits(key, n) % partitions);
}
