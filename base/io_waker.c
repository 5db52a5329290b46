/* Waking an io from other threads.  See struct io_waker for the rule that loses no wake-up. */
#include "base/io_backend.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

int io_waker_init(struct io_waker *w)
{
        int fd = eventfd(0, EFD_CLOEXEC);
        if (fd < 0) return -errno;
        w->fd = fd;
        atomic_init(&w->asleep, false);
        atomic_init(&w->woken, false);
        inbox_init(&w->finished);
        return 0;
}

void io_waker_close(struct io_waker *w)
{
        if (w->fd >= 0) close(w->fd);
        w->fd = -1;
}

bool io_waker_lie_down(struct io_waker *w)
{
        atomic_store(&w->asleep, true);
        if (!atomic_load(&w->woken) && inbox_empty(&w->finished)) return true;
        atomic_store(&w->asleep, false);
        return false;
}

void io_waker_get_up(struct io_waker *w)
{
        if (atomic_load_explicit(&w->asleep, memory_order_relaxed)) atomic_store(&w->asleep, false);
        /* What was posted before the wake-up is seen by the owner's look at its inboxes, which
         * comes after this. */
        if (atomic_load_explicit(&w->woken, memory_order_relaxed))
                atomic_exchange(&w->woken, false);
}

bool io_waker_rouse(struct io_waker *w)
{
        return atomic_load(&w->asleep) && atomic_exchange(&w->asleep, false);
}

void io_waker_signal(struct io_waker *w)
{
        const uint64_t one = 1;
        ssize_t n;
        do {
                n = write(w->fd, &one, sizeof one);
        } while (n < 0 && errno == EINTR);
        assert(n == sizeof one);
}

static void finished_run(struct message *m)
{
        struct io_op *op = CONTAINER_OF(m, struct io_op, finished);
        io_done(op->io, op, op->res);
}

void io_waker_finish(struct io_waker *w, struct io_op *op)
{
        op->finished.run = finished_run;
        inbox_post(&w->finished, &op->finished);
        /* From here on op is the owner's; w outlives the workers. */
        if (io_waker_rouse(w)) io_waker_signal(w);
}
