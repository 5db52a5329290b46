/* The checker's own tests: each rule of oracle.h, kept and broken. */
#include "tests/sim/oracle.h"

#include "base/check.h"
#include "protocol/batch.h"

#include <criterion/criterion.h>

enum { BATCHES = 6 };

/* A partition's log as a server would keep it: batches back to back. */
struct fixture {
        struct oracle oracle;
        uint8_t *bytes[BATCHES];
        size_t size[BATCHES];
        uint32_t number[BATCHES];
        uint8_t log[1 << 16];
        size_t log_size;
        int64_t end;
        struct err e;
};

static struct fixture *fixture_new(void)
{
        struct fixture *f = calloc(1, sizeof *f);
        cr_assert_eq(oracle_init(&f->oracle, 2), 0);
        for (uint32_t i = 0; i < BATCHES; i++) {
                struct oracle_send s = { .stream = 1, .count = 2, .size_max = 300, .size_seed = i };
                s.codec = i % 2 ? CODEC_ZSTD : CODEC_NONE;
                f->bytes[i] = oracle_batch_new(&f->oracle, &s, &f->size[i], &f->number[i]);
        }
        return f;
}

static void fixture_free(struct fixture *f)
{
        for (int i = 0; i < BATCHES; i++) free(f->bytes[i]);
        oracle_free(&f->oracle);
        free(f);
}

static void put(struct fixture *f, int i)
{
        memcpy(f->log + f->log_size, f->bytes[i], f->size[i]);
        batch_set_base_offset(f->log + f->log_size, f->end);
        f->log_size += f->size[i];
        f->end += 2;
}

static int ack(struct fixture *f, int i, int64_t base)
{
        return oracle_acked(&f->oracle, 0, f->number[i], base, &f->e);
}

static int check(struct fixture *f)
{
        int64_t next = 0;
        oracle_check_begin(&f->oracle, 0);
        struct bytes all = { f->log, (int32_t)f->log_size };
        int r = oracle_fetched(&f->oracle, 0, 0, all, &next, &f->e);
        return r < 0 ? r : oracle_check_end(&f->oracle, 0, f->end, &f->e);
}

Test(oracle, acked_and_a_prefix_of_the_rest_is_right)
{
        struct fixture *f = fixture_new();
        for (int i = 0; i < 4; i++) put(f, i);
        cr_assert_eq(ack(f, 0, 0), 0);
        cr_assert_eq(ack(f, 1, 2), 0);
        for (uint32_t i = 2; i < BATCHES; i++) oracle_lost(&f->oracle, 0, f->number[i]);
        cr_assert_eq(check(f), 0, "%s", f->e.text);
        cr_assert_eq(check(f), 0, "twice gives the same: %s", f->e.text);
        fixture_free(f);
}

Test(oracle, an_acked_batch_that_is_gone_is_found)
{
        struct fixture *f = fixture_new();
        put(f, 0);
        ack(f, 0, 0);
        ack(f, 1, 2);
        cr_assert_lt(check(f), 0);
        fixture_free(f);
}

Test(oracle, an_acked_batch_at_another_offset_is_found)
{
        struct fixture *f = fixture_new();
        put(f, 0);
        put(f, 1);
        ack(f, 0, 2);
        cr_assert_lt(check(f), 0);
        fixture_free(f);
}

Test(oracle, a_hole_in_what_one_connection_sent_is_found)
{
        struct fixture *f = fixture_new();
        put(f, 0);
        put(f, 2);
        for (uint32_t i = 0; i < BATCHES; i++) oracle_lost(&f->oracle, 0, f->number[i]);
        cr_assert_lt(check(f), 0);
        oracle_refused(&f->oracle, 0, f->number[1]); /* no hole, when the server said no */
        cr_assert_eq(check(f), 0, "%s", f->e.text);
        fixture_free(f);
}

Test(oracle, another_order_is_found)
{
        struct fixture *f = fixture_new();
        put(f, 1);
        put(f, 0);
        cr_assert_lt(check(f), 0);
        fixture_free(f);
}

Test(oracle, a_second_copy_is_found)
{
        struct fixture *f = fixture_new();
        put(f, 0);
        put(f, 0);
        cr_assert_lt(check(f), 0);
        fixture_free(f);
}

Test(oracle, a_refused_batch_in_the_log_is_found)
{
        struct fixture *f = fixture_new();
        oracle_refused(&f->oracle, 0, f->number[0]);
        put(f, 0);
        cr_assert_lt(check(f), 0);
        fixture_free(f);
}

Test(oracle, any_changed_byte_of_the_records_is_found)
{
        for (size_t at = BATCH_CRC; at < 200; at++) {
                struct fixture *f = fixture_new();
                put(f, 0);
                f->log[at] ^= 1;
                cr_assert_lt(check(f), 0, "byte %zu", at);
                fixture_free(f);
        }
}

Test(oracle, records_of_another_partition_are_found)
{
        struct fixture *f = fixture_new();
        struct oracle_send s = { .partition = 1, .stream = 2, .count = 1, .size_max = 100 };
        uint32_t number;
        size_t n;
        uint8_t *bytes = oracle_batch_new(&f->oracle, &s, &n, &number);
        int64_t next;
        cr_assert_lt(
            oracle_fetched(&f->oracle, 0, 0, (struct bytes){ bytes, (int32_t)n }, &next, &f->e), 0);
        cr_assert_eq(
            oracle_fetched(&f->oracle, 1, 0, (struct bytes){ bytes, (int32_t)n }, &next, &f->e), 0);
        cr_assert_eq(next, 1);
        free(bytes);
        fixture_free(f);
}

Test(oracle, what_was_visible_may_not_change_or_vanish)
{
        struct fixture *f = fixture_new();
        int64_t next;
        put(f, 0);
        cr_assert_eq(oracle_fetched(&f->oracle, 0, 0,
                         (struct bytes){ f->log, (int32_t)f->log_size }, &next, &f->e),
            0);
        oracle_high(&f->oracle, 0, 2);
        oracle_high(&f->oracle, 0, 1);
        cr_assert_eq(check(f), 0, "%s", f->e.text);
        f->log_size = 0;
        f->end = 0;
        cr_assert_lt(check(f), 0, "vanished");
        put(f, 1);
        cr_assert_lt(check(f), 0, "something else at its offset");
        fixture_free(f);
}

Test(oracle, a_gap_in_offsets_is_found)
{
        struct fixture *f = fixture_new();
        put(f, 0);
        f->end = 5;
        put(f, 1);
        cr_assert_lt(check(f), 0);
        fixture_free(f);
}

Test(oracle, a_high_watermark_above_the_records_is_found)
{
        struct fixture *f = fixture_new();
        put(f, 0);
        f->end = 4;
        cr_assert_lt(check(f), 0);
        fixture_free(f);
}
