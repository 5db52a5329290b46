/* What the numbers of an answer come to.  Buckets of one server all have the same edges. */
#include "bench/stats.h"

#include "base/check.h"

#include <math.h>

typedef struct varve_stats_res_metrics_series_histograms histogram;

/* --- buckets --- */

static uint64_t natural(int64_t n)
{
        return n > 0 ? (uint64_t)n : 0;
}

static void push(struct stats_view *v, struct stats_bucket b)
{
        if (b.count == 0) return;
        v->buckets[v->n_buckets++] = b;
        v->count += b.count;
}

static bool view_of(const histogram *h, struct arena *a, struct stats_view *ret)
{
        *ret = (struct stats_view){ .sum = (double)h->sum, .max = natural(h->max) };
        const size_t n = (size_t)MAX(h->buckets.n, 0);
        ret->buckets = arena_array(a, n + 1, sizeof *ret->buckets);
        if (!ret->buckets) return false;
        for (size_t i = 0; i < n; i++)
                push(ret, (struct stats_bucket){ natural(h->buckets.at[i].from),
                              natural(h->buckets.at[i].to), natural(h->buckets.at[i].count) });
        return true;
}

/* x + y, or x - y where nothing becomes less than zero. */
static uint64_t joined(uint64_t x, uint64_t y, bool minus)
{
        if (!minus) return x + y;
        return x > y ? x - y : 0;
}

/* The buckets of both, ascending. */
static bool join(struct stats_view *v, const struct stats_view *w, bool minus, struct arena *a)
{
        struct stats_view r = { .max = v->max, .sum = minus ? v->sum - w->sum : v->sum + w->sum };
        r.buckets = arena_array(a, v->n_buckets + w->n_buckets + 1, sizeof *r.buckets);
        if (!r.buckets) return false;
        size_t i = 0, k = 0;
        while (i < v->n_buckets || k < w->n_buckets) {
                const struct stats_bucket *x = i < v->n_buckets ? &v->buckets[i] : NULL;
                const struct stats_bucket *y = k < w->n_buckets ? &w->buckets[k] : NULL;
                if (x && y && x->from == y->from) {
                        push(&r, (struct stats_bucket){
                                     x->from, x->to, joined(x->count, y->count, minus) });
                        i++;
                        k++;
                } else if (x && (!y || x->from < y->from)) {
                        push(&r, *x);
                        i++;
                } else {
                        if (!minus) push(&r, *y);
                        k++;
                }
        }
        if (!minus) r.max = MAX(v->max, w->max);
        *v = r;
        return true;
}

/* --- views --- */

static bool is_wanted(int shard, int32_t i)
{
        return shard == STATS_ALL_SHARDS || shard == i;
}

bool stats_view(const stats_series *s, int shard, struct arena *a, struct stats_view *ret)
{
        *ret = (struct stats_view){ .number = 0 };
        for (int32_t i = 0; i < s->values.n; i++)
                if (is_wanted(shard, i)) ret->number += (double)s->values.at[i];
        for (int32_t i = 0; i < s->histograms.n; i++) {
                struct stats_view one;
                if (!is_wanted(shard, i)) continue;
                if (!view_of(&s->histograms.at[i], a, &one) || !join(ret, &one, false, a))
                        return false;
        }
        return true;
}

bool stats_view_since(
    struct stats_view *v, const struct stats_view *before, const stats_metric *m, struct arena *a)
{
        if (m->kind == STATS_GAUGE) return true;
        v->number -= before->number;
        if (m->kind != STATS_HISTOGRAM) return true;
        if (!join(v, before, true, a)) return false;
        /* The largest of all times; of this time only its bucket is known. */
        v->max = v->n_buckets > 0 ? MIN(v->max, v->buckets[v->n_buckets - 1].to) : 0;
        return true;
}

double stats_quantile(const struct stats_view *v, double q)
{
        uint64_t seen = 0;
        const double rank = MAX(ceil(q * (double)v->count), 1.0);
        for (size_t i = 0; i < v->n_buckets; i++) {
                const struct stats_bucket *b = &v->buckets[i];
                if ((double)(seen + b->count) >= rank) {
                        double part = (rank - (double)seen) / (double)b->count;
                        double value = (double)b->from + (double)(b->to - b->from) * part;
                        return MIN(value, (double)v->max);
                }
                seen += b->count;
        }
        return 0;
}

const stats_series *stats_before(
    const struct stats_sample *old, const stats_metric *m, const stats_series *s)
{
        for (int32_t i = 0; old && i < old->res.metrics.n; i++) {
                const stats_metric *x = &old->res.metrics.at[i];
                if (!str_eq(x->name, m->name)) continue;
                for (int32_t k = 0; k < x->series.n; k++)
                        if (str_eq(x->series.at[k].label, s->label)) return &x->series.at[k];
        }
        return NULL;
}
