/* Statuses and error texts. */
#include "base/err.h"
#include "base/status.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>

Test(status, every_one_has_its_own_text)
{
#define ROW(name, value, text) name,
        static const int all[] = { STATUS_MAP(ROW) };
#undef ROW
        for (size_t i = 0; i < COUNT_OF(all); i++) {
                cr_assert_lt(all[i], -1000);
                cr_assert_neq(strcmp(status_text(all[i]), "unknown status"), 0);
                for (size_t k = 0; k < i; k++)
                        cr_assert_neq(strcmp(status_text(all[i]), status_text(all[k])), 0);
        }
        cr_assert_str_eq(status_text(ST_DISK_FULL), "no space left in the log directory");
        cr_assert_str_eq(status_text(ST_OK), "success");
        cr_assert_str_eq(status_text(12345), "unknown status");
}

Test(status, errno_values_find_their_place)
{
        cr_expect_eq(status_from_errno(-ENOSPC), ST_DISK_FULL);
        cr_expect_eq(status_from_errno(-EDQUOT), ST_DISK_FULL);
        cr_expect_eq(status_from_errno(-ENOMEM), ST_NOMEM);
        cr_expect_eq(status_from_errno(-ENOENT), ST_NOT_FOUND);
        cr_expect_eq(status_from_errno(-EIO), ST_IO);
        cr_expect_eq(status_from_errno(0), ST_OK);
        cr_expect_eq(status_from_errno(17), ST_OK);
}

Test(err, context_grows_from_the_inside_out)
{
        struct err e = { 0 };
        cr_assert_eq(err_set(&e, ST_CORRUPT, "header: %s", "crc mismatch"), ST_CORRUPT);
        cr_assert_eq(err_wrap(&e, ST_CORRUPT, "open segment %020d", 1024), ST_CORRUPT);
        cr_assert_eq(err_wrap(&e, ST_IO, "recover %s-%d", "orders", 3), ST_IO);
        cr_assert_str_eq(
            e.text, "recover orders-3: open segment 00000000000000001024: header: crc mismatch");
        cr_assert_eq(e.code, ST_IO);
        cr_assert_eq(err_set(NULL, ST_IO, "nobody listens"), ST_IO);
        cr_assert_eq(err_wrap(NULL, ST_IO, "nobody listens"), ST_IO);
}

Test(err, long_texts_are_cut_and_terminated)
{
        char long_text[2 * ERR_TEXT_MAX];
        memset(long_text, 'x', sizeof long_text - 1);
        long_text[sizeof long_text - 1] = '\0';
        struct err e = { 0 };
        err_set(&e, ST_IO, "%s", long_text);
        cr_assert_eq(strlen(e.text), ERR_TEXT_MAX - 1);
        err_wrap(&e, ST_IO, "outer");
        cr_assert_eq(strlen(e.text), ERR_TEXT_MAX - 1);
        cr_assert_arr_eq(e.text, "outer: xxx", 10);
        /* Every length around the limit. */
        for (size_t n = ERR_TEXT_MAX - 8; n < ERR_TEXT_MAX + 4; n++) {
                err_set(&e, ST_IO, "inner");
                err_wrap(&e, ST_IO, "%.*s", (int)n, long_text);
                cr_assert_lt(strlen(e.text), (size_t)ERR_TEXT_MAX);
                cr_assert_eq(e.text[0], 'x');
        }
}
