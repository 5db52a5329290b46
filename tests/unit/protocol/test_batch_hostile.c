/* Batches that were cut and changed at random: never read out of bounds (every one lies in a buffer
 * of its exact size, run this under ASan), and scan, iteration and search agree with a decoder that
 * is as plain as can be, wherever windows cut the records.  faults.md 12 to 15. */
#include "tests/unit/protocol/golden_batches.h"

#include <snappy-c.h>

static struct codec_ctx *x;
static struct rng r;

static void begin(void)
{
        x = codec_ctx_new();
        r.s = 0x13198a2e03707344;
}
static void end(void)
{
        codec_ctx_free(x);
}
TestSuite(batch_hostile, .init = begin, .fini = end, .timeout = 600);

enum { CAP = 1 << 20, MUTATIONS = 100000 };

static int find_at(const uint8_t *p, const struct batch *b, int64_t t, int64_t from,
    int64_t *ret_offset, int64_t *ret_timestamp)
{
        struct batch_search s = { .timestamp = t, .from = from };
        int found = batch_find_timestamp(p, b, x, CAP, &s);
        if (found > 0) {
                *ret_offset = s.found_offset;
                *ret_timestamp = s.found_timestamp;
        }
        return found;
}

/* --- what the plain decoder says -------------------------------------------------------------- */

static bool fits(i128 v)
{
        return v >= INT64_MIN && v <= INT64_MAX;
}

static i128 timestamp_of(const struct batch *b, const struct naive_record *n)
{
        if (b->attributes & BATCH_ATTR_APPEND_TIME) return b->max_timestamp;
        return b->base_timestamp + n->timestamp_delta;
}
static i128 offset_of(const struct batch *b, const struct naive_record *n)
{
        return b->base_offset + n->offset_delta;
}

/* ret_record on refusal: the one to blame, -1 when none can be named. */
static bool naive_scan(
    const struct naive *d, const struct batch *b, struct batch_scan *ret, int32_t *ret_record)
{
        *ret = (struct batch_scan){ -1, -1, -1, -1, -1 };
        *ret_record = -1;
        for (int32_t i = 0; (size_t)i < d->n; i++) {
                const struct naive_record *n = &d->r[i];
                i128 t = b->base_timestamp + n->timestamp_delta;
                if (i == b->count) return false;
                if (!fits(t) || n->offset_delta != i) {
                        *ret_record = i;
                        return false;
                }
                if (i == 0 || t < ret->min_timestamp) {
                        ret->min_timestamp = (int64_t)t;
                        ret->min_timestamp_record = i;
                }
                if (t >= 0 && t > ret->max_timestamp) {
                        ret->max_timestamp = (int64_t)t;
                        ret->max_timestamp_record = i;
                }
                if (n->key_n < 0 && ret->null_key_record < 0) ret->null_key_record = i;
        }
        if (d->bad && d->n < (size_t)b->count) *ret_record = (int32_t)d->n;
        return !d->bad && d->n == (size_t)b->count;
}

/* 1, 0 or ST_BAD_BATCH, as batch_find_timestamp answers. */
static int naive_find(const struct naive *d, const struct batch *b, int64_t t, int64_t from,
    int64_t *ret_offset, int64_t *ret_timestamp)
{
        if ((b->attributes & BATCH_ATTR_APPEND_TIME) && b->max_timestamp < t) return 0;
        for (size_t i = 0; i < MIN(d->n, (size_t)b->count); i++) {
                i128 at = timestamp_of(b, &d->r[i]), offset = offset_of(b, &d->r[i]);
                if (!fits(at) || !fits(offset)) return ST_BAD_BATCH;
                if (at < t || offset < from) continue;
                *ret_offset = (int64_t)offset;
                *ret_timestamp = (int64_t)at;
                return 1;
        }
        return d->bad || d->n != (size_t)b->count ? ST_BAD_BATCH : 0;
}

struct compare {
        struct record_visitor v;
        const struct naive *d;
        const struct batch *b;
        size_t n;
};

static int compare_record(struct record_visitor *v, const struct record *rec)
{
        struct compare *c = CONTAINER_OF(v, struct compare, v);
        cr_assert_lt(c->n, c->d->n, "a record that is not there");
        const struct naive_record *n = &c->d->r[c->n++];
        cr_assert(rec->timestamp == timestamp_of(c->b, n) && rec->offset == offset_of(c->b, n));
        cr_assert(rec->key.n == n->key_n && rec->value.n == n->value_n);
        cr_assert_eq(rec->header_count, n->headers_n);
        return 0;
}

static bool naive_each(const struct naive *d, const struct batch *b)
{
        for (size_t i = 0; i < MIN(d->n, (size_t)b->count); i++)
                if (!fits(timestamp_of(b, &d->r[i])) || !fits(offset_of(b, &d->r[i]))) return false;
        return !d->bad && d->n == (size_t)b->count;
}

/* One batch (header h around payload, which inflates to plain), all three ways to read it. */
static void agree(const struct batch *h, struct bytes payload, const struct naive *d)
{
        struct blob blob = batch_around(h, payload);
        struct batch b;
        const char *why = batch_read(blob.p, blob.n, true, &b);
        cr_assert_null(why, "%s", why);
        struct batch_scan want, got;
        struct batch_fault f = { 0 };
        int32_t blame;
        bool ok = naive_scan(d, &b, &want, &blame);
        cr_assert_eq(batch_scan_records(blob.p, &b, x, CAP, &got, &f), ok, "%s", f.text);
        if (ok) {
                cr_assert_eq(got.min_timestamp, want.min_timestamp);
                cr_assert_eq(got.max_timestamp, want.max_timestamp);
                cr_assert_eq(got.min_timestamp_record, want.min_timestamp_record);
                cr_assert_eq(got.max_timestamp_record, want.max_timestamp_record);
                cr_assert_eq(got.null_key_record, want.null_key_record);
        }
        if (!ok) cr_assert(f.error == 87 && f.text && f.record == blame, "%s", f.text);
        struct compare c = { .v = { compare_record }, .d = d, .b = &b };
        ok = naive_each(d, &b);
        cr_assert_eq(batch_each_record(blob.p, &b, x, CAP, &c.v, NULL), ok ? 0 : ST_BAD_BATCH);
        for (int i = 0; i < 3; i++) {
                int64_t t = b.base_timestamp - 20 + rnd_below(&r, 60), o1 = -7, t1 = -7, o2 = -7,
                        t2 = -7;
                int64_t from = b.base_offset - 1 + rnd_below(&r, 5);
                int found = naive_find(d, &b, t, from, &o1, &t1);
                cr_assert_eq(find_at(blob.p, &b, t, from, &o2, &t2), found);
                cr_assert(o1 == o2 && t1 == t2);
        }
        free(blob.p);
}

/* xerial blocks of any size, so that records are cut anywhere. */
static struct blob in_pieces(struct bytes in, uint32_t largest)
{
        static const uint8_t header[16] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0,
                0, 1 };
        struct blob out = { malloc(16 + (size_t)in.n * 48), 16 };
        assert(out.p);
        memcpy(out.p, header, 16);
        for (int32_t at = 0; at < in.n;) {
                int32_t step = 1 + (int32_t)rnd_below(&r, largest);
                step = MIN(step, in.n - at);
                size_t n = 40 + (size_t)step * 2;
                assert(snappy_compress((const char *)in.p + at, (size_t)step,
                           (char *)out.p + out.n + 4, &n) == SNAPPY_OK);
                store_be32(out.p + out.n, (uint32_t)n);
                out.n += 4 + n;
                at += step;
        }
        return out;
}

static void agree_in_all_forms(struct batch h, struct bytes plain)
{
        struct naive d = naive_decode(plain.p, (size_t)plain.n);
        int16_t flags = (int16_t)(h.attributes & ~BATCH_ATTR_CODEC);
        h.attributes = flags;
        agree(&h, plain, &d);
        struct blob pieces = in_pieces(plain, 1 + rnd_below(&r, 40));
        h.attributes = (int16_t)(flags | CODEC_SNAPPY);
        agree(&h, blob_bytes(pieces), &d);
        free(pieces.p);
        free(d.r);
}

/* --- sweeps ----------------------------------------------------------------------------------- */

static struct bytes golden_payload(struct blob g)
{
        return (struct bytes){ g.p + BATCH_HEADER_SIZE, (int32_t)g.n - BATCH_HEADER_SIZE };
}

static struct batch golden_header(void)
{
        struct blob g = golden(0);
        struct batch h;
        cr_assert_null(batch_read(g.p, g.n, true, &h));
        free(g.p);
        return h;
}

Test(batch_hostile, records_cut_at_every_pair_of_places)
{
        struct blob g = golden(0);
        struct bytes p = golden_payload(g);
        struct naive d = naive_decode(p.p, (size_t)p.n);
        struct batch h = golden_header();
        cr_assert(!d.bad && d.n == 3);
        for (uint32_t largest = 1; largest <= 80; largest++)
                for (int round = 0; round < 40; round++) {
                        struct blob pieces = in_pieces(p, largest);
                        h.attributes = CODEC_SNAPPY;
                        agree(&h, blob_bytes(pieces), &d);
                        free(pieces.p);
                }
        free(d.r);
        free(g.p);
}

Test(batch_hostile, truncated_payloads)
{
        struct blob g = golden(0);
        struct bytes p = golden_payload(g);
        for (int32_t n = 0; n < p.n; n++) {
                struct blob cut = blob_of(p.p, (size_t)n);
                for (int round = 0; round < 20; round++)
                        agree_in_all_forms(golden_header(), blob_bytes(cut));
                free(cut.p);
        }
        free(g.p);
}

static int64_t any_timestamp(void)
{
        static const int64_t edges[] = { INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1,
                INT64_MAX };
        return rnd_below(&r, 3) ? (int64_t)rnd_below(&r, 40) : edges[rnd_below(&r, 7)];
}

Test(batch_hostile, mutated_records_against_the_plain_decoder)
{
        struct blob g = golden(0);
        struct bytes p = golden_payload(g);
        for (int i = 0; i < MUTATIONS; i++) {
                struct blob m = blob_of(p.p, (size_t)p.n);
                for (uint32_t k = rnd_below(&r, 4); k > 0; k--) {
                        size_t at = rnd_below(&r, (uint32_t)m.n);
                        uint32_t how = rnd_below(&r, 3);
                        if (how == 0) m.p[at] = (uint8_t)rnd(&r);
                        if (how == 1) m.p[at] ^= (uint8_t)(1u << rnd_below(&r, 8));
                        if (how == 2) m.p[at] = (uint8_t)(m.p[at] + 2);
                }
                struct batch h = golden_header();
                h.base_timestamp = any_timestamp();
                h.max_timestamp = any_timestamp();
                h.base_offset = rnd_below(&r, 2) ? 0 : INT64_MAX - 2;
                if (rnd_below(&r, 4) == 0) h.attributes |= BATCH_ATTR_APPEND_TIME;
                if (rnd_below(&r, 8) == 0) h.count = (int32_t)rnd_below(&r, 6);
                agree_in_all_forms(h, blob_bytes(m));
                free(m.p);
        }
        free(g.p);
}

/* Varints in every length and shape, as they are the only thing that branches. */
Test(batch_hostile, random_varint_soup)
{
        for (int i = 0; i < MUTATIONS; i++) {
                uint8_t soup[64];
                size_t n = 1 + rnd_below(&r, sizeof soup);
                for (size_t k = 0; k < n; k++) {
                        uint32_t how = rnd_below(&r, 4);
                        soup[k] = (uint8_t)(how == 0   ? 0
                                            : how == 1 ? 1
                                            : how == 2 ? rnd_below(&r, 40)
                                                       : rnd(&r));
                }
                soup[0] = (uint8_t)((n - 1) * 2); /* one record at least has the right length */
                struct batch h = plain_header(1);
                h.base_timestamp = any_timestamp();
                struct blob exact = blob_of(soup, n);
                agree_in_all_forms(h, blob_bytes(exact));
                free(exact.p);
        }
}

/* The same with numbers whose length and last byte sit at the edges of what is allowed. */
Test(batch_hostile, numbers_at_the_edges)
{
        static const uint8_t last[] = { 0, 0, 1, 1, 2, 3, 0x0f, 0x10, 0x1f, 0x7f };
        static const uint32_t lengths[] = { 1, 1, 1, 1, 2, 4, 5, 5, 6, 9, 10, 10, 11 };
        for (int i = 0; i < MUTATIONS; i++) {
                uint8_t b[128];
                size_t n = 2; /* length and attributes */
                for (int number = 0; number < 5; number++) {
                        uint32_t size = lengths[rnd_below(&r, number ? 8 : COUNT_OF(lengths))];
                        for (uint32_t k = 1; k < size; k++)
                                b[n++] = (uint8_t)(0x80 | (rnd_below(&r, 3) ? 0 : rnd(&r)));
                        b[n++] = last[rnd_below(&r, COUNT_OF(last))];
                }
                b[0] = (uint8_t)((n - 1) * 2);
                b[1] = 0;
                struct batch h = plain_header(1);
                h.base_timestamp = any_timestamp();
                struct blob exact = blob_of(b, n);
                agree_in_all_forms(h, blob_bytes(exact));
                free(exact.p);
        }
}

/* --- whole batches, compressed bytes included --- */

struct counting {
        struct record_visitor v;
        int32_t n;
};
static int count_record(struct record_visitor *v, const struct record *rec)
{
        CONTAINER_OF(v, struct counting, v)->n++;
        cr_assert(rec->key.n >= -1 && rec->value.n >= -1 && rec->header_count >= 0);
        return 0;
}

/* Always a fault or a valid batch, and the three readers agree which.  True: valid. */
static bool judge(const uint8_t *p, size_t n)
{
        struct batch b, c;
        struct batch_fault f = { 0 };
        struct batch_scan s;
        if (!batch_read_client(p, n, &c, &f)) cr_assert(f.error == 2 || f.error == 87);
        if (batch_read(p, n, true, &b) != NULL) return false;
        batch_crc_ok(p, &b);
        if (!batch_check_client(&b, &f)) cr_assert(f.error == 87 || f.error == 76);
        f.error = 0;
        bool ok = batch_scan_records(p, &b, x, CAP, &s, &f);
        cr_assert(ok || f.error == 2 || f.error == 10 || f.error == 76 || f.error == 87);
        struct counting v = { .v = { count_record } };
        int each = batch_each_record(p, &b, x, CAP, &v.v, NULL);
        int64_t offset, timestamp;
        int found = find_at(p, &b, INT64_MAX, 0, &offset, &timestamp);
        if (ok && b.base_offset == 0) cr_assert(each == 0 && v.n == b.count && found >= 0);
        if (f.error == 2) cr_assert(each < 0);
        return ok;
}

Test(batch_hostile, truncation_at_each_byte)
{
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                struct blob g = golden(c);
                for (size_t n = 0; n < g.n; n++) {
                        struct blob cut = blob_of(g.p, n);
                        cr_assert_not(judge(cut.p, cut.n), "%s at %zu", codings[c].name, n);
                        if (n >= BATCH_HEADER_SIZE) { /* and with a length that fits */
                                store_be32(cut.p + BATCH_LENGTH, (uint32_t)n - BATCH_LENGTH_EXTRA);
                                fix_crc(cut.p, cut.n);
                                cr_assert_not(judge(cut.p, cut.n), "%s %zu", codings[c].name, n);
                        }
                        free(cut.p);
                }
                cr_assert(judge(g.p, g.n));
                free(g.p);
        }
}

static void mutate_batches(size_t c)
{
        struct blob g = golden(c);
        unsigned valid = 0;
        for (int i = 0; i < MUTATIONS; i++) {
                struct blob m = blob_of(g.p, g.n);
                for (uint32_t k = 1 + rnd_below(&r, 4); k > 0; k--) {
                        uint32_t from = rnd_below(&r, 4) ? BATCH_HEADER_SIZE : 0;
                        m.p[from + rnd_below(&r, (uint32_t)g.n - from)] = (uint8_t)rnd(&r);
                }
                if (rnd_below(&r, 2)) store_be32(m.p + BATCH_LENGTH, (uint32_t)g.n - 12);
                if (rnd_below(&r, 2)) fix_crc(m.p, m.n);
                valid += judge(m.p, m.n);
                free(m.p);
        }
        cr_assert_lt(valid, MUTATIONS, "nothing was noticed");
        cr_assert(judge(g.p, g.n), "the context is fit for use again");
        free(g.p);
}

Test(batch_hostile, mutated_none)
{
        mutate_batches(0);
}
Test(batch_hostile, mutated_gzip)
{
        mutate_batches(1);
}
Test(batch_hostile, mutated_snappy_raw)
{
        mutate_batches(2);
}
Test(batch_hostile, mutated_snappy_xerial)
{
        mutate_batches(3);
}
Test(batch_hostile, mutated_lz4)
{
        mutate_batches(4);
}
Test(batch_hostile, mutated_zstd)
{
        mutate_batches(5);
}
