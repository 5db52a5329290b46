/* The part of Criterion that our tests use, with one forked process per test and nothing else.
 * ThreadSanitizer and Criterion's process sandbox want the same addresses, so builds with
 * -Db_sanitize=thread use this instead of the library; see plain.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#ifdef __clang__
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif

struct plain_test {
        const char *suite, *name;
        void (*run)(void);
        struct plain_test *next;
        int signal;
        bool disabled;
        double timeout;
};

void plain_add(struct plain_test *t);
__attribute__((format(printf, 5, 6))) void plain_check(
    bool ok, bool fatal, const char *what, const char *where, const char *fmt, ...);
__attribute__((noreturn, format(printf, 1, 2))) void plain_skip(const char *fmt, ...);

#define PLAIN_LINE_(n) #n
#define PLAIN_LINE(n) PLAIN_LINE_(n)
#define PLAIN(ok, fatal, what, ...) \
        plain_check((ok), (fatal), what, __FILE__ ":" PLAIN_LINE(__LINE__), " " __VA_ARGS__)

#define Test(suite_, name_, ...)                                              \
        static void suite_##_##name_##_test(void);                            \
        __attribute__((constructor)) static void suite_##_##name_##_add(void) \
        {                                                                     \
                static struct plain_test t = { .suite = #suite_,              \
                        .name = #name_,                                       \
                        .run = suite_##_##name_##_test,                       \
                        ##__VA_ARGS__ };                                      \
                plain_add(&t);                                                \
        }                                                                     \
        static void suite_##_##name_##_test(void)

#define cr_skip_test(...) plain_skip(__VA_ARGS__)
#define cr_assert_fail(...) PLAIN(false, true, "", ##__VA_ARGS__)

#define cr_assert(c, ...) PLAIN(!!(c), true, #c, ##__VA_ARGS__)
#define cr_assert_not(c, ...) PLAIN(!(c), true, "not " #c, ##__VA_ARGS__)
#define cr_assert_null(p, ...) PLAIN((p) == NULL, true, #p " is null", ##__VA_ARGS__)
#define cr_assert_not_null(p, ...) PLAIN((p) != NULL, true, #p " is not null", ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...) PLAIN((a) == (b), true, #a " == " #b, ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...) PLAIN((a) != (b), true, #a " != " #b, ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...) PLAIN((a) < (b), true, #a " < " #b, ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...) PLAIN((a) <= (b), true, #a " <= " #b, ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...) PLAIN((a) > (b), true, #a " > " #b, ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...) PLAIN((a) >= (b), true, #a " >= " #b, ##__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...) PLAIN(strcmp((a), (b)) == 0, true, #a " is " #b, ##__VA_ARGS__)
#define cr_assert_str_neq(a, b, ...) \
        PLAIN(strcmp((a), (b)) != 0, true, #a " is not " #b, ##__VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) \
        PLAIN(memcmp((a), (b), (n)) == 0, true, #a " equals " #b, ##__VA_ARGS__)

#define cr_expect(c, ...) PLAIN(!!(c), false, #c, ##__VA_ARGS__)
#define cr_expect_not(c, ...) PLAIN(!(c), false, "not " #c, ##__VA_ARGS__)
#define cr_expect_null(p, ...) PLAIN((p) == NULL, false, #p " is null", ##__VA_ARGS__)
#define cr_expect_not_null(p, ...) PLAIN((p) != NULL, false, #p " is not null", ##__VA_ARGS__)
#define cr_expect_eq(a, b, ...) PLAIN((a) == (b), false, #a " == " #b, ##__VA_ARGS__)
#define cr_expect_neq(a, b, ...) PLAIN((a) != (b), false, #a " != " #b, ##__VA_ARGS__)
#define cr_expect_lt(a, b, ...) PLAIN((a) < (b), false, #a " < " #b, ##__VA_ARGS__)
#define cr_expect_leq(a, b, ...) PLAIN((a) <= (b), false, #a " <= " #b, ##__VA_ARGS__)
#define cr_expect_gt(a, b, ...) PLAIN((a) > (b), false, #a " > " #b, ##__VA_ARGS__)
#define cr_expect_geq(a, b, ...) PLAIN((a) >= (b), false, #a " >= " #b, ##__VA_ARGS__)
#define cr_expect_str_eq(a, b, ...) PLAIN(strcmp((a), (b)) == 0, false, #a " is " #b, ##__VA_ARGS__)
#define cr_expect_arr_eq(a, b, n, ...) \
        PLAIN(memcmp((a), (b), (n)) == 0, false, #a " equals " #b, ##__VA_ARGS__)
