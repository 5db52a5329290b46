/* Messages to a thread: an intrusive multi-producer, single-consumer queue without locks.
 * A message is a member of something that the sender keeps alive until it ran, so the queue is
 * bounded by the pools that these things come from, and posting cannot fail. Order: messages of one
 * sender arrive in the order they were posted. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct message {
        struct message *next;
        void (*run)(struct message *m); /* on the receiver's thread */
};

struct inbox {
        _Atomic(struct message *) head; /* newest first */
        struct message *ready;          /* the receiver's: oldest first */
};

void inbox_init(struct inbox *b);
/* Any thread.  True: the inbox was empty before, so the receiver may be asleep and wants waking. */
bool inbox_post(struct inbox *b, struct message *m);
/* Receiver only.  Runs at most max messages, returns how many ran. */
unsigned inbox_run(struct inbox *b, unsigned max);
bool inbox_empty(struct inbox *b);
