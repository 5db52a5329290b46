/* What people write on the command line: 64KiB, 50k, 100MB/s, 2m, uniform:100-2000, zipf:1000. */
#pragma once

#include "bench/dist.h"
#include "bench/payload.h"

#include <stdbool.h>
#include <stdint.h>

/* All: false leaves the output untouched; nothing may follow the value. */
/* 10, 10k, 1M, 1G (powers of ten) and 1KiB, 1MiB, 1GiB; a trailing B is allowed: 100MB. */
bool parse_count(const char *text, uint64_t *ret);
/* 250ms, 10s, 2m, 1h; a plain number is seconds. */
bool parse_duration(const char *text, uint64_t *ret_ns);

/* One of them is not 0. */
struct rate {
        double records, bytes; /* per second */
};
/* 50000, 50k (records a second), 100MB/s, 1GiB/s (bytes a second). */
bool parse_rate(const char *text, struct rate *ret);

/* 1024 or fixed:1024, uniform:100-2000, normal:1000,200, exp:1000 */
bool parse_size(const char *text, struct size_dist *ret);
/* none, 1000 or uniform:1000, zipf:1000 or zipf:1000,1.1 */
bool parse_keys(const char *text, struct key_dist *ret);
/* random, compressible:4, lines:FILE */
bool parse_payload(const char *text, struct payload_kind *ret);
/* 127.0.0.1:9092, [::1]:9092 */
bool parse_address(const char *text, char *host, size_t host_room, uint16_t *ret_port);
