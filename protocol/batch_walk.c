/* Records that come in pieces, and the rare branches of parsing one. */
#include "protocol/batch_record.h"

const uint8_t *varint_slow(const uint8_t *p, const uint8_t *end, uint32_t *ret)
{
        uint32_t v = 0;
        for (unsigned shift = 0; shift < 35; shift += 7) {
                if (p == end) return NULL;
                uint8_t b = *p++;
                if (shift == 28 && b > 0x0f) return NULL;
                v |= (uint32_t)(b & 0x7f) << shift;
                if (b < 0x80) {
                        *ret = v;
                        return p;
                }
        }
        return NULL;
}

const uint8_t *varlong_slow(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
        uint64_t v = 0;
        for (unsigned shift = 0; shift < 70; shift += 7) {
                if (p == end) return NULL;
                uint8_t b = *p++;
                if (shift == 63 && b > 1) return NULL;
                v |= (uint64_t)(b & 0x7f) << shift;
                if (b < 0x80) {
                        *ret = v;
                        return p;
                }
        }
        return NULL;
}

const char *headers_invalid(const uint8_t *p, const uint8_t *end, int32_t n)
{
        if (n < 0 || n > (end - p) / 2) return "header count is wrong";
        for (; n > 0; n--) {
                struct bytes key, value;
                p = nullable(p, end, &key);
                if (!p || key.n < 0) return "header key is wrong";
                p = nullable(p, end, &value);
                if (!p) return "header value is wrong";
        }
        return p == end ? NULL : "bytes after the last field of the record";
}

static int fault(struct walk *w, const char *why)
{
        w->why = why;
        return 1;
}

static int begin_record(struct walk *w, int64_t n)
{
        if (n < RECORD_FIELDS_MIN) return fault(w, "record length is wrong");
        w->left = (int32_t)n;
        w->state = WALK_ATTRIBUTES;
        return 0;
}

static int skip_to(struct walk *w, int64_t n, enum walk_state next)
{
        if (n < -1 || n > w->left) return fault(w, "field runs past the record");
        w->skip = n < 0 ? 0 : (int32_t)n;
        w->state = next;
        return 0;
}

static int begin_headers(struct walk *w, int64_t n)
{
        if (n < 0 || n > w->left / 2) return fault(w, "header count is wrong");
        w->headers_left = (int32_t)n;
        w->state = n ? WALK_HEADER_KEY : WALK_END;
        return 0;
}

/* A whole varint is there. */
static int on_number(struct walk *w, int64_t v)
{
        switch (w->state) {
        case WALK_LENGTH:
                return begin_record(w, v);
        case WALK_TIMESTAMP:
                w->record.timestamp_delta = v;
                w->state = WALK_OFFSET;
                return 0;
        case WALK_OFFSET:
                w->record.offset_delta = (int32_t)v;
                w->state = WALK_KEY;
                return 0;
        case WALK_KEY:
                w->record.key = (struct bytes){ NULL, (int32_t)v };
                return skip_to(w, v, WALK_VALUE);
        case WALK_VALUE:
                return skip_to(w, v, WALK_HEADERS);
        case WALK_HEADERS:
                return begin_headers(w, v);
        case WALK_HEADER_KEY:
                return v < 0 ? fault(w, "header key is wrong") : skip_to(w, v, WALK_HEADER_VALUE);
        case WALK_HEADER_VALUE:
                return skip_to(w, v, --w->headers_left ? WALK_HEADER_KEY : WALK_END);
        default:
                abort();
        }
}

static int on_byte(struct walk *w, uint8_t b)
{
        if (w->state == WALK_ATTRIBUTES) {
                w->state = WALK_TIMESTAMP;
                return 0;
        }
        bool wide = w->state == WALK_TIMESTAMP;
        if (w->shift == (wide ? 63 : 28) && b > (wide ? 1 : 0x0f))
                return fault(w, "number is too long");
        w->bits |= (uint64_t)(b & 0x7f) << w->shift;
        w->shift += 7;
        if (b >= 0x80) return 0;
        int64_t v = wide ? unzigzag64(w->bits) : unzigzag32((uint32_t)w->bits);
        w->bits = 0;
        w->shift = 0;
        return on_number(w, v);
}

static int finish_record(struct walk *w)
{
        if (w->left) return fault(w, "bytes after the last field of the record");
        w->state = WALK_LENGTH;
        int stop = w->on_record(w, &w->record);
        if (!stop) w->index++;
        return stop;
}

/* Until the record under way ends or the piece does; the bytes taken go to ret_taken. */
static int feed_cut(struct walk *w, const uint8_t *p, const uint8_t *end, const uint8_t **ret_at)
{
        int stop = 0;
        do {
                if (w->state != WALK_LENGTH && w->left == 0 && w->skip == 0)
                        return fault(w, "record ends inside a field");
                if (w->skip > 0) {
                        int32_t n = (int32_t)MIN((ptrdiff_t)w->skip, end - p);
                        p += n;
                        w->skip -= n;
                        w->left -= n;
                } else {
                        if (w->state != WALK_LENGTH) w->left--;
                        stop = on_byte(w, *p++);
                }
                if (!stop && w->state == WALK_END && w->skip == 0) {
                        stop = finish_record(w);
                        break;
                }
        } while (!stop && p < end);
        *ret_at = p;
        return stop;
}

bool walk_at_boundary(const struct walk *w)
{
        return w->state == WALK_LENGTH && w->shift == 0;
}

/* Whether the record that begins at p lies whole before end; a wrong length counts as whole, so
 * that record_parse names it. */
static bool whole(const uint8_t *p, const uint8_t *end)
{
        int32_t n;
        const uint8_t *body = varint(p, end, &n);
        return body ? n <= end - body : end - p >= 5;
}

int walk_feed(struct walk *w, struct bytes piece)
{
        assert(w->on_record && !w->why && piece.n >= 0);
        const uint8_t *p = piece.p, *end = p + piece.n;
        while (p < end) {
                int stop;
                if (walk_at_boundary(w) && whole(p, end)) {
                        p = record_parse(p, end, &w->record, &w->why);
                        if (!p) return 1;
                        stop = w->on_record(w, &w->record);
                        if (!stop) w->index++;
                } else
                        stop = feed_cut(w, p, end, &p);
                if (stop) return stop;
        }
        return 0;
}
