/* The threads of a run.  A worker owns its loop, its producing and consuming connections and what
 * they measured; the main thread reads that after the worker ended. */
#pragma once

#include "base/arena.h"
#include "base/io.h"
#include "base/timer.h"
#include "bench/check.h"
#include "bench/flow.h"
#include "bench/link.h"
#include "bench/script.h"

#include <pthread.h>

enum { ERROR_CODES = 256, FAILURE_TEXT = 256 };

/* Why a run is worth nothing.  Any thread. */
struct failures {
        pthread_mutex_t lock;
        uint64_t by_code[ERROR_CODES]; /* wire code + 1 */
        char first[FAILURE_TEXT];      /* what else went wrong, the first of it */
        _Atomic bool any;
};

/* Shared by the workers of a run.  Written by the main thread before they start, except where it
 * says otherwise. */
struct run {
        struct window window; /* by the main thread between the two barriers */
        struct failures failures;
        pthread_barrier_t barrier;
        struct io *main_io; /* to wake the main thread */
        const struct topic_set *topics;
        const char *host;
        uint16_t port;
        uint32_t id;
        bool posix;
        int16_t produce_version, fetch_version;
        /* producing */
        int16_t acks;
        bool stamped, check, timed;
        uint32_t n_producers, in_flight;
        uint64_t *seq; /* [producer * partitions + partition]; a producer writes its own row */
        /* consuming */
        uint32_t n_consumers, chains;
        bool fan_out, rewind, e2e;
        int32_t fetch_wait_ms, fetch_min_bytes, fetch_max_bytes, fetch_partition_bytes;
        const int64_t *begin;          /* by partition: where consumers start */
        _Atomic(const int64_t *) ends; /* by partition: where they are done; NULL: not known yet */
        /* anyone */
        _Atomic bool stop; /* workers close and end */
        _Atomic uint32_t producers_left, consumers_left;
};

void failure_code(struct run *r, const char *api, int16_t code);
void failure_text(struct run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

struct flight {
        uint32_t frame;
        uint64_t intended_ns;
};

struct producer {
        struct link link;
        struct worker *worker;
        uint32_t id;
        struct script script;
        struct flight *flights; /* a ring of run.in_flight; its number is the correlation id */
        uint64_t sent, answered;
        uint64_t sends_max; /* UINT64_MAX: until time is up */
        double offset_ns;   /* open loop: after the start of the run */
        struct timer timer;
        bool finished;
};

struct chain_part {
        uint32_t partition;
        int64_t offset;
};

/* Partitions of a consumer that are asked for together; one request of them is on its way. */
struct chain {
        struct chain_part *parts;
        uint32_t n;
        uint8_t *request;
        size_t room;
        uint64_t sent_ns;
};

struct consumer {
        struct link link;
        struct worker *worker;
        uint32_t id;
        struct chain *chains;
        uint32_t *order; /* chains in the order of their requests */
        uint64_t sent, answered;
        struct check check;
        bool finished;
};

struct worker {
        uint32_t magic;
        struct run *run;
        pthread_t thread;
        struct io *io;
        struct timers timers;
        struct list dirty;
        struct arena arena; /* of the reply at hand */
        struct codec_ctx *cx;
        struct producer *producers;
        uint32_t n_producers;
        struct consumer *consumers;
        uint32_t n_consumers;
        struct flow produce, fetch, e2e;
        double cpu_seconds; /* inside the window */
};

uint64_t mono_ns(void);

/* Connections are made by the worker's thread; ids and scripts are set before. */
int worker_init(struct worker *w, struct run *r, struct err *e);
bool worker_start(struct worker *w);
void worker_free(struct worker *w);

bool producer_open(struct producer *p);
/* Sends what may be sent now. */
void producer_pump(struct producer *p, uint64_t now_ns);
void producer_free(struct producer *p);

bool consumer_open(struct consumer *c);
void consumer_begin(struct consumer *c);
/* Whether all that run.ends asks for came. */
void consumer_look_done(struct consumer *c);
void consumer_free(struct consumer *c);
/* Which consumer reads a partition (without fan-out). */
uint32_t consumer_of(const struct run *r, uint32_t partition);
