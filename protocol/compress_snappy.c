/* snappy: one raw block, or the xerial framing (Java, sarama, kafka-python): 16 bytes of header,
 * then { length, raw block } until the end.  A raw block can refer to any byte before, so it is
 * inflated whole; the length it claims is believed only as far as its own bytes could carry it. */
#include "base/check.h"
#include "protocol/compress_impl.h"

#include <snappy-c.h>

enum { XERIAL_HEADER = 16, XERIAL_BLOCK = 32 << 10, XERIAL_VERSION_MIN = 1 };

static const uint8_t xerial_magic[8] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0 };

static bool is_xerial(struct bytes in)
{
        return in.n >= (int32_t)sizeof xerial_magic &&
               memcmp(in.p, xerial_magic, sizeof xerial_magic) == 0;
}

/* The densest element is a copy: 3 bytes for 64. */
static bool plausible(size_t claimed, size_t n)
{
        return claimed <= (n / 3 + 1) * 64;
}

static int inflate_block(struct inflate_run *r, const uint8_t *p, size_t n)
{
        size_t claimed = 0;
        if (snappy_uncompressed_length((const char *)p, n, &claimed) != SNAPPY_OK)
                return err_set(r->e, ST_BAD_BATCH, "snappy: block without a length");
        if (claimed > r->max_out - r->done || claimed > INT32_MAX)
                return err_set(r->e, ST_TOO_LARGE, "snappy: block of %zu bytes", claimed);
        if (!plausible(claimed, n))
                return err_set(r->e, ST_BAD_BATCH, "snappy: %zu bytes cannot hold %zu", n, claimed);
        struct codec_scratch *block = &r->x->block;
        if (!scratch_reserve(block, MAX(claimed, (size_t)1)))
                return err_set(r->e, ST_NOMEM, "snappy: block of %zu bytes", claimed);
        size_t got = claimed;
        if (snappy_uncompress((const char *)p, n, (char *)block->p, &got) != SNAPPY_OK)
                return err_set(r->e, ST_BAD_BATCH, "snappy: block is malformed");
        assert(got == claimed);
        return inflate_emit(r, block->p, got);
}

static int inflate_xerial(struct inflate_run *r)
{
        const uint8_t *p = r->in.p, *end = p + r->in.n;
        while (p < end) {
                if (end - p >= XERIAL_HEADER && is_xerial((struct bytes){ p, XERIAL_HEADER })) {
                        /* At the start, or where streams were concatenated. */
                        if (load_be32(p + 8) < XERIAL_VERSION_MIN)
                                return err_set(r->e, ST_BAD_BATCH, "snappy: xerial version 0");
                        p += XERIAL_HEADER;
                        continue;
                }
                if (end - p < 4) return err_set(r->e, ST_BAD_BATCH, "snappy: block length is cut");
                uint32_t n = load_be32(p);
                p += 4;
                if (n > (size_t)(end - p))
                        return err_set(r->e, ST_BAD_BATCH, "snappy: block is cut");
                int stop = inflate_block(r, p, n);
                if (stop) return stop;
                p += n;
        }
        return 0;
}

int inflate_snappy(struct inflate_run *r)
{
        if (!is_xerial(r->in)) return inflate_block(r, r->in.p, (size_t)r->in.n);
        if (r->in.n < XERIAL_HEADER)
                return err_set(r->e, ST_BAD_BATCH, "snappy: xerial header is cut");
        return inflate_xerial(r);
}

size_t bound_snappy(size_t in)
{
        size_t blocks = in / XERIAL_BLOCK + 1;
        size_t xerial = XERIAL_HEADER + blocks * (4 + snappy_max_compressed_length(XERIAL_BLOCK));
        return MAX(xerial, snappy_max_compressed_length(in));
}

int64_t deflate_snappy(bool xerial, struct bytes in, struct bytes_mut out, struct err *e)
{
        size_t left = (size_t)in.n, at = 0;
        if (out.n < bound_snappy(left))
                return err_set(e, ST_TOO_LARGE, "snappy: no room for %d bytes", in.n);
        if (!xerial) {
                size_t n = out.n;
                snappy_status s = snappy_compress((const char *)in.p, left, (char *)out.p, &n);
                assert(s == SNAPPY_OK);
                return (int64_t)n;
        }
        memcpy(out.p, xerial_magic, sizeof xerial_magic);
        store_be32(out.p + 8, 1);
        store_be32(out.p + 12, 1);
        at = XERIAL_HEADER;
        for (const uint8_t *p = in.p; left > 0;) {
                size_t step = MIN(left, (size_t)XERIAL_BLOCK), n = out.n - at - 4;
                snappy_status s =
                    snappy_compress((const char *)p, step, (char *)out.p + at + 4, &n);
                assert(s == SNAPPY_OK);
                store_be32(out.p + at, (uint32_t)n);
                at += 4 + n;
                p += step;
                left -= step;
        }
        assert(at <= out.n);
        return (int64_t)at;
}
