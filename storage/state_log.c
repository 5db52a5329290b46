/* A command, when all goes well: queued -> at the end of the turn all that are queued share a batch
 * -> durable -> applied, in order -> on_applied. A snapshot begins when the log is large and
 * nothing is in flight: a new segment, BEGIN, the fold's commands, END, all appended at once; live
 * commands follow behind.  When END is durable the segments before BEGIN go.
 *
 * A batch that fails applies nothing: its commands are told.  A snapshot that fails is ignored by
 * replay and tried again later. */
#include "storage/state_log_own.h"

#include <string.h>

enum { BATCH_BYTES = 512 << 10, BATCH_RECORDS = 4096 };
#define SNAPSHOT_SLACK (UINT64_C(1) << 20)

static const struct log_config state_config = {
        .segment_bytes = 64 << 20,
        .index_interval_bytes = 64 << 10,
        .segment_ms = INT64_MAX,
        .retention_ms = -1,
        .retention_bytes = -1,
};

/* --- building batches --- */
struct piece {
        size_t key_at, value_at;
        int32_t key_n, value_n;
};

struct builder {
        uint8_t *bytes;
        size_t n, cap;
        struct piece *pieces;
        int32_t count;
};

static bool builder_init(struct builder *b)
{
        *b = (struct builder){ .pieces = malloc(BATCH_RECORDS * sizeof *b->pieces) };
        return b->pieces != NULL;
}

static void builder_free(struct builder *b)
{
        free(b->bytes);
        free(b->pieces);
}

static bool builder_reserve(struct builder *b, size_t more)
{
        if (b->cap - b->n >= more) return true;
        size_t cap = MAX(b->cap * 2, b->n + more);
        uint8_t *bytes = realloc(b->bytes, cap);
        if (!bytes) return false;
        b->bytes = bytes;
        b->cap = cap;
        return true;
}

static size_t length(struct bytes b)
{
        return b.n > 0 ? (size_t)b.n : 0;
}

static bool builder_full(const struct builder *b, struct bytes key, struct bytes value)
{
        return b->count > 0 &&
               (b->count == BATCH_RECORDS || b->n + 1 + length(key) + length(value) > BATCH_BYTES);
}

static bool builder_add(
    struct builder *b, enum state_record type, struct bytes key, struct bytes value)
{
        assert(b->count < BATCH_RECORDS);
        if (!builder_reserve(b, 1 + length(key) + length(value))) return false;
        struct piece *x = &b->pieces[b->count++];
        *x =
            (struct piece){ .key_at = b->n, .key_n = (int32_t)length(key) + 1, .value_n = value.n };
        b->bytes[b->n++] = (uint8_t)type;
        if (key.n > 0) memcpy(b->bytes + b->n, key.p, length(key));
        b->n += length(key);
        x->value_at = b->n;
        if (value.n > 0) memcpy(b->bytes + b->n, value.p, length(value));
        b->n += length(value);
        return true;
}

/* The batch, to be freed; NULL: no memory.  The builder is empty afterwards. */
static uint8_t *builder_encode(struct builder *b, int64_t now_ms, size_t *ret_n)
{
        struct record_in *records = calloc((size_t)b->count, sizeof *records);
        if (!records) return NULL;
        for (int32_t i = 0; i < b->count; i++) {
                const struct piece *x = &b->pieces[i];
                records[i] = (struct record_in){
                        .timestamp = now_ms,
                        .key = { b->bytes + x->key_at, x->key_n },
                        .value = { x->value_n < 0 ? NULL : b->bytes + x->value_at, x->value_n },
                };
        }
        struct batch_build in = { .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = records,
                .count = b->count };
        size_t cap = batch_encode_bound(&in);
        uint8_t *p = malloc(cap);
        int64_t n = p ? batch_encode(&in, NULL, (struct bytes_mut){ NULL, 0 },
                            (struct bytes_mut){ p, cap }, NULL)
                      : -1;
        free(records);
        b->n = 0;
        b->count = 0;
        if (n < 0) {
                free(p);
                return NULL;
        }
        *ret_n = (size_t)n;
        return p;
}

/* --- batches in flight --- */
struct state_batch {
        struct log_append append;
        struct state_log *log;
        struct list commands; /* empty: part of a snapshot */
        bool begin, end;      /* of a snapshot             */
        uint8_t *bytes;
};

static void batch_on_done(struct log_append *a);

/* Takes the builder's records and the commands; false: no memory, the commands stay with the
 * caller. */
static bool batch_send(
    struct state_log *sl, struct builder *b, struct list *commands, bool begin, bool end)
{
        size_t n;
        struct state_batch *x = calloc(1, sizeof *x);
        uint8_t *bytes = x ? builder_encode(b, io_wall_ms(sl->ls->io), &n) : NULL;
        if (!bytes) {
                free(x);
                return false;
        }
        x->log = sl;
        x->bytes = bytes;
        x->begin = begin;
        x->end = end;
        list_init(&x->commands);
        while (commands && !list_empty(commands))
                list_push_back(&x->commands, list_pop_front(commands));
        const char *why = batch_read(bytes, n, true, &x->append.info);
        assert(!why);
        x->append.partition = sl->partition;
        x->append.batch = bytes;
        x->append.crc_checked = true;
        x->append.on_done = batch_on_done;
        sl->in_flight++;
        partition_append(&x->append);
        return true;
}

static void command_apply(struct state_log *sl, struct state_command *c)
{
        struct err e = { 0 };
        int st = sl->fold.apply(sl->fold.arg, c->key, c->value, &e);
        if (st < 0)
                log_event(LOG_ERROR, "state command refused", LOG_STR("cause", e.text), LOG_END);
        c->on_applied(c, MIN(st, 0));
}

static void snapshot_on_done(struct state_log *sl, const struct state_batch *x)
{
        if (x->append.status != ST_OK) sl->snapshot_failed = true;
        if (x->begin) sl->snapshot_begin = x->append.base_offset;
        if (!x->end) return;
        sl->snapshotting = false;
        if (!sl->snapshot_failed) {
                sl->keep_from = sl->snapshot_begin;
                return;
        }
        sl->retry_bytes = sl->partition->append_virt + SNAPSHOT_SLACK;
        log_event(LOG_WARN, "snapshot of a state log failed", LOG_INT("offset", sl->snapshot_begin),
            LOG_STR("cause", status_text(x->append.status)), LOG_END);
}

static void batch_on_done(struct log_append *a)
{
        struct state_batch *x = CONTAINER_OF(a, struct state_batch, append);
        struct state_log *sl = x->log;
        CHECK_OBJ(sl, STATE_LOG_MAGIC);
        sl->in_flight--;
        if (list_empty(&x->commands)) snapshot_on_done(sl, x);
        for (struct list *l = list_pop_front(&x->commands); l; l = list_pop_front(&x->commands)) {
                struct state_command *c = CONTAINER_OF(l, struct state_command, link);
                if (a->status == ST_OK)
                        command_apply(sl, c);
                else
                        c->on_applied(c, a->status);
        }
        free(x->bytes);
        free(x);
}

/* --- snapshots --- */
struct emitter {
        struct state_log *log;
        struct builder builder;
        uint64_t count;
        bool begun, failed;
};

static int emitter_send(struct emitter *m, bool end)
{
        if (!m->failed && batch_send(m->log, &m->builder, NULL, !m->begun, end)) {
                m->begun = true;
                return ST_OK;
        }
        m->failed = true;
        return ST_NOMEM;
}

static int emit(void *to, struct bytes key, struct bytes value)
{
        struct emitter *m = to;
        if (builder_full(&m->builder, key, value) && emitter_send(m, false) < 0) return ST_NOMEM;
        if (m->failed || !builder_add(&m->builder, STATE_SNAPSHOT_COMMAND, key, value)) {
                m->failed = true;
                return ST_NOMEM;
        }
        m->count++;
        return ST_OK;
}

static uint64_t log_bytes(const struct state_log *sl)
{
        const struct partition *p = sl->partition;
        return p->n_segments > 0 ? p->append_virt - p->segments[0]->virt : 0;
}

static bool snapshot_due(const struct state_log *sl)
{
        if (sl->snapshotting || sl->partition->append_virt < sl->retry_bytes) return false;
        return log_bytes(sl) > 4 * (uint64_t)sl->fold.size(sl->fold.arg) + SNAPSHOT_SLACK;
}

/* What was sent of a snapshot without an END is ignored by replay. */
static void snapshot_write(struct state_log *sl)
{
        static const struct bytes none = { NULL, 0 };
        struct emitter m = { .log = sl };
        const struct segment *s = partition_active(sl->partition);
        uint8_t count[8];
        assert(sl->in_flight == 0 && !sl->snapshotting && s);
        sl->retry_bytes = sl->partition->append_virt + SNAPSHOT_SLACK;
        if (!builder_init(&m.builder)) return;
        if (s->size > 0 && !append_roll(sl->partition)) m.failed = true;
        if (!m.failed && !builder_add(&m.builder, STATE_SNAPSHOT_BEGIN, none, none))
                m.failed = true;
        if (!m.failed && sl->fold.snapshot(sl->fold.arg, emit, &m) < 0) m.failed = true;
        store_be64(count, m.count);
        struct bytes value = { count, sizeof count };
        if (!m.failed && builder_full(&m.builder, none, value)) emitter_send(&m, false);
        if (!m.failed && builder_add(&m.builder, STATE_SNAPSHOT_END, none, value)) {
                sl->snapshot_failed = false;
                sl->snapshotting = emitter_send(&m, true) == ST_OK;
        }
        if (!sl->snapshotting)
                log_event(LOG_WARN, "no memory for a snapshot of a state log", LOG_END);
        builder_free(&m.builder);
}

/* --- the end of a turn --- */
static void queue_send(struct state_log *sl)
{
        struct builder b;
        struct list taken;
        if (!builder_init(&b)) return; /* the next turn tries again */
        while (!list_empty(&sl->queue)) {
                list_init(&taken);
                while (!list_empty(&sl->queue)) {
                        struct state_command *c =
                            CONTAINER_OF(sl->queue.next, struct state_command, link);
                        if (builder_full(&b, c->key, c->value)) break;
                        if (!builder_add(&b, STATE_COMMAND, c->key, c->value)) break;
                        list_remove(&c->link);
                        list_push_back(&taken, &c->link);
                }
                if (list_empty(&taken) || !batch_send(sl, &b, &taken, false, false)) {
                        /* Back in front, in order. */
                        while (!list_empty(&taken)) {
                                struct list *l = taken.prev;
                                list_remove(l);
                                list_push_front(&sl->queue, l);
                        }
                        break;
                }
        }
        builder_free(&b);
}

static void state_log_turn(struct plan_hook *h)
{
        struct state_log *sl = CONTAINER_OF(h, struct state_log, hook);
        CHECK_OBJ(sl, STATE_LOG_MAGIC);
        if (sl->keep_from > sl->partition->log_start)
                partition_drop_before(sl->partition, sl->keep_from);
        if (snapshot_due(sl)) {
                if (sl->in_flight > 0) return; /* what is in flight belongs before it */
                snapshot_write(sl);
        }
        if (!list_empty(&sl->queue)) queue_send(sl);
}

void state_log_append(struct state_log *sl, struct state_command *c)
{
        CHECK_OBJ(sl, STATE_LOG_MAGIC);
        assert(c->on_applied);
        list_push_back(&sl->queue, &c->link);
}

/* --- life --- */
int state_log_open(struct log_shard *ls, struct uuid topic_id, int32_t partition,
    const struct state_fold *fold, struct state_log **ret_log, struct err *e)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        struct state_log *sl = calloc(1, sizeof *sl);
        struct partition *p = partition_find(ls, topic_id, partition);
        bool fresh = !p;
        if (sl && fresh) p = partition_new(ls, topic_id, partition, &state_config);
        if (!sl || !p) {
                free(sl);
                return err_set(e, ST_NOMEM, "state log: out of memory");
        }
        *sl =
            (struct state_log){ .magic = STATE_LOG_MAGIC, .ls = ls, .partition = p, .fold = *fold };
        partition_configure(p, &state_config);
        list_init(&sl->queue);
        list_init(&sl->hook.link);
        sl->hook.run = state_log_turn;
        int st = fresh ? partition_recover(p, e) : ST_OK;
        if (st == ST_OK) st = state_log_replay(sl, ls->io, e);
        if (st < 0) {
                free(sl);
                return st;
        }
        list_push_back(&ls->hooks, &sl->hook.link);
        *ret_log = sl;
        return ST_OK;
}

void state_log_free(struct state_log *sl)
{
        if (!sl) return;
        CHECK_OBJ(sl, STATE_LOG_MAGIC);
        assert(sl->in_flight == 0 && list_empty(&sl->queue));
        list_remove(&sl->hook.link);
        sl->magic = 0;
        free(sl);
}
