/* What the backends share; nobody else includes this.
 *
 * A backend moves finished operations into io->done and lets io_dispatch() run them.  Blocking
 * operations go through base/worker.h and come back through the io's struct io_waker. */
#pragma once

#include "base/inbox.h"
#include "base/io.h"

/* How other threads reach an io that may be asleep.
 * The owner publishes `asleep` before it looks a last time at `woken` and `finished`; others
 * publish first and look at `asleep` afterwards.  All four are sequentially consistent, so at least
 * one side sees the other, and no wake-up is lost.  Who clears `asleep` owes the owner a signal;
 * nobody else makes a system call. */
struct io_waker {
        int fd;                /* eventfd                                      */
        _Atomic bool asleep;   /* owner sets; whoever clears it signals        */
        _Atomic bool woken;    /* anyone sets, owner clears                    */
        struct inbox finished; /* workers post operations, the owner takes them */
};

int io_waker_init(struct io_waker *w);
void io_waker_close(struct io_waker *w);
/* Owner: false: there is news, do not sleep. */
bool io_waker_lie_down(struct io_waker *w);
void io_waker_get_up(struct io_waker *w);
/* Anyone: true: the owner slept and the caller must signal it. */
bool io_waker_rouse(struct io_waker *w);
void io_waker_signal(struct io_waker *w);
/* A worker's thread: op->res is set; op becomes the owner's. */
void io_waker_finish(struct io_waker *w, struct io_op *op);

void io_init(struct io *io, const struct io_table *table);
/* Puts op at the end of what io_dispatch() will run. */
void io_done(struct io *io, struct io_op *op, int64_t res);

/* Runs one disk operation in the calling thread: the call's result or -errno. */
int64_t io_call(struct io_op *op);

/* --- the same in both real backends --- */
/* type: SOCK_NONBLOCK or 0. */
int io_sys_listen(const char *host, uint16_t port, int type, struct err *e);
/* A socket for op (path: numeric host, off: port) and its address in op->in4 or op->in6.
 * The socket, or -errno. */
int io_sys_connect_socket(struct io_op *op, int type, socklen_t *ret_len);
void io_sys_shutdown(struct io *io, int fd);
uint64_t io_sys_now_ns(void);
/* A turn is about to sleep: what it does until then is its work. */
void io_rests(struct io *io);
int64_t io_sys_wall_ms(struct io *io);
void io_sys_random(struct io *io, void *buf, size_t n);
