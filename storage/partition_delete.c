/* Deleting a partition: out of sight at once -> waiting appends fail, watches fire -> operations
 * that use it end -> list its directory -> unlink each name -> rmdir -> fsync of p/ -> gone.
 *
 * The caller's command is durable already, so a crash in between leaves a directory that is deleted
 * at the next start.  What fails is logged, and on_gone gets a status; the memory goes all the
 * same. */
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

struct deletion {
        struct io_op op;
        struct partition *partition;
        struct io_names names;
        const char *name;
        uint32_t left;
        int64_t failed;
        char dir[STORE_NAME_MAX];
        char path[STORE_NAME_MAX + 256];
};

static void delete_on_list(struct io_op *op);
static void delete_on_unlink(struct io_op *op);
static void delete_on_rmdir(struct io_op *op);
static void delete_on_sync(struct io_op *op);

static struct io *io_of(struct deletion *d)
{
        return d->partition->ls->io;
}
static int data_fd(struct deletion *d)
{
        return d->partition->ls->store->data_fd;
}

void partition_delete(struct partition *p, void (*on_gone)(void *arg, int status), void *arg)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        assert(on_gone && !p->deleted);
        struct log_shard *ls = p->ls;
        HASH_DEL(ls->by_key, p);
        p->hh.tbl = NULL;
        p->deleted = true;
        p->on_gone = on_gone;
        p->on_gone_arg = arg;
        append_fail_queue(p, ST_NOT_FOUND);
        append_fail_waiting(p, ST_NOT_FOUND);
        list_remove(&p->dirty);
        list_remove(&p->kept);
        partition_moved(p);
        list_push_back(&ls->deletes, &p->delete_link); /* begins in the next plan */
}

/* Nothing uses it any more, as far as this shard's operations go. */
void partition_delete_continue(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        if (p->deleting || p->holds > 0 || !list_empty(&p->delete_link)) return;
        /* Dropped segments of it are unlinked with the rest. */
        struct log_shard *ls = p->ls;
        for (struct list *l = ls->drops.next, *next; l != &ls->drops; l = next) {
                struct segment *s = CONTAINER_OF(l, struct segment, drop_link);
                next = l->next;
                if (s->partition != p) continue;
                list_remove(&s->drop_link);
                if (s->fd >= 0) segment_close_fd(s);
                segment_free(s);
        }
        for (uint32_t i = 0; i < p->n_segments; i++)
                if (p->segments[i]->fd >= 0) segment_close_fd(p->segments[i]);
        struct deletion *d = calloc(1, sizeof *d);
        if (!d) {
                list_push_back(&ls->deletes, &p->delete_link);
                return;
        }
        p->deleting = true;
        ls->busy++;
        d->partition = p;
        partition_dir_name(p, d->dir);
        d->op.on_done = delete_on_list;
        io_list(ls->io, &d->op, ls->store->data_fd, d->dir, &d->names);
}

unsigned partition_run_deletes(struct log_shard *ls)
{
        unsigned n = 0;
        struct list due;
        list_init(&due);
        while (!list_empty(&ls->deletes)) list_push_back(&due, list_pop_front(&ls->deletes));
        for (struct list *l = list_pop_front(&due); l; l = list_pop_front(&due), n++)
                partition_delete_continue(CONTAINER_OF(l, struct partition, delete_link));
        return n;
}

static void delete_finish(struct deletion *d)
{
        struct partition *p = d->partition;
        struct log_shard *ls = p->ls;
        void (*on_gone)(void *, int) = p->on_gone;
        void *arg = p->on_gone_arg;
        int status = d->failed < 0 ? status_from_errno(d->failed) : ST_OK;
        if (status != ST_OK)
                log_event(LOG_WARN, "partition not deleted", LOG_STR("partition", d->dir),
                    LOG_STR("cause", strerror((int)-d->failed)), LOG_END);
        io_names_free(&d->names);
        free(d);
        ls->busy--;
        partition_free(p);
        on_gone(arg, status);
}

static void delete_one(struct deletion *d)
{
        if (d->left == 0) {
                d->op.on_done = delete_on_rmdir;
                io_rmdir(io_of(d), &d->op, data_fd(d), d->dir);
                return;
        }
        int n = snprintf(d->path, sizeof d->path, "%s/%s", d->dir, d->name);
        assert(n > 0 && (size_t)n < sizeof d->path);
        d->name += strlen(d->name) + 1;
        d->left--;
        d->op.on_done = delete_on_unlink;
        io_unlink(io_of(d), &d->op, data_fd(d), d->path);
}

static void delete_on_list(struct io_op *op)
{
        struct deletion *d = CONTAINER_OF(op, struct deletion, op);
        if (op->res < 0) {
                d->failed = op->res == -ENOENT ? 0 : op->res; /* it never had files */
                delete_finish(d);
                return;
        }
        d->name = d->names.text;
        d->left = d->names.count;
        delete_one(d);
}

static void delete_on_unlink(struct io_op *op)
{
        struct deletion *d = CONTAINER_OF(op, struct deletion, op);
        if (op->res < 0 && op->res != -ENOENT) d->failed = op->res;
        delete_one(d);
}

static void delete_on_rmdir(struct io_op *op)
{
        struct deletion *d = CONTAINER_OF(op, struct deletion, op);
        if (op->res < 0 && op->res != -ENOENT && d->failed == 0) d->failed = op->res;
        op->on_done = delete_on_sync;
        io_sync(io_of(d), op, data_fd(d));
}

static void delete_on_sync(struct io_op *op)
{
        struct deletion *d = CONTAINER_OF(op, struct deletion, op);
        if (op->res < 0 && d->failed == 0) d->failed = op->res;
        delete_finish(d);
}
