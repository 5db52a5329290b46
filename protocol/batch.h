/* Record batch v2 (magic 2): the unit that producers send, the log stores and consumers fetch, with
 * one byte image.  Source: kafka-protocol "RecordBatch v2".  Pure. */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "protocol/compress.h"

/* Offsets of header fields; BATCH_CRC_FROM.. is what the checksum covers. */
enum {
        BATCH_BASE_OFFSET = 0,
        BATCH_LENGTH = 8,
        BATCH_LEADER_EPOCH = 12,
        BATCH_MAGIC = 16,
        BATCH_CRC = 17,
        BATCH_CRC_FROM = 21,
        BATCH_ATTRIBUTES = 21,
        BATCH_LAST_OFFSET_DELTA = 23,
        BATCH_BASE_TIMESTAMP = 27,
        BATCH_MAX_TIMESTAMP = 35,
        BATCH_PRODUCER_ID = 43,
        BATCH_PRODUCER_EPOCH = 51,
        BATCH_BASE_SEQUENCE = 53,
        BATCH_COUNT = 57,
        BATCH_HEADER_SIZE = 61,
        BATCH_LENGTH_EXTRA = 12, /* whole batch = batch_length + this */
};

enum {
        BATCH_ATTR_CODEC = 7,
        BATCH_ATTR_APPEND_TIME = 1 << 3,
        BATCH_ATTR_TXN = 1 << 4,
        BATCH_ATTR_CONTROL = 1 << 5,
        BATCH_ATTR_DELETE_HORIZON = 1 << 6,
};

/* A header, decoded. */
struct batch {
        int64_t base_offset;
        uint32_t size; /* whole batch, header included */
        int32_t leader_epoch;
        int8_t magic;
        uint32_t crc;
        int16_t attributes;
        int32_t last_offset_delta;
        int64_t base_timestamp, max_timestamp;
        int64_t producer_id;
        int16_t producer_epoch;
        int32_t base_sequence;
        int32_t count;
};

static inline enum codec batch_codec(const struct batch *b)
{
        return (enum codec)(b->attributes & BATCH_ATTR_CODEC);
}
static inline int64_t batch_last_offset(const struct batch *b)
{
        return b->base_offset + b->last_offset_delta;
}

/* Decodes the header that begins at p; n bytes are there.  NULL: fine, else the reason.  Checks
 * what makes the bytes a batch at all (61 bytes present, length in range and within n when whole is
 * true, magic 2, count and deltas not negative).  Does not check the CRC. */
const char *batch_read(const uint8_t *p, size_t n, bool whole, struct batch *ret);
/* CRC over the whole batch at p (size bytes). */
bool batch_crc_ok(const uint8_t *p, const struct batch *b);

/* What a client's batch may not look like, beyond batch_read: base_offset 0, count > 0,
 * last_offset_delta == count - 1, no control bit, known codec, sequence when a producer id is
 * there. The reason, with the wire error that Kafka gives; NULL: acceptable. */
struct batch_fault {
        int16_t error;  /* wire code */
        int32_t record; /* index of the offending record, -1: the batch itself */
        const char *text;
};
bool batch_check_client(const struct batch *b, struct batch_fault *ret);
/* The `records` of one partition of a Produce v3+: exactly one whole batch of magic 2.  What
 * follows it may only be the beginning of another one, which is ignored.  Decodes without
 * batch_read's checks of counts: in Kafka's order the CRC comes next, then batch_check_client, then
 * batch_scan_records. */
bool batch_read_client(const uint8_t *p, size_t n, struct batch *ret, struct batch_fault *fault);

/* Walks all records (inflating through cx when the batch is compressed, output capped at max_out)
 * and proves: lengths add up exactly, count matches, offset deltas 0..n-1 (Kafka checks these in
 * compressed batches only), header counts and key/value lengths sane.  Fills max_timestamp (-1:
 * none >= 0) and its record, has_null_key.  Timestamps of records are base_timestamp + delta;
 * overflow is a fault.  Errors: INVALID_RECORD; CORRUPT_MESSAGE when the payload cannot be
 * inflated; MESSAGE_TOO_LARGE when it passes max_out; UNSUPPORTED_COMPRESSION_TYPE.  Memory stays
 * flat whatever the records' sizes. */
struct batch_scan {
        int64_t min_timestamp, max_timestamp;
        int32_t max_timestamp_record, min_timestamp_record;
        int32_t null_key_record; /* first record without a key, -1: none */
};
bool batch_scan_records(const uint8_t *p, const struct batch *b, struct codec_ctx *cx,
    uint64_t max_out, struct batch_scan *ret, struct batch_fault *fault);

/* One record, borrowed from the inflated bytes. */
struct record {
        int64_t offset, timestamp;
        struct bytes key, value; /* n == -1: null */
        struct bytes headers;    /* encoded: count varint and what follows */
        int32_t header_count;
};

/* Calls fn for each record in order (inflating when needed) until it returns non-zero; returns
 * that, 0 at the end, or < 0 status when the bytes do not parse.  A record that a window cuts is
 * assembled in scratch that grows with its bytes, so to max_out at most.  fn may not use cx. */
struct record_visitor {
        int (*on_record)(struct record_visitor *v, const struct record *r);
};
int batch_each_record(const uint8_t *p, const struct batch *b, struct codec_ctx *cx,
    uint64_t max_out, struct record_visitor *v, struct err *e);
/* First record as stored with at least that timestamp and offset.  1 found, 0 none, < 0 status.
 * A LogAppendTime batch answers with max_timestamp for every record. */
struct batch_search {
        int64_t timestamp, from;               /* in  */
        int64_t found_offset, found_timestamp; /* out, when found */
};
int batch_find_timestamp(const uint8_t *p, const struct batch *b, struct codec_ctx *cx,
    uint64_t max_out, struct batch_search *s);

/* Patches.  The first two lie before the CRC-covered part. */
void batch_set_base_offset(uint8_t *p, int64_t offset);
void batch_set_leader_epoch(uint8_t *p, int32_t epoch);
/* Sets max_timestamp and the LogAppendTime bit (or clears it), then recomputes the CRC. */
void batch_set_timestamp(
    uint8_t *p, const struct batch *b, bool append_time, int64_t max_timestamp);

/* Builds one batch: for internal logs, the client, the benchmark and tests. */
struct record_header {
        struct str key;
        struct bytes value;
};
struct record_in {
        int64_t timestamp;
        struct bytes key, value;
        const struct record_header *headers;
        int32_t n_headers;
};
struct batch_build {
        int64_t base_offset;
        int32_t leader_epoch;
        int16_t attributes; /* codec and flags */
        bool snappy_xerial;
        int64_t producer_id; /* -1: none */
        int16_t producer_epoch;
        int32_t base_sequence;
        const struct record_in *records;
        int32_t count;
};
/* Upper bound of the size of what batch_encode writes. */
size_t batch_encode_bound(const struct batch_build *in);
/* Returns the size of the batch in out, or < 0 status.  scratch: room for the plain records when a
 * codec is set (batch_encode_bound bytes), else unused. */
int64_t batch_encode(const struct batch_build *in, struct codec_ctx *cx, struct bytes_mut scratch,
    struct bytes_mut out, struct err *e);
