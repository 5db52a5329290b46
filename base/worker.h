/* A few threads that run blocking calls for one io.  Threads start when there is work for them, so
 * an io that only talks to sockets has none. */
#pragma once

#include "base/io_backend.h"

struct worker_pool;

/* to: where finished operations go; it outlives the pool.  NULL: out of memory. */
struct worker_pool *worker_pool_new(unsigned threads_max, struct io_waker *to);
/* op is the pool's until it comes back through `to`.  Owner's thread only. */
void worker_submit(struct worker_pool *p, struct io_op *op);
/* No operation may be under way. */
void worker_pool_free(struct worker_pool *p);
