/* All goes well: begin groups the parts -> each owner runs its group, a bounded number of parts at
 * a time
 * -> parts that wait for the disk come back one by one -> the last one sends the group back -> the
 * request is finished when all groups are back.  A part that fails carries its error; nothing else
 * can. */
#include "server/scatter.h"

#include "base/check.h"
#include "protocol/errors.h"
#include "server/server.h"

enum { PARTS_PER_RUN_MAX = 256 };

static void group_go(struct message *m);
static void group_done(struct message *m);

bool scatter_init(struct scatter *s, struct request *r,
    bool (*run)(struct scatter_part *p, struct partition *partition, int16_t error))
{
        const unsigned n = r->shard->server->n_shards;
        *s = (struct scatter){ .r = r, .run = run };
        s->groups = arena_array(&r->arena, n, sizeof(*s->groups));
        for (unsigned i = 0; s->groups && i < n; i++) {
                s->groups[i].scatter = s;
                s->groups[i].owner = &r->shard->server->shards[i];
                s->groups[i].go.run = group_go;
                s->groups[i].done.run = group_done;
                arena_init(&s->groups[i].arena, r->arena.limit);
        }
        return s->groups != NULL;
}

void scatter_add(struct scatter *s, struct scatter_part *p)
{
        struct shard *owner = shard_of(s->r->shard->server, p->topic->id, p->index);
        struct scatter_group *g = &s->groups[owner->index];
        p->group = g;
        if (g->last)
                g->last->next = p;
        else
                g->first = g->at = p;
        g->last = p;
}

void scatter_start(struct scatter *s)
{
        struct shard *home = s->r->shard;
        struct scatter_group *local = NULL;
        for (unsigned i = 0; i < home->server->n_shards; i++) {
                struct scatter_group *g = &s->groups[i];
                if (!g->first) continue;
                request_hold(s->r);
                if (g->owner == home)
                        local = g;
                else
                        shard_post(home, g->owner, &g->go);
        }
        if (local) group_go(&local->go);
}

void scatter_free(struct scatter *s)
{
        for (unsigned i = 0; s->groups && i < s->r->shard->server->n_shards; i++)
                arena_reset(&s->groups[i].arena);
}

static void group_done(struct message *m)
{
        request_done(CONTAINER_OF(m, struct scatter_group, done)->scatter->r);
}

/* --- on the owner --- */

static void put(struct scatter_group *g)
{
        assert(g->out > 0);
        if (--g->out > 0) return;
        struct shard *home = g->scatter->r->shard;
        if (g->owner == home)
                group_done(&g->done);
        else
                shard_post(g->owner, home, &g->done);
}

void scatter_part_done(struct scatter_part *p)
{
        put(p->group);
}

static bool part_run(struct scatter_group *g, struct scatter_part *p)
{
        struct request *r = g->scatter->r;
        if (!shard_topic_lives(g->owner, r->view, p->topic))
                return g->scatter->run(p, NULL, WIRE_UNKNOWN_TOPIC_OR_PARTITION);
        struct partition *x = shard_partition(g->owner, p->topic, p->index);
        return g->scatter->run(p, x, x ? WIRE_NONE : WIRE_KAFKA_STORAGE_ERROR);
}

static void group_go(struct message *m)
{
        struct scatter_group *g = CONTAINER_OF(m, struct scatter_group, go);
        if (g->at == g->first) g->out = 1; /* the walk over the parts */
        for (unsigned n = 0; g->at && n < PARTS_PER_RUN_MAX; n++) {
                struct scatter_part *p = g->at;
                g->at = p->next;
                g->out++;
                if (part_run(g, p)) g->out--;
        }
        if (g->at)
                shard_post(g->owner, g->owner, &g->go);
        else
                put(g);
}
