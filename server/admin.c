/* What the handlers of topic administration share. */
#include "server/admin.h"

#include "base/check.h"
#include "server/server.h"

#include <xxhash.h>

bool name_set_init(struct name_set *s, struct arena *a, int32_t n)
{
        assert(n >= 0);
        uint32_t slots = 8;
        while (slots < 2 * (uint32_t)n) slots *= 2;
        *s = (struct name_set){ .mask = slots - 1, .room = n };
        s->slots = arena_array(a, slots, sizeof(s->slots[0]));
        s->places = arena_array(a, (size_t)n + 1, sizeof(s->places[0]));
        return s->slots && s->places;
}

int32_t name_set_add(struct name_set *s, struct str name, int32_t place)
{
        uint64_t hash = XXH3_64bits(name.n > 0 ? name.p : "", name.n > 0 ? (size_t)name.n : 0);
        uint32_t at = (uint32_t)hash & s->mask;
        for (; s->slots[at]; at = (at + 1) & s->mask) {
                const struct name_place *x = &s->places[s->slots[at] - 1];
                if (x->hash == hash && str_eq(x->name, name)) return x->place;
        }
        assert(s->count < s->room);
        s->places[s->count] = (struct name_place){ name, hash, place };
        s->slots[at] = (uint32_t)++s->count;
        return -1;
}

static void item_done(struct registry_change *c)
{
        struct admin_item *x = CONTAINER_OF(c, struct admin_item, change);
        request_done(x->request);
}

void admin_submit(struct request *r, struct admin_item *x)
{
        CHECK_OBJ(r, REQUEST_MAGIC);
        x->request = r;
        x->change.on_done = item_done;
        request_hold(r);
        registry_submit(r->shard, &x->change);
}

struct str admin_text(const struct registry_change *c)
{
        return c->error == 0 || !c->text[0] ? STR_NULL : str_of(c->text);
}

struct i32_array admin_replicas(struct request *r)
{
        int32_t *id = arena_alloc(&r->arena, sizeof(*id));
        if (!id) return (struct i32_array){ 0, NULL };
        *id = request_node_id(r);
        return (struct i32_array){ 1, id };
}

struct str admin_cluster_id(struct request *r)
{
        struct uuid_text *t = arena_alloc(&r->arena, sizeof(*t));
        if (!t) return STR_NULL;
        *t = uuid_show(r->shard->server->store->cluster_id);
        return str_of(t->text);
}

const struct config *admin_config(const struct request *r)
{
        return r->shard->server->config;
}
