/* What a log may hold after anything happened: the model that simulator and kill -9 test check
 * against.
 *
 * Every batch that is sent has a number (its place in the order of sending on its partition), and
 * every record's bytes follow from partition, batch number and index, so a record that is read says
 * itself which one it is.  The rules, per partition:
 *   - an acked batch is at the offset of its ack, with its bytes, and stays there;
 *   - what was visible once stays visible, at the same offset;
 *   - offsets are dense and begin at 0; a batch is there whole, at most once, or not at all;
 *   - batches of one producer appear in the order they were sent; of those of one server life and
 * one connection that were not refused, a prefix is there;
 *   - nothing is there that was not sent. */
#pragma once

#include "base/err.h"
#include "base/types.h"
#include "protocol/compress.h"

enum { ORACLE_RECORDS_MAX = 64 };

struct oracle_batch {
        enum { SENT_OPEN, SENT_ACKED, SENT_REFUSED, SENT_FAILED, SENT_LOST } state;
        uint32_t stream; /* one connection in one life of the server: appended in order, a prefix */
        uint32_t count;
        uint32_t size_seed; /* sizes of the values follow from it */
        uint32_t size_max;
        int64_t base; /* offset once known, -1 */
        bool seen;    /* found in the log by the check that runs */
};

struct oracle_partition {
        int32_t index; /* mixed into the bytes: a record of another partition is noticed */
        struct oracle_batch *sent;
        uint32_t n_sent, cap_sent;
        uint64_t *at; /* offset -> batch << 16 | record, + 1; 0: not known */
        uint64_t n_at, cap_at;
        int64_t visible; /* highest high watermark that anybody was told */
        uint64_t acked;  /* batches */
        int64_t checked; /* next offset that a check expects */
};

struct oracle {
        struct oracle_partition *partitions;
        int32_t n;
        struct codec_ctx *codecs;
        uint32_t next_stream;
        struct oracle_room {
                uint8_t *p;
                uint64_t cap;
        } values, scratch, out; /* reused for every batch */
};

int oracle_init(struct oracle *o, int32_t partitions);
void oracle_free(struct oracle *o);

/* Registers a batch and makes its bytes; *ret_number is its number. */
struct oracle_send {
        int32_t partition;
        uint32_t stream, count, size_max, size_seed;
        enum codec codec;
};
/* The bytes belong to the caller. */
uint8_t *oracle_batch_new(
    struct oracle *o, const struct oracle_send *s, size_t *ret_size, uint32_t *ret_number);

/* All of these: 0, or < 0 with a text that says which rule broke. */
int oracle_acked(struct oracle *o, int32_t partition, uint32_t number, int64_t base, struct err *e);
/* The server said no, and nothing of it may be there. */
void oracle_refused(struct oracle *o, int32_t partition, uint32_t number);
/* The server said that it could not: it may be there or not. */
void oracle_failed(struct oracle *o, int32_t partition, uint32_t number);
/* The connection ended before an answer: it may be there, if all before it are. */
void oracle_lost(struct oracle *o, int32_t partition, uint32_t number);
/* A high watermark that somebody was told.  Replies overtake each other, so a lower one may come
 * after a higher one; a check of the whole log may not find less than the highest. */
void oracle_high(struct oracle *o, int32_t partition, int64_t high);
/* Record bytes of a fetch reply.  *ret_next: the offset after the last whole batch. */
int oracle_fetched(struct oracle *o, int32_t partition, int64_t from, struct bytes records,
    int64_t *ret_next, struct err *e);

/* A check of the whole log: begin, feed everything from offset 0 through oracle_fetched(), end. */
void oracle_check_begin(struct oracle *o, int32_t partition);
int oracle_check_end(struct oracle *o, int32_t partition, int64_t high, struct err *e);
