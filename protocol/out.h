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

/* A `records` field.  Decoded: p, n borrow from the frame (n == -1: null).  To encode: n is the total,
 * slices hold the bytes when n_slices > 0, else p does. */
struct records {
        const uint8_t *p;
        int32_t n;
        uint32_t n_slices;
        const struct slice *slices;
};

struct out {
        struct arena *arena;
        struct iovec *iov;      /* finished segments, then the open one */
        uint32_t n_iov, cap_iov;
        uint8_t *at, *end;      /* room in the open segment */
        size_t total;           /* bytes so far             */
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
