/* What a shard counts.  Its thread counts, any thread reads (base/counter.h).  What each number
 * means to the outside is said once, in stats_table.c; docs/architecture.md, "Counters". */
#pragma once

#include "base/histogram.h"

struct conn;
struct request;
struct shard;

enum {
        STATS_APIS_MAX = 32,
        NS_PER_SECOND = 1000 * 1000 * 1000,
};

enum stats_pool { POOL_RECEIVE, POOL_BLOCKS, POOL_ARENAS, POOLS };

struct pool_stats {
        struct counter used, held, spare, limit, waiters, waits;
};

struct api_stats {
        struct counter requests, errors;
        struct histogram time; /* ns, from the complete frame until the reply is sent */
};

struct shard_stats {
        uint64_t begun_ns, turn_begun_ns; /* the owner's alone */
        uint64_t finished;                /* operations, at the turn before */

        struct counter bytes_in, bytes_out, recvs, sends, replies;
        struct counter receive_copied; /* bytes moved because a receive buffer grew or was full */
        struct counter accepted, open, refused, closed_by_fault;
        struct counter produce_bytes, produce_batches, produce_records; /* durable */
        struct counter fetch_bytes;
        struct counter requests_open; /* a second late, as are the pools */
        struct pool_stats pools[POOLS];

        struct counter turns, turns_busy, sleep_ns;
        struct counter messages_sent, wakes_sent; /* to other shards */
        struct histogram turn_time;               /* ns, without the sleep */
        struct histogram turn_completions;

        struct api_stats api[STATS_APIS_MAX]; /* by row of the table in api.c */
};

/* NULL: out of memory. */
struct shard_stats *shard_stats_new(void);
void shard_stats_free(struct shard_stats *s);

/* The work of a turn is done; n: how much. */
void stats_turn_worked(struct shard *s, unsigned n);
/* And it has submitted, and perhaps slept. */
void stats_turn_over(struct shard *s);
/* Every second: what is looked up rather than counted. */
void stats_refresh(struct shard *s);

void stats_request_begun(struct request *r);
/* Its reply is encoded, or will never be. */
void stats_request_finished(const struct request *r);
/* Its reply has left, or is never sent. */
void stats_request_sent(const struct request *r);
