/* Writing: a reply (or request) as a list of segments: bytes of its own and borrowed record bytes,
 * lengths patched afterwards, sent as iovecs without another copy.  Sticky error when memory or
 * limit run out.  Own bytes come from the arena given at init and live as long as it does. */
#pragma once

#include "base/arena.h"
#include "base/types.h"

#include <sys/uio.h>

struct block;

/* A run of borrowed bytes; owner (may be NULL) is what keeps them alive. */
struct slice {
        const uint8_t *p;
        uint32_t n;
        struct block *owner;
};

/* A `records` field.  Decoded: p, n borrow from the frame (n == -1: null).  To encode: n is the
 * total, slices hold the bytes when n_slices > 0, else p does. */
struct records {
        const uint8_t *p;
        int32_t n;
        uint32_t n_slices;
        const struct slice *slices;
};

struct out {
        struct arena *arena;
        struct iovec *iov; /* finished segments, then the open one (its length is kept true) */
        uint32_t n_iov, cap_iov;
        uint8_t *at, *end; /* room in the open segment */
        size_t total;      /* bytes so far             */
        bool bad;
};

void out_init(struct out *o, struct arena *arena);
void out_bytes(struct out *o, const void *p, size_t n); /* copied */
/* Not copied: must stay valid until the message is sent. */
void out_borrow(struct out *o, const void *p, size_t n);
/* A place for an int32 that is known later. */
struct out_hole {
        uint8_t *at;
        size_t total; /* of the message when the hole was made, the 4 bytes included */
};
struct out_hole out_hole_i32(struct out *o);
void out_patch_i32(struct out_hole h, int32_t v);
size_t out_total(const struct out *o);
/* How many of iov hold bytes: all, or all but the open one. */
static inline uint32_t out_segments(const struct out *o)
{
        return o->n_iov > 0 && o->iov[o->n_iov - 1].iov_len == 0 ? o->n_iov - 1 : o->n_iov;
}

uint8_t *out_take_slow(struct out *o, size_t n);
/* n contiguous bytes to fill at once; NULL when out is bad. */
static inline uint8_t *out_take(struct out *o, size_t n)
{
        if (__builtin_expect((size_t)(o->end - o->at) < n, 0)) return out_take_slow(o, n);
        uint8_t *p = o->at;
        o->at += n;
        o->total += n;
        o->iov[o->n_iov - 1].iov_len += n;
        return p;
}

static inline void out_u8(struct out *o, uint8_t v)
{
        uint8_t *p = out_take(o, 1);
        if (p) *p = v;
}
static inline void out_u16(struct out *o, uint16_t v)
{
        uint8_t *p = out_take(o, 2);
        if (p) store_be16(p, v);
}
static inline void out_u32(struct out *o, uint32_t v)
{
        uint8_t *p = out_take(o, 4);
        if (p) store_be32(p, v);
}
static inline void out_u64(struct out *o, uint64_t v)
{
        uint8_t *p = out_take(o, 8);
        if (p) store_be64(p, v);
}
static inline void out_i8(struct out *o, int8_t v)
{
        out_u8(o, (uint8_t)v);
}
static inline void out_i16(struct out *o, int16_t v)
{
        out_u16(o, (uint16_t)v);
}
static inline void out_i32(struct out *o, int32_t v)
{
        out_u32(o, (uint32_t)v);
}
static inline void out_i64(struct out *o, int64_t v)
{
        out_u64(o, (uint64_t)v);
}
static inline void out_bool(struct out *o, bool v)
{
        out_u8(o, v ? 1 : 0);
}
void out_f64(struct out *o, double v);
void out_uuid(struct out *o, struct uuid v);
void out_uvarint(struct out *o, uint32_t v);

/* In the given form (enum wire_form).  Null where null may not be is written as empty; what does
 * not fit its length field makes out bad. */
void out_str(struct out *o, struct str v, unsigned form);
void out_blob(struct out *o, struct bytes v, unsigned form);
/* Record bytes are borrowed, whether slices or p. */
void out_records(struct out *o, const struct records *v, unsigned form);
/* An array's count, n < 0: null.  Returns how many elements to write. */
int32_t out_count(struct out *o, int32_t n, unsigned form);

/* Sizes in compact encoding, for the length that precedes a tagged field. */
static inline size_t size_uvarint(uint32_t v)
{
        return v < 1U << 7 ? 1 : v < 1U << 14 ? 2 : v < 1U << 21 ? 3 : v < 1U << 28 ? 4 : 5;
}
static inline size_t size_compact(int32_t n)
{
        return n <= 0 ? 1 : size_uvarint((uint32_t)n + 1) + (size_t)n;
}
/* Tag and size; the payload of exactly that size is written next. */
void out_tag(struct out *o, uint32_t tag, size_t size);
