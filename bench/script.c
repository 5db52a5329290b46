/* Simulates the arrival of records and the closing of batches, and encodes what comes out. */
#include "bench/script.h"

#include "base/check.h"
#include "base/list.h"
#include "base/status.h"

enum { RECORDS_FIRST = 16, FRAMES_FIRST = 64, FRAMES_MAX = 1 << 20, RECORD_OVERHEAD = 12 };

/* A batch that fills. */
struct open_batch {
        struct list link; /* in builder.waiting, while it has records */
        struct record_in *records;
        char (*keys)[KEY_TEXT_LEN];
        uint32_t n, cap, bytes, partition;
        double first_ns;
        bool full;
};

struct builder {
        const struct script_spec *s;
        struct script *script;
        struct rng rng;
        struct open_batch *open; /* by partition - s->first */
        struct list waiting;     /* by age */
        uint32_t n_full;
        uint32_t cursor, rounds; /* unkeyed: the partition that fills */
        double now_ns;
        uint8_t *seen; /* partitions that occur */
};

static bool timed(const struct script_spec *s)
{
        return s->rate.records > 0 || s->rate.bytes > 0;
}

/* --- emitting --- */

static int by_partition(const void *a, const void *b)
{
        const struct open_batch *const *x = a, *const *y = b;
        return ((*x)->partition > (*y)->partition) - ((*x)->partition < (*y)->partition);
}

static int encode_picked(struct builder *b, struct open_batch **picked, struct frame *f,
    struct bytes_mut *images, struct err *e)
{
        f->oldest_ns = f->due_ns;
        for (uint32_t n = f->n_batches, i = 0; i < n; i++) {
                struct open_batch *o = picked[i];
                for (uint32_t k = 0; k < o->n; k++)
                        if (b->s->keys->dist.kind != KEYS_NONE)
                                o->records[k].key =
                                    (struct bytes){ (uint8_t *)o->keys[k], KEY_TEXT_LEN };
                f->batches[i].partition = o->partition;
                int r =
                    frame_batch_make(&b->s->frame, o->records, o->n, &images[i], &f->batches[i], e);
                if (r < 0) return r;
                if (b->s->linger_ns) f->oldest_ns = MIN(f->oldest_ns, o->first_ns);
        }
        return frame_encode(&b->s->frame, f, images, e);
}

static int push_frame(struct script *s, struct frame *f, struct err *e)
{
        if (s->n == s->cap) {
                uint32_t cap = s->cap ? s->cap * 2 : FRAMES_FIRST;
                struct frame *more = realloc(s->frames, cap * sizeof *more);
                if (!more) return err_set(e, ST_NOMEM, "no memory for %u requests", cap);
                s->frames = more;
                s->cap = cap;
        }
        s->frames[s->n++] = *f;
        s->records += f->records;
        s->bytes += f->size;
        return 0;
}

/* The oldest batches, at most as many as a request takes; only full ones, or all. */
static uint32_t pick(struct builder *b, struct open_batch **picked, bool all)
{
        uint32_t n = 0;
        struct list *next;
        for (struct list *l = b->waiting.next; l != &b->waiting; l = next) {
                next = l->next;
                struct open_batch *o = CONTAINER_OF(l, struct open_batch, link);
                if (n == b->s->partitions_per_request) break;
                if (!all && !o->full) continue;
                list_remove(l);
                if (o->full) b->n_full--;
                picked[n++] = o;
        }
        return n;
}

static void forget(struct builder *b, struct open_batch **picked, uint32_t n)
{
        for (uint32_t i = 0; i < n; i++) {
                uint8_t *seen = &b->seen[picked[i]->partition - b->s->first];
                b->script->covered += *seen == 0;
                *seen = 1;
                picked[i]->n = picked[i]->bytes = 0;
                picked[i]->full = false;
        }
}

static int emit(struct builder *b, double due_ns, bool all, struct err *e)
{
        uint32_t most = b->s->partitions_per_request;
        struct open_batch **picked = calloc(most, sizeof *picked);
        struct bytes_mut *images = calloc(most, sizeof *images);
        struct frame f = { .due_ns = due_ns };
        if (picked && images) {
                f.n_batches = pick(b, picked, all);
                f.batches = calloc(MAX(f.n_batches, 1U), sizeof *f.batches);
        }
        int r = f.batches ? 0 : err_set(e, ST_NOMEM, "no memory for a request");
        if (r == 0) {
                assert(f.n_batches > 0);
                qsort(picked, f.n_batches, sizeof *picked, by_partition);
                r = encode_picked(b, picked, &f, images, e);
        }
        if (r == 0) r = push_frame(b->script, &f, e);
        if (r == 0)
                forget(b, picked, f.n_batches);
        else
                frame_free(&f);
        for (uint32_t i = 0; images && i < most; i++) free(images[i].p);
        free(images);
        free(picked);
        return r;
}

/* --- filling --- */

static int make_room(struct open_batch *o, struct err *e)
{
        if (o->n < o->cap) return 0;
        uint32_t cap = o->cap ? o->cap * 2 : RECORDS_FIRST;
        struct record_in *records = realloc(o->records, cap * sizeof *records);
        if (records) o->records = records;
        char(*keys)[KEY_TEXT_LEN] = records ? realloc(o->keys, cap * sizeof *keys) : NULL;
        if (!keys) return err_set(e, ST_NOMEM, "no memory for a batch");
        o->keys = keys;
        o->cap = cap;
        return 0;
}

static uint32_t choose_partition(struct builder *b, char *key)
{
        const struct script_spec *s = b->s;
        if (s->keys->dist.kind == KEYS_NONE) return b->cursor;
        key_text(keys_draw(s->keys, &b->rng), key);
        uint32_t topic = (uint32_t)rng_below(&b->rng, s->frame.topics->n);
        uint32_t partitions = s->frame.topics->partitions;
        return topic * partitions + key_partition(key, KEY_TEXT_LEN, partitions);
}

static int mark_full(struct builder *b, struct open_batch *o, struct err *e)
{
        o->full = true;
        b->n_full++;
        if (b->s->keys->dist.kind == KEYS_NONE && o->partition - b->s->first == b->cursor) {
                b->cursor = (b->cursor + 1) % b->s->n_partitions;
                b->rounds += b->cursor == b->s->start;
        }
        return b->n_full == b->s->partitions_per_request ? emit(b, b->now_ns, false, e) : 0;
}

static int add(
    struct builder *b, struct open_batch *o, struct bytes value, const char *key, struct err *e)
{
        int r = make_room(o, e);
        if (r < 0) return r;
        if (o->n == 0) {
                o->first_ns = b->now_ns;
                list_push_back(&b->waiting, &o->link);
        }
        memcpy(o->keys[o->n], key, KEY_TEXT_LEN);
        o->records[o->n++] =
            (struct record_in){ .timestamp = b->s->wall_ms, .key = { NULL, -1 }, .value = value };
        o->bytes += (uint32_t)value.n + RECORD_OVERHEAD;
        bool full = o->n >= b->s->batch_records || o->bytes >= b->s->batch_bytes;
        return full ? mark_full(b, o, e) : 0;
}

/* Lets batches leave whose first record has waited long enough. */
static int expire(struct builder *b, struct err *e)
{
        double linger = (double)b->s->linger_ns;
        if (b->s->linger_ns == 0) return 0;
        while (!list_empty(&b->waiting)) {
                struct open_batch *o =
                    CONTAINER_OF(list_first(&b->waiting), struct open_batch, link);
                if (o->first_ns + linger > b->now_ns) return 0;
                int r = emit(b, o->first_ns + linger, true, e);
                if (r < 0) return r;
        }
        return 0;
}

static int one_record(struct builder *b, struct err *e)
{
        const struct script_spec *s = b->s;
        char key[KEY_TEXT_LEN] = { 0 };
        struct bytes value = payload_draw(s->payload, &b->rng, size_draw(&s->size, &b->rng));
        double user = value.n + (s->keys->dist.kind == KEYS_NONE ? 0 : KEY_TEXT_LEN);
        if (s->rate.bytes > 0)
                b->now_ns += user / s->rate.bytes * 1e9;
        else if (s->rate.records > 0)
                b->now_ns += 1e9 / s->rate.records;
        int r = expire(b, e);
        if (r < 0) return r;
        struct open_batch *o = &b->open[choose_partition(b, key)];
        bool over = o->n && o->bytes + (uint32_t)value.n + RECORD_OVERHEAD > s->batch_bytes;
        if (over && !o->full) r = mark_full(b, o, e);
        /* A request names a partition once: its full batch leaves before the next one begins. */
        if (r == 0 && o->full) r = emit(b, b->now_ns, false, e);
        if (r == 0 && over && s->keys->dist.kind == KEYS_NONE) o = &b->open[b->cursor];
        return r < 0 ? r : add(b, o, value, key, e);
}

static bool enough(const struct builder *b)
{
        const struct script_spec *s = b->s;
        const struct script *x = b->script;
        if (x->n >= FRAMES_MAX) return true;
        if (x->n < s->frames_least) return false;
        if (x->bytes >= s->ring_bytes) return true;
        bool alike = s->keys->dist.kind == KEYS_NONE && s->size.kind == SIZE_FIXED &&
                     s->payload->kind.type != PAYLOAD_LINES && s->linger_ns == 0;
        return alike && b->rounds > 0 && b->n_full == 0;
}

/* Records that were left out must not lower the rate: the round takes as long as its own need. */
static void set_period(struct builder *b)
{
        struct script *x = b->script;
        double user = 0, factor = 0;
        for (uint32_t i = 0; i < x->n; i++) user += (double)x->frames[i].user_bytes;
        if (b->s->rate.bytes > 0)
                x->period_ns = user / b->s->rate.bytes * 1e9;
        else if (b->s->rate.records > 0)
                x->period_ns = (double)x->records / b->s->rate.records * 1e9;
        if (timed(b->s)) factor = x->period_ns / b->now_ns;
        for (uint32_t i = 0; i < x->n; i++) {
                x->frames[i].due_ns *= factor;
                x->frames[i].oldest_ns *= factor;
        }
}

static int run_builder(struct builder *b, struct err *e)
{
        int r = 0;
        while (r == 0 && !enough(b)) r = one_record(b, e);
        /* Full and late batches belong to this round; what only began is left out. */
        while (r == 0 && (b->n_full > 0 || (b->s->linger_ns && !list_empty(&b->waiting))))
                r = emit(b, b->now_ns, b->s->linger_ns > 0, e);
        if (r == 0) set_period(b);
        return r;
}

int script_build(const struct script_spec *s, struct script *ret, struct err *e)
{
        assert(s->n_partitions > 0 && s->batch_records > 0 && s->partitions_per_request > 0);
        assert(s->linger_ns == 0 || timed(s));
        struct script script = { .spec = s->frame };
        struct builder b = { .s = s,
                .script = &script,
                .rng = { s->seed },
                .cursor = s->start,
                .open = calloc(s->n_partitions, sizeof *b.open),
                .seen = calloc(s->n_partitions, 1) };
        list_init(&b.waiting);
        int r = b.open && b.seen ? 0 : err_set(e, ST_NOMEM, "no memory for the partitions");
        for (uint32_t i = 0; r == 0 && i < s->n_partitions; i++) b.open[i].partition = s->first + i;
        if (r == 0) r = run_builder(&b, e);
        for (uint32_t i = 0; b.open && i < s->n_partitions; i++) {
                free(b.open[i].records);
                free(b.open[i].keys);
        }
        free(b.open);
        free(b.seen);
        if (r == 0)
                *ret = script;
        else
                script_free(&script);
        return r;
}

void script_free(struct script *s)
{
        for (uint32_t i = 0; i < s->n; i++) frame_free(&s->frames[i]);
        free(s->frames);
        *s = (struct script){ 0 };
}
