/* Inside of `varve stats`: asking a server for its numbers, and showing them. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "protocol/msg/varve_stats.h"

#include <stdio.h>

/* --- stats_link.c: a connection of its own, blocking, with a limit on every wait --- */
struct stats_link {
        int fd;
        int32_t correlation;
        char address[300]; /* as the user wrote it */
};

/* One answer; what it says is borrowed from its frame and arena. */
struct stats_sample {
        struct varve_stats_res res;
        uint8_t *frame;
        struct arena arena;
};

/* host: a name or a number. */
int stats_connect(struct stats_link *l, const char *host, uint16_t port, struct err *e);
/* A sample that held another one before is emptied first; a zeroed one is empty. */
int stats_ask(struct stats_link *l, struct stats_sample *ret, struct err *e);
void stats_sample_free(struct stats_sample *s);
void stats_close(struct stats_link *l);

/* --- stats_view.c: sums over shards, differences between two samples, quantiles --- */
enum { STATS_ALL_SHARDS = -1 };
enum stats_kind { STATS_COUNTER, STATS_GAUGE, STATS_HISTOGRAM };

typedef struct varve_stats_res_metrics stats_metric;
typedef struct varve_stats_res_metrics_series stats_series;

struct stats_bucket {
        uint64_t from, to, count;
};

struct stats_view {
        double number; /* of counters and gauges */
        /* of histograms */
        struct stats_bucket *buckets;
        size_t n_buckets;
        uint64_t count, max;
        double sum;
};

/* One series on one shard, or over all.  False: out of memory. */
bool stats_view(const stats_series *s, int shard, struct arena *a, struct stats_view *ret);
/* What happened since `before`, which is of the same series: a gauge stays as it is. */
bool stats_view_since(
    struct stats_view *v, const struct stats_view *before, const stats_metric *m, struct arena *a);
/* 0 when there is nothing. */
double stats_quantile(const struct stats_view *v, double q);
/* The same metric and series in an older sample; NULL: it is not there. */
const stats_series *stats_before(
    const struct stats_sample *old, const stats_metric *m, const stats_series *s);

/* --- showing a sample --- */
struct stats_show {
        const char *address;
        const struct stats_sample *now, *before; /* before: NULL, or rates are shown too */
        bool all;                                /* also what is zero */
        bool shards;                             /* also each shard   */
};
/* False: out of memory. */
bool stats_text(const struct stats_show *s, FILE *f);
bool stats_json(const struct stats_show *s, FILE *f);
