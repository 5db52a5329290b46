/* What `varve stats` makes of an answer: sums over shards, differences, quantiles, both outputs. */
#include "base/check.h"
#include "bench/stats.h"

#include <criterion/criterion.h>

typedef struct varve_stats_res_metrics_series_histograms histogram;
typedef struct varve_stats_res_metrics_series_histograms_buckets bucket;

static bucket first[] = { { 1, 1, 10 }, { 8, 8, 30 }, { 64, 71, 50 } };
static bucket second[] = { { 1, 1, 5 }, { 16, 17, 5 } };
static histogram both[] = { { 4000, 70, { 3, first } }, { 90, 17, { 2, second } } };
static int64_t numbers[] = { 40, 2 };

static stats_series series_of(bool histograms)
{
        stats_series s;
        varve_stats_res_metrics_series_init(&s);
        if (histograms) {
                s.histograms.n = 2;
                s.histograms.at = both;
        } else {
                s.values.n = 2;
                s.values.at = numbers;
        }
        return s;
}

static struct arena arena;

static void setup(void)
{
        arena_init(&arena, 1 << 20);
}
static void teardown(void)
{
        arena_reset(&arena);
}
TestSuite(stats_view, .init = setup, .fini = teardown);

Test(stats_view, sums_over_shards)
{
        stats_series s = series_of(false);
        struct stats_view v;
        cr_assert(stats_view(&s, STATS_ALL_SHARDS, &arena, &v));
        cr_expect_eq(v.number, 42);
        cr_assert(stats_view(&s, 1, &arena, &v));
        cr_expect_eq(v.number, 2);
}

Test(stats_view, joins_histograms)
{
        stats_series s = series_of(true);
        struct stats_view v;
        cr_assert(stats_view(&s, STATS_ALL_SHARDS, &arena, &v));
        cr_assert_eq(v.n_buckets, 4);
        cr_expect_eq(v.count, 100);
        cr_expect_eq(v.buckets[0].count, 15, "equal buckets are one");
        cr_expect_eq(v.buckets[2].from, 16, "ascending");
        cr_expect_eq(v.max, 70);
        cr_expect_eq(v.sum, 4090);
        cr_expect_eq(stats_quantile(&v, 0), 1);
        cr_expect_eq(stats_quantile(&v, 0.15), 1);
        cr_expect_eq(stats_quantile(&v, 0.151), 8);
        cr_expect_eq(stats_quantile(&v, 0.45), 8);
        cr_expect_eq(stats_quantile(&v, 0.5), 17);
        cr_expect_float_eq(stats_quantile(&v, 0.75), 67.5, 1e-9, "half-way in its bucket");
        cr_expect_eq(stats_quantile(&v, 1), 70, "not more than the largest");
}

Test(stats_view, what_happened_since)
{
        stats_series s = series_of(true);
        stats_metric m = { .kind = STATS_HISTOGRAM };
        struct stats_view now, before;
        cr_assert(stats_view(&s, STATS_ALL_SHARDS, &arena, &now));
        cr_assert(stats_view(&s, 0, &arena, &before));
        cr_assert(stats_view_since(&now, &before, &m, &arena));
        cr_assert_eq(now.n_buckets, 2, "what did not grow is gone");
        cr_expect_eq(now.count, 10);
        cr_expect_eq(now.sum, 90);
        cr_expect_eq(now.max, 17, "the edge of the last bucket that grew");
        before = now;
        cr_assert(stats_view_since(&now, &before, &m, &arena));
        cr_expect_eq(now.count + now.max, 0);
        cr_expect_eq(stats_quantile(&now, 0.5), 0, "nothing");
}

Test(stats_view, gauges_are_not_subtracted)
{
        stats_series s = series_of(false);
        stats_metric gauge = { .kind = STATS_GAUGE }, counter = { .kind = STATS_COUNTER };
        struct stats_view now, before;
        cr_assert(stats_view(&s, STATS_ALL_SHARDS, &arena, &now));
        cr_assert(stats_view(&s, 0, &arena, &before));
        cr_assert(stats_view_since(&now, &before, &gauge, &arena));
        cr_expect_eq(now.number, 42);
        cr_assert(stats_view_since(&now, &before, &counter, &arena));
        cr_expect_eq(now.number, 2);
}

/* --- the outputs --- */

static stats_series one[1], two[1];
static stats_metric metrics[2];

static struct stats_sample sample(int64_t uptime_ns)
{
        one[0] = series_of(false);
        two[0] = series_of(true);
        two[0].label = STR("a \"b\"\n");
        metrics[0] = (stats_metric){ .name = STR("varve_sent_bytes_total"),
                .group = STR("wires"),
                .help = STR("Bytes."),
                .kind = STATS_COUNTER,
                .unit = STR("bytes"),
                .divisor = 1,
                .label = STR(""),
                .series = { 1, one } };
        metrics[1] = (stats_metric){ .name = STR("varve_wait_seconds"),
                .group = STR("wires"),
                .help = STR("Time."),
                .kind = STATS_HISTOGRAM,
                .unit = STR("seconds"),
                .divisor = 1000000000,
                .label = STR("who"),
                .series = { 1, two } };
        struct stats_sample s = { 0 };
        varve_stats_res_init(&s.res);
        s.res.version = STR("9.9");
        s.res.uptime_ns = uptime_ns;
        s.res.shards = 2;
        s.res.metrics.n = 2;
        s.res.metrics.at = metrics;
        return s;
}

static void expect_output(
    bool (*print)(const struct stats_show *, FILE *), const struct stats_show *s, const char *want)
{
        char *text;
        size_t n;
        FILE *f = open_memstream(&text, &n);
        cr_assert(print(s, f));
        fclose(f);
        cr_expect_str_eq(text, want);
        free(text);
}

Test(stats_view, text)
{
        struct stats_sample now = sample(INT64_C(90000000000));
        const struct stats_show s = { .address = "h:1", .now = &now };
        two[0].label = STR("x");
        expect_output(stats_text, &s,
            "varve 9.9 at h:1, up 1.50 min, 2 shards\n"
            "\n"
            "wires\n"
            "  sent bytes                                            42 B\n"
            "  wait, x                                                100"
            "  p50    17 ns  p99    70 ns  p99.9    70 ns  max    70 ns\n");
}

Test(stats_view, json)
{
        struct stats_sample now = sample(1500000000);
        const struct stats_show s = { .address = "h:1", .now = &now };
        expect_output(stats_json, &s,
            "{\"address\":\"h:1\",\"version\":\"9.9\",\"uptime_seconds\":1.500000000,\"shards\":2,"
            "\"metrics\":{\"varve_sent_bytes_total\":{\"kind\":\"counter\",\"unit\":\"bytes\","
            "\"help\":\"Bytes.\",\"series\":[{\"value\":42,\"shards\":[40,2]}]},"
            "\"varve_wait_seconds\":{\"kind\":\"histogram\",\"unit\":\"seconds\","
            "\"help\":\"Time.\",\"series\":[{\"who\":\"a \\\"b\\\"\\u000a\",\"count\":100,"
            "\"sum\":0.000004090,\"max\":0.000000070,\"p50\":0.000000017,\"p90\":0.000000069,"
            "\"p99\":0.000000070,\"p999\":0.000000070,\"buckets\":[[0.000000001,15],"
            "[0.000000008,30],[0.000000017,5],[0.000000071,50]],\"shards\":[{\"count\":90,"
            "\"sum\":0.000004000,\"max\":0.000000070,\"p50\":0.000000064,\"p90\":0.000000069,"
            "\"p99\":0.000000070,\"p999\":0.000000070,\"buckets\":[[0.000000001,10],"
            "[0.000000008,30],[0.000000071,50]]},{\"count\":10,\"sum\":0.000000090,"
            "\"max\":0.000000017,\"p50\":0.000000001,\"p90\":0.000000016,\"p99\":0.000000017,"
            "\"p999\":0.000000017,\"buckets\":[[0.000000001,5],[0.000000017,5]]}]}]}}}\n");
}
