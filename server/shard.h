/* A shard: one thread, one ring, the connections given to it and the partitions that hash to it.
 *
 * A turn: drain messages -> run completions -> run due timers -> plan flushes -> submit once (and
 * sleep only when nothing is left to do).  Every step is bounded; see shard_turn(). */
#pragma once

#include "base/block.h"
#include "base/inbox.h"
#include "base/io.h"
#include "base/timer.h"
#include "protocol/compress.h"
#include "server/stats.h"
#include "storage/log.h"

struct server;
struct registry_view;
struct conns;
struct fetch_sessions;

enum { SHARD_MAGIC = 0x76737364 };

/* How a shard ends: SHARD_RUNNING -> DRAINING (no new requests) -> waits until all are drained ->
 * CLOSING (tails are flushed and cut) -> CLOSED. */
enum shard_life { SHARD_RUNNING, SHARD_DRAINING, SHARD_DRAINED, SHARD_CLOSING, SHARD_CLOSED };

struct shard {
        uint32_t magic;
        unsigned index;
        struct server *server;

        struct { /* this shard's thread only */
                struct io *io;
                struct timers timers;
                struct block_pool *blocks;  /* tails and cached reads      */
                struct block_pool *receive; /* receive buffers, all connections of the shard */
                struct budget arenas;       /* requests' scratch memory    */
                struct log_shard *log;
                struct codec_ctx *codecs;
                struct registry_view *view; /* current topics; swapped by message */
                struct conns *conns;
                struct fetch_sessions *sessions;
                struct shard_stats *stats; /* it counts there, anyone reads */
                enum shard_life life;
                bool log_closed;
                struct timer drain_limit; /* of a graceful stop */
                struct timer trim;        /* of the block pools */
        } own;

        struct inbox inbox;        /* anyone posts, this shard drains */
        _Atomic bool asleep;       /* this shard sets, posters clear  */
        _Atomic unsigned expected; /* connections that are about to move here; see conn_place.c */
};

int shard_init(struct shard *s, struct server *server, unsigned index, struct err *e);
/* Nothing is in flight. */
void shard_free(struct shard *s);
/* Does a bounded amount of work and returns how much; 0: nothing to do.  sleep_ns: the longest it
 * may sleep when there is nothing to do. */
unsigned shard_turn(struct shard *s, uint64_t sleep_ns);
/* The one function that crosses threads.  m stays alive until it ran; it cannot fail.
 * from: the caller's shard, NULL from elsewhere (a signal thread, a test). */
void shard_post(struct shard *from, struct shard *to, struct message *m);
/* Makes a sleeping shard look around; for changes that are no message. */
void shard_wake(struct shard *from, struct shard *to);

/* Which shard owns a partition in this run; a fact of the run, not of the data. */
struct shard *shard_of(struct server *server, struct uuid topic_id, int32_t partition);
/* The partition on its own shard, made on first use; NULL: out of memory. */
struct topic;
struct partition *shard_partition(struct shard *s, const struct topic *t, int32_t partition);
/* A request saw topic t in `view`: is it still a topic, as far as this shard knows?  Without this
 * check a late request would bring a deleted partition back to life. */
bool shard_topic_lives(
    const struct shard *s, const struct registry_view *view, const struct topic *t);
