/* The context and the choice of codec; each codec has its own file. */
#include "protocol/compress.h"

#include "base/check.h"
#include "protocol/compress_impl.h"

struct codec_ctx *codec_ctx_new(void)
{
        struct codec_ctx *x = calloc(1, sizeof *x);
        uint8_t *window = malloc(CODEC_WINDOW);
        if (!x || !window) {
                free(x);
                free(window);
                return NULL;
        }
        x->magic = CODEC_MAGIC;
        x->window = window;
        return x;
}

void codec_ctx_free(struct codec_ctx *x)
{
        if (!x) return;
        CHECK_OBJ(x, CODEC_MAGIC);
        assert(!x->busy);
        if (x->gzip_in_ready) inflateEnd(&x->gzip_in);
        if (x->gzip_out_ready) deflateEnd(&x->gzip_out);
        LZ4F_freeDecompressionContext(x->lz4_in);
        LZ4F_freeCompressionContext(x->lz4_out);
        ZSTD_freeDCtx(x->zstd_in);
        ZSTD_freeCCtx(x->zstd_out);
        free(x->block.p);
        free(x->record.p);
        free(x->window);
        x->magic = 0;
        free(x);
}

bool scratch_reserve(struct codec_scratch *s, size_t n)
{
        assert(s->n <= s->room);
        if (n <= s->room) return true;
        size_t room = MAX(n, MAX(s->room * 2, (size_t)4096));
        uint8_t *p = realloc(s->p, room);
        if (!p) return false;
        s->p = p;
        s->room = room;
        return true;
}

void scratch_relax(struct codec_scratch *s)
{
        s->n = 0;
        if (s->room <= CODEC_KEEP) return;
        free(s->p);
        s->p = NULL;
        s->room = 0;
}

int inflate_emit(struct inflate_run *r, const uint8_t *p, size_t n)
{
        assert(n <= INT32_MAX && r->done <= r->max_out);
        if (n > r->max_out - r->done)
                return err_set(r->e, ST_TOO_LARGE, "inflates past the limit of %llu bytes",
                    (unsigned long long)r->max_out);
        r->done += n;
        return n ? r->sink->on_bytes(r->sink, (struct bytes){ p, (int32_t)n }) : 0;
}

static int inflate_any(struct inflate_run *r, enum codec codec)
{
        switch (codec) {
        case CODEC_NONE:
                return inflate_emit(r, r->in.p, (size_t)r->in.n);
        case CODEC_GZIP:
                return inflate_gzip(r);
        case CODEC_SNAPPY:
                return inflate_snappy(r);
        case CODEC_LZ4:
                return inflate_lz4(r);
        case CODEC_ZSTD:
                return inflate_zstd(r);
        case CODEC_COUNT:
                break;
        }
        return err_set(r->e, ST_UNSUPPORTED, "codec %d is unknown", (int)codec);
}

int codec_inflate(struct codec_ctx *x, enum codec codec, struct bytes in, uint64_t max_out,
    struct inflate_sink *sink, struct err *e)
{
        CHECK_OBJ(x, CODEC_MAGIC);
        assert(in.n >= 0 && sink && !x->busy);
        struct inflate_run r = { .x = x, .in = in, .max_out = max_out, .sink = sink, .e = e };
        x->busy = true;
        int result = inflate_any(&r, codec);
        x->busy = false;
        scratch_relax(&x->block);
        return result;
}

int64_t codec_deflate(struct codec_ctx *x, enum codec codec, bool snappy_xerial, struct bytes in,
    struct bytes_mut out, struct err *e)
{
        CHECK_OBJ(x, CODEC_MAGIC);
        assert(in.n >= 0 && (out.p || out.n == 0));
        switch (codec) {
        case CODEC_NONE:
                if (out.n < (size_t)in.n) break;
                if (in.n) memcpy(out.p, in.p, (size_t)in.n);
                return in.n;
        case CODEC_GZIP:
                return deflate_gzip(x, in, out, e);
        case CODEC_SNAPPY:
                return deflate_snappy(snappy_xerial, in, out, e);
        case CODEC_LZ4:
                return deflate_lz4(x, in, out, e);
        case CODEC_ZSTD:
                return deflate_zstd(x, in, out, e);
        default:
                return err_set(e, ST_UNSUPPORTED, "codec %d is unknown", (int)codec);
        }
        return err_set(e, ST_TOO_LARGE, "no room for %d bytes", in.n);
}

size_t codec_bound(enum codec codec, size_t in)
{
        assert(in <= INT32_MAX && (int)codec >= 0 && codec < CODEC_COUNT);
        switch (codec) {
        case CODEC_GZIP:
                return bound_gzip(in);
        case CODEC_SNAPPY:
                return bound_snappy(in);
        case CODEC_LZ4:
                return bound_lz4(in);
        case CODEC_ZSTD:
                return ZSTD_compressBound(in);
        default:
                return in;
        }
}
