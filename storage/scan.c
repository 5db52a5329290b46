/* See scan.h. */
#include "storage/scan.h"

#include "protocol/crc32c.h"
#include "storage/files.h"

#include <errno.h>

/* Fills the block from the page that holds pos. */
static bool scan_fill(struct scan *c, uint64_t pos)
{
        c->at = page_down(pos);
        int64_t r =
            file_read(c->io, c->fd, (struct bytes_mut){ c->block->data, c->block->cap }, c->at);
        c->have = r > 0 ? (uint64_t)r : 0;
        if (r < 0) c->error = r;
        return r > 0;
}

const uint8_t *scan_bytes(struct scan *c, uint64_t pos, size_t n)
{
        assert(n <= STORE_PAGE && c->block->cap >= 4 * STORE_PAGE);
        if (pos > c->file_size || n > c->file_size - pos) return NULL;
        bool there = pos >= c->at && pos + n <= c->at + c->have;
        if (!there && (c->error || !scan_fill(c, pos) || pos + n > c->at + c->have)) return NULL;
        return c->block->data + (pos - c->at);
}

static bool scan_crc_ok(struct scan *c, uint64_t pos, const struct batch *b)
{
        uint64_t at = pos + BATCH_CRC_FROM, end = pos + b->size;
        uint32_t crc = 0;
        while (at < end) {
                const uint8_t *p = scan_bytes(c, at, 1);
                if (!p) return false;
                size_t n = (size_t)MIN(end - at, c->at + c->have - at);
                crc = crc32c(crc, p, n);
                at += n;
        }
        return crc == b->crc;
}

const char *scan_batch(struct scan *c, uint64_t pos, struct batch *ret)
{
        struct batch b;
        const uint8_t *p = scan_bytes(c, pos, BATCH_HEADER_SIZE);
        if (!p) return c->error ? "cannot be read" : "header is cut";
        const char *why = batch_read(p, BATCH_HEADER_SIZE, false, &b);
        if (why) return why;
        if (b.size > c->file_size - pos) return "length runs past the file";
        if (b.leader_epoch != 0) return "leader epoch is impossible";
        if (!scan_crc_ok(c, pos, &b)) return c->error ? "cannot be read" : "checksum";
        *ret = b;
        return NULL;
}

void scan_run(struct scan *c, struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        for (c->why = NULL; c->pos < c->file_size;) {
                struct batch b;
                c->why = scan_batch(c, c->pos, &b);
                if (!c->why && b.base_offset != c->expect) c->why = "base offset does not follow";
                if (c->why) return;
                if (c->pos <= UINT32_MAX && c->expect - s->base_offset <= UINT32_MAX)
                        index_note(
                            s, (struct index_spot){ .rel = (uint32_t)(c->expect - s->base_offset),
                                   .pos = (uint32_t)c->pos,
                                   .max_before = c->max_timestamp });
                c->pos += b.size;
                c->expect = batch_last_offset(&b) + 1;
                c->max_timestamp = MAX(c->max_timestamp, b.max_timestamp);
        }
}

/* --- looking for later batches --- */
static bool all_zero(const uint8_t *p, size_t n)
{
        return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

struct wanted {
        int64_t from, before; /* base offsets */
        uint64_t beyond;
};

static bool scan_is_wanted(struct scan *c, uint64_t pos, const struct wanted *x)
{
        struct batch b;
        const uint8_t *p = scan_bytes(c, pos, BATCH_HEADER_SIZE);
        if (!p || batch_read(p, BATCH_HEADER_SIZE, false, &b)) return false;
        if (b.base_offset < x->from || b.base_offset >= x->before || b.count == 0) return false;
        if (b.size > c->file_size - pos || pos + b.size <= x->beyond) return false;
        return !scan_batch(c, pos, &b);
}

/* Every place in the piece where a header's magic could be; `at` is the first byte of the piece. */
static bool scan_piece(
    struct scan *c, uint64_t at, size_t n, const struct wanted *x, uint64_t *ret_pos)
{
        size_t i = 0;
        while (i < n) {
                const uint8_t *p =
                    scan_bytes(c, at + i, 1); /* checking a candidate may have moved it */
                if (!p) return false;
                size_t left = (size_t)MIN(n - i, c->at + c->have - (at + i));
                const uint8_t *hit = memchr(p, 2, left);
                if (!hit) {
                        i += left;
                        continue;
                }
                i += (size_t)(hit - p) + 1;
                uint64_t magic_at = at + i - 1;
                if (magic_at >= BATCH_MAGIC && scan_is_wanted(c, magic_at - BATCH_MAGIC, x)) {
                        *ret_pos = magic_at - BATCH_MAGIC;
                        return true;
                }
        }
        return false;
}

bool scan_find(struct scan *c, uint64_t from, int64_t before, uint64_t beyond, uint64_t *ret_pos,
    bool *ret_zero)
{
        struct wanted x = { .from = c->expect, .before = before, .beyond = beyond };
        bool zero = true;
        for (uint64_t at = from; at < c->file_size && !c->error;) {
                const uint8_t *p = scan_bytes(c, at, 1);
                if (!p) break;
                size_t n = (size_t)(c->at + c->have - at);
                if (!all_zero(p, n)) {
                        zero = false;
                        if (scan_piece(c, at, n, &x, ret_pos)) {
                                *ret_zero = false;
                                return true;
                        }
                }
                at += n;
        }
        *ret_zero = zero;
        return false;
}
