/* Append, flush, read back, stop, start again. */
#include "tests/unit/storage/storage_fixture.h"

static const struct batch_spec small = { .count = 3, .value = 40, .timestamp = 1000, .step = 1 };

STORAGE_TEST(basic, what_goes_in_comes_out)
{
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        cr_assert_eq(append_many(w, p, &small, 50), 150);
        struct log_bytes all;
        read_all(w, p, 1000, &all);
        cr_assert_eq(all.batches, 50);
        log_bytes_free(&all);
        world_close(w);
}

STORAGE_TEST(basic, survives_a_clean_stop_and_a_kill)
{
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        struct log_bytes before, after;
        append_many(w, p, &small, 50);
        read_all(w, p, 1 << 20, &before);
        for (int i = 0; i < 4; i++) {
                world_reopen(w, i % 2 == 0);
                cr_assert_eq(w->store->was_clean, i % 2 == 0);
                p = world_partition(w, 1, NULL);
                read_all(w, p, 1 << 20, &after);
                cr_assert_eq(after.n, before.n);
                cr_assert_eq(memcmp(after.p, before.p, after.n), 0);
                log_bytes_free(&after);
        }
        cr_assert_eq(append_many(w, p, &small, 1), 153);
        log_bytes_free(&before);
        read_all(w, p, 1 << 20, &before);
        world_reopen(w, false);
        p = world_partition(w, 1, NULL);
        read_all(w, p, 100, &after);
        cr_assert_eq(after.end, 153);
        cr_assert_eq(memcmp(after.p, before.p, after.n), 0);
        log_bytes_free(&after);
        log_bytes_free(&before);
        world_close(w);
}

STORAGE_TEST(basic, large_and_small_batches_mixed)
{
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        struct log_bytes before, after;
        for (uint32_t i = 0; i < 40; i++) {
                struct batch_spec s = { .count = 1 + (int32_t)(i % 3), .seed = i, .timestamp = i };
                s.value = i % 7 == 0 ? 700000 : i % 3 == 0 ? 9000 : 100;
                append_many(w, p, &s, 1 + i % 4);
        }
        read_all(w, p, 100000, &before);
        world_reopen(w, false);
        p = world_partition(w, 1, NULL);
        read_all(w, p, 1 << 20, &after);
        cr_assert_eq(after.n, before.n);
        cr_assert_eq(memcmp(after.p, before.p, after.n), 0);
        log_bytes_free(&before);
        log_bytes_free(&after);
        world_close(w);
}
