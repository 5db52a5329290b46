/* DescribeTopicPartitions v0: metadata of topics in pages.  Topics come sorted by name; a page ends
 * after so many partitions, with a cursor that names the next one. */
#include "protocol/msg/describe_topic_partitions.h"

#include "base/check.h"
#include "protocol/errors.h"
#include "server/admin.h"
#include "server/api.h"

#include <stdlib.h>

enum { PAGE_MAX = 2000 };

void api_describe_topic_partitions_begin(struct request *r)
{
        (void)r;
}

struct answer {
        struct request *r;
        const struct describe_topic_partitions_req *req;
        struct describe_topic_partitions_res res;
        struct i32_array us;
        struct str *names; /* to describe, sorted, each once, from the cursor's on */
        int32_t n;
        int32_t room; /* partitions that the page may still have */
};

static int str_compare(struct str a, struct str b)
{
        int r = MIN(a.n, b.n) > 0 ? memcmp(a.p, b.p, (size_t)MIN(a.n, b.n)) : 0;
        return r ? r : (a.n > b.n) - (a.n < b.n);
}
static int compare(const void *a, const void *b)
{
        return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static bool before_cursor(const struct answer *a, struct str name)
{
        return a->req->cursor && str_compare(name, a->req->cursor->topic_name) < 0;
}

static bool list_all(struct answer *a)
{
        const struct registry_view *v = a->r->view;
        a->names = arena_array(&a->r->arena, (size_t)v->count + 1, sizeof(*a->names));
        if (!a->names) return false;
        for (uint32_t i = 0; i < v->count; i++)
                if (!before_cursor(a, v->by_name[i]->name)) a->names[a->n++] = v->by_name[i]->name;
        return true;
}

static bool list_asked(struct answer *a)
{
        struct name_set seen;
        int32_t n = a->req->topics.n;
        a->names = arena_array(&a->r->arena, (size_t)n + 1, sizeof(*a->names));
        if (!a->names || !name_set_init(&seen, &a->r->arena, n)) return false;
        for (int32_t i = 0; i < n; i++) {
                struct str name = a->req->topics.at[i].name;
                if (before_cursor(a, name) || name_set_add(&seen, name, i) >= 0) continue;
                a->names[a->n++] = name;
        }
        qsort(a->names, (size_t)a->n, sizeof(*a->names), compare);
        return true;
}

static struct describe_topic_partitions_res_topics *add_topic(
    struct answer *a, struct str name, int16_t error)
{
        struct describe_topic_partitions_res_topics *t = &a->res.topics.at[a->res.topics.n++];
        describe_topic_partitions_res_topics_init(t);
        t->name = name;
        t->error_code = error;
        request_note_error(a->r, error);
        t->is_internal = topic_name_internal(name);
        t->topic_authorized_operations = OPERATIONS_TOPIC;
        return t;
}

static bool set_cursor(struct answer *a, struct str name, int32_t partition)
{
        a->res.next_cursor = arena_alloc(&a->r->arena, sizeof(*a->res.next_cursor));
        if (!a->res.next_cursor) return false;
        a->res.next_cursor->topic_name = name;
        a->res.next_cursor->partition_index = partition;
        return true;
}

static bool add_partitions(
    struct answer *a, struct describe_topic_partitions_res_topics *t, int32_t from, int32_t to)
{
        t->partitions.at =
            arena_array(&a->r->arena, (size_t)(to - from) + 1, sizeof(*t->partitions.at));
        if (!t->partitions.at) return false;
        for (int32_t i = from; i < to; i++) {
                struct describe_topic_partitions_res_topics_partitions *p =
                    &t->partitions.at[t->partitions.n++];
                describe_topic_partitions_res_topics_partitions_init(p);
                p->partition_index = i;
                p->leader_id = a->us.at[0];
                p->leader_epoch = 0;
                p->replica_nodes = p->isr_nodes = a->us;
                p->eligible_leader_replicas = p->last_known_elr = (struct i32_array){ 0, NULL };
        }
        return true;
}

/* False: out of memory.  A cursor in the answer ends the page. */
static bool add_one(struct answer *a, struct str name)
{
        const struct describe_topic_partitions_req_cursor *cursor = a->req->cursor;
        const struct topic *t = registry_find(a->r->view, name);
        if (a->room == 0) return set_cursor(a, name, 0);
        if (!t) {
                add_topic(a, name,
                    topic_name_invalid(name) ? WIRE_INVALID_TOPIC_EXCEPTION
                                             : WIRE_UNKNOWN_TOPIC_OR_PARTITION);
                return true;
        }
        int32_t from = cursor && str_eq(cursor->topic_name, name) ? cursor->partition_index : 0;
        from = MIN(from, t->partitions);
        int32_t to = from + MIN(a->room, t->partitions - from);
        struct describe_topic_partitions_res_topics *out = add_topic(a, t->name, WIRE_NONE);
        out->topic_id = t->id;
        if (!add_partitions(a, out, from, to)) return false;
        a->room -= to - from;
        return to == t->partitions || set_cursor(a, t->name, to);
}

/* The cursor has to be one that we could have given. */
static bool cursor_is_bad(const struct answer *a)
{
        const struct describe_topic_partitions_req_cursor *cursor = a->req->cursor;
        if (!cursor) return false;
        if (cursor->partition_index < 0) return true;
        for (int32_t i = 0; i < a->req->topics.n; i++)
                if (str_eq(a->req->topics.at[i].name, cursor->topic_name)) return false;
        return a->req->topics.n > 0;
}

static bool refuse(struct answer *a)
{
        int32_t n = MAX(a->req->topics.n, 0);
        a->res.topics.at = arena_array(&a->r->arena, (size_t)n + 1, sizeof(*a->res.topics.at));
        if (!a->res.topics.at) return false;
        for (int32_t i = 0; i < n; i++)
                add_topic(a, a->req->topics.at[i].name, WIRE_INVALID_REQUEST);
        return true;
}

static bool answer(struct answer *a)
{
        describe_topic_partitions_res_init(&a->res);
        if (cursor_is_bad(a)) return refuse(a);
        a->us = admin_replicas(a->r);
        a->room = MAX(1, MIN(PAGE_MAX, a->req->response_partition_limit));
        if (a->us.n == 0 || !(a->req->topics.n > 0 ? list_asked(a) : list_all(a))) return false;
        a->res.topics.at = arena_array(&a->r->arena, (size_t)a->n + 1, sizeof(*a->res.topics.at));
        if (!a->res.topics.at) return false;
        for (int32_t i = 0; i < a->n && !a->res.next_cursor; i++)
                if (!add_one(a, a->names[i])) return false;
        return true;
}

void api_describe_topic_partitions_finish(struct request *r, struct out *reply)
{
        struct answer a = { .r = r, .req = r->body };
        if (answer(&a))
                describe_topic_partitions_res_encode(&a.res, reply, r->version);
        else
                reply->bad = true; /* out of memory: the connection is closed */
}
