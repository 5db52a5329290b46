/* The loop: dispatch rules, sleeping, waking, clock. */
#include "tests/unit/base/io_fixture.h"

#include <pthread.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

IO_TEST(completions_run_from_dispatch_only)
{
        unsigned n = 0;
        struct counted c[3];
        for (unsigned i = 0; i < 3; i++) io_nop(io, counted(&c[i], &n));
        cr_assert_eq(n, 0);
        io_turn(io, UINT64_MAX); /* does not sleep: something finished */
        cr_assert_eq(n, 0);
        cr_assert_eq(io_dispatch(io, 2), 2);
        cr_assert_eq(n, 2);
        cr_assert_eq(io_dispatch(io, 2), 1);
        cr_assert_eq(io_dispatch(io, 2), 0);
        cr_assert_eq(io->started, 3);
        cr_assert_eq(io->finished, 3);
}

struct again {
        struct io_op op;
        struct io *io;
        unsigned left;
};

static void again_on_done(struct io_op *op)
{
        struct again *a = CONTAINER_OF(op, struct again, op);
        if (a->left-- > 0) io_nop(a->io, &a->op);
}

IO_TEST(on_done_may_start_the_same_operation_again)
{
        struct again a = { .io = io, .left = 100 };
        a.op.on_done = again_on_done;
        io_nop(io, &a.op);
        unsigned ran = 0;
        while (ran < 101) {
                io_turn(io, UINT64_MAX);
                ran += io_dispatch(io, 7);
        }
        cr_assert_eq(ran, 101);
        io_turn(io, 0);
        cr_assert_eq(io_dispatch(io, 7), 0);
}

IO_TEST(a_turn_sleeps_as_long_as_told)
{
        const uint64_t wait = 3000000;
        io_turn(io, 0);
        uint64_t before = clock_ns();
        io_turn(io, wait);
        uint64_t took = clock_ns() - before;
        cr_assert_geq(took, wait);
        cr_assert_geq(io_now_ns(io), before + wait);
        cr_assert_leq(io_now_ns(io), clock_ns());
        uint64_t now = io_now_ns(io);
        cr_assert_eq(now, io_now_ns(io), "the clock is read once a turn");
}

IO_TEST(an_idle_turn_makes_no_system_call)
{
        io_turn(io, 0);
        io_turn(io, 0);
        uint64_t before = counter_get(&io->enters);
        for (unsigned i = 0; i < 100; i++) io_turn(io, 0);
        cr_assert_eq(counter_get(&io->enters), before);
}

IO_TEST(one_enter_submits_and_waits)
{
        if (strcmp(io->table->name, "io_uring") != 0) cr_skip_test("the ring's rule");
        struct pair p = pair_open(io);
        uint64_t before = counter_get(&io->enters);
        enum { ROUNDS = 100 };
        for (unsigned i = 0; i < ROUNDS; i++) {
                unsigned n = 0;
                struct counted s, r;
                char got[8];
                struct iovec v = { .iov_base = "ping", .iov_len = 4 };
                io_send(io, counted(&s, &n), p.client, &v, 1);
                io_recv(io, counted(&r, &n), p.server, mut(got, 8));
                run_until(io, &n, 2);
                cr_assert(s.op.res == 4 && r.op.res == 4);
        }
        cr_assert_leq(counter_get(&io->enters) - before, 2 * ROUNDS);
        pair_close(io, &p);
}

IO_TEST(a_wake_before_the_sleep_ends_it)
{
        io_turn(io, 0);
        io_wake(io, NULL);
        io_turn(io, UINT64_MAX);
        io_wake(io, NULL);
        io_wake(io, NULL);
        io_turn(io, UINT64_MAX);
        uint64_t before = clock_ns();
        io_turn(io, 2000000);
        cr_assert_geq(clock_ns() - before, 2000000u, "an old wake-up must not linger for ever");
}

IO_TEST(random_bytes_and_wall_clock)
{
        uint8_t a[64] = { 0 }, b[64] = { 0 };
        io_random(io, a, sizeof a);
        io_random(io, b, sizeof b);
        cr_assert_neq(memcmp(a, b, sizeof a), 0);
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        int64_t ms = io_wall_ms(io);
        cr_assert_geq(ms, (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000);
        cr_assert_leq(ms, (int64_t)t.tv_sec * 1000 + 60000);
}

/* --- threads --- */

/* The server's pattern: post a message, then wake.  The receiver sleeps whenever its inbox is
 * empty; one lost wake-up would hang it for ever. */
struct sleeper {
        struct io *io;
        struct inbox inbox;
        unsigned got;
};

struct note {
        struct message m;
        struct sleeper *to;
        _Atomic bool seen;
};

static void note_run(struct message *m)
{
        struct note *n = CONTAINER_OF(m, struct note, m);
        n->to->got++;
        atomic_store_explicit(&n->seen, true, memory_order_release);
}

static void note_send(struct note *n, struct sleeper *to, struct io *from)
{
        n->to = to;
        n->m.run = note_run;
        inbox_post(&to->inbox, &n->m);
        io_wake(to->io, from);
}

enum { HAMMER = 100000, SENDERS = 2 };

static void *hammer_main(void *arg)
{
        struct sleeper *to = arg;
        struct note n;
        for (unsigned i = 0; i < HAMMER / SENDERS; i++) {
                atomic_init(&n.seen, false);
                note_send(&n, to, NULL);
                /* One at a time, so that the receiver falls asleep between them. */
                while (!atomic_load_explicit(&n.seen, memory_order_acquire)) sched_yield();
        }
        return NULL;
}

IO_TEST(no_wake_up_from_other_threads_is_lost)
{
        struct sleeper s = { .io = io };
        inbox_init(&s.inbox);
        pthread_t t[SENDERS];
        for (unsigned i = 0; i < SENDERS; i++)
                cr_assert_eq(pthread_create(&t[i], NULL, hammer_main, &s), 0);
        while (s.got < HAMMER)
                if (inbox_run(&s.inbox, 16) == 0) io_turn(io, UINT64_MAX);
        for (unsigned i = 0; i < SENDERS; i++) pthread_join(t[i], NULL);
}

/* Two shards throw a ball: each wakes the other through its own ring and then sleeps. */
struct player {
        struct sleeper self;
        struct player *other;
        struct note ball;
        unsigned throws;
};

enum { THROWS = 50000 };

static void *player_main(void *arg)
{
        struct player *p = arg;
        unsigned answered = 0;
        while (p->self.got < THROWS) {
                if (inbox_run(&p->self.inbox, 16) == 0) io_turn(p->self.io, UINT64_MAX);
                for (; answered < p->self.got && p->throws < THROWS; answered++) {
                        p->throws++;
                        note_send(&p->ball, &p->other->self, p->self.io);
                }
        }
        io_turn(p->self.io, 0); /* the last wake-up must leave */
        return NULL;
}

static void play(struct io *a, struct io *b)
{
        struct player p[2] = { { .self.io = a }, { .self.io = b } };
        p[0].other = &p[1];
        p[1].other = &p[0];
        inbox_init(&p[0].self.inbox);
        inbox_init(&p[1].self.inbox);
        p[1].throws = 1;
        note_send(&p[1].ball, &p[0].self, NULL);
        pthread_t t[2];
        for (unsigned i = 0; i < 2; i++)
                cr_assert_eq(pthread_create(&t[i], NULL, player_main, &p[i]), 0);
        for (unsigned i = 0; i < 2; i++) pthread_join(t[i], NULL);
        cr_assert_eq(p[0].self.got, THROWS);
        cr_assert_eq(p[1].self.got, THROWS);
        io_free(a);
        io_free(b);
}

Test(uring, shards_wake_each_other)
{
        play(new_io(true, NULL), new_io(true, NULL));
}
Test(posix, shards_wake_each_other)
{
        play(new_io(false, NULL), new_io(false, NULL));
}
Test(uring, wakes_and_is_woken_by_another_kind)
{
        play(new_io(true, NULL), new_io(false, NULL));
}
