/* The null target: a server inside the driver's process that keeps nothing.  It acknowledges every
 * Produce at once, and answers Fetch with the same batch over and over, at the offsets asked for.
 * What the driver reaches against it is the driver's own ceiling. */
#pragma once

#include "base/io.h"
#include "bench/topics.h"

struct sink;

struct sink_spec {
        const struct topic_set *topics; /* outlives the sink; ids are set by it */
        struct bytes batch;             /* what Fetch gives; outlives the sink  */
        bool posix;
};

/* Runs in a thread of its own, on a free port of 127.0.0.1. */
int sink_start(const struct sink_spec *s, struct sink **ret, struct err *e);
uint16_t sink_port(const struct sink *s);
/* CPU time of its thread so far. */
double sink_cpu_seconds(struct sink *s);
void sink_stop(struct sink *s);
