/* zstd: standard frames one after another, content size optional, window at most 8 MiB. */
#include "base/check.h"
#include "protocol/compress_impl.h"

#include <zstd_errors.h>

enum { WINDOW_LOG_MAX = 23, LEVEL = 3 };

static int begin(struct inflate_run *r)
{
        struct codec_ctx *x = r->x;
        if (x->zstd_in) {
                ZSTD_DCtx_reset(x->zstd_in, ZSTD_reset_session_only);
                return 0;
        }
        x->zstd_in = ZSTD_createDCtx();
        if (!x->zstd_in) return err_set(r->e, ST_NOMEM, "zstd: out of memory");
        size_t set = ZSTD_DCtx_setParameter(x->zstd_in, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
        assert(!ZSTD_isError(set));
        return 0;
}

static int failed(struct inflate_run *r, size_t code)
{
        int status = ST_BAD_BATCH;
        ZSTD_ErrorCode c = ZSTD_getErrorCode(code);
        if (c == ZSTD_error_frameParameter_windowTooLarge) status = ST_TOO_LARGE;
        if (c == ZSTD_error_memory_allocation) status = ST_NOMEM;
        return err_set(r->e, status, "zstd: %s", ZSTD_getErrorName(code));
}

int inflate_zstd(struct inflate_run *r)
{
        int stop = begin(r);
        ZSTD_inBuffer in = { r->in.p, (size_t)r->in.n, 0 };
        while (!stop) { /* each turn takes input or gives output, and both are bounded */
                ZSTD_outBuffer out = { r->x->window, CODEC_WINDOW, 0 };
                size_t before = in.pos;
                size_t hint = ZSTD_decompressStream(r->x->zstd_in, &out, &in);
                if (ZSTD_isError(hint)) return failed(r, hint);
                stop = inflate_emit(r, r->x->window, out.pos);
                if (stop || (hint == 0 && in.pos == in.size)) break;
                if (in.pos == before && out.pos == 0)
                        stop = err_set(r->e, ST_BAD_BATCH, "zstd: the stream ends early");
        }
        return stop;
}

int64_t deflate_zstd(struct codec_ctx *x, struct bytes in, struct bytes_mut out, struct err *e)
{
        if (!x->zstd_out) {
                x->zstd_out = ZSTD_createCCtx();
                if (!x->zstd_out) return err_set(e, ST_NOMEM, "zstd: out of memory");
                ZSTD_CCtx_setParameter(x->zstd_out, ZSTD_c_compressionLevel, LEVEL);
        }
        size_t n = ZSTD_compress2(x->zstd_out, out.p, out.n, in.p, (size_t)in.n);
        if (!ZSTD_isError(n)) return (int64_t)n;
        bool room = ZSTD_getErrorCode(n) != ZSTD_error_dstSize_tooSmall;
        return err_set(e, room ? ST_NOMEM : ST_TOO_LARGE, "zstd: %s", ZSTD_getErrorName(n));
}
