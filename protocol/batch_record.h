/* One record, parsed where it lies.  Internal: the plain paths inline it (a few ns per record), the
 * compressed ones use it for records that lie whole in a window, batch_walk.c for the cut ones. */
#pragma once

#include "base/check.h"
#include "base/types.h"

enum { RECORD_FIELDS_MIN = 6 }; /* attributes, timestamp, offset, key, value and header counts */

/* As encoded: deltas, and where the parts lie. */
struct raw_record {
        int64_t timestamp_delta;
        int32_t offset_delta;
        struct bytes key, value;
        struct bytes headers; /* count varint and what follows */
        int32_t header_count;
};

#define RECORD_INLINE static inline __attribute__((always_inline))

static inline int32_t unzigzag32(uint32_t v)
{
        return (int32_t)(v >> 1 ^ -(v & 1));
}
static inline int64_t unzigzag64(uint64_t v)
{
        return (int64_t)(v >> 1 ^ -(v & 1));
}

/* At most 5 bytes, no bit lost, 0x80 padding allowed as Kafka does.  NULL: cut or too long. */
const uint8_t *varint_slow(const uint8_t *p, const uint8_t *end, uint32_t *ret);
const uint8_t *varlong_slow(const uint8_t *p, const uint8_t *end, uint64_t *ret);

RECORD_INLINE const uint8_t *varint(const uint8_t *p, const uint8_t *end, int32_t *ret)
{
        uint32_t v;
        if (p < end && *p < 0x80)
                v = *p++;
        else if (end - p >= 2 && p[1] < 0x80) {
                v = (p[0] & 0x7fu) | (uint32_t)p[1] << 7;
                p += 2;
        } else {
                p = varint_slow(p, end, &v);
                if (!p) return NULL;
        }
        *ret = unzigzag32(v);
        return p;
}

RECORD_INLINE const uint8_t *varlong(const uint8_t *p, const uint8_t *end, int64_t *ret)
{
        uint64_t v;
        if (p < end && *p < 0x80)
                v = *p++;
        else if (end - p >= 2 && p[1] < 0x80) {
                v = (p[0] & 0x7fu) | (uint64_t)p[1] << 7;
                p += 2;
        } else {
                p = varlong_slow(p, end, &v);
                if (!p) return NULL;
        }
        *ret = unzigzag64(v);
        return p;
}

/* A length and its bytes; -1 is null, below is a fault. */
RECORD_INLINE const uint8_t *nullable(const uint8_t *p, const uint8_t *end, struct bytes *ret)
{
        int32_t n;
        p = varint(p, end, &n);
        if (!p || n < -1 || n > end - p) return NULL;
        *ret = (struct bytes){ n < 0 ? NULL : p, n };
        return n < 0 ? p : p + n;
}

/* What follows a header count above zero: n times key and nullable value, up to end exactly. */
const char *headers_invalid(const uint8_t *p, const uint8_t *end, int32_t n);

/* Parses the record at p; its end, or NULL with the reason. */
RECORD_INLINE const uint8_t *record_parse(
    const uint8_t *p, const uint8_t *end, struct raw_record *r, const char **ret_why)
{
        int32_t n;
        p = varint(p, end, &n);
        if (!p || n < RECORD_FIELDS_MIN || n > end - p) {
                *ret_why = "record length is wrong";
                return NULL;
        }
        end = p + n;
        p = varlong(p + 1, end, &r->timestamp_delta);
        if (p) p = varint(p, end, &r->offset_delta);
        if (p) p = nullable(p, end, &r->key);
        if (p) p = nullable(p, end, &r->value);
        if (!p) {
                *ret_why = "field runs past the record";
                return NULL;
        }
        r->headers = (struct bytes){ p, (int32_t)(end - p) };
        p = varint(p, end, &r->header_count);
        if (p && r->header_count == 0 && p == end) return end;
        *ret_why = p ? headers_invalid(p, end, r->header_count) : "header count is cut";
        return *ret_why ? NULL : end;
}

/* For records that a window cuts: the same checks, byte by byte, in constant memory. */
enum walk_state {
        WALK_LENGTH,
        WALK_ATTRIBUTES,
        WALK_TIMESTAMP,
        WALK_OFFSET,
        WALK_KEY,
        WALK_VALUE,
        WALK_HEADERS,
        WALK_HEADER_KEY,
        WALK_HEADER_VALUE,
        WALK_END,
};

struct walk {
        /* Non-zero stops the walk and is returned.  Of the record only the deltas and the length
         * of the key are there. */
        int (*on_record)(struct walk *w, const struct raw_record *r);
        int32_t index;   /* of the record under way, or that stopped the walk */
        const char *why; /* the bytes are no records */

        enum walk_state state;
        uint64_t bits; /* of the varint under way */
        unsigned shift;
        int32_t left; /* bytes of the record */
        int32_t skip; /* of them: of the key or value under way */
        int32_t headers_left;
        struct raw_record record;
};

/* 0: go on; 1: not records, see why; else what on_record returned. */
int walk_feed(struct walk *w, struct bytes piece);
/* Whether the bytes so far end where a record ends. */
bool walk_at_boundary(const struct walk *w);
