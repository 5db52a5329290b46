/* The backend for where io_uring is refused: epoll for sockets, worker threads for disks.
 *
 * A socket operation is tried at once; if it would block it waits in its socket's queue, and the
 * socket is armed (one shot) in epoll.  An event tries the queue's operations in order and arms
 * again while any is left.  Disk operations run in worker threads.  Everything finished goes
 * through io_dispatch(). A failed call is its operation's result; a failed epoll_ctl fails all that
 * waits on that socket. On close nothing is pending: threads are joined, descriptors closed. */
#include "base/io_backend.h"
#include "base/status.h"
#include "base/worker.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
        IO_POSIX_MAGIC = 0x76787069,
        EVENTS_PER_TURN_MAX = 256,
        FINISHED_PER_TURN_MAX = 1024,
        WORKERS_DEFAULT = 4,
        SOCKETS_FIRST = 64,
};

struct queue {
        struct io_op *head, *last;
};

/* A socket by its descriptor. */
struct sock {
        struct queue in, out; /* operations that would have blocked, oldest first */
        bool known;           /* probably in the epoll set; the kernel has the last word */
        bool armed;
};

struct posix {
        struct io io;
        uint32_t magic;
        int epoll;
        struct io_waker waker;
        struct worker_pool *workers;
        struct sock *socks; /* by descriptor */
        size_t n_socks;
        size_t n_armed;
        uint64_t now_ns;
        bool no_pwait2;
};

static struct posix *posix_of(struct io *io)
{
        struct posix *p = CONTAINER_OF(io, struct posix, io);
        CHECK_OBJ(p, IO_POSIX_MAGIC);
        return p;
}

/* --- a socket operation, tried --- */

static int64_t try_accept(struct io_op *op)
{
        int fd = accept4(op->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

static int64_t try_recv(struct io_op *op)
{
        ssize_t n = recv(op->fd, op->one.iov_base, op->one.iov_len, MSG_DONTWAIT);
        return n < 0 ? -errno : n;
}

static int64_t try_send(struct io_op *op)
{
        const struct msghdr m = { .msg_iov = op->iov, .msg_iovlen = op->n_iov };
        ssize_t n = sendmsg(op->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
        return n < 0 ? -errno : n;
}

/* Only after the socket became writable, which is how a connect ends. */
static int64_t try_connect(struct io_op *op)
{
        int cause = 0;
        socklen_t len = sizeof cause;
        if (getsockopt(op->fd, SOL_SOCKET, SO_ERROR, &cause, &len) < 0) cause = errno;
        return cause ? -cause : op->fd;
}

static int64_t try_op(struct io_op *op)
{
        enum { INTERRUPTS_MAX = 100 };
        int64_t r = -EINTR;
        for (unsigned i = 0; i < INTERRUPTS_MAX && r == -EINTR; i++) {
                switch (op->kind) {
                case IO_ACCEPT:
                        r = try_accept(op);
                        break;
                case IO_RECV:
                        r = try_recv(op);
                        break;
                case IO_SEND:
                        r = try_send(op);
                        break;
                default:
                        assert(op->kind == IO_CONNECT);
                        r = try_connect(op);
                        break;
                }
        }
        return r;
}

/* --- waiting --- */

static bool is_input(const struct io_op *op)
{
        return op->kind == IO_ACCEPT || op->kind == IO_RECV;
}

static struct io_op *queue_pop(struct queue *q)
{
        struct io_op *op = q->head;
        q->head = op->next;
        if (!q->head) q->last = NULL;
        return op;
}

static void queue_push(struct queue *q, struct io_op *op)
{
        op->next = NULL;
        if (q->last)
                q->last->next = op;
        else
                q->head = op;
        q->last = op;
}

/* NULL: out of memory. */
static struct sock *sock_of(struct posix *p, int fd)
{
        assert(fd >= 0);
        size_t at = (size_t)fd;
        if (at >= p->n_socks) {
                size_t n = MAX(at + 1, MAX(p->n_socks * 2, (size_t)SOCKETS_FIRST));
                struct sock *socks = realloc(p->socks, n * sizeof *socks);
                if (!socks) return NULL;
                memset(socks + p->n_socks, 0, (n - p->n_socks) * sizeof *socks);
                p->socks = socks;
                p->n_socks = n;
        }
        return &p->socks[at];
}

static void sock_finish(struct posix *p, struct io_op *op, int64_t res)
{
        if (op->kind == IO_CONNECT && res < 0) close(op->fd);
        io_done(&p->io, op, res);
}

static void sock_fail_all(struct posix *p, struct sock *s, int64_t res)
{
        while (s->in.head) sock_finish(p, queue_pop(&s->in), res);
        while (s->out.head) sock_finish(p, queue_pop(&s->out), res);
}

/* A descriptor that was closed elsewhere and came back as another socket is not in the set any
 * more, whatever `known` says; then the kernel answers ENOENT. */
static int sock_ctl(struct posix *p, struct sock *s, int fd, struct epoll_event *ev)
{
        int r = epoll_ctl(p->epoll, s->known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, ev);
        if (r < 0 && errno == ENOENT) r = epoll_ctl(p->epoll, EPOLL_CTL_ADD, fd, ev);
        if (r < 0 && errno == EEXIST) r = epoll_ctl(p->epoll, EPOLL_CTL_MOD, fd, ev);
        return r < 0 ? -errno : 0;
}

static void sock_arm(struct posix *p, int fd)
{
        struct sock *s = &p->socks[fd];
        if (s->armed) {
                s->armed = false;
                p->n_armed--;
        }
        if (!s->in.head && !s->out.head) return;
        struct epoll_event ev = { .events = EPOLLONESHOT, .data = { .fd = fd } };
        if (s->in.head) ev.events |= EPOLLIN | EPOLLRDHUP;
        if (s->out.head) ev.events |= EPOLLOUT;
        int r = sock_ctl(p, s, fd, &ev);
        if (r < 0) {
                s->known = false;
                sock_fail_all(p, s, r);
                return;
        }
        s->known = s->armed = true;
        p->n_armed++;
}

static void sock_wait(struct posix *p, struct io_op *op)
{
        struct sock *s = sock_of(p, op->fd);
        if (!s) {
                sock_finish(p, op, -ENOMEM);
                return;
        }
        struct queue *q = is_input(op) ? &s->in : &s->out;
        bool first = q->head == NULL;
        queue_push(q, op);
        if (first) sock_arm(p, op->fd);
}

static void queue_try(struct posix *p, struct queue *q)
{
        while (q->head) {
                int64_t r = try_op(q->head);
                if (r == -EAGAIN) break;
                sock_finish(p, queue_pop(q), r);
        }
}

static void sock_ready(struct posix *p, int fd, uint32_t events)
{
        assert(fd >= 0 && (size_t)fd < p->n_socks);
        struct sock *s = &p->socks[fd];
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) queue_try(p, &s->in);
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) queue_try(p, &s->out);
        sock_arm(p, fd);
}

/* --- starting --- */

static void start_sock(struct posix *p, struct io_op *op)
{
        if (op->fd < 0) {
                io_done(&p->io, op, -EBADF);
                return;
        }
        const struct sock *s = (size_t)op->fd < p->n_socks ? &p->socks[op->fd] : NULL;
        bool behind = s && (is_input(op) ? s->in.head : s->out.head);
        int64_t r = behind ? -EAGAIN : try_op(op);
        if (r == -EAGAIN)
                sock_wait(p, op);
        else
                sock_finish(p, op, r);
}

static void start_connect(struct posix *p, struct io_op *op)
{
        socklen_t len = 0;
        int fd = io_sys_connect_socket(op, SOCK_NONBLOCK, &len);
        if (fd < 0) {
                io_done(&p->io, op, fd);
                return;
        }
        op->fd = fd;
        if (connect(fd, (const struct sockaddr *)&op->in6, len) == 0)
                sock_finish(p, op, fd);
        else if (errno == EINPROGRESS || errno == EINTR)
                sock_wait(p, op);
        else
                sock_finish(p, op, -errno);
}

static void posix_start(struct io *io, struct io_op *op)
{
        struct posix *p = posix_of(io);
        switch (op->kind) {
        case IO_NOP:
                io_done(io, op, 0);
                break;
        case IO_CONNECT:
                start_connect(p, op);
                break;
        case IO_ACCEPT:
        case IO_RECV:
        case IO_SEND:
                start_sock(p, op);
                break;
        default:
                worker_submit(p->workers, op);
                break;
        }
}

/* --- the loop --- */

static int wait_ms(uint64_t wait_ns)
{
        const uint64_t longest = 3600 * 1000;
        uint64_t ms = wait_ns / 1000000 + (wait_ns % 1000000 != 0);
        return (int)MIN(ms, longest);
}

static int posix_wait(struct posix *p, struct epoll_event *events, uint64_t wait_ns)
{
        counter_add(&p->io.enters, 1);
        if (!p->no_pwait2 && wait_ns > 0 && wait_ns != UINT64_MAX) {
                const struct timespec t = {
                        .tv_sec = (time_t)(wait_ns / 1000000000u),
                        .tv_nsec = (long)(wait_ns % 1000000000u),
                };
                int n = epoll_pwait2(p->epoll, events, EVENTS_PER_TURN_MAX, &t, NULL);
                if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return n;
                p->no_pwait2 = true; /* an old container profile */
        }
        int ms = wait_ns == UINT64_MAX ? -1 : wait_ms(wait_ns);
        return epoll_wait(p->epoll, events, EVENTS_PER_TURN_MAX, ms);
}

static void waker_drain(struct posix *p)
{
        uint64_t count;
        ssize_t n = read(p->waker.fd, &count, sizeof count);
        assert(n == sizeof count || errno == EINTR);
}

static void posix_turn(struct io *io, uint64_t wait_ns)
{
        struct posix *p = posix_of(io);
        inbox_run(&p->waker.finished, FINISHED_PER_TURN_MAX);
        bool sleep = wait_ns > 0 && !io->done_head && io_waker_lie_down(&p->waker);
        if (sleep) io_rests(io);
        if (sleep || p->n_armed > 0) {
                struct epoll_event events[EVENTS_PER_TURN_MAX];
                int n = posix_wait(p, events, sleep ? wait_ns : 0);
                assert(n >= 0 || errno == EINTR);
                for (int i = 0; i < n; i++) {
                        if (events[i].data.fd < 0)
                                waker_drain(p);
                        else
                                sock_ready(p, events[i].data.fd, events[i].events);
                }
        }
        io_waker_get_up(&p->waker);
        inbox_run(&p->waker.finished, FINISHED_PER_TURN_MAX);
        p->now_ns = io_sys_now_ns();
}

static void posix_wake(struct io *io, struct io *from)
{
        (void)from;
        struct posix *p = posix_of(io);
        atomic_store(&p->waker.woken, true);
        if (io_waker_rouse(&p->waker)) io_waker_signal(&p->waker);
}

static uint64_t posix_now_ns(struct io *io)
{
        struct posix *p = posix_of(io);
        if (p->now_ns == 0) p->now_ns = io_sys_now_ns();
        return p->now_ns;
}

/* --- the rest of the table --- */

static int posix_listen(struct io *io, const char *host, uint16_t port, struct err *e)
{
        (void)io;
        return io_sys_listen(host, port, SOCK_NONBLOCK, e);
}

static void posix_sock_close(struct io *io, int fd)
{
        struct posix *p = posix_of(io);
        if (fd >= 0 && (size_t)fd < p->n_socks) {
                struct sock *s = &p->socks[fd];
                assert(!s->in.head && !s->out.head);
                s->known = false;
        }
        close(fd);
}

static int posix_register_slab(struct io *io, void *base, size_t len)
{
        (void)io, (void)base, (void)len;
        return -1;
}

static void posix_unregister_slab(struct io *io, int reg)
{
        (void)io, (void)reg;
}

static void posix_free(struct io *io)
{
        struct posix *p = posix_of(io);
        worker_pool_free(p->workers);
        io_waker_close(&p->waker);
        if (p->epoll >= 0) close(p->epoll);
        free(p->socks);
        p->magic = 0;
        free(p);
}

static const struct io_table posix_table = {
        .name = "posix",
        .start = posix_start,
        .listen = posix_listen,
        .shutdown = io_sys_shutdown,
        .sock_close = posix_sock_close,
        .turn = posix_turn,
        .wake = posix_wake,
        .now_ns = posix_now_ns,
        .wall_ms = io_sys_wall_ms,
        .random = io_sys_random,
        .register_slab = posix_register_slab,
        .unregister_slab = posix_unregister_slab,
        .free = posix_free,
};

static int posix_open(struct posix *p, const struct io_options *o)
{
        int r = io_waker_init(&p->waker);
        if (r < 0) return r;
        p->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (p->epoll < 0) return -errno;
        struct epoll_event ev = { .events = EPOLLIN, .data = { .fd = -1 } };
        if (epoll_ctl(p->epoll, EPOLL_CTL_ADD, p->waker.fd, &ev) < 0) return -errno;
        p->workers = worker_pool_new(o && o->workers ? o->workers : WORKERS_DEFAULT, &p->waker);
        return p->workers ? 0 : -ENOMEM;
}

int io_posix_new(const struct io_options *o, struct io **ret_io, struct err *e)
{
        struct posix *p = calloc(1, sizeof *p);
        if (!p) return err_set(e, ST_NOMEM, "epoll: out of memory");
        io_init(&p->io, &posix_table);
        p->magic = IO_POSIX_MAGIC;
        p->epoll = p->waker.fd = -1;
        int r = posix_open(p, o);
        if (r < 0) {
                posix_free(&p->io);
                return err_set(e, ST_IO, "epoll: %s", strerror(-r));
        }
        *ret_io = &p->io;
        return 0;
}
