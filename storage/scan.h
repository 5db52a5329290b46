/* Reading a segment file batch by batch at start-up, blocking, in large direct pieces. */
#pragma once

#include "storage/internal.h"

struct scan {
        struct io *io;
        int fd;
        uint64_t file_size;
        struct block *block;
        uint64_t at, have; /* what the block holds */
        int64_t error;     /* -errno of a read that failed, 0: none */
        /* where the scan stands: behind the last good batch */
        uint64_t pos;
        int64_t expect;
        int64_t max_timestamp;
        const char *why; /* it went no further */
};

/* n bytes at pos, n <= STORE_PAGE; NULL: not there (or error). */
const uint8_t *scan_bytes(struct scan *c, uint64_t pos, size_t n);
/* A whole batch with a good checksum at pos; NULL: it is; else the reason. */
const char *scan_batch(struct scan *c, uint64_t pos, struct batch *ret);
/* Goes on over good batches, noting them in the segment's index. */
void scan_run(struct scan *c, struct segment *s);
/* First whole batch from `from` on whose base offset is in [expect, before) and that ends behind
 * `beyond`. *ret_zero: there are only zeros from `from` to the end. */
bool scan_find(struct scan *c, uint64_t from, int64_t before, uint64_t beyond, uint64_t *ret_pos,
    bool *ret_zero);
