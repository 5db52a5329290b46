/* DeleteTopics v0-6, by name and (v6) by id.  One result per topic that was named.
 *
 * begin: what is legal is submitted to the registry.  finish: results.  A topic is deleted when no
 * shard has it in its view any more; its files go later. */
#include "protocol/msg/delete_topics.h"

#include "base/check.h"
#include "protocol/errors.h"
#include "server/admin.h"
#include "server/api.h"
#include "server/config.h"

enum { VERSION_DISABLED_HAS_CODE = 3, VERSION_STRUCTS = 6 };

struct delete_item {
        struct admin_item item;
        struct str name; /* null: unknown */
        struct uuid id;  /* zero: unknown */
        bool again;      /* an earlier one stands for it too */
};

struct delete_state {
        int32_t n;
        struct delete_item *items;
        struct name_set names, ids;
};

static struct delete_state *state_new(struct request *r)
{
        const struct delete_topics_req *req = r->body;
        bool structs = r->version >= VERSION_STRUCTS;
        int32_t n = MAX(structs ? req->topics.n : req->topic_names.n, 0);
        struct delete_state *s = arena_alloc(&r->arena, sizeof(*s));
        if (!s) return NULL;
        s->n = n;
        s->items = arena_array(&r->arena, (size_t)n + 1, sizeof(*s->items));
        if (!s->items || !name_set_init(&s->names, &r->arena, n) ||
            !name_set_init(&s->ids, &r->arena, n))
                return NULL;
        for (int32_t i = 0; i < n; i++) {
                s->items[i].name = structs ? req->topics.at[i].name : req->topic_names.at[i];
                if (structs) s->items[i].id = req->topics.at[i].topic_id;
        }
        return s;
}

/* Finds the topic that is meant, and whether it was meant before. */
static void resolve(struct request *r, struct delete_state *s, int32_t i)
{
        struct delete_item *x = &s->items[i];
        struct registry_change *c = &x->item.change;
        bool has_id = !uuid_is_zero(x->id), has_name = !str_is_null(x->name);
        if (has_id == has_name) {
                registry_refuse(c, WIRE_INVALID_REQUEST, "%s",
                    has_id ? "a topic is given by name and by id" : "neither name nor id is given");
                return;
        }
        const struct topic *t =
            has_id ? registry_find_id(r->view, x->id) : registry_find(r->view, x->name);
        c->name = has_id ? STR_NULL : x->name;
        c->id = x->id;
        if (t) x->name = t->name;
        struct str id = { (const char *)x->id.b, sizeof(x->id.b) };
        int32_t first = str_is_null(x->name) ? name_set_add(&s->ids, id, i)
                                             : name_set_add(&s->names, x->name, i);
        if (first < 0) {
                if (t) x->id = t->id;
                return;
        }
        x->again = true;
        if (s->items[first].item.change.error == 0)
                registry_refuse(&s->items[first].item.change, WIRE_INVALID_REQUEST,
                    "the topic is named twice in this request");
}

void api_delete_topics_begin(struct request *r)
{
        struct delete_state *s = state_new(r);
        r->state = s;
        if (!s) return;
        int16_t disabled = r->version >= VERSION_DISABLED_HAS_CODE ? WIRE_TOPIC_DELETION_DISABLED
                                                                   : WIRE_INVALID_REQUEST;
        for (int32_t i = 0; i < s->n; i++) {
                if (admin_config(r)->delete_topics)
                        resolve(r, s, i);
                else
                        registry_refuse(
                            &s->items[i].item.change, disabled, "delete.topic.enable is false");
        }
        for (int32_t i = 0; i < s->n; i++) {
                struct delete_item *x = &s->items[i];
                if (x->again || x->item.change.error) continue;
                x->item.change.kind = TOPIC_DELETE;
                admin_submit(r, &x->item);
        }
}

static bool answer(struct request *r, struct delete_topics_res *res)
{
        struct delete_state *s = r->state;
        delete_topics_res_init(res);
        res->responses.at = arena_array(&r->arena, (size_t)s->n + 1, sizeof(*res->responses.at));
        if (!res->responses.at) return false;
        for (int32_t i = 0; i < s->n; i++) {
                const struct delete_item *x = &s->items[i];
                if (x->again) continue;
                struct delete_topics_res_responses *t = &res->responses.at[res->responses.n++];
                delete_topics_res_responses_init(t);
                t->name = x->name;
                t->topic_id = x->id;
                t->error_code = x->item.change.error;
                request_note_error(r, t->error_code);
                t->error_message = admin_text(&x->item.change);
        }
        return true;
}

void api_delete_topics_finish(struct request *r, struct out *reply)
{
        struct delete_topics_res res;
        if (r->state && answer(r, &res))
                delete_topics_res_encode(&res, reply, r->version);
        else
                reply->bad = true; /* out of memory: the connection is closed */
}
