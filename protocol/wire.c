/* The out-of-line half of the cursor: lengths, counts, varints, tagged fields. */
#include "protocol/wire.h"

#include "base/check.h"

void cursor_fail(struct cursor *c, const char *why)
{
        assert(why != NULL);
        assert(c->at >= c->begin && c->at <= c->end);
        if (!c->bad) {
                c->bad = true;
                c->why = why;
                c->fault_at = (size_t)(c->at - c->begin);
        }
        c->at = c->end;
}

double cursor_f64(struct cursor *c)
{
        uint64_t bits = cursor_u64(c);
        double v;
        static_assert(sizeof v == sizeof bits, "IEEE 754 binary64");
        memcpy(&v, &bits, sizeof v);
        return v;
}

struct uuid cursor_uuid(struct cursor *c)
{
        struct uuid u = { { 0 } };
        const uint8_t *p = cursor_take(c, sizeof u.b);
        if (p) memcpy(u.b, p, sizeof u.b);
        return u;
}

uint32_t cursor_uvarint_slow(struct cursor *c)
{
        uint64_t v = 0;
        for (unsigned shift = 0; shift < 35; shift += 7) {
                const uint8_t *p = cursor_take(c, 1);
                if (!p) return 0;
                v |= (uint64_t)(*p & 0x7f) << shift;
                if (*p >= 0x80) continue;
                if (v > UINT32_MAX) break;
                return (uint32_t)v;
        }
        cursor_fail(c, "varint is longer than 32 bits");
        return 0;
}

/* A length or a count as it stands there; -1: null.  Below -1 only from classic encoding. */
static int64_t read_length(struct cursor *c, unsigned form, bool wide)
{
        if (form & WIRE_COMPACT) return (int64_t)cursor_uvarint(c) - 1;
        return wide ? cursor_i32(c) : cursor_i16(c);
}

/* Length and bytes of a string or bytes field; -1: null. */
static int32_t read_sized(struct cursor *c, unsigned form, bool wide, const uint8_t **ret_p)
{
        int64_t n = read_length(c, form, wide);
        if (c->bad) return form & WIRE_NULLABLE ? -1 : 0;
        if (n == -1 && (form & WIRE_NULLABLE)) return -1;
        if (n < 0) {
                cursor_fail(c, n == -1 ? "null where it may not be" : "negative length");
                return form & WIRE_NULLABLE ? -1 : 0;
        }
        if ((uint64_t)n > cursor_left(c) || n > INT32_MAX) {
                cursor_fail(c, "length runs past the end");
                return form & WIRE_NULLABLE ? -1 : 0;
        }
        *ret_p = cursor_take(c, (size_t)n);
        return (int32_t)n;
}

struct str cursor_str(struct cursor *c, unsigned form)
{
        const uint8_t *p = NULL;
        int32_t n = read_sized(c, form, false, &p);
        return (struct str){ (const char *)p, n };
}

struct bytes cursor_bytes(struct cursor *c, unsigned form)
{
        const uint8_t *p = NULL;
        int32_t n = read_sized(c, form, true, &p);
        return (struct bytes){ p, n };
}

int32_t cursor_count(struct cursor *c, unsigned form, uint32_t smallest)
{
        assert(smallest > 0);
        int64_t n = read_length(c, form, true);
        if (c->bad) return 0;
        if (n < 0) {
                if (form & WIRE_NULLABLE) return -1;
                cursor_fail(c, "null array where it may not be");
                return 0;
        }
        if (n > WIRE_COUNT_MAX || (uint64_t)n > cursor_left(c) / smallest) {
                cursor_fail(c, "more elements than the message has room for");
                return 0;
        }
        return (int32_t)n;
}

uint32_t cursor_tag_count(struct cursor *c)
{
        uint32_t n = cursor_uvarint(c);
        if (n <= WIRE_TAGS_MAX) return n;
        cursor_fail(c, "too many tagged fields");
        return 0;
}

uint32_t cursor_tag(struct cursor *c, struct cursor *ret_payload)
{
        uint32_t tag = cursor_uvarint(c);
        uint32_t size = cursor_uvarint(c);
        if (!c->bad && size > cursor_left(c)) cursor_fail(c, "tagged field runs past the end");
        *ret_payload = *c;
        if (c->bad) return UINT32_MAX;
        c->at += size;
        ret_payload->end = c->at;
        return tag;
}

void cursor_tag_end(struct cursor *c, const struct cursor *payload)
{
        assert(payload->begin == c->begin && payload->end <= c->end);
        if (c->bad) return;
        if (!payload->bad && payload->at == payload->end) return;
        const char *why = payload->bad ? payload->why : "tagged field is longer than its value";
        size_t at = payload->bad ? payload->fault_at : (size_t)(payload->at - payload->begin);
        cursor_fail(c, why);
        c->fault_at = at;
}

void cursor_skip_tags_slow(struct cursor *c)
{
        uint32_t n = cursor_tag_count(c);
        for (uint32_t i = 0; i < n && !c->bad; i++) {
                struct cursor payload;
                cursor_tag(c, &payload);
        }
}
