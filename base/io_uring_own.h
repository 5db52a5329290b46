/* The io_uring backend's own: shared by io_uring.c (the loop) and io_uring_new.c (set-up, probing
 * and the causes of refusal). */
#pragma once

#include "base/io_backend.h"
#include "base/worker.h"

#include <liburing.h>
#include <pthread.h>

enum {
        IO_URING_MAGIC = 0x76757269,
        URING_ENTRIES = 512,
        URING_CQ_FACTOR = 8, /* what does not fit, the kernel keeps and delivers later */
        URING_ENTRIES_MAX = 4096,
        URING_WORKERS = 2,
        URING_SLABS_MAX = 4096,
        URING_FINISHED_PER_TURN_MAX = 1024,
};

/* The owner's thread alone, except the waker and what io_wake() says. */
struct uring {
        struct io io;
        uint32_t magic;
        bool owned;      /* false: no turn yet, the ring is disabled */
        pthread_t owner; /* the thread of the first turn             */
        struct io_uring ring;
        struct io_waker waker;
        bool waker_armed;     /* a read of the eventfd is under way */
        uint64_t waker_count; /* where it reads to                  */
        struct worker_pool *workers;
        struct io_op *backlog, **backlog_tail; /* started while the submission ring was full */
        uint64_t now_ns;
        int slab_table; /* 0: not asked yet, 1: there is one, -1: refused */
        uint32_t n_slabs_free;
        uint16_t slabs_free[URING_SLABS_MAX];
};

extern const struct io_table io_uring_table;

/* The ring alone, without what surrounds it. */
int uring_setup(struct uring *u, const struct io_options *o, struct err *e);
