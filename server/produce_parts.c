/* Appending what a Produce brought.
 *
 * All goes well, on the owner: check -> append -> copied into the tail -> durable -> result; back
 * on the connection's shard: the request is answered when all groups are done.  A large frame is
 * let go before that, when all groups have copied; a small one shares its block with others, so
 * that frees nothing and is not worth a message.  It can fail at: the topic is gone, a check, the
 * append (disk full, fenced, closed); each is that part's result.  A time-out answers without the
 * groups that are not back; the work then ends alone.  Appends are never called off: once accepted
 * they may become durable. */
#include "server/produce_parts.h"

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "protocol/errors.h"
#include "server/api.h"
#include "server/conn.h"
#include "server/server.h"

enum { WORK_MAGIC = 0x76737077, NS_PER_MS = 1000 * 1000 };

static void group_go(struct message *m);          /* 1  owner: checks, appends    */
static void part_on_copied(struct log_append *a); /* 2  owner                     */
static void part_on_done(struct log_append *a);   /* 3  owner                     */
static void group_copied_back(struct message *m); /* 4  connection's shard        */
static void group_done_back(struct message *m);   /* 5  connection's shard        */
static void work_on_timeout(struct timer *t);     /* or this comes first          */

/* --- on the connection's shard --- */

struct produce_work *produce_work_new(struct request *r)
{
        struct arena arena;
        arena_init(&arena, r->arena.limit);
        struct produce_work *w = arena_alloc(&arena, sizeof(*w));
        const unsigned n = r->shard->server->n_shards;
        struct produce_group *groups = w ? arena_array(&arena, n, sizeof(*groups)) : NULL;
        if (!groups) {
                arena_reset(&arena);
                return NULL;
        }
        *w = (struct produce_work){ .magic = WORK_MAGIC,
                .home = r->shard,
                .r = r,
                .view = registry_view_ref(r->view),
                .arena = arena,
                .version = r->version,
                .groups = groups,
                .timeout.on_due = work_on_timeout };
        if (r->frame) w->frame = block_ref(r->frame);
        w->early = w->frame && r->frame_size >= CONN_LARGE;
        for (unsigned i = 0; i < n; i++) {
                groups[i].work = w;
                groups[i].owner = &r->shard->server->shards[i];
                groups[i].go.run = group_go;
                groups[i].copied.run = group_copied_back;
                groups[i].done.run = group_done_back;
        }
        return w;
}

struct produce_part *produce_part_add(
    struct produce_work *w, const struct topic *topic, int32_t index, struct records records)
{
        struct produce_part *p = arena_alloc(&w->arena, sizeof(*p));
        if (!p) return NULL;
        union {
                const uint8_t *in;
                uint8_t *own;
        } bytes = { .in = records.p }; /* our receive buffer: timestamps may be patched in it */
        p->topic = topic;
        p->index = index;
        p->size = records.n;
        p->records = bytes.own;
        if (!w->frame && records.n > 0) {
                p->records = arena_alloc(&w->arena, (size_t)records.n);
                if (!p->records) return NULL;
                memcpy(p->records, records.p, (size_t)records.n);
        }
        p->base_offset = p->log_start = -1;
        struct shard *owner = shard_of(w->home->server, topic->id, index);
        request_note_owner(w->r, owner);
        struct produce_group *g = &w->groups[owner->index];
        p->group = g;
        if (g->last)
                g->last->next = p;
        else
                g->first = p;
        g->last = p;
        return p;
}

static void work_free(struct produce_work *w)
{
        CHECK_OBJ(w, WORK_MAGIC);
        assert(w->groups_out == 0 && !w->frame && !w->timeout.armed);
        struct conns *cs = w->home->own.conns;
        w->home->own.arenas.used -= w->charged;
        if (!w->r) {
                assert(cs->detached > 0);
                cs->detached--;
        }
        registry_view_unref(w->view);
        w->magic = 0;
        struct arena arena = w->arena;
        arena_reset(&arena);
}

void produce_work_start(struct produce_work *w, int32_t timeout_ms)
{
        struct shard *home = w->home;
        struct produce_group *local = NULL;
        const unsigned n = home->server->n_shards;
        w->charged = w->arena.used;
        home->own.arenas.used += w->charged;
        request_hold(w->r);
        for (unsigned i = 0; i < n; i++)
                if (w->groups[i].first) w->groups_out++;
        assert(w->groups_out > 0);
        w->groups_uncopied = w->groups_out;
        if (timeout_ms > 0)
                timer_arm(&home->own.timers, &w->timeout,
                    io_now_ns(home->own.io) + (uint64_t)timeout_ms * NS_PER_MS);
        for (unsigned i = 0; i < n; i++) {
                struct produce_group *g = &w->groups[i];
                if (!g->first) continue;
                if (g->owner == home)
                        local = g;
                else
                        shard_post(home, g->owner, &g->go);
        }
        if (local) group_go(&local->go);
}

void produce_work_release(struct produce_work *w)
{
        CHECK_OBJ(w, WORK_MAGIC);
        if (w->groups_out == 0) {
                if (w->frame) block_unref(TAKE(w->frame)); /* never started */
                work_free(w);
                return;
        }
        log_mark("produce: answered before its appends were durable");
        w->r = NULL;
        w->home->own.conns->detached++;
}

/* No owner looks at the frame any more. */
static void drop_frame(struct produce_work *w)
{
        if (w->frame) block_unref(TAKE(w->frame));
        if (w->r) request_drop_frame(w->r);
}

static void group_copied_back(struct message *m)
{
        struct produce_work *w = CONTAINER_OF(m, struct produce_group, copied)->work;
        CHECK_OBJ(w, WORK_MAGIC);
        assert(w->early && w->groups_uncopied > 0);
        if (--w->groups_uncopied == 0) drop_frame(w);
}

static void answer(struct produce_work *w)
{
        assert(!w->answered && w->r);
        w->answered = true;
        request_done(w->r); /* finish may release the work */
}

static void group_done_back(struct message *m)
{
        struct produce_group *g = CONTAINER_OF(m, struct produce_group, done);
        struct produce_work *w = g->work;
        CHECK_OBJ(w, WORK_MAGIC);
        g->back = true;
        assert(w->groups_out > 0);
        if (--w->groups_out > 0) return;
        drop_frame(w);
        timer_cancel(&w->home->own.timers, &w->timeout);
        if (w->r)
                answer(w);
        else
                work_free(w);
}

static void work_on_timeout(struct timer *t)
{
        struct produce_work *w = CONTAINER_OF(t, struct produce_work, timeout);
        CHECK_OBJ(w, WORK_MAGIC);
        answer(w);
}

/* --- on the owner --- */

static void group_send(struct produce_group *g, struct message *m)
{
        if (g->owner == g->work->home)
                m->run(m);
        else
                shard_post(g->owner, g->work->home, m);
}

static void part_refuse(struct produce_part *p, int16_t error, const char *text)
{
        p->verdict = (struct produce_verdict){ error, -1, text, false, false, -1 };
}

static void note_start(struct produce_part *p, const struct partition *partition)
{
        struct partition_state st;
        partition_get_state(partition, &st);
        p->log_start = st.log_start;
}

/* True: the append is under way. */
static bool part_begin(struct produce_part *p)
{
        const struct produce_work *w = p->group->work;
        struct shard *s = p->group->owner;
        const struct topic_config *config = p->topic->config;
        if (!shard_topic_lives(s, w->view, p->topic)) {
                part_refuse(p,
                    w->version >= 13 ? WIRE_UNKNOWN_TOPIC_ID : WIRE_UNKNOWN_TOPIC_OR_PARTITION,
                    "the topic was deleted");
                return false;
        }
        struct partition *partition = shard_partition(s, p->topic, p->index);
        if (!partition) {
                part_refuse(p, WIRE_KAFKA_STORAGE_ERROR, "out of memory");
                return false;
        }
        struct produce_rules rules = { .version = w->version,
                .max_message_bytes = config->max_message_bytes,
                .segment_bytes = config->log.segment_bytes,
                .compact = config->compact,
                .append_time = config->append_time,
                .before_ms = config->timestamp_before_max_ms,
                .after_ms = config->timestamp_after_max_ms,
                .now_ms = io_wall_ms(s->own.io) };
        struct batch info;
        if (!produce_check(p->records, p->size, &rules, s->own.codecs, &info, &p->verdict)) {
                if (p->verdict.knows_start) note_start(p, partition);
                return false;
        }
        p->append = (struct log_append){ .partition = partition,
                .batch = p->records,
                .info = info,
                .crc_checked = p->verdict.crc_checked,
                .on_copied = w->early ? part_on_copied : NULL,
                .on_done = part_on_done };
        partition_append(&p->append);
        return true;
}

static void group_go(struct message *m)
{
        struct produce_group *g = CONTAINER_OF(m, struct produce_group, go);
        CHECK_OBJ(g->work, WORK_MAGIC);
        /* Counted before any callback: they come later, one by one. */
        for (struct produce_part *p = g->first; p; p = p->next) {
                if (!part_begin(p)) continue;
                g->uncopied++;
                g->unfinished++;
        }
        if (g->unfinished > 0) return;
        if (g->work->early) group_send(g, &g->copied);
        group_send(g, &g->done);
}

static void part_on_copied(struct log_append *a)
{
        struct produce_group *g = CONTAINER_OF(a, struct produce_part, append)->group;
        assert(g->uncopied > 0);
        if (--g->uncopied == 0) group_send(g, &g->copied);
}

static void note_durable(struct shard_stats *st, const struct batch *b)
{
        counter_add(&st->produce_batches, 1);
        counter_add(&st->produce_bytes, b->size);
        counter_add(&st->produce_records, (uint64_t)b->count);
}

static void part_on_done(struct log_append *a)
{
        struct produce_part *p = CONTAINER_OF(a, struct produce_part, append);
        struct produce_group *g = p->group;
        if (a->status == ST_OK) {
                p->base_offset = a->base_offset;
                p->log_start = a->log_start;
                note_durable(g->owner->own.stats, &a->info);
        } else {
                int16_t error = wire_from_status(a->status);
                if (a->status == ST_NOT_FOUND && g->work->version >= 13)
                        error = WIRE_UNKNOWN_TOPIC_ID;
                part_refuse(p, error, status_text(a->status));
        }
        assert(g->unfinished > 0);
        if (--g->unfinished == 0) group_send(g, &g->done);
}
