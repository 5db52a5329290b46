/* The reply list: segments, borrowed bytes, holes, running out of memory. */
#include "tests/unit/protocol/message_util.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct arena arena;
static struct out out;

static void setup(void)
{
        arena_init(&arena, 1 << 20);
        out_init(&out, &arena);
}
static void teardown(void)
{
        arena_reset(&arena);
}

TestSuite(out, .init = setup, .fini = teardown);

Test(out, an_empty_message_has_no_segments)
{
        cr_expect_eq(out_total(&out), 0);
        cr_expect_eq(out_segments(&out), 0);
        cr_expect_eq(arena.used, 0);
}

Test(out, primitives)
{
        out_i8(&out, -1);
        out_i16(&out, 0x0102);
        out_i32(&out, INT32_MIN);
        out_i64(&out, 0x0102030405060708);
        out_bool(&out, true);
        out_f64(&out, 1.5);
        out_u16(&out, 0xfffe);
        out_u32(&out, 0xfffffffe);
        out_uuid(&out, (struct uuid){ { 1, 2, 3 } });
        cr_expect_eq(out_segments(&out), 1);
        expect_bytes(bytes_of_out(&out),
            "ff 0102 80000000 0102030405060708 01 3ff8000000000000 fffe fffffffe"
            "01020300000000000000000000000000",
            "primitives");
}

Test(out, uvarints)
{
        static const uint32_t values[] = { 0, 127, 128, 0x3fff, 0x4000, 0x1fffff, 0x200000,
                0xfffffff, 0x10000000, UINT32_MAX };
        for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
                size_t before = out_total(&out);
                out_uvarint(&out, values[i]);
                cr_expect_eq(out_total(&out) - before, size_uvarint(values[i]));
        }
        expect_bytes(bytes_of_out(&out),
            "00 7f 8001 ff7f 808001 ffff7f 80808001 ffffff7f 8080808001 ffffffff0f", "uvarints");
}

Test(out, strings_and_nulls_in_every_form)
{
        for (unsigned form = 0; form < 4; form++) {
                out_str(&out, STR("hi"), form);
                out_str(&out, STR_NULL, form);
                out_blob(&out, (struct bytes){ NULL, -1 }, form);
                cr_expect_eq(out_count(&out, -1, form), 0);
                cr_expect_eq(out_count(&out, 2, form), 2);
        }
        expect_bytes(bytes_of_out(&out),
            "0002 6869 0000 00000000 00000000 00000002" /* classic: null becomes empty */
            "03 6869 01 01 01 03"                       /* compact                     */
            "0002 6869 ffff ffffffff ffffffff 00000002" /* classic, nullable           */
            "03 6869 00 00 00 03",
            "forms");
        cr_expect_not(out.bad);
}

Test(out, a_string_that_does_not_fit_its_length)
{
        char *text = calloc(INT16_MAX + 1, 1);
        cr_assert_not_null(text);
        out_str(&out, (struct str){ text, INT16_MAX }, WIRE_CLASSIC);
        cr_expect_not(out.bad);
        out_str(&out, (struct str){ text, INT16_MAX + 1 }, WIRE_COMPACT);
        cr_expect_not(out.bad);
        out_str(&out, (struct str){ text, INT16_MAX + 1 }, WIRE_CLASSIC);
        cr_expect(out.bad);
        free(text);
}

Test(out, borrowed_bytes_are_segments_of_their_own)
{
        static const uint8_t a[] = { 0xaa, 0xab }, b[] = { 0xbb }, c[] = { 0xcc };
        const struct slice slices[] = { { a, 2, NULL }, { b, 1, NULL } };
        out_i8(&out, 1);
        out_records(
            &out, &(struct records){ .n = 3, .n_slices = 2, .slices = slices }, WIRE_COMPACT);
        out_i8(&out, 2);
        out_records(&out, &(struct records){ .p = c, .n = 1 }, WIRE_CLASSIC);
        out_records(&out, &(struct records){ .n = -1 }, WIRE_CLASSIC | WIRE_NULLABLE);
        out_borrow(&out, a, 2);
        cr_expect_eq(out_segments(&out), 7);
        cr_expect_eq(out.iov[1].iov_base, a);
        cr_expect_eq(out.iov[2].iov_base, b);
        cr_expect_eq(out.iov[4].iov_base, c);
        cr_expect_eq(out.iov[6].iov_base, a);
        expect_bytes(bytes_of_out(&out), "01 04 aaab bb 02 00000001 cc ffffffff aaab", "borrowed");
}

Test(out, a_hole_is_filled_later)
{
        struct out_hole size = out_hole_i32(&out);
        out_borrow(&out, "xyz", 3);
        for (int i = 0; i < 1000; i++) out_i32(&out, 7);
        out_patch_i32(size, (int32_t)(out_total(&out) - size.total));
        struct bytes_mut got = bytes_of_out(&out);
        cr_expect_eq(size.total, 4);
        cr_expect_eq(load_be32(got.p), 4003);
        cr_expect_eq(got.n, 4007);
        free(got.p);
}

Test(out, many_segments_keep_their_order)
{
        static uint8_t numbers[256];
        for (unsigned i = 0; i < 2560; i++) {
                numbers[i % 256] = (uint8_t)(i % 256);
                if (i % 3)
                        out_borrow(&out, &numbers[i % 256], 1);
                else
                        out_u8(&out, (uint8_t)i);
        }
        struct bytes_mut got = bytes_of_out(&out);
        cr_assert_eq(got.n, 2560);
        for (unsigned i = 0; i < 2560; i++) cr_assert_eq(got.p[i], i % 256);
        free(got.p);
}

Test(out, memory_runs_out_once_and_for_all)
{
        static uint8_t block[10000];
        for (int i = 0; i < 1000 && !out.bad; i++) out_bytes(&out, block, sizeof block);
        cr_expect(out.bad);
        cr_expect_leq(arena.used, arena.limit);
        size_t total = out_total(&out);
        out_i32(&out, 1);
        out_uvarint(&out, 1 << 20);
        out_str(&out, STR("x"), WIRE_COMPACT);
        out_borrow(&out, block, 10);
        out_patch_i32(out_hole_i32(&out), 5);
        cr_expect_eq(out_total(&out), total);
        cr_expect(out.bad);
}
