/* DIR/checkpoint-<shard>: up to where each partition's newest segment was settled.
 *
 * An entry is a lower bound for its segment and stays true for ever: a segment is only appended to,
 * a torn tail is cut behind the mark only, base offsets are not used twice.  So files left by a run
 * with more shards do no harm; of several entries for a partition the one for the newest segment,
 * and of these the furthest, counts.  A file that does not parse is ignored (law 5): then more is
 * scanned. */
#include "storage/files.h"
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <xxhash.h>

enum { CHECKPOINT_BYTES_MAX = 1 << 30 };
#define CHECKPOINT_PREFIX "checkpoint-"

struct checkpoint_table {
        struct checkpoint_mark *by_key;
};

static uint64_t checksum(const struct checkpoint_header *h, const void *entries, size_t n)
{
        uint64_t seed = XXH3_64bits(h, offsetof(struct checkpoint_header, checksum));
        return XXH3_64bits_withSeed(entries, n, seed);
}

/* --- reading --- */
const struct checkpoint_mark *checkpoint_find(const struct store *s, const struct partition_key *k)
{
        struct checkpoint_mark *m = NULL;
        if (s->checkpoint) HASH_FIND(hh, s->checkpoint->by_key, k, sizeof *k, m);
        return m;
}

/* False: no memory. */
static bool table_put(struct checkpoint_table *t, const struct checkpoint_mark *x)
{
        struct checkpoint_mark *m;
        HASH_FIND(hh, t->by_key, &x->key, sizeof x->key, m);
        if (m) {
                bool newer = x->segment > m->segment ||
                             (x->segment == m->segment && x->position > m->position);
                if (newer) {
                        m->segment = x->segment;
                        m->offset = x->offset;
                        m->max_timestamp = x->max_timestamp;
                        m->position = x->position;
                }
                return true;
        }
        m = malloc(sizeof *m);
        if (!m) return false;
        *m = *x;
        HASH_ADD(hh, t->by_key, key, sizeof m->key, m);
        if (m->hh.tbl) return true;
        free(m);
        return false;
}

static const char *checkpoint_invalid(const struct store *s, const uint8_t *p, size_t n)
{
        const struct checkpoint_header *h = (const void *)p;
        if (n < sizeof *h) return "file is cut";
        if (memcmp(h->magic, CHECKPOINT_FILE_MAGIC, sizeof h->magic) != 0)
                return "not a checkpoint";
        if (le32_get(h->header_size) != sizeof *h) return "header size is unknown";
        if (le32_get(h->incompat) & ~(uint32_t)CHECKPOINT_INCOMPAT_KNOWN) return "a newer format";
        size_t rest = n - sizeof *h;
        if (rest % sizeof(struct checkpoint_entry) != 0 ||
            rest / sizeof(struct checkpoint_entry) != le32_get(h->count))
                return "count does not match the size";
        if (le64_get(h->checksum) != checksum(h, h + 1, rest)) return "checksum";
        if (!uuid_eq(h->store_id, s->id)) return "of another store";
        return NULL;
}

static int checkpoint_parse(struct store *s, const uint8_t *p, size_t n)
{
        const struct checkpoint_header *h = (const void *)p;
        const struct checkpoint_entry *x = (const void *)(h + 1);
        assert(n >= sizeof *h);
        for (uint32_t i = 0; i < le32_get(h->count); i++) {
                struct checkpoint_mark m = {
                        .key = { .topic_id = x[i].topic_id,
                            .index = (int32_t)le32_get(x[i].partition) },
                        .segment = le64_get_signed(x[i].segment),
                        .offset = le64_get_signed(x[i].offset),
                        .max_timestamp = le64_get_signed(x[i].max_timestamp),
                        .position = le64_get(x[i].position),
                };
                if (!table_put(s->checkpoint, &m)) return ST_NOMEM;
        }
        return ST_OK;
}

static int checkpoint_load(struct store *s, struct io *io, const char *name)
{
        int64_t fd = file_open(io, s->dir_fd, name, O_RDONLY);
        struct io_op op;
        int64_t n = fd;
        if (fd >= 0) {
                io_size(io, &op, (int)fd);
                n = io_await(io, &op);
        }
        if (n > CHECKPOINT_BYTES_MAX) n = -EFBIG;
        uint8_t *p = n > 0 ? malloc((size_t)n) : NULL;
        if (p) n = file_read(io, (int)fd, (struct bytes_mut){ p, (size_t)n }, 0);
        if (fd >= 0) file_close(io, (int)fd);
        const char *why = n < 0 ? strerror((int)-n)
                          : !p  ? "empty"
                                : checkpoint_invalid(s, p, (size_t)n);
        int st = why ? ST_OK : checkpoint_parse(s, p, (size_t)n);
        if (why)
                log_event(LOG_WARN, "checkpoint ignored", LOG_STR("dir", s->dir),
                    LOG_STR("file", name), LOG_STR("cause", why), LOG_END);
        free(p);
        return st;
}

int checkpoint_load_all(struct store *s, struct io *io, struct err *e)
{
        CHECK_OBJ(s, STORE_MAGIC);
        s->checkpoint = calloc(1, sizeof *s->checkpoint);
        if (!s->checkpoint) return err_set(e, ST_NOMEM, "checkpoints: out of memory");
        struct io_op op;
        struct io_names names = { 0 };
        io_list(io, &op, s->dir_fd, ".", &names);
        int64_t r = io_await(io, &op);
        if (r < 0)
                return err_set(e, status_from_errno(r), "log directory %s: list: %s", s->dir,
                    strerror((int)-r));
        int st = ST_OK;
        const char *name = names.text;
        for (uint32_t i = 0; i < names.count && st == ST_OK; i++, name += strlen(name) + 1) {
                size_t n = strlen(name);
                bool tmp = n > 4 && strcmp(name + n - 4, ".tmp") == 0;
                if (strncmp(name, CHECKPOINT_PREFIX, strlen(CHECKPOINT_PREFIX)) == 0 && !tmp)
                        st = checkpoint_load(s, io, name);
        }
        io_names_free(&names);
        return st < 0 ? err_set(e, st, "checkpoints: out of memory") : ST_OK;
}

void checkpoint_table_free(struct checkpoint_table *t)
{
        if (!t) return;
        struct checkpoint_mark *m, *next;
        HASH_ITER(hh, t->by_key, m, next)
        {
                HASH_DEL(t->by_key, m);
                free(m);
        }
        free(t);
}

/* --- writing: .tmp -> write -> sync -> rename -> sync of the directory --- */
struct checkpoint_run {
        struct io_op op;
        struct log_shard *ls;
        void (*on_done)(struct log_shard *ls, int64_t res);
        struct iovec iov;
        uint8_t *bytes;
        size_t len;
        int fd;
        int64_t res;
        char name[STORE_NAME_MAX], tmp[STORE_NAME_MAX];
};

static void checkpoint_on_open(struct io_op *op);
static void checkpoint_on_write(struct io_op *op);
static void checkpoint_on_sync(struct io_op *op);
static void checkpoint_on_close(struct io_op *op);
static void checkpoint_on_rename(struct io_op *op);
static void checkpoint_on_dir_sync(struct io_op *op);

static void entry_fill(struct checkpoint_entry *x, const struct partition *p)
{
        const struct segment *s = partition_active(p);
        uint64_t position = p->mark_virt - s->virt;
        *x = (struct checkpoint_entry){
                .topic_id = p->key.topic_id,
                .partition = le32_of((uint32_t)p->key.index),
                .segment = le64_of_signed(s->base_offset),
                .position = le64_of(position),
                .offset = le64_of_signed(p->settled_end),
                .max_timestamp = le64_of_signed(s->max_timestamp),
        };
}

/* What is settled of the newest segment; a segment that is still only named says nothing. */
static bool entry_wanted(const struct partition *p)
{
        const struct segment *s = partition_active(p);
        return p->status == ST_OK && !p->deleted && s && s->created && p->mark_virt >= s->virt;
}

static bool checkpoint_encode(struct log_shard *ls, struct checkpoint_run *c)
{
        size_t n = 0;
        for (struct list *l = ls->partitions.next; l != &ls->partitions; l = l->next)
                n += entry_wanted(CONTAINER_OF(l, struct partition, all));
        c->len = sizeof(struct checkpoint_header) + n * sizeof(struct checkpoint_entry);
        c->bytes = malloc(c->len);
        if (!c->bytes) return false;
        struct checkpoint_header *h = (void *)c->bytes;
        struct checkpoint_entry *x = (void *)(h + 1);
        *h = (struct checkpoint_header){
                .magic = CHECKPOINT_FILE_MAGIC,
                .header_size = le32_of(sizeof *h),
                .count = le32_of((uint32_t)n),
                .store_id = ls->store->id,
        };
        for (struct list *l = ls->partitions.next; l != &ls->partitions; l = l->next) {
                const struct partition *p = CONTAINER_OF(l, struct partition, all);
                if (entry_wanted(p)) entry_fill(x++, p);
        }
        h->checksum = le64_of(checksum(h, h + 1, c->len - sizeof *h));
        return true;
}

bool checkpoint_write(struct log_shard *ls, void (*on_done)(struct log_shard *ls, int64_t res))
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        if (ls->checkpointing) return false;
        struct checkpoint_run *c = calloc(1, sizeof *c);
        if (!c || !checkpoint_encode(ls, c)) {
                free(c);
                return false;
        }
        c->ls = ls;
        c->on_done = on_done;
        c->fd = -1;
        snprintf(c->name, sizeof c->name, CHECKPOINT_PREFIX "%" PRIu32, ls->number);
        snprintf(c->tmp, sizeof c->tmp, CHECKPOINT_PREFIX "%" PRIu32 ".tmp", ls->number);
        ls->checkpointing = true;
        ls->busy++;
        c->op.on_done = checkpoint_on_open;
        io_open(ls->io, &c->op, ls->store->dir_fd, c->tmp, O_WRONLY | O_CREAT | O_TRUNC);
        return true;
}

static void checkpoint_finish(struct checkpoint_run *c, int64_t res)
{
        struct log_shard *ls = c->ls;
        if (res < 0)
                log_event(LOG_WARN, "checkpoint not written", LOG_STR("dir", ls->store->dir),
                    LOG_STR("cause", strerror((int)-res)), LOG_END);
        ls->checkpointing = false;
        ls->busy--;
        void (*on_done)(struct log_shard *, int64_t) = c->on_done;
        free(c->bytes);
        free(c);
        on_done(ls, res);
}

static void checkpoint_on_open(struct io_op *op)
{
        struct checkpoint_run *c = CONTAINER_OF(op, struct checkpoint_run, op);
        if (op->res < 0) {
                checkpoint_finish(c, op->res);
                return;
        }
        c->fd = (int)op->res;
        c->iov = (struct iovec){ c->bytes, c->len };
        op->on_done = checkpoint_on_write;
        io_write(c->ls->io, op,
            &(struct io_write_args){ .fd = c->fd, .reg = -1, .n_iov = 1, .iov = &c->iov });
}

static void checkpoint_on_write(struct io_op *op)
{
        struct checkpoint_run *c = CONTAINER_OF(op, struct checkpoint_run, op);
        c->res = op->res == (int64_t)c->len ? 0 : op->res < 0 ? op->res : -EIO;
        if (c->res < 0) {
                op->on_done = checkpoint_on_close;
                io_close(c->ls->io, op, c->fd);
                return;
        }
        op->on_done = checkpoint_on_sync;
        io_sync(c->ls->io, op, c->fd);
}

static void checkpoint_on_sync(struct io_op *op)
{
        struct checkpoint_run *c = CONTAINER_OF(op, struct checkpoint_run, op);
        c->res = op->res;
        op->on_done = checkpoint_on_close;
        io_close(c->ls->io, op, c->fd);
}

static void checkpoint_on_close(struct io_op *op)
{
        struct checkpoint_run *c = CONTAINER_OF(op, struct checkpoint_run, op);
        if (c->res < 0) {
                checkpoint_finish(c, c->res);
                return;
        }
        op->on_done = checkpoint_on_rename;
        io_rename(c->ls->io, op, c->ls->store->dir_fd, c->tmp, c->name);
}

static void checkpoint_on_rename(struct io_op *op)
{
        struct checkpoint_run *c = CONTAINER_OF(op, struct checkpoint_run, op);
        if (op->res < 0) {
                checkpoint_finish(c, op->res);
                return;
        }
        op->on_done = checkpoint_on_dir_sync;
        io_sync(c->ls->io, op, c->ls->store->dir_fd);
}

static void checkpoint_on_dir_sync(struct io_op *op)
{
        checkpoint_finish(CONTAINER_OF(op, struct checkpoint_run, op), op->res);
}
