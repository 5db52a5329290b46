/* Moving a connection to the shard that owns what it asks for.
 *
 * All goes well: so many small requests in a row had to do with one other shard alone -> that shard
 * has room -> nothing more is received -> the requests under way are answered -> it leaves its
 * shard with what fits into its head -> a message -> it enters the other one and reads on.  It can
 * fail at nothing: who closes, drains or ends before it leaves stays, and is dealt with here; on
 * arrival a shard that drains closes it, as it does with one that was just accepted.
 *
 * The rules.  A message and a wake-up each way are dear beside a small request only, so large
 * requests and replies end a run: there two shards share the work of copying.  A shard accepts a
 * connection only while it then has at most one more than an even share of all, so that a partition
 * that everybody writes to does not draw everybody to one shard; who is on the way counts, and what
 * other shards have may be a moment old.  And every move takes sixteen times as many requests in a
 * row as the one before: a connection that changes its mind does not travel to and fro. */
#include "base/check.h"
#include "base/log.h"
#include "server/conn.h"
#include "server/server.h"

enum { STREAK_FIRST = 16, STREAK_SHIFT = 4, MOVES_MAX = 6 };

static bool is_small(const struct request *r)
{
        return r->frame_size < CONN_LARGE && r->reply.total < CONN_LARGE;
}

/* True: the shard has room, and expects it from now on. */
static bool announce(struct shard *to)
{
        const struct server *v = to->server;
        uint64_t all = 0, there = counter_get(&to->own.stats->open);
        for (unsigned i = 0; i < v->n_shards; i++)
                all += counter_get(&v->shards[i].own.stats->open);
        if (there + atomic_fetch_add(&to->expected, 1) <= all / v->n_shards) return true;
        atomic_fetch_sub(&to->expected, 1);
        return false;
}

void conn_place_cancel(struct conn *c)
{
        if (c->place.to) atomic_fetch_sub(&TAKE(c->place.to)->expected, 1);
}

void conn_place_note(struct conn *c, const struct request *r)
{
        struct conn_place *p = &c->place;
        if (!r->owner || p->to) return;
        if (r->many_owners || r->owner != p->owner || !is_small(r)) {
                p->owner = r->many_owners || !is_small(r) ? NULL : r->owner;
                p->streak = 0;
        }
        if (!p->owner || p->owner == c->shard || p->moves == MOVES_MAX) return;
        const uint32_t enough = (uint32_t)STREAK_FIRST << (STREAK_SHIFT * p->moves);
        if (++p->streak % enough == 0 && announce(p->owner)) p->to = p->owner;
}

static void arrive_moved(struct message *m)
{
        struct conn *c = CONTAINER_OF(m, struct conn, message);
        CHECK_OBJ(c, CONN_MAGIC);
        struct shard *s = c->shard;
        conn_enter(c);
        atomic_fetch_sub(&s->expected, 1);
}

bool conn_place_run(struct conn *c)
{
        struct conn_place *p = &c->place;
        if (!p->to || c->closing || c->in.ended) return false;
        if (c->n_queued > 0 || c->out.busy || !conn_in_rests(c)) return false;
        assert(list_empty(&c->queue) && c->inflight == 0 && c->unsent == 0 && c->promised == 0);
        log_mark("connection: moves to the shard that owns its partitions");
        struct shard *from = c->shard;
        conn_in_pack(c);
        conn_leave(c);
        c->shard = p->to;
        *p = (struct conn_place){ .moves = p->moves + 1 };
        c->message.run = arrive_moved;
        shard_post(from, c->shard, &c->message); /* from here on it is the other shard's */
        return true;
}
