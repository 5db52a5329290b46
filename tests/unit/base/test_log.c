/* Log lines as they leave, with hostile values in them (faults.md 64). */
#include "base/check.h"
#include "base/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int out[2];
static char text[1 << 17];

static void setup(enum log_format format)
{
        cr_assert_eq(pipe2(out, O_NONBLOCK | O_CLOEXEC), 0);
        cr_assert_gt(fcntl(out[1], F_SETPIPE_SZ, 1 << 20), 0);
        log_setup(LOG_INFO, format, out[1]);
}

static size_t take(void)
{
        size_t n = 0;
        for (ssize_t r; (r = read(out[0], text + n, sizeof text - 1 - n)) > 0;) n += (size_t)r;
        text[n] = '\0';
        return n;
}

/* The line without its first field, which must be a time of today's form. */
static const char *after_time(const char *prefix)
{
        take();
        size_t n = strlen(prefix);
        cr_assert_eq(strncmp(text, prefix, n), 0, "%s", text);
        int y, mo, d, h, mi, s, ms, used = 0;
        cr_assert_eq(sscanf(text + n, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &y, &mo, &d, &h, &mi, &s,
                         &ms, &used),
            7, "%s", text);
        cr_assert(used == 24 && y >= 2024 && mo <= 12 && h < 24);
        return text + n + used;
}

#define S(bytes) ((struct str){ (bytes), (int32_t)sizeof(bytes) - 1 })

Test(log, key_value_lines)
{
        setup(LOG_KV);
        log_event(LOG_WARN, "connection closed", LOG_STR("peer", "127.0.0.1:9092"),
            LOG_INT("id", -7), LOG_END);
        cr_assert_str_eq(after_time("ts="),
            " level=warn event=\"connection closed\" peer=127.0.0.1:9092 id=-7\n");
        log_event(LOG_ERROR, "x", LOG_S("a", S("two words")), LOG_S("b", S("")),
            LOG_S("c", STR_NULL), LOG_S("d", S("null")), LOG_S("e", S("a=b")),
            LOG_S("f", S("a\"b\\c")), LOG_END);
        cr_assert_str_eq(after_time("ts="), " level=error event=x a=\"two words\" b=\"\" c=null"
                                            " d=\"null\" e=\"a=b\" f=\"a\\\"b\\\\c\"\n");
}

Test(log, hostile_values_in_key_value_lines)
{
        setup(LOG_KV);
        log_event(LOG_INFO, "x", LOG_S("a", S("1\nts=2 level=error\r\t")),
            LOG_S("b", S("\x1b[31m\0\x7f")), LOG_S("c", S("gr\xc3\xbc\xc3\x9f")),
            LOG_S("d", S("\xff\xc3")), LOG_S("e", S("\xc2\x9b\xe2\x80\xae\xe2\x80\xa8")), LOG_END);
        cr_assert_str_eq(after_time("ts="),
            " level=info event=x a=\"1\\nts=2 level=error\\r\\t\" b=\"\\x1b[31m\\x00\\x7f\""
            " c=\"gr\xc3\xbc\xc3\x9f\" d=\"\\xff\\xc3\""
            " e=\"\\xc2\\x9b\\xe2\\x80\\xae\\xe2\\x80\\xa8\"\n");
        /* Overlong forms, surrogates and what lies beyond Unicode are not UTF-8. */
        log_event(LOG_INFO, "x", LOG_S("a", S("\xc0\xaf")), LOG_S("b", S("\xed\xa0\x80")),
            LOG_S("c", S("\xf4\x90\x80\x80")), LOG_S("d", S("\xf8\x88")), LOG_END);
        cr_assert_str_eq(after_time("ts="),
            " level=info event=x a=\"\\xc0\\xaf\" b=\"\\xed\\xa0\\x80\" c=\"\\xf4\\x90\\x80\\x80\""
            " d=\"\\xf8\\x88\"\n");
}

Test(log, json_lines)
{
        setup(LOG_JSON);
        log_event(LOG_INFO, "x", LOG_INT("n", INT64_MIN), LOG_S("a", S("a\"b\\c\n\x01\x7f")),
            LOG_S("b", STR_NULL),
            LOG_S("c", S("\xff"
                         "ok\xe2\x80\xa8")),
            LOG_S("d", S("\xf0\x9f\x8c\x8a")), LOG_END);
        cr_assert_str_eq(after_time("{\"ts\":\""),
            "\",\"level\":\"info\",\"event\":\"x\",\"n\":-9223372036854775808,"
            "\"a\":\"a\\\"b\\\\c\\n\\u0001\\u007f\",\"b\":null,\"c\":\"\\ufffdok\\u2028\","
            "\"d\":\"\xf0\x9f\x8c\x8a\"}\n");
}

Test(log, long_values_are_cut_between_characters)
{
        setup(LOG_KV);
        char v[1000];
        memset(v, 'a', sizeof v);
        for (int32_t n = 255; n <= 258; n++) {
                log_event(LOG_INFO, "x", LOG_S("v", ((struct str){ v, n })), LOG_END);
                const char *line = after_time("ts=");
                cr_assert_eq(strstr(line, "...") != NULL, n > 256);
                cr_assert_leq(strlen(line), 256 + 40u);
        }
        memcpy(v + 254, "\xe2\x82\xac", 3); /* ends at 257 */
        log_event(LOG_INFO, "x", LOG_S("v", ((struct str){ v, 300 })), LOG_END);
        const char *line = after_time("ts=");
        cr_assert_not_null(strstr(line, "aa...\"\n"), "%s", line);
        cr_assert_null(strstr(line, "\\x"));
}

Test(log, a_line_that_does_not_fit_says_so_and_still_parses)
{
        static char v[300];
        memset(v, 1, sizeof v);
        const struct str s = { v, sizeof v };
        for (int f = LOG_KV; f <= LOG_JSON; f++) {
                setup((enum log_format)f);
                log_event(LOG_INFO, "x", LOG_S("a", s), LOG_S("b", s), LOG_S("c", s), LOG_S("d", s),
                    LOG_S("e", s), LOG_S("f", s), LOG_S("g", s), LOG_S("h", s), LOG_END);
                size_t n = take();
                cr_assert_leq(n, 8192u);
                const char *end = f == LOG_KV ? "\" cut=true\n" : "\",\"cut\":true}\n";
                cr_assert_str_eq(text + n - strlen(end), end);
                cr_assert_eq(strchr(text, '\n'), text + n - 1);
        }
}

Test(log, levels_below_the_least_are_silent)
{
        setup(LOG_KV);
        log_event(LOG_DEBUG, "x", LOG_END);
        cr_assert_eq(take(), 0u);
        log_setup(LOG_ERROR, LOG_KV, out[1]);
        log_event(LOG_WARN, "x", LOG_END);
        cr_assert_eq(take(), 0u);
}

static unsigned lines(void)
{
        unsigned n = 0;
        take();
        for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++) n++;
        return n;
}

static uint64_t second(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec;
}

Test(log, limits_hold_back_and_say_how_many)
{
        setup(LOG_KV);
        struct log_limit limit = { .burst = 3 };
        uint64_t began = second();
        for (unsigned i = 0; i < 100; i++) log_limited(&limit, LOG_WARN, "x", LOG_END);
        unsigned got = lines();
        cr_assert(got == 3 || (got <= 6 && second() != began), "%u lines", got);
        uint64_t held = limit.held;
        cr_assert_gt(held, 0u);
        limit.window = (second() - 10) << 32 | 3; /* as if that had been ten seconds ago */
        log_limited(&limit, LOG_WARN, "x", LOG_INT("k", 1), LOG_END);
        char want[64];
        snprintf(want, sizeof want, " level=warn event=x held=%u k=1\n", (unsigned)held);
        cr_assert_str_eq(after_time("ts="), want);
        cr_assert_eq(limit.held, 0u);
}

enum { THREADS = 4, EACH = 200 };
static void *writer_main(void *arg)
{
        for (unsigned i = 0; i < EACH; i++) {
                log_event(LOG_INFO, "thread", LOG_INT("t", (uintptr_t)arg), LOG_END);
                log_mark("test: concurrent mark");
        }
        return NULL;
}

Test(log, lines_of_threads_do_not_mix)
{
        setup(LOG_KV);
        pthread_t t[THREADS];
        for (unsigned i = 0; i < THREADS; i++)
                cr_assert_eq(pthread_create(&t[i], NULL, writer_main, (void *)(uintptr_t)i), 0);
        for (unsigned i = 0; i < THREADS; i++) pthread_join(t[i], NULL);
        cr_assert_eq(lines(), THREADS * EACH);
        for (char *p = text, *end; (end = strchr(p, '\n')) != NULL; p = end + 1) {
                cr_assert_eq(strncmp(p, "ts=", 3), 0);
                cr_assert_eq(strncmp(end - 16, "event=thread t=", 15), 0);
        }
        cr_assert_eq(log_mark_hits("test: concurrent mark"), THREADS * EACH);
}

static void mark_again(void)
{
        log_mark("test: two places");
}

Test(log, marks_are_counted_by_name)
{
        cr_assert_eq(log_mark_hits("test: two places"), 0u);
        for (unsigned i = 0; i < 5; i++) mark_again();
        log_mark("test: two places");
        log_mark("test: another");
        cr_assert_eq(log_mark_hits("test: two places"), 6u);
        cr_assert_eq(log_mark_hits("test: another"), 1u);
        cr_assert_eq(log_mark_hits("test: never"), 0u);
}
