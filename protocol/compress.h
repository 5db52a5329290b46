/* The five codecs of record batches, both directions, bounded on both sides.
 * Source: kafka-protocol "Compression": gzip RFC 1952 (several members), snappy raw or
 * xerial-framed, lz4 frame, zstd.  Pure: memory comes from the caller's struct; contexts are made
 * once per thread. */
#pragma once

#include "base/err.h"
#include "base/types.h"

enum codec { CODEC_NONE, CODEC_GZIP, CODEC_SNAPPY, CODEC_LZ4, CODEC_ZSTD, CODEC_COUNT };

struct codec_ctx; /* reusable state of all codecs; one per thread */
struct codec_ctx *codec_ctx_new(void);
void codec_ctx_free(struct codec_ctx *x);

/* A stream of inflated bytes.  The caller owns window and gives it away piece by piece to sink:
 * sink returns 0 to go on, anything else stops and is returned. */
struct inflate_sink {
        int (*on_bytes)(struct inflate_sink *s, struct bytes piece);
};

/* Inflates `in` through the context's fixed buffer, never holding more than a window of output
 * (<= 128 KiB, snappy blocks <= max_block).  ST_TOO_LARGE: output passes max_out, or a zstd window
 * passes 8 MiB, or a snappy block says more than max_out; ST_BAD_BATCH: not a stream of that codec,
 * or it ends early.  Bytes after the end of a gzip stream are ignored, as Kafka does. */
int codec_inflate(struct codec_ctx *x, enum codec codec, struct bytes in, uint64_t max_out,
    struct inflate_sink *sink, struct err *e);

/* Compresses all of `in` into out (client, tests, tools).  Returns bytes written, or < 0 status.
 * snappy_xerial picks the framing. Room needed: codec_bound(). */
int64_t codec_deflate(struct codec_ctx *x, enum codec codec, bool snappy_xerial, struct bytes in,
    struct bytes_mut out, struct err *e);
size_t codec_bound(enum codec codec, size_t in);
