/* What one producing connection sends, over and over: a ring of frames with the times at which they
 * are due.
 *
 * The records of an open loop arrive one after the other at the given rate.  With a linger a batch
 * leaves when it is full or when its first record has waited so long; latency counts from that
 * first record.  Without, a batch arrives whole when its last record does, and latency counts from
 * there.  In a closed loop there are no times. */
#pragma once

#include "bench/frame.h"
#include "bench/parse.h"
#include "bench/payload.h"

struct script_spec {
        struct frame_spec frame;
        struct size_dist size;
        const struct keys *keys;
        const struct payload *payload;
        uint32_t batch_records, batch_bytes, partitions_per_request;
        uint32_t first, n_partitions; /* the connection's share */
        uint32_t start;               /* where in it a round begins */
        struct rate rate;             /* the connection's; both 0: closed loop */
        uint64_t linger_ns;
        size_t ring_bytes;
        uint32_t frames_least;
        uint64_t seed;
        int64_t wall_ms;
};

struct script {
        struct frame_spec spec;
        struct frame *frames;
        uint32_t n, cap;
        double period_ns; /* of one round; 0 in a closed loop */
        uint64_t records, bytes;
        uint32_t covered; /* partitions that occur */
};

int script_build(const struct script_spec *s, struct script *ret, struct err *e);
void script_free(struct script *s);
/* When the i-th send since the beginning is due, and when its oldest record came. */
struct script_time {
        double due_ns, oldest_ns;
};
static inline struct script_time script_time(const struct script *s, uint64_t i)
{
        const struct frame *f = &s->frames[i % s->n];
        double round = (double)(i / s->n) * s->period_ns;
        return (struct script_time){ round + f->due_ns, round + f->oldest_ns };
}
