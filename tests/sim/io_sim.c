/* The simulated world: its dice, its clock, its events, and the table of base/io.h over them.
 *
 * An operation, when all goes well: sim_start -> its disk or network half decides when -> the event
 * fires -> the effect happens -> the result waits in its io's queue -> io_dispatch().
 * It can fail by a fault that the test asked for, or by what the half finds.  When the world
 * crashes, operations of mortal ios happen in part or not at all, and never finish. */
#include "base/io_backend.h"
#include "tests/sim/sim_impl.h"

#include <errno.h>

/* --- dice (xoshiro256**, seeded by splitmix64) --- */

static uint64_t splitmix(uint64_t *x)
{
        uint64_t z = (*x += 0x9e3779b97f4a7c15u);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
        return (x << k) | (x >> (64 - k));
}

uint64_t sim_random(struct sim_world *w)
{
        uint64_t *s = w->rng, r = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = rotl(s[3], 45);
        return r;
}

uint64_t sim_below(struct sim_world *w, uint64_t n)
{
        return n ? sim_random(w) % n : 0;
}

bool sim_chance(struct sim_world *w, unsigned per_thousand)
{
        return sim_below(w, 1000) < per_thousand;
}

void *sim_alloc(size_t n)
{
        void *p = calloc(1, n ? n : 1);
        if (!p) abort();
        return p;
}

/* --- events: a binary heap on (time, tie) --- */

static bool event_before(const struct sim_event *a, const struct sim_event *b)
{
        return a->at != b->at ? a->at < b->at : a->tie < b->tie;
}

static void heap_up(struct sim_world *w, size_t i)
{
        while (i > 0 && event_before(w->heap[i], w->heap[(i - 1) / 2])) {
                struct sim_event *e = w->heap[i];
                w->heap[i] = w->heap[(i - 1) / 2];
                w->heap[(i - 1) / 2] = e;
                i = (i - 1) / 2;
        }
}

static void heap_down(struct sim_world *w, size_t i)
{
        for (;;) {
                size_t least = i, l = 2 * i + 1, r = 2 * i + 2;
                if (l < w->n_events && event_before(w->heap[l], w->heap[least])) least = l;
                if (r < w->n_events && event_before(w->heap[r], w->heap[least])) least = r;
                if (least == i) return;
                struct sim_event *e = w->heap[i];
                w->heap[i] = w->heap[least];
                w->heap[least] = e;
                i = least;
        }
}

static void heap_push(struct sim_world *w, struct sim_event *e)
{
        if (w->n_events == w->cap_events) {
                w->cap_events = w->cap_events ? w->cap_events * 2 : 64;
                w->heap = realloc(w->heap, w->cap_events * sizeof *w->heap);
                if (!w->heap) abort();
        }
        w->heap[w->n_events++] = e;
        heap_up(w, w->n_events - 1);
}

void sim_schedule(struct sim_world *w, struct sim_event *e, uint64_t delay_ns)
{
        e->at = w->now_ns + delay_ns;
        e->tie = sim_random(w);
        heap_push(w, e);
}

uint64_t sim_delay(struct sim_world *w, uint64_t typical)
{
        uint64_t d = typical / 2 + sim_below(w, typical + 1);
        if (sim_chance(w, 20)) d *= 10 + sim_below(w, 40);
        return d + sim_below(w, 50);
}

bool sim_step(struct sim_world *w)
{
        if (w->n_events == 0) return false;
        struct sim_event *e = w->heap[0];
        w->heap[0] = w->heap[--w->n_events];
        heap_down(w, 0);
        assert(e->at >= w->now_ns);
        w->now_ns = e->at;
        w->stats.events++;
        e->fire(w, e);
        if (w->on_step) w->on_step(w->on_step_arg);
        return true;
}

void sim_on_step(struct sim_world *w, void (*fn)(void *arg), void *arg)
{
        w->on_step = fn;
        w->on_step_arg = arg;
}

bool sim_step_until(struct sim_world *w, uint64_t until_ns)
{
        if (w->n_events > 0 && w->heap[0]->at <= until_ns) return sim_step(w);
        if (until_ns != UINT64_MAX && until_ns > w->now_ns) w->now_ns = until_ns;
        return false;
}

/* --- operations --- */

static void op_fire(struct sim_world *w, struct sim_event *e)
{
        struct sim_op *o = CONTAINER_OF(e, struct sim_op, event);
        CHECK_OBJ(o, SIM_OP_MAGIC);
        o->scheduled = false;
        if (o->fault) {
                if (sim_is_disk(o->op->kind)) sim_disk_fail(w, o);
                sim_op_finish(w, o, -o->fault);
        } else if (sim_is_disk(o->op->kind)) {
                sim_op_finish(w, o, sim_disk_do(w, o));
        } else if (o->op->kind == IO_NOP) {
                sim_op_finish(w, o, 0);
        } else {
                sim_net_fire(w, o);
        }
}

static void op_free(struct sim_op *o)
{
        list_remove(&o->link);
        list_remove(&o->waiting);
        o->magic = 0;
        free(o->copy);
        free(o);
}

static void op_drop(struct sim_event *e)
{
        op_free(CONTAINER_OF(e, struct sim_op, event));
}

void sim_op_schedule(struct sim_world *w, struct sim_op *o, uint64_t typical)
{
        assert(!o->scheduled);
        o->scheduled = true;
        o->event.fire = op_fire;
        o->event.drop = op_drop;
        sim_schedule(w, &o->event, typical ? sim_delay(w, typical) : 0);
}

void sim_op_finish(struct sim_world *w, struct sim_op *o, int64_t res)
{
        struct io_op *op = o->op;
        struct sim_io *io = o->io;
        (void)w;
        assert(!o->scheduled);
        assert(!io->dead);
        io_done(&io->io, op, res);
        op_free(o);
}

static int op_fault(struct sim_world *w, struct sim_op *o)
{
        if (!o->io->mortal) return 0;
        for (unsigned i = 0; i < w->n_faults; i++) {
                struct sim_fault *f = &w->faults[i];
                const char *name = sim_is_disk(o->op->kind) && o->op->path
                                       ? o->op->path
                                       : sim_fd_name(w, o->op->fd);
                if (f->kind != o->op->kind || f->error == 0) continue;
                if (f->path_part && (!name || !strstr(name, f->path_part))) continue;
                if (f->nth > 1) {
                        f->nth--;
                        continue;
                }
                int error = f->error;
                if (!f->sticky) f->error = 0;
                w->stats.faults_hit++;
                return error;
        }
        return 0;
}

static void sim_start(struct io *io, struct io_op *op)
{
        struct sim_io *si = CONTAINER_OF(io, struct sim_io, io);
        CHECK_OBJ(si, SIM_IO_MAGIC);
        assert(!si->dead);
        struct sim_world *w = si->world;
        struct sim_op *o = sim_alloc(sizeof *o);
        o->magic = SIM_OP_MAGIC;
        o->io = si;
        o->op = op;
        list_init(&o->waiting);
        list_push_back(&w->ops, &o->link);
        w->stats.ops++;
        if (op->kind == IO_NOP) {
                sim_op_finish(w, o, 0);
                return;
        }
        o->fault = op_fault(w, o);
        if (sim_is_disk(op->kind))
                sim_disk_start(w, o);
        else
                sim_net_start(w, o);
}

/* --- files and sockets by number --- */

int sim_fd_new(struct sim_world *w, bool mortal)
{
        size_t i = 0;
        while (i < w->n_fds && w->fds[i].type != SIM_FD_FREE) i++;
        if (i == w->n_fds) {
                size_t n = w->n_fds ? w->n_fds * 2 : 64;
                w->fds = realloc(w->fds, n * sizeof *w->fds);
                if (!w->fds) abort();
                memset(w->fds + w->n_fds, 0, (n - w->n_fds) * sizeof *w->fds);
                w->n_fds = n;
        }
        w->fds[i] = (struct sim_fd){ .type = SIM_FD_FILE, .mortal = mortal };
        return SIM_FD_FIRST + (int)i;
}

struct sim_fd *sim_fd_get(struct sim_world *w, int fd)
{
        assert(fd >= SIM_FD_FIRST && (size_t)(fd - SIM_FD_FIRST) < w->n_fds);
        struct sim_fd *f = &w->fds[fd - SIM_FD_FIRST];
        assert(f->type != SIM_FD_FREE);
        return f;
}

/* --- the table --- */

static int table_listen(struct io *io, const char *host, uint16_t port, struct err *e)
{
        (void)host; /* one address per world */
        return sim_net_listen(CONTAINER_OF(io, struct sim_io, io), port, e);
}

static void table_shutdown(struct io *io, int fd)
{
        sim_net_shutdown(CONTAINER_OF(io, struct sim_io, io)->world, fd);
}

static void table_sock_close(struct io *io, int fd)
{
        sim_net_close(CONTAINER_OF(io, struct sim_io, io)->world, fd);
}

static void table_turn(struct io *io, uint64_t wait_ns)
{
        struct sim_io *si = CONTAINER_OF(io, struct sim_io, io);
        CHECK_OBJ(si, SIM_IO_MAGIC);
        assert(!si->dead);
        struct sim_world *w = si->world;
        uint64_t until = wait_ns == UINT64_MAX ? UINT64_MAX : w->now_ns + wait_ns;
        if (wait_ns > 0)
                while (!io->done_head && !si->woken && w->now_ns < until)
                        if (!sim_step_until(w, until)) break;
        assert(wait_ns != UINT64_MAX || io->done_head || si->woken); /* would sleep for ever */
        si->woken = false;
}

static void table_wake(struct io *io, struct io *from)
{
        (void)from;
        CONTAINER_OF(io, struct sim_io, io)->woken = true;
}

static uint64_t table_now_ns(struct io *io)
{
        return CONTAINER_OF(io, struct sim_io, io)->world->now_ns;
}

static int64_t table_wall_ms(struct io *io)
{
        struct sim_world *w = CONTAINER_OF(io, struct sim_io, io)->world;
        return w->wall_ms + (int64_t)(w->now_ns / 1000000);
}

static void table_random(struct io *io, void *buf, size_t n)
{
        struct sim_world *w = CONTAINER_OF(io, struct sim_io, io)->world;
        uint8_t *p = buf;
        for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(sim_random(w) >> 56);
}

static int table_register_slab(struct io *io, void *base, size_t len)
{
        (void)io, (void)base, (void)len;
        return -1;
}

static void table_unregister_slab(struct io *io, int reg)
{
        (void)io, (void)reg;
}

static void table_free(struct io *io)
{
        struct sim_io *si = CONTAINER_OF(io, struct sim_io, io);
        CHECK_OBJ(si, SIM_IO_MAGIC);
        for (struct list *l = si->world->ops.next; l != &si->world->ops; l = l->next)
                assert(CONTAINER_OF(l, struct sim_op, link)->io != si);
        list_remove(&si->link);
        si->magic = 0;
        free(si);
}

static const struct io_table sim_table = {
        .name = "sim",
        .start = sim_start,
        .listen = table_listen,
        .shutdown = table_shutdown,
        .sock_close = table_sock_close,
        .turn = table_turn,
        .wake = table_wake,
        .now_ns = table_now_ns,
        .wall_ms = table_wall_ms,
        .random = table_random,
        .register_slab = table_register_slab,
        .unregister_slab = table_unregister_slab,
        .free = table_free,
};

static int io_new(struct sim_world *w, bool mortal, struct io **ret_io)
{
        struct sim_io *si = sim_alloc(sizeof *si);
        si->magic = SIM_IO_MAGIC;
        si->world = w;
        si->mortal = mortal;
        io_init(&si->io, &sim_table);
        list_push_back(&w->ios, &si->link);
        *ret_io = &si->io;
        return 0;
}

int sim_io_new(struct sim_world *w, struct io **ret_io)
{
        return io_new(w, true, ret_io);
}
int sim_client_io_new(struct sim_world *w, struct io **ret_io)
{
        return io_new(w, false, ret_io);
}

bool sim_ready(struct io *io)
{
        return io->done_head || CONTAINER_OF(io, struct sim_io, io)->woken;
}

/* --- the world --- */

struct sim_world *sim_world_new(const struct sim_options *o)
{
        static const uint64_t disk_ns[] = { 2000, 20000, 100000, 1000000, 8000000 };
        static const uint64_t net_ns[] = { 500, 20000, 200000, 5000000 };
        struct sim_world *w = sim_alloc(sizeof *w);
        uint64_t seed = o->seed;
        for (unsigned i = 0; i < 4; i++) w->rng[i] = splitmix(&seed);
        w->options = *o;
        w->now_ns = 1000000000 + sim_below(w, 1000000000);
        w->wall_ms = o->wall_ms ? o->wall_ms : 1767225600000;
        w->disk_ns = o->disk_ns ? o->disk_ns : disk_ns[sim_below(w, COUNT_OF(disk_ns))];
        w->net_ns = o->net_ns ? o->net_ns : net_ns[sim_below(w, COUNT_OF(net_ns))];
        w->slow = 1;
        w->short_per_mille = (unsigned)sim_below(w, 400);
        list_init(&w->ios);
        list_init(&w->ops);
        sim_disk_init(w);
        sim_net_init(w);
        return w;
}

void sim_world_free(struct sim_world *w)
{
        while (w->n_events > 0) {
                struct sim_event *e = w->heap[--w->n_events];
                e->drop(e);
        }
        while (!list_empty(&w->ops)) op_free(CONTAINER_OF(w->ops.next, struct sim_op, link));
        sim_net_free(w);
        sim_disk_free(w);
        for (struct list *l = w->ios.next, *next; next = l->next, l != &w->ios; l = next)
                free(CONTAINER_OF(l, struct sim_io, link));
        free(w->heap);
        free(w->fds);
        free(w);
}

uint64_t sim_now(const struct sim_world *w)
{
        return w->now_ns;
}
void sim_wall_jump(struct sim_world *w, int64_t by_ms)
{
        w->wall_ms += by_ms;
}
void sim_slow_disk(struct sim_world *w, unsigned factor)
{
        w->slow = factor ? factor : 1;
}
void sim_get_stats(const struct sim_world *w, struct sim_stats *ret)
{
        *ret = w->stats;
}

void sim_fail(struct sim_world *w, const struct sim_fault *f)
{
        assert(w->n_faults < SIM_FAULTS_MAX && f->error > 0);
        w->faults[w->n_faults++] = *f;
}

void sim_heal(struct sim_world *w)
{
        w->n_faults = 0;
}

unsigned sim_in_flight(const struct sim_world *w)
{
        unsigned n = 0;
        for (struct list *l = w->ops.next; l != &w->ops; l = l->next)
                n += CONTAINER_OF(l, struct sim_op, link)->io->mortal;
        return n;
}

/* Takes the events of mortal operations out of the heap; the rest keeps its times. */
static void heap_forget_mortal(struct sim_world *w)
{
        size_t n = 0;
        for (size_t i = 0; i < w->n_events; i++) {
                struct sim_event *e = w->heap[i];
                if (e->fire == op_fire) {
                        struct sim_op *o = CONTAINER_OF(e, struct sim_op, event);
                        if (o->io->mortal) {
                                o->scheduled = false;
                                continue;
                        }
                }
                w->heap[n++] = e;
        }
        w->n_events = n;
        for (size_t i = n / 2 + 1; i-- > 0;)
                if (i < n) heap_down(w, i);
}

static void crash(struct sim_world *w, bool lose)
{
        w->stats.crashes++;
        /* What was under way on the disk may have happened. */
        for (struct list *l = w->ops.next, *next; next = l->next, l != &w->ops; l = next) {
                struct sim_op *o = CONTAINER_OF(l, struct sim_op, link);
                if (!o->io->mortal || !sim_is_disk(o->op->kind) || o->fault) continue;
                enum io_kind k = o->op->kind;
                bool changes = k == IO_WRITE || k == IO_SYNC || k == IO_ALLOCATE ||
                               k == IO_TRUNCATE || k == IO_MKDIR || k == IO_RENAME ||
                               k == IO_UNLINK || k == IO_RMDIR;
                if (!changes || sim_chance(w, 500)) continue;
                /* A DSYNC write that did not complete promises nothing: it is an un-synced one. */
                if (k == IO_WRITE) o->op->flags &= ~IO_DSYNC;
                (void)sim_disk_do(w, o);
        }
        heap_forget_mortal(w);
        for (struct list *l = w->ops.next, *next; next = l->next, l != &w->ops; l = next) {
                struct sim_op *o = CONTAINER_OF(l, struct sim_op, link);
                if (o->io->mortal) op_free(o);
        }
        for (struct list *l = w->ios.next; l != &w->ios; l = l->next) {
                struct sim_io *si = CONTAINER_OF(l, struct sim_io, link);
                if (si->mortal) si->dead = true;
        }
        sim_net_crash(w);
        sim_disk_crash(w, lose);
        w->n_faults = 0;
}

void sim_crash(struct sim_world *w)
{
        crash(w, true);
}
void sim_kill(struct sim_world *w)
{
        crash(w, false);
}
