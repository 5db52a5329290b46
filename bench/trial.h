/* A session with one target, and measured runs in it. */
#pragma once

#include "bench/call.h"
#include "bench/options.h"
#include "bench/proc.h"
#include "bench/sink.h"
#include "bench/worker.h"

#include <signal.h>

struct session {
        const struct options *o;
        const volatile sig_atomic_t *interrupted; /* NULL: nobody can; set after session_open */
        struct io *io;                            /* the main thread's */
        struct call call;
        struct sink *sink;
        struct bytes_mut sink_batch;
        struct topic_set topics;
        struct payload payload;
        struct keys keys;
        struct codec_ctx *cx;
        char host[HOST_ROOM];
        uint16_t port;
        /* of the last run that stamped: what --check compares with */
        uint32_t run_id, n_producers;
        uint64_t *seq;
        int64_t *begin, *ends;
        struct rng rng;
};

int session_open(struct session *s, const struct options *o, struct err *e);
/* Deletes the topics that this session made, unless they are kept. */
int session_close(struct session *s, struct err *e);

struct trial {
        uint32_t producers, consumers;
        struct rate rate;                         /* both 0: closed loop */
        uint64_t warmup_ns, duration_ns, records; /* records: instead of a duration */
        bool check, e2e, from_beginning, rewind;
        bool ends_known; /* consumers are done at what was the end when they started */
        bool catch_up;   /* consumers go on until they have all that was produced */
        bool read_back;  /* consume what the last run produced, and compare */
        const char *label;
};

struct check_result {
        bool done;
        uint64_t sent, received, missing, duplicated, reordered, damaged, misplaced, foreign;
};

struct cpu_result {
        double own, server, sink; /* seconds inside the window */
        uint64_t server_rss, server_rss_peak, server_written;
        bool server_known;
};

struct result {
        struct window window;
        struct flow produce, fetch, e2e;
        double seconds;
        uint32_t frames, covered;
        double ring_bytes;
        struct check_result check;
        struct cpu_result cpu;
};

/* < 0: the run failed; e says why. */
int trial_run(struct session *s, const struct trial *t, struct result *ret, struct err *e);
void result_free(struct result *r);
bool check_failed(const struct check_result *c);
