/* The pool of values. */
#include "bench/payload.h"

#include "base/check.h"
#include "base/status.h"

#include <errno.h>
#include <stdio.h>

enum {
        POOL_LEAST = 4 << 20,
        CELL = 256, /* of a compressible pool: random bytes first, then one byte repeated */
        FILE_MAX = 256 << 20,
        LINES_FIRST = 1024,
};

static void fill_cells(uint8_t *pool, size_t n, double ratio, struct rng *r)
{
        size_t hard = (size_t)(CELL / ratio);
        for (size_t at = 0; at < n; at += CELL) {
                size_t room = MIN((size_t)CELL, n - at), random = MIN(hard, room);
                rng_fill(r, pool + at, random);
                memset(pool + at + random, 'v', room - random);
        }
}

static int add_line(struct payload *p, size_t *cap, struct bytes line)
{
        if (p->n_lines == *cap) {
                *cap = *cap ? *cap * 2 : LINES_FIRST;
                struct bytes *more = realloc(p->lines, *cap * sizeof *more);
                if (!more) return ST_NOMEM;
                p->lines = more;
        }
        p->lines[p->n_lines++] = line;
        p->longest = MAX(p->longest, (uint32_t)line.n);
        return 0;
}

static int split_lines(struct payload *p)
{
        size_t cap = 0;
        for (size_t at = 0; at < p->n;) {
                const uint8_t *end = memchr(p->pool + at, '\n', p->n - at);
                size_t len = end ? (size_t)(end - p->pool) - at : p->n - at;
                int r = len > 0 && len <= RECORD_SIZE_MAX
                            ? add_line(p, &cap, (struct bytes){ p->pool + at, (int32_t)len })
                            : 0;
                if (r < 0) return r;
                at += len + 1;
        }
        return 0;
}

static int read_lines(struct payload *p, struct err *e)
{
        FILE *f = fopen(p->kind.path, "rb");
        if (!f) return err_set(e, ST_NOT_FOUND, "%s: %s", p->kind.path, strerror(errno));
        p->pool = malloc(FILE_MAX);
        if (p->pool) p->n = fread(p->pool, 1, FILE_MAX, f);
        bool more = p->pool && p->n == FILE_MAX && fgetc(f) != EOF, bad = ferror(f) != 0;
        fclose(f);
        if (!p->pool) return err_set(e, ST_NOMEM, "no memory for %s", p->kind.path);
        if (bad) return err_set(e, ST_IO, "%s cannot be read", p->kind.path);
        if (more) return err_set(e, ST_TOO_LARGE, "%s is larger than 256 MiB", p->kind.path);
        int r = split_lines(p);
        if (r < 0) return err_set(e, r, "no memory for the lines of %s", p->kind.path);
        return p->n_lines ? 0 : err_set(e, ST_INVALID, "%s has no lines", p->kind.path);
}

int payload_init(struct payload *p, const struct payload_kind *k, uint32_t longest, struct err *e)
{
        *p = (struct payload){ .kind = *k };
        if (k->type == PAYLOAD_LINES) {
                int r = read_lines(p, e);
                if (r < 0) payload_free(p);
                return r;
        }
        struct rng r = { .state = 42 };
        p->n = POOL_LEAST + (size_t)longest;
        p->longest = longest;
        p->pool = malloc(p->n);
        if (!p->pool) return err_set(e, ST_NOMEM, "no memory for payloads");
        fill_cells(p->pool, p->n, k->type == PAYLOAD_COMPRESSIBLE ? k->ratio : 1, &r);
        return 0;
}

void payload_free(struct payload *p)
{
        free(p->pool);
        free(p->lines);
        *p = (struct payload){ 0 };
}

struct bytes payload_draw(const struct payload *p, struct rng *r, uint32_t size)
{
        if (p->kind.type == PAYLOAD_LINES) return p->lines[rng_below(r, p->n_lines)];
        assert(size <= p->n);
        return (struct bytes){ p->pool + rng_below(r, p->n - size + 1), (int32_t)size };
}
