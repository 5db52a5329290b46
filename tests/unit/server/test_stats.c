/* The table of metrics, and the request that answers with it. */
#include "base/check.h"
#include "server/request.h"
#include "server/stats_table.h"
#include "tests/unit/server/wire_client.h"

#include <criterion/criterion.h>
#include <stdio.h>

static struct rig rig;

static void open_rig(void)
{
        rig_open(&rig, NULL);
}
static void close_rig(void)
{
        rig_close(&rig);
}
TestSuite(stats, .init = open_rig, .fini = close_rig);

typedef struct varve_stats_res_metrics metric;

static struct varve_stats_res ask(void)
{
        struct varve_stats_req q;
        struct varve_stats_res r;
        varve_stats_req_init(&q);
        cr_assert(rig_call(&rig, API_VARVE_STATS, 0, &q, &r));
        cr_assert_eq(r.error_code, 0);
        return r;
}

static bool ends_in(const char *text, const char *end)
{
        size_t n = strlen(text), k = strlen(end);
        return n >= k && strcmp(text + n - k, end) == 0;
}

/* What Prometheus expects of names, so that a page of it needs no exceptions. */
Test(stats, names_tell_kind_and_unit)
{
        unsigned n;
        const struct stats_metric *m = stats_metrics(&n);
        for (unsigned i = 0; i < n; i++) {
                const char *name = m[i].name;
                char unit[32];
                cr_expect_eq(strncmp(name, "varve_", 6), 0, "%s", name);
                cr_expect_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name), "%s", name);
                cr_expect_eq(ends_in(name, "_total"), m[i].kind == STATS_COUNTER, "%s", name);
                snprintf(unit, sizeof(unit), "_%s%s", m[i].unit ? m[i].unit : "",
                    m[i].kind == STATS_COUNTER ? "_total" : "");
                cr_expect(!m[i].unit || ends_in(name, unit), "%s", name);
                cr_expect(ends_in(m[i].help, "."), "%s", name);
                cr_expect_eq(m[i].label != NULL, m[i].series_name != NULL, "%s", name);
                for (unsigned k = 0; k < i; k++) cr_expect_str_neq(name, m[k].name);
        }
}

/* No two series lie at the same place. */
Test(stats, every_series_has_a_place_of_its_own)
{
        enum { PLACES = 1024 };
        const void *seen[PLACES];
        unsigned n, n_seen = 0;
        const struct stats_metric *m = stats_metrics(&n);
        for (unsigned i = 0; i < n; i++) {
                for (unsigned k = 0; k < stats_series(&m[i]); k++) {
                        for (unsigned s = 0; s < RIG_SHARDS; s++) {
                                const struct shard *at = &rig.server->shards[s];
                                const void *p = m[i].kind == STATS_HISTOGRAM
                                                    ? (const void *)stats_histogram(&m[i], k, at)
                                                    : (const void *)stats_counter(&m[i], k, at);
                                for (unsigned x = 0; x < n_seen; x++)
                                        cr_expect_neq(seen[x], p, "%s", m[i].name);
                                cr_assert_lt(n_seen, PLACES);
                                seen[n_seen++] = p;
                        }
                }
        }
}

Test(stats, the_answer_describes_itself)
{
        unsigned n, apis;
        const struct stats_metric *m = stats_metrics(&n);
        const struct varve_stats_res r = ask();
        cr_assert_eq(r.metrics.n, (int32_t)n);
        cr_expect_eq(r.shards, RIG_SHARDS);
        cr_expect_geq(r.uptime_ns, 0);
        cr_expect_gt(r.version.n, 0);
        (void)api_rows_all(&apis);
        for (unsigned i = 0; i < n; i++) {
                const metric *x = &r.metrics.at[i];
                cr_expect(str_eq(x->name, str_of(m[i].name)) && str_eq(x->help, str_of(m[i].help)));
                cr_expect_eq(x->kind, (int8_t)m[i].kind);
                cr_expect_eq(x->divisor, str_eq(x->unit, STR("seconds")) ? 1000000000 : 1);
                cr_expect_eq(x->label.n > 0, x->series.n > 1);
                if (str_eq(x->label, STR("api"))) cr_expect_eq(x->series.n, (int32_t)apis);
                for (int32_t k = 0; k < x->series.n; k++)
                        cr_expect_eq(
                            x->series.at[k].values.n + x->series.at[k].histograms.n, RIG_SHARDS);
        }
}

static int64_t total(const struct varve_stats_res *r, const char *name, const char *label)
{
        int64_t sum = 0;
        for (int32_t i = 0; i < r->metrics.n; i++) {
                const metric *x = &r->metrics.at[i];
                if (!str_eq(x->name, str_of(name))) continue;
                for (int32_t k = 0; k < x->series.n; k++)
                        if (str_eq(x->series.at[k].label, str_of(label)))
                                for (int32_t s = 0; s < x->series.at[k].values.n; s++)
                                        sum += x->series.at[k].values.at[s];
        }
        return sum;
}

Test(stats, counts_what_a_producer_and_a_consumer_do)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        struct varve_stats_res before = ask();
        struct records b = wire_batch(&rig, "0123456789", 25, 1000);
        cr_assert_eq(wire_produce(&rig, "t", 0, b).error_code, 0);
        const struct wire_fetch f = {
                .topic = "t", .max_bytes = 1 << 20, .partition_max_bytes = 1 << 20
        };
        cr_assert_eq(wire_count(wire_fetch(&rig, &f).records), 25);
        cr_assert_neq(wire_produce(&rig, "t", 5, b).error_code, 0);
        struct varve_stats_res now = ask();
#define GREW(name, label) (total(&now, name, label) - total(&before, name, label))
        cr_expect_eq(GREW("varve_produced_records_total", ""), 25);
        cr_expect_eq(GREW("varve_produced_batches_total", ""), 1);
        cr_expect_eq(GREW("varve_produced_bytes_total", ""), b.n);
        cr_expect_eq(GREW("varve_fetched_bytes_total", ""), b.n);
        cr_expect_eq(GREW("varve_read_bytes_total", "tail"), b.n);
        cr_expect_eq(GREW("varve_requests_total", "Produce"), 2);
        cr_expect_eq(GREW("varve_request_errors_total", "Produce"), 1);
        cr_expect_eq(GREW("varve_requests_total", "VarveStats"), 1);
        cr_expect_eq(GREW("varve_request_errors_total", "Fetch"), 0);
}

Test(stats, is_not_advertised_and_knows_one_version)
{
        unsigned n, all;
        const struct api *rows = api_rows(&n);
        (void)api_rows_all(&all);
        cr_assert_eq(all, n + 1);
        for (unsigned i = 0; i < n; i++) cr_expect_lt(rows[i].key, 1000);
        cr_expect_eq(api_row(api_find(API_VARVE_STATS)), n);
        struct varve_stats_req q;
        struct varve_stats_res r;
        varve_stats_req_init(&q);
        cr_expect(rig_call(&rig, API_VARVE_STATS, 0, &q, &r));
        /* length, key, version 1, correlation, no client id, no tags, an empty body */
        static const uint8_t odd[] = { 0, 0, 0, 12, 0x4e, 0x20, 0, 1, 0, 0, 0, 1, 0xff, 0xff, 0,
                0 };
        struct wire w = wire_open(&rig);
        wire_send(&w, odd, sizeof(odd));
        cr_expect(wire_is_closed(&w));
        wire_close(&w);
}
