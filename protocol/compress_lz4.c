/* lz4, frame format.  As strict as Java's decoder, so that what is stored can be read by every
 * client: version 1, independent blocks, no dictionary, one frame and nothing after it. */
#include "base/check.h"
#include "protocol/compress_impl.h"

enum {
        LZ4_MAGIC = 0x184d2204,
        FLG_VERSION = 0xc0,
        FLG_V1 = 0x40,
        FLG_INDEPENDENT = 0x20,
        FLG_DICTIONARY = 0x01
};

static const LZ4F_preferences_t preferences = {
        .frameInfo = { .blockSizeID = LZ4F_max64KB, .blockMode = LZ4F_blockIndependent },
        .autoFlush = 1,
};

static const char *header_invalid(struct bytes in)
{
        if (in.n < LZ4F_HEADER_SIZE_MIN || load_le32(in.p) != LZ4_MAGIC) return "not a frame";
        if ((in.p[4] & FLG_VERSION) != FLG_V1) return "frame version is not 1";
        if (!(in.p[4] & FLG_INDEPENDENT)) return "blocks are linked, Java clients refuse them";
        if (in.p[4] & FLG_DICTIONARY) return "frame needs a dictionary";
        return NULL;
}

static int begin(struct inflate_run *r)
{
        const char *why = header_invalid(r->in);
        if (why) return err_set(r->e, ST_BAD_BATCH, "lz4: %s", why);
        if (r->x->lz4_in)
                LZ4F_resetDecompressionContext(r->x->lz4_in);
        else if (LZ4F_isError(LZ4F_createDecompressionContext(&r->x->lz4_in, LZ4F_VERSION)))
                return err_set(r->e, ST_NOMEM, "lz4: out of memory");
        return 0;
}

int inflate_lz4(struct inflate_run *r)
{
        int stop = begin(r);
        const uint8_t *p = r->in.p, *end = p + r->in.n;
        while (!stop) { /* each turn takes input or gives output, and both are bounded */
                size_t n_in = (size_t)(end - p), n_out = CODEC_WINDOW;
                size_t hint = LZ4F_decompress(r->x->lz4_in, r->x->window, &n_out, p, &n_in, NULL);
                if (LZ4F_isError(hint))
                        return err_set(r->e, ST_BAD_BATCH, "lz4: %s", LZ4F_getErrorName(hint));
                p += n_in;
                stop = inflate_emit(r, r->x->window, n_out);
                if (stop) break;
                if (hint == 0) {
                        if (p < end)
                                stop = err_set(r->e, ST_BAD_BATCH, "lz4: bytes after the frame");
                        break;
                }
                if (n_in == 0 && n_out == 0)
                        stop = err_set(r->e, ST_BAD_BATCH, "lz4: the stream ends early");
        }
        return stop;
}

size_t bound_lz4(size_t in)
{
        return LZ4F_HEADER_SIZE_MAX + LZ4F_compressBound(in, &preferences);
}

int64_t deflate_lz4(struct codec_ctx *x, struct bytes in, struct bytes_mut out, struct err *e)
{
        if (out.n < bound_lz4((size_t)in.n))
                return err_set(e, ST_TOO_LARGE, "lz4: no room for %d bytes", in.n);
        if (!x->lz4_out && LZ4F_isError(LZ4F_createCompressionContext(&x->lz4_out, LZ4F_VERSION)))
                return err_set(e, ST_NOMEM, "lz4: out of memory");
        size_t at = LZ4F_compressBegin(x->lz4_out, out.p, out.n, &preferences);
        if (LZ4F_isError(at)) return err_set(e, ST_NOMEM, "lz4: %s", LZ4F_getErrorName(at));
        size_t n =
            LZ4F_compressUpdate(x->lz4_out, out.p + at, out.n - at, in.p, (size_t)in.n, NULL);
        if (LZ4F_isError(n)) return err_set(e, ST_NOMEM, "lz4: %s", LZ4F_getErrorName(n));
        at += n;
        n = LZ4F_compressEnd(x->lz4_out, out.p + at, out.n - at, NULL);
        if (LZ4F_isError(n)) return err_set(e, ST_NOMEM, "lz4: %s", LZ4F_getErrorName(n));
        return (int64_t)(at + n);
}
