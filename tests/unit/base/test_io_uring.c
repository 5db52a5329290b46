/* What only the ring can get wrong: a full ring, refused rings, refused registrations. */
#include "tests/unit/base/io_fixture.h"

#include "base/block.h"
#include "base/io_uring_own.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* faults.md 26: a ring of 4 slots and 32 completions, thousands of operations. */
Test(uring, a_tiny_ring_loses_nothing)
{
        const struct io_options o = { .entries = 4 };
        struct io *io = new_io(true, &o);
        struct pair p = pair_open(io);
        enum { N = 5000 };
        static struct counted r[N], s[N];
        static char got[N];
        unsigned n_recv = 0, n_sent = 0;
        for (unsigned i = 0; i < N; i++)
                io_recv(io, counted(&r[i], &n_recv), p.server, mut(&got[i], 1));
        io_turn(io, 0);
        io_dispatch(io, N);
        cr_assert_eq(n_recv, 0);
        struct iovec v = { .iov_base = "x", .iov_len = 1 };
        for (unsigned i = 0; i < N; i++) io_send(io, counted(&s[i], &n_sent), p.client, &v, 1);
        run_until(io, &n_sent, N);
        run_until(io, &n_recv, N);
        for (unsigned i = 0; i < N; i++) {
                cr_assert(r[i].runs == 1 && s[i].runs == 1);
                cr_assert(r[i].op.res == 1 && got[i] == 'x', "%u: %ld", i, (long)r[i].op.res);
        }
        cr_assert_gt(log_mark_hits("io_uring: submission ring full"), 0u);
        pair_close(io, &p);
        io_free(io);
}

/* As in the server: made by one thread, used by another, freed by the first. */
static void *other_thread(void *arg)
{
        struct io *io = arg;
        struct pair p = pair_open(io);
        pair_close(io, &p);
        io_unregister_slab(io, 0);
        return NULL;
}

Test(uring, the_first_turn_makes_the_owner)
{
        struct io *a = new_io(true, NULL), *b = new_io(true, NULL);
        struct pair p = pair_open(a); /* this thread has a ring of its own */
        /* Before its first turn a ring belongs to nobody, and anybody may register with it. */
        const size_t size = BLOCK_SLAB_SIZE;
        void *slab = aligned_alloc(size, size);
        cr_assert_eq(io_register_slab(b, slab, size), 0);
        cr_assert_eq(io_register_slab(b, slab, size), 1);
        pthread_t t;
        cr_assert_eq(pthread_create(&t, NULL, other_thread, b), 0);
        pthread_join(t, NULL);
        io_unregister_slab(b, 1); /* refused by the kernel, and harmless */
        io_free(b);
        free(slab);
        char c;
        struct io_op op;
        io_shutdown(a, p.client);
        io_recv(a, &op, p.server, mut(&c, 1));
        cr_assert_eq(io_await(a, &op), 0);
        pair_close(a, &p);
        io_free(a);
}

/* A ring that takes no messages (here: it is not enabled yet) is reached through its eventfd. */
Test(uring, a_refused_wake_up_takes_the_other_way)
{
        struct io *from = new_io(true, NULL), *to = new_io(true, NULL);
        io_turn(from, 0);
        struct uring *u = CONTAINER_OF(to, struct uring, io);
        atomic_store(&u->waker.asleep, true);
        io_wake(to, from);
        struct pollfd p = { .fd = u->waker.fd, .events = POLLIN };
        for (unsigned i = 0; i < 1000 && poll(&p, 1, 0) == 0; i++) io_turn(from, 1000000);
        cr_assert_eq(log_mark_hits("io_uring: wake-up falls back to the eventfd"), 1u);
        cr_assert_eq(poll(&p, 1, 0), 1);
        io_turn(to, UINT64_MAX);
        io_free(from);
        io_free(to);
}

/* Answers io_uring_setup with an errno, as container profiles do. */
static void refuse_setup(unsigned cause)
{
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | cause),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog filter = { .len = COUNT_OF(code), .filter = code };
        cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

static bool sysctl_allows(void)
{
        char c = '0';
        int fd = open("/proc/sys/kernel/io_uring_disabled", O_RDONLY);
        if (fd < 0) return true;
        bool got = read(fd, &c, 1) == 1;
        close(fd);
        return got && c == '0';
}

/* faults.md 27 */
static void expect_refusal(unsigned cause, const char *words)
{
        if (!sysctl_allows()) cr_skip_test("the sysctl refuses first");
        refuse_setup(cause);
        struct io *io = NULL;
        struct err e = { 0 };
        cr_assert_lt(io_uring_new(NULL, &io, &e), 0);
        cr_assert_null(io);
        cr_assert_not_null(strstr(e.text, words), "%s", e.text);
        /* What the server does then. */
        cr_assert_eq(io_posix_new(NULL, &io, &e), 0);
        struct pair p = pair_open(io);
        pair_close(io, &p);
        io_free(io);
}

Test(uring, a_container_profile_is_named)
{
        expect_refusal(EPERM, "seccomp");
}
Test(uring, a_missing_io_uring_is_named)
{
        expect_refusal(ENOSYS, "kernel");
}
Test(uring, an_old_kernel_is_named)
{
        expect_refusal(EINVAL, "6.1");
}
Test(uring, no_memory_is_named)
{
        expect_refusal(ENOMEM, "RLIMIT_MEMLOCK");
}
Test(uring, other_causes_keep_their_text)
{
        expect_refusal(EMFILE, "Too many open files");
}

/* faults.md 28: a user who may not pin memory writes from ordinary buffers, and is told once. */
Test(uring, without_locked_memory_nothing_is_registered)
{
        int log[2];
        cr_assert_eq(pipe2(log, O_NONBLOCK | O_CLOEXEC), 0);
        log_setup(LOG_INFO, LOG_KV, log[1]);
        const struct rlimit little = { 1 << 20, 1 << 20 }; /* a ring fits, a slab does not */
        cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &little), 0);
        if (geteuid() == 0) cr_assert_eq(setresuid(65534, 65534, 65534), 0);
        struct io *io = new_io(true, NULL);
        struct block_pool *pool = block_pool_new(io, 32 << 20);
        struct block *keep = block_get(pool, 1 << 20);
        for (unsigned i = 0; i < 20; i++) {
                struct block *b = block_get(pool, 1 << 20);
                cr_assert_eq(b->reg, -1);
                block_unref(b);
        }
        block_unref(keep);
        block_pool_free(pool);
        io_free(io);
        char text[1024] = { 0 };
        ssize_t n = read(log[0], text, sizeof text - 1);
        cr_assert_gt(n, 0);
        cr_assert_not_null(strstr(text, "RLIMIT_MEMLOCK"), "%s", text);
        cr_assert_eq(strchr(text, '\n'), text + n - 1, "one line, not: %s", text);
}
