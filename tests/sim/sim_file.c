/* Content of one simulated file: what reads see now, what is durable, and the changes between the
 * two in order.  A crash decides for every granule of every change. */
#include "tests/sim/sim_impl.h"

#include <errno.h>

enum { CHUNK = 64 << 10 };

/* --- sparse bytes --- */

static void blob_reserve(struct sim_blob *b, size_t chunks)
{
        if (chunks <= b->n_chunks) return;
        size_t n = MAX(chunks, b->n_chunks * 2);
        b->chunks = realloc(b->chunks, n * sizeof *b->chunks);
        if (!b->chunks) abort();
        memset(b->chunks + b->n_chunks, 0, (n - b->n_chunks) * sizeof *b->chunks);
        b->n_chunks = n;
}

static void blob_put(struct sim_blob *b, const uint8_t *p, size_t n, uint64_t off)
{
        while (n > 0) {
                size_t chunk = (size_t)(off / CHUNK), at = (size_t)(off % CHUNK);
                size_t part = MIN(n, CHUNK - at);
                blob_reserve(b, chunk + 1);
                if (!b->chunks[chunk]) b->chunks[chunk] = sim_alloc(CHUNK);
                memcpy(b->chunks[chunk] + at, p, part);
                p += part, off += part, n -= part;
        }
        b->size = MAX(b->size, off);
}

size_t sim_blob_read(const struct sim_blob *b, void *to, size_t n, uint64_t off)
{
        uint8_t *p = to;
        if (off >= b->size) return 0;
        n = (size_t)MIN((uint64_t)n, b->size - off);
        for (size_t left = n; left > 0;) {
                size_t chunk = (size_t)(off / CHUNK), at = (size_t)(off % CHUNK);
                size_t part = MIN(left, CHUNK - at);
                if (chunk < b->n_chunks && b->chunks[chunk])
                        memcpy(p, b->chunks[chunk] + at, part);
                else
                        memset(p, 0, part);
                p += part, off += part, left -= part;
        }
        return n;
}

static void blob_resize(struct sim_blob *b, uint64_t size)
{
        if (size < b->size) {
                size_t first = (size_t)(size / CHUNK), at = (size_t)(size % CHUNK);
                for (size_t i = first; i < b->n_chunks; i++) {
                        if (!b->chunks[i]) continue;
                        if (i == first && at > 0) {
                                memset(b->chunks[i] + at, 0, CHUNK - at);
                        } else {
                                free(b->chunks[i]);
                                b->chunks[i] = NULL;
                        }
                }
        }
        b->size = size;
}

static void blob_free(struct sim_blob *b)
{
        for (size_t i = 0; i < b->n_chunks; i++) free(b->chunks[i]);
        free(b->chunks);
        *b = (struct sim_blob){ 0 };
}

static void blob_copy(struct sim_blob *to, const struct sim_blob *from)
{
        blob_free(to);
        blob_reserve(to, from->n_chunks);
        for (size_t i = 0; i < from->n_chunks; i++) {
                if (!from->chunks[i]) continue;
                to->chunks[i] = sim_alloc(CHUNK);
                memcpy(to->chunks[i], from->chunks[i], CHUNK);
        }
        to->size = from->size;
}

static bool blob_zero(const struct sim_blob *b, uint64_t off, uint64_t n)
{
        uint8_t buf[SIM_GRANULE];
        size_t got = sim_blob_read(b, buf, (size_t)MIN(n, sizeof buf), off);
        for (size_t i = 0; i < got; i++)
                if (buf[i]) return false;
        return true;
}

/* --- changes --- */

static size_t granules(const struct sim_change *c)
{
        uint64_t from = c->off / SIM_GRANULE,
                 to = (c->off + c->len + SIM_GRANULE - 1) / SIM_GRANULE;
        return (size_t)(to - from);
}

static void change_free(struct sim_change *c)
{
        list_remove(&c->link);
        free(c->data);
        free(c->gone);
        free(c);
}

static struct sim_change *change_new(
    struct sim_world *w, struct sim_file *f, enum sim_change_kind kind)
{
        struct sim_change *c = sim_alloc(sizeof *c);
        c->kind = kind;
        c->seq = ++w->disk.next_seq;
        list_push_back(&f->changes, &c->link);
        return c;
}

/* The part of c that lies in its granule g. */
static struct bytes_mut granule_of(const struct sim_change *c, size_t g, uint64_t *ret_off)
{
        uint64_t base = (c->off / SIM_GRANULE + g) * SIM_GRANULE;
        uint64_t from = MAX(base, c->off), to = MIN(base + SIM_GRANULE, c->off + c->len);
        *ret_off = from;
        return (struct bytes_mut){ c->data + (from - c->off), (size_t)(to - from) };
}

static void change_apply(struct sim_file *f, const struct sim_change *c)
{
        if (c->kind == SIM_SIZE) blob_resize(&f->durable, c->off);
        if (c->kind == SIM_EXTEND && c->off > f->durable.size) blob_resize(&f->durable, c->off);
        if (c->kind != SIM_WRITE) return;
        for (size_t g = 0, n = granules(c); g < n; g++) {
                uint64_t off;
                struct bytes_mut part = granule_of(c, g, &off);
                if (!c->gone[g]) blob_put(&f->durable, part.p, part.n, off);
        }
}

void sim_file_init(struct sim_file *f)
{
        *f = (struct sim_file){ 0 };
        list_init(&f->changes);
}

void sim_file_free(struct sim_file *f)
{
        while (!list_empty(&f->changes))
                change_free(CONTAINER_OF(f->changes.next, struct sim_change, link));
        blob_free(&f->now);
        blob_free(&f->durable);
}

void sim_file_write(
    struct sim_world *w, struct sim_file *f, const uint8_t *p, size_t n, uint64_t off)
{
        if (n == 0) return;
        struct sim_change *c = change_new(w, f, SIM_WRITE);
        c->off = off;
        c->len = n;
        c->data = sim_alloc(n);
        memcpy(c->data, p, n);
        c->gone = sim_alloc(granules(c));
        blob_put(&f->now, p, n, off);
}

void sim_file_size(struct sim_world *w, struct sim_file *f, uint64_t size, bool only_grow)
{
        if (only_grow && size <= f->now.size) return;
        change_new(w, f, only_grow ? SIM_EXTEND : SIM_SIZE)->off = size;
        blob_resize(&f->now, size);
}

void sim_file_sync(struct sim_file *f, uint64_t seq)
{
        for (struct list *l = f->changes.next, *next; next = l->next, l != &f->changes; l = next) {
                struct sim_change *c = CONTAINER_OF(l, struct sim_change, link);
                if (c->seq > seq) return;
                change_apply(f, c);
                change_free(c);
        }
}

/* Older un-synced bytes under a durable write can no longer come up. */
static void supersede(struct sim_file *f, uint64_t off, uint64_t len)
{
        for (struct list *l = f->changes.next; l != &f->changes; l = l->next) {
                struct sim_change *c = CONTAINER_OF(l, struct sim_change, link);
                if (c->kind != SIM_WRITE) continue;
                uint64_t first = c->off / SIM_GRANULE;
                for (size_t g = 0, n = granules(c); g < n; g++) {
                        uint64_t at = (first + g) * SIM_GRANULE;
                        if (at + SIM_GRANULE > off && at < off + len) c->gone[g] = 1;
                }
        }
}

void sim_file_dsync(struct sim_file *f, uint64_t off, uint64_t len)
{
        for (struct list *l = f->changes.next, *next; next = l->next, l != &f->changes; l = next) {
                struct sim_change *c = CONTAINER_OF(l, struct sim_change, link);
                if (c->kind == SIM_WRITE) continue;
                change_apply(f, c);
                change_free(c);
        }
        /* What reads see in the range is what the disk holds from now on. */
        uint8_t buf[4096];
        uint64_t from = off / SIM_GRANULE * SIM_GRANULE, end = MIN(off + len, f->now.size);
        while (from < end) {
                size_t got = sim_blob_read(&f->now, buf, (size_t)MIN(sizeof buf, end - from), from);
                assert(got > 0);
                blob_put(&f->durable, buf, got, from);
                from += got;
        }
        supersede(f, off, len);
}

void sim_file_forget(struct sim_file *f, uint64_t seq)
{
        for (struct list *l = f->changes.next, *next; next = l->next, l != &f->changes; l = next) {
                struct sim_change *c = CONTAINER_OF(l, struct sim_change, link);
                if (c->seq > seq) return;
                change_free(c);
        }
}

/* --- the crash --- */

enum fate { LOSE_ALL, KEEP_ALL, KEEP_PREFIX, KEEP_RANDOM, FATE_COUNT };

static void crash_write(struct sim_world *w, struct sim_file *f, struct sim_change *c)
{
        size_t n = granules(c);
        enum fate fate = (enum fate)sim_below(w, FATE_COUNT);
        size_t prefix = (size_t)sim_below(w, n + 1);
        unsigned keep = (unsigned)sim_below(w, 1001);
        for (size_t g = 0; g < n; g++) {
                uint64_t off;
                struct bytes_mut part = granule_of(c, g, &off);
                if (c->gone[g]) continue;
                bool kept = fate == KEEP_ALL || (fate == KEEP_PREFIX && g < prefix) ||
                            (fate == KEEP_RANDOM && sim_chance(w, keep));
                /* Noise only where nothing was: a granule is atomic, old bytes do not rot. */
                if (!kept && w->options.garble && sim_chance(w, 200) &&
                    blob_zero(&f->durable, off, part.n)) {
                        for (size_t i = 0; i < part.n; i++) part.p[i] = (uint8_t)sim_random(w);
                        w->stats.granules_garbled++;
                        blob_put(&f->durable, part.p, part.n, off);
                } else if (kept) {
                        w->stats.granules_kept++;
                        blob_put(&f->durable, part.p, part.n, off);
                } else {
                        w->stats.granules_lost++;
                }
        }
}

void sim_file_crash(struct sim_world *w, struct sim_file *f)
{
        /* Sizes travel through a journal, in order: a random prefix of them stays. */
        bool sizes = true;
        while (!list_empty(&f->changes)) {
                struct sim_change *c = CONTAINER_OF(f->changes.next, struct sim_change, link);
                if (c->kind == SIM_WRITE) {
                        crash_write(w, f, c);
                } else {
                        if (sim_chance(w, 400)) sizes = false;
                        if (sizes) change_apply(f, c);
                }
                change_free(c);
        }
        blob_copy(&f->now, &f->durable);
}

int sim_file_flip(struct sim_file *f, uint64_t bit)
{
        uint8_t b;
        if (sim_blob_read(&f->now, &b, 1, bit / 8) != 1) return -ERANGE;
        b = (uint8_t)(b ^ (1u << (bit % 8)));
        blob_put(&f->now, &b, 1, bit / 8);
        if (bit / 8 < f->durable.size) blob_put(&f->durable, &b, 1, bit / 8);
        return 0;
}
