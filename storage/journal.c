/* The journal's file, when it is first wanted: found and opened, or made: create -> room -> zeros
 * all over, so that groups go into blocks that were written before, which is cheaper -> fsync ->
 * header -> fsync -> fsync of the directory -> ready.
 *
 * Until it is ready, and where it cannot be had (no space), everything is written directly. */
#include "storage/journal.h"

#include "storage/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

enum { RETRY_S = 30 };
#define S_NS UINT64_C(1000000000)

static void make_on_open(struct io_op *op);
static void make_on_allocate(struct io_op *op);
static void make_on_zeros(struct io_op *op);
static void make_on_zeros_sync(struct io_op *op);
static void make_on_header(struct io_op *op);
static void make_on_sync(struct io_op *op);
static void make_on_dir_sync(struct io_op *op);

struct journal *journal_new(struct log_shard *ls, size_t bytes)
{
        struct journal *j = calloc(1, sizeof *j);
        if (!j) return NULL;
        j->magic = JOURNAL_MAGIC;
        j->ls = ls;
        j->fd = -1;
        j->size = MAX(page_down(bytes), (uint64_t)JOURNAL_BYTES_MIN);
        j->next_seq = j->floor = 1;
        list_init(&j->kept);
        snprintf(j->name, sizeof j->name, JOURNAL_PREFIX "%" PRIu32, ls->number);
        return j;
}

void journal_free(struct journal *j)
{
        if (!j) return;
        CHECK_OBJ(j, JOURNAL_MAGIC);
        if (j->block) block_unref(j->block);
        j->magic = 0;
        free(j->starts);
        free(j->parts);
        free(j);
}

static bool journal_tables(struct journal *j)
{
        free(j->starts);
        free(j->parts);
        j->starts = calloc(j->size / STORE_PAGE, sizeof *j->starts);
        j->parts = calloc(JOURNAL_PARTS_MAX, sizeof *j->parts);
        return j->starts && j->parts;
}

void journal_want(struct journal *j)
{
        CHECK_OBJ(j, JOURNAL_MAGIC);
        struct log_shard *ls = j->ls;
        bool again = j->state == JOURNAL_NONE || j->state == JOURNAL_FAILED;
        if (!again || !ls->store->recovered || io_now_ns(ls->io) < j->retry_ns) return;
        const struct journal_found *found = journal_find(ls->store, ls->number);
        j->state = JOURNAL_MAKING;
        j->made = 0;
        j->run = 1;
        if (found) {
                j->size = found->size;
                j->run = found->run;
        }
        ls->busy++;
        j->op.on_done = make_on_open;
        io_open(ls->io, &j->op, ls->store->dir_fd, j->name,
            O_RDWR | O_CREAT | (ls->store->direct ? O_DIRECT : 0));
}

static void make_end(struct journal *j, const char *what, int64_t res)
{
        struct log_shard *ls = j->ls;
        ls->busy--;
        j->state = res < 0 ? JOURNAL_FAILED : JOURNAL_READY;
        j->retry_ns = res < 0 ? io_now_ns(ls->io) + RETRY_S * S_NS : 0;
        if (res < 0) {
                log_event(LOG_WARN, "no journal: every partition is written by itself",
                    LOG_STR("file", j->name), LOG_STR("operation", what),
                    LOG_STR("cause", strerror((int)-res)), LOG_END);
                if (j->fd >= 0) journal_close(j);
                return;
        }
        if (j->block) memset(j->block->data, 0, j->block->cap);
}

static void make_zeros(struct journal *j)
{
        uint64_t n = MIN(j->size - j->made, (uint64_t)journal_group_max(j));
        j->iov = (struct iovec){ j->block->data, (size_t)n };
        j->op.on_done = make_on_zeros;
        io_write(j->ls->io, &j->op,
            &(struct io_write_args){
                .fd = j->fd, .reg = -1, .n_iov = 1, .iov = &j->iov, .off = STORE_PAGE + j->made });
}

static void make_on_open(struct io_op *op)
{
        struct journal *j = CONTAINER_OF(op, struct journal, op);
        if (op->res < 0) {
                make_end(j, "open", op->res);
                return;
        }
        j->fd = (int)op->res;
        if (!j->block) j->block = shard_block_get(j->ls, journal_group_max(j));
        if (!j->block || !journal_tables(j)) {
                make_end(j, "memory", -ENOMEM);
                return;
        }
        if (journal_find(j->ls->store, j->ls->number)) {
                make_end(j, "open", 0);
                return;
        }
        op->on_done = make_on_allocate;
        io_allocate(j->ls->io, op, j->fd, 0, STORE_PAGE + j->size);
}

static void make_on_allocate(struct io_op *op)
{
        struct journal *j = CONTAINER_OF(op, struct journal, op);
        if (op->res < 0 && op->res != -EOPNOTSUPP) {
                make_end(j, "allocate", op->res);
                return;
        }
        memset(j->block->data, 0, j->block->cap);
        make_zeros(j);
}

static void make_on_zeros(struct io_op *op)
{
        struct journal *j = CONTAINER_OF(op, struct journal, op);
        if (op->res <= 0 || op->res % STORE_PAGE != 0) {
                make_end(j, "write", op->res < 0 ? op->res : -EIO);
                return;
        }
        j->made += (uint64_t)op->res;
        if (j->made < j->size) {
                make_zeros(j);
                return;
        }
        op->on_done = make_on_zeros_sync;
        io_sync(j->ls->io, op, j->fd);
}

/* A header says that all of the file is there. */
static void make_on_zeros_sync(struct io_op *op)
{
        struct journal *j = CONTAINER_OF(op, struct journal, op);
        if (op->res < 0) {
                make_end(j, "fsync", op->res);
                return;
        }
        journal_header_fill((void *)j->block->data, &j->ls->store->id,
            &(struct journal_found){ .size = j->size, .run = j->run });
        j->iov = (struct iovec){ j->block->data, STORE_PAGE };
        op->on_done = make_on_header;
        io_write(j->ls->io, op,
            &(struct io_write_args){ .fd = j->fd, .reg = -1, .n_iov = 1, .iov = &j->iov });
}

static void make_on_header(struct io_op *op)
{
        struct journal *j = CONTAINER_OF(op, struct journal, op);
        if (op->res != STORE_PAGE) {
                make_end(j, "write", op->res < 0 ? op->res : -EIO);
                return;
        }
        op->on_done = make_on_sync;
        io_sync(j->ls->io, op, j->fd);
}

static void make_on_sync(struct io_op *op)
{
        struct journal *j = CONTAINER_OF(op, struct journal, op);
        if (op->res < 0) {
                make_end(j, "fsync", op->res);
                return;
        }
        op->on_done = make_on_dir_sync;
        io_sync(j->ls->io, op, j->ls->store->dir_fd);
}

static void make_on_dir_sync(struct io_op *op)
{
        make_end(CONTAINER_OF(op, struct journal, op), "fsync of the directory", op->res);
}

/* --- closing --- */
static void close_on_done(struct io_op *op)
{
        struct journal *j = CONTAINER_OF(op, struct journal, op);
        j->ls->busy--;
}

void journal_close(struct journal *j)
{
        CHECK_OBJ(j, JOURNAL_MAGIC);
        if (j->fd < 0) return;
        assert(!j->writing);
        j->ls->busy++;
        j->op.on_done = close_on_done;
        io_close(j->ls->io, &j->op, j->fd);
        j->fd = -1;
}
