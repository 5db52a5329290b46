/* The table of metrics: what each of the numbers is, and where it lies.  Whatever shows them (the
 * VarveStats request, a metrics page) goes through here. */
#pragma once

#include "server/stats.h"

enum stats_kind { STATS_COUNTER, STATS_GAUGE, STATS_HISTOGRAM };
enum stats_where { IN_SHARD, IN_LOG, IN_IO };

struct stats_metric {
        const char *name, *group, *help; /* names are Prometheus's style                     */
        const char *unit;                /* "bytes", "seconds", NULL: a number               */
        const char *label;               /* by what its series differ; NULL: there is one    */
        enum stats_kind kind;
        enum stats_where where;
        size_t at, step; /* of the first series in its struct, and from one to the next */
        unsigned n_series;
        const char *(*series_name)(unsigned i);
};

/* All of them, groups together. */
const struct stats_metric *stats_metrics(unsigned *ret_count);
/* Times are counted in nanoseconds: a value divided by this is in the metric's unit. */
int64_t stats_divisor(const struct stats_metric *m);
unsigned stats_series(const struct stats_metric *m);
/* Any thread.  The counter or the histogram of one series on one shard. */
const struct counter *stats_counter(
    const struct stats_metric *m, unsigned series, const struct shard *s);
const struct histogram *stats_histogram(
    const struct stats_metric *m, unsigned series, const struct shard *s);
