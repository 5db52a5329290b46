/* Reading for a Fetch, on the shards that own the partitions.
 *
 * All goes well: visit (look, arm a watch) -> enough: read -> the group is back -> when all are,
 * the answer.  Not enough: a watch fires -> the owner visits what moved, no message to us unless
 * that is enough
 * -> read -> back.  With several groups the first one that is back, or the sum of what they report,
 * or the deadline, tells the others to answer.  It can fail at: looking (an error is an answer),
 * reading (that partition's error).  The end: reads are released by one message per owner, after
 * the reply was sent; behind it nothing of ours is in the owner's inbox any more. */
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "protocol/errors.h"
#include "server/api.h"
#include "server/fetch.h"
#include "server/server.h"

enum {
        PARTS_PER_RUN_MAX = 256,
        COLD_BYTES_MAX =
            8 << 20, /* asked of the disk for one group, besides an oversize first batch */
        NS_PER_MS = 1000 * 1000,
};

static void group_visit(struct message *m);    /* 1  owner: looks, watches, reads when enough */
static void part_on_move(struct log_watch *w); /*    owner: 1 again                           */
static void group_report(struct message *m);   /* 2  connection's shard: not enough yet       */
static void group_final(struct message *m);    /* 3  owner: answers with what is there        */
static void part_on_read(struct log_read *r);  /* 4  owner                                    */
static void group_done(struct message *m);     /* 5  connection's shard                       */
static void group_release(struct message *m);  /* 6  owner: the reply was sent                */
static void group_released(struct message *m); /* 7  connection's shard                       */

/* A read and whose it is; from the owner's arena. */
struct fetch_read {
        struct log_read read;
        struct fetch_part *part;
};

static bool is_local(const struct fetch_group *g)
{
        return g->owner == g->fetch->r->shard;
}

/* To the connection's shard. */
static void group_send(struct fetch_group *g, struct message *m)
{
        if (is_local(g))
                m->run(m);
        else
                shard_post(g->owner, g->fetch->r->shard, m);
}

/* --- on the owner: looking --- */

static int16_t lookup(struct fetch_part *p, struct partition **ret)
{
        const struct request *r = p->group->fetch->r;
        struct shard *s = p->group->owner;
        if (!shard_topic_lives(s, r->view, p->topic))
                return r->version >= 13 ? WIRE_UNKNOWN_TOPIC_ID : WIRE_UNKNOWN_TOPIC_OR_PARTITION;
        *ret = shard_partition(s, p->topic, p->index);
        return *ret ? WIRE_NONE : WIRE_KAFKA_STORAGE_ERROR;
}

/* There is one epoch, 0.  A fetch from the future is out of range. */
static int16_t position_error(const struct fetch_part *p, const struct partition_state *st)
{
        if (p->leader_epoch > st->leader_epoch) return WIRE_UNKNOWN_LEADER_EPOCH;
        if (p->leader_epoch >= 0 && p->leader_epoch < st->leader_epoch)
                return WIRE_FENCED_LEADER_EPOCH;
        if (p->last_epoch > st->leader_epoch) return WIRE_OFFSET_OUT_OF_RANGE;
        if (p->offset < st->log_start || p->offset > st->append_end)
                return WIRE_OFFSET_OUT_OF_RANGE;
        return WIRE_NONE;
}

static void set_error(struct fetch_part *p, int16_t error)
{
        p->error = error;
        p->high_watermark = p->log_start = -1;
        p->group->own.has_error = true;
}

/* How much could be read of it; arms its watch when the fetch may wait. */
static void look(struct fetch_part *p)
{
        struct fetch_group *g = p->group;
        struct partition *x;
        struct partition_state st;
        g->own.available -= p->readable;
        p->readable = 0;
        int16_t error = lookup(p, &x);
        if (!error) {
                partition_get_state(x, &st);
                if (st.status == ST_CORRUPT) error = WIRE_KAFKA_STORAGE_ERROR;
        }
        if (!error) error = position_error(p, &st);
        if (error) {
                set_error(p, error);
                return;
        }
        p->high_watermark = st.high_watermark;
        p->log_start = st.log_start;
        p->readable = partition_readable(x, p->offset, (uint64_t)MAX(p->max_bytes, 1));
        g->own.available += p->readable;
        if (!g->own.must_answer) partition_watch(x, &p->watch);
}

static void post_visit(struct fetch_group *g)
{
        if (g->own.visit_posted) return;
        g->own.visit_posted = true;
        shard_post(g->owner, g->owner, &g->visit);
}

static void part_on_move(struct log_watch *w)
{
        struct fetch_part *p = CONTAINER_OF(w, struct fetch_part, watch);
        struct fetch_group *g = p->group;
        if (p->moved || g->own.state >= FETCH_READING) return;
        p->moved = true;
        p->next_moved = g->own.moved;
        g->own.moved = p;
        post_visit(g);
}

/* Looks at no more than PARTS_PER_RUN_MAX.  True: all was looked at. */
static bool look_around(struct fetch_group *g)
{
        unsigned n = 0;
        while (g->own.state == FETCH_NEW && n++ < PARTS_PER_RUN_MAX) {
                struct fetch_part *p = g->own.at;
                if (p->error)
                        g->own.has_error = true;
                else
                        look(p);
                g->own.at = p->next;
                if (!p->next) g->own.state = FETCH_WATCHING;
        }
        while (g->own.state == FETCH_WATCHING && g->own.moved && n++ < PARTS_PER_RUN_MAX) {
                struct fetch_part *p = g->own.moved;
                g->own.moved = p->next_moved;
                p->moved = false;
                if (!p->error) look(p);
        }
        return g->own.state == FETCH_WATCHING && !g->own.moved;
}

/* --- on the owner: reading --- */

static void group_finish(struct fetch_group *g)
{
        assert(g->own.state == FETCH_READING && g->own.reads_out == 0);
        g->own.state = FETCH_DONE;
        g->own.trip = g->own.visit_posted;
        group_send(g, &g->done);
}

static void take_result(struct fetch_part *p)
{
        struct log_read *r = p->read;
        if (r->status != ST_OK) {
                log_read_release(r);
                r->total = 0;
                set_error(p, wire_from_status(r->status));
                return;
        }
        p->high_watermark = r->high_watermark;
        p->log_start = r->log_start;
}

static void part_on_read(struct log_read *r)
{
        struct fetch_part *p = CONTAINER_OF(r, struct fetch_read, read)->part;
        struct fetch_group *g = p->group;
        take_result(p);
        assert(g->own.reads_out > 0);
        if (--g->own.reads_out == 0) group_finish(g);
}

static void spend(struct fetch_group *g, uint64_t n)
{
        g->own.budget -= MIN(g->own.budget, n);
}

static void read_part(struct fetch_part *p)
{
        struct fetch_group *g = p->group;
        struct partition *x;
        int16_t error = lookup(p, &x);
        if (error) {
                set_error(p, error);
                return;
        }
        struct fetch_read *fr = arena_alloc(&g->own.arena, sizeof(*fr));
        if (!fr) return; /* nothing of it this time */
        struct log_read *r = p->read = &fr->read;
        fr->part = p;
        r->partition = x;
        r->offset = p->offset;
        r->max_bytes = (uint32_t)MIN((uint64_t)MAX(p->max_bytes, 0), g->own.budget);
        r->at_least_one = !g->own.some;
        r->on_done = part_on_read;
        g->own.some = true;
        if (partition_read(r) == ST_PENDING) {
                uint64_t likely = MIN(p->readable, r->max_bytes);
                g->own.reads_out++;
                g->own.cold += likely;
                spend(g, likely);
                return;
        }
        spend(g, r->total);
        take_result(p);
}

static void read_group(struct fetch_group *g)
{
        g->own.state = FETCH_READING;
        g->own.moved = NULL;
        g->own.reads_out = 1; /* ours */
        for (struct fetch_part *p = g->first; p; p = p->next) {
                partition_unwatch(&p->watch);
                p->moved = false;
                bool full = g->own.some && (g->own.budget == 0 || g->own.cold >= COLD_BYTES_MAX);
                if (!p->error && p->readable > 0 && !full) read_part(p);
        }
        if (--g->own.reads_out == 0) group_finish(g);
}

/* --- on the owner: visits --- */

static void visit(struct fetch_group *g)
{
        const struct fetch *f = g->fetch;
        if (g->own.state >= FETCH_READING) return;
        if (!look_around(g)) {
                post_visit(g);
                return;
        }
        if (g->own.must_answer || g->own.has_error || g->own.available >= f->min_bytes) {
                read_group(g);
                return;
        }
        atomic_store_explicit(&g->reported, g->own.available, memory_order_release);
        if (!atomic_exchange(&g->report_posted, true)) group_send(g, &g->report);
}

static void group_visit(struct message *m)
{
        struct fetch_group *g = CONTAINER_OF(m, struct fetch_group, visit);
        g->own.visit_posted = false;
        visit(g);
}

static void group_final(struct message *m)
{
        struct fetch_group *g = CONTAINER_OF(m, struct fetch_group, final);
        g->own.must_answer = true;
        if (!g->own.visit_posted) visit(g);
}

static void group_release(struct message *m)
{
        struct fetch_group *g = CONTAINER_OF(m, struct fetch_group, release);
        assert(g->own.state == FETCH_DONE && !g->own.visit_posted);
        for (struct fetch_part *p = g->first; p; p = p->next)
                if (p->read) log_read_release(p->read);
        if (m->run == group_release) group_send(g, &g->released);
}

/* --- on the connection's shard --- */

void fetch_part_assign(struct fetch *f, struct fetch_part *p)
{
        struct shard *home = f->r->shard;
        struct shard *owner = p->topic ? shard_of(home->server, p->topic->id, p->index) : home;
        struct fetch_group *g = &f->groups[owner->index];
        p->group = g;
        p->watch.on_move = part_on_move;
        list_init(&p->watch.link);
        if (g->last)
                g->last->next = p;
        else
                g->first = p;
        g->last = p;
}

static void group_init(struct fetch_group *g, struct fetch *f, uint64_t budget)
{
        g->visit.run = group_visit;
        g->final.run = group_final;
        g->report.run = group_report;
        g->done.run = group_done;
        g->release.run = group_release;
        g->released.run = group_released;
        g->own.at = g->first;
        g->own.budget = budget;
        g->own.must_answer = !f->may_wait;
        arena_init(&g->own.arena, f->r->arena.limit);
}

static void on_deadline(struct timer *t)
{
        fetch_answer(CONTAINER_OF(t, struct fetch, deadline));
}

void fetch_start(struct fetch *f)
{
        struct shard *home = f->r->shard;
        const unsigned n = home->server->n_shards;
        struct fetch_group *local = NULL;
        f->groups_out = 0;
        for (unsigned i = 0; i < n; i++)
                if (f->groups[i].first) f->groups_out++;
        assert(f->groups_out > 0);
        /* Each group may give its share; what does not fit after the first one is left out. */
        uint64_t budget = (f->max_bytes + f->groups_out - 1) / f->groups_out;
        request_hold(f->r);
        f->answering = !f->may_wait;
        f->deadline.on_due = on_deadline;
        if (f->may_wait)
                timer_arm(&home->own.timers, &f->deadline,
                    io_now_ns(home->own.io) + (uint64_t)f->max_wait_ms * NS_PER_MS);
        for (unsigned i = 0; i < n; i++) {
                struct fetch_group *g = &f->groups[i];
                if (!g->first) continue;
                group_init(g, f, budget);
                if (g->owner == home)
                        local = g;
                else
                        shard_post(home, g->owner, &g->visit);
        }
        if (local) visit(local);
}

void fetch_answer(struct fetch *f)
{
        struct shard *home = f->r->shard;
        if (f->answering) return;
        f->answering = true;
        timer_cancel(&home->own.timers, &f->deadline);
        request_hold(f->r); /* a local group may be the last one */
        for (unsigned i = 0; i < home->server->n_shards; i++) {
                struct fetch_group *g = &f->groups[i];
                if (!g->first || g->back) continue;
                g->final_sent = true;
                if (is_local(g))
                        group_final(&g->final);
                else
                        shard_post(home, g->owner, &g->final);
        }
        request_done(f->r);
}

static void group_report(struct message *m)
{
        struct fetch_group *g = CONTAINER_OF(m, struct fetch_group, report);
        struct fetch *f = g->fetch;
        atomic_store(&g->report_posted, false);
        if (f->answering || f->groups_out < 2) return;
        uint64_t sum = 0;
        for (unsigned i = 0; i < f->r->shard->server->n_shards; i++)
                if (f->groups[i].first)
                        sum += atomic_load_explicit(&f->groups[i].reported, memory_order_acquire);
        if (sum >= f->min_bytes) fetch_answer(f);
}

static void group_done(struct message *m)
{
        struct fetch_group *g = CONTAINER_OF(m, struct fetch_group, done);
        struct fetch *f = g->fetch;
        g->back = true;
        request_charge(f->r, g->own.arena.used);
        assert(f->groups_out > 0);
        if (--f->groups_out > 0) {
                fetch_answer(f); /* the others answer too, now */
                return;
        }
        f->answering = true;
        timer_cancel(&f->r->shard->own.timers, &f->deadline);
        request_done(f->r);
}

static void group_free(struct fetch_group *g)
{
        arena_reset(&g->own.arena);
}

static void group_released(struct message *m)
{
        struct fetch_group *g = CONTAINER_OF(m, struct fetch_group, released);
        struct request *r = g->fetch->r;
        group_free(g);
        request_done(r);
}

static bool has_reads(const struct fetch_group *g)
{
        return g->own.arena.used > 0;
}

void fetch_on_sent(struct request *r)
{
        struct fetch *f = r->state;
        for (unsigned i = 0; f && f->groups && i < r->shard->server->n_shards; i++) {
                struct fetch_group *g = &f->groups[i];
                if (!g->first || !g->back) continue;
                bool trip = g->own.trip || (!is_local(g) && (has_reads(g) || g->final_sent));
                if (trip) {
                        request_hold(r);
                        shard_post(r->shard, g->owner, &g->release);
                        continue;
                }
                g->release.run = NULL;
                group_release(&g->release);
                group_free(g);
        }
}
