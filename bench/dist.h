/* Random numbers with a seed, and what is drawn from them: record sizes and keys. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* splitmix64: the same seed, the same run. */
struct rng {
        uint64_t state;
};
uint64_t rng_next(struct rng *r);
/* [0, n), n > 0 */
uint64_t rng_below(struct rng *r, uint64_t n);
/* [0, 1) */
double rng_unit(struct rng *r);
void rng_fill(struct rng *r, void *buf, size_t n);

enum size_kind { SIZE_FIXED, SIZE_UNIFORM, SIZE_NORMAL, SIZE_EXP };
enum { RECORD_SIZE_MAX = 64 << 20 };
struct size_dist {
        enum size_kind kind;
        uint32_t a, b; /* value; least and most; mean and deviation; mean */
};
uint32_t size_draw(const struct size_dist *d, struct rng *r);
uint32_t size_least(const struct size_dist *d);
uint32_t size_most(const struct size_dist *d);

enum keys_kind { KEYS_NONE, KEYS_UNIFORM, KEYS_ZIPF };
enum { KEYS_MAX = 1 << 24 };
struct key_dist {
        enum keys_kind kind;
        uint32_t n;
        double skew; /* zipf's s */
};

/* Draws the number of a key.  Zipf: rank k has weight 1 / (k + 1)^s. */
struct keys {
        struct key_dist dist;
        double *upto; /* zipf: cumulated weight, normed to 1 */
};
/* False: out of memory. */
bool keys_init(struct keys *k, const struct key_dist *d);
void keys_free(struct keys *k);
uint32_t keys_draw(const struct keys *k, struct rng *r);

enum { KEY_TEXT_LEN = 12 };
/* "key-00001234", not terminated: KEY_TEXT_LEN bytes. */
void key_text(uint32_t number, char *out);
/* XXH3-64 of the key's bytes, modulo the partitions. */
uint32_t key_partition(const char *key, size_t n, uint32_t partitions);
