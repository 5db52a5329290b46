/* What one thread measured of one direction: counts and latencies inside the measured window, the
 * same per second, and live counts for whoever watches. */
#pragma once

#include "bench/hist.h"

#include <stdatomic.h>
#include <stddef.h>

enum { FLOW_SECONDS_MAX = 3600 };

/* Monotonic.  until_ns == UINT64_MAX: the run ends by count. */
struct window {
        uint64_t start_ns, from_ns, until_ns;
};

struct flow_second {
        uint64_t records, bytes;
        struct hist latency; /* magic 0: nothing yet */
};

struct flow {
        /* the worker's; everyone's after it ended */
        struct hist latency; /* from the intended time, weighted by records */
        struct hist late;    /* of requests: from when it was due to when it was handed over */
        uint64_t requests, records, bytes, user_bytes;
        uint64_t unsent; /* records that were due and never left */
        uint64_t last_ns;
        struct flow_second *seconds; /* FLOW_SECONDS_MAX */
        uint32_t n_seconds;
        /* the worker stores, everyone loads */
        _Atomic uint64_t live_records, live_bytes;
};

struct flow_event {
        uint64_t now_ns, intended_ns;
        uint64_t records, bytes, user_bytes;
};

bool flow_init(struct flow *f);
void flow_free(struct flow *f);
void flow_merge(struct flow *to, const struct flow *from);
/* Something finished. */
void flow_add(struct flow *f, const struct window *w, const struct flow_event *ev);
/* Something should have left and did not until now. */
void flow_unsent(struct flow *f, const struct window *w, const struct flow_event *ev);
/* Of all that was counted. */
double flow_seconds(const struct flow *f, const struct window *w);
