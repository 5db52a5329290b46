/* Fetch v4-18.  Source: kafka-protocol 6.5, 6.6.
 *
 * begin: limits -> session -> parts -> their owners (fetch_read.c); finish: fetch_reply.c. */
#include "base/check.h"
#include "protocol/errors.h"
#include "protocol/msg/fetch.h"
#include "server/api.h"
#include "server/asked.h"
#include "server/fetch.h"
#include "server/server.h"

enum { ANSWER_MIN = 8 << 20, ANSWER_PARTS = 8 };

/* --- parts --- */

/* What is wrong with every partition of this request, 0: nothing. */
static int16_t request_error(const struct fetch *f)
{
        const struct fetch_req *q = f->r->body;
        if (q->isolation_level != 0 && q->isolation_level != 1) return WIRE_UNKNOWN_SERVER_ERROR;
        int32_t replica = f->r->version >= 15 ? q->replica_state.replica_id : q->replica_id;
        return replica >= 0 ? WIRE_NOT_LEADER_OR_FOLLOWER : WIRE_NONE;
}

static void part_resolve(
    struct fetch *f, struct fetch_part *p, const struct asked_topic *t, int16_t all)
{
        p->name = t->name;
        p->id = t->id;
        p->topic = t->topic;
        p->error = asked_error(t, p->index);
        if (p->error) p->topic = NULL;
        if (!p->error) p->error = all;
        if (!p->error && p->max_bytes < 0) p->error = WIRE_UNKNOWN_SERVER_ERROR;
        p->high_watermark = p->log_start = -1;
        if (p->error) f->may_wait = false;
        fetch_part_assign(f, p);
        request_note_owner(f->r, p->group->owner);
}

static void part_ask(struct fetch_part *p, const struct fetch_req_topics_partitions *q)
{
        p->index = q->partition;
        p->max_bytes = q->partition_max_bytes;
        p->leader_epoch = q->current_leader_epoch;
        p->last_epoch = q->last_fetched_epoch;
        p->offset = q->fetch_offset;
}

/* Of a partition that is named twice the last entry counts.  False: out of memory. */
static bool parts_of_request(struct fetch *f)
{
        struct request *r = f->r;
        const struct fetch_req *q = r->body;
        struct asked asked;
        size_t n = 0;
        for (int32_t i = 0; i < q->topics.n; i++) n += (size_t)MAX(q->topics.at[i].partitions.n, 0);
        int32_t *slots = arena_array(&r->arena, n + 1, sizeof(*slots));
        f->parts = arena_array(&r->arena, n + 1, sizeof(*f->parts));
        if (!slots || !f->parts) return false;
        if (!asked_init(&asked, r, r->version >= 13, q->topics.n, n)) return false;
        for (int32_t i = 0; i < q->topics.n; i++) {
                const struct fetch_req_topics *t = &q->topics.at[i];
                int32_t slot = asked_topic_add(&asked, t->topic, t->topic_id);
                if (slot < 0) return false;
                for (int32_t k = 0; k < t->partitions.n; k++) {
                        const struct fetch_req_topics_partitions *x = &t->partitions.at[k];
                        int32_t at = asked_pair_add(&asked, slot, x->partition, f->n);
                        if (at < 0) at = f->n++;
                        slots[at] = slot;
                        part_ask(&f->parts[at], x);
                }
        }
        int16_t all = request_error(f);
        for (int32_t i = 0; i < f->n; i++)
                part_resolve(f, &f->parts[i], &asked.topics[slots[i]], all);
        return true;
}

static struct asked_topic session_topic_resolve(struct fetch *f, const struct session_topic *t)
{
        struct asked_topic a = { .name = t->name, .id = t->id };
        bool by_id = f->session.by_id;
        a.topic = by_id ? registry_find_id(f->r->view, t->id) : registry_find(f->r->view, t->name);
        if (a.topic) {
                a.name = a.topic->name;
                a.id = a.topic->id;
        } else {
                a.error = by_id ? WIRE_UNKNOWN_TOPIC_ID : WIRE_UNKNOWN_TOPIC_OR_PARTITION;
        }
        return a;
}

static bool parts_of_session(struct fetch *f)
{
        struct fetch_session *s = f->session.session;
        const struct session_topic *last = NULL;
        struct asked_topic topic = { .error = WIRE_NONE };
        int16_t all = request_error(f);
        f->parts = arena_array(&f->r->arena, (size_t)fetch_session_count(s) + 1, sizeof(*f->parts));
        if (!f->parts) return false;
        for (struct session_part *c = fetch_session_first(s); c; c = fetch_session_next(s, c)) {
                struct fetch_part *p = &f->parts[f->n++];
                if (c->topic != last) topic = session_topic_resolve(f, c->topic);
                last = c->topic;
                p->cached = c;
                p->index = session_part_index(c);
                p->max_bytes = c->max_bytes;
                p->leader_epoch = c->leader_epoch;
                p->last_epoch = c->last_epoch;
                p->offset = c->offset;
                part_resolve(f, p, &topic, all);
        }
        return true;
}

/* --- begin --- */

/* The most that one answer holds, besides an oversize first batch: what the client wants, what the
 * server allows, and a part of the memory that blocks have. */
static void set_limits(struct fetch *f)
{
        const struct fetch_req *q = f->r->body;
        const struct shard *s = f->r->shard;
        uint64_t most = MAX(block_pool_limit(s->own.blocks) / ANSWER_PARTS, (size_t)ANSWER_MIN);
        f->max_bytes = (uint64_t)MAX(MIN(q->max_bytes, s->server->config->fetch_max_bytes), 0);
        f->max_bytes = MIN(f->max_bytes, most);
        f->min_bytes = MIN((uint64_t)MAX(q->min_bytes, 0), MAX(f->max_bytes, 1UL));
        f->max_wait_ms = q->max_wait_ms;
        f->may_wait = f->min_bytes > 0 && f->max_wait_ms > 0;
}

static void hurry(struct request *r)
{
        struct fetch *f = r->state;
        CHECK_OBJ(f, FETCH_MAGIC);
        f->may_wait = false;
        if (f->groups_out > 0) fetch_answer(f);
}

void api_fetch_begin(struct request *r)
{
        struct fetch *f = arena_alloc(&r->arena, sizeof(*f));
        r->state = f;
        const unsigned n = r->shard->server->n_shards;
        if (f) f->groups = arena_array(&r->arena, n, sizeof(*f->groups));
        if (!f || !f->groups) {
                r->close = true;
                return;
        }
        f->magic = FETCH_MAGIC;
        f->r = r;
        for (unsigned i = 0; i < n; i++) {
                f->groups[i].fetch = f;
                f->groups[i].owner = &r->shard->server->shards[i];
        }
        r->on_sent = fetch_on_sent;
        r->hurry = hurry;
        set_limits(f);
        request_hold(r);
        fetch_session_open(f);
}

static bool make_parts(struct fetch *f)
{
        if (f->session.error) {
                f->error = f->session.error;
                return true;
        }
        if (f->session.kind == SESSION_INCREMENTAL && !fetch_session_apply(f)) {
                f->error = WIRE_FETCH_SESSION_ID_NOT_FOUND;
                return true;
        }
        if (!f->session.session) return parts_of_request(f);
        request_note_owner(f->r, f->r->shard); /* a session stays where it was made */
        return parts_of_session(f);
}

void fetch_go_on(struct fetch *f)
{
        struct request *r = f->r;
        CHECK_OBJ(f, FETCH_MAGIC);
        const struct fetch_req *q = r->body;
        if (!make_parts(f)) {
                r->close = true; /* more partitions than the scratch memory of a request holds */
                f->n = 0;
        } else if (f->n > 0) {
                r->promised = f->max_bytes;
                if (q->isolation_level != 0 && q->isolation_level != 1)
                        f->error = WIRE_UNKNOWN_SERVER_ERROR;
                fetch_start(f);
        }
        request_drop_frame(r);
        request_done(r);
}

void api_fetch_finish(struct request *r, struct out *reply)
{
        struct fetch *f = r->state;
        if (f && !r->close) fetch_encode(f, reply);
        if (f) fetch_session_close(f);
        if (r->close) reply->bad = true;
}
