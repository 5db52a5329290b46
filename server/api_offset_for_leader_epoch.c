/* OffsetForLeaderEpoch v0-4.  Source: kafka-protocol 6.8.  There is one epoch, 0, since the log
 * began. */
#include "base/check.h"
#include "base/status.h"
#include "protocol/errors.h"
#include "protocol/msg/offset_for_leader_epoch.h"
#include "server/api.h"
#include "server/asked.h"
#include "server/scatter.h"

typedef struct offset_for_leader_epoch_req_topics_partitions asked_partition;
typedef struct offset_for_leader_epoch_res_topics_partitions told_partition;

struct entry {
        struct scatter_part part;
        const asked_partition *asked;
        told_partition *told;
};

struct epoch_state {
        struct scatter scatter;
        struct entry *entries;
        int32_t n;
        struct offset_for_leader_epoch_res res;
};

static bool run(struct scatter_part *part, struct partition *p, int16_t error)
{
        struct entry *e = CONTAINER_OF(part, struct entry, part);
        struct partition_state st = { .status = ST_OK };
        if (p) partition_get_state(p, &st);
        if (!error && st.status == ST_CORRUPT) error = WIRE_KAFKA_STORAGE_ERROR;
        if (!error && e->asked->current_leader_epoch > st.leader_epoch)
                error = WIRE_UNKNOWN_LEADER_EPOCH;
        if (!error && e->asked->current_leader_epoch >= 0 &&
            e->asked->current_leader_epoch < st.leader_epoch)
                error = WIRE_FENCED_LEADER_EPOCH;
        e->told->error_code = error;
        int32_t epoch = e->asked->leader_epoch;
        if (error || epoch == -1 || epoch > st.leader_epoch) return true;
        e->told->leader_epoch = epoch;
        e->told->end_offset = epoch < 0 ? st.log_start : st.high_watermark;
        return true;
}

/* False: out of memory. */
static bool add_topic(struct request *r, struct epoch_state *s, struct asked *asked, int32_t i)
{
        const struct offset_for_leader_epoch_req *q = r->body;
        const struct offset_for_leader_epoch_req_topics *t = &q->topics.at[i];
        struct offset_for_leader_epoch_res_topics *out = &s->res.topics.at[s->res.topics.n++];
        int32_t slot = asked_topic_add(asked, t->topic, (struct uuid){ { 0 } });
        size_t n = (size_t)MAX(t->partitions.n, 0);
        if (slot < 0) return false;
        offset_for_leader_epoch_res_topics_init(out);
        out->topic = asked->topics[slot].name;
        out->partitions.n = (int32_t)n;
        out->partitions.at = arena_array(&r->arena, n + 1, sizeof(*out->partitions.at));
        if (!out->partitions.at) return false;
        for (size_t k = 0; k < n; k++) {
                struct entry *e = &s->entries[s->n++];
                e->asked = &t->partitions.at[k];
                e->told = &out->partitions.at[k];
                offset_for_leader_epoch_res_topics_partitions_init(e->told);
                e->told->partition = e->asked->partition;
                e->told->error_code = asked_error(&asked->topics[slot], e->asked->partition);
                e->part.topic = asked->topics[slot].topic;
                e->part.index = e->asked->partition;
        }
        return true;
}

static bool add_all(struct request *r, struct epoch_state *s)
{
        const struct offset_for_leader_epoch_req *q = r->body;
        struct asked asked;
        size_t n = 0;
        for (int32_t i = 0; i < q->topics.n; i++) n += (size_t)MAX(q->topics.at[i].partitions.n, 0);
        offset_for_leader_epoch_res_init(&s->res);
        s->entries = arena_array(&r->arena, n + 1, sizeof(*s->entries));
        s->res.topics.at =
            arena_array(&r->arena, (size_t)MAX(q->topics.n, 0) + 1, sizeof(*s->res.topics.at));
        if (!s->entries || !s->res.topics.at) return false;
        if (!asked_init(&asked, r, false, q->topics.n, 0)) return false;
        for (int32_t i = 0; i < q->topics.n; i++)
                if (!add_topic(r, s, &asked, i)) return false;
        return true;
}

void api_offset_for_leader_epoch_begin(struct request *r)
{
        struct epoch_state *s = arena_alloc(&r->arena, sizeof(*s));
        r->state = s;
        if (!s || !scatter_init(&s->scatter, r, run) || !add_all(r, s)) {
                r->close = true;
                return;
        }
        for (int32_t i = 0; i < s->n; i++)
                if (!s->entries[i].told->error_code) scatter_add(&s->scatter, &s->entries[i].part);
        scatter_start(&s->scatter);
}

void api_offset_for_leader_epoch_finish(struct request *r, struct out *reply)
{
        struct epoch_state *s = r->state;
        for (int32_t i = 0; s && i < s->n; i++)
                request_note_error(r, s->entries[i].told->error_code);
        if (s && !r->close)
                offset_for_leader_epoch_res_encode(&s->res, reply, r->version);
        else
                reply->bad = true;
        if (s) scatter_free(&s->scatter);
}
