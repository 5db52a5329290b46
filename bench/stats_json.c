/* The numbers for machines: one object on one line.  Values are in the metric's unit; what was
 * counted is exact, whatever is zero is there too. */
#include "bench/stats.h"

#include "base/check.h"

#include <inttypes.h>

enum { ARENA_MAX = 256 << 20 };

static void put_text(FILE *f, struct str s)
{
        fputc('"', f);
        for (int32_t i = 0; i < s.n; i++) {
                const unsigned char c = (unsigned char)s.p[i];
                if (c == '"' || c == '\\')
                        fprintf(f, "\\%c", c);
                else if (c < 0x20)
                        fprintf(f, "\\u%04x", c);
                else
                        fputc(c, f);
        }
        fputc('"', f);
}

static void put_key(FILE *f, const char *name)
{
        fprintf(f, "\"%s\":", name);
}

/* Whole nanoseconds have at most nine decimals. */
static void put_value(FILE *f, const stats_metric *m, int64_t raw)
{
        if (m->divisor > 1)
                fprintf(f, "%.9f", (double)raw / (double)m->divisor);
        else
                fprintf(f, "%" PRId64, raw);
}

static void put_quantiles(FILE *f, const stats_metric *m, const struct stats_view *v)
{
        static const struct {
                const char *name;
                double q;
        } marks[] = { { "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p999", 0.999 } };
        for (size_t i = 0; i < COUNT_OF(marks); i++) {
                fputc(',', f);
                put_key(f, marks[i].name);
                put_value(f, m, (int64_t)stats_quantile(v, marks[i].q));
        }
}

/* buckets: their largest value, and how many. */
static void put_histogram(FILE *f, const stats_metric *m, const struct stats_view *v)
{
        fprintf(f, "\"count\":%" PRIu64 ",\"sum\":", v->count);
        put_value(f, m, (int64_t)v->sum);
        fputs(",\"max\":", f);
        put_value(f, m, (int64_t)v->max);
        put_quantiles(f, m, v);
        fputs(",\"buckets\":[", f);
        for (size_t i = 0; i < v->n_buckets; i++) {
                fputs(i ? ",[" : "[", f);
                put_value(f, m, (int64_t)v->buckets[i].to);
                fprintf(f, ",%" PRIu64 "]", v->buckets[i].count);
        }
        fputc(']', f);
}

/* False: out of memory. */
static bool put_view(FILE *f, const stats_metric *m, const stats_series *s, int shard)
{
        struct arena a;
        struct stats_view v;
        arena_init(&a, ARENA_MAX);
        bool ok = stats_view(s, shard, &a, &v);
        if (ok && m->kind == STATS_HISTOGRAM)
                put_histogram(f, m, &v);
        else if (ok)
                put_value(f, m, (int64_t)v.number);
        arena_reset(&a);
        return ok;
}

static bool put_series(FILE *f, const stats_metric *m, const stats_series *s, int shards)
{
        const bool histogram = m->kind == STATS_HISTOGRAM;
        bool ok = true;
        fputc('{', f);
        if (m->label.n > 0) {
                put_text(f, m->label);
                fputc(':', f);
                put_text(f, s->label);
                fputc(',', f);
        }
        if (!histogram) put_key(f, "value");
        ok = put_view(f, m, s, STATS_ALL_SHARDS);
        fputs(",\"shards\":[", f);
        for (int i = 0; ok && i < shards; i++) {
                if (i) fputc(',', f);
                if (histogram) fputc('{', f);
                ok = put_view(f, m, s, i);
                if (histogram) fputc('}', f);
        }
        fputs("]}", f);
        return ok;
}

static bool put_metric(FILE *f, const stats_metric *m, int shards)
{
        static const char *const kinds[] = { "counter", "gauge", "histogram" };
        bool ok = true;
        put_text(f, m->name);
        fputs(":{\"kind\":", f);
        put_text(f, str_of(kinds[m->kind]));
        fputs(",\"unit\":", f);
        put_text(f, m->unit);
        fputs(",\"help\":", f);
        put_text(f, m->help);
        fputs(",\"series\":[", f);
        for (int32_t i = 0; ok && i < m->series.n; i++) {
                if (i) fputc(',', f);
                ok = put_series(f, m, &m->series.at[i], shards);
        }
        fputs("]}", f);
        return ok;
}

bool stats_json(const struct stats_show *s, FILE *f)
{
        const struct varve_stats_res *r = &s->now->res;
        bool ok = true;
        fputs("{\"address\":", f);
        put_text(f, str_of(s->address));
        fputs(",\"version\":", f);
        put_text(f, r->version);
        fprintf(f, ",\"uptime_seconds\":%.9f,\"shards\":%d,\"metrics\":{",
            (double)r->uptime_ns / 1e9, r->shards);
        for (int32_t i = 0; ok && i < r->metrics.n; i++) {
                if (i) fputc(',', f);
                ok = put_metric(f, &r->metrics.at[i], r->shards);
        }
        fputs("}}\n", f);
        return ok;
}
