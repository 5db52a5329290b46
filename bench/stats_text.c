/* The numbers for people: by group, with units, zero left out. */
#include "bench/stats.h"

#include "base/check.h"

enum { NAME_MAX_SHOWN = 80, VALUE_MAX = 32, ARENA_MAX = 256 << 20 };

struct printer {
        const struct stats_show *show;
        FILE *f;
        struct arena arena; /* of one line */
        double seconds;     /* between the two samples */
        struct str group;
        bool failed;
};

/* --- values --- */

struct scale {
        double from; /* used from this on … */
        double unit; /* … divided by this   */
        const char *name;
};

static const struct scale times[] = { { 60, 60, "min" }, { 1, 1, "s" }, { 1e-3, 1e-3, "ms" },
        { 1e-6, 1e-6, "µs" }, { 0, 1e-9, "ns" } };
static const struct scale bytes[] = { { 1e12, 1e12, "TB" }, { 1e9, 1e9, "GB" }, { 1e6, 1e6, "MB" },
        { 1e3, 1e3, "kB" }, { 0, 1, "B" } };
static const struct scale numbers[] = { { 1e12, 1e12, "T" }, { 1e9, 1e9, "G" }, { 1e6, 1e6, "M" },
        { 1e4, 1e3, "k" }, { 0, 1, "" } };

/* Three digits that count; whole numbers as they are.  Padded by hand: µ is one column. */
static void show_value(const stats_metric *m, double raw, char out[static VALUE_MAX])
{
        const double v = MAX(raw, 0.0) / (double)m->divisor; /* the last scale is from 0 on */
        const struct scale *s = numbers;
        if (str_eq(m->unit, STR("seconds"))) s = times;
        if (str_eq(m->unit, STR("bytes"))) s = bytes;
        while (s->from > v) s++;
        const double x = v / s->unit;
        const int digits = x >= 99.95 || x == (double)(int64_t)x ? 0 : x >= 9.995 ? 1 : 2;
        snprintf(out, VALUE_MAX, "%.*f%s%s", digits, x, *s->name ? " " : "", s->name);
}

static void put_right(FILE *f, const char *text, int columns)
{
        int wide = 0;
        for (const char *p = text; *p; p++) wide += (*p & 0xc0) != 0x80;
        fprintf(f, "%*s%s", MAX(columns - wide, 0), "", text);
}

static void put_value(struct printer *p, const stats_metric *m, double raw, int columns)
{
        char text[VALUE_MAX];
        show_value(m, raw, text);
        put_right(p->f, text, columns);
}

/* --- lines --- */

/* varve_flush_duration_seconds -> flush duration */
static void show_name(const stats_metric *m, const stats_series *s, char out[static NAME_MAX_SHOWN])
{
        char name[NAME_MAX_SHOWN];
        snprintf(name, sizeof name, "%.*s", MAX(m->name.n, 0), m->name.p);
        char *at = strncmp(name, "varve_", 6) == 0 ? name + 6 : name;
        static const char *const ends[] = { "_total", "_seconds" };
        for (size_t i = 0; i < COUNT_OF(ends); i++) {
                size_t n = strlen(at), k = strlen(ends[i]);
                if (n > k && strcmp(at + n - k, ends[i]) == 0) at[n - k] = '\0';
        }
        for (char *c = at; *c; c++)
                if (*c == '_') *c = ' ';
        if (s->label.n > 0)
                snprintf(out, NAME_MAX_SHOWN, "%.40s, %.*s", at, MIN(s->label.n, 36), s->label.p);
        else
                snprintf(out, NAME_MAX_SHOWN, "%.79s", at);
}

static void put_number(struct printer *p, const stats_metric *m, const struct stats_view *now,
    const struct stats_view *since)
{
        put_value(p, m, now->number, 12);
        if (p->seconds <= 0 || m->kind == STATS_GAUGE) return;
        put_value(p, m, since->number / p->seconds, 12);
        fputs("/s", p->f);
}

static void put_histogram(struct printer *p, const stats_metric *m, const struct stats_view *v)
{
        static const struct {
                const char *name;
                double q;
        } marks[] = { { "p50", 0.5 }, { "p99", 0.99 }, { "p99.9", 0.999 } };
        const stats_metric count = { .divisor = 1, .unit = STR("") };
        put_value(p, &count, (double)v->count, 12);
        for (size_t i = 0; v->count > 0 && i < COUNT_OF(marks); i++) {
                fprintf(p->f, "  %s", marks[i].name);
                put_value(p, m, stats_quantile(v, marks[i].q), 9);
        }
        if (v->count > 0) {
                fputs("  max", p->f);
                put_value(p, m, (double)v->max, 9);
        }
}

/* The headline of a group comes with its first line. */
static void put_group(struct printer *p, struct str group)
{
        if (str_eq(p->group, group)) return;
        fprintf(p->f, "\n%.*s\n", MAX(group.n, 0), group.p);
        p->group = group;
}

static void put_line(struct printer *p, const stats_metric *m, const stats_series *s, int shard)
{
        struct stats_view now, since, old;
        const stats_series *was = stats_before(p->show->before, m, s);
        char name[NAME_MAX_SHOWN];
        arena_reset(&p->arena);
        bool ok = stats_view(s, shard, &p->arena, &now);
        since = now;
        if (ok && was)
                ok = stats_view(was, shard, &p->arena, &old) &&
                     stats_view_since(&since, &old, m, &p->arena);
        if (!ok) {
                p->failed = true;
                return;
        }
        if (shard == STATS_ALL_SHARDS)
                show_name(m, s, name);
        else
                snprintf(name, sizeof name, "  shard %d", shard);
        put_group(p, m->group);
        fprintf(p->f, "  %-46s", name);
        if (m->kind == STATS_HISTOGRAM)
                put_histogram(p, m, &since);
        else
                put_number(p, m, &now, &since);
        fputc('\n', p->f);
}

static bool is_zero(const stats_series *s)
{
        for (int32_t i = 0; i < s->values.n; i++)
                if (s->values.at[i] != 0) return false;
        for (int32_t i = 0; i < s->histograms.n; i++)
                if (s->histograms.at[i].buckets.n > 0) return false;
        return true;
}

static void put_metric(struct printer *p, const stats_metric *m)
{
        for (int32_t i = 0; i < m->series.n && !p->failed; i++) {
                const stats_series *s = &m->series.at[i];
                if (!p->show->all && is_zero(s)) continue;
                put_line(p, m, s, STATS_ALL_SHARDS);
                for (int k = 0; p->show->shards && k < p->show->now->res.shards; k++)
                        put_line(p, m, s, k);
        }
}

bool stats_text(const struct stats_show *s, FILE *f)
{
        const struct varve_stats_res *r = &s->now->res;
        struct printer p = { .show = s, .f = f, .group = STR_NULL };
        const stats_metric time = { .divisor = 1000000000, .unit = STR("seconds") };
        char up[VALUE_MAX], since[VALUE_MAX];
        arena_init(&p.arena, ARENA_MAX);
        if (s->before) p.seconds = (double)(r->uptime_ns - s->before->res.uptime_ns) / 1e9;
        show_value(&time, (double)r->uptime_ns, up);
        fprintf(f, "varve %.*s at %s, up %s, %d shard%s", MAX(r->version.n, 0), r->version.p,
            s->address, up, r->shards, r->shards == 1 ? "" : "s");
        if (s->before) {
                show_value(&time, p.seconds * 1e9, since);
                fprintf(f, "; rates and percentiles of the last %s", since);
        }
        fputc('\n', f);
        for (int32_t i = 0; i < r->metrics.n && !p.failed; i++) put_metric(&p, &r->metrics.at[i]);
        arena_reset(&p.arena);
        return !p.failed;
}
