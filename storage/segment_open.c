/* Descriptors of segment files: opened when somebody needs them, closed when too many are open or
 * nobody used one for a while.  A pinned segment keeps its descriptor. */
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>

enum { IDLE_MS = 30000, OPEN_RETRIES = 2, CLOSES_PER_TICK = 256 };
#define MS_NS UINT64_C(1000000)

struct opening {
        struct io_op op;
        struct segment *segment;
        unsigned tries;
        char path[STORE_NAME_MAX];
};

static void open_on_done(struct io_op *op);

static void open_start(struct opening *o)
{
        struct segment *s = o->segment;
        struct store *store = s->partition->ls->store;
        int flags = (s->sealed ? O_RDONLY : O_RDWR) | (store->direct ? O_DIRECT : 0);
        o->op.on_done = open_on_done;
        io_open(s->partition->ls->io, &o->op, store->data_fd, o->path, flags);
}

int segment_open(struct segment *s, struct fd_waiter *w)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        assert(s->pins > 0 && s->created && w->on_open);
        s->used_ns = io_now_ns(s->partition->ls->io);
        if (s->fd >= 0) {
                list_remove(&s->fd_lru);
                list_push_back(&s->partition->ls->open_fds, &s->fd_lru);
                return s->fd;
        }
        if (!s->opening) {
                struct opening *o = calloc(1, sizeof *o);
                if (!o) return -ENOMEM;
                o->segment = s;
                segment_name(s, ".log", o->path);
                s->opening = true;
                segment_pin(s);
                open_start(o);
        }
        list_push_back(&s->fd_waiters, &w->link);
        return -1;
}

static void open_on_done(struct io_op *op)
{
        struct opening *o = CONTAINER_OF(op, struct opening, op);
        struct segment *s = o->segment;
        struct log_shard *ls = s->partition->ls;
        if ((op->res == -EMFILE || op->res == -ENFILE) && o->tries++ < OPEN_RETRIES) {
                segment_fds_trim(ls, 0);
                open_start(o);
                return;
        }
        int64_t res = op->res;
        free(o);
        s->opening = false;
        if (res >= 0) segment_opened(s, (int)res);
        struct list due;
        list_init(&due);
        while (!list_empty(&s->fd_waiters)) list_push_back(&due, list_pop_front(&s->fd_waiters));
        for (struct list *l = list_pop_front(&due); l; l = list_pop_front(&due)) {
                struct fd_waiter *w = CONTAINER_OF(l, struct fd_waiter, link);
                w->on_open(w, res);
        }
        segment_unpin(s);
}

void segment_opened(struct segment *s, int fd)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        assert(s->fd < 0 && fd >= 0);
        struct log_shard *ls = s->partition->ls;
        s->fd = fd;
        s->used_ns = io_now_ns(ls->io);
        ls->n_fds++;
        list_push_back(&ls->open_fds, &s->fd_lru);
        segment_fds_trim(ls, ls->fds_limit);
}

/* --- closing --- */
struct closing {
        struct io_op op;
        struct log_shard *ls;
};

static void close_on_done(struct io_op *op)
{
        struct closing *c = CONTAINER_OF(op, struct closing, op);
        c->ls->busy--; /* what close() says changes nothing: all that counts was synced before */
        free(c);
}

void segment_close_fd(struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        assert(s->fd >= 0);
        struct log_shard *ls = s->partition->ls;
        struct closing *c = calloc(1, sizeof *c);
        if (!c) return; /* stays open until the next attempt */
        list_remove(&s->fd_lru);
        ls->n_fds--;
        ls->busy++;
        c->ls = ls;
        c->op.on_done = close_on_done;
        io_close(ls->io, &c->op, s->fd);
        s->fd = -1;
}

void segment_fds_trim(struct log_shard *ls, uint32_t limit)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        for (struct list *l = ls->open_fds.next, *next; l != &ls->open_fds && ls->n_fds > limit;
             l = next) {
                struct segment *s = CONTAINER_OF(l, struct segment, fd_lru);
                next = l->next;
                if (s->pins == 0) segment_close_fd(s);
        }
}

void segment_fds_idle(struct log_shard *ls, uint64_t now_ns)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        struct list *l = ls->open_fds.next;
        for (unsigned n = 0; l != &ls->open_fds && n < CLOSES_PER_TICK; n++) {
                struct segment *s = CONTAINER_OF(l, struct segment, fd_lru);
                l = l->next;
                if (s->pins == 0 && now_ns - s->used_ns >= IDLE_MS * MS_NS) segment_close_fd(s);
        }
}
