/* Records of a batch one by one, and the first one at or after a point in time. */
#include "base/check.h"
#include "base/status.h"
#include "protocol/batch.h"
#include "protocol/batch_record.h"
#include "protocol/compress_impl.h"

/* Deltas made absolute.  False: one of them overflows. */
static bool absolute(
    const struct batch *b, const struct raw_record *r, int64_t *ret_offset, int64_t *ret_timestamp)
{
        bool bad = __builtin_add_overflow(b->base_offset, (int64_t)r->offset_delta, ret_offset);
        if (b->attributes & BATCH_ATTR_APPEND_TIME)
                *ret_timestamp = b->max_timestamp;
        else
                bad |= __builtin_add_overflow(b->base_timestamp, r->timestamp_delta, ret_timestamp);
        return !bad;
}

static struct bytes payload_of(const uint8_t *p, const struct batch *b)
{
        assert(b->size >= BATCH_HEADER_SIZE && b->size <= INT32_MAX);
        return (struct bytes){ p + BATCH_HEADER_SIZE, (int32_t)(b->size - BATCH_HEADER_SIZE) };
}

static bool is_plain(const struct batch *b)
{
        return batch_codec(b) == CODEC_NONE || b->count <= 0;
}

/* --- each record ------------------------------------------------------------------------- */

struct each {
        struct inflate_sink sink;
        const struct batch *batch;
        struct record_visitor *visitor;
        struct codec_scratch *cut; /* the beginning of a record that a window cut */
        int32_t index;
        struct err *e;
};

static int each_bad(struct each *s, const char *why)
{
        return err_set(s->e, ST_BAD_BATCH, "record %d: %s", s->index, why);
}

static int out_of_memory(struct each *s)
{
        return err_set(s->e, ST_NOMEM, "record %d: of %zu bytes or more", s->index, s->cut->n);
}

/* Visits the record at p, which lies whole before end. */
static int visit(struct each *s, const uint8_t *p, const uint8_t *end, const uint8_t **ret_next)
{
        const char *why = NULL;
        struct raw_record raw;
        struct record r;
        if (s->index >= s->batch->count) return each_bad(s, "more than the header says");
        *ret_next = record_parse(p, end, &raw, &why);
        if (!*ret_next) return each_bad(s, why);
        if (!absolute(s->batch, &raw, &r.offset, &r.timestamp))
                return each_bad(s, "offset or timestamp overflows");
        r.key = raw.key;
        r.value = raw.value;
        r.headers = raw.headers;
        r.header_count = raw.header_count;
        s->index++;
        return s->visitor->on_record(s->visitor, &r);
}

/* How long the record at p is: 0 not known yet, -1 wrong. */
static int64_t record_size(const uint8_t *p, size_t n)
{
        int32_t length;
        const uint8_t *body = varint(p, p + n, &length);
        if (!body) return n < 5 ? 0 : -1;
        return length < RECORD_FIELDS_MIN ? -1 : (body - p) + (int64_t)length;
}

/* Adds to the cut record what it still lacks; visits it when it is whole. */
static int complete(struct each *s, const uint8_t **at, const uint8_t *end)
{
        struct codec_scratch *cut = s->cut;
        if (!scratch_reserve(cut, 1)) return out_of_memory(s);
        while (*at < end) {
                int64_t size = record_size(cut->p, cut->n);
                if (size < 0) return each_bad(s, "record length is wrong");
                /* Byte by byte only inside the length. */
                size_t lacks = size ? (size_t)size - cut->n : 1;
                size_t n = MIN(lacks, (size_t)(end - *at));
                if (!scratch_reserve(cut, cut->n + n)) return out_of_memory(s);
                memcpy(cut->p + cut->n, *at, n);
                cut->n += n;
                *at += n;
                if (record_size(cut->p, cut->n) == (int64_t)cut->n) {
                        const uint8_t *next;
                        int stop = visit(s, cut->p, cut->p + cut->n, &next);
                        cut->n = 0;
                        return stop;
                }
        }
        return 0;
}

static int each_piece(struct inflate_sink *sink, struct bytes piece)
{
        struct each *s = CONTAINER_OF(sink, struct each, sink);
        const uint8_t *p = piece.p, *end = p + piece.n;
        while (p < end) {
                int64_t size = s->cut->n ? 0 : record_size(p, (size_t)(end - p));
                if (size < 0) return each_bad(s, "record length is wrong");
                int stop =
                    size > 0 && size <= end - p ? visit(s, p, end, &p) : complete(s, &p, end);
                if (stop) return stop;
        }
        return 0;
}

static int each_plain(struct each *s, struct bytes payload)
{
        const uint8_t *p = payload.p, *end = p + payload.n;
        while (p < end) {
                int stop = visit(s, p, end, &p);
                if (stop) return stop;
        }
        return 0;
}

int batch_each_record(const uint8_t *p, const struct batch *b, struct codec_ctx *cx,
    uint64_t max_out, struct record_visitor *v, struct err *e)
{
        assert(p && v && v->on_record);
        struct each s = { .sink = { each_piece }, .batch = b, .visitor = v, .e = e };
        int stop;
        if (is_plain(b))
                stop = each_plain(&s, payload_of(p, b));
        else {
                CHECK_OBJ(cx, CODEC_MAGIC);
                s.cut = &cx->record;
                assert(s.cut->n == 0);
                stop = codec_inflate(cx, batch_codec(b), payload_of(p, b), max_out, &s.sink, e);
                if (!stop && s.cut->n) stop = each_bad(&s, "cut");
                scratch_relax(s.cut);
        }
        if (!stop && s.index != b->count) stop = each_bad(&s, "fewer than the header says");
        return stop;
}

/* --- a point in time --------------------------------------------------------------------- */

enum { FOUND = 2, BAD = 3 }; /* 1 is the walk's own */

struct find {
        struct inflate_sink sink;
        struct walk walk;
        const struct batch *batch;
        int64_t t, from;
        int64_t offset, timestamp;
};

RECORD_INLINE int look(struct find *f, const struct raw_record *r)
{
        int64_t offset, timestamp;
        if (!absolute(f->batch, r, &offset, &timestamp)) return BAD;
        if (timestamp < f->t || offset < f->from) return 0;
        f->offset = offset;
        f->timestamp = timestamp;
        return FOUND;
}

static int find_on_record(struct walk *w, const struct raw_record *r)
{
        struct find *f = CONTAINER_OF(w, struct find, walk);
        return w->index < f->batch->count ? look(f, r) : BAD;
}

static int find_on_bytes(struct inflate_sink *sink, struct bytes piece)
{
        return walk_feed(&CONTAINER_OF(sink, struct find, sink)->walk, piece);
}

static int find_plain(struct find *f, struct bytes payload)
{
        const uint8_t *p = payload.p, *end = p + payload.n;
        const char *why = NULL;
        for (int32_t i = 0; i < f->batch->count; i++) {
                struct raw_record r;
                p = record_parse(p, end, &r, &why);
                int stop = p ? look(f, &r) : BAD;
                if (stop) return stop;
        }
        return p == end ? 0 : BAD;
}

int batch_find_timestamp(const uint8_t *p, const struct batch *b, struct codec_ctx *cx,
    uint64_t max_out, struct batch_search *s)
{
        assert(p && b && s);
        struct find f = { .sink = { find_on_bytes },
                .walk = { .on_record = find_on_record },
                .batch = b,
                .t = s->timestamp,
                .from = s->from };
        if ((b->attributes & BATCH_ATTR_APPEND_TIME) && b->max_timestamp < f.t) return 0;
        int stop;
        if (is_plain(b))
                stop = find_plain(&f, payload_of(p, b));
        else {
                stop = codec_inflate(cx, batch_codec(b), payload_of(p, b), max_out, &f.sink, NULL);
                bool short_of = f.walk.index != b->count || !walk_at_boundary(&f.walk);
                if (!stop && short_of) stop = BAD;
        }
        if (stop == FOUND) {
                s->found_offset = f.offset;
                s->found_timestamp = f.timestamp;
                return 1;
        }
        return stop > 0 ? ST_BAD_BATCH : stop;
}
