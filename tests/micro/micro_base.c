/* What a shard's turn is made of: blocks, messages, timers. */
#include "base/block.h"
#include "base/check.h"
#include "base/inbox.h"
#include "base/timer.h"
#include "tests/micro/micro.h"

enum { TIMERS = 1000, POOL = 64 << 20, NS_PER_MS = 1000000 };

/* --- blocks --- */

struct blocks {
        struct block_pool *pool;
        struct block *held; /* as in a server, where a slab is hardly ever empty */
};

static void block_setup(struct micro *m)
{
        struct blocks *x = calloc(1, sizeof *x);
        assert(x);
        x->pool = block_pool_new(NULL, POOL);
        assert(x->pool);
        x->held = block_get(x->pool, (size_t)m->size);
        assert(x->held);
        m->state = x;
}

static void block_op(struct micro *m)
{
        struct blocks *x = m->state;
        struct block *b = block_get(x->pool, (size_t)m->size);
        assert(b);
        block_unref(b);
}

static void block_teardown(struct micro *m)
{
        struct blocks *x = m->state;
        block_unref(x->held);
        block_pool_free(x->pool);
        free(x);
}

/* --- messages --- */

struct letter {
        struct inbox inbox;
        struct message message;
        uint64_t ran;
};

static void on_message(struct message *m)
{
        CONTAINER_OF(m, struct letter, message)->ran++;
}

static void inbox_setup(struct micro *m)
{
        struct letter *x = calloc(1, sizeof *x);
        assert(x);
        inbox_init(&x->inbox);
        x->message.run = on_message;
        m->state = x;
}

static void inbox_op(struct micro *m)
{
        struct letter *x = m->state;
        bool first = inbox_post(&x->inbox, &x->message);
        unsigned ran = inbox_run(&x->inbox, 16);
        assert(first && ran == 1);
}

static void inbox_teardown(struct micro *m)
{
        free(m->state);
}

/* --- timers --- */

struct clock {
        struct timers timers;
        struct timer all[TIMERS];
        uint64_t now, seed;
};

static void on_due(struct timer *t)
{
        (void)t;
}

/* Like waiting fetches: their deadlines lie within half a second. */
static uint64_t deadline(struct clock *x)
{
        return x->now + micro_next(&x->seed) % 500 * NS_PER_MS;
}

static void timer_setup(struct micro *m)
{
        struct clock *x = calloc(1, sizeof *x);
        assert(x);
        timers_init(&x->timers);
        for (int i = 0; i < TIMERS; i++) {
                x->all[i].on_due = on_due;
                timer_arm(&x->timers, &x->all[i], deadline(x));
        }
        m->state = x;
}

/* Cancelled before it is due, as nearly every one is. */
static void timer_op(struct micro *m)
{
        struct clock *x = m->state;
        struct timer *t = &x->all[micro_next(&x->seed) % TIMERS];
        timer_cancel(&x->timers, t);
        timer_arm(&x->timers, t, deadline(x));
}

static void timer_due_op(struct micro *m)
{
        struct clock *x = m->state;
        x->now = timers_next(&x->timers);
        struct timer *t = x->timers.root;
        unsigned ran = timers_run(&x->timers, x->now, 1);
        assert(ran == 1 && !t->armed);
        timer_arm(&x->timers, t, deadline(x));
}

static void timer_teardown(struct micro *m)
{
        free(m->state);
}

struct micro micro_base[] = {
        { "block.4k", "take a block of 4 KiB and give it back", block_setup, block_op,
            block_teardown, 1000, 4 << 10 },
        { "block.256k", "take a block of 256 KiB and give it back", block_setup, block_op,
            block_teardown, 1000, 256 << 10 },
        { "inbox", "post one message and run it", inbox_setup, inbox_op, inbox_teardown, 1000 },
        { "timer.move", "cancel one of 1000 timers and arm it again", timer_setup, timer_op,
            timer_teardown, 2000 },
        { "timer.due", "run the first of 1000 timers and arm it again", timer_setup, timer_due_op,
            timer_teardown, 2000 },
        { .name = NULL },
};
