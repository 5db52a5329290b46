/* Retention: whole sealed segments go, oldest first, when their newest record is too old or the
 * partition is too large.  The log start moves first; it is durable by the next segment's
 * existence. Files are unlinked once nobody reads them, one at a time per shard, each with an fsync
 * of its directory, so that a crash leaves an unbroken run of segments.
 *
 * Law 12: ages need the wall clock.  It is compared with the monotonic clock since the start; when
 * the two disagree by more than an hour nothing is deleted by age, until they agree again or a
 * restart. */
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>

enum { VISITS_MIN = 16, VISITS_SHARE = 30, WALL_DOUBT_MS = 3600 * 1000 };
#define MS_NS INT64_C(1000000)

/* --- unlinking: .log -> open directory -> fsync -> close -> .index --- */
struct drop {
        struct io_op op;
        struct segment *segment;
        int fd;
        char path[STORE_NAME_MAX];
};

static void drop_on_unlink(struct io_op *op);
static void drop_on_dir(struct io_op *op);
static void drop_on_sync(struct io_op *op);
static void drop_on_close(struct io_op *op);
static void drop_on_index(struct io_op *op);

static struct io *io_of(struct drop *d)
{
        return d->segment->partition->ls->io;
}
static int data_fd(struct drop *d)
{
        return d->segment->partition->ls->store->data_fd;
}

/* The oldest that nobody uses; later ones of its partition wait for it. */
static struct segment *drop_next(struct log_shard *ls)
{
        for (struct list *l = ls->drops.next; l != &ls->drops; l = l->next) {
                struct segment *s = CONTAINER_OF(l, struct segment, drop_link);
                bool oldest = true;
                for (struct list *m = ls->drops.next; m != l && oldest; m = m->next)
                        oldest =
                            CONTAINER_OF(m, struct segment, drop_link)->partition != s->partition;
                if (oldest && s->pins == 0 && partition_active(s->partition)->created) return s;
        }
        return NULL;
}

void retention_drops(struct log_shard *ls)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        if (ls->dropping || shard_fenced(ls)) return;
        struct segment *s = drop_next(ls);
        struct drop *d = s ? calloc(1, sizeof *d) : NULL;
        if (!d) return; /* the next tick tries again */
        if (s->fd >= 0) segment_close_fd(s);
        ls->dropping = true;
        list_remove(&s->drop_link);
        d->segment = s;
        s->dropped = false; /* this pin's end is drop_finish() */
        segment_pin(s);
        segment_name(s, ".log", d->path);
        d->op.on_done = drop_on_unlink;
        io_unlink(ls->io, &d->op, ls->store->data_fd, d->path);
}

static void drop_finish(struct drop *d, const char *what, int64_t res)
{
        struct segment *s = d->segment;
        struct partition *p = s->partition;
        struct log_shard *ls = p->ls;
        char name[STORE_NAME_MAX];
        if (res < 0) {
                segment_name(s, ".log", name);
                log_event(LOG_WARN, "segment not deleted", LOG_STR("file", name),
                    LOG_STR("operation", what), LOG_STR("cause", strerror((int)-res)), LOG_END);
        } else {
                counter_add(&ls->stats.segments_deleted, 1);
        }
        free(d);
        ls->dropping = false;
        partition_hold(p);
        segment_unpin(s);
        segment_free(s);
        partition_unhold(p);
        retention_drops(ls);
}

static void drop_on_unlink(struct io_op *op)
{
        struct drop *d = CONTAINER_OF(op, struct drop, op);
        if (op->res < 0 && op->res != -ENOENT) {
                drop_finish(d, "unlink", op->res);
                return;
        }
        partition_dir_name(d->segment->partition, d->path);
        op->on_done = drop_on_dir;
        io_open(io_of(d), op, data_fd(d), d->path, O_RDONLY | O_DIRECTORY);
}

static void drop_on_dir(struct io_op *op)
{
        struct drop *d = CONTAINER_OF(op, struct drop, op);
        if (op->res < 0) {
                drop_finish(d, "open directory", op->res);
                return;
        }
        d->fd = (int)op->res;
        op->on_done = drop_on_sync;
        io_sync(io_of(d), op, d->fd);
}

static void drop_on_sync(struct io_op *op)
{
        struct drop *d = CONTAINER_OF(op, struct drop, op);
        op->on_done = drop_on_close; /* a lost unlink costs a file that goes next time */
        io_close(io_of(d), op, d->fd);
}

static void drop_on_close(struct io_op *op)
{
        struct drop *d = CONTAINER_OF(op, struct drop, op);
        segment_name(d->segment, ".index", d->path);
        op->on_done = drop_on_index;
        io_unlink(io_of(d), op, data_fd(d), d->path);
}

static void drop_on_index(struct io_op *op)
{
        drop_finish(
            CONTAINER_OF(op, struct drop, op), "unlink index", op->res == -ENOENT ? 0 : op->res);
}

/* --- deciding --- */
static void drop_oldest(struct partition *p)
{
        assert(p->n_segments > 1 && p->segments[0]->sealed);
        struct segment *s = p->segments[0];
        memmove(p->segments, p->segments + 1, (p->n_segments - 1) * sizeof *p->segments);
        p->n_segments--;
        p->log_start = p->segments[0]->base_offset;
        /* The tail may still hold its bytes: they would outlive their segment. */
        while (p->first_chunk < p->n_chunks && p->chunks[p->first_chunk]->segment == s)
                tail_drop_first(p);
        s->dropped = true;
        list_push_back(&p->ls->drops, &s->drop_link);
        partition_moved(p);
        retention_drops(p->ls);
}

static bool droppable(const struct partition *p)
{
        return p->n_segments > 1 && p->segments[0]->sealed && p->segments[1]->created;
}

static bool too_old(const struct partition *p, const struct segment *s, int64_t now_ms)
{
        if (p->config.retention_ms < 0 || s->max_timestamp < 0) return false;
        return now_ms > s->max_timestamp && now_ms - s->max_timestamp > p->config.retention_ms;
}

static bool too_large(const struct partition *p)
{
        if (p->config.retention_bytes < 0) return false;
        uint64_t bytes = p->append_virt - p->segments[0]->virt - p->segments[0]->size;
        return bytes >= (uint64_t)p->config.retention_bytes;
}

static void visit(struct partition *p, int64_t now_ms, bool by_age)
{
        if (p->deleted || p->status != ST_OK || !p->config.delete_old || p->n_segments == 0) return;
        struct segment *last = partition_active(p);
        bool all_old = by_age && last->size > 0 && last->durable == last->size &&
                       list_empty(&p->queue) && too_old(p, last, now_ms);
        if (all_old && !p->tail_loading && append_roll(p)) partition_make_dirty(p);
        while (droppable(p) && ((by_age && too_old(p, p->segments[0], now_ms)) || too_large(p)))
                drop_oldest(p);
}

static bool wall_is_good(struct log_shard *ls, int64_t now_ms)
{
        int64_t wall = now_ms - ls->wall_start_ms;
        int64_t mono = (int64_t)(io_now_ns(ls->io) - ls->mono_start_ns) / MS_NS;
        bool doubt = wall - mono > WALL_DOUBT_MS || mono - wall > WALL_DOUBT_MS;
        if (doubt != ls->wall_doubt)
                log_event(LOG_WARN,
                    doubt ? "the wall clock jumped: nothing is deleted by age"
                          : "the wall clock agrees again: old segments are deleted",
                    LOG_INT("jump_ms", wall - mono), LOG_END);
        ls->wall_doubt = doubt;
        return !doubt;
}

void retention_tick(struct log_shard *ls)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        if (shard_fenced(ls)) return;
        uint64_t now_ns = io_now_ns(ls->io);
        if (now_ns >= ls->retention_next_ns) {
                ls->retention_next_ns = now_ns + ls->retention_every_ns;
                ls->retention_left = ls->n_partitions;
        }
        int64_t now_ms = io_wall_ms(ls->io);
        bool by_age = wall_is_good(ls, now_ms);
        uint32_t visits = MIN(ls->retention_left, ls->n_partitions / VISITS_SHARE + VISITS_MIN);
        ls->retention_left -= visits;
        for (uint32_t i = 0; i < visits; i++) {
                if (ls->retention_at == &ls->partitions) ls->retention_at = ls->partitions.next;
                if (ls->retention_at == &ls->partitions) break;
                struct partition *p = CONTAINER_OF(ls->retention_at, struct partition, all);
                ls->retention_at = p->all.next;
                visit(p, now_ms, by_age);
        }
        retention_drops(ls);
}

void partition_drop_before(struct partition *p, int64_t offset)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        while (droppable(p) && p->segments[1]->base_offset <= offset) drop_oldest(p);
}
