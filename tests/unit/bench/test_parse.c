/* Values of options. */
#include "bench/options.h"
#include "bench/parse.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(parse, counts)
{
        static const struct {
                const char *text;
                uint64_t want;
        } good[] = { { "0", 0 }, { "17", 17 }, { "50k", 50000 }, { "1.5k", 1500 },
                { "64KiB", 65536 }, { "100MB", 100000000 }, { "1G", 1000000000 },
                { "2GiB", UINT64_C(2) << 30 } };
        static const char *const bad[] = { "", "x", "-1", "1.5", "10 ", "10q", "nan", "inf",
                "1e99" };
        uint64_t v;
        for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
                cr_assert(parse_count(good[i].text, &v), "%s", good[i].text);
                cr_assert_eq(v, good[i].want, "%s", good[i].text);
        }
        v = 99;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                cr_assert_not(parse_count(bad[i], &v), "%s", bad[i]);
        cr_assert_eq(v, 99);
}

Test(parse, durations_and_rates)
{
        uint64_t ns;
        struct rate r;
        cr_assert(parse_duration("250ms", &ns) && ns == 250000000);
        cr_assert(parse_duration("2m", &ns) && ns == UINT64_C(120000000000));
        cr_assert(parse_duration("1.5", &ns) && ns == 1500000000);
        cr_assert_not(parse_duration("5 years", &ns));
        cr_assert(parse_rate("50k", &r) && r.records == 50000 && r.bytes == 0);
        cr_assert(parse_rate("50k/s", &r) && r.records == 50000);
        cr_assert(parse_rate("100MB/s", &r) && r.records == 0 && r.bytes == 1e8);
        cr_assert_not(parse_rate("100MB", &r));
        cr_assert_not(parse_rate("0", &r));
}

Test(parse, distributions)
{
        struct size_dist s;
        struct key_dist k;
        struct payload_kind p;
        cr_assert(parse_size("1KiB", &s) && s.kind == SIZE_FIXED && s.a == 1024);
        cr_assert(parse_size("uniform:100-2000", &s) && s.kind == SIZE_UNIFORM && s.b == 2000);
        cr_assert(parse_size("normal:1000,200", &s) && s.kind == SIZE_NORMAL && s.b == 200);
        cr_assert(parse_size("exp:700", &s) && s.kind == SIZE_EXP && s.a == 700);
        cr_assert_not(parse_size("uniform:200-100", &s));
        cr_assert_not(parse_size("0", &s));
        cr_assert(parse_keys("none", &k) && k.kind == KEYS_NONE);
        cr_assert(parse_keys("1k", &k) && k.kind == KEYS_UNIFORM && k.n == 1000);
        cr_assert(parse_keys("zipf:500,1.2", &k) && k.kind == KEYS_ZIPF && k.skew > 1.19);
        cr_assert_not(parse_keys("zipf:", &k));
        cr_assert(parse_payload("compressible:4", &p) && p.ratio > 3.9);
        cr_assert(parse_payload("lines:x.txt", &p) && strcmp(p.path, "x.txt") == 0);
        cr_assert_not(parse_payload("zeros", &p));
}

Test(parse, addresses)
{
        char host[16];
        uint16_t port;
        cr_assert(parse_address("127.0.0.1:9092", host, sizeof host, &port) && port == 9092);
        cr_assert_str_eq(host, "127.0.0.1");
        cr_assert(parse_address("[::1]:1", host, sizeof host, &port));
        cr_assert_str_eq(host, "::1");
        cr_assert_not(parse_address("127.0.0.1", host, sizeof host, &port));
        cr_assert_not(parse_address(":9092", host, sizeof host, &port));
        cr_assert_not(parse_address("h:70000", host, sizeof host, &port));
        cr_assert_not(parse_address("a-host-that-is-too-long:1", host, sizeof host, &port));
}

static int options(struct options *o, const char *a, const char *b, const char *c, const char *d)
{
        char words[5][64];
        const char *from[] = { "bench", a, b, c, d };
        char *argv[6] = { NULL };
        int n = 0;
        for (; n < 5 && from[n]; n++) {
                snprintf(words[n], sizeof words[n], "%s", from[n]);
                argv[n] = words[n];
        }
        return options_parse(o, n, argv);
}

Test(options, modes_have_their_defaults)
{
        struct options o;
        cr_assert_eq(options(&o, "produce", "--null", NULL, NULL), 0);
        cr_assert_eq(o.in_flight, 4);
        cr_assert_eq(options_acks(&o), -1);
        cr_assert_eq(options(&o, "produce", "--null", "--rate=10k", "--linger=5ms"), 0);
        cr_assert_eq(o.in_flight, 32);
        cr_assert_eq(options(&o, "rtt", "--null", "--acks", "0"), 0);
        cr_assert_eq(o.in_flight, 1);
        cr_assert_eq(o.batch_records, 1);
        cr_assert_eq(options_acks(&o), 0);
        cr_assert_eq(options(&o, "e2e", "--address=[::1]:9", "-z", "zstd"), 0);
        cr_assert_eq(o.codec.value, CODEC_ZSTD);
        cr_assert_eq(o.from.value, FROM_TAIL);
}

Test(options, nonsense_is_refused)
{
        struct options o;
        cr_assert_eq(options(&o, "dance", NULL, NULL, NULL), 2);
        cr_assert_eq(options(&o, "produce", NULL, NULL, NULL), 2);
        cr_assert_eq(options(&o, "produce", "--null", "--address=x:1", NULL), 2);
        cr_assert_eq(options(&o, "produce", "--null", "--linger=5ms", NULL), 2);
        cr_assert_eq(options(&o, "produce", "--null", "--check", NULL), 2);
        cr_assert_eq(options(&o, "produce", "--null", "--size=tiny", NULL), 2);
        cr_assert_eq(options(&o, "produce", "--null", "--codec=rar", NULL), 2);
        cr_assert_eq(options(&o, "produce", "--null", "--frobnicate", NULL), 2);
        cr_assert_eq(options(&o, "rtt", "--null", "--in-flight=2", NULL), 2);
        cr_assert_eq(options(&o, "consume", "--null", "--rate=5", NULL), 2);
        cr_assert_eq(options(&o, "produce", "--null", "--partitions=1M", NULL), 2);
}
