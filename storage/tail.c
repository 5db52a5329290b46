/* The tail of a partition: its newest bytes in memory, in chunks that hold exactly what is, or will
 * be, in the segment file at their position.  A chunk is only ever appended to.  While it holds
 * bytes that are not durable it stays; afterwards, once full, it is cache for consumers that follow
 * the log, and goes in the order it came when memory is wanted.
 *
 * The bytes of a chunk that were read back from the file (after a start, or when an idle tail had
 * been let go) were not checked here: readers verify batches that reach into them. */
#include "storage/internal.h"

enum { CHUNK_FAST_MS = 50, CHUNK_SLOW_MS = 20000, IDLE_MS = 30000, CHUNK_GROWTH = 4 };
#define MS_NS UINT64_C(1000000)

static uint64_t chunk_virt(const struct chunk *c)
{
        return c->segment->virt + c->pos;
}

struct chunk *tail_last(const struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        return p->n_chunks > p->first_chunk ? p->chunks[p->n_chunks - 1] : NULL;
}

uint64_t tail_begin(const struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        return p->n_chunks > p->first_chunk ? chunk_virt(p->chunks[p->first_chunk]) : UINT64_MAX;
}

struct chunk *tail_find(const struct partition *p, uint64_t virt)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        uint32_t low = p->first_chunk, high = p->n_chunks;
        while (low < high) {
                uint32_t mid = low + (high - low) / 2;
                if (chunk_virt(p->chunks[mid]) <= virt)
                        low = mid + 1;
                else
                        high = mid;
        }
        if (low == p->first_chunk) return NULL;
        struct chunk *c = p->chunks[low - 1];
        return virt < chunk_virt(c) + c->used ? c : NULL;
}

bool tail_copy(const struct partition *p, uint64_t virt, void *to, size_t n)
{
        uint8_t *at = to;
        while (n > 0) {
                const struct chunk *c = tail_find(p, virt);
                if (!c) return false;
                size_t from = (size_t)(virt - chunk_virt(c));
                size_t piece = MIN(n, c->used - from);
                memcpy(at, c->block->data + from, piece);
                at += piece;
                virt += piece;
                n -= piece;
        }
        return true;
}

/* --- growing --- */
/* Room in the array for one more. */
static bool chunks_reserve(struct partition *p)
{
        if (p->n_chunks < p->cap_chunks) return true;
        uint32_t n = p->n_chunks - p->first_chunk;
        if (p->first_chunk >= p->cap_chunks / 2 && p->first_chunk > 0) {
                memmove(p->chunks, p->chunks + p->first_chunk, n * sizeof *p->chunks);
                p->first_chunk = 0;
                p->n_chunks = n;
                return true;
        }
        uint32_t cap = MAX(p->cap_chunks * 2, 2U);
        struct chunk **all = realloc(p->chunks, cap * sizeof *all);
        if (!all) return false;
        p->chunks = all;
        p->cap_chunks = cap;
        return true;
}

struct chunk *tail_push(struct partition *p, struct segment *s, uint64_t pos, struct block *b)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        assert(pos % STORE_PAGE == 0 && b->cap % STORE_PAGE == 0);
        struct chunk *c = chunks_reserve(p) ? calloc(1, sizeof *c) : NULL;
        if (!c) return NULL;
        c->magic = CHUNK_MAGIC;
        c->segment = s;
        c->pos = pos;
        c->block = b;
        list_init(&c->link);
        p->chunks[p->n_chunks++] = c;
        return c;
}

/* The next size by how long the newest chunk lasted. */
static size_t next_size(struct partition *p, size_t want)
{
        uint64_t now = io_now_ns(p->ls->io);
        uint64_t took = now - p->chunk_ns;
        if (p->chunk_ns == 0 || took > CHUNK_SLOW_MS * MS_NS)
                p->chunk_size = CHUNK_MIN;
        else if (took < CHUNK_FAST_MS * MS_NS)
                p->chunk_size = MIN(p->chunk_size * CHUNK_GROWTH, (uint32_t)CHUNK_MAX);
        p->chunk_ns = now;
        return MAX((size_t)p->chunk_size, page_up(want));
}

bool tail_grow(struct partition *p, struct segment *s, uint64_t pos, size_t want)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        assert(want > 0);
        size_t size = next_size(p, want);
        struct block *b = shard_block_get(p->ls, size);
        if (!b && size > page_up(want)) b = shard_block_get(p->ls, page_up(want));
        if (!b) return false;
        if (tail_push(p, s, pos, b)) return true;
        block_unref(b);
        return false;
}

/* --- letting go --- */
static void chunk_free(struct log_shard *ls, struct chunk *c)
{
        CHECK_OBJ(c, CHUNK_MAGIC);
        if (c->finished) ls->cache_used -= c->block->cap;
        list_remove(&c->link);
        block_unref(c->block); /* a reader's reference keeps the bytes */
        c->magic = 0;
        free(c);
}

void tail_drop_first(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        assert(p->first_chunk < p->n_chunks);
        chunk_free(p->ls, p->chunks[p->first_chunk++]);
        if (p->first_chunk == p->n_chunks) p->first_chunk = p->n_chunks = 0;
}

bool tail_evict_one(struct log_shard *ls)
{
        struct list *l = list_first(&ls->finished);
        if (!l) return false;
        struct chunk *c = CONTAINER_OF(l, struct chunk, link);
        struct partition *p = c->segment->partition;
        assert(p->chunks[p->first_chunk] == c); /* they finish in order */
        cache_size_gone(ls, c->segment, c->pos, c->block->cap);
        tail_drop_first(p);
        return true;
}

void tail_drop_all(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        while (p->first_chunk < p->n_chunks) tail_drop_first(p);
}

void tail_discard(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        for (struct chunk *c = tail_last(p); c; c = tail_last(p)) {
                uint64_t from = chunk_virt(c);
                if (from < p->append_virt) {
                        c->used = (uint32_t)MIN((uint64_t)c->used, p->append_virt - from);
                        break;
                }
                chunk_free(p->ls, c);
                p->n_chunks--;
                if (p->first_chunk == p->n_chunks) p->first_chunk = p->n_chunks = 0;
        }
}

void tail_pop_empty(struct partition *p)
{
        struct chunk *c = tail_last(p);
        assert(c && c->used == 0);
        chunk_free(p->ls, c);
        p->n_chunks--;
        if (p->first_chunk == p->n_chunks) p->first_chunk = p->n_chunks = 0;
}

void tail_settle(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        struct log_shard *ls = p->ls;
        uint32_t i = p->n_chunks;
        while (i > p->first_chunk && !p->chunks[i - 1]->finished) i--;
        for (; i < p->n_chunks; i++) {
                struct chunk *c = p->chunks[i];
                bool durable = c->pos + c->used <= c->segment->durable;
                bool last = i + 1 == p->n_chunks && c->used < c->block->cap &&
                            c->segment == partition_active(p);
                if (!durable || last) break;
                c->finished = true;
                ls->cache_used += c->block->cap;
                list_push_back(&ls->finished, &c->link);
        }
        shard_cache_trim(ls, 0);
}

void tail_drop_idle(struct partition *p, uint64_t now_ns)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        struct chunk *c = tail_last(p);
        if (!c || c->finished || p->flush || p->tail_loading) return;
        if (!list_empty(&p->queue) || now_ns - p->appended_ns < IDLE_MS * MS_NS) return;
        if (partition_unsettled(p)) { /* only the journal has it; next time the chunk can go */
                flush_idle(p);
                return;
        }
        /* The next append reads its page back. */
        tail_drop_all(p);
        p->chunk_ns = 0;
        log_mark("tail: idle chunk let go");
}

/* --- reading the last page back: open -> read -> appends go on --- */
struct tail_load {
        struct io_op op;
        struct fd_waiter opened;
        struct segment *segment;
        struct block *block;
        uint64_t pos;
        uint32_t used;
};

static void tail_load_on_open(struct fd_waiter *w, int64_t fd);
static void tail_load_on_read(struct io_op *op);

bool tail_needs_load(const struct partition *p)
{
        const struct segment *s = partition_active(p);
        return s && s->size % STORE_PAGE != 0 && (!tail_last(p) || tail_last(p)->segment != s);
}

static void tail_load_finish(struct tail_load *t, int status)
{
        struct segment *s = t->segment;
        struct partition *p = s->partition;
        p->tail_loading = false;
        struct chunk *c = NULL;
        if (status == ST_OK && !p->deleted) c = tail_push(p, s, t->pos, t->block);
        if (c) {
                c->used = c->from_disk = t->used;
        } else {
                block_unref(t->block);
                append_fail_queue(p, status == ST_OK ? ST_NOMEM : status);
        }
        free(t);
        append_run(p);
        segment_unpin(s);
}

void tail_load(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        struct segment *s = partition_active(p);
        assert(!p->tail_loading && tail_needs_load(p) && s->durable == s->size);
        struct tail_load *t = calloc(1, sizeof *t);
        struct block *b = t ? shard_block_get(p->ls, CHUNK_MIN) : NULL;
        if (!b) {
                free(t);
                if (!p->room_wanted) {
                        p->room_wanted = true;
                        shard_room_wait(p->ls, &p->room);
                }
                return;
        }
        /* What remains of other segments' chunks is contiguous with nothing of this one. */
        tail_drop_all(p);
        t->segment = s;
        t->block = b;
        t->pos = page_down(s->size);
        t->used = (uint32_t)(s->size - t->pos);
        p->tail_loading = true;
        p->chunk_ns = io_now_ns(p->ls->io);
        p->chunk_size = CHUNK_MIN;
        t->opened.on_open = tail_load_on_open;
        segment_pin(s);
        int fd = segment_open(s, &t->opened);
        if (fd >= 0) tail_load_on_open(&t->opened, fd);
        if (fd < -1) { /* no memory: fails like an unreadable file, later */
                t->op.on_done = tail_load_on_read;
                io_nop(p->ls->io, &t->op);
        }
}

static void tail_load_on_open(struct fd_waiter *w, int64_t fd)
{
        struct tail_load *t = CONTAINER_OF(w, struct tail_load, opened);
        if (fd < 0) {
                tail_load_finish(t, ST_IO);
                return;
        }
        t->op.on_done = tail_load_on_read;
        io_read(t->segment->partition->ls->io, &t->op, (int)fd,
            (struct bytes_mut){ t->block->data, STORE_PAGE }, t->pos);
}

static void tail_load_on_read(struct io_op *op)
{
        struct tail_load *t = CONTAINER_OF(op, struct tail_load, op);
        tail_load_finish(t, op->res >= (int64_t)t->used ? ST_OK : ST_IO);
}
