/* gzip, RFC 1952: one or more members; what follows the last one is ignored, as Kafka does. */
#include "base/check.h"
#include "protocol/compress_impl.h"

enum { GZIP_ONLY = 15 + 16, MEMBER_MIN = 18 /* header and trailer */ };

static bool member_begins(const uint8_t *p, size_t n)
{
        return n >= MEMBER_MIN && p[0] == 0x1f && p[1] == 0x8b && p[2] == Z_DEFLATED &&
               (p[3] & 0xe0) == 0;
}

static int begin(struct codec_ctx *x)
{
        int z = x->gzip_in_ready ? inflateReset(&x->gzip_in) : inflateInit2(&x->gzip_in, GZIP_ONLY);
        if (z == Z_OK) x->gzip_in_ready = true;
        return z;
}

static int failed(struct inflate_run *r, int z)
{
        if (z == Z_MEM_ERROR) return err_set(r->e, ST_NOMEM, "gzip: out of memory");
        const char *why = r->x->gzip_in.msg;
        return err_set(r->e, ST_BAD_BATCH, "gzip: %s", why ? why : "the stream ends early");
}

/* Inflates one windowful. */
static int fill(struct inflate_run *r, bool *ret_ended)
{
        z_stream *z = &r->x->gzip_in;
        z->next_out = r->x->window;
        z->avail_out = CODEC_WINDOW;
        uInt before = z->avail_in;
        int got = inflate(z, Z_NO_FLUSH);
        if (got != Z_OK && got != Z_STREAM_END) return failed(r, got);
        size_t n = CODEC_WINDOW - z->avail_out;
        if (got == Z_OK && n == 0 && z->avail_in == before) return failed(r, Z_BUF_ERROR);
        *ret_ended = got == Z_STREAM_END;
        return inflate_emit(r, r->x->window, n);
}

int inflate_gzip(struct inflate_run *r)
{
        z_stream *z = &r->x->gzip_in;
        int got = begin(r->x);
        if (got != Z_OK) return failed(r, got);
        z->next_in = r->in.p;
        z->avail_in = (uInt)r->in.n;
        for (;;) { /* each turn takes input or gives output, and both are bounded */
                bool ended = false;
                int stop = fill(r, &ended);
                if (stop) return stop;
                if (!ended) continue;
                if (!member_begins(z->next_in, z->avail_in)) return 0;
                got = inflateReset(z);
                assert(got == Z_OK);
        }
}

int64_t deflate_gzip(struct codec_ctx *x, struct bytes in, struct bytes_mut out, struct err *e)
{
        z_stream *z = &x->gzip_out;
        int got = x->gzip_out_ready ? deflateReset(z)
                                    : deflateInit2(z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, GZIP_ONLY,
                                          8, Z_DEFAULT_STRATEGY);
        if (got != Z_OK) return err_set(e, ST_NOMEM, "gzip: out of memory");
        x->gzip_out_ready = true;
        z->next_in = in.p;
        z->avail_in = (uInt)in.n;
        z->next_out = out.p;
        z->avail_out = (uInt)MIN(out.n, (size_t)UINT32_MAX);
        uInt room = z->avail_out;
        if (deflate(z, Z_FINISH) != Z_STREAM_END)
                return err_set(e, ST_TOO_LARGE, "gzip: no room for %d bytes", in.n);
        return room - z->avail_out;
}

/* zlib's bound without a stream is for its own shorter wrapper. */
size_t bound_gzip(size_t in)
{
        return deflateBound(NULL, (uLong)in) + MEMBER_MIN;
}
