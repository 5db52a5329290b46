/* The io_uring backend.
 *
 * Start: an operation takes a submission slot, or waits in the backlog when the ring is full;
 * blocking name operations go to a worker thread instead.  Turn: one io_uring_enter submits
 * everything and, if there is nothing else to do, waits with a timeout; completions move into
 * io->done.  Without anything to submit, to wait for or to fetch, a turn makes no system call.
 * Failures: a refused enter (EBUSY, EAGAIN, ENOMEM) leaves submissions in place for the next turn;
 * an interrupted operation is started again; a wake-up that the target's ring refuses goes through
 * its eventfd.  The kernel keeps completions that do not fit into the ring (NODROP). On close
 * nothing of the caller's is pending; the ring's own read of the eventfd is dropped with it. */
#include "base/io_uring_own.h"
#include "base/log.h"
#include "base/status.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a completion is about: the operation's address, or one of these in the low bits. */
enum tag { TAG_OP, TAG_WAKER, TAG_WOKEN, TAG_WAKE_FAILED, TAG_MASK = 3 };

static struct uring *uring_of(struct io *io)
{
        struct uring *u = CONTAINER_OF(io, struct uring, io);
        CHECK_OBJ(u, IO_URING_MAGIC);
        return u;
}

/* --- preparing submissions --- */

static void prep_accept(struct io_uring_sqe *sqe, struct io_op *op)
{
        io_uring_prep_accept(sqe, op->fd, NULL, NULL, SOCK_CLOEXEC);
}

static void prep_recv(struct io_uring_sqe *sqe, struct io_op *op)
{
        io_uring_prep_recv(sqe, op->fd, op->one.iov_base, op->one.iov_len, 0);
}

static void prep_send(struct io_uring_sqe *sqe, struct io_op *op)
{
        op->msg = (struct msghdr){ .msg_iov = op->iov, .msg_iovlen = op->n_iov };
        io_uring_prep_sendmsg(sqe, op->fd, &op->msg, MSG_NOSIGNAL | MSG_WAITALL);
}

static void prep_connect(struct io_uring_sqe *sqe, struct io_op *op)
{
        io_uring_prep_connect(sqe, op->fd, (struct sockaddr *)&op->in6, (socklen_t)op->len);
}

/* One request moves at most what a 32-bit length can say; more is a short result. */
static unsigned short_len(size_t n)
{
        const size_t most = 1u << 30;
        return (unsigned)MIN(n, most);
}

static void prep_read(struct io_uring_sqe *sqe, struct io_op *op)
{
        io_uring_prep_read(sqe, op->fd, op->one.iov_base, short_len(op->one.iov_len), op->off);
}

static void prep_write(struct io_uring_sqe *sqe, struct io_op *op)
{
        const struct iovec *v = op->iov;
        if (op->n_iov > 1)
                io_uring_prep_writev(sqe, op->fd, v, op->n_iov, op->off);
        else if (op->reg >= 0)
                io_uring_prep_write_fixed(
                    sqe, op->fd, v->iov_base, short_len(v->iov_len), op->off, op->reg);
        else
                io_uring_prep_write(sqe, op->fd, v->iov_base, short_len(v->iov_len), op->off);
        if (op->flags & IO_DSYNC) sqe->rw_flags = RWF_DSYNC;
}

static void prep_sync(struct io_uring_sqe *sqe, struct io_op *op)
{
        io_uring_prep_fsync(sqe, op->fd, (unsigned)op->flags);
}

/* NULL: runs on a worker. */
static void (*const preps[IO_KIND_COUNT])(struct io_uring_sqe *, struct io_op *) = {
        [IO_ACCEPT] = prep_accept,
        [IO_RECV] = prep_recv,
        [IO_SEND] = prep_send,
        [IO_CONNECT] = prep_connect,
        [IO_READ] = prep_read,
        [IO_WRITE] = prep_write,
        [IO_SYNC] = prep_sync,
};

static void prep_op(struct io_uring_sqe *sqe, struct io_op *op)
{
        assert(((uintptr_t)op & TAG_MASK) == 0);
        preps[op->kind](sqe, op);
        io_uring_sqe_set_data(sqe, op);
}

/* --- starting --- */

static void backlog_push(struct uring *u, struct io_op *op)
{
        op->next = NULL;
        *u->backlog_tail = op;
        u->backlog_tail = &op->next;
}

/* Moves the backlog into the submission ring as far as it goes. */
static void backlog_fill(struct uring *u)
{
        while (u->backlog) {
                struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
                if (!sqe) return;
                struct io_op *op = u->backlog;
                u->backlog = op->next;
                if (!u->backlog) u->backlog_tail = &u->backlog;
                prep_op(sqe, op);
        }
}

static void push(struct uring *u, struct io_op *op)
{
        struct io_uring_sqe *sqe = u->backlog ? NULL : io_uring_get_sqe(&u->ring);
        if (sqe)
                prep_op(sqe, op);
        else
                backlog_push(u, op);
}

static void start_connect(struct uring *u, struct io_op *op)
{
        socklen_t len = 0;
        int fd = io_sys_connect_socket(op, 0, &len);
        if (fd < 0) {
                io_done(&u->io, op, fd);
                return;
        }
        op->fd = fd;
        op->len = len;
        push(u, op);
}

/* fdatasync leaves out what a directory needs: the new names. */
static void start_sync(struct uring *u, struct io_op *op)
{
        struct stat st;
        if (fstat(op->fd, &st) < 0) {
                io_done(&u->io, op, -errno);
                return;
        }
        op->flags = S_ISDIR(st.st_mode) ? 0 : (int)IORING_FSYNC_DATASYNC;
        push(u, op);
}

static void uring_start(struct io *io, struct io_op *op)
{
        struct uring *u = uring_of(io);
        switch (op->kind) {
        case IO_NOP:
                io_done(io, op, 0);
                break;
        case IO_CONNECT:
                start_connect(u, op);
                break;
        case IO_SYNC:
                start_sync(u, op);
                break;
        case IO_ACCEPT:
        case IO_RECV:
        case IO_SEND:
        case IO_READ:
        case IO_WRITE:
                push(u, op);
                break;
        default:
                worker_submit(u->workers, op);
                break;
        }
}

/* --- completions --- */

static void reap_op(struct uring *u, struct io_op *op, int res)
{
        if (res == -EINTR) {
                push(u, op);
                return;
        }
        if (op->kind == IO_CONNECT) {
                if (res < 0)
                        close(op->fd);
                else
                        res = op->fd;
        }
        io_done(&u->io, op, res);
}

static void reap_one(struct uring *u, const struct io_uring_cqe *cqe)
{
        void *p = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)TAG_MASK);
        switch ((enum tag)(cqe->user_data & TAG_MASK)) {
        case TAG_WAKER:
                u->waker_armed = false;
                break;
        case TAG_WAKE_FAILED: {
                struct uring *target = p;
                log_mark("io_uring: wake-up falls back to the eventfd");
                io_waker_signal(&target->waker);
                break;
        }
        case TAG_OP:
                reap_op(u, p, cqe->res);
                break;
        default: /* TAG_WOKEN: that it ended the sleep was all */
                break;
        }
}

static void reap(struct uring *u)
{
        struct io_uring_cqe *cqe;
        unsigned head, n = 0;
        io_uring_for_each_cqe(&u->ring, head, cqe)
        {
                reap_one(u, cqe);
                n++;
        }
        io_uring_cq_advance(&u->ring, n);
}

/* --- the loop --- */

static void first_turn(struct uring *u)
{
        /* liburing 2.3 declares io_uring_enable_rings() but does not export it. */
        int r = io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
        assert(r == 0);
        u->owner = pthread_self();
        u->owned = true;
        /* Saves the kernel a look-up per call; where it is refused everything works without. */
        (void)io_uring_register_ring_fd(&u->ring);
}

static void arm_waker(struct uring *u)
{
        if (u->waker_armed) return;
        struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
        if (!sqe) return;
        io_uring_prep_read(sqe, u->waker.fd, &u->waker_count, sizeof u->waker_count, 0);
        io_uring_sqe_set_data64(sqe, TAG_WAKER);
        u->waker_armed = true;
}

/* Submits full rings until the rest of the backlog fits into one.  False: the kernel takes no more
 * now; try again next turn. */
static bool submit_backlog(struct uring *u)
{
        backlog_fill(u);
        while (u->backlog) {
                counter_add(&u->io.enters, 1);
                int r = io_uring_submit(&u->ring);
                if (r <= 0) return false;
                log_mark("io_uring: submission ring full");
                backlog_fill(u);
        }
        return true;
}

static void enter_and_wait(struct uring *u, uint64_t wait_ns)
{
        const uint64_t longest = UINT64_C(3600) * 1000000000u;
        uint64_t ns = MIN(wait_ns, longest);
        struct __kernel_timespec t = {
                .tv_sec = (long long)(ns / 1000000000u),
                .tv_nsec = (long long)(ns % 1000000000u),
        };
        struct io_uring_cqe *cqe;
        counter_add(&u->io.enters, 1);
        int r = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, &t, NULL);
        assert(r >= 0 || r == -ETIME || r == -EINTR || r == -EBUSY || r == -EAGAIN || r == -ENOMEM);
}

/* Completions may wait in the kernel for this thread to come and get them. */
static bool kernel_has_news(const struct uring *u)
{
        unsigned flags = IO_URING_READ_ONCE(*u->ring.sq.kflags);
        return (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

static void enter(struct uring *u)
{
        if (io_uring_sq_ready(&u->ring) == 0 && !kernel_has_news(u)) return;
        counter_add(&u->io.enters, 1);
        int r = io_uring_submit_and_get_events(&u->ring);
        assert(r >= 0 || r == -EINTR || r == -EBUSY || r == -EAGAIN || r == -ENOMEM);
}

static void uring_turn(struct io *io, uint64_t wait_ns)
{
        struct uring *u = uring_of(io);
        if (!u->owned) first_turn(u);
        assert(pthread_equal(u->owner, pthread_self()));
        reap(u);
        inbox_run(&u->waker.finished, URING_FINISHED_PER_TURN_MAX);
        arm_waker(u);
        bool all = submit_backlog(u);
        bool sleep =
            wait_ns > 0 && all && u->waker_armed && !io->done_head && io_waker_lie_down(&u->waker);
        if (sleep) io_rests(io);
        if (sleep)
                enter_and_wait(u, wait_ns);
        else
                enter(u);
        io_waker_get_up(&u->waker);
        reap(u);
        inbox_run(&u->waker.finished, URING_FINISHED_PER_TURN_MAX);
        u->now_ns = io_sys_now_ns();
}

/* Through the caller's ring the wake-up costs a submission slot, not a system call; it leaves with
 * the caller's next turn, which comes before the caller sleeps. */
static void uring_wake(struct io *io, struct io *from)
{
        struct uring *u = uring_of(io);
        atomic_store(&u->waker.woken, true);
        if (!io_waker_rouse(&u->waker)) return;
        struct io_uring_sqe *sqe = NULL;
        if (from && from != io && from->table == &io_uring_table)
                sqe = io_uring_get_sqe(&uring_of(from)->ring);
        if (!sqe) {
                io_waker_signal(&u->waker);
                return;
        }
        io_uring_prep_msg_ring(sqe, u->ring.ring_fd, 0, TAG_WOKEN, 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)u | TAG_WAKE_FAILED);
}

static uint64_t uring_now_ns(struct io *io)
{
        struct uring *u = uring_of(io);
        if (u->now_ns == 0) u->now_ns = io_sys_now_ns();
        return u->now_ns;
}

/* --- the rest of the table --- */

static int uring_listen(struct io *io, const char *host, uint16_t port, struct err *e)
{
        (void)io;
        return io_sys_listen(host, port, 0, e);
}

static void uring_sock_close(struct io *io, int fd)
{
        (void)io;
        close(fd);
}

static void slabs_refused(struct uring *u, int r)
{
        u->slab_table = -1;
        log_event(LOG_WARN, "direct writes go on without registered buffers",
            LOG_STR("cause", strerror(-r)),
            LOG_STR("hint", r == -ENOMEM ? "RLIMIT_MEMLOCK is too low" : "none"), LOG_END);
}

static bool slab_table_open(struct uring *u)
{
        if (u->slab_table != 0) return u->slab_table > 0;
        int r = io_uring_register_buffers_sparse(&u->ring, URING_SLABS_MAX);
        if (r < 0) {
                slabs_refused(u, r);
                return false;
        }
        u->slab_table = 1;
        u->n_slabs_free = URING_SLABS_MAX;
        for (unsigned i = 0; i < URING_SLABS_MAX; i++)
                u->slabs_free[i] = (uint16_t)(URING_SLABS_MAX - 1 - i);
        return true;
}

static int uring_register_slab(struct io *io, void *base, size_t len)
{
        struct uring *u = uring_of(io);
        if (!slab_table_open(u) || u->n_slabs_free == 0) return -1;
        const unsigned slot = u->slabs_free[u->n_slabs_free - 1];
        const struct iovec v = { .iov_base = base, .iov_len = len };
        const __u64 tag = 0;
        int r = io_uring_register_buffers_update_tag(&u->ring, slot, &v, &tag, 1);
        if (r < 0) {
                slabs_refused(u, r);
                return -1;
        }
        u->n_slabs_free--;
        return (int)slot;
}

static void uring_unregister_slab(struct io *io, int reg)
{
        struct uring *u = uring_of(io);
        assert(reg >= 0 && reg < URING_SLABS_MAX && u->n_slabs_free < URING_SLABS_MAX);
        const struct iovec none = { 0 };
        const __u64 tag = 0;
        /* Refused once the owner's thread is gone; the ring's end releases the pages then. */
        if (io_uring_register_buffers_update_tag(&u->ring, (unsigned)reg, &none, &tag, 1) >= 0)
                u->slabs_free[u->n_slabs_free++] = (uint16_t)reg;
}

static void uring_free(struct io *io)
{
        struct uring *u = uring_of(io);
        assert(u->backlog == NULL);
        worker_pool_free(u->workers);
        io_uring_queue_exit(&u->ring);
        io_waker_close(&u->waker);
        u->magic = 0;
        free(u);
}

const struct io_table io_uring_table = {
        .name = "io_uring",
        .start = uring_start,
        .listen = uring_listen,
        .shutdown = io_sys_shutdown,
        .sock_close = uring_sock_close,
        .turn = uring_turn,
        .wake = uring_wake,
        .now_ns = uring_now_ns,
        .wall_ms = io_sys_wall_ms,
        .random = io_sys_random,
        .register_slab = uring_register_slab,
        .unregister_slab = uring_unregister_slab,
        .free = uring_free,
};

static int surroundings_open(struct uring *u, const struct io_options *o, struct err *e)
{
        int r = io_waker_init(&u->waker);
        if (r < 0) return err_set(e, ST_IO, "io_uring: eventfd: %s", strerror(-r));
        u->workers = worker_pool_new(o && o->workers ? o->workers : URING_WORKERS, &u->waker);
        return u->workers ? 0 : err_set(e, ST_NOMEM, "io_uring: out of memory");
}

int io_uring_new(const struct io_options *o, struct io **ret_io, struct err *e)
{
        struct uring *u = calloc(1, sizeof *u);
        if (!u) return err_set(e, ST_NOMEM, "io_uring: out of memory");
        io_init(&u->io, &io_uring_table);
        u->magic = IO_URING_MAGIC;
        u->waker.fd = -1;
        u->backlog_tail = &u->backlog;
        int r = uring_setup(u, o, e);
        if (r < 0) {
                free(u);
                return r;
        }
        r = surroundings_open(u, o, e);
        if (r < 0) {
                uring_free(&u->io);
                return r;
        }
        *ret_io = &u->io;
        return 0;
}
