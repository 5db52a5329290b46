/* A shard's turn, its messages, and how it ends.
 *
 * All goes well: messages -> completions -> timers -> waiters for memory -> connections that have
 * replies -> flush plan -> one io_turn().  Nothing here fails.  To stop, a shard drains (requests
 * in flight end, parked ones answer now), waits until every shard has drained, because their
 * requests have parts here, then closes its log. */
#include "server/shard.h"

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "server/accept.h"
#include "server/conn.h"
#include "server/fetch_session.h"
#include "server/server.h"

#include <xxhash.h>

enum {
        MESSAGES_PER_TURN_MAX = 1024,
        COMPLETIONS_PER_TURN_MAX = 1024,
        TIMERS_PER_TURN_MAX = 1024,
        NS_PER_S = 1000 * 1000 * 1000,
        DRAIN_S_MAX = 10,
        TRIM_S = 1,
        SESSIONS_PART = 8, /* of the scratch memory is for fetch sessions */
};

/* --- messages --- */

void shard_wake(struct shard *from, struct shard *to)
{
        CHECK_OBJ(to, SHARD_MAGIC);
        /* All sequentially consistent: sleep_begin() sees the message, or we see that it sleeps. */
        if (!atomic_load(&to->asleep)) return;
        if (!atomic_exchange(&to->asleep, false)) return;
        if (from) counter_add(&from->own.stats->wakes_sent, 1);
        io_wake(to->own.io, from ? from->own.io : NULL);
}

void shard_post(struct shard *from, struct shard *to, struct message *m)
{
        assert(m->run != NULL);
        inbox_post(&to->inbox, m);
        if (from && to != from) counter_add(&from->own.stats->messages_sent, 1);
        if (to != from) shard_wake(from, to);
}

/* --- partitions --- */

struct shard *shard_of(struct server *server, struct uuid topic_id, int32_t partition)
{
        CHECK_OBJ(server, SERVER_MAGIC);
        if (uuid_eq(topic_id, registry_topic_id)) return &server->shards[0];
        uint8_t key[sizeof(topic_id.b) + sizeof(uint32_t)];
        memcpy(key, topic_id.b, sizeof(topic_id.b));
        store_le32(key + sizeof(topic_id.b), (uint32_t)partition);
        return &server->shards[XXH3_64bits(key, sizeof(key)) % server->n_shards];
}

struct partition *shard_partition(struct shard *s, const struct topic *t, int32_t partition)
{
        assert(partition >= 0 && partition < t->partitions);
        struct partition *p = partition_find(s->own.log, t->id, partition);
        return p ? p : partition_new(s->own.log, t->id, partition, &t->config->log);
}

bool shard_topic_lives(
    const struct shard *s, const struct registry_view *view, const struct topic *t)
{
        if (view->version >= s->own.view->version) return true;
        return registry_find_id(s->own.view, t->id) != NULL;
}

/* --- life --- */

static void drain_limit_due(struct timer *t)
{
        struct shard *s = CONTAINER_OF(t, struct shard, own.drain_limit);
        log_event(LOG_WARN, "stop: connections are cut that did not finish in time",
            LOG_INT("shard", s->index), LOG_INT("connections", conns_count(s->own.conns)), LOG_END);
        conns_cut(s->own.conns);
}

static void trim_due(struct timer *t)
{
        struct shard *s = CONTAINER_OF(t, struct shard, own.trim);
        block_pool_trim(s->own.receive);
        block_pool_trim(s->own.blocks);
        stats_refresh(s);
        timer_arm(&s->own.timers, t, io_now_ns(s->own.io) + (uint64_t)TRIM_S * NS_PER_S);
}

static int pools_init(struct shard *s, const struct config_memory *m, struct err *e)
{
        s->own.blocks = block_pool_new(s->own.io, m->blocks);
        s->own.receive = block_pool_new(NULL, m->receive);
        s->own.arenas = (struct budget){ .limit = m->arenas - m->arenas / SESSIONS_PART };
        s->own.codecs = codec_ctx_new();
        s->own.stats = shard_stats_new();
        if (s->own.blocks && s->own.receive && s->own.codecs && s->own.stats) return 0;
        return err_set(e, ST_NOMEM, "shard %u: pools", s->index);
}

int shard_init(struct shard *s, struct server *server, unsigned index, struct err *e)
{
        struct io *io = s->own.io;
        assert(io != NULL);
        *s = (struct shard){ .magic = SHARD_MAGIC, .index = index, .server = server, .own.io = io };
        timers_init(&s->own.timers);
        inbox_init(&s->inbox);
        s->own.drain_limit.on_due = drain_limit_due;
        s->own.trim.on_due = trim_due;
        timer_arm(&s->own.timers, &s->own.trim, 0);
        struct config_memory m;
        config_memory(server->config, server->n_shards, &m);
        int r = pools_init(s, &m, e);
        if (r < 0) return r;
        s->own.sessions = fetch_sessions_new(s, server->n_shards, m.arenas / SESSIONS_PART);
        s->own.conns = conns_new(s);
        if (!s->own.conns || !s->own.sessions) return err_set(e, ST_NOMEM, "shard %u", index);
        return 0;
}

void shard_free(struct shard *s)
{
        CHECK_OBJ(s, SHARD_MAGIC);
        if (s->own.sessions) fetch_sessions_free(s->own.sessions);
        if (s->own.conns) conns_free(s->own.conns);
        if (s->own.log) log_shard_free(s->own.log);
        if (s->own.codecs) codec_ctx_free(s->own.codecs);
        shard_stats_free(s->own.stats);
        if (s->own.receive) block_pool_free(s->own.receive);
        if (s->own.blocks) block_pool_free(s->own.blocks);
        s->magic = 0;
}

static void log_on_closed(void *owner)
{
        struct shard *s = owner;
        CHECK_OBJ(s, SHARD_MAGIC);
        s->own.log_closed = true;
}

static void wake_all(struct shard *s)
{
        for (unsigned i = 0; i < s->server->n_shards; i++)
                if (i != s->index) shard_wake(s, &s->server->shards[i]);
}

/* Does the condition of the next step hold? */
static bool life_ready(const struct shard *s)
{
        struct server *v = s->server;
        int stopping = atomic_load(&v->stopping);
        if (stopping == 0) return false;
        if (stopping >= 2) return s->own.life != SHARD_CLOSED || server_stopped(v);
        switch (s->own.life) {
        case SHARD_RUNNING:
                return true;
        case SHARD_DRAINING:
                return conns_idle(s->own.conns) &&
                       (s->index > 0 || !v->acceptor || acceptor_stopped(v->acceptor));
        case SHARD_DRAINED:
                return atomic_load(&v->shards_drained) == v->n_shards;
        case SHARD_CLOSING:
                return s->own.log_closed && conns_quiet(s->own.conns);
        case SHARD_CLOSED:
                return server_stopped(v);
        }
        return false;
}

static void life_begin_draining(struct shard *s)
{
        s->own.life = SHARD_DRAINING;
        timer_arm(&s->own.timers, &s->own.drain_limit,
            io_now_ns(s->own.io) + (uint64_t)DRAIN_S_MAX * NS_PER_S);
        if (s->index == 0 && s->server->acceptor) acceptor_stop(s->server->acceptor);
        conns_drain(s->own.conns);
}

static void life_end(struct shard *s)
{
        s->own.life = SHARD_CLOSED;
        atomic_fetch_add(&s->server->shards_closed, 1);
        wake_all(s);
}

/* True: a step was made, and the next one may follow at once. */
static bool life_run(struct shard *s)
{
        struct server *v = s->server;
        if (atomic_load_explicit(&v->stopping, memory_order_relaxed) == 0) return false;
        if (s->own.life == SHARD_CLOSED || !life_ready(s)) return false;
        if (atomic_load(&v->stopping) >= 2) {
                life_end(s);
                return true;
        }
        switch (s->own.life) {
        case SHARD_RUNNING:
                life_begin_draining(s);
                break;
        case SHARD_DRAINING:
                s->own.life = SHARD_DRAINED;
                timer_cancel(&s->own.timers, &s->own.drain_limit);
                atomic_fetch_add(&v->shards_drained, 1);
                wake_all(s);
                break;
        case SHARD_DRAINED:
                s->own.life = SHARD_CLOSING;
                log_shard_close(s->own.log, log_on_closed, s);
                break;
        case SHARD_CLOSING:
                life_end(s);
                break;
        case SHARD_CLOSED:
                break;
        }
        return true;
}

/* --- the turn --- */

/* False: something came in the meantime. */
static bool sleep_begin(struct shard *s)
{
        atomic_store(&s->asleep, true);
        /* The way to the end is no message: who moves it stores first, and then looks at `asleep`.
         */
        if (inbox_empty(&s->inbox) && !life_ready(s)) return true;
        atomic_store_explicit(&s->asleep, false, memory_order_relaxed);
        return false;
}

static uint64_t sleep_time(const struct shard *s, uint64_t sleep_ns)
{
        uint64_t next = timers_next(&s->own.timers), now = io_now_ns(s->own.io);
        if (next == UINT64_MAX) return sleep_ns;
        return next <= now ? 0 : MIN(sleep_ns, next - now);
}

/* What ran last may have left something that nobody would wake us for. */
static bool work_left(struct shard *s)
{
        if (block_pool_run_waiters(s->own.receive) + block_pool_run_waiters(s->own.blocks) > 0)
                return true;
        return s->own.io->done_head != NULL || conns_busy(s->own.conns);
}

unsigned shard_turn(struct shard *s, uint64_t sleep_ns)
{
        CHECK_OBJ(s, SHARD_MAGIC);
        struct io *io = s->own.io;
        unsigned n = inbox_run(&s->inbox, MESSAGES_PER_TURN_MAX);
        n += io_dispatch(io, COMPLETIONS_PER_TURN_MAX);
        n += timers_run(&s->own.timers, io_now_ns(io), TIMERS_PER_TURN_MAX);
        n += block_pool_run_waiters(s->own.receive);
        n += block_pool_run_waiters(s->own.blocks);
        n += conns_run(s->own.conns);
        n += log_shard_plan(s->own.log);
        bool stepped = life_run(s);
        n += stepped ? 1 : 0;
        stats_turn_worked(s, n);
        /* Submitting and sleeping is one system call, also at the end of a busy turn. */
        uint64_t wait = stepped || work_left(s) ? 0 : sleep_time(s, sleep_ns);
        bool asleep = wait > 0 && sleep_begin(s);
        io_turn(io, asleep ? wait : 0);
        stats_turn_over(s);
        if (asleep) atomic_store_explicit(&s->asleep, false, memory_order_relaxed);
        return n;
}
