/* Helpers of the message tests. */
#include "tests/unit/protocol/message_util.h"

#include "base/check.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* Criterion's own process leaves two allocations behind. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
        return "leak:libcriterion";
}

static int digit(char c)
{
        if (c >= '0' && c <= '9') return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct bytes_mut bytes_copy(const uint8_t *p, size_t n)
{
        uint8_t *copy = malloc(n ? n : 1);
        cr_assert_not_null(copy);
        if (n) memcpy(copy, p, n);
        return (struct bytes_mut){ copy, n };
}

struct bytes_mut bytes_of_hex(const char *hex)
{
        uint8_t buf[BYTES_MAX];
        size_t digits = 0;
        for (; *hex; hex++) {
                if (*hex == ' ') continue;
                int d = digit(*hex);
                cr_assert(d >= 0 && digits / 2 < sizeof buf);
                buf[digits / 2] = (uint8_t)(digits % 2 ? buf[digits / 2] | d : d << 4);
                digits++;
        }
        cr_assert_eq(digits % 2, 0);
        return bytes_copy(buf, digits / 2);
}

struct bytes_mut bytes_kept(const char *hex)
{
        static uint8_t *kept[256]; /* reachable, so no leak */
        static size_t n;
        struct bytes_mut b = bytes_of_hex(hex);
        cr_assert_lt(n, COUNT_OF(kept));
        kept[n++] = b.p;
        return b;
}

struct bytes_mut bytes_of_out(const struct out *o)
{
        uint8_t *p = malloc(out_total(o) + 1);
        cr_assert_not_null(p);
        size_t n = 0;
        for (uint32_t i = 0; i < out_segments(o); i++) {
                cr_assert_gt(o->iov[i].iov_len, 0);
                cr_assert_leq(n + o->iov[i].iov_len, out_total(o));
                memcpy(p + n, o->iov[i].iov_base, o->iov[i].iov_len);
                n += o->iov[i].iov_len;
        }
        cr_assert_eq(n, out_total(o));
        return (struct bytes_mut){ p, n };
}

void expect_bytes(struct bytes_mut got, const char *hex, const char *what)
{
        struct bytes_mut want = bytes_of_hex(hex);
        char text[2 * BYTES_MAX + 1] = "";
        for (size_t i = 0; i < MIN(got.n, (size_t)BYTES_MAX); i++)
                snprintf(text + 2 * i, 3, "%02x", got.p[i]);
        cr_expect(got.n == want.n && memcmp(got.p, want.p, got.n) == 0, "%s: wanted %s\n got %s",
            what, hex, text);
        free(want.p);
        free(got.p);
}

const struct msg_codec *codec_of(const char *name)
{
        for (unsigned i = 0; i < msg_codecs_count; i++)
                if (strcmp(msg_codecs[i].name, name) == 0) return &msg_codecs[i];
        cr_assert_fail("no message %s", name);
        return NULL;
}
