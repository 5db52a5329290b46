/* Results for people and for programs. */
#pragma once

#include "bench/trial.h"

#include <stdio.h>

/* One step of --find-max. */
struct found {
        double rate; /* records per second that were asked for */
        double records_per_second;
        uint64_t p99_ns;
        bool under; /* kept up, and p99 under the bound */
};

struct report {
        const struct session *session;
        const struct result *result;
        const struct check_result *read_back; /* NULL: none */
        const struct found *steps;            /* of --find-max */
        uint32_t n_steps;
        double max_rate; /* 0: none was found */
};

/* What the whole run did: the flow that its mode is about. */
const struct flow *report_flow(const struct report *r);
void report_text(const struct report *r, FILE *f);
void report_json(const struct report *r, FILE *f);
