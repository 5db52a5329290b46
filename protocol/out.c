/* Segments of a message under construction.  Own bytes go into chunks from the arena; a borrowed
 * run becomes a segment of its own, and what is left of the chunk goes on behind it. */
#include "protocol/out.h"

#include "base/check.h"
#include "protocol/wire.h"

enum {
        CHUNK_MIN = 512,
        CHUNK_MAX = 64 * 1024,
        IOV_FIRST = 4,
};

void out_init(struct out *o, struct arena *arena)
{
        assert(arena != NULL);
        *o = (struct out){ .arena = arena };
}

static void out_fail(struct out *o)
{
        o->bad = true;
        o->at = o->end = NULL;
}

/* Appends a segment; false: bad. */
static bool push_segment(struct out *o, void *p, size_t n)
{
        if (o->n_iov == o->cap_iov) {
                uint32_t cap = o->cap_iov ? o->cap_iov * 2 : IOV_FIRST;
                struct iovec *iov =
                    cap > o->cap_iov ? arena_array(o->arena, cap, sizeof *iov) : NULL;
                if (!iov) {
                        out_fail(o);
                        return false;
                }
                if (o->n_iov) memcpy(iov, o->iov, o->n_iov * sizeof *iov);
                o->iov = iov;
                o->cap_iov = cap;
        }
        assert(o->n_iov < o->cap_iov);
        o->iov[o->n_iov++] = (struct iovec){ p, n };
        return true;
}

/* Drops the open segment when nothing is in it yet. */
static void drop_empty(struct out *o)
{
        if (o->n_iov > 0 && o->iov[o->n_iov - 1].iov_len == 0) o->n_iov--;
}

uint8_t *out_take_slow(struct out *o, size_t n)
{
        if (o->bad) return NULL;
        assert((size_t)(o->end - o->at) < n);
        size_t chunk = MIN(MAX(o->total, (size_t)CHUNK_MIN), (size_t)CHUNK_MAX);
        chunk = MAX(chunk, n);
        uint8_t *p = arena_alloc(o->arena, chunk);
        if (!p) {
                out_fail(o);
                return NULL;
        }
        drop_empty(o);
        if (!push_segment(o, p, n)) return NULL;
        o->at = p + n;
        o->end = p + chunk;
        o->total += n;
        return p;
}

void out_bytes(struct out *o, const void *p, size_t n)
{
        if (n == 0) return;
        uint8_t *to = out_take(o, n);
        if (to) memcpy(to, p, n);
}

void out_borrow(struct out *o, const void *p, size_t n)
{
        if (n == 0 || o->bad) return;
        assert(p != NULL);
        drop_empty(o);
        union {
                const void *in;
                void *out;
        } borrowed = { .in = p }; /* iovec knows no const; nobody writes through it */
        if (!push_segment(o, borrowed.out, n)) return;
        o->total += n;
        if (o->at != o->end) push_segment(o, o->at, 0);
}

struct out_hole out_hole_i32(struct out *o)
{
        uint8_t *p = out_take(o, 4);
        return (struct out_hole){ p, o->total };
}

void out_patch_i32(struct out_hole h, int32_t v)
{
        if (h.at) store_be32(h.at, (uint32_t)v);
}

size_t out_total(const struct out *o)
{
        return o->total;
}

void out_f64(struct out *o, double v)
{
        uint64_t bits;
        memcpy(&bits, &v, sizeof bits);
        out_u64(o, bits);
}

void out_uuid(struct out *o, struct uuid v)
{
        out_bytes(o, v.b, sizeof v.b);
}

void out_uvarint(struct out *o, uint32_t v)
{
        uint8_t *p = out_take(o, size_uvarint(v));
        if (!p) return;
        for (; v >= 0x80; v >>= 7) *p++ = (uint8_t)(v | 0x80);
        *p = (uint8_t)v;
}

/* n < 0: null.  Returns the bytes that follow. */
static size_t out_length(struct out *o, int32_t n, unsigned form, bool wide)
{
        if (n < 0) n = form & WIRE_NULLABLE ? -1 : 0;
        if (form & WIRE_COMPACT)
                out_uvarint(o, (uint32_t)(n + (int64_t)1));
        else if (wide)
                out_i32(o, n);
        else if (n <= INT16_MAX)
                out_i16(o, (int16_t)n);
        else
                out_fail(o);
        return n > 0 ? (size_t)n : 0;
}

void out_str(struct out *o, struct str v, unsigned form)
{
        out_bytes(o, v.p, out_length(o, v.n, form, false));
}

void out_blob(struct out *o, struct bytes v, unsigned form)
{
        out_bytes(o, v.p, out_length(o, v.n, form, true));
}

void out_records(struct out *o, const struct records *v, unsigned form)
{
        size_t n = out_length(o, v->n, form, true);
        if (v->n_slices == 0) {
                out_borrow(o, v->p, n);
                return;
        }
        for (uint32_t i = 0; i < v->n_slices; i++) {
                assert(v->slices[i].n <= n); /* slices add up to v->n */
                out_borrow(o, v->slices[i].p, v->slices[i].n);
                n -= v->slices[i].n;
        }
        assert(n == 0);
}

int32_t out_count(struct out *o, int32_t n, unsigned form)
{
        return (int32_t)out_length(o, n, form, true);
}

void out_tag(struct out *o, uint32_t tag, size_t size)
{
        if (size > INT32_MAX) {
                out_fail(o);
                return;
        }
        out_uvarint(o, tag);
        out_uvarint(o, (uint32_t)size);
}
