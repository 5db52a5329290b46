/* The inbox: order per sender, nothing lost, nothing twice. */
#include "base/check.h"
#include "base/inbox.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

struct note {
        struct message m;
        unsigned sender, number;
};

enum { SENDERS = 4, NOTES = 50000 };
static struct note notes[SENDERS][NOTES];
static unsigned next_of[SENDERS], total;
static struct inbox box;

static void note_run(struct message *m)
{
        struct note *n = CONTAINER_OF(m, struct note, m);
        cr_assert_eq(n->number, next_of[n->sender]);
        next_of[n->sender]++;
        total++;
}

static void *sender_main(void *arg)
{
        unsigned s = (unsigned)(uintptr_t)arg;
        for (unsigned i = 0; i < NOTES; i++) {
                struct note *n = &notes[s][i];
                n->m.run = note_run;
                n->sender = s;
                n->number = i;
                inbox_post(&box, &n->m);
        }
        return NULL;
}

Test(inbox, senders_keep_their_order)
{
        inbox_init(&box);
        pthread_t t[SENDERS];
        for (unsigned i = 0; i < SENDERS; i++)
                cr_assert_eq(pthread_create(&t[i], NULL, sender_main, (void *)(uintptr_t)i), 0);
        while (total < SENDERS * NOTES)
                if (inbox_run(&box, 100) == 0) sched_yield();
        for (unsigned i = 0; i < SENDERS; i++) pthread_join(t[i], NULL);
        cr_assert(inbox_empty(&box));
}

Test(inbox, runs_at_most_what_it_may_and_tells_who_was_first)
{
        inbox_init(&box);
        cr_assert(inbox_empty(&box));
        for (unsigned i = 0; i < 10; i++) {
                notes[0][i] = (struct note){ .m.run = note_run, .number = i };
                cr_assert_eq(inbox_post(&box, &notes[0][i].m), i == 0);
        }
        cr_assert_eq(inbox_run(&box, 4), 4);
        cr_assert_not(inbox_empty(&box));
        notes[0][10] = (struct note){ .m.run = note_run, .number = 10 };
        cr_assert(inbox_post(&box, &notes[0][10].m));
        cr_assert_eq(inbox_run(&box, 100), 7);
        cr_assert(inbox_empty(&box));
        cr_assert_eq(inbox_run(&box, 100), 0);
}

static unsigned bounces;
static void bounce_run(struct message *m)
{
        bounces++;
        inbox_post(&box, m);
}

Test(inbox, a_message_that_posts_itself_again_does_not_hold_the_receiver)
{
        inbox_init(&box);
        struct message m = { .run = bounce_run };
        inbox_post(&box, &m);
        cr_assert_eq(inbox_run(&box, 50), 50);
        cr_assert_eq(bounces, 50);
}
