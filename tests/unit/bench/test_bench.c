/* Whole runs against the null target, and the counting of a window. */
#include "bench/bench.h"
#include "bench/flow.h"
#include "bench/trial.h"
#include "protocol/batch.h"
#include "protocol/crc32c.h"

#include <criterion/criterion.h>
#include <stdio.h>

static void words(struct options *o, const char *line)
{
        static char text[512];
        static char *argv[32];
        int n = 0;
        snprintf(text, sizeof text, "bench %s", line);
        for (char *p = strtok(text, " "); p && n < 31; p = strtok(NULL, " ")) argv[n++] = p;
        cr_assert_eq(options_parse(o, n, argv), 0, "%s", line);
}

struct outcome {
        struct options o;
        struct session s;
        struct result r;
};

static void run(struct outcome *x, const char *line, struct trial t)
{
        struct err e = { 0 };
        words(&x->o, line);
        cr_assert_eq(session_open(&x->s, &x->o, &e), 0, "%s", e.text);
        t.rate = x->o.rate;
        cr_assert_eq(trial_run(&x->s, &t, &x->r, &e), 0, "%s", e.text);
        cr_assert_eq(session_close(&x->s, &e), 0, "%s", e.text);
}

enum { MS = 1000000 };

static void counted(const char *line, uint64_t batch, uint32_t connections)
{
        struct outcome x;
        run(&x, line, (struct trial){ .producers = connections, .records = 20000 });
        cr_assert_geq(x.r.produce.records, 20000);
        cr_assert_leq(x.r.produce.records, 20000 + batch * connections);
        cr_assert_eq(x.r.produce.records, x.r.produce.requests * batch);
        cr_assert_eq(x.r.produce.latency.total, x.r.produce.records);
        cr_assert_gt(x.r.seconds, 0);
        result_free(&x.r);
}

Test(bench, a_closed_loop_sends_what_was_asked_for)
{
        counted("produce --null -B 10 -P 3", 10, 1);
        counted("produce --null -B 7 -P 12 -R 4 -c 5 -t 2 -f 8", 28, 5);
        counted("produce --null -B 10 --io posix -c 2 -t 2", 10, 2);
        counted("produce --null -B 10 --topics 3 -P 2 --acks 0", 10, 1);
        counted("rtt --null -s 100", 1, 1);
}

Test(bench, an_open_loop_keeps_its_rate)
{
        struct outcome x;
        run(&x, "produce --null -B 10 -r 20k -c 2",
            (struct trial){ .producers = 2, .warmup_ns = 100 * MS, .duration_ns = 500 * MS });
        cr_assert_eq(x.r.produce.unsent, 0);
        /* Every batch whose intended time lies in the window, however late it was answered. */
        cr_assert_float_eq((double)x.r.produce.latency.total, 10000, 20);
        result_free(&x.r);
}

Test(bench, an_open_loop_that_cannot_keep_up_says_so)
{
        struct outcome x;
        run(&x, "produce --null -B 1 -s 100 -r 100M -f 2",
            (struct trial){ .producers = 1, .duration_ns = 200 * MS });
        cr_assert_gt(x.r.produce.unsent, 0);
        cr_assert_gt(hist_quantile(&x.r.produce.latency, 0.99), 100 * MS);
        result_free(&x.r);
}

Test(bench, consuming_counts_what_came)
{
        struct outcome x;
        run(&x, "consume --null -B 10 -P 6 -C 2 -F 3",
            (struct trial){ .consumers = 2, .duration_ns = 200 * MS, .from_beginning = true });
        cr_assert_gt(x.r.fetch.records, 0);
        cr_assert_eq(x.r.fetch.records % 10, 0);
        result_free(&x.r);
}

struct stamping {
        struct record_visitor v;
        uint64_t seq, skip;
};

static int stamp_one(struct record_visitor *v, const struct record *r)
{
        struct stamping *x = CONTAINER_OF(v, struct stamping, v);
        if (x->seq == x->skip) x->seq++;
        const struct stamp s = { .run = 9, .seq = x->seq++ };
        stamp_write((uint8_t *)(uintptr_t)r->value.p, &s, stamp_payload_hash(r->value));
        return 0;
}

/* The null target's one batch, with numbers in its records. */
static struct check_result check_of(uint64_t skip)
{
        struct outcome x;
        struct err e = { 0 };
        struct batch b;
        struct stamping stamping = { { stamp_one }, 0, skip };
        words(&x.o, "consume --null -B 10 -s 100");
        cr_assert_eq(session_open(&x.s, &x.o, &e), 0, "%s", e.text);
        uint8_t *p = x.s.sink_batch.p;
        cr_assert_null(batch_read(p, x.s.sink_batch.n, true, &b));
        cr_assert_eq(batch_each_record(p, &b, x.s.cx, 1 << 20, &stamping.v, &e), 0);
        store_be32(p + BATCH_CRC, crc32c(0, p + BATCH_CRC_FROM, b.size - BATCH_CRC_FROM));
        const struct trial t = {
                .consumers = 1, .duration_ns = 50 * MS, .from_beginning = true, .check = true
        };
        cr_assert_eq(trial_run(&x.s, &t, &x.r, &e), 0, "%s", e.text);
        struct check_result c = x.r.check;
        result_free(&x.r);
        cr_assert_eq(session_close(&x.s, &e), 0, "%s", e.text);
        cr_assert(c.done);
        cr_assert_eq(c.damaged + c.misplaced + c.foreign + c.reordered, 0);
        return c;
}

Test(bench, a_consumer_sees_loss_and_duplicates)
{
        struct check_result c = check_of(UINT64_MAX);
        cr_assert_eq(c.missing, 0);
        cr_assert_eq(c.duplicated, c.received - 10, "the same ten over and over");
        cr_assert(check_failed(&c));
        c = check_of(4);
        cr_assert_eq(c.missing, 1);
}

Test(bench, a_consumer_sees_a_wrong_checksum)
{
        struct outcome x;
        struct err e = { 0 };
        words(&x.o, "consume --null -B 10 -s 100");
        cr_assert_eq(session_open(&x.s, &x.o, &e), 0, "%s", e.text);
        x.s.sink_batch.p[x.s.sink_batch.n - 1] ^= 1;
        const struct trial t = {
                .consumers = 1, .duration_ns = 50 * MS, .from_beginning = true, .check = true
        };
        cr_assert_lt(trial_run(&x.s, &t, &x.r, &e), 0);
        cr_assert(strstr(e.text, "checksum"), "%s", e.text);
        cr_assert_eq(session_close(&x.s, &e), 0);
}

Test(bench, an_interrupt_ends_the_run)
{
        struct outcome x;
        struct err e = { 0 };
        const volatile sig_atomic_t interrupted = 1;
        words(&x.o, "produce --null");
        cr_assert_eq(session_open(&x.s, &x.o, &e), 0, "%s", e.text);
        x.s.interrupted = &interrupted;
        const struct trial t = { .producers = 1, .duration_ns = UINT64_C(600000) * MS };
        cr_assert_lt(trial_run(&x.s, &t, &x.r, &e), 0);
        cr_assert_str_eq(e.text, "interrupted");
        cr_assert_eq(session_close(&x.s, &e), 0);
}

Test(bench, nobody_there_is_an_error)
{
        char bench[] = "bench", mode[] = "produce", at[] = "--address=127.0.0.1:1";
        char *argv[] = { bench, mode, at, NULL };
        cr_assert_eq(bench_main(3, argv), 1);
}

Test(flow, counts_only_inside_the_window)
{
        struct flow f, sum;
        const struct window w = { 0, 1000 * MS, UINT64_C(3000) * MS };
        cr_assert(flow_init(&f) && flow_init(&sum));
        /* answered and intended: before, across the beginning, inside, across the end */
        static const uint64_t times[][2] = { { 500, 400 }, { 1100, 900 }, { 1500, 1400 },
                { 2500, 2400 }, { 3100, 2900 } };
        for (size_t i = 0; i < 5; i++)
                flow_add(&f, &w,
                    &(struct flow_event){ times[i][0] * MS, times[i][1] * MS, 10, 100, 90 });
        flow_unsent(
            &f, &w, &(struct flow_event){ UINT64_C(3200) * MS, UINT64_C(2200) * MS, 5, 0, 0 });
        cr_assert_eq(f.requests, 3);
        cr_assert_eq(f.records, 30);
        cr_assert_eq(f.bytes, 300);
        cr_assert_eq(f.latency.total, 35);
        cr_assert_eq(f.latency.max, 1000 * MS);
        cr_assert_eq(f.unsent, 5);
        cr_assert_eq(f.n_seconds, 2);
        cr_assert_eq(f.seconds[0].records, 20);
        cr_assert_eq(f.seconds[1].records, 10);
        cr_assert_eq(atomic_load(&f.live_records), 50);
        cr_assert_float_eq(flow_seconds(&f, &w), 2, 1e-9);
        flow_merge(&sum, &f);
        flow_merge(&sum, &f);
        cr_assert_eq(sum.records, 60);
        cr_assert_eq(sum.seconds[0].latency.total, 20);
        flow_free(&f);
        flow_free(&sum);
}
