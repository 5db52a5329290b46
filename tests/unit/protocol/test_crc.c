/* CRC-32C: published vectors, every way of computing it against the plainest one. */
#include "base/check.h"
#include "protocol/crc32c.h"
#include "protocol/crc32c_impl.h"

#include <criterion/criterion.h>
#include <string.h>

enum { LENGTHS = 2000, ALIGNMENTS = 64 };

static uint64_t seed = 0x9e3779b97f4a7c15;
static uint64_t rnd(void)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        return seed ^= seed << 17;
}

/* One bit at a time, straight from the definition. */
static uint32_t plainest(uint32_t crc, const uint8_t *p, size_t n)
{
        uint32_t c = ~crc;
        for (size_t i = 0; i < n; i++) {
                c ^= p[i];
                for (int bit = 0; bit < 8; bit++) c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
        }
        return ~c;
}

static void expect(const void *p, size_t n, uint32_t want)
{
        uint8_t to[64];
        cr_expect_eq(crc32c(0, p, n), want);
        for (const struct crc32c_impl *const *i = crc32c_impls; *i; i++) {
                if (!(*i)->usable()) continue;
                cr_expect_eq((*i)->sum(0, p, n), want, "%s", (*i)->name);
                cr_expect_eq((*i)->copy(0, to, p, n), want, "%s copy", (*i)->name);
        }
}

/* RFC 3720 appendix B.4, and the check value of the CRC catalogue. */
Test(crc, published_vectors)
{
        uint8_t zeros[32] = { 0 }, ones[32], up[32], down[32];
        memset(ones, 0xff, 32);
        for (uint8_t i = 0; i < 32; i++) {
                up[i] = i;
                down[i] = (uint8_t)(31 - i);
        }
        static const uint8_t read_command[48] = { 0x01, 0xc0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0x14, 0, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0x14, 0, 0, 0, 0x18, 0x28, 0, 0, 0, 0, 0,
                0, 0, 0x02, 0, 0, 0, 0, 0, 0, 0 };
        expect(zeros, 32, 0x8a9136aa);
        expect(ones, 32, 0x62a8ab43);
        expect(up, 32, 0x46dd794e);
        expect(down, 32, 0x113fdb5c);
        expect(read_command, 48, 0xd9963a56);
        expect("123456789", 9, 0xe3069283);
        expect("", 0, 0);
}

Test(crc, backend_is_the_first_usable)
{
        const struct crc32c_impl *const *i = crc32c_impls;
        while (!(*i)->usable()) i++;
        cr_assert_str_eq(crc32c_backend(), (*i)->name);
        while (i[1]) i++;
        cr_assert_str_eq((*i)->name, "table", "the last resort is always there");
}

Test(crc, nothing_leaves_the_sum)
{
        cr_assert_eq(crc32c(0, NULL, 0), 0);
        cr_assert_eq(crc32c(0x12345678, "", 0), 0x12345678);
        cr_assert_eq(crc32c_copy(0x12345678, NULL, NULL, 0), 0x12345678);
}

/* Every length at rotating alignments, guard bytes around the copy, against the plainest way. */
Test(crc, every_length_and_alignment)
{
        static uint8_t from[LENGTHS + ALIGNMENTS], to[LENGTHS + 2 * ALIGNMENTS];
        for (size_t i = 0; i < sizeof from; i++) from[i] = (uint8_t)rnd();
        for (size_t n = 0; n <= LENGTHS; n++) {
                size_t a = rnd() % ALIGNMENTS, b = 1 + rnd() % (ALIGNMENTS - 1);
                uint32_t begin = (uint32_t)rnd(), want = plainest(begin, from + a, n);
                for (const struct crc32c_impl *const *i = crc32c_impls; *i; i++) {
                        if (!(*i)->usable()) continue;
                        cr_assert_eq(
                            (*i)->sum(begin, from + a, n), want, "%s %zu@%zu", (*i)->name, n, a);
                        memset(to, 0xa5, sizeof to);
                        cr_assert_eq((*i)->copy(begin, to + b, from + a, n), want,
                            "%s copy %zu@%zu to %zu", (*i)->name, n, a, b);
                        cr_assert_arr_eq(to + b, from + a, n);
                        cr_assert(to[b - 1] == 0xa5 && to[b + n] == 0xa5, "wrote outside");
                }
        }
}

Test(crc, all_alignments_of_long_runs)
{
        enum { N = 20000 };
        static uint8_t from[N + ALIGNMENTS], to[N + ALIGNMENTS];
        for (size_t i = 0; i < sizeof from; i++) from[i] = (uint8_t)rnd();
        for (size_t a = 0; a < ALIGNMENTS; a++) {
                size_t n = N - rnd() % 300;
                uint32_t want = plainest(0, from + a, n);
                for (const struct crc32c_impl *const *i = crc32c_impls; *i; i++) {
                        if (!(*i)->usable()) continue;
                        cr_assert_eq((*i)->sum(0, from + a, n), want, "%s", (*i)->name);
                        size_t b = rnd() % ALIGNMENTS;
                        cr_assert_eq((*i)->copy(0, to + b, from + a, n), want, "%s", (*i)->name);
                        cr_assert_arr_eq(to + b, from + a, n);
                }
        }
}

Test(crc, in_pieces_as_in_one)
{
        static uint8_t from[70000], to[70000];
        for (size_t i = 0; i < sizeof from; i++) from[i] = (uint8_t)rnd();
        uint32_t want = crc32c(0, from, sizeof from);
        cr_assert_eq(want, plainest(0, from, sizeof from));
        for (int round = 0; round < 200; round++) {
                uint32_t sum = 0, copied = 0;
                for (size_t at = 0, n; at < sizeof from; at += n) {
                        n = rnd() % (round < 100 ? 9000 : 300);
                        n = MIN(n, sizeof from - at);
                        sum = crc32c(sum, from + at, n);
                        copied = crc32c_copy(copied, to + at, from + at, n);
                }
                cr_assert_eq(sum, want);
                cr_assert_eq(copied, want);
                cr_assert_arr_eq(to, from, sizeof from);
        }
}
