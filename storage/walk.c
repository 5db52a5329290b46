/* The walk's machinery: waiting, bytes, headers, whole batches with their checksum.  See walk.h. */
#include "storage/walk.h"

#include "protocol/crc32c.h"

enum { FREE_WALKS_MAX = 64, TRIES_MAX = 4, AHEAD_MAX = 4, OWN_MIN = 1 << 20 };

static void walk_on_index(struct index_waiter *x);
static void walk_on_room(struct block_waiter *x);

/* --- life --- */
struct walk *walk_new(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        struct log_shard *ls = p->ls;
        struct list *l = list_pop_front(&ls->free_walks);
        if (l) ls->n_free_walks--;
        struct walk *w = l ? CONTAINER_OF(l, struct walk, link) : malloc(sizeof *w);
        if (!w) return NULL;
        memset(w, 0, sizeof *w);
        w->serial = ++ls->walks;
        list_init(&w->link);
        list_init(&w->room.link);
        w->magic = WALK_MAGIC;
        w->ls = ls;
        w->partition = p;
        w->limit_virt = p->durable_virt;
        w->limit_offset = p->durable_end;
        w->indexed.on_loaded = walk_on_index;
        w->room.on_room = walk_on_room;
        partition_hold(p);
        return w;
}

void walk_free(struct walk *w)
{
        CHECK_OBJ(w, WALK_MAGIC);
        struct partition *p = w->partition;
        struct log_shard *ls = w->ls;
        walk_own_drop(w);
        walk_leave(w);
        w->magic = 0;
        if (ls->n_free_walks < FREE_WALKS_MAX) {
                ls->n_free_walks++;
                list_push_back(&ls->free_walks, &w->link);
        } else {
                free(w);
        }
        partition_unhold(p);
}

int walk_start(struct walk *w)
{
        CHECK_OBJ(w, WALK_MAGIC);
        assert(w->run && w->finish);
        return w->run(w);
}

void walk_resume(struct walk *w, int status)
{
        CHECK_OBJ(w, WALK_MAGIC);
        int st = status == ST_OK ? w->run(w) : status;
        if (st != ST_PENDING) w->finish(w, st);
}

static void walk_on_index(struct index_waiter *x)
{
        walk_resume(CONTAINER_OF(x, struct walk, indexed), ST_OK);
}

static void walk_on_room(struct block_waiter *x)
{
        struct walk *w = CONTAINER_OF(x, struct walk, room);
        shard_room_came(w->ls);
        walk_resume(w, ST_OK);
}

/* --- where --- */
void walk_leave(struct walk *w)
{
        struct segment *s = w->segment;
        w->segment = NULL;
        w->have_prev = w->searching = false;
        if (s) segment_unpin(s); /* the walk's own hold keeps the partition */
}

int walk_enter(struct walk *w, struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        if (w->segment != s) {
                walk_leave(w);
                w->segment = s;
                segment_pin(s);
        }
        return index_load(s, &w->indexed) ? ST_OK : ST_PENDING;
}

uint64_t walk_limit(const struct walk *w)
{
        const struct segment *s = w->segment;
        assert(w->limit_virt >= s->virt);
        return MIN(s->size, w->limit_virt - s->virt);
}

int64_t walk_limit_offset(const struct walk *w)
{
        const struct segment *s = w->segment;
        return w->limit_virt - s->virt < s->size ? w->limit_offset : s->end_offset;
}

void walk_at(struct walk *w, struct index_spot spot)
{
        w->pos = spot.pos;
        w->expect = w->segment->base_offset + spot.rel;
        w->max_before = spot.max_before;
        w->have_prev = w->searching = false;
        w->tries = 0;
}

void walk_next(struct walk *w)
{
        w->prev_pos = w->pos;
        w->prev_expect = w->expect;
        w->have_prev = true;
        w->pos += w->batch.size;
        w->expect = batch_last_offset(&w->batch) + 1;
        w->max_before = MAX(w->max_before, w->batch.max_timestamp);
        w->tries = 0;
        if (w->pos >= walk_limit(w)) return;
        int64_t rel = w->expect - w->segment->base_offset;
        if (rel > 0 && rel <= UINT32_MAX && w->pos <= UINT32_MAX)
                index_note(w->segment,
                    (struct index_spot){ (uint32_t)rel, (uint32_t)w->pos, w->max_before });
}

void walk_skip(struct walk *w, const struct boundary *to)
{
        assert(to->pos > w->pos && to->pos <= walk_limit(w));
        w->pos = to->pos;
        w->expect = to->expect;
        w->max_before = to->max_before;
        w->have_prev = false;
        w->tries = 0;
}

/* --- bytes --- */
void walk_ahead(struct walk *w, uint64_t number)
{
        size_t n = MIN((size_t)AHEAD_MAX, w->ls->cache_limit / CACHE_BLOCK / 4);
        if (!w->sequential) return;
        for (size_t i = 0; i < n; i++) cache_ahead(w->ls, w->segment, number + i);
}

static struct span span_of_cached(struct cached *c, uint32_t at, uint32_t n)
{
        return (struct span){
                .p = c->block->data + at,
                .n = n,
                .block = c->block,
                .cached = c,
                .at = at,
                .verified = at >= c->verified_from && at + n <= c->verified_to,
        };
}

static int span_from_cache(struct walk *w, uint64_t pos, uint32_t n, struct span *ret)
{
        int st = ST_OK;
        uint64_t number = pos / CACHE_BLOCK;
        uint32_t at = (uint32_t)(pos % CACHE_BLOCK);
        n = MIN(n, (uint32_t)CACHE_BLOCK - at);
        /* From there on the file may not have it yet, and the tail has. */
        uint64_t tail = tail_begin(w->partition), virt = w->segment->virt + pos;
        assert(virt < tail);
        n = (uint32_t)MIN((uint64_t)n, tail - virt);
        struct cached *c = cache_get(w, number, at + n, &st);
        if (!c) {
                walk_ahead(w, number + 1); /* may evict: only now, when nothing is held */
                return st;
        }
        *ret = span_of_cached(c, at, n);
        return ST_OK;
}

static struct span span_of_chunk(struct walk *w, struct chunk *c, uint64_t pos, uint32_t n)
{
        assert(c->segment == w->segment);
        if (c->finished) w->ls->cache_wanted = true;
        uint32_t at = (uint32_t)(pos - c->pos);
        return (struct span){
                .p = c->block->data + at,
                .n = MIN(n, c->used - at),
                .block = c->block,
                .verified = at >= c->from_disk,
        };
}

int walk_span(struct walk *w, uint64_t pos, uint32_t n, struct span *ret)
{
        assert(n > 0 && pos + n <= walk_limit(w));
        struct chunk *c = tail_find(w->partition, w->segment->virt + pos);
        if (!c) return span_from_cache(w, pos, n, ret);
        *ret = span_of_chunk(w, c, pos, n);
        return ST_OK;
}

bool walk_span_verified(struct walk *w, uint64_t pos, uint32_t n, struct span *ret)
{
        assert(n > 0 && pos + n <= walk_limit(w));
        struct chunk *chunk = tail_find(w->partition, w->segment->virt + pos);
        if (chunk) {
                *ret = span_of_chunk(w, chunk, pos, n);
                return ret->verified;
        }
        uint32_t at = (uint32_t)(pos % CACHE_BLOCK);
        n = MIN(n, (uint32_t)CACHE_BLOCK - at);
        struct cached *c = cache_peek(w, pos / CACHE_BLOCK, at + 1);
        if (!c || at < c->verified_from || at >= c->verified_to) return false;
        *ret = span_of_cached(c, at, MIN(n, c->verified_to - at));
        return true;
}

static int walk_copy(struct walk *w, uint64_t pos, uint8_t *to, uint32_t n)
{
        while (n > 0) {
                struct span x;
                int st = walk_span(w, pos, n, &x);
                if (st != ST_OK) return st;
                memcpy(to, x.p, x.n);
                to += x.n;
                pos += x.n;
                n -= x.n;
        }
        return ST_OK;
}

/* --- headers --- */
void walk_note_damage(struct walk *w, const char *why)
{
        segment_note_bad(w->segment, w->pos, w->expect, why);
}

/* What batch_read cannot know: the leader epoch (0 until there are elections) and the room. */
static int header_at(struct walk *w, uint64_t pos, struct batch *ret, const char **why)
{
        uint8_t bytes[BATCH_HEADER_SIZE];
        uint64_t limit = walk_limit(w);
        *why = "the segment ends inside a batch";
        if (pos + sizeof bytes > limit) return ST_CORRUPT;
        int st = walk_copy(w, pos, bytes, sizeof bytes);
        if (st != ST_OK) return st;
        struct batch b;
        *why = batch_read(bytes, sizeof bytes, false, &b);
        if (!*why && b.size > limit - pos) *why = "length runs past the segment";
        if (!*why && b.leader_epoch != 0) *why = "leader epoch is impossible";
        if (*why) return ST_CORRUPT;
        *ret = b;
        return ST_OK;
}

int walk_header(struct walk *w)
{
        const char *why;
        struct batch b;
        int st = header_at(w, w->pos, &b, &why);
        if (st == ST_OK && b.base_offset != w->expect) {
                st = ST_CORRUPT;
                why = "base offset does not follow";
        }
        if (st == ST_CORRUPT) walk_note_damage(w, why);
        if (st == ST_OK) w->batch = b;
        return st;
}

/* --- whole batches --- */
static void mark_verified(const struct span *x)
{
        struct cached *c = x->cached;
        if (!c) return;
        uint32_t from = x->at, to = x->at + x->n;
        bool touches = c->verified_to > 0 && from <= c->verified_to && to >= c->verified_from;
        c->verified_from = touches ? MIN(from, c->verified_from) : from;
        c->verified_to = touches ? MAX(to, c->verified_to) : to;
}

static bool spans_crc_ok(const struct walk *w, const struct span *spans, uint32_t n)
{
        uint32_t crc = 0, skip = BATCH_CRC_FROM;
        for (uint32_t i = 0; i < n; i++) {
                uint32_t s = MIN(skip, spans[i].n);
                crc = crc32c(crc, spans[i].p + s, spans[i].n - s);
                skip -= s;
        }
        return crc == w->batch.crc;
}

int walk_spans(struct walk *w, struct span spans[SPANS_MAX], uint32_t *ret_n)
{
        uint64_t pos = w->pos;
        uint32_t left = w->batch.size, n = 0;
        bool verified = true;
        if (left > OWN_MIN && w->segment->virt + pos < tail_begin(w->partition))
                return ST_TOO_LARGE;
        while (left > 0) {
                if (n == SPANS_MAX) return ST_TOO_LARGE;
                /* Blocks that are evicted before all are there: then in one piece. */
                if (w->tries > TRIES_MAX + w->batch.size / CACHE_BLOCK) return ST_TOO_LARGE;
                int st = walk_span(w, pos, left, &spans[n]);
                if (st == ST_PENDING) w->tries++;
                if (st != ST_OK) return st;
                verified = verified && spans[n].verified;
                pos += spans[n].n;
                left -= spans[n].n;
                n++;
        }
        if (!verified) {
                if (!spans_crc_ok(w, spans, n)) return ST_CORRUPT;
                for (uint32_t i = 0; i < n; i++) mark_verified(&spans[i]);
        }
        *ret_n = n;
        return ST_OK;
}

/* --- a batch in a block of its own: (room) -> (open) -> read until it is there --- */
static void own_on_open(struct fd_waiter *x, int64_t fd);
static void own_on_read(struct io_op *op);

void walk_own_drop(struct walk *w)
{
        assert(!w->own_reading);
        if (w->own) block_unref(w->own);
        w->own = NULL;
}

static void own_read(struct walk *w, int fd)
{
        w->op.on_done = own_on_read;
        io_read(w->ls->io, &w->op, fd,
            (struct bytes_mut){ w->own->data + w->own_have, w->own_want - w->own_have },
            w->own_pos + w->own_have);
}

/* What only the tail has may not be in the file yet. */
static uint32_t own_from_tail(struct walk *w, uint64_t from, uint64_t size)
{
        uint64_t virt = w->segment->virt + from, tail = tail_begin(w->partition);
        uint64_t end = w->pos + w->batch.size - from;
        if (tail >= virt + end) return (uint32_t)size;
        uint64_t file = tail > virt ? tail - virt : 0;
        bool there =
            tail_copy(w->partition, virt + file, w->own->data + file, (size_t)(end - file));
        assert(there && file % STORE_PAGE == 0);
        return (uint32_t)file;
}

static int own_start(struct walk *w)
{
        uint64_t from = page_down(w->pos), size = page_up(w->pos + w->batch.size) - from;
        if (size > block_pool_limit(w->ls->blocks) / 2) return ST_NOMEM;
        w->own = shard_block_get(w->ls, size);
        if (!w->own) {
                shard_room_wait(w->ls, &w->room);
                return ST_PENDING;
        }
        w->own_pos = from;
        w->own_have = 0;
        w->own_size = (uint32_t)size;
        w->own_want = own_from_tail(w, from, size);
        if (w->own_want == 0) {
                w->own_have = w->own_size;
                return ST_OK;
        }
        w->own_reading = true;
        log_stats_disk_read(w->ls, w->own_want);
        w->opened.on_open = own_on_open;
        int fd = segment_open(w->segment, &w->opened);
        if (fd >= 0) own_read(w, fd);
        if (fd < -1) {
                w->op.on_done = own_on_read;
                io_nop(w->ls->io, &w->op);
        }
        return ST_PENDING;
}

static void own_on_open(struct fd_waiter *x, int64_t fd)
{
        struct walk *w = CONTAINER_OF(x, struct walk, opened);
        if (fd >= 0) {
                own_read(w, (int)fd);
                return;
        }
        w->own_reading = false;
        walk_resume(w, ST_IO);
}

static void own_on_read(struct io_op *op)
{
        struct walk *w = CONTAINER_OF(op, struct walk, op);
        CHECK_OBJ(w, WALK_MAGIC);
        uint64_t needed = MIN(w->pos + w->batch.size - w->own_pos, (uint64_t)w->own_want);
        if (op->res > 0) w->own_have += (uint32_t)op->res;
        if (op->res > 0 && w->own_have < needed && w->own_have % STORE_PAGE == 0) {
                own_read(w, w->segment->fd);
                return;
        }
        w->own_reading = false;
        bool there = w->own_have >= needed;
        if (there) w->own_have = w->own_size;
        walk_resume(w, op->res < 0 ? ST_IO : there ? ST_OK : ST_CORRUPT);
}

int walk_own(struct walk *w)
{
        CHECK_OBJ(w, WALK_MAGIC);
        uint64_t end = w->pos + w->batch.size;
        assert(!w->own_reading);
        if (w->own && (w->own_pos > w->pos || w->own_pos + w->own_have < end)) walk_own_drop(w);
        if (!w->own) {
                int st = own_start(w);
                if (st != ST_OK) return st;
        }
        return batch_crc_ok(w->own->data + (w->pos - w->own_pos), &w->batch) ? ST_OK : ST_CORRUPT;
}

/* --- behind damage --- */
static bool candidate_plausible(struct walk *w, const struct batch *b)
{
        return b->base_offset >= w->search_expect && b->count > 0 &&
               batch_last_offset(b) < walk_limit_offset(w);
}

/* Neither base offset nor length is covered by the checksum: what follows must agree. */
static int candidate_follows(struct walk *w, uint64_t pos, const struct batch *b)
{
        uint64_t next = pos + b->size;
        struct index_spot spot;
        struct batch after;
        const char *why;
        int64_t end = batch_last_offset(b) + 1;
        if (next == walk_limit(w)) return end == walk_limit_offset(w) ? ST_OK : ST_CORRUPT;
        if (index_next(w->segment, pos, &spot) && spot.pos == next)
                return end == w->segment->base_offset + spot.rel ? ST_OK : ST_CORRUPT;
        int st = header_at(w, next, &after, &why);
        return st != ST_OK ? st : after.base_offset == end ? ST_OK : ST_CORRUPT;
}

static int candidate_check(struct walk *w)
{
        const char *why;
        struct batch b;
        struct span spans[SPANS_MAX];
        uint32_t n;
        int st = header_at(w, w->search_pos, &b, &why);
        if (st != ST_OK) return st;
        if (!candidate_plausible(w, &b)) return ST_CORRUPT;
        st = candidate_follows(w, w->search_pos, &b);
        if (st != ST_OK) return st;
        w->pos = w->search_pos;
        w->batch = b;
        st = walk_spans(w, spans, &n);
        return st == ST_TOO_LARGE ? walk_own(w) : st;
}

int walk_search(struct walk *w, bool from_prev)
{
        CHECK_OBJ(w, WALK_MAGIC);
        struct index_spot stop;
        if (!w->searching) {
                bool prev = from_prev && w->have_prev;
                w->searching = true;
                w->search_after = w->pos;
                w->search_pos = prev ? w->prev_pos : w->pos;
                w->search_expect = prev ? w->prev_expect : w->expect;
                w->tries = 0;
        }
        bool spot = index_next(w->segment, w->search_after, &stop);
        uint64_t end = spot ? stop.pos : walk_limit(w);
        for (; w->search_pos < end; w->search_pos++) {
                struct span x;
                uint64_t magic_at = w->search_pos + BATCH_MAGIC;
                if (magic_at >= walk_limit(w)) break;
                int st = walk_span(w, magic_at, 1, &x);
                if (st == ST_OK && *x.p != 2) continue;
                if (st == ST_OK) st = candidate_check(w);
                if (st == ST_OK) {
                        w->expect = w->batch.base_offset;
                        w->have_prev = w->searching = false;
                        return ST_OK;
                }
                if (st != ST_CORRUPT) return st;
                w->tries = 0;
        }
        w->searching = false;
        if (!spot) return ST_CORRUPT;
        walk_at(w, stop);
        return ST_OK;
}
