/* What the tests of compression and batches share: bytes from a seed, batches to order, and a
 * decoder that is as plain as can be, to compare with. */
#pragma once

#include "base/check.h"
#include "base/status.h"
#include "protocol/batch.h"
#include "protocol/crc32c.h"

#include <criterion/criterion.h>
#include <stdio.h>

struct rng {
        uint64_t s;
};

static inline uint64_t rnd(struct rng *r)
{
        r->s ^= r->s << 13;
        r->s ^= r->s >> 7;
        return r->s ^= r->s << 17;
}
static inline uint32_t rnd_below(struct rng *r, uint32_t n)
{
        return (uint32_t)(rnd(r) >> 11) % n;
}

/* A buffer of its exact size, so that the sanitizer sees one byte too many. */
struct blob {
        uint8_t *p;
        size_t n;
};

static inline struct blob blob_of(const void *p, size_t n)
{
        struct blob b = { malloc(n ? n : 1), n };
        assert(b.p);
        if (n) memcpy(b.p, p, n);
        return b;
}
static inline struct bytes blob_bytes(struct blob b)
{
        return (struct bytes){ b.p, (int32_t)b.n };
}

static inline void random_bytes(struct rng *r, uint8_t *p, size_t n)
{
        for (size_t i = 0; i < n; i++) p[i] = (uint8_t)rnd(r);
}
/* Words of a small vocabulary. */
static inline void text_bytes(struct rng *r, uint8_t *p, size_t n)
{
        static const char *const words[] = { "orders ", "payment ", "2026-11-21 ", "42 ", "err " };
        for (size_t i = 0; i < n;) {
                const char *w = words[rnd_below(r, COUNT_OF(words))];
                for (; *w && i < n; w++) p[i++] = (uint8_t)*w;
        }
}

static inline void fix_crc(uint8_t *p, size_t n)
{
        store_be32(p + BATCH_CRC, crc32c(0, p + BATCH_CRC_FROM, n - BATCH_CRC_FROM));
}

/* Every way to write a payload: codec and framing. */
struct coding {
        const char *name;
        enum codec codec;
        bool xerial;
};
static const struct coding codings[] = {
        { "none", CODEC_NONE, false },
        { "gzip", CODEC_GZIP, false },
        { "snappy raw", CODEC_SNAPPY, false },
        { "snappy xerial", CODEC_SNAPPY, true },
        { "lz4", CODEC_LZ4, false },
        { "zstd", CODEC_ZSTD, false },
};

static inline struct blob deflated(struct codec_ctx *x, const struct coding *c, struct bytes in)
{
        size_t room = codec_bound(c->codec, (size_t)in.n);
        uint8_t *p = malloc(room + 1);
        struct err e = { 0 };
        int64_t n = codec_deflate(x, c->codec, c->xerial, in, (struct bytes_mut){ p, room }, &e);
        cr_assert(n >= 0 && (size_t)n <= room, "%s: %s", c->name, e.text);
        struct blob b = blob_of(p, (size_t)n);
        free(p);
        return b;
}

/* Gathers what is inflated, or only counts. */
struct gather {
        struct inflate_sink sink;
        uint8_t *p; /* NULL: count only */
        size_t room;
        uint64_t n;
        uint64_t largest;
        int stop_with;
};

static inline int gather_bytes(struct inflate_sink *s, struct bytes piece)
{
        struct gather *g = CONTAINER_OF(s, struct gather, sink);
        cr_assert(piece.n > 0);
        g->largest = MAX(g->largest, (uint64_t)piece.n);
        if (g->p) {
                cr_assert(g->n + (uint64_t)piece.n <= g->room);
                memcpy(g->p + g->n, piece.p, (size_t)piece.n);
        }
        g->n += (uint64_t)piece.n;
        return g->stop_with;
}

/* A batch of the header `like` (count and the rest as given) around a payload. */
static inline struct blob batch_around(const struct batch *like, struct bytes payload)
{
        struct blob b = { calloc(1, BATCH_HEADER_SIZE + (size_t)payload.n), 0 };
        b.n = BATCH_HEADER_SIZE + (size_t)payload.n;
        assert(b.p);
        store_be64(b.p + BATCH_BASE_OFFSET, (uint64_t)like->base_offset);
        store_be32(b.p + BATCH_LENGTH, (uint32_t)b.n - BATCH_LENGTH_EXTRA);
        store_be32(b.p + BATCH_LEADER_EPOCH, (uint32_t)like->leader_epoch);
        b.p[BATCH_MAGIC] = 2;
        store_be16(b.p + BATCH_ATTRIBUTES, (uint16_t)like->attributes);
        store_be32(b.p + BATCH_LAST_OFFSET_DELTA, (uint32_t)like->last_offset_delta);
        store_be64(b.p + BATCH_BASE_TIMESTAMP, (uint64_t)like->base_timestamp);
        store_be64(b.p + BATCH_MAX_TIMESTAMP, (uint64_t)like->max_timestamp);
        store_be64(b.p + BATCH_PRODUCER_ID, (uint64_t)like->producer_id);
        store_be16(b.p + BATCH_PRODUCER_EPOCH, (uint16_t)like->producer_epoch);
        store_be32(b.p + BATCH_BASE_SEQUENCE, (uint32_t)like->base_sequence);
        store_be32(b.p + BATCH_COUNT, (uint32_t)like->count);
        if (payload.n) memcpy(b.p + BATCH_HEADER_SIZE, payload.p, (size_t)payload.n);
        fix_crc(b.p, b.n);
        return b;
}

static inline struct batch plain_header(int32_t count)
{
        return (struct batch){ .leader_epoch = -1,
                .magic = 2,
                .last_offset_delta = count - 1,
                .max_timestamp = -1,
                .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .count = count };
}

/* --- the plain decoder --------------------------------------------------------------------- */

__extension__ typedef __int128 i128;
__extension__ typedef unsigned __int128 u128;

struct naive_record {
        i128 timestamp_delta, offset_delta;
        int64_t key_n, value_n, headers_n; /* headers_n: how many */
};
struct naive {
        bool bad;
        size_t n;
        struct naive_record *r;
};

static inline bool naive_varint(const uint8_t *p, size_t n, size_t *at, int bits, i128 *ret)
{
        u128 v = 0;
        for (int i = 0; i < (bits + 6) / 7; i++) {
                if (*at >= n) return false;
                uint8_t b = p[(*at)++];
                v |= (u128)(b & 127) << (7 * i);
                if (b & 128) continue;
                if (v >> bits) return false;
                *ret = v & 1 ? -(i128)(v >> 1) - 1 : (i128)(v >> 1);
                return true;
        }
        return false;
}

static inline bool naive_field(const uint8_t *p, size_t n, size_t *at, bool null_ok, int64_t *ret)
{
        i128 v;
        if (!naive_varint(p, n, at, 32, &v)) return false;
        if (v < (null_ok ? -1 : 0)) return false;
        *ret = (int64_t)v;
        if (v > 0 && (size_t)v > n - *at) return false;
        if (v > 0) *at += (size_t)v;
        return true;
}

static inline bool naive_one(const uint8_t *p, size_t n, struct naive_record *r)
{
        size_t at = 1; /* attributes */
        i128 count;
        int64_t ignored;
        if (n < 1 || !naive_varint(p, n, &at, 64, &r->timestamp_delta)) return false;
        if (!naive_varint(p, n, &at, 32, &r->offset_delta)) return false;
        if (!naive_field(p, n, &at, true, &r->key_n)) return false;
        if (!naive_field(p, n, &at, true, &r->value_n)) return false;
        if (!naive_varint(p, n, &at, 32, &count) || count < 0) return false;
        r->headers_n = (int64_t)count;
        for (i128 i = 0; i < count; i++)
                if (!naive_field(p, n, &at, false, &ignored) ||
                    !naive_field(p, n, &at, true, &ignored))
                        return false;
        return at == n;
}

static inline struct naive naive_decode(const uint8_t *p, size_t n)
{
        struct naive d = { .r = calloc(n / 7 + 1, sizeof *d.r) };
        assert(d.r);
        for (size_t at = 0; at < n && !d.bad;) {
                i128 length;
                d.bad = !naive_varint(p, n, &at, 32, &length) || length < 0 ||
                        (size_t)length > n - at || !naive_one(p + at, (size_t)length, &d.r[d.n]);
                if (d.bad) break;
                at += (size_t)length;
                d.n++;
        }
        return d;
}
