/* Replay, blocking: one pass to find the last snapshot that has its END, one to apply it and what
 * follows.  What cannot be understood stops the start; nothing is guessed. */
#include "storage/state_log_own.h"

enum { READ_BYTES = 1 << 20, PER_TURN = 1024 };
#define WAIT_NS UINT64_C(100000000)

struct replay {
        struct record_visitor visitor;
        struct state_log *log;
        struct err *e;
        int64_t pending_begin; /* pass 1: of a snapshot without END so far, -1: none */
        uint64_t pending_count;
        int64_t begin; /* of the last complete one, -1: none */
        bool inside;   /* pass 2: of that one */
};

struct replay_read {
        struct log_read read;
        bool done;
};

static void replay_on_read(struct log_read *r)
{
        CONTAINER_OF(r, struct replay_read, read)->done = true;
}

static void read_wait(struct state_log *sl, struct io *io, struct replay_read *x)
{
        x->done = partition_read(&x->read) != ST_PENDING;
        while (!x->done) {
                unsigned n = io_dispatch(io, PER_TURN) + log_shard_plan(sl->ls);
                if (!x->done) io_turn(io, n > 0 ? 0 : WAIT_NS);
        }
}

/* --- the two passes --- */
static struct bytes key_of(const struct record *r)
{
        return (struct bytes){ r->key.p + 1, r->key.n - 1 };
}

static int look(struct record_visitor *v, const struct record *r)
{
        struct replay *y = CONTAINER_OF(v, struct replay, visitor);
        if (r->key.n < 1)
                return err_set(y->e, ST_CORRUPT, "record %" PRId64 " has no type", r->offset);
        switch (r->key.p[0]) {
        case STATE_SNAPSHOT_BEGIN:
                y->pending_begin = r->offset;
                y->pending_count = 0;
                return 0;
        case STATE_SNAPSHOT_COMMAND:
                y->pending_count++;
                return 0;
        case STATE_SNAPSHOT_END:
                if (y->pending_begin < 0) return 0;
                if (r->value.n != 8 || load_be64(r->value.p) != y->pending_count)
                        return err_set(y->e, ST_CORRUPT, "snapshot at %" PRId64 " is incomplete",
                            y->pending_begin);
                y->begin = y->pending_begin;
                y->pending_begin = -1;
                return 0;
        case STATE_COMMAND:
                y->pending_begin = -1;
                return 0;
        default:
                return err_set(y->e, ST_TOO_NEW, "record %" PRId64 " has unknown type %d",
                    r->offset, r->key.p[0]);
        }
}

static int apply(struct record_visitor *v, const struct record *r)
{
        struct replay *y = CONTAINER_OF(v, struct replay, visitor);
        struct state_fold *f = &y->log->fold;
        int type = r->key.p[0], st = ST_OK;
        if (type == STATE_SNAPSHOT_BEGIN) {
                y->inside = r->offset == y->begin;
                if (y->inside) f->reset(f->arg);
        }
        if (type == STATE_SNAPSHOT_END) y->inside = false;
        if (type == STATE_COMMAND || (type == STATE_SNAPSHOT_COMMAND && y->inside))
                st = f->apply(f->arg, key_of(r), r->value, y->e);
        return st < 0 ? err_wrap(y->e, st, "record %" PRId64, r->offset) : 0;
}

static int replay_batches(struct replay *y, const uint8_t *p, uint32_t n, int64_t *offset)
{
        struct batch b;
        for (uint32_t at = 0; at < n; at += b.size) {
                const char *why = batch_read(p + at, n - at, true, &b);
                if (why) return err_set(y->e, ST_CORRUPT, "batch %" PRId64 ": %s", *offset, why);
                int st = batch_each_record(p + at, &b, NULL, INT32_MAX, &y->visitor, y->e);
                if (st != 0) return st;
                *offset = batch_last_offset(&b) + 1;
        }
        return ST_OK;
}

/* One read's batches in one piece. */
static int replay_joined(struct replay *y, struct log_read *r, int64_t *offset)
{
        uint8_t *p = malloc(r->total);
        uint32_t at = 0;
        if (!p) return err_set(y->e, ST_NOMEM, "out of memory");
        for (uint32_t i = 0; i < r->n_slices; at += r->slices[i++].n)
                memcpy(p + at, r->slices[i].p, r->slices[i].n);
        assert(at == r->total);
        int st = replay_batches(y, p, r->total, offset);
        free(p);
        return st;
}

static int replay_pass(struct replay *y, struct io *io, int64_t from)
{
        int64_t end = y->log->partition->durable_end;
        while (from < end) {
                struct replay_read x = { .read = { .partition = y->log->partition,
                                             .offset = from,
                                             .max_bytes = READ_BYTES,
                                             .at_least_one = true,
                                             .on_done = replay_on_read } };
                read_wait(y->log, io, &x);
                int st = x.read.status;
                if (st == ST_OK && x.read.total == 0) st = ST_CORRUPT;
                if (st < 0)
                        return err_set(y->e, st, "read at %" PRId64 ": %s", from, status_text(st));
                st = replay_joined(y, &x.read, &from);
                log_read_release(&x.read);
                if (st < 0) return st;
        }
        return ST_OK;
}

int state_log_replay(struct state_log *sl, struct io *io, struct err *e)
{
        CHECK_OBJ(sl, STATE_LOG_MAGIC);
        struct partition *p = sl->partition;
        char name[STORE_NAME_MAX];
        struct err ignored;
        struct replay y = { .visitor = { look },
                .log = sl,
                .e = e ? e : &ignored,
                .pending_begin = -1,
                .begin = -1 };
        partition_dir_name(p, name);
        if (p->status != ST_OK) return err_set(e, p->status, "state log %s is offline", name);
        sl->fold.reset(sl->fold.arg);
        int st = replay_pass(&y, io, p->log_start);
        if (st == ST_OK && y.begin < 0 && p->log_start > 0)
                st = err_set(y.e, ST_CORRUPT, "its beginning is gone and there is no snapshot");
        if (st == ST_OK) {
                y.visitor.on_record = apply;
                st = replay_pass(&y, io, y.begin < 0 ? p->log_start : y.begin);
        }
        if (st < 0) return err_wrap(e, st, "state log %s", name);
        sl->keep_from = MAX(y.begin, 0);
        return ST_OK;
}
