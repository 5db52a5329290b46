/* The simulated network: listeners, connections, bytes that travel in pieces.
 *
 * A send takes what fits into the reader's window, never more than a random part when the dice say
 * so; the piece arrives after a delay, in order.  A receive waits until something arrived and takes
 * a random part of it.  The end of a stream travels like a piece; a reset overtakes everything. */
#include "tests/sim/sim_impl.h"

#include <errno.h>

enum { SOCK_MAGIC = 0x73696d73, PORT_FIRST = 40000 };

struct piece {
        struct sim_event event;
        struct list link;
        struct sim_sock *to;
        uint8_t *data;
        size_t len, taken;
        bool arrived, end;
};

struct sim_sock {
        uint32_t magic;
        int fd; /* -1: closed by its owner */
        bool mortal, listening, reset, shut, ended;
        uint16_t port;
        struct sim_sock *peer; /* NULL: never connected, or gone */
        struct list link;      /* listeners; a listener's backlog */
        struct list backlog;   /* of a listener: sockets that nobody accepted yet */
        struct list accepts;   /* of a listener: operations that wait */
        struct list pieces;    /* on their way to us, or arrived and not read */
        size_t queued;         /* bytes in pieces */
        uint64_t last_at;      /* arrival of the newest piece: order is kept */
        struct sim_op *recv, *send;
};

static struct sim_sock *sock_new(struct sim_world *w, bool mortal)
{
        struct sim_sock *s = sim_alloc(sizeof *s);
        s->magic = SOCK_MAGIC;
        s->mortal = mortal;
        s->fd = sim_fd_new(w, mortal);
        struct sim_fd *f = sim_fd_get(w, s->fd);
        f->type = SIM_FD_SOCK;
        f->sock = s;
        list_init(&s->link);
        list_init(&s->backlog);
        list_init(&s->accepts);
        list_init(&s->pieces);
        return s;
}

static struct sim_sock *sock_get(struct sim_world *w, int fd)
{
        struct sim_fd *f = sim_fd_get(w, fd);
        assert(f->type == SIM_FD_SOCK);
        CHECK_OBJ(f->sock, SOCK_MAGIC);
        return f->sock;
}

static void piece_free(struct piece *p)
{
        list_remove(&p->link);
        free(p->data);
        free(p);
}

static void piece_drop(struct sim_event *e)
{
        piece_free(CONTAINER_OF(e, struct piece, event));
}

/* Pieces that are still under way are freed by their own event. */
static void pieces_drop(struct sim_sock *s)
{
        for (struct list *l = s->pieces.next, *next; next = l->next, l != &s->pieces; l = next) {
                struct piece *p = CONTAINER_OF(l, struct piece, link);
                p->to = NULL;
                if (p->arrived)
                        piece_free(p);
                else
                        list_remove(&p->link);
        }
        s->queued = 0;
}

static void sock_free(struct sim_sock *s)
{
        CHECK_OBJ(s, SOCK_MAGIC);
        assert(s->fd < 0 && !s->recv && !s->send);
        if (s->peer) s->peer->peer = NULL;
        pieces_drop(s);
        list_remove(&s->link);
        s->magic = 0;
        free(s);
}

/* --- waking who waits --- */

static void wake(struct sim_world *w, struct sim_op **op)
{
        if (!*op) return;
        if (!(*op)->scheduled) sim_op_schedule(w, *op, w->net_ns / 8);
        *op = NULL;
}

static struct piece *first_arrived(struct sim_sock *s)
{
        struct list *l = list_first(&s->pieces);
        struct piece *p = l ? CONTAINER_OF(l, struct piece, link) : NULL;
        return p && p->arrived ? p : NULL;
}

static void piece_arrives(struct sim_world *w, struct sim_event *e)
{
        struct piece *p = CONTAINER_OF(e, struct piece, event);
        p->arrived = true;
        if (!p->to) {
                piece_free(p);
                return;
        }
        wake(w, &p->to->recv);
}

static void deliver(
    struct sim_world *w, struct sim_sock *to, const uint8_t *data, size_t n, bool end)
{
        struct piece *p = sim_alloc(sizeof *p);
        p->to = to;
        p->len = n;
        p->end = end;
        p->data = sim_alloc(n);
        if (n) memcpy(p->data, data, n);
        list_push_back(&to->pieces, &p->link);
        to->queued += n;
        uint64_t at = MAX(w->now_ns + sim_delay(w, w->net_ns), to->last_at + 1);
        to->last_at = at;
        p->event.fire = piece_arrives;
        p->event.drop = piece_drop;
        sim_schedule(w, &p->event, at - w->now_ns);
}

static void sock_reset(struct sim_world *w, struct sim_sock *s)
{
        s->reset = true;
        pieces_drop(s);
        wake(w, &s->recv);
        wake(w, &s->send);
}

/* --- the four operations --- */

static void fire_accept(struct sim_world *w, struct sim_op *o)
{
        struct sim_sock *l = sock_get(w, o->op->fd);
        if (l->shut) {
                sim_op_finish(w, o, -EINVAL);
                return;
        }
        struct list *first = list_pop_front(&l->backlog);
        if (!first) {
                list_push_back(&l->accepts, &o->waiting);
                return;
        }
        struct sim_sock *s = CONTAINER_OF(first, struct sim_sock, link);
        assert(s->mortal == o->io->mortal);
        sim_op_finish(w, o, s->fd);
}

static struct sim_sock *listener_on(struct sim_world *w, uint64_t port)
{
        for (struct list *l = w->net.listeners.next; l != &w->net.listeners; l = l->next) {
                struct sim_sock *s = CONTAINER_OF(l, struct sim_sock, link);
                if (s->port == port && !s->shut) return s;
        }
        return NULL;
}

static void wake_one_accept(struct sim_world *w, struct sim_sock *l)
{
        uint64_t n = 0;
        for (struct list *a = l->accepts.next; a != &l->accepts; a = a->next) n++;
        if (n == 0) return;
        struct list *a = l->accepts.next;
        for (uint64_t i = sim_below(w, n); i > 0; i--) a = a->next;
        list_remove(a);
        sim_op_schedule(w, CONTAINER_OF(a, struct sim_op, waiting), w->net_ns / 8);
}

static void fire_connect(struct sim_world *w, struct sim_op *o)
{
        struct sim_sock *l = listener_on(w, o->op->off);
        if (!l) {
                sim_op_finish(w, o, -ECONNREFUSED);
                return;
        }
        struct sim_sock *near = sock_new(w, o->io->mortal), *far = sock_new(w, l->mortal);
        near->peer = far;
        far->peer = near;
        list_push_back(&l->backlog, &far->link);
        wake_one_accept(w, l);
        sim_op_finish(w, o, near->fd);
}

/* How much of n to take this time. */
static size_t part_of(struct sim_world *w, size_t n, uint64_t *count_short)
{
        if (n <= 1 || !sim_chance(w, w->short_per_mille)) return n;
        ++*count_short;
        if (sim_chance(w, 300)) return 1 + (size_t)sim_below(w, MIN(n, 16));
        return 1 + (size_t)sim_below(w, n);
}

static size_t take(struct sim_world *w, struct sim_sock *s, uint8_t *to, size_t max)
{
        size_t have = 0, got = 0;
        for (struct list *l = s->pieces.next; l != &s->pieces; l = l->next) {
                struct piece *p = CONTAINER_OF(l, struct piece, link);
                if (!p->arrived || p->end) break;
                have += p->len - p->taken;
        }
        size_t want = part_of(w, MIN(have, max), &w->stats.short_recvs);
        while (got < want) {
                struct piece *p = first_arrived(s);
                size_t n = MIN(want - got, p->len - p->taken);
                memcpy(to + got, p->data + p->taken, n);
                p->taken += n, got += n;
                if (p->taken == p->len) piece_free(p);
        }
        s->queued -= got;
        if (s->peer) wake(w, &s->peer->send);
        return got;
}

static void fire_recv(struct sim_world *w, struct sim_op *o)
{
        struct sim_sock *s = sock_get(w, o->op->fd);
        struct piece *p = first_arrived(s);
        assert(!s->recv || s->recv == o); /* one receive at a time */
        s->recv = NULL;
        if (s->reset) {
                sim_op_finish(w, o, -ECONNRESET);
        } else if (s->shut) {
                sim_op_finish(w, o, 0);
        } else if (p && p->end) {
                s->ended = true;
                sim_op_finish(w, o, 0);
        } else if (p) {
                sim_op_finish(
                    w, o, (int64_t)take(w, s, o->op->iov[0].iov_base, o->op->iov[0].iov_len));
        } else {
                s->recv = o;
        }
}

static void send_now(struct sim_world *w, struct sim_sock *s, struct sim_op *o, size_t room)
{
        size_t total = 0;
        for (uint32_t i = 0; i < o->op->n_iov; i++) total += o->op->iov[i].iov_len;
        size_t want = part_of(w, MIN(total, room), &w->stats.short_sends), at = 0;
        uint8_t *bytes = sim_alloc(want);
        for (uint32_t i = 0; i < o->op->n_iov && at < want; i++) {
                size_t n = MIN(want - at, o->op->iov[i].iov_len);
                memcpy(bytes + at, o->op->iov[i].iov_base, n);
                at += n;
        }
        deliver(w, s->peer, bytes, want, false);
        free(bytes);
        sim_op_finish(w, o, (int64_t)want);
}

static void fire_send(struct sim_world *w, struct sim_op *o)
{
        struct sim_sock *s = sock_get(w, o->op->fd);
        assert(!s->send || s->send == o); /* one send at a time */
        s->send = NULL;
        if (s->reset) {
                sim_op_finish(w, o, -ECONNRESET);
        } else if (s->shut || !s->peer || s->peer->fd < 0) {
                sim_op_finish(w, o, -EPIPE);
        } else if (s->peer->queued >= w->net.window) {
                s->send = o;
        } else {
                send_now(w, s, o, w->net.window - s->peer->queued);
        }
}

void sim_net_fire(struct sim_world *w, struct sim_op *o)
{
        switch (o->op->kind) {
        case IO_ACCEPT:
                fire_accept(w, o);
                break;
        case IO_CONNECT:
                fire_connect(w, o);
                break;
        case IO_RECV:
                fire_recv(w, o);
                break;
        case IO_SEND:
                fire_send(w, o);
                break;
        default:
                abort();
        }
}

void sim_net_start(struct sim_world *w, struct sim_op *o)
{
        if (o->op->kind == IO_CONNECT) assert(o->op->off > 0 && o->op->off <= UINT16_MAX);
        /* A socket call with something to do answers at once, or nearly. */
        sim_op_schedule(w, o, o->op->kind == IO_CONNECT ? w->net_ns : w->net_ns / 8);
}

/* --- at once --- */

int sim_net_listen(struct sim_io *io, uint16_t port, struct err *e)
{
        struct sim_world *w = io->world;
        if (port == 0) port = w->net.next_port++;
        if (listener_on(w, port))
                return err_set(e, -EADDRINUSE, "listen on port %u: address in use", (unsigned)port);
        struct sim_sock *s = sock_new(w, io->mortal);
        s->listening = true;
        s->port = port;
        list_push_back(&w->net.listeners, &s->link);
        return s->fd;
}

uint16_t sim_net_port(struct sim_world *w, int fd)
{
        return sock_get(w, fd)->port;
}

void sim_net_shutdown(struct sim_world *w, int fd)
{
        struct sim_sock *s = sock_get(w, fd);
        if (s->shut) return;
        s->shut = true;
        wake(w, &s->recv);
        wake(w, &s->send);
        while (!list_empty(&s->accepts)) {
                struct list *a = list_pop_front(&s->accepts);
                sim_op_schedule(w, CONTAINER_OF(a, struct sim_op, waiting), w->net_ns / 8);
        }
        if (s->peer) deliver(w, s->peer, NULL, 0, true);
}

static void close_sock(struct sim_world *w, struct sim_sock *s)
{
        int fd = s->fd;
        *sim_fd_get(w, fd) = (struct sim_fd){ .type = SIM_FD_FREE };
        s->fd = -1;
        while (!list_empty(&s->backlog)) {
                struct list *l = list_pop_front(&s->backlog);
                struct sim_sock *far = CONTAINER_OF(l, struct sim_sock, link);
                if (far->peer) sock_reset(w, far->peer);
                close_sock(w, far);
        }
        sock_free(s);
}

void sim_net_close(struct sim_world *w, int fd)
{
        struct sim_sock *s = sock_get(w, fd);
        for (struct list *l = w->ops.next; l != &w->ops; l = l->next) {
                const struct io_op *op = CONTAINER_OF(l, struct sim_op, link)->op;
                bool sock_op = op->kind == IO_RECV || op->kind == IO_SEND || op->kind == IO_ACCEPT;
                assert(!sock_op || op->fd != fd); /* no operation may be pending */
        }
        if (s->peer) {
                /* Unread bytes turn the end of the stream into a reset, as TCP does. */
                if (s->queued > 0)
                        sock_reset(w, s->peer);
                else if (!s->shut)
                        deliver(w, s->peer, NULL, 0, true);
                wake(w, &s->peer->send);
        }
        close_sock(w, s);
}

void sim_sock_reset(struct sim_world *w, int fd)
{
        struct sim_sock *s = sock_get(w, fd);
        w->stats.resets++;
        if (s->peer) sock_reset(w, s->peer);
        sock_reset(w, s);
}

void sim_net_crash(struct sim_world *w)
{
        for (size_t i = 0; i < w->n_fds; i++) {
                if (w->fds[i].type != SIM_FD_SOCK || !w->fds[i].mortal) continue;
                w->fds[i].sock->recv = w->fds[i].sock->send = NULL; /* these are gone already */
                list_init(&w->fds[i].sock->accepts);
        }
        for (size_t i = 0; i < w->n_fds; i++) {
                if (w->fds[i].type != SIM_FD_SOCK || !w->fds[i].mortal) continue;
                struct sim_sock *s = w->fds[i].sock;
                if (s->peer) sock_reset(w, s->peer);
                close_sock(w, s);
        }
}

void sim_net_init(struct sim_world *w)
{
        static const size_t windows[] = { 256, 16 << 10, 64 << 10, 1 << 20 };
        list_init(&w->net.listeners);
        w->net.next_port = PORT_FIRST;
        w->net.window = windows[sim_below(w, COUNT_OF(windows))];
        /* Bytes per second is window over delay: not so few that deadlines of seconds pass. */
        if (w->net_ns > 100000) w->net.window = MAX(w->net.window, (size_t)64 << 10);
}

void sim_net_free(struct sim_world *w)
{
        for (size_t i = 0; i < w->n_fds; i++) {
                if (w->fds[i].type != SIM_FD_SOCK) continue;
                struct sim_sock *s = w->fds[i].sock;
                s->recv = s->send = NULL;
                list_init(&s->accepts);
                close_sock(w, s);
        }
}
