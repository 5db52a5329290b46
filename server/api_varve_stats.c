/* VarveStats v0, a request of our own: every metric of every shard, read where it is counted, so
 * that nobody is asked and nobody waits. */
#include "base/check.h"
#include "protocol/msg/varve_stats.h"
#include "server/api.h"
#include "server/server.h"
#include "server/stats_table.h"

#ifndef VARVE_VERSION
#define VARVE_VERSION "0.1.0"
#endif

typedef struct varve_stats_res_metrics metric_res;
typedef struct varve_stats_res_metrics_series series_res;
typedef struct varve_stats_res_metrics_series_histograms histogram_res;

void api_varve_stats_begin(struct request *r)
{
        (void)r; /* nothing to wait for */
}

static bool answer_histogram(const struct histogram *h, struct arena *a, histogram_res *ret)
{
        uint64_t counts[HISTOGRAM_BUCKETS];
        size_t n = 0;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                counts[i] = counter_get(&h->buckets[i]);
                n += counts[i] > 0;
        }
        varve_stats_res_metrics_series_histograms_init(ret);
        ret->sum = (int64_t)counter_get(&h->sum);
        ret->max = (int64_t)counter_get(&h->max);
        ret->buckets.at = arena_array(a, n + 1, sizeof(*ret->buckets.at));
        if (!ret->buckets.at) return false;
        for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
                if (counts[i] == 0) continue;
                ret->buckets.at[ret->buckets.n++] =
                    (struct varve_stats_res_metrics_series_histograms_buckets){
                            .from = (int64_t)histogram_from(i),
                            .to = (int64_t)histogram_to(i),
                            .count = (int64_t)counts[i],
                    };
        }
        return true;
}

static bool answer_series(
    struct request *r, const struct stats_metric *m, unsigned series, series_res *ret)
{
        const struct server *v = r->shard->server;
        const bool histogram = m->kind == STATS_HISTOGRAM;
        varve_stats_res_metrics_series_init(ret);
        if (m->label) ret->label = str_of(m->series_name(series));
        if (histogram)
                ret->histograms.at =
                    arena_array(&r->arena, v->n_shards, sizeof(*ret->histograms.at));
        else
                ret->values.at = arena_array(&r->arena, v->n_shards, sizeof(*ret->values.at));
        if (!ret->histograms.at && !ret->values.at) return false;
        for (unsigned i = 0; i < v->n_shards; i++) {
                const struct shard *s = &v->shards[i];
                if (!histogram)
                        ret->values.at[ret->values.n++] =
                            (int64_t)counter_get(stats_counter(m, series, s));
                else if (!answer_histogram(stats_histogram(m, series, s), &r->arena,
                             &ret->histograms.at[ret->histograms.n++]))
                        return false;
        }
        return true;
}

static bool answer_metric(struct request *r, const struct stats_metric *m, metric_res *ret)
{
        const unsigned n = stats_series(m);
        varve_stats_res_metrics_init(ret);
        ret->name = str_of(m->name);
        ret->group = str_of(m->group);
        ret->help = str_of(m->help);
        ret->kind = (int8_t)m->kind;
        ret->unit = str_of(m->unit ? m->unit : "");
        ret->divisor = stats_divisor(m);
        ret->label = str_of(m->label ? m->label : "");
        ret->series.at = arena_array(&r->arena, n, sizeof(*ret->series.at));
        if (!ret->series.at) return false;
        for (unsigned i = 0; i < n; i++)
                if (!answer_series(r, m, i, &ret->series.at[ret->series.n++])) return false;
        return true;
}

static bool answer(struct request *r, struct varve_stats_res *res)
{
        const struct shard *s = r->shard;
        unsigned n;
        const struct stats_metric *all = stats_metrics(&n);
        varve_stats_res_init(res);
        res->version = STR(VARVE_VERSION);
        res->uptime_ns = (int64_t)(io_now_ns(s->own.io) - s->own.stats->begun_ns);
        res->shards = (int32_t)s->server->n_shards;
        res->metrics.at = arena_array(&r->arena, n, sizeof(*res->metrics.at));
        if (!res->metrics.at) return false;
        for (unsigned i = 0; i < n; i++)
                if (!answer_metric(r, &all[i], &res->metrics.at[res->metrics.n++])) return false;
        return true;
}

void api_varve_stats_finish(struct request *r, struct out *reply)
{
        struct varve_stats_res res;
        if (answer(r, &res))
                varve_stats_res_encode(&res, reply, r->version);
        else
                reply->bad = true; /* out of memory: the connection is closed */
}
