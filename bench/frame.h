/* Produce requests, encoded before the clock starts.  While it runs only the correlation id
 * changes, and what stamps need: values' first bytes, the batch's timestamps and its CRC. */
#pragma once

#include "base/err.h"
#include "bench/check.h"
#include "bench/topics.h"
#include "protocol/batch.h"

/* Where a stamp goes. */
struct frame_value {
        uint32_t at; /* in the plain batch */
        uint64_t payload_hash;
};

struct frame_batch {
        uint32_t partition, count;
        uint32_t at, size; /* in the frame */
        uint32_t user_bytes;
        uint8_t *plain; /* stamped in compressed batches: the uncompressed image, else NULL */
        uint32_t plain_size;
        struct frame_value *values; /* count of them; NULL: nothing is stamped */
};

struct frame {
        uint8_t *bytes;
        uint32_t size, room;
        uint32_t n_batches, records;
        uint64_t user_bytes, batch_bytes;
        struct frame_batch *batches; /* by partition */
        double due_ns, oldest_ns;    /* when it should leave; when its oldest record came */
};

/* What all frames of a connection share. */
struct frame_spec {
        const struct topic_set *topics;
        int16_t version, acks;
        int32_t timeout_ms;
        enum codec codec;
        bool stamped; /* the first record of each batch carries when it should have left */
        bool check;   /* every record carries its number */
        struct codec_ctx *cx;
};

/* One batch of records, with what it takes to stamp it later; b->partition is the caller's. */
int frame_batch_make(const struct frame_spec *s, struct record_in *records, uint32_t n,
    struct bytes_mut *ret_image, struct frame_batch *b, struct err *e);
/* Encodes the request around the images, one for each of f->batches. */
int frame_encode(
    const struct frame_spec *s, struct frame *f, const struct bytes_mut *images, struct err *e);
void frame_free(struct frame *f);

static inline void frame_set_correlation(struct frame *f, uint32_t id)
{
        store_be32(f->bytes + 8, id); /* size, key, version, correlation id */
}

struct frame_stamp {
        uint32_t run, producer;
        uint64_t intended_ns;
        int64_t wall_ms;
        uint64_t *seq; /* by partition: the next number; moves on */
};
/* Before each send of a stamped frame. */
int frame_stamp(
    const struct frame_spec *s, struct frame *f, const struct frame_stamp *t, struct err *e);
