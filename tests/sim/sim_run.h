/* One seed: a server, its disk, its clients and several deaths, in one thread. */
#pragma once

#include "tests/sim/io_sim.h"

struct sim_run_options {
        uint64_t seed;
        enum sim_lie lie;
        bool verbose;
};

struct sim_result {
        bool failed;
        struct err error;
        uint64_t lives, crashes, kills, stops, start_crashes;
        uint64_t acked, records, fetches, noise, faults, events;
        uint64_t granules_lost, names_lost, rolled;
};

void sim_run(const struct sim_run_options *o, struct sim_result *ret);
