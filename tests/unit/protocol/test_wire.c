/* The cursor: every primitive, both forms of lengths, and what must be refused. */
#include "tests/unit/protocol/message_util.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct cursor of_hex(const char *hex)
{
        struct bytes_mut b = bytes_kept(hex);
        return cursor_of(b.p, b.n);
}

static void expect_bad(const struct cursor *c, const char *why, size_t fault_at)
{
        cr_assert(c->bad);
        cr_expect_str_eq(c->why, why);
        cr_expect_eq(c->fault_at, fault_at);
        cr_expect_eq(cursor_left(c), 0);
}

Test(wire, integers_are_big_endian)
{
        struct cursor c =
            of_hex("ff 0102 80000000 0102030405060708 02 fffe fffffffe 3ff8000000000000");
        cr_expect_eq(cursor_i8(&c), -1);
        cr_expect_eq(cursor_i16(&c), 0x0102);
        cr_expect_eq(cursor_i32(&c), INT32_MIN);
        cr_expect_eq(cursor_i64(&c), INT64_C(0x0102030405060708));
        cr_expect_eq(cursor_bool(&c), true);
        cr_expect_eq(cursor_u16(&c), 0xfffe);
        cr_expect_eq(cursor_u32(&c), 0xfffffffe);
        cr_expect_eq(cursor_f64(&c), 1.5);
        cr_expect_not(c.bad);
        cr_expect_eq(cursor_left(&c), 0);
}

Test(wire, the_first_failure_stays)
{
        struct cursor c = of_hex("000102");
        cr_expect_eq(cursor_i16(&c), 1);
        cr_expect_eq(cursor_i32(&c), 0);
        expect_bad(&c, "ends inside a field", 2);
        cr_expect_eq(cursor_i8(&c), 0);
        cr_expect_eq(cursor_uvarint(&c), 0);
        cr_expect_eq(cursor_str(&c, WIRE_CLASSIC | WIRE_NULLABLE).n, -1);
        cr_expect_eq(cursor_str(&c, WIRE_COMPACT).n, 0);
        cr_expect_eq(cursor_count(&c, WIRE_CLASSIC, 1), 0);
        cursor_fail(&c, "later");
        expect_bad(&c, "ends inside a field", 2);
}

Test(wire, uvarints)
{
        struct cursor c = of_hex("00 7f 8001 ffff03 808001 ffffffff0f 8080808000");
        cr_expect_eq(cursor_uvarint(&c), 0);
        cr_expect_eq(cursor_uvarint(&c), 127);
        cr_expect_eq(cursor_uvarint(&c), 128);
        cr_expect_eq(cursor_uvarint(&c), 0xffff);
        cr_expect_eq(cursor_uvarint(&c), 0x4000);
        cr_expect_eq(cursor_uvarint(&c), UINT32_MAX);
        cr_expect_eq(cursor_uvarint(&c), 0);
        cr_expect_not(c.bad);
        cr_expect_eq(cursor_left(&c), 0);
}

Test(wire, uvarints_that_are_too_long)
{
        struct cursor c = of_hex("808080808001");
        cursor_uvarint(&c);
        expect_bad(&c, "varint is longer than 32 bits", 5);
        c = of_hex("ffffffff1f");
        cursor_uvarint(&c);
        expect_bad(&c, "varint is longer than 32 bits", 5);
        c = of_hex("8080");
        cursor_uvarint(&c);
        expect_bad(&c, "ends inside a field", 2);
}

Test(wire, strings_in_both_forms)
{
        struct cursor c = of_hex("0002 6869 0000 ffff 03 6869 01 00");
        cr_expect(str_eq(cursor_str(&c, WIRE_CLASSIC), STR("hi")));
        cr_expect_eq(cursor_str(&c, WIRE_CLASSIC).n, 0);
        cr_expect(str_is_null(cursor_str(&c, WIRE_CLASSIC | WIRE_NULLABLE)));
        cr_expect(str_eq(cursor_str(&c, WIRE_COMPACT), STR("hi")));
        cr_expect_eq(cursor_str(&c, WIRE_COMPACT | WIRE_NULLABLE).n, 0);
        cr_expect(str_is_null(cursor_str(&c, WIRE_COMPACT | WIRE_NULLABLE)));
        cr_expect_not(c.bad);
        cr_expect_eq(cursor_left(&c), 0);
}

Test(wire, bytes_in_both_forms)
{
        struct cursor c = of_hex("00000002 cafe ffffffff 03 cafe 00");
        struct bytes b = cursor_bytes(&c, WIRE_CLASSIC);
        cr_expect(b.n == 2 && b.p == c.begin + 4);
        cr_expect_eq(cursor_bytes(&c, WIRE_CLASSIC | WIRE_NULLABLE).n, -1);
        cr_expect_eq(cursor_bytes(&c, WIRE_COMPACT).n, 2);
        cr_expect_eq(cursor_bytes(&c, WIRE_COMPACT | WIRE_NULLABLE).n, -1);
        cr_expect_not(c.bad);
}

/* faults.md 8 */
Test(wire, lengths_that_lie)
{
        static const struct {
                const char *hex, *why;
                unsigned form;
                bool is_bytes;
        } cases[] = {
                { "0003 6869", "length runs past the end", WIRE_CLASSIC, false },
                { "04 6869", "length runs past the end", WIRE_COMPACT, false },
                { "ffffffff0f 6869", "length runs past the end", WIRE_COMPACT, false },
                { "ffff", "null where it may not be", WIRE_CLASSIC, false },
                { "00", "null where it may not be", WIRE_COMPACT, false },
                { "fffe 6869", "negative length", WIRE_CLASSIC | WIRE_NULLABLE, false },
                { "8000 6869", "negative length", WIRE_CLASSIC, false },
                { "7fffffff 00", "length runs past the end", WIRE_CLASSIC, true },
                { "fffffffe 00", "negative length", WIRE_CLASSIC | WIRE_NULLABLE, true },
                { "ffffffff 00", "null where it may not be", WIRE_CLASSIC, true },
                { "80000000 00", "negative length", WIRE_CLASSIC | WIRE_NULLABLE, true },
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
                struct cursor c = of_hex(cases[i].hex);
                if (cases[i].is_bytes)
                        cursor_bytes(&c, cases[i].form);
                else
                        cursor_str(&c, cases[i].form);
                cr_assert(c.bad, "%s", cases[i].hex);
                cr_expect_str_eq(c.why, cases[i].why, "%s", cases[i].hex);
        }
}

/* faults.md 6 */
Test(wire, counts_are_bounded_by_what_is_left)
{
        struct cursor c = of_hex("00000002 0000000000000000");
        cr_expect_eq(cursor_count(&c, WIRE_CLASSIC, 4), 2);
        c = of_hex("00000003 0000000000000000");
        cr_expect_eq(cursor_count(&c, WIRE_CLASSIC, 4), 0);
        expect_bad(&c, "more elements than the message has room for", 4);
        c = of_hex("03 0000000000000000");
        cr_expect_eq(cursor_count(&c, WIRE_COMPACT, 4), 2);
        c = of_hex("7fffffff 00");
        cr_expect_eq(cursor_count(&c, WIRE_CLASSIC, 1), 0);
        cr_expect(c.bad);
        c = of_hex("ffffffff0f 00");
        cr_expect_eq(cursor_count(&c, WIRE_COMPACT, 1), 0);
        cr_expect(c.bad);
        c = of_hex("10000000 00");
        cr_expect_eq(cursor_count(&c, WIRE_CLASSIC | WIRE_NULLABLE, 16), 0);
        cr_expect(c.bad);
}

Test(wire, counts_of_null_arrays)
{
        struct cursor c = of_hex("ffffffff 80000000 00");
        cr_expect_eq(cursor_count(&c, WIRE_CLASSIC | WIRE_NULLABLE, 1), -1);
        cr_expect_eq(cursor_count(&c, WIRE_CLASSIC | WIRE_NULLABLE, 1), -1, "any negative count");
        cr_expect_eq(cursor_count(&c, WIRE_COMPACT | WIRE_NULLABLE, 1), -1);
        cr_expect_not(c.bad);
        c = of_hex("ffffffff");
        cursor_count(&c, WIRE_CLASSIC, 1);
        expect_bad(&c, "null array where it may not be", 4);
        c = of_hex("00");
        cursor_count(&c, WIRE_COMPACT, 1);
        expect_bad(&c, "null array where it may not be", 1);
}

Test(wire, a_million_elements_and_no_more)
{
        size_t n = WIRE_COUNT_MAX + 8;
        uint8_t *p = calloc(n, 1);
        cr_assert_not_null(p);
        store_be32(p, WIRE_COUNT_MAX);
        struct cursor c = cursor_of(p, n);
        cr_expect_eq(cursor_count(&c, WIRE_CLASSIC, 1), WIRE_COUNT_MAX);
        store_be32(p, WIRE_COUNT_MAX + 1);
        c = cursor_of(p, n);
        cr_expect_eq(cursor_count(&c, WIRE_CLASSIC, 1), 0);
        cr_expect(c.bad);
        free(p);
}

Test(wire, unknown_tags_are_passed_over)
{
        struct cursor c = of_hex("00 02 05 01 aa 03 00 77");
        cursor_skip_tags(&c);
        cursor_skip_tags(&c);
        cr_expect_eq(cursor_u8(&c), 0x77, "order and repetition do not matter");
        cr_expect_not(c.bad);
        c = of_hex("01 05 02 aa");
        cursor_skip_tags(&c);
        expect_bad(&c, "tagged field runs past the end", 3);
        c = of_hex("02 05 01 aa");
        cursor_skip_tags(&c);
        expect_bad(&c, "ends inside a field", 4);
}

/* faults.md 7: 10,000 are skipped, one more is not, and 20 million are not even looked at. */
Test(wire, tag_sections_are_capped)
{
        size_t n = 2 + 2 * (WIRE_TAGS_MAX + 1);
        uint8_t *p = malloc(n);
        cr_assert_not_null(p);
        for (size_t i = 2; i < n; i += 2) {
                p[i] = 0x21;
                p[i + 1] = 0;
        }
        p[0] = (WIRE_TAGS_MAX & 0x7f) | 0x80;
        p[1] = WIRE_TAGS_MAX >> 7;
        struct cursor c = cursor_of(p, n);
        cursor_skip_tags(&c);
        cr_expect_not(c.bad);
        cr_expect_eq(cursor_left(&c), 2);
        p[0]++;
        c = cursor_of(p, n);
        cursor_skip_tags(&c);
        expect_bad(&c, "too many tagged fields", 2);
        free(p);
        c = of_hex("80dac409 2100 2100 2100");
        cursor_skip_tags(&c);
        expect_bad(&c, "too many tagged fields", 4);
}
