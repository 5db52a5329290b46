/* Blocking calls on worker threads: worker_submit -> a thread runs io_call -> io_waker_finish.
 * An operation's own failure is its result.  Where no thread can be started at all, the operation
 * fails with that cause.  On close the threads are told to stop and joined; the queue is empty
 * then. */
#include "base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

enum { WORKER_POOL_MAGIC = 0x76776b70, WORKERS_MAX = 64, WORKER_STACK = 512 << 10 };

struct worker_pool {
        uint32_t magic;
        struct io_waker *to;
        unsigned threads_max;
        unsigned n_threads; /* the owner's */
        pthread_t threads[WORKERS_MAX];
        pthread_mutex_t lock; /* guards what follows */
        pthread_cond_t news;
        struct io_op *head, **tail;
        unsigned n_queued, n_idle;
        bool stop;
};

/* The next operation; NULL: stop. */
static struct io_op *worker_next(struct worker_pool *p)
{
        pthread_mutex_lock(&p->lock);
        p->n_idle++;
        while (!p->head && !p->stop) pthread_cond_wait(&p->news, &p->lock);
        p->n_idle--;
        struct io_op *op = p->head;
        if (op) {
                p->head = op->next;
                if (!p->head) p->tail = &p->head;
                p->n_queued--;
        }
        pthread_mutex_unlock(&p->lock);
        return op;
}

static void *worker_main(void *arg)
{
        struct worker_pool *p = arg;
        for (struct io_op *op; (op = worker_next(p)) != NULL;) {
                op->res = io_call(op);
                io_waker_finish(p->to, op);
        }
        return NULL;
}

/* Signals belong to the threads that were there before. */
static int thread_start(struct worker_pool *p, pthread_t *ret_thread)
{
        sigset_t all, before;
        sigfillset(&all);
        pthread_attr_t attr;
        int r = pthread_attr_init(&attr);
        if (r != 0) return -r;
        pthread_attr_setstacksize(&attr, WORKER_STACK);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        r = pthread_create(ret_thread, &attr, worker_main, p);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attr);
        if (r == 0) pthread_setname_np(*ret_thread, "varve-worker");
        return -r;
}

struct worker_pool *worker_pool_new(unsigned threads_max, struct io_waker *to)
{
        struct worker_pool *p = calloc(1, sizeof *p);
        if (!p) return NULL;
        p->magic = WORKER_POOL_MAGIC;
        p->to = to;
        p->threads_max = MIN(MAX(threads_max, 1u), (unsigned)WORKERS_MAX);
        p->tail = &p->head;
        pthread_mutex_init(&p->lock, NULL);
        pthread_cond_init(&p->news, NULL);
        return p;
}

void worker_submit(struct worker_pool *p, struct io_op *op)
{
        CHECK_OBJ(p, WORKER_POOL_MAGIC);
        pthread_mutex_lock(&p->lock);
        bool busy = p->n_queued >= p->n_idle;
        pthread_mutex_unlock(&p->lock);
        if (busy && p->n_threads < p->threads_max) {
                int r = thread_start(p, &p->threads[p->n_threads]);
                if (r == 0) p->n_threads++;
                if (p->n_threads == 0) {
                        io_done(op->io, op, r);
                        return;
                }
        }
        pthread_mutex_lock(&p->lock);
        op->next = NULL;
        *p->tail = op;
        p->tail = &op->next;
        p->n_queued++;
        pthread_mutex_unlock(&p->lock);
        pthread_cond_signal(&p->news);
}

void worker_pool_free(struct worker_pool *p)
{
        if (!p) return;
        CHECK_OBJ(p, WORKER_POOL_MAGIC);
        pthread_mutex_lock(&p->lock);
        assert(p->head == NULL);
        p->stop = true;
        pthread_mutex_unlock(&p->lock);
        pthread_cond_broadcast(&p->news);
        for (unsigned i = 0; i < p->n_threads; i++) pthread_join(p->threads[i], NULL);
        pthread_cond_destroy(&p->news);
        pthread_mutex_destroy(&p->lock);
        p->magic = 0;
        free(p);
}
