/* CreateTopics v0-7.  One result per topic that was named.
 *
 * begin: every topic is checked for itself, what passes is submitted to the registry, which checks
 * again against its newest state and makes it durable.  finish: results, and from v5 on the
 * effective settings.  It can fail at: a check, the registry (both are that topic's result), memory
 * (the connection is closed). */
#include "protocol/msg/create_topics.h"

#include "base/check.h"
#include "base/status.h"
#include "protocol/errors.h"
#include "server/admin.h"
#include "server/api.h"
#include "server/config.h"

struct create_item {
        struct admin_item item;
        const struct create_topics_req_topics *asked;
        struct topic_config *config; /* checked settings; freed by finish */
        int32_t partitions;
        bool twice, again; /* named more than once; a later one of these */
};

struct create_state {
        int32_t n;
        struct create_item *items;
};

/* --- checks --- */

/* Assignments name partitions 0 ... n-1, each once, and us as the only replica. */
static void check_assignments(struct request *r, struct create_item *x)
{
        const struct create_topics_req_topics *t = x->asked;
        struct registry_change *c = &x->item.change;
        int32_t n = t->assignments.n;
        if (t->num_partitions != -1 || t->replication_factor != -1) {
                registry_refuse(c, WIRE_INVALID_REQUEST,
                    "with assignments num_partitions and replication_factor must be -1");
                return;
        }
        bool *seen = arena_array(&r->arena, (size_t)n, sizeof(*seen));
        if (!seen) {
                registry_refuse(c, WIRE_UNKNOWN_SERVER_ERROR, "out of memory");
                return;
        }
        for (int32_t i = 0; i < n; i++) {
                const struct create_topics_req_topics_assignments *a = &t->assignments.at[i];
                if (a->partition_index < 0 || a->partition_index >= n || seen[a->partition_index]) {
                        registry_refuse(c, WIRE_INVALID_REPLICA_ASSIGNMENT,
                            "partition %d: partitions must be 0 to %d, each once",
                            a->partition_index, n - 1);
                        return;
                }
                seen[a->partition_index] = true;
                if (a->broker_ids.n != 1 || a->broker_ids.at[0] != request_node_id(r)) {
                        registry_refuse(c, WIRE_INVALID_REPLICA_ASSIGNMENT,
                            "partition %d: its replicas must be exactly broker %d",
                            a->partition_index, request_node_id(r));
                        return;
                }
        }
        x->partitions = n;
}

static void check_counts(struct request *r, struct create_item *x)
{
        const struct create_topics_req_topics *t = x->asked;
        struct registry_change *c = &x->item.change;
        x->partitions =
            t->num_partitions == -1 ? admin_config(r)->num_partitions : t->num_partitions;
        if (x->partitions <= 0)
                registry_refuse(c, WIRE_INVALID_PARTITIONS,
                    "number of partitions is %d, must be at least 1, or -1 for the default",
                    t->num_partitions);
        else if (t->replication_factor != -1 && t->replication_factor != 1)
                registry_refuse(c, WIRE_INVALID_REPLICATION_FACTOR,
                    "replication factor is %d, must be 1 (there is one broker), or -1 for the "
                    "default",
                    t->replication_factor);
}

static void check_settings(struct request *r, struct create_item *x)
{
        const struct create_topics_req_topics *t = x->asked;
        struct registry_change *c = &x->item.change;
        struct config_entry *entries =
            arena_array(&r->arena, (size_t)t->configs.n + 1, sizeof(*entries));
        struct err e = { ST_NOMEM, "out of memory" };
        if (entries) {
                for (int32_t i = 0; i < t->configs.n; i++)
                        entries[i] =
                            (struct config_entry){ t->configs.at[i].name, t->configs.at[i].value };
                c->configs = entries;
                c->n_configs = t->configs.n;
                if (topic_config_new(admin_config(r), entries, t->configs.n, &x->config, &e) == 0)
                        return;
        }
        registry_refuse(
            c, e.code == ST_NOMEM ? WIRE_UNKNOWN_SERVER_ERROR : WIRE_INVALID_CONFIG, "%s", e.text);
}

static void check(struct request *r, struct create_item *x)
{
        struct registry_change *c = &x->item.change;
        const char *why = topic_name_invalid(x->asked->name);
        if (x->twice)
                registry_refuse(
                    c, WIRE_INVALID_REQUEST, "the topic is named twice in this request");
        else if (why)
                registry_refuse(c, WIRE_INVALID_TOPIC_EXCEPTION, "%s", why);
        else if (registry_find(r->view, x->asked->name))
                registry_refuse(c, WIRE_TOPIC_ALREADY_EXISTS, "topic %.*s exists already",
                    x->asked->name.n, x->asked->name.p);
        else if (x->asked->assignments.n > 0)
                check_assignments(r, x);
        else
                check_counts(r, x);
        if (c->error == 0) check_settings(r, x);
}

void api_create_topics_begin(struct request *r)
{
        const struct create_topics_req *req = r->body;
        struct create_state *s = arena_alloc(&r->arena, sizeof(*s));
        struct name_set seen;
        int32_t n = MAX(req->topics.n, 0);
        if (!s || !name_set_init(&seen, &r->arena, n)) return;
        s->items = arena_array(&r->arena, (size_t)n + 1, sizeof(*s->items));
        if (!s->items) return;
        r->state = s;
        s->n = n;
        for (int32_t i = 0; i < n; i++) {
                s->items[i].asked = &req->topics.at[i];
                int32_t first = name_set_add(&seen, req->topics.at[i].name, i);
                if (first < 0) continue;
                s->items[first].twice = true;
                s->items[i].again = true;
        }
        for (int32_t i = 0; i < n; i++) {
                struct create_item *x = &s->items[i];
                if (x->again) continue;
                check(r, x);
                if (x->item.change.error) continue;
                x->item.change.kind = TOPIC_CREATE;
                x->item.change.validate_only = req->validate_only;
                x->item.change.name = x->asked->name;
                x->item.change.partitions = x->partitions;
                admin_submit(r, &x->item);
        }
}

/* --- the answer --- */

static bool add_settings(struct request *r, const struct topic_config *config,
    struct create_topics_res_topics_configs_array *ret)
{
        unsigned n;
        const struct topic_key *keys = topic_keys(&n);
        struct create_topics_res_topics_configs *at = arena_array(&r->arena, n, sizeof(*at));
        if (!at) return false;
        for (unsigned i = 0; i < n; i++) {
                struct topic_value v = topic_config_value(admin_config(r), config, &keys[i]);
                create_topics_res_topics_configs_init(&at[i]);
                at[i].name = str_of(keys[i].name);
                at[i].value = v.value;
                at[i].config_source = (int8_t)v.source;
        }
        ret->n = (int32_t)n;
        ret->at = at;
        return true;
}

struct answer {
        struct request *r;
        struct create_topics_res res;
        struct create_topics_res_topics_configs_array defaults; /* of all that set nothing */
};

static bool add_result(struct answer *a, const struct create_item *x)
{
        const struct registry_change *c = &x->item.change;
        struct create_topics_res_topics *t = &a->res.topics.at[a->res.topics.n++];
        create_topics_res_topics_init(t);
        t->name = x->asked->name;
        t->error_code = c->error;
        request_note_error(a->r, c->error);
        t->error_message = admin_text(c);
        if (c->error) return true;
        t->topic_id = c->new_id;
        t->num_partitions = x->partitions;
        t->replication_factor = 1;
        if (a->r->version < 5) return true;
        if (x->config->n_set > 0) return add_settings(a->r, x->config, &t->configs);
        if (!a->defaults.at && !add_settings(a->r, x->config, &a->defaults)) return false;
        t->configs = a->defaults;
        return true;
}

static bool answer(struct answer *a, const struct create_state *s)
{
        create_topics_res_init(&a->res);
        a->res.topics.at = arena_array(&a->r->arena, (size_t)s->n + 1, sizeof(*a->res.topics.at));
        if (!a->res.topics.at) return false;
        for (int32_t i = 0; i < s->n; i++)
                if (!s->items[i].again && !add_result(a, &s->items[i])) return false;
        return true;
}

void api_create_topics_finish(struct request *r, struct out *reply)
{
        struct create_state *s = r->state;
        struct answer a = { .r = r };
        if (s && answer(&a, s))
                create_topics_res_encode(&a.res, reply, r->version);
        else
                reply->bad = true; /* out of memory: the connection is closed */
        for (int32_t i = 0; s && i < s->n; i++) {
                topic_config_free(s->items[i].config);
                s->items[i].config = NULL;
        }
}
