/* A search by time, when all goes well: first segment whose largest timestamp reaches t -> its
 * index, where the largest timestamp before each spot only grows -> walk to the first batch that
 * reaches t -> the record inside it.  A batch may say more than its records hold; then the walk
 * goes on.
 *
 * Damaged batches are stepped over: the answer is the first readable record. */
#include "storage/walk.h"

#include "protocol/compress.h"

enum { STEP_SEGMENT, STEP_ENTER, STEP_WALK, STEP_SEARCH, STEP_BATCH };
enum { INFLATE_MAX = INT32_MAX };

static struct segment *segment_from(const struct walk *w, int64_t from)
{
        const struct partition *p = w->partition;
        for (uint32_t i = 0; i < p->n_segments; i++) {
                struct segment *s = p->segments[i];
                if (s->base_offset >= w->limit_offset) return NULL;
                if (s->base_offset >= from && s->max_timestamp >= w->find->timestamp) return s;
        }
        return NULL;
}

/* Also when the segment it was in is through. */
static int step_segment(struct walk *w)
{
        int64_t from = w->segment ? w->segment->base_offset + 1 : 0;
        struct segment *s = segment_from(w, from);
        if (!s) return ST_CLOSED;
        w->step = STEP_ENTER;
        return walk_enter(w, s);
}

static int step_enter(struct walk *w)
{
        int st = walk_enter(w, w->segment); /* where a load was waited for */
        if (st != ST_OK) return st;
        walk_at(w, index_find_time(w->segment, w->find->timestamp));
        w->sequential = true;
        w->step = STEP_WALK;
        return ST_OK;
}

static int step_walk(struct walk *w)
{
        for (;;) { /* bounded by the segment */
                if (w->pos >= walk_limit(w)) {
                        w->step = STEP_SEGMENT;
                        return ST_OK;
                }
                int st = walk_header(w);
                if (st == ST_CORRUPT) {
                        w->search_prev = true;
                        w->step = STEP_SEARCH;
                        return ST_OK;
                }
                if (st != ST_OK) return st;
                if (w->batch.max_timestamp >= w->find->timestamp) {
                        w->step = STEP_BATCH;
                        return ST_OK;
                }
                walk_next(w);
        }
}

static int step_search(struct walk *w)
{
        int st = walk_search(w, w->search_prev);
        w->step = st == ST_CORRUPT ? STEP_SEGMENT : STEP_WALK;
        if (st == ST_PENDING) w->step = STEP_SEARCH;
        return st == ST_CORRUPT ? ST_OK : st;
}

/* In one piece: where it lies, or in a block of its own. */
static int whole_batch(struct walk *w, const uint8_t **ret)
{
        struct span spans[SPANS_MAX];
        uint32_t n = 0;
        int st = walk_spans(w, spans, &n);
        if (st == ST_OK && n == 1) {
                *ret = spans[0].p;
                return ST_OK;
        }
        if (st != ST_OK && st != ST_TOO_LARGE) return st;
        st = walk_own(w);
        if (st == ST_OK) *ret = w->own->data + (w->pos - w->own_pos);
        return st;
}

static int step_batch(struct walk *w)
{
        const uint8_t *p = NULL;
        struct log_shard *ls = w->ls;
        struct log_find *f = w->find;
        struct batch_search s = { .timestamp = f->timestamp, .from = w->partition->log_start };
        int st = whole_batch(w, &p);
        if (st == ST_CORRUPT) {
                walk_note_damage(w, "checksum");
                w->search_prev = false;
                w->step = STEP_SEARCH;
                return ST_OK;
        }
        if (st != ST_OK) return st;
        if (!ls->codecs) ls->codecs = codec_ctx_new();
        if (!ls->codecs) return ST_NOMEM;
        int found = batch_find_timestamp(p, &w->batch, ls->codecs, INFLATE_MAX, &s);
        if (found > 0) {
                f->offset = s.found_offset;
                f->found_timestamp = s.found_timestamp;
                return ST_CLOSED;
        }
        if (found < 0) walk_note_damage(w, "records do not parse");
        walk_own_drop(w);
        walk_next(w);
        w->step = STEP_WALK;
        return ST_OK;
}

static int find_run(struct walk *w)
{
        static int (*const steps[])(struct walk *) = {
                [STEP_SEGMENT] = step_segment,
                [STEP_ENTER] = step_enter,
                [STEP_WALK] = step_walk,
                [STEP_SEARCH] = step_search,
                [STEP_BATCH] = step_batch,
        };
        for (;;) { /* each step waits, moves on, or ends */
                assert(w->step < COUNT_OF(steps));
                int st = steps[w->step](w);
                if (st == ST_CLOSED) return ST_OK;
                if (st != ST_OK) return st;
        }
}

static void find_end(struct walk *w, int status)
{
        w->find->status = status;
        walk_free(w);
}

static void find_finish(struct walk *w, int status)
{
        struct log_find *f = w->find;
        find_end(w, status);
        f->on_done(f);
}

static int64_t biggest_timestamp(const struct partition *p)
{
        int64_t t = -1;
        for (uint32_t i = 0; i < p->n_segments; i++) t = MAX(t, p->segments[i]->max_timestamp);
        return t;
}

int partition_find_time(struct log_find *f)
{
        assert(f && f->on_done);
        struct partition *p = f->partition;
        CHECK_OBJ(p, PARTITION_MAGIC);
        f->offset = f->found_timestamp = -1;
        f->status = p->deleted ? ST_NOT_FOUND : p->status;
        int64_t biggest = biggest_timestamp(p);
        bool none = f->timestamp == LOG_TIME_MAX ? biggest < 0 : f->timestamp > biggest;
        if (f->status != ST_OK || none || p->log_start == p->durable_end) return ST_OK;
        if (f->timestamp == LOG_TIME_MAX) f->timestamp = biggest;
        struct walk *w = walk_new(p);
        if (!w) {
                f->status = ST_NOMEM;
                return ST_OK;
        }
        w->run = find_run;
        w->finish = find_finish;
        w->find = f;
        int st = walk_start(w);
        if (st == ST_PENDING) return ST_PENDING;
        find_end(w, st);
        return ST_OK;
}
