/* What the codecs share behind compress.h.  Internal. */
#pragma once

#include "base/status.h"
#include "protocol/compress.h"

#define ZLIB_CONST
#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

enum {
        CODEC_WINDOW = 128 << 10,
        CODEC_KEEP = 1 << 20, /* scratch above this goes back after use */
        CODEC_MAGIC = 0xc0dec,
};

/* Grows with bytes that are really there, never with what a header claims. */
struct codec_scratch {
        uint8_t *p;
        size_t n, room;
};

/* One thread's.  Everything but the window is made on first use. */
struct codec_ctx {
        uint32_t magic;
        bool busy; /* a sink may not use the context that feeds it */
        bool gzip_in_ready, gzip_out_ready;
        z_stream gzip_in, gzip_out;
        LZ4F_dctx *lz4_in;
        LZ4F_cctx *lz4_out;
        ZSTD_DCtx *zstd_in;
        ZSTD_CCtx *zstd_out;
        uint8_t *window;             /* CODEC_WINDOW bytes */
        struct codec_scratch block;  /* an inflated snappy block */
        struct codec_scratch record; /* batch_each_record: a record cut by the window */
};

/* One call of codec_inflate. */
struct inflate_run {
        struct codec_ctx *x;
        struct bytes in;
        uint64_t max_out, done;
        struct inflate_sink *sink;
        struct err *e;
};

/* Counts n inflated bytes against the cap, then hands them over. */
int inflate_emit(struct inflate_run *r, const uint8_t *p, size_t n);

int inflate_gzip(struct inflate_run *r);
int inflate_snappy(struct inflate_run *r);
int inflate_lz4(struct inflate_run *r);
int inflate_zstd(struct inflate_run *r);

int64_t deflate_gzip(struct codec_ctx *x, struct bytes in, struct bytes_mut out, struct err *e);
int64_t deflate_snappy(bool xerial, struct bytes in, struct bytes_mut out, struct err *e);
int64_t deflate_lz4(struct codec_ctx *x, struct bytes in, struct bytes_mut out, struct err *e);
int64_t deflate_zstd(struct codec_ctx *x, struct bytes in, struct bytes_mut out, struct err *e);

size_t bound_gzip(size_t in);
size_t bound_snappy(size_t in);
size_t bound_lz4(size_t in);

/* Room for n bytes in all, keeping what is there.  False: out of memory. */
bool scratch_reserve(struct codec_scratch *s, size_t n);
/* Forgets the bytes, and the memory when it is large. */
void scratch_relax(struct codec_scratch *s);
