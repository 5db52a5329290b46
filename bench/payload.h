/* Where the values of records come from: random bytes, bytes that compress to a ratio, or the lines
 * of a file.  Values are borrowed from one pool that does not change after payload_init. */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "bench/dist.h"

enum payload_type { PAYLOAD_RANDOM, PAYLOAD_COMPRESSIBLE, PAYLOAD_LINES };
struct payload_kind {
        enum payload_type type;
        double ratio;
        const char *path; /* borrowed */
};

struct payload {
        struct payload_kind kind;
        uint8_t *pool;
        size_t n;
        struct bytes *lines;
        size_t n_lines;
        uint32_t longest; /* of the lines */
};

/* longest: of the values that will be drawn. */
int payload_init(struct payload *p, const struct payload_kind *k, uint32_t longest, struct err *e);
void payload_free(struct payload *p);
/* size is not asked for when lines are drawn. */
struct bytes payload_draw(const struct payload *p, struct rng *r, uint32_t size);
