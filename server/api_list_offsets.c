/* ListOffsets v0-11.  Source: kafka-protocol 6.7.
 *
 * begin: entries -> their owners (scatter.c), which answer from memory or search by time; finish:
 * one answer per partition, in the order of the request. */
#include "base/check.h"
#include "base/status.h"
#include "protocol/errors.h"
#include "protocol/msg/list_offsets.h"
#include "server/api.h"
#include "server/asked.h"
#include "server/scatter.h"

enum { OLD_OFFSETS_MAX = 1024 };
enum { LATEST = -1, EARLIEST = -2, BIGGEST = -3, EARLIEST_LOCAL = -4, TIERED = -5, PENDING = -6 };

struct entry {
        struct scatter_part part;
        int32_t next; /* of its topic, -1: last */
        int32_t leader_epoch, max_offsets;
        int64_t asked;
        /* result */
        int16_t error;
        int64_t offset, timestamp;
        int32_t epoch;
        struct i64_array old; /* v0 */
        int64_t now_ms, end;  /* v0 by time: when it was looked at, and the log's end then */
};

/* A search by time, from the owner's arena. */
struct search {
        struct log_find find;
        struct entry *entry;
};

struct list_offsets_state {
        struct scatter scatter;
        struct asked asked;
        struct entry *entries;
        int32_t n;
};

static void set_error(struct entry *e, int16_t error)
{
        e->error = error;
        e->offset = e->timestamp = -1;
        e->epoch = -1;
        e->old.n = 0;
}

/* --- on the owner --- */

/* What Kafka did before version 1: where segments begin, newest first.  `until`: segments that hold
 * nothing from there on. */
static void list_segments(struct entry *e, struct partition *p, int64_t until)
{
        int64_t bases[OLD_OFFSETS_MAX];
        uint32_t room = (uint32_t)MIN(MAX(e->max_offsets, 0), OLD_OFFSETS_MAX);
        uint32_t n = partition_segment_offsets(p, bases, COUNT_OF(bases));
        e->old.n = 0;
        e->old.at = arena_array(&e->part.group->arena, room + 1U, sizeof(*e->old.at));
        if (!e->old.at) {
                set_error(e, WIRE_KAFKA_STORAGE_ERROR);
                return;
        }
        bool all = e->asked == LATEST || e->asked >= e->now_ms;
        if (all && room > 0) e->old.at[e->old.n++] = e->end;
        int64_t segment_end = e->end;
        for (uint32_t i = 0; i < n && (uint32_t)e->old.n < room; i++) {
                if (segment_end <= until) e->old.at[e->old.n++] = bases[i];
                segment_end = bases[i];
        }
}

static void found(struct log_find *f)
{
        struct entry *e = CONTAINER_OF(f, struct search, find)->entry;
        bool v0 = e->part.group->scatter->r->version == 0;
        if (f->status != ST_OK) {
                set_error(e, wire_from_status(f->status));
        } else if (v0) {
                list_segments(e, f->partition, f->offset >= 0 ? f->offset : e->end);
        } else {
                e->offset = f->offset;
                e->timestamp = f->found_timestamp;
                e->epoch = f->offset >= 0 ? 0 : -1;
        }
}

static void found_later(struct log_find *f)
{
        found(f);
        scatter_part_done(&CONTAINER_OF(f, struct search, find)->entry->part);
}

static bool search(struct entry *e, struct partition *p, int64_t timestamp)
{
        struct search *s = arena_alloc(&e->part.group->arena, sizeof(*s));
        if (!s) {
                set_error(e, WIRE_KAFKA_STORAGE_ERROR);
                return true;
        }
        s->entry = e;
        s->find =
            (struct log_find){ .partition = p, .timestamp = timestamp, .on_done = found_later };
        if (partition_find_time(&s->find) == ST_PENDING) return false;
        found(&s->find);
        return true;
}

static bool run_old(struct entry *e, struct partition *p, const struct partition_state *st)
{
        e->now_ms = io_wall_ms(e->part.group->owner->own.io);
        e->end = st->high_watermark;
        if (e->asked == LATEST) {
                list_segments(e, p, INT64_MAX);
                return true;
        }
        if (e->asked != EARLIEST) return search(e, p, e->asked + (e->asked < INT64_MAX));
        e->old.at = arena_alloc(&e->part.group->arena, sizeof(*e->old.at));
        if (e->old.at && e->max_offsets > 0) e->old.at[e->old.n++] = st->log_start;
        return true;
}

static bool run(struct scatter_part *part, struct partition *p, int16_t error)
{
        struct entry *e = CONTAINER_OF(part, struct entry, part);
        const struct request *r = part->group->scatter->r;
        const struct list_offsets_req *q = r->body;
        struct partition_state st = { .status = ST_OK };
        if (p) partition_get_state(p, &st);
        if (!error && st.status == ST_CORRUPT) error = WIRE_KAFKA_STORAGE_ERROR;
        if (!error && e->leader_epoch > st.leader_epoch) error = WIRE_UNKNOWN_LEADER_EPOCH;
        if (!error && e->leader_epoch >= 0 && e->leader_epoch < st.leader_epoch)
                error = WIRE_FENCED_LEADER_EPOCH;
        if (error) {
                set_error(e, error);
                return true;
        }
        if (r->version == 0) return run_old(e, p, &st);
        e->epoch = st.leader_epoch;
        switch (e->asked) {
        case LATEST:
                e->offset = q->replica_id == -2 ? st.append_end : st.high_watermark;
                return true;
        case EARLIEST:
        case EARLIEST_LOCAL:
                e->offset = st.log_start;
                return true;
        case TIERED:
        case PENDING:
                e->epoch = -1; /* nothing is tiered */
                return true;
        case BIGGEST:
                return search(e, p, LOG_TIME_MAX);
        default:
                return search(e, p, e->asked);
        }
}

/* --- begin --- */

/* From which version on a special timestamp is known; INT16_MAX: never. */
static int16_t known_from(int64_t timestamp)
{
        static const int16_t from[] = { 0, 0, 7, 8, 9, 11 }; /* of -1, -2, … */
        if (timestamp >= 0) return 0;
        return timestamp < -(int64_t)COUNT_OF(from) ? INT16_MAX : from[-timestamp - 1];
}

static void add_entry(struct request *r, struct list_offsets_state *s, int32_t slot,
    const struct list_offsets_req_topics_partitions *p)
{
        const struct list_offsets_req *q = r->body;
        struct asked_topic *t = &s->asked.topics[slot];
        int32_t there = asked_pair_add(&s->asked, slot, p->partition_index, s->n);
        if (there >= 0) {
                set_error(&s->entries[there], WIRE_INVALID_REQUEST); /* named twice */
                return;
        }
        struct entry *e = &s->entries[s->n];
        e->part = (struct scatter_part){ .topic = t->topic, .index = p->partition_index };
        e->next = -1;
        e->leader_epoch = p->current_leader_epoch;
        e->max_offsets = p->max_num_offsets;
        e->asked = p->timestamp;
        e->offset = e->timestamp = -1;
        e->epoch = -1;
        int16_t error = asked_error(t, p->partition_index);
        if (!error && q->isolation_level != 0 && q->isolation_level != 1)
                error = WIRE_UNKNOWN_SERVER_ERROR;
        if (!error && r->version < known_from(p->timestamp)) error = WIRE_UNSUPPORTED_VERSION;
        if (error) set_error(e, error);
        if (t->last >= 0)
                s->entries[t->last].next = s->n;
        else
                t->first = s->n;
        t->last = s->n++;
}

/* False: out of memory. */
static bool add_entries(struct request *r, struct list_offsets_state *s)
{
        const struct list_offsets_req *q = r->body;
        size_t n = 0;
        for (int32_t i = 0; i < q->topics.n; i++) n += (size_t)MAX(q->topics.at[i].partitions.n, 0);
        s->entries = arena_array(&r->arena, n + 1, sizeof(*s->entries));
        if (!s->entries || !asked_init(&s->asked, r, false, q->topics.n, n)) return false;
        for (int32_t i = 0; i < q->topics.n; i++) {
                const struct list_offsets_req_topics *t = &q->topics.at[i];
                int32_t slot = asked_topic_add(&s->asked, t->name, (struct uuid){ { 0 } });
                if (slot < 0) return false;
                for (int32_t k = 0; k < t->partitions.n; k++)
                        add_entry(r, s, slot, &t->partitions.at[k]);
        }
        return true;
}

void api_list_offsets_begin(struct request *r)
{
        struct list_offsets_state *s = arena_alloc(&r->arena, sizeof(*s));
        r->state = s;
        if (!s || !scatter_init(&s->scatter, r, run) || !add_entries(r, s)) {
                r->close = true;
                return;
        }
        for (int32_t i = 0; i < s->n; i++)
                if (!s->entries[i].error) scatter_add(&s->scatter, &s->entries[i].part);
        scatter_start(&s->scatter);
}

/* --- finish --- */

static bool answer_topic(const struct list_offsets_state *s, const struct asked_topic *t,
    struct list_offsets_res_topics *out)
{
        int32_t n = 0;
        for (int32_t k = t->first; k >= 0; k = s->entries[k].next) n++;
        list_offsets_res_topics_init(out);
        out->name = t->name;
        out->partitions.at =
            arena_array(&s->scatter.r->arena, (size_t)n + 1, sizeof(*out->partitions.at));
        if (!out->partitions.at) return false;
        for (int32_t k = t->first; k >= 0; k = s->entries[k].next) {
                const struct entry *e = &s->entries[k];
                struct list_offsets_res_topics_partitions *p =
                    &out->partitions.at[out->partitions.n++];
                list_offsets_res_topics_partitions_init(p);
                p->partition_index = e->part.index;
                p->error_code = e->error;
                request_note_error(s->scatter.r, e->error);
                p->old_style_offsets = e->old;
                p->timestamp = e->timestamp;
                p->offset = e->offset;
                p->leader_epoch = e->epoch;
        }
        return true;
}

void api_list_offsets_finish(struct request *r, struct out *reply)
{
        struct list_offsets_state *s = r->state;
        struct list_offsets_res res;
        list_offsets_res_init(&res);
        bool ok = s && !r->close;
        if (ok) {
                res.topics.at =
                    arena_array(&r->arena, (size_t)s->asked.n_topics + 1, sizeof(*res.topics.at));
                ok = res.topics.at != NULL;
        }
        for (int32_t i = 0; ok && i < s->asked.n_topics; i++)
                ok = answer_topic(s, &s->asked.topics[i], &res.topics.at[res.topics.n++]);
        if (ok)
                list_offsets_res_encode(&res, reply, r->version);
        else
                reply->bad = true;
        if (s) scatter_free(&s->scatter);
}
