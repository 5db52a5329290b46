/* Lock-free inbox.  Senders push onto a stack; the receiver takes it whole and reverses it. */
#include "base/inbox.h"

void inbox_init(struct inbox *b)
{
        atomic_init(&b->head, NULL);
        b->ready = NULL;
}

/* Sequentially consistent: a sleeper's protocol (see struct io_waker) orders the push against its
 * "asleep" flag. */
bool inbox_post(struct inbox *b, struct message *m)
{
        struct message *head = atomic_load_explicit(&b->head, memory_order_relaxed);
        do {
                m->next = head;
        } while (!atomic_compare_exchange_weak(&b->head, &head, m));
        return head == NULL;
}

static struct message *reversed(struct message *newest)
{
        struct message *oldest = NULL;
        while (newest) {
                struct message *next = newest->next;
                newest->next = oldest;
                oldest = newest;
                newest = next;
        }
        return oldest;
}

unsigned inbox_run(struct inbox *b, unsigned max)
{
        unsigned n = 0;
        while (n < max) {
                if (!b->ready) {
                        if (!atomic_load_explicit(&b->head, memory_order_relaxed)) break;
                        b->ready = reversed(atomic_exchange(&b->head, NULL));
                }
                struct message *m = b->ready;
                b->ready = m->next;
                n++;
                m->run(m);
        }
        return n;
}

bool inbox_empty(struct inbox *b)
{
        return !b->ready && atomic_load(&b->head) == NULL;
}
