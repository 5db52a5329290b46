/* A pairing heap of intrusive nodes.  A node's `prev` is its elder sibling, or its parent when it
 * is the first child; the root has none. */
#include "base/timer.h"

#include "base/check.h"

void timers_init(struct timers *ts)
{
        ts->root = NULL;
}

/* Two heaps into one; either may be NULL. */
static struct timer *meld(struct timer *a, struct timer *b)
{
        if (!a) return b;
        if (!b) return a;
        if (b->due_ns < a->due_ns) {
                struct timer *t = a;
                a = b;
                b = t;
        }
        b->prev = a;
        b->next = a->child;
        if (b->next) b->next->prev = b;
        a->child = b;
        return a;
}

/* The children of a removed node into one heap: melded in pairs from left to right, then the pairs
 * from right to left.  Without recursion, because a heap may hold a hundred thousand siblings. */
static struct timer *meld_children(struct timer *first)
{
        struct timer *pairs = NULL;
        while (first) {
                struct timer *a = first, *b = a->next;
                first = b ? b->next : NULL;
                a->prev = a->next = NULL;
                if (b) b->prev = b->next = NULL;
                struct timer *pair = meld(a, b);
                pair->next = pairs;
                pairs = pair;
        }
        struct timer *root = NULL;
        while (pairs) {
                struct timer *pair = pairs;
                pairs = pair->next;
                pair->next = NULL;
                root = meld(root, pair);
        }
        return root;
}

static void detach(struct timer *t)
{
        assert(t->prev != NULL);
        if (t->prev->child == t)
                t->prev->child = t->next;
        else
                t->prev->next = t->next;
        if (t->next) t->next->prev = t->prev;
        t->prev = t->next = NULL;
}

void timer_cancel(struct timers *ts, struct timer *t)
{
        if (!t->armed) return;
        if (t == ts->root) {
                ts->root = meld_children(t->child);
        } else {
                detach(t);
                ts->root = meld(ts->root, meld_children(t->child));
        }
        t->child = NULL;
        t->armed = false;
}

void timer_arm(struct timers *ts, struct timer *t, uint64_t due_ns)
{
        assert(t->on_due != NULL);
        timer_cancel(ts, t);
        t->due_ns = due_ns;
        t->child = t->prev = t->next = NULL;
        t->armed = true;
        ts->root = meld(ts->root, t);
}

uint64_t timers_next(const struct timers *ts)
{
        return ts->root ? ts->root->due_ns : UINT64_MAX;
}

unsigned timers_run(struct timers *ts, uint64_t now_ns, unsigned max)
{
        unsigned n = 0;
        while (n < max && ts->root && ts->root->due_ns <= now_ns) {
                struct timer *t = ts->root;
                timer_cancel(ts, t);
                n++;
                t->on_due(t);
        }
        return n;
}
