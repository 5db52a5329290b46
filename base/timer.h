/* Timers of one shard: an intrusive heap on the monotonic clock.  Nothing here allocates.
 * One owner thread. */
#pragma once

#include "base/types.h"

struct timer {
        uint64_t due_ns;
        void (*on_due)(struct timer *t);
        struct timer *child, *prev, *next; /* the heap's */
        bool armed;
};

struct timers {
        struct timer *root;
};

void timers_init(struct timers *ts);
/* Arms, or moves when armed already. */
void timer_arm(struct timers *ts, struct timer *t, uint64_t due_ns);
/* Harmless when not armed. */
void timer_cancel(struct timers *ts, struct timer *t);
/* UINT64_MAX: none is armed. */
uint64_t timers_next(const struct timers *ts);
/* Runs at most `max` timers that are due at now_ns; each is disarmed before its on_due, which may
 * arm it again.  Returns how many ran. */
unsigned timers_run(struct timers *ts, uint64_t now_ns, unsigned max);
