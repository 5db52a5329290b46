/* The answer of a Fetch.  Record bytes are borrowed from the owners' blocks until the reply is
 * sent. Within a session only what changed is told. */
#include "base/check.h"
#include "protocol/errors.h"
#include "protocol/msg/fetch.h"
#include "server/fetch.h"

typedef struct fetch_res_responses_partitions partition_res;

static uint32_t part_bytes(const struct fetch_part *p)
{
        return p->read && !p->dropped && !p->error ? p->read->total : 0;
}

/* Groups read without knowing of each other: after the first partition with data, whatever its
 * size, only what fits into max_bytes stays. */
static void trim(struct fetch *f)
{
        uint64_t left = f->max_bytes;
        bool some = false;
        for (int32_t i = 0; i < f->n; i++) {
                struct fetch_part *p = &f->parts[i];
                uint32_t n = part_bytes(p);
                if (n == 0) continue;
                if (some && n > left) {
                        p->dropped = true;
                        continue;
                }
                some = true;
                left -= MIN(left, n);
        }
}

static bool is_told(const struct fetch *f, const struct fetch_part *p)
{
        if (f->session.kind != SESSION_INCREMENTAL) return true;
        return p->error || part_bytes(p) > 0 || p->high_watermark != p->cached->high_watermark ||
               p->log_start != p->cached->log_start;
}

/* What the session remembers of the answer. */
static void remember(struct fetch *f, struct fetch_part *p)
{
        if (!p->cached) return;
        p->cached->high_watermark = p->error ? -1 : p->high_watermark;
        p->cached->log_start = p->error ? -1 : p->log_start;
        if (part_bytes(p) > 0) fetch_session_rotate(f->session.session, p->cached);
}

static int16_t error_for(const struct fetch *f, const struct fetch_part *p)
{
        bool old = f->r->version <= 5 && p->error == WIRE_KAFKA_STORAGE_ERROR;
        return old ? WIRE_NOT_LEADER_OR_FOLLOWER : p->error;
}

static void answer_part(const struct fetch *f, const struct fetch_part *p, partition_res *out)
{
        const struct fetch_req *q = f->r->body;
        fetch_res_responses_partitions_init(out);
        out->partition_index = p->index;
        out->error_code = error_for(f, p);
        request_note_error(f->r, out->error_code);
        counter_add(&f->r->shard->own.stats->fetch_bytes, part_bytes(p));
        out->high_watermark = out->last_stable_offset = p->error ? -1 : p->high_watermark;
        out->log_start_offset = p->error ? -1 : p->log_start;
        bool unknown =
            p->error == WIRE_UNKNOWN_TOPIC_OR_PARTITION || p->error == WIRE_UNKNOWN_TOPIC_ID;
        out->aborted_transactions.n = unknown || q->isolation_level == 1 ? 0 : -1;
        out->records.n = (int32_t)part_bytes(p); /* empty, not null: some clients choke on null */
        if (out->records.n > 0) {
                out->records.slices = p->read->slices;
                out->records.n_slices = p->read->n_slices;
        }
        if (p->error == WIRE_NOT_LEADER_OR_FOLLOWER || p->error == WIRE_FENCED_LEADER_EPOCH) {
                out->current_leader.leader_id = request_node_id(f->r);
                out->current_leader.leader_epoch = 0;
        }
}

static bool same_topic(
    const struct fetch *f, const struct fetch_part *a, const struct fetch_part *b)
{
        return f->r->version >= 13 ? uuid_eq(a->id, b->id) : str_eq(a->name, b->name);
}

/* Neighbours of one topic share an entry.  False: out of memory. */
static bool answer_parts(struct fetch *f, struct fetch_res *res)
{
        struct arena *a = &f->r->arena;
        const struct fetch_part *last = NULL;
        int32_t n = 0, topics = 0;
        for (int32_t i = 0; i < f->n; i++) {
                if (!is_told(f, &f->parts[i])) continue;
                if (!last || !same_topic(f, last, &f->parts[i])) topics++;
                last = &f->parts[i];
                n++;
        }
        res->responses.at = arena_array(a, (size_t)topics + 1, sizeof(*res->responses.at));
        partition_res *parts = arena_array(a, (size_t)n + 1, sizeof(*parts));
        if (!res->responses.at || !parts) return false;
        struct fetch_res_responses *topic = NULL;
        last = NULL;
        for (int32_t i = 0; i < f->n; i++) {
                struct fetch_part *p = &f->parts[i];
                if (!is_told(f, p)) continue;
                if (!last || !same_topic(f, last, p)) {
                        topic = &res->responses.at[res->responses.n++];
                        fetch_res_responses_init(topic);
                        topic->topic = p->name;
                        topic->topic_id = p->id;
                        topic->partitions.at = parts;
                }
                last = p;
                answer_part(f, p, parts++);
                topic->partitions.n++;
        }
        return true;
}

static void name_endpoint(struct fetch *f, struct fetch_res *res)
{
        bool wanted = false;
        for (int32_t i = 0; i < f->n; i++)
                wanted = wanted || f->parts[i].error == WIRE_NOT_LEADER_OR_FOLLOWER ||
                         f->parts[i].error == WIRE_FENCED_LEADER_EPOCH;
        if (!wanted) return;
        res->node_endpoints.at = arena_alloc(&f->r->arena, sizeof(*res->node_endpoints.at));
        if (!res->node_endpoints.at) return;
        struct endpoint here = request_endpoint(f->r);
        fetch_res_node_endpoints_init(res->node_endpoints.at);
        res->node_endpoints.n = 1;
        res->node_endpoints.at->node_id = request_node_id(f->r);
        res->node_endpoints.at->host = here.host;
        res->node_endpoints.at->port = here.port;
}

void fetch_encode(struct fetch *f, struct out *reply)
{
        struct fetch_res res;
        fetch_res_init(&res);
        res.error_code = f->error;
        request_note_error(f->r, f->error);
        trim(f);
        if (!answer_parts(f, &res)) {
                reply->bad = true;
                return;
        }
        for (int32_t i = 0; i < f->n; i++)
                if (is_told(f, &f->parts[i])) remember(f, &f->parts[i]);
        name_endpoint(f, &res);
        res.session_id = fetch_session_id(f);
        fetch_res_encode(&res, reply, f->r->version);
}
