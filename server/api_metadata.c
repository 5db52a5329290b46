/* Metadata v0-13: who we are and which topics there are; creates what it is asked for, where that
 * is allowed, before it answers, so that clients work at the first try.
 *
 * begin: missing topics are submitted to the registry.  finish: answers from the newest view, which
 * has them.  It can fail at: a creation (the topic is answered as unknown or with a storage error),
 * memory (the connection is closed). */
#include "protocol/msg/metadata.h"

#include "base/check.h"
#include "base/log.h"
#include "protocol/errors.h"
#include "server/admin.h"
#include "server/api.h"
#include "server/config.h"

enum {
        CREATE_MAX = 64,       /* topics that one request may create; clients ask again */
        VERSION_NULL_ALL = 1,  /* from here on null asks for all topics, before an empty list */
        VERSION_ID_ASKED = 12, /* topics may be asked for by id */
        VERSION_ID = 10,
};

struct metadata_state {
        struct admin_item *items;
        int32_t n_items;
};

static bool wants_all(const struct request *r, const struct metadata_req *req)
{
        return r->version < VERSION_NULL_ALL ? req->topics.n <= 0 : req->topics.n < 0;
}

static bool asks_by_id(const struct request *r, const struct metadata_req *req)
{
        if (r->version < VERSION_ID_ASKED) return false;
        for (int32_t i = 0; i < req->topics.n; i++)
                if (!uuid_is_zero(req->topics.at[i].topic_id)) return true;
        return false;
}

static bool may_create(const struct request *r, struct str name)
{
        return !str_is_null(name) && !topic_name_invalid(name) && !topic_name_internal(name) &&
               !registry_find(r->view, name);
}

void api_metadata_begin(struct request *r)
{
        const struct metadata_req *req = r->body;
        struct metadata_state *s = arena_alloc(&r->arena, sizeof(*s));
        r->state = s;
        if (!s) return;
        if (!admin_config(r)->auto_create_topics || !req->allow_auto_topic_creation ||
            wants_all(r, req) || asks_by_id(r, req))
                return;
        int32_t missing = 0;
        for (int32_t i = 0; i < req->topics.n; i++)
                missing += may_create(r, req->topics.at[i].name);
        if (missing == 0) return;
        struct name_set seen;
        s->items = arena_array(&r->arena, (size_t)MIN(missing, CREATE_MAX), sizeof(*s->items));
        if (!s->items || !name_set_init(&seen, &r->arena, missing)) {
                r->state = NULL;
                return;
        }
        for (int32_t i = 0; i < req->topics.n && s->n_items < CREATE_MAX; i++) {
                struct str name = req->topics.at[i].name;
                if (!may_create(r, name) || name_set_add(&seen, name, i) >= 0) continue;
                struct admin_item *x = &s->items[s->n_items++];
                x->change.kind = TOPIC_CREATE;
                x->change.name = name;
                x->change.partitions = admin_config(r)->num_partitions;
                admin_submit(r, x);
        }
}

/* --- the answer --- */

struct answer {
        struct request *r;
        const struct metadata_req *req;
        struct metadata_res res;
        struct metadata_res_topics_partitions
            *partitions; /* 0, 1, 2 ...: every topic has a prefix */
        int32_t n_partitions;
};

/* Partitions of the largest topic that the answer will have. */
static int32_t most_partitions(const struct answer *a)
{
        const struct registry_view *v = a->r->view;
        int32_t most = 0;
        bool all = wants_all(a->r, a->req), by_id = asks_by_id(a->r, a->req);
        for (uint32_t i = 0; all && i < v->count; i++) most = MAX(most, v->by_name[i]->partitions);
        for (int32_t i = 0; !all && i < a->req->topics.n; i++) {
                const struct metadata_req_topics *asked = &a->req->topics.at[i];
                const struct topic *t =
                    by_id ? registry_find_id(v, asked->topic_id) : registry_find(v, asked->name);
                if (t) most = MAX(most, t->partitions);
        }
        return most;
}

/* One array serves all topics: partitions differ in their number only. */
static bool share_partitions(struct answer *a)
{
        int32_t most = most_partitions(a);
        struct i32_array us = admin_replicas(a->r);
        a->partitions = arena_array(&a->r->arena, (size_t)most + 1, sizeof(*a->partitions));
        if (!a->partitions || us.n == 0) return false;
        a->n_partitions = most;
        for (int32_t i = 0; i < most; i++) {
                struct metadata_res_topics_partitions *p = &a->partitions[i];
                metadata_res_topics_partitions_init(p);
                p->partition_index = i;
                p->leader_id = us.at[0];
                p->leader_epoch = 0;
                p->replica_nodes = p->isr_nodes = us;
        }
        return true;
}

static struct metadata_res_topics *add_topic(struct answer *a, struct str name, int16_t error)
{
        struct metadata_res_topics *t = &a->res.topics.at[a->res.topics.n++];
        metadata_res_topics_init(t);
        t->name = name;
        t->error_code = error;
        request_note_error(a->r, error);
        t->is_internal = topic_name_internal(name);
        if (a->req->include_topic_authorized_operations)
                t->topic_authorized_operations = OPERATIONS_TOPIC;
        return t;
}

static void add_found(struct answer *a, const struct topic *found)
{
        struct metadata_res_topics *t = add_topic(a, found->name, WIRE_NONE);
        assert(found->partitions <= a->n_partitions);
        t->topic_id = found->id;
        t->partitions.n = found->partitions;
        t->partitions.at = a->partitions;
}

/* Why a name that was asked for is not there: its creation says, or nobody created it. */
static int16_t missing_error(const struct answer *a, struct str name)
{
        const struct metadata_state *s = a->r->state;
        for (int32_t i = 0; i < s->n_items; i++) {
                const struct registry_change *c = &s->items[i].change;
                if (c->error == 0 || !str_eq(c->name, name)) continue;
                static struct log_limit limit = { .burst = 5 };
                log_limited(&limit, LOG_WARN, "topic not created on demand", LOG_S("topic", name),
                    LOG_STR("cause", c->text), LOG_END);
                if (c->error == WIRE_KAFKA_STORAGE_ERROR) return c->error;
        }
        return WIRE_UNKNOWN_TOPIC_OR_PARTITION;
}

static void add_named(struct answer *a, const struct metadata_req_topics *asked)
{
        const struct topic *found = registry_find(a->r->view, asked->name);
        bool unnamed = str_is_null(asked->name);
        if (a->r->version < VERSION_ID_ASKED && (unnamed || !uuid_is_zero(asked->topic_id)))
                add_topic(a, unnamed ? STR("") : asked->name, WIRE_INVALID_REQUEST);
        else if (unnamed)
                add_topic(a, STR(""), WIRE_UNKNOWN_SERVER_ERROR);
        else if (found)
                add_found(a, found);
        else if (topic_name_invalid(asked->name))
                add_topic(a, asked->name, WIRE_INVALID_TOPIC_EXCEPTION);
        else
                add_topic(a, asked->name, missing_error(a, asked->name));
}

static void add_by_id(struct answer *a, const struct metadata_req_topics *asked)
{
        const struct topic *found = registry_find_id(a->r->view, asked->topic_id);
        if (found)
                add_found(a, found);
        else
                add_topic(a, STR_NULL, WIRE_UNKNOWN_TOPIC_ID)->topic_id = asked->topic_id;
}

static bool answer_asked(struct answer *a)
{
        struct name_set seen;
        bool by_id = asks_by_id(a->r, a->req);
        int32_t n = a->req->topics.n;
        a->res.topics.at = arena_array(&a->r->arena, (size_t)n + 1, sizeof(*a->res.topics.at));
        if (!a->res.topics.at || !name_set_init(&seen, &a->r->arena, n)) return false;
        for (int32_t i = 0; i < n; i++) {
                const struct metadata_req_topics *asked = &a->req->topics.at[i];
                struct str key = asked->name;
                if (by_id) key = (struct str){ (const char *)asked->topic_id.b, 16 };
                if (by_id && uuid_is_zero(asked->topic_id)) continue;
                if (name_set_add(&seen, key, i) >= 0) continue; /* named twice, answered once */
                if (by_id)
                        add_by_id(a, asked);
                else
                        add_named(a, asked);
        }
        return true;
}

static bool answer_all(struct answer *a)
{
        const struct registry_view *v = a->r->view;
        a->res.topics.at =
            arena_array(&a->r->arena, (size_t)v->count + 1, sizeof(*a->res.topics.at));
        if (!a->res.topics.at) return false;
        for (uint32_t i = 0; i < v->count; i++) add_found(a, v->by_name[i]);
        return true;
}

static bool answer(struct answer *a)
{
        struct request *r = a->r;
        struct endpoint us = request_endpoint(r);
        struct metadata_res_brokers *broker = arena_alloc(&r->arena, sizeof(*broker));
        if (!broker) return false;
        metadata_res_init(&a->res);
        metadata_res_brokers_init(broker);
        broker->node_id = request_node_id(r);
        broker->host = us.host;
        broker->port = us.port;
        a->res.brokers.n = 1;
        a->res.brokers.at = broker;
        a->res.cluster_id = admin_cluster_id(r);
        a->res.controller_id = broker->node_id;
        if (a->req->include_cluster_authorized_operations)
                a->res.cluster_authorized_operations = OPERATIONS_CLUSTER;
        if (!share_partitions(a) || str_is_null(a->res.cluster_id)) return false;
        return wants_all(r, a->req) ? answer_all(a) : answer_asked(a);
}

/* The view of the shard has what begin created: a change ends when every shard has it. */
static void take_newest_view(struct request *r)
{
        struct registry_view *newest = registry_view_ref(r->shard->own.view);
        registry_view_unref(r->view);
        r->view = newest;
}

void api_metadata_finish(struct request *r, struct out *reply)
{
        struct answer a = { .r = r, .req = r->body };
        take_newest_view(r);
        if (r->state && answer(&a))
                metadata_res_encode(&a.res, reply, r->version);
        else
                reply->bad = true; /* out of memory: the connection is closed */
}
