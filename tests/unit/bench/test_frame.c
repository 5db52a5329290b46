/* Prebuilt requests decode with the generated codec, and stay right when they are patched. */
#include "tests/unit/bench/bench_fixture.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static void see_all(const struct rig *g, struct script *s)
{
        struct seen_frame f;
        uint64_t records = 0;
        for (uint32_t i = 0; i < s->n; i++) {
                frame_set_correlation(&s->frames[i], 1000 + i);
                frame_see(g, &s->frames[i], &f);
                cr_assert_eq(f.correlation, 1000 + i);
                cr_assert_eq(f.acks, g->spec.frame.acks);
                for (uint32_t k = 0; k < f.n; k++) {
                        cr_assert_eq(f.batches[k].partition, s->frames[i].batches[k].partition);
                        records += (uint64_t)f.batches[k].batch.count;
                }
        }
        cr_assert_eq(records, s->records);
}

Test(frame, every_version_decodes)
{
        for (int16_t version = 3; version <= 13; version++) {
                struct rig g;
                struct script s;
                rig_init(&g);
                g.set.n = 3;
                g.spec.n_partitions = 12;
                g.spec.partitions_per_request = 5;
                g.spec.frame.version = version;
                g.spec.frame.acks = 1;
                cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
                cr_assert_geq(s.n, g.spec.frames_least);
                cr_assert_eq(s.covered, 12);
                see_all(&g, &s);
                script_free(&s);
                rig_free(&g);
        }
}

/* All stamps of one round, in order of partition. */
struct collect {
        struct record_visitor v;
        struct check *check;
        uint32_t partition;
        uint64_t intended, seen;
};

static int on_record(struct record_visitor *v, const struct record *r)
{
        struct collect *c = CONTAINER_OF(v, struct collect, v);
        check_record(c->check, c->partition, r->value);
        if (stamp_intended(r->value.p) == c->intended) c->seen++;
        return 0;
}

static void stamped_rounds(enum codec codec)
{
        struct rig g;
        struct script s;
        struct check check;
        uint64_t seq[4] = { 0 }, total = 0;
        rig_init(&g);
        g.spec.frame.codec = codec;
        g.spec.frame.stamped = g.spec.frame.check = true;
        g.spec.partitions_per_request = 2;
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        cr_assert(check_init(&check, 5, 4, 9));
        for (uint32_t i = 0; i < 3 * s.n; i++) {
                struct frame *f = &s.frames[i % s.n];
                const struct frame_stamp t = { .run = 5,
                        .producer = 8,
                        .intended_ns = 1000 + i,
                        .wall_ms = 1800000000000 + i,
                        .seq = seq };
                struct seen_frame seen;
                cr_assert_eq(frame_stamp(&s.spec, f, &t, NULL), 0);
                frame_see(&g, f, &seen);
                for (uint32_t k = 0; k < seen.n; k++) {
                        struct collect c = { { on_record }, &check, seen.batches[k].partition,
                                1000 + i, 0 };
                        const struct batch *b = &seen.batches[k].batch;
                        cr_assert_eq(b->base_timestamp, t.wall_ms);
                        cr_assert_eq(b->max_timestamp, t.wall_ms);
                        cr_assert_eq(
                            batch_each_record(seen.batches[k].at, b, g.cx, 1 << 28, &c.v, NULL), 0);
                        cr_assert_eq(c.seen, (uint64_t)b->count);
                        total += (uint64_t)b->count;
                }
        }
        cr_assert_eq(check.records, total);
        cr_assert_eq(seq[0] + seq[1] + seq[2] + seq[3], total);
        cr_assert_eq(
            check.damaged + check.duplicated + check.reordered + check.misplaced + check.foreign,
            0);
        cr_assert_eq(check_missing(&check), 0);
        for (uint32_t p = 0; p < 4; p++) cr_assert_eq(check_tail(&check, p, 8, seq[p]), 0);
        check_free(&check);
        script_free(&s);
        rig_free(&g);
}

Test(frame, stamps_leave_requests_valid)
{
        stamped_rounds(CODEC_NONE);
}

Test(frame, stamps_in_compressed_batches_too)
{
        for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++)
                stamped_rounds((enum codec)codec);
}

Test(frame, without_check_the_first_record_carries_the_time)
{
        struct rig g;
        struct script s;
        rig_init(&g);
        g.spec.frame.stamped = true;
        cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
        const struct frame_stamp t = { .run = 5, .intended_ns = 424242, .wall_ms = 1800000000000 };
        struct seen_frame seen;
        cr_assert_eq(frame_stamp(&s.spec, &s.frames[1], &t, NULL), 0);
        frame_see(&g, &s.frames[1], &seen);
        struct frame_batch *b = &s.frames[1].batches[0];
        cr_assert_eq(stamp_intended(s.frames[1].bytes + b->at + b->values[0].at), 424242);
        script_free(&s);
        rig_free(&g);
}

Test(frame, records_too_small_for_a_stamp_are_refused)
{
        struct rig g;
        struct script s;
        struct err e;
        rig_init(&g);
        g.spec.size.a = STAMP_SIZE - 1;
        g.spec.frame.stamped = true;
        cr_assert_lt(script_build(&g.spec, &s, &e), 0);
        cr_assert(strstr(e.text, "no room"), "%s", e.text);
        rig_free(&g);
}

Test(frame, compressed_scripts_decode)
{
        for (int codec = CODEC_GZIP; codec < CODEC_COUNT; codec++) {
                struct rig g;
                struct script s;
                struct seen_frame f;
                rig_init(&g);
                g.spec.frame.codec = (enum codec)codec;
                cr_assert_eq(script_build(&g.spec, &s, NULL), 0);
                frame_see(&g, &s.frames[0], &f);
                cr_assert_eq((int)batch_codec(&f.batches[0].batch), codec);
                see_all(&g, &s);
                script_free(&s);
                rig_free(&g);
        }
}
