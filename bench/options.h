/* Everything that can be said on the command line, in one table (options.c). */
#pragma once

#include "bench/parse.h"
#include "protocol/compress.h"

enum bench_mode { MODE_PRODUCE, MODE_CONSUME, MODE_RTT, MODE_E2E, MODE_MIXED, MODE_COUNT };
enum { HOST_ROOM = 128, CONFIGS_MAX = 32, OPTIONS_TEXT_MAX = 128 };

/* The n-th of a fixed set of words. */
struct choice {
        uint64_t value;
};

struct options {
        enum bench_mode mode;
        char host[HOST_ROOM];
        uint16_t port;
        /* target */
        const char *address;
        bool null_target;
        uint64_t server_pid;
        struct choice io; /* uring, posix */
        /* load */
        uint64_t connections, in_flight, threads;
        uint64_t consumers, fetches, consumer_threads;
        struct rate rate;
        uint64_t linger_ns;
        uint64_t warmup_ns, duration_ns, records, timeout_ns;
        bool find_max;
        uint64_t p99_ns;
        /* records */
        struct size_dist size;
        struct key_dist keys;
        struct payload_kind payload;
        struct choice codec;
        uint64_t batch_records, batch_bytes, partitions_per_request;
        struct choice acks; /* all, 1, 0 */
        uint64_t ring_bytes, seed;
        bool check;
        /* topics */
        const char *topic;
        uint64_t topics, partitions, replication;
        const char *configs[CONFIGS_MAX];
        uint32_t n_configs;
        bool no_create, keep, split;
        /* consuming */
        struct choice from; /* as the mode has it, beginning, tail */
        bool rewind, fan_out;
        uint64_t preload_bytes;
        uint64_t fetch_wait_ns, fetch_min_bytes, fetch_max_bytes, fetch_bytes;
        /* output */
        struct choice output; /* text, json */
        bool quiet;
};

enum choice_from { FROM_DEFAULT, FROM_BEGINNING, FROM_TAIL };
enum choice_output { OUTPUT_TEXT, OUTPUT_JSON };

const char *mode_name(enum bench_mode m);
const char *codec_name(uint64_t codec);
/* argv[0] is "bench".  0: go on; -1: done (help was asked for); else an exit code. */
int options_parse(struct options *o, int argc, char **argv);
/* -1, 1, 0 */
int16_t options_acks(const struct options *o);
/* The options that were given, as they were given: for captions. */
const char *options_given(void);
