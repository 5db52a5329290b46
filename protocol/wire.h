/* Reading: a cursor with a sticky error over one frame.  Straight-line field lists, one check at
 * the end; `fault_at` keeps the place of the first failure for the log line.  Nothing here
 * allocates. After a failure every read gives 0, empty or null.  Source: kafka-protocol "Primitive
 * types". */
#pragma once

#include "base/types.h"

enum {
        WIRE_COUNT_MAX = 1000000, /* elements of one array */
        WIRE_TAGS_MAX = 10000,    /* tagged fields of one struct */
};

struct cursor {
        const uint8_t *begin, *at, *end;
        bool bad;
        const char *why; /* of the first failure, static text */
        size_t fault_at; /* its offset from begin             */
};

static inline struct cursor cursor_of(const void *p, size_t n)
{
        const uint8_t *b = p;
        return (struct cursor){ b, b, b + n, false, NULL, 0 };
}
static inline size_t cursor_left(const struct cursor *c)
{
        return (size_t)(c->end - c->at);
}
/* Marks the cursor bad (first call wins) and empties it. */
void cursor_fail(struct cursor *c, const char *why);

/* The next n bytes, or NULL (and bad). */
static inline const uint8_t *cursor_take(struct cursor *c, size_t n)
{
        if (__builtin_expect(cursor_left(c) < n, 0)) {
                cursor_fail(c, "ends inside a field");
                return NULL;
        }
        c->at += n;
        return c->at - n;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
        const uint8_t *p = cursor_take(c, 1);
        return p ? *p : 0;
}
static inline uint16_t cursor_u16(struct cursor *c)
{
        const uint8_t *p = cursor_take(c, 2);
        return p ? load_be16(p) : 0;
}
static inline uint32_t cursor_u32(struct cursor *c)
{
        const uint8_t *p = cursor_take(c, 4);
        return p ? load_be32(p) : 0;
}
static inline uint64_t cursor_u64(struct cursor *c)
{
        const uint8_t *p = cursor_take(c, 8);
        return p ? load_be64(p) : 0;
}
static inline int8_t cursor_i8(struct cursor *c)
{
        return (int8_t)cursor_u8(c);
}
static inline int16_t cursor_i16(struct cursor *c)
{
        return (int16_t)cursor_u16(c);
}
static inline int32_t cursor_i32(struct cursor *c)
{
        return (int32_t)cursor_u32(c);
}
static inline int64_t cursor_i64(struct cursor *c)
{
        return (int64_t)cursor_u64(c);
}
static inline bool cursor_bool(struct cursor *c)
{
        return cursor_u8(c) != 0;
}

double cursor_f64(struct cursor *c);
struct uuid cursor_uuid(struct cursor *c);

uint32_t cursor_uvarint_slow(struct cursor *c);
/* At most 5 bytes, and 32 bits. */
static inline uint32_t cursor_uvarint(struct cursor *c)
{
        if (c->at < c->end && *c->at < 0x80) return *c->at++;
        return cursor_uvarint_slow(c);
}

/* Which of the two encodings of lengths, and whether null may be. */
enum wire_form {
        WIRE_CLASSIC = 0,
        WIRE_COMPACT = 1,
        WIRE_NULLABLE = 2,
};
static inline unsigned wire_form(bool compact, bool nullable)
{
        return (compact ? WIRE_COMPACT : 0U) | (nullable ? WIRE_NULLABLE : 0U);
}

/* Borrowed from the frame.  n == -1: null, only where the form allows it. */
struct str cursor_str(struct cursor *c, unsigned form);
struct bytes cursor_bytes(struct cursor *c, unsigned form);
/* An array's count; -1: null.  Never more than WIRE_COUNT_MAX, nor than elements of `smallest`
 * bytes
 * (>= 1) find room in what is left: what is sized by it is bounded by the frame. */
int32_t cursor_count(struct cursor *c, unsigned form, uint32_t smallest);
/* The byte before a nullable struct: does the struct follow? */
static inline bool cursor_present(struct cursor *c)
{
        return cursor_i8(c) >= 0 && !c->bad;
}

/* Tagged fields: how many, then for each a cursor over just its payload.  The payload's cursor goes
 * back through cursor_tag_end(), which demands that a known one was read to its end. */
uint32_t cursor_tag_count(struct cursor *c);
uint32_t cursor_tag(struct cursor *c, struct cursor *ret_payload);
void cursor_tag_end(struct cursor *c, const struct cursor *payload);
/* Of a struct that knows none: all are passed over. */
void cursor_skip_tags_slow(struct cursor *c);
static inline void cursor_skip_tags(struct cursor *c)
{
        if (c->at < c->end && *c->at == 0)
                c->at++;
        else
                cursor_skip_tags_slow(c);
}
