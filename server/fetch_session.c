/* The cache of fetch sessions of one shard, and borrowing across shards.
 *
 * All goes well: (0, 0) makes a session on the connection's shard; (id, n) finds it there, or
 * borrows it: one message to its shard, one back, one more when the answer is made.  It can fail
 * at: unknown id (70), wrong epoch or in use (71), names mixed with ids (106): the session stays as
 * it was.  Memory: then there is no session.  A session that is closed while it is borrowed ends
 * when it comes back. */
#include "server/fetch_session.h"

#include "base/check.h"
#include "base/log.h"
#include "protocol/errors.h"
#include "protocol/msg/fetch.h"
#include "server/fetch.h"
#include "server/server.h"

#include <stdlib.h>

enum { SESSION_MAGIC = 0x76736673, EVICT_AFTER_S = 120, ID_TRIES = 16 };
static const uint64_t ns_per_s = 1000 * 1000 * 1000;

struct fetch_session {
        uint32_t magic;
        int32_t id;
        int32_t epoch; /* the next one */
        bool by_id;
        bool busy, doomed; /* the home's; doomed: closed while it was borrowed    */
        bool ended;        /* the borrower's: it does not come back to the client */
        struct shard *home;
        struct list link; /* of the cache, least recently used first */
        struct list order;
        struct session_topic *topics;
        struct session_part *parts;
        uint32_t count, next_serial;
        size_t bytes, charged; /* charged: of the cache's budget; the home's */
        uint64_t used_ns;
        struct message give_back;
        UT_hash_handle hh;
};

struct fetch_sessions {
        struct shard *shard;
        struct fetch_session *by_id;
        struct list lru;
        unsigned count, limit;
        size_t bytes, bytes_limit;
};

/* --- a session's partitions --- */

static struct session_topic *topic_find(struct fetch_session *s, struct str name, struct uuid id)
{
        struct session_topic *t;
        if (s->by_id)
                HASH_FIND(hh, s->topics, &id, sizeof(id), t);
        else
                HASH_FIND(hh, s->topics, name.n > 0 ? name.p : "", (unsigned)MAX(name.n, 0), t);
        return t;
}

static struct session_topic *topic_add(struct fetch_session *s, struct str name, struct uuid id)
{
        size_t n = name.n > 0 && !s->by_id ? (size_t)name.n : 0;
        struct session_topic *t = calloc(1, sizeof(*t) + n);
        if (!t) return NULL;
        char *text = (char *)(t + 1);
        if (n > 0) memcpy(text, name.p, n);
        t->name = (struct str){ text, (int32_t)n };
        t->id = id;
        t->serial = s->next_serial++;
        if (s->by_id)
                HASH_ADD_KEYPTR(hh, s->topics, &t->id, sizeof(t->id), t);
        else
                HASH_ADD_KEYPTR(hh, s->topics, text, (unsigned)n, t);
        s->bytes += sizeof(*t) + n;
        return t;
}

static void topic_drop(struct fetch_session *s, struct session_topic *t)
{
        assert(t->parts == 0);
        s->bytes -= sizeof(*t) + (size_t)t->name.n;
        HASH_DEL(s->topics, t);
        free(t);
}

static struct session_part *part_find(
    struct fetch_session *s, struct session_topic *t, int32_t index)
{
        struct session_part *p;
        uint64_t key = (uint64_t)t->serial << 32 | (uint32_t)index;
        HASH_FIND(hh, s->parts, &key, sizeof(key), p);
        return p;
}

static struct session_part *part_add(
    struct fetch_session *s, struct session_topic *t, int32_t index)
{
        struct session_part *p = calloc(1, sizeof(*p));
        if (!p) return NULL;
        p->key = (uint64_t)t->serial << 32 | (uint32_t)index;
        p->topic = t;
        p->high_watermark = p->log_start = -1;
        HASH_ADD(hh, s->parts, key, sizeof(p->key), p);
        list_push_back(&s->order, &p->link);
        t->parts++;
        s->count++;
        s->bytes += sizeof(*p);
        return p;
}

static void part_drop(struct fetch_session *s, struct session_part *p)
{
        struct session_topic *t = p->topic;
        HASH_DEL(s->parts, p);
        list_remove(&p->link);
        s->count--;
        s->bytes -= sizeof(*p);
        free(p);
        if (--t->parts == 0) topic_drop(s, t);
}

struct session_part *fetch_session_first(struct fetch_session *s)
{
        struct list *l = list_first(&s->order);
        return l ? CONTAINER_OF(l, struct session_part, link) : NULL;
}

struct session_part *fetch_session_next(struct fetch_session *s, struct session_part *p)
{
        return p->link.next == &s->order ? NULL
                                         : CONTAINER_OF(p->link.next, struct session_part, link);
}

uint32_t fetch_session_count(const struct fetch_session *s)
{
        return s->count;
}

void fetch_session_rotate(struct fetch_session *s, struct session_part *p)
{
        list_remove(&p->link);
        list_push_back(&s->order, &p->link);
}

static bool session_update(struct fetch_session *s, const struct fetch_req *q)
{
        for (int32_t i = 0; i < q->topics.n; i++) {
                const struct fetch_req_topics *qt = &q->topics.at[i];
                struct session_topic *t = topic_find(s, qt->topic, qt->topic_id);
                for (int32_t k = 0; k < qt->partitions.n; k++) {
                        const struct fetch_req_topics_partitions *qp = &qt->partitions.at[k];
                        if (!t) t = topic_add(s, qt->topic, qt->topic_id);
                        struct session_part *p = t ? part_find(s, t, qp->partition) : NULL;
                        if (t && !p) p = part_add(s, t, qp->partition);
                        if (!p) return false;
                        p->max_bytes = qp->partition_max_bytes;
                        p->leader_epoch = qp->current_leader_epoch;
                        p->last_epoch = qp->last_fetched_epoch;
                        p->offset = qp->fetch_offset;
                }
        }
        return true;
}

static void session_forget(struct fetch_session *s, const struct fetch_req *q)
{
        for (int32_t i = 0; i < q->forgotten_topics_data.n; i++) {
                const struct fetch_req_forgotten_topics_data *qt = &q->forgotten_topics_data.at[i];
                for (int32_t k = 0; k < qt->partitions.n; k++) {
                        struct session_topic *t = topic_find(s, qt->topic, qt->topic_id);
                        struct session_part *p = t ? part_find(s, t, qt->partitions.at[k]) : NULL;
                        if (p) part_drop(s, p);
                }
        }
}

/* --- the cache: the home shard's --- */

struct fetch_sessions *fetch_sessions_new(struct shard *s, unsigned n_shards, size_t bytes_limit)
{
        struct fetch_sessions *c = calloc(1, sizeof(*c));
        if (!c) return NULL;
        c->shard = s;
        c->limit = MAX((unsigned)FETCH_SESSIONS_MAX / n_shards, 1U);
        c->bytes_limit = bytes_limit;
        list_init(&c->lru);
        return c;
}

static void session_free(struct fetch_session *s)
{
        CHECK_OBJ(s, SESSION_MAGIC);
        struct session_part *p;
        while ((p = fetch_session_first(s)) != NULL) part_drop(s, p);
        assert(s->topics == NULL);
        s->magic = 0;
        free(s);
}

static void cache_charge(struct fetch_sessions *c, struct fetch_session *s)
{
        c->bytes = c->bytes - s->charged + s->bytes;
        s->charged = s->bytes;
}

static void cache_remove(struct fetch_sessions *c, struct fetch_session *s)
{
        HASH_DEL(c->by_id, s);
        list_remove(&s->link);
        c->count--;
        c->bytes -= s->charged;
        session_free(s);
}

void fetch_sessions_free(struct fetch_sessions *c)
{
        while (!list_empty(&c->lru))
                cache_remove(c, CONTAINER_OF(c->lru.next, struct fetch_session, link));
        free(c);
}

static struct fetch_session *cache_find(struct fetch_sessions *c, int32_t id)
{
        struct fetch_session *s;
        HASH_FIND_INT(c->by_id, &id, s);
        return s && !s->doomed ? s : NULL;
}

/* Makes room for one more; false: everything is in use. */
static bool cache_room(struct fetch_sessions *c, uint64_t now)
{
        while (c->count >= c->limit || c->bytes >= c->bytes_limit) {
                struct list *l = list_first(&c->lru);
                struct fetch_session *s = l ? CONTAINER_OF(l, struct fetch_session, link) : NULL;
                if (!s || s->busy || now - s->used_ns < EVICT_AFTER_S * ns_per_s) return false;
                cache_remove(c, s);
        }
        return true;
}

/* 0: none is free. */
static int32_t new_id(struct fetch_sessions *c)
{
        const uint32_t n = c->shard->server->n_shards;
        for (int i = 0; i < ID_TRIES; i++) {
                uint32_t dice;
                struct fetch_session *s;
                io_random(c->shard->own.io, &dice, sizeof(dice));
                int32_t id = (int32_t)(dice % ((uint32_t)INT32_MAX / n) * n + c->shard->index);
                HASH_FIND_INT(c->by_id, &id, s);
                if (id > 0 && !s) return id;
        }
        return 0;
}

/* NULL: no room. */
static struct fetch_session *cache_add(struct fetch_sessions *c, bool by_id)
{
        uint64_t now = io_now_ns(c->shard->own.io);
        if (!cache_room(c, now)) return NULL;
        int32_t id = new_id(c);
        struct fetch_session *s = id ? calloc(1, sizeof(*s)) : NULL;
        if (!s) return NULL;
        s->magic = SESSION_MAGIC;
        s->id = id;
        s->epoch = 1;
        s->by_id = by_id;
        s->busy = true;
        s->home = c->shard;
        s->bytes = s->charged = sizeof(*s);
        s->used_ns = now;
        list_init(&s->order);
        list_push_back(&c->lru, &s->link);
        HASH_ADD_INT(c->by_id, id, s);
        c->count++;
        c->bytes += s->bytes;
        return s;
}

/* On the home shard: the request takes it, or learns why not. */
static void borrow(struct fetch_sessions *c, struct fetch_session_use *u)
{
        struct fetch_session *s = cache_find(c, u->id);
        if (!s) {
                u->error = WIRE_FETCH_SESSION_ID_NOT_FOUND;
        } else if (s->busy || s->epoch != u->epoch) {
                u->error = WIRE_INVALID_FETCH_SESSION_EPOCH;
        } else if (s->by_id != u->by_id) {
                u->error = WIRE_FETCH_SESSION_TOPIC_ID_ERROR;
        } else {
                s->busy = true;
                list_remove(&s->link);
                list_push_back(&c->lru, &s->link);
                s->epoch = s->epoch == INT32_MAX ? 1 : s->epoch + 1;
                u->session = s;
        }
}

/* On the home shard: back from a request. */
static void give_back(struct message *m)
{
        struct fetch_session *s = CONTAINER_OF(m, struct fetch_session, give_back);
        CHECK_OBJ(s, SESSION_MAGIC);
        struct fetch_sessions *c = s->home->own.sessions;
        s->busy = false;
        s->used_ns = io_now_ns(s->home->own.io);
        list_remove(&s->link);
        list_push_back(&c->lru, &s->link);
        cache_charge(c, s);
        /* Too large altogether: its client starts again without one. */
        if (s->doomed || s->ended || s->bytes > c->bytes_limit) cache_remove(c, s);
}

static void close_id(struct fetch_sessions *c, int32_t id)
{
        struct fetch_session *s = cache_find(c, id);
        if (!s) return;
        if (s->busy)
                s->doomed = true;
        else
                cache_remove(c, s);
}

/* --- requests: the connection's shard --- */

static struct shard *home_of(struct shard *s, int32_t id)
{
        return &s->server->shards[(uint32_t)id % s->server->n_shards];
}

static void borrow_back(struct message *m)
{
        fetch_go_on(CONTAINER_OF(m, struct fetch, session.borrow));
}

static void borrow_there(struct message *m)
{
        struct fetch *f = CONTAINER_OF(m, struct fetch, session.borrow);
        struct shard *here = home_of(f->r->shard, f->session.id);
        borrow(here->own.sessions, &f->session);
        m->run = borrow_back;
        shard_post(here, f->r->shard, m);
}

struct close_note {
        struct message message;
        struct shard *home;
        int32_t id;
};

static void close_there(struct message *m)
{
        struct close_note *x = CONTAINER_OF(m, struct close_note, message);
        close_id(x->home->own.sessions, x->id);
        free(x);
}

/* Without memory for the note it is left to be evicted. */
static void close_any(struct shard *s, int32_t id)
{
        struct shard *home = home_of(s, id);
        if (home == s) {
                close_id(s->own.sessions, id);
                return;
        }
        struct close_note *x = malloc(sizeof(*x));
        if (!x) return;
        *x = (struct close_note){ .message.run = close_there, .home = home, .id = id };
        shard_post(s, home, &x->message);
}

/* A full request that may begin a session. */
static void begin_full(struct fetch *f)
{
        const struct fetch_req *q = f->r->body;
        struct fetch_sessions *c = f->r->shard->own.sessions;
        struct fetch_session *s = cache_add(c, f->session.by_id);
        if (!s) return;
        if (!session_update(s, q) || c->bytes - s->charged + s->bytes > c->bytes_limit) {
                cache_remove(c, s);
                return;
        }
        cache_charge(c, s);
        f->session.kind = SESSION_FULL;
        f->session.session = s;
        f->session.id = s->id;
}

void fetch_session_open(struct fetch *f)
{
        struct request *r = f->r;
        const struct fetch_req *q = r->body;
        struct fetch_session_use *u = &f->session;
        u->id = q->session_id;
        u->epoch = q->session_epoch;
        u->by_id = r->version >= 13;
        if (r->version < 7 || u->epoch <= 0) {
                if (r->version >= 7 && u->id > 0) close_any(r->shard, u->id);
                u->id = 0;
                if (r->version >= 7 && u->epoch == 0) begin_full(f);
                fetch_go_on(f);
                return;
        }
        u->kind = SESSION_INCREMENTAL;
        if (u->id <= 0) {
                u->error = WIRE_FETCH_SESSION_ID_NOT_FOUND;
                fetch_go_on(f);
                return;
        }
        struct shard *home = home_of(r->shard, u->id);
        if (home == r->shard) {
                borrow(home->own.sessions, u);
                fetch_go_on(f);
                return;
        }
        u->borrow.run = borrow_there;
        shard_post(r->shard, home, &u->borrow);
}

/* False: out of memory; the session ends. */
bool fetch_session_apply(struct fetch *f)
{
        const struct fetch_req *q = f->r->body;
        struct fetch_session *s = f->session.session;
        assert(f->session.kind == SESSION_INCREMENTAL && s);
        session_forget(s, q);
        if (session_update(s, q)) return true;
        s->ended = true;
        return false;
}

/* One that has lost all its partitions ends; an empty one that has just begun is a session all the
 * same. */
int32_t fetch_session_id(const struct fetch *f)
{
        const struct fetch_session *s = f->session.session;
        bool emptied = s && f->session.kind == SESSION_INCREMENTAL && s->count == 0;
        return s && !s->ended && !emptied ? s->id : 0;
}

void fetch_session_close(struct fetch *f)
{
        struct fetch_session *s = f->session.session;
        if (!s) return;
        if (fetch_session_id(f) == 0) s->ended = true;
        f->session.session = NULL;
        s->give_back.run = give_back;
        if (s->home == f->r->shard)
                give_back(&s->give_back);
        else
                shard_post(f->r->shard, s->home, &s->give_back);
}
