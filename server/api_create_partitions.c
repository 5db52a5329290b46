/* CreatePartitions v0-3: a topic grows to a new total.  One result per topic that was named.
 *
 * begin: assignments are checked, the rest is the registry's, which makes it durable.  finish:
 * results. */
#include "protocol/msg/create_partitions.h"

#include "base/check.h"
#include "protocol/errors.h"
#include "server/admin.h"
#include "server/api.h"

struct grow_item {
        struct admin_item item;
        bool again; /* an earlier one stands for it too */
};

struct grow_state {
        int32_t n;
        struct grow_item *items;
};

/* One list per added partition, with us as the only replica. */
static void check_assignments(
    struct request *r, const struct create_partitions_req_topics *asked, struct registry_change *c)
{
        const struct topic *t = registry_find(r->view, asked->name);
        if (!t || asked->count <= t->partitions) return; /* the registry says what is wrong */
        if (asked->assignments.n != asked->count - t->partitions) {
                registry_refuse(c, WIRE_INVALID_REPLICA_ASSIGNMENT,
                    "%d assignments for %d new partitions", asked->assignments.n,
                    asked->count - t->partitions);
                return;
        }
        for (int32_t i = 0; i < asked->assignments.n; i++) {
                const struct i32_array *ids = &asked->assignments.at[i].broker_ids;
                if (ids->n == 1 && ids->at[0] == request_node_id(r)) continue;
                registry_refuse(c, WIRE_INVALID_REPLICA_ASSIGNMENT,
                    "new partition %d: its replicas must be exactly broker %d", t->partitions + i,
                    request_node_id(r));
                return;
        }
}

void api_create_partitions_begin(struct request *r)
{
        const struct create_partitions_req *req = r->body;
        struct grow_state *s = arena_alloc(&r->arena, sizeof(*s));
        struct name_set seen;
        int32_t n = MAX(req->topics.n, 0);
        if (!s || !name_set_init(&seen, &r->arena, n)) return;
        s->items = arena_array(&r->arena, (size_t)n + 1, sizeof(*s->items));
        if (!s->items) return;
        r->state = s;
        s->n = n;
        for (int32_t i = 0; i < n; i++) {
                int32_t first = name_set_add(&seen, req->topics.at[i].name, i);
                s->items[i].again = first >= 0;
                if (first >= 0)
                        registry_refuse(&s->items[first].item.change, WIRE_INVALID_REQUEST,
                            "the topic is named twice in this request");
        }
        for (int32_t i = 0; i < n; i++) {
                struct registry_change *c = &s->items[i].item.change;
                if (s->items[i].again || c->error) continue;
                if (req->topics.at[i].assignments.n >= 0)
                        check_assignments(r, &req->topics.at[i], c);
                if (c->error) continue;
                c->kind = TOPIC_ADD_PARTITIONS;
                c->validate_only = req->validate_only;
                c->name = req->topics.at[i].name;
                c->partitions = req->topics.at[i].count;
                admin_submit(r, &s->items[i].item);
        }
}

static bool answer(struct request *r, struct create_partitions_res *res)
{
        const struct create_partitions_req *req = r->body;
        const struct grow_state *s = r->state;
        create_partitions_res_init(res);
        res->results.at = arena_array(&r->arena, (size_t)s->n + 1, sizeof(*res->results.at));
        if (!res->results.at) return false;
        for (int32_t i = 0; i < s->n; i++) {
                if (s->items[i].again) continue;
                struct create_partitions_res_results *x = &res->results.at[res->results.n++];
                create_partitions_res_results_init(x);
                x->name = req->topics.at[i].name;
                x->error_code = s->items[i].item.change.error;
                request_note_error(r, x->error_code);
                x->error_message = admin_text(&s->items[i].item.change);
        }
        return true;
}

void api_create_partitions_finish(struct request *r, struct out *reply)
{
        struct create_partitions_res res;
        if (r->state && answer(r, &res))
                create_partitions_res_encode(&res, reply, r->version);
        else
                reply->bad = true; /* out of memory: the connection is closed */
}
