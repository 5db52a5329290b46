/* Counting what a shard does.  All of it is a few instructions on lines that only this thread
 * writes; the clock is the turn's. */
#include "server/stats.h"

#include "server/conn.h"
#include "server/shard.h"
#include "storage/stats.h"

struct shard_stats *shard_stats_new(void)
{
        struct shard_stats *s = aligned_alloc(alignof(struct shard_stats), sizeof(*s));
        if (s) memset(s, 0, sizeof(*s));
        return s;
}

void shard_stats_free(struct shard_stats *s)
{
        free(s);
}

/* --- turns --- */

void stats_turn_worked(struct shard *s, unsigned n)
{
        struct shard_stats *st = s->own.stats;
        const uint64_t finished = s->own.io->finished;
        counter_add(&st->turns, 1);
        if (n > 0) counter_add(&st->turns_busy, 1);
        histogram_add(&st->turn_completions, finished - st->finished);
        st->finished = finished;
}

void stats_turn_over(struct shard *s)
{
        struct shard_stats *st = s->own.stats;
        const uint64_t now = io_now_ns(s->own.io), rest = s->own.io->rest_ns;
        const uint64_t begun = st->turn_begun_ns;
        st->turn_begun_ns = now;
        if (begun == 0) { /* the first one includes the start of the server */
                st->begun_ns = now;
                return;
        }
        const bool slept = rest > begun;
        histogram_add(&st->turn_time, (slept ? rest : now) - begun);
        if (slept) counter_add(&st->sleep_ns, now - rest);
}

static void refresh_pool(struct pool_stats *to, const struct block_pool *p)
{
        const struct block_pool_usage u = block_pool_usage(p);
        counter_set(&to->used, u.used);
        counter_set(&to->held, u.held);
        counter_set(&to->spare, u.spare);
        counter_set(&to->limit, u.limit);
        counter_set(&to->waiters, u.waiters);
        counter_set(&to->waits, u.waits);
}

void stats_refresh(struct shard *s)
{
        struct shard_stats *st = s->own.stats;
        refresh_pool(&st->pools[POOL_RECEIVE], s->own.receive);
        refresh_pool(&st->pools[POOL_BLOCKS], s->own.blocks);
        counter_set(&st->pools[POOL_ARENAS].used, s->own.arenas.used);
        counter_set(&st->pools[POOL_ARENAS].limit, s->own.arenas.limit);
        counter_set(&st->requests_open, s->own.conns->requests);
        if (s->own.log) log_shard_stats_refresh(s->own.log);
}

/* --- requests --- */

void stats_request_begun(struct request *r)
{
        const unsigned row = api_row(r->api);
        assert(row < STATS_APIS_MAX);
        r->counts = &r->shard->own.stats->api[row];
        counter_add(&r->counts->requests, 1);
}

void stats_request_finished(const struct request *r)
{
        if (r->failed || r->close) counter_add(&r->counts->errors, 1);
}

void stats_request_sent(const struct request *r)
{
        const uint64_t now = io_now_ns(r->shard->own.io);
        if (!r->no_reply) counter_add(&r->shard->own.stats->replies, 1);
        histogram_add(&r->counts->time, now - r->begun_ns);
}
