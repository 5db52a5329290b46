/* Proof that a batch holds the records that its header announces.  On the path of every produced
 * batch: plain ones in one tight loop, compressed ones window by window in constant memory. */
#include "base/check.h"
#include "base/status.h"
#include "protocol/batch.h"
#include "protocol/batch_record.h"
#include "protocol/errors.h"

static bool fail(struct batch_fault *f, int16_t error, int32_t record, const char *text)
{
        *f = (struct batch_fault){ error, record, text };
        return false;
}

static const char too_few[] = "fewer records than the header says";
static const char odd_delta[] = "offset deltas are not 0, 1, 2, …";
static const struct batch_scan nothing_seen = { INT64_MAX, INT64_MIN, -1, -1, -1 };

/* False: the timestamp overflows. */
RECORD_INLINE bool note(
    struct batch_scan *s, int64_t base_timestamp, int32_t index, const struct raw_record *r)
{
        int64_t t;
        if (__builtin_add_overflow(base_timestamp, r->timestamp_delta, &t)) return false;
        if (t > s->max_timestamp) {
                s->max_timestamp = t;
                s->max_timestamp_record = index;
        }
        if (t < s->min_timestamp) {
                s->min_timestamp = t;
                s->min_timestamp_record = index;
        }
        if (r->key.n < 0 && s->null_key_record < 0) s->null_key_record = index;
        return true;
}

static void finish(struct batch_scan *s, int32_t count, struct batch_scan *ret)
{
        if (s->max_timestamp < 0) {
                s->max_timestamp = -1;
                s->max_timestamp_record = -1;
        }
        if (count == 0)
                s->min_timestamp = -1;
        else if (s->min_timestamp_record < 0)
                s->min_timestamp_record = 0; /* all of them INT64_MAX */
        *ret = *s;
}

static bool scan_plain(
    const uint8_t *p, const struct batch *b, struct batch_scan *s, struct batch_fault *f)
{
        const uint8_t *end = p + b->size;
        const char *why = NULL;
        p += BATCH_HEADER_SIZE;
        for (int32_t i = 0; i < b->count; i++) {
                struct raw_record r;
                const uint8_t *next = record_parse(p, end, &r, &why);
                if (!next && p == end) return fail(f, WIRE_INVALID_RECORD, -1, too_few);
                if (!next) return fail(f, WIRE_INVALID_RECORD, i, why);
                p = next;
                if (r.offset_delta != i) return fail(f, WIRE_INVALID_RECORD, i, odd_delta);
                if (!note(s, b->base_timestamp, i, &r))
                        return fail(f, WIRE_INVALID_RECORD, i, "timestamp overflows");
        }
        if (p != end) return fail(f, WIRE_INVALID_RECORD, -1, "bytes after the last record");
        return true;
}

struct scan_run {
        struct inflate_sink sink;
        struct walk walk;
        const struct batch *batch;
        struct batch_scan seen;
};

static int on_record(struct walk *w, const struct raw_record *r)
{
        struct scan_run *s = CONTAINER_OF(w, struct scan_run, walk);
        if (w->index >= s->batch->count)
                w->why = "more records than the header says";
        else if (r->offset_delta != w->index)
                w->why = odd_delta;
        else if (!note(&s->seen, s->batch->base_timestamp, w->index, r))
                w->why = "timestamp overflows";
        return w->why ? 1 : 0;
}

static int on_bytes(struct inflate_sink *sink, struct bytes piece)
{
        return walk_feed(&CONTAINER_OF(sink, struct scan_run, sink)->walk, piece);
}

static bool inflate_failed(int status, struct batch_fault *f)
{
        switch (status) {
        case ST_TOO_LARGE:
                return fail(f, WIRE_MESSAGE_TOO_LARGE, -1, "payload inflates past the limit");
        case ST_NOMEM:
                return fail(f, WIRE_UNKNOWN_SERVER_ERROR, -1, "out of memory");
        case ST_UNSUPPORTED:
                return fail(f, WIRE_UNSUPPORTED_COMPRESSION_TYPE, -1, "codec is unknown");
        default:
                return fail(f, WIRE_CORRUPT_MESSAGE, -1, "payload cannot be decompressed");
        }
}

static bool scan_compressed(struct scan_run *s, const uint8_t *p, struct codec_ctx *cx,
    uint64_t max_out, struct batch_fault *f)
{
        struct bytes payload = { p + BATCH_HEADER_SIZE,
                (int32_t)(s->batch->size - BATCH_HEADER_SIZE) };
        int stop = codec_inflate(cx, batch_codec(s->batch), payload, max_out, &s->sink, NULL);
        int32_t at = s->walk.index < s->batch->count ? s->walk.index : -1;
        if (s->walk.why) return fail(f, WIRE_INVALID_RECORD, at, s->walk.why);
        if (stop) return inflate_failed(stop, f);
        if (!walk_at_boundary(&s->walk))
                return fail(f, WIRE_INVALID_RECORD, at, "last record is cut");
        if (s->walk.index != s->batch->count) return fail(f, WIRE_INVALID_RECORD, -1, too_few);
        return true;
}

bool batch_scan_records(const uint8_t *p, const struct batch *b, struct codec_ctx *cx,
    uint64_t max_out, struct batch_scan *ret, struct batch_fault *fault)
{
        assert(p && ret && fault && b->size >= BATCH_HEADER_SIZE && b->size <= INT32_MAX);
        bool ok;
        struct scan_run s = { .sink = { on_bytes },
                .walk = { .on_record = on_record },
                .batch = b,
                .seen = nothing_seen };
        /* A batch emptied by compaction has no payload, whatever its codec. */
        if (batch_codec(b) == CODEC_NONE || b->count <= 0)
                ok = scan_plain(p, b, &s.seen, fault);
        else
                ok = scan_compressed(&s, p, cx, max_out, fault);
        if (ok) finish(&s.seen, b->count, ret);
        return ok;
}
