/* The proof that records are whole finds each kind of damage, and nothing else. */
#include "bench/check.h"

#include <criterion/criterion.h>

enum { PARTITIONS = 3, PRODUCERS = 2, VALUE = 100, RUN = 77 };

static struct check fresh(void)
{
        struct check c;
        cr_assert(check_init(&c, RUN, PARTITIONS, PRODUCERS));
        return c;
}

static struct bytes value(uint32_t partition, uint32_t producer, uint64_t seq)
{
        static uint8_t bytes[VALUE];
        struct bytes v = { bytes, VALUE };
        for (int i = STAMP_SIZE; i < VALUE; i++) bytes[i] = (uint8_t)(i * 7);
        const struct stamp s = { .run = RUN,
                .partition = partition,
                .producer = producer,
                .seq = seq,
                .intended_ns = 5 };
        stamp_write(bytes, &s, stamp_payload_hash(v));
        return v;
}

static void feed(struct check *c, const uint64_t *seqs, size_t n)
{
        for (size_t i = 0; i < n; i++) check_record(c, 1, value(1, 0, seqs[i]));
}

static void expect(struct check *c, const uint64_t found[4])
{
        cr_assert_eq(check_missing(c), found[0], "missing %lu", check_missing(c));
        cr_assert_eq(c->duplicated, found[1], "duplicated %lu", c->duplicated);
        cr_assert_eq(c->reordered, found[2], "reordered %lu", c->reordered);
        cr_assert_eq(c->damaged + c->misplaced + c->foreign, found[3]);
        check_free(c);
}

#define FEED(c, ...)                                  \
        feed(&(c), (const uint64_t[]){ __VA_ARGS__ }, \
            sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))
#define EXPECT(c, ...) expect(&(c), (const uint64_t[4]){ __VA_ARGS__ })

Test(check, a_whole_stream_is_clean)
{
        struct check c = fresh();
        for (uint64_t i = 0; i < 1000; i++)
                for (uint32_t p = 0; p < PARTITIONS; p++)
                        for (uint32_t k = 0; k < PRODUCERS; k++)
                                check_record(&c, p, value(p, k, i));
        cr_assert_eq(c.records, 1000 * PARTITIONS * PRODUCERS);
        cr_assert_eq(check_tail(&c, 2, 1, 1000), 0);
        cr_assert_eq(check_tail(&c, 2, 1, 1003), 3);
        EXPECT(c, 0, 0, 0, 0);
}

Test(check, a_gap_is_loss)
{
        struct check c = fresh();
        FEED(c, 0, 1, 4, 5);
        EXPECT(c, 2, 0, 0, 0);
}

Test(check, the_first_records_may_be_lost_too)
{
        struct check c = fresh();
        FEED(c, 3);
        EXPECT(c, 3, 0, 0, 0);
}

Test(check, the_same_twice_is_a_duplicate)
{
        struct check c = fresh();
        FEED(c, 0, 1, 1, 2, 0);
        EXPECT(c, 0, 2, 0, 0);
}

Test(check, late_is_reordered_not_lost)
{
        struct check c = fresh();
        FEED(c, 0, 3, 2, 1, 4);
        EXPECT(c, 0, 0, 2, 0);
}

Test(check, late_and_again_is_both)
{
        struct check c = fresh();
        FEED(c, 0, 5, 3, 3, 6);
        EXPECT(c, 3, 1, 1, 0);
}

Test(check, many_gaps_are_counted_even_beyond_the_table)
{
        struct check c = fresh();
        for (uint64_t i = 0; i < 2 * CHECK_GAPS_MAX; i++)
                check_record(&c, 0, value(0, 0, i * 2 + 1));
        EXPECT(c, 2 * CHECK_GAPS_MAX, 0, 0, 0);
}

Test(check, every_flipped_bit_is_seen)
{
        for (int bit = 32; bit < VALUE * 8; bit++) { /* the mark's own: see below */
                struct check c = fresh();
                struct bytes v = value(1, 0, 0);
                uint8_t copy[VALUE];
                memcpy(copy, v.p, VALUE);
                copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
                check_record(&c, 1, (struct bytes){ copy, VALUE });
                cr_assert_eq(c.damaged, 1, "bit %d", bit);
                check_free(&c);
        }
}

Test(check, without_the_mark_it_is_nobodys_and_misses)
{
        struct check c = fresh();
        uint8_t zeros[VALUE] = { 0 };
        FEED(c, 0);
        check_record(&c, 1, (struct bytes){ zeros, VALUE });
        check_record(&c, 1, (struct bytes){ zeros, 8 });
        check_record(&c, 1, (struct bytes){ NULL, -1 });
        FEED(c, 2);
        EXPECT(c, 1, 0, 0, 3);
}

Test(check, the_wrong_partition_and_other_runs_are_told_apart)
{
        struct check c = fresh();
        check_record(&c, 2, value(1, 0, 0));
        cr_assert_eq(c.misplaced, 1);
        check_record(&c, 1, value(1, PRODUCERS, 0));
        cr_assert_eq(c.misplaced, 2);
        c.run = RUN + 1;
        check_record(&c, 1, value(1, 0, 0));
        cr_assert_eq(c.foreign, 1);
        check_free(&c);
}

Test(check, without_a_run_the_first_record_says_which)
{
        struct check c = fresh();
        c.run = 0;
        FEED(c, 0, 1);
        cr_assert_eq(c.run, RUN);
        EXPECT(c, 0, 0, 0, 0);
}
