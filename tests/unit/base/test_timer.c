/* Timers against a plain array that is searched. */
#include "base/check.h"
#include "base/timer.h"

#include <criterion/criterion.h>

enum { N = 300 };
static struct timers ts;
static struct timer t[N];
static uint64_t model[N]; /* UINT64_MAX: not armed */
static uint64_t now;
static unsigned ran;

static uint64_t seed = 42;
static uint64_t rnd(uint64_t below)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return seed % below;
}

static uint64_t model_next(void)
{
        uint64_t least = UINT64_MAX;
        for (unsigned i = 0; i < N; i++) least = MIN(least, model[i]);
        return least;
}

static void on_due(struct timer *due)
{
        size_t i = (size_t)(due - t);
        cr_assert_leq(model[i], now);
        cr_assert_eq(model[i], model_next(), "timers run in order");
        cr_assert_not(due->armed);
        model[i] = UINT64_MAX;
        ran++;
        if (rnd(4) == 0) {
                model[i] = now + 1 + rnd(500);
                timer_arm(&ts, due, model[i]);
        }
}

Test(timer, behaves_like_a_searched_array)
{
        timers_init(&ts);
        for (unsigned i = 0; i < N; i++) {
                t[i].on_due = on_due;
                model[i] = UINT64_MAX;
        }
        for (unsigned step = 0; step < 60000; step++) {
                size_t i = rnd(N);
                switch (rnd(6)) {
                case 0:
                        timer_cancel(&ts, &t[i]);
                        model[i] = UINT64_MAX;
                        break;
                case 1:
                        now += rnd(60);
                        timers_run(&ts, now, (unsigned)rnd(20));
                        break;
                default:
                        model[i] = now + rnd(1000);
                        timer_arm(&ts, &t[i], model[i]);
                        break;
                }
                cr_assert_eq(timers_next(&ts), model_next());
        }
        now += 10000;
        for (unsigned i = 0; i < 1000 && timers_next(&ts) <= now; i++) timers_run(&ts, now, 100);
        cr_assert_gt(timers_next(&ts), now);
        cr_assert_gt(ran, 1000u);
}

static void count_only(struct timer *due)
{
        (void)due;
        ran++;
}

Test(timer, runs_at_most_what_it_may)
{
        timers_init(&ts);
        cr_assert_eq(timers_next(&ts), UINT64_MAX);
        timer_cancel(&ts, &t[0]);
        for (unsigned i = 0; i < 10; i++) {
                t[i].on_due = count_only;
                timer_arm(&ts, &t[i], i);
        }
        cr_assert_eq(timers_run(&ts, 4, 3), 3);
        cr_assert_eq(timers_run(&ts, 4, 100), 2);
        cr_assert_eq(timers_next(&ts), 5);
        timer_cancel(&ts, &t[5]);
        timer_cancel(&ts, &t[5]);
        cr_assert_eq(timers_next(&ts), 6);
        cr_assert_eq(timers_run(&ts, UINT64_MAX, 100), 4);
        cr_assert_eq(ran, 9);
}

/* Many siblings under one root: the stack must not care. */
Test(timer, a_hundred_thousand_in_order_do_not_recurse)
{
        enum { MANY = 100000 };
        static struct timer many[MANY];
        timers_init(&ts);
        for (unsigned i = 0; i < MANY; i++) {
                many[i].on_due = count_only;
                timer_arm(&ts, &many[i], i);
        }
        ran = 0;
        cr_assert_eq(timers_run(&ts, MANY, MANY + 1), MANY);
        cr_assert_eq(ran, MANY);
}
