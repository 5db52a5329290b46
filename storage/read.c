/* A read, when all goes well: find the segment -> its index -> walk to the batch that holds the
 * offset
 * -> collect whole batches, each verified, from the tail's chunks or the cache -> done.
 *
 * It can fail at: the range, a damaged batch (ST_CORRUPT for its offsets alone; what lies behind
 * stays readable), an unreadable file.  On delete it is awaited. */
#include "storage/walk.h"

enum { STEP_SEEK, STEP_WALK, STEP_SEARCH, STEP_GATHER };

/* --- hints: where sequential readers go on --- */
static const struct hint *hint_find(const struct partition *p, int64_t offset)
{
        for (uint32_t i = 0; i < HINTS; i++)
                if (p->hints[i].offset == offset) return &p->hints[i];
        return NULL;
}

static void hint_set(struct partition *p, int64_t from, struct hint h)
{
        struct hint *old = (struct hint *)(uintptr_t)hint_find(p, from);
        if (!old) old = (struct hint *)(uintptr_t)hint_find(p, h.offset);
        if (!old) old = &p->hints[p->next_hint++ % HINTS];
        *old = h;
}

static int seek(struct walk *w)
{
        struct partition *p = w->partition;
        int64_t offset = w->read->offset;
        const struct hint *h = hint_find(p, offset);
        struct segment *s = partition_segment_for(p, offset);
        /* Retention may have moved the start while this waited; or a segment is missing here. */
        if (!s || offset < p->log_start || offset >= s->end_offset) return ST_OUT_OF_RANGE;
        int st = walk_enter(w, s);
        if (st != ST_OK) return st;
        if (h && h->virt >= s->virt && h->virt < s->virt + s->size) {
                walk_at(w, (struct index_spot){ .pos = (uint32_t)(h->virt - s->virt),
                               .rel = (uint32_t)(offset - s->base_offset),
                               .max_before = -1 });
                w->max_before = h->max_before;
                w->sequential = true;
        } else {
                walk_at(w, index_find_offset(s, offset));
        }
        return ST_OK;
}

/* --- collecting --- */
static bool slices_fit(const struct log_read *r, const struct span *spans, uint32_t n)
{
        uint32_t have = r->n_slices;
        if (have > 0) {
                const struct slice *last = &r->slices[have - 1];
                if (last->p + last->n == spans[0].p && last->owner == spans[0].block) have--;
        }
        return have + n <= LOG_READ_SLICES_MAX;
}

static void slices_add(struct walk *w, const struct span *spans, uint32_t n)
{
        struct log_read *r = w->read;
        for (uint32_t i = 0; i < n; i++) {
                struct slice *last = r->n_slices > 0 ? &r->slices[r->n_slices - 1] : NULL;
                r->total += spans[i].n;
                log_stats_span(w, &spans[i]);
                if (last && last->p + last->n == spans[i].p && last->owner == spans[i].block) {
                        last->n += spans[i].n;
                        continue;
                }
                assert(r->n_slices < LOG_READ_SLICES_MAX);
                r->slices[r->n_slices++] = (struct slice){
                        .p = spans[i].p, .n = spans[i].n, .owner = block_ref(spans[i].block)
                };
        }
}

/* Where batches end, at most at `to`: the limit of the walk, or a spot of the index. */
static struct boundary boundary_before(const struct walk *w, uint64_t to)
{
        const struct segment *s = w->segment;
        if (to >= walk_limit(w))
                return (struct boundary){ .pos = walk_limit(w),
                        .expect = walk_limit_offset(w),
                        .max_before = MAX(w->max_before, s->max_timestamp) };
        struct index_spot spot = index_find_position(s, to);
        return (struct boundary){
                .pos = spot.pos, .expect = s->base_offset + spot.rel, .max_before = spot.max_before
        };
}

/* What passed its CRC before is taken up to a known boundary without a look at each header, which
 * would be a cache miss each.  Where damage was found somebody has to look. */
static void gather_verified(struct walk *w)
{
        struct log_read *r = w->read;
        struct span spans[SPANS_MAX];
        const uint64_t from = w->pos;
        const uint64_t room = r->max_bytes - MIN(r->max_bytes, r->total);
        const uint32_t most = SPANS_MAX - r->n_slices;
        if (from < w->skip_from || w->segment->n_bad > 0) return;
        struct boundary to = boundary_before(w, MIN(walk_limit(w), from + room));
        uint64_t pos = from;
        uint32_t n = 0;
        while (pos < to.pos && n < most &&
               walk_span_verified(w, pos, (uint32_t)(to.pos - pos), &spans[n]))
                pos += spans[n++].n;
        if (pos < to.pos) to = boundary_before(w, pos);
        w->skip_from = (pos / CACHE_BLOCK + 1) * CACHE_BLOCK;
        if (to.pos <= from) return;
        for (; pos - spans[n - 1].n >= to.pos; n--) pos -= spans[n - 1].n;
        spans[n - 1].n -= (uint32_t)(pos - to.pos);
        slices_add(w, spans, n);
        walk_skip(w, &to);
}

/* ST_OK: taken; ST_TOO_LARGE: enough for this read. */
static int gather_one(struct walk *w)
{
        struct log_read *r = w->read;
        struct span spans[SPANS_MAX];
        uint32_t n;
        bool first = r->total == 0;
        bool wanted =
            first ? w->batch.size <= r->max_bytes || r->at_least_one
                  : w->batch.size <= r->max_bytes && r->total <= r->max_bytes - w->batch.size;
        if (!wanted) return ST_TOO_LARGE;
        int st = walk_spans(w, spans, &n);
        if (st == ST_TOO_LARGE && !first) return ST_TOO_LARGE;
        if (st == ST_TOO_LARGE) {
                st = walk_own(w);
                if (st != ST_OK) return st;
                spans[0] = (struct span){ .p = w->own->data + (w->pos - w->own_pos),
                        .n = w->batch.size,
                        .block = w->own };
                n = 1;
        }
        if (st != ST_OK) return st;
        if (!slices_fit(r, spans, n)) return ST_TOO_LARGE;
        slices_add(w, spans, n);
        return ST_OK;
}

/* ST_OK: the read is complete. */
static int gather(struct walk *w)
{
        struct log_read *r = w->read;
        for (;;) { /* bounded: each round takes a batch or ends */
                int st = gather_one(w);
                if (st == ST_TOO_LARGE) return ST_OK;
                if (st == ST_CORRUPT) walk_note_damage(w, "checksum");
                if (st != ST_OK) return st == ST_PENDING || r->total == 0 ? st : ST_OK;
                walk_next(w);
                if (w->pos < walk_limit(w)) gather_verified(w);
                if (w->pos >= walk_limit(w)) return ST_OK;
                st = walk_header(w);
                if (st != ST_OK && st != ST_PENDING) return ST_OK; /* the next read is told */
                if (st == ST_PENDING) {
                        w->header_due = true;
                        return st;
                }
        }
}

/* --- the steps --- */
static int step_walk(struct walk *w)
{
        for (;;) { /* bounded by the segment */
                if (w->pos >= walk_limit(w)) return ST_CORRUPT;
                int st = walk_header(w);
                if (st == ST_CORRUPT) {
                        w->search_prev = true;
                        w->step = STEP_SEARCH;
                        return ST_OK;
                }
                if (st != ST_OK) return st;
                if (batch_last_offset(&w->batch) >= w->read->offset) {
                        w->step = STEP_GATHER;
                        return ST_OK;
                }
                walk_next(w);
        }
}

static int step_search(struct walk *w)
{
        int st = walk_search(w, w->search_prev);
        if (st != ST_OK) return st;
        if (w->expect > w->read->offset) return ST_CORRUPT;
        w->step = STEP_WALK;
        return ST_OK;
}

static int step_gather(struct walk *w)
{
        if (w->header_due) {
                int st = walk_header(w);
                if (st == ST_PENDING) return st;
                if (st != ST_OK) return ST_CLOSED;
                w->header_due = false;
        }
        int st = gather(w);
        if (st == ST_OK) return ST_CLOSED;
        if (st == ST_CORRUPT && w->read->total == 0) {
                w->search_prev = false;
                w->step = STEP_SEARCH;
                return ST_OK;
        }
        return st;
}

static int read_run(struct walk *w)
{
        for (;;) { /* each step waits, moves on, or ends */
                int st = ST_OK;
                switch (w->step) {
                case STEP_SEEK:
                        st = seek(w);
                        if (st == ST_OK) w->step = STEP_WALK;
                        break;
                case STEP_WALK:
                        st = step_walk(w);
                        break;
                case STEP_SEARCH:
                        st = step_search(w);
                        break;
                case STEP_GATHER:
                        st = step_gather(w);
                        break;
                default:
                        assert(false);
                }
                if (st == ST_CLOSED) return ST_OK;
                if (st != ST_OK) return st;
        }
}

/* --- in and out --- */
static void read_end(struct walk *w, int status)
{
        struct log_read *r = w->read;
        if (status != ST_OK && r->total > 0)
                status = ST_OK; /* whole batches are good as they are */
        r->status = status;
        if (r->total > 0) {
                hint_set(w->partition, r->offset,
                    (struct hint){ .offset = w->expect,
                        .virt = w->segment->virt + w->pos,
                        .max_before = w->max_before });
                walk_ahead(w, w->pos / CACHE_BLOCK);
                log_stats_read(w);
        }
        walk_free(w);
}

static void read_finish(struct walk *w, int status)
{
        struct log_read *r = w->read;
        read_end(w, status);
        r->on_done(r);
}

static int read_refused(const struct partition *p, int64_t offset)
{
        if (p->deleted) return ST_NOT_FOUND;
        if (p->status != ST_OK) return p->status;
        if (offset < p->log_start || offset > p->append_end) return ST_OUT_OF_RANGE;
        return ST_OK;
}

int partition_read(struct log_read *r)
{
        assert(r && r->on_done);
        struct partition *p = r->partition;
        CHECK_OBJ(p, PARTITION_MAGIC);
        r->high_watermark = p->durable_end;
        r->log_start = p->log_start;
        r->total = r->n_slices = 0;
        r->status = read_refused(p, r->offset);
        if (r->status != ST_OK || r->offset >= p->durable_end) return ST_OK;
        struct walk *w = walk_new(p);
        if (!w) {
                r->status = ST_NOMEM;
                return ST_OK;
        }
        w->run = read_run;
        w->finish = read_finish;
        w->read = r;
        int st = walk_start(w);
        if (st == ST_PENDING) return ST_PENDING;
        read_end(w, st);
        return ST_OK;
}

void log_read_release(struct log_read *r)
{
        for (uint32_t i = 0; i < r->n_slices; i++) block_unref(r->slices[i].owner);
        r->n_slices = r->total = 0;
}

/* Exact where a sequential reader left off and in the tail; else at most an index interval too
 * much. */
uint64_t partition_readable(const struct partition *p, int64_t offset, uint64_t limit)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        if (read_refused(p, offset) != ST_OK || offset >= p->durable_end) return 0;
        const struct hint *h = hint_find(p, offset);
        const struct segment *s = partition_segment_for(p, offset);
        uint64_t virt = s->virt + index_find_offset(s, offset).pos;
        if (h) virt = h->virt;
        /* Batches before the one that holds the offset do not count. */
        uint8_t head[BATCH_HEADER_SIZE];
        struct batch b;
        while (!h && virt >= tail_begin(p) && tail_copy(p, virt, head, sizeof head) &&
               !batch_read(head, sizeof head, false, &b) && batch_last_offset(&b) < offset)
                virt += b.size;
        return virt < p->durable_virt ? MIN(limit, p->durable_virt - virt) : 0;
}
