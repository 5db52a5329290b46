/* Batching, partitioning and the schedule of an open loop. */
#include "tests/unit/bench/bench_fixture.h"

#include <criterion/criterion.h>
#include <math.h>

Test(script, round_robin_visits_all_partitions_alike)
{
        struct rig g;
        struct script s;
        uint32_t hits[4] = { 0 };
        rig_init(&g);
        g.spec.start = 2;
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        cr_assert_eq(s.frames[0].batches[0].partition, 2);
        for (uint32_t i = 0; i < s.n; i++) {
                cr_assert_eq(s.frames[i].records, 10);
                hits[s.frames[i].batches[0].partition]++;
        }
        for (int i = 1; i < 4; i++) cr_assert_eq(hits[i], hits[0]);
        cr_assert_eq(s.period_ns, 0);
        script_free(&s);
        rig_free(&g);
}

Test(script, a_share_stays_inside_itself)
{
        struct rig g;
        struct script s;
        rig_init(&g);
        g.set.partitions = 10;
        g.spec.first = 3;
        g.spec.n_partitions = 4;
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        cr_assert_eq(s.covered, 4);
        for (uint32_t i = 0; i < s.n; i++) {
                uint32_t p = s.frames[i].batches[0].partition;
                cr_assert(p >= 3 && p < 7);
        }
        script_free(&s);
        rig_free(&g);
}

Test(script, batches_are_full_by_bytes)
{
        struct rig g;
        struct script s;
        rig_init(&g);
        g.spec.batch_records = UINT32_MAX;
        g.spec.batch_bytes = 5000;
        g.spec.size = (struct size_dist){ SIZE_UNIFORM, 10, 1000 };
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        for (uint32_t i = 0; i < s.n; i++) cr_assert_leq(s.frames[i].batches[0].size, 5000 + 61);
        cr_assert_geq(s.bytes, g.spec.ring_bytes, "sizes differ, so the ring is filled");
        script_free(&s);
        rig_free(&g);
}

Test(script, keys_always_go_to_their_partition)
{
        struct rig g;
        struct script s;
        struct seen_frame f;
        rig_init(&g);
        rig_keys(&g, (struct key_dist){ KEYS_ZIPF, 500, 1 });
        g.spec.partitions_per_request = 3;
        g.spec.ring_bytes = 100000;
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        for (uint32_t i = 0; i < s.n; i++) {
                frame_see(&g, &s.frames[i], &f);
                for (uint32_t k = 1; k < f.n; k++)
                        cr_assert_gt(f.batches[k].partition, f.batches[k - 1].partition);
        }
        cr_assert_eq(s.covered, 4);
        script_free(&s);
        rig_free(&g);
}

Test(script, an_open_loop_keeps_its_rate_round_after_round)
{
        struct rig g;
        struct script s;
        rig_init(&g);
        g.spec.rate.records = 1000;
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        cr_assert_float_eq(s.period_ns, (double)s.records * 1e6, 1);
        double last = -1;
        for (uint64_t i = 0; i < 5 * s.n; i++) {
                struct script_time t = script_time(&s, i);
                cr_assert_float_eq(t.due_ns, (double)(i + 1) * 10e6, 10, "send %lu", i);
                cr_assert_eq(t.oldest_ns, t.due_ns);
                cr_assert_gt(t.due_ns, last);
                last = t.due_ns;
        }
        script_free(&s);
        rig_free(&g);
}

Test(script, a_rate_in_bytes_counts_keys_and_values)
{
        struct rig g;
        struct script s;
        rig_init(&g);
        rig_keys(&g, (struct key_dist){ KEYS_UNIFORM, 100, 0 });
        g.spec.rate.bytes = 1e6;
        g.spec.ring_bytes = 100000;
        g.spec.size = (struct size_dist){ SIZE_UNIFORM, 50, 150 };
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        double user = 0;
        for (uint32_t i = 0; i < s.n; i++) user += (double)s.frames[i].user_bytes;
        cr_assert_float_eq(s.period_ns, user * 1e3, 1);
        script_free(&s);
        rig_free(&g);
}

Test(script, linger_lets_batches_go_before_they_are_full)
{
        struct rig g;
        struct script s;
        rig_init(&g);
        g.spec.rate.records = 1000; /* one each ms */
        g.spec.linger_ns = 3500000;
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        for (uint32_t i = 0; i + 1 < s.n; i++) {
                const struct frame *f = &s.frames[i];
                cr_assert_float_eq(f->due_ns - f->oldest_ns, 3.5e6, 1);
                cr_assert_eq(f->records, 4);
        }
        cr_assert_float_eq(s.period_ns, (double)s.records * 1e6, 1);
        script_free(&s);
        rig_free(&g);
}

Test(script, with_a_long_linger_batches_fill)
{
        struct rig g;
        struct script s;
        rig_init(&g);
        g.spec.rate.records = 1000;
        g.spec.linger_ns = UINT64_C(60000000000);
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        for (uint32_t i = 0; i + 1 < s.n; i++) {
                cr_assert_eq(s.frames[i].records, 10);
                cr_assert_float_eq(s.frames[i].due_ns - s.frames[i].oldest_ns, 9e6, 10);
        }
        script_free(&s);
        rig_free(&g);
}

Test(script, a_hundred_thousand_partitions)
{
        struct rig g;
        struct script s;
        rig_init(&g);
        g.set.n = 1;
        g.set.partitions = g.spec.n_partitions = 100000;
        g.spec.size.a = 64;
        g.spec.batch_records = 1;
        g.spec.partitions_per_request = 100;
        g.spec.ring_bytes = 64 << 20;
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        cr_assert_eq(s.n, 1000);
        cr_assert_eq(s.covered, 100000);
        script_free(&s);
        rig_free(&g);
}
