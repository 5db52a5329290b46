/* Produce v3-13.  Source: kafka-protocol 6.4, 4.1.
 *
 * begin: names become topics, each partition becomes an entry of the answer; entries that may be
 * appended become parts of the work (produce_parts.c).  finish: one answer per entry.  acks=1 waits
 * for the disk as acks=-1 does; acks=0 gets no answer, and an error closes the connection. */
#include "base/check.h"
#include "protocol/errors.h"
#include "protocol/msg/produce.h"
#include "server/api.h"
#include "server/asked.h"
#include "server/produce_parts.h"

struct entry {
        int32_t index, next; /* next of its topic, -1: last */
        int16_t error;
        bool twice;
        const char *text;
        struct records records;    /* until begin has ended */
        struct produce_part *part; /* NULL: refused at once */
};

struct produce_state {
        struct asked asked;
        struct entry *entries;
        int32_t n;
        struct produce_work *work; /* NULL: nothing to append */
};

typedef struct produce_req_topic_data_partition_data partition_data;

/* --- begin --- */

static bool is_transactional(struct records r)
{
        return r.n >= BATCH_HEADER_SIZE &&
               (load_be16(r.p + BATCH_ATTRIBUTES) & BATCH_ATTR_TXN) != 0;
}

/* A code for every partition of the request, 0: none. */
static int16_t request_error(const struct produce_req *q)
{
        if (!str_is_null(q->transactional_id)) return WIRE_NONE;
        for (int32_t i = 0; i < q->topic_data.n; i++) {
                const struct produce_req_topic_data *t = &q->topic_data.at[i];
                for (int32_t k = 0; k < t->partition_data.n; k++)
                        if (is_transactional(t->partition_data.at[k].records))
                                return WIRE_TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        }
        return WIRE_NONE;
}

static void refuse(struct entry *e, int16_t error, const char *text)
{
        if (e->error != WIRE_NONE) return; /* the first reason counts */
        e->error = error;
        e->text = text;
}

static void check_entry(const struct request *r, const struct asked_topic *t, struct entry *e)
{
        const struct produce_req *q = r->body;
        int16_t error = asked_error(t, e->index);
        if (error) refuse(e, error, "no such topic or partition");
        if (q->acks < -1 || q->acks > 1)
                refuse(e, WIRE_INVALID_REQUIRED_ACKS, "acks is not -1, 0 or 1");
        if (is_transactional(e->records))
                refuse(e, WIRE_INVALID_TXN_STATE, "transactions are not supported");
}

static void add_entry(struct produce_state *s, int32_t slot, const partition_data *p, int16_t all)
{
        struct asked_topic *t = &s->asked.topics[slot];
        int32_t there = asked_pair_add(&s->asked, slot, p->index, s->n);
        if (there >= 0) {
                s->entries[there].twice = true;
                return;
        }
        struct entry *e = &s->entries[s->n];
        *e = (struct entry){ .index = p->index, .next = -1, .records = p->records };
        if (all) refuse(e, all, "a transactional batch needs a transactional id");
        check_entry(s->asked.r, t, e);
        if (t->last >= 0)
                s->entries[t->last].next = s->n;
        else
                t->first = s->n;
        t->last = s->n++;
}

/* False: out of memory. */
static bool add_entries(struct request *r, struct produce_state *s)
{
        const struct produce_req *q = r->body;
        size_t n = 0;
        for (int32_t i = 0; i < q->topic_data.n; i++)
                n += (size_t)MAX(q->topic_data.at[i].partition_data.n, 0);
        if (!asked_init(&s->asked, r, r->version >= 13, q->topic_data.n, n)) return false;
        s->entries = arena_array(&r->arena, n + 1, sizeof(*s->entries));
        if (!s->entries) return false;
        int16_t all = request_error(q);
        for (int32_t i = 0; i < q->topic_data.n; i++) {
                const struct produce_req_topic_data *t = &q->topic_data.at[i];
                int32_t slot = asked_topic_add(&s->asked, t->name, t->topic_id);
                if (slot < 0) return false;
                for (int32_t k = 0; k < t->partition_data.n; k++)
                        add_entry(s, slot, &t->partition_data.at[k], all);
        }
        return true;
}

/* Parts in the order of the request's topics.  False: out of memory. */
static bool add_parts(struct request *r, struct produce_state *s, unsigned *ret_count)
{
        unsigned count = 0;
        for (int32_t i = 0; i < s->asked.n_topics; i++) {
                const struct asked_topic *t = &s->asked.topics[i];
                for (int32_t k = t->first; k >= 0; k = s->entries[k].next) {
                        struct entry *e = &s->entries[k];
                        if (e->twice)
                                refuse(e, WIRE_INVALID_REQUEST, "the partition is named twice");
                        if (e->error) continue;
                        if (!s->work) s->work = produce_work_new(r);
                        if (!s->work) return false;
                        e->part = produce_part_add(s->work, t->topic, e->index, e->records);
                        if (!e->part) return false;
                        count++;
                }
        }
        *ret_count = count;
        return true;
}

void api_produce_begin(struct request *r)
{
        const struct produce_req *q = r->body;
        struct produce_state *s = arena_alloc(&r->arena, sizeof(*s));
        r->state = s;
        r->no_reply = q->acks == 0;
        unsigned parts = 0;
        if (!s || !add_entries(r, s) || !add_parts(r, s, &parts)) {
                r->close = true; /* more partitions than the scratch memory of a request holds */
                return;
        }
        if (parts > 0) produce_work_start(s->work, q->acks == 0 ? 0 : q->timeout_ms);
}

/* --- finish --- */

typedef struct produce_res_responses_partition_responses partition_res;
typedef struct produce_res_responses_partition_responses_record_errors record_error;

static void answer_verdict(partition_res *p, const struct produce_part *part, struct arena *a)
{
        const struct produce_verdict *v = &part->verdict;
        p->error_code = v->error;
        p->log_start_offset = part->log_start;
        if (v->error == WIRE_NONE) {
                p->base_offset = part->base_offset;
                p->log_append_time_ms = v->append_ms;
                return;
        }
        p->error_message = str_of(v->text);
        record_error *e = v->record >= 0 ? arena_alloc(a, sizeof(*e)) : NULL;
        if (!e) return;
        *e = (record_error){ v->record, str_of(v->text) };
        p->record_errors.n = 1;
        p->record_errors.at = e;
}

static void answer_entry(partition_res *p, const struct entry *e, struct arena *a)
{
        produce_res_responses_partition_responses_init(p);
        p->index = e->index;
        p->base_offset = -1;
        if (!e->part) {
                p->error_code = e->error;
                p->error_message = str_of(e->text);
        } else if (e->part->group->back) {
                answer_verdict(p, e->part, a);
        } else {
                p->error_code = WIRE_REQUEST_TIMED_OUT;
                p->error_message = STR("not durable within timeout.ms; it may still become so");
        }
}

static bool answer_topic(
    struct request *r, const struct asked_topic *t, struct produce_res_responses *out)
{
        const struct produce_state *s = r->state;
        int32_t n = 0;
        for (int32_t k = t->first; k >= 0; k = s->entries[k].next) n++;
        produce_res_responses_init(out);
        out->name = t->name;
        out->topic_id = t->id;
        out->partition_responses.at =
            arena_array(&r->arena, (size_t)n + 1, sizeof(*out->partition_responses.at));
        if (!out->partition_responses.at) return false;
        for (int32_t k = t->first; k >= 0; k = s->entries[k].next) {
                partition_res *p = &out->partition_responses.at[out->partition_responses.n++];
                answer_entry(p, &s->entries[k], &r->arena);
                request_note_error(r, p->error_code);
                if (r->no_reply && p->error_code != WIRE_NONE) r->close = true;
        }
        return true;
}

void api_produce_finish(struct request *r, struct out *reply)
{
        struct produce_state *s = r->state;
        struct produce_res res;
        produce_res_init(&res);
        bool ok = !r->close && s;
        if (ok) {
                size_t n = (size_t)s->asked.n_topics;
                res.responses.at = arena_array(&r->arena, n + 1, sizeof(*res.responses.at));
                ok = res.responses.at != NULL;
        }
        for (int32_t i = 0; ok && i < s->asked.n_topics; i++)
                ok = answer_topic(r, &s->asked.topics[i], &res.responses.at[res.responses.n++]);
        if (s && s->work) produce_work_release(TAKE(s->work));
        if (ok && !r->no_reply)
                produce_res_encode(&res, reply, r->version);
        else if (!ok)
                reply->bad = true;
}
