/* Is what a client wants to append acceptable?  Source: kafka-protocol 4.1, the table of checks, in
 * its order and with its errors.  Pure: the clock is passed in. */
#pragma once

#include "protocol/batch.h"

struct produce_rules {
        int16_t version; /* of the request */
        int32_t max_message_bytes;
        uint32_t segment_bytes;
        bool compact, append_time;
        int64_t before_ms, after_ms; /* how far a timestamp may be off */
        int64_t now_ms;
};

struct produce_verdict {
        int16_t error;     /* wire code, 0: acceptable */
        int32_t record;    /* the offending one, -1: the batch */
        const char *text;  /* static; NULL when acceptable */
        bool knows_start;  /* the answer carries the log's start offset (column L) */
        bool crc_checked;  /* the checksum was verified; else whoever copies the bytes does */
        int64_t append_ms; /* LogAppendTime, -1: none */
};

/* p, n: the `records` of one partition, n < 0: null.  Patches timestamps where the topic demands
 * it, the checksum with them.  ret_batch describes the batch as it is to be stored. */
bool produce_check(uint8_t *p, int32_t n, const struct produce_rules *rules, struct codec_ctx *cx,
    struct batch *ret_batch, struct produce_verdict *ret);

/* The most that a batch of that size may inflate to. */
uint64_t produce_inflate_max(uint32_t size, const struct produce_rules *rules);
