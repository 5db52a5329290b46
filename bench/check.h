/* What --check and e2e put at the beginning of a record's value, and the proof on the other side:
 * each producer numbers its records of each partition 0, 1, 2, …; a consumer that reads a partition
 * in order must see every producer's numbers in order, each once, with its bytes intact. */
#pragma once

#include "base/types.h"

#include <stddef.h>

enum { STAMP_SIZE = 40 };

struct stamp {
        uint32_t run;       /* of this run: topics may hold records of another */
        uint32_t partition; /* over all topics                                 */
        uint32_t producer;
        uint64_t seq;
        uint64_t intended_ns; /* monotonic: when the record should have been sent */
};

/* Of the bytes behind the stamp. */
uint64_t stamp_payload_hash(struct bytes value);
/* Writes STAMP_SIZE bytes. */
void stamp_write(uint8_t *value, const struct stamp *s, uint64_t payload_hash);
/* False: no stamp, or it or the payload is damaged. */
bool stamp_read(struct bytes value, struct stamp *ret);
/* Without the proof of its bytes. */
uint64_t stamp_intended(const uint8_t *value);

enum { CHECK_GAPS_MAX = 256 };

struct check_gap { /* numbers from..to-1 have not come yet */
        uint32_t partition, producer;
        uint64_t from, to;
};

/* One consumer's, over the partitions that it reads.  One thread. */
struct check {
        uint32_t magic, run, partitions, producers;
        uint64_t *next; /* [partition * producers + producer] */
        uint64_t records, duplicated, reordered, damaged, misplaced, foreign;
        uint64_t forgotten; /* numbers in gaps that found no room: lost for good */
        uint32_t n_gaps;
        struct check_gap gaps[CHECK_GAPS_MAX];
};

/* run 0: that of the first record. */
bool check_init(struct check *c, uint32_t run, uint32_t partitions, uint32_t producers);
void check_free(struct check *c);
/* A record's value as it came from a partition. */
void check_record(struct check *c, uint32_t partition, struct bytes value);
/* Numbers jumped over and never seen. */
uint64_t check_missing(const struct check *c);
/* How many of the numbers 0..sent-1 never came at the end of this lane (beyond the gaps). */
uint64_t check_tail(const struct check *c, uint32_t partition, uint32_t producer, uint64_t sent);
