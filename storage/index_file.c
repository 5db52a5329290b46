/* <base offset>.index: the sparse index of a segment on disk.  A cache (law 5): checksummed, bound
 * to its partition and segment, ignored on any doubt.
 *
 * Loading: open -> size -> read -> close; whatever goes wrong, the segment is readable without it.
 */
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <xxhash.h>

enum { INDEX_BYTES_MAX = 64 << 20 };

bool index_encode(const struct segment *s, struct index_image *ret)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        const struct segment_index *x = &s->index;
        size_t len = sizeof(struct index_header) + x->n * sizeof(struct index_entry);
        uint8_t *bytes = malloc(len);
        if (!bytes) return false;
        struct index_header *h = (void *)bytes;
        struct index_entry *entries = (void *)(h + 1);
        for (uint32_t i = 0; i < x->n; i++)
                entries[i] = (struct index_entry){
                        .relative_offset = le32_of(x->spots[i].rel),
                        .position = le32_of(x->spots[i].pos),
                        .max_before = le64_of_signed(x->spots[i].max_before),
                };
        *h = (struct index_header){
                .magic = INDEX_FILE_MAGIC,
                .header_size = le32_of(sizeof *h),
                .count = le32_of(x->n),
                .topic_id = s->partition->key.topic_id,
                .partition = le32_of((uint32_t)s->partition->key.index),
                .base_offset = le64_of_signed(s->base_offset),
                .end_offset = le64_of_signed(s->end_offset),
                .size = le64_of(s->size),
                .max_timestamp = le64_of_signed(s->appended_max_timestamp),
                .entries_checksum = le64_of(XXH3_64bits(entries, x->n * sizeof *entries)),
        };
        h->checksum = le64_of(XXH3_64bits(h, offsetof(struct index_header, checksum)));
        *ret = (struct index_image){ bytes, len };
        return true;
}

const char *index_header_invalid(const struct index_header *h, const struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        if (memcmp(h->magic, INDEX_FILE_MAGIC, sizeof h->magic) != 0) return "not an index";
        if (le32_get(h->header_size) != sizeof *h) return "header size is unknown";
        if (le64_get(h->checksum) != XXH3_64bits(h, offsetof(struct index_header, checksum)))
                return "header checksum";
        if (le32_get(h->incompat) & ~(uint32_t)INDEX_INCOMPAT_KNOWN) return "a newer format";
        if (!uuid_eq(h->topic_id, s->partition->key.topic_id) ||
            (int32_t)le32_get(h->partition) != s->partition->key.index)
                return "of another partition";
        if (le64_get_signed(h->base_offset) != s->base_offset) return "of another segment";
        if (le64_get_signed(h->end_offset) < s->base_offset) return "end lies before the base";
        if (le64_get_signed(h->end_offset) == s->base_offset && le64_get(h->size) != 0)
                return "bytes without offsets";
        return NULL;
}

/* Entries that ascend and lie inside. */
static const char *entries_invalid(const struct index_header *h)
{
        const struct index_entry *x = (const void *)(h + 1);
        uint64_t offsets = le64_get(h->end_offset) - le64_get(h->base_offset);
        for (uint32_t i = 0; i < le32_get(h->count); i++) {
                if (le32_get(x[i].position) >= le64_get(h->size)) return "position behind the end";
                if (le32_get(x[i].relative_offset) >= offsets) return "offset behind the end";
                if (i == 0) continue;
                if (le32_get(x[i].position) <= le32_get(x[i - 1].position) ||
                    le32_get(x[i].relative_offset) <= le32_get(x[i - 1].relative_offset) ||
                    le64_get_signed(x[i].max_before) < le64_get_signed(x[i - 1].max_before))
                        return "entries do not ascend";
        }
        return NULL;
}

static bool index_fill(struct segment *s, const struct index_header *h)
{
        struct log_shard *ls = s->partition->ls;
        const struct index_entry *x = (const void *)(h + 1);
        uint32_t n = le32_get(h->count);
        struct index_spot *spots = n ? malloc(n * sizeof *spots) : NULL;
        if (n > 0 && !spots) return false;
        for (uint32_t i = 0; i < n; i++)
                spots[i] = (struct index_spot){
                        .rel = le32_get(x[i].relative_offset),
                        .pos = le32_get(x[i].position),
                        .max_before = le64_get_signed(x[i].max_before),
                };
        index_unload(s);
        s->index = (struct segment_index){ .spots = spots, .n = n, .cap = n };
        ls->index_used += n * sizeof *spots;
        return true;
}

const char *index_decode(const uint8_t *bytes, size_t len, struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        const struct index_header *h = (const void *)bytes;
        if (len < sizeof *h) return "file is cut";
        const char *why = index_header_invalid(h, s);
        if (why) return why;
        size_t rest = len - sizeof *h;
        if (rest % sizeof(struct index_entry) != 0 ||
            rest / sizeof(struct index_entry) != le32_get(h->count))
                return "count does not match the size";
        if (le64_get(h->entries_checksum) != XXH3_64bits(h + 1, rest)) return "checksum";
        /* Of a segment that grew since, an index is still right about its beginning. */
        if (le64_get(h->size) > s->size || le64_get_signed(h->end_offset) > s->end_offset)
                return "larger than the segment";
        why = entries_invalid(h);
        if (why) return why;
        return index_fill(s, h) ? NULL : "out of memory";
}

/* --- loading --- */
struct index_loading {
        struct io_op op;
        struct segment *segment;
        uint8_t *bytes;
        size_t len;
        int fd;
        const char *why;
        char path[STORE_NAME_MAX];
};

static void load_on_open(struct io_op *op);
static void load_on_size(struct io_op *op);
static void load_on_read(struct io_op *op);
static void load_on_close(struct io_op *op);

bool index_load(struct segment *s, struct index_waiter *w)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        assert(s->pins > 0);
        if (s->index.n > 0 || s->index_tried) {
                index_touch(s);
                return true;
        }
        if (!s->index_loading) {
                struct index_loading *l = calloc(1, sizeof *l);
                if (!l) return true; /* by walking, then */
                l->segment = s;
                s->index_loading = true;
                segment_pin(s);
                segment_name(s, ".index", l->path);
                l->op.on_done = load_on_open;
                io_open(s->partition->ls->io, &l->op, s->partition->ls->store->data_fd, l->path,
                    O_RDONLY);
        }
        list_push_back(&s->index_waiters, &w->link);
        return false;
}

static void load_finish(struct index_loading *l)
{
        struct segment *s = l->segment;
        if (!l->why && s->index.n == 0) l->why = index_decode(l->bytes, l->len, s);
        if (l->why && strcmp(l->why, "missing") != 0)
                log_event(LOG_WARN, "index ignored", LOG_STR("file", l->path),
                    LOG_STR("cause", l->why), LOG_END);
        s->index_tried = true;
        s->index_loading = false;
        index_touch(s);
        index_trim(s->partition->ls);
        free(l->bytes);
        free(l);
        struct list due;
        list_init(&due);
        while (!list_empty(&s->index_waiters))
                list_push_back(&due, list_pop_front(&s->index_waiters));
        for (struct list *x = list_pop_front(&due); x; x = list_pop_front(&due)) {
                struct index_waiter *w = CONTAINER_OF(x, struct index_waiter, link);
                w->on_loaded(w);
        }
        segment_unpin(s);
}

static void load_on_open(struct io_op *op)
{
        struct index_loading *l = CONTAINER_OF(op, struct index_loading, op);
        if (op->res < 0) {
                l->why = op->res == -ENOENT ? "missing" : "cannot be opened";
                load_finish(l);
                return;
        }
        l->fd = (int)op->res;
        op->on_done = load_on_size;
        io_size(l->segment->partition->ls->io, op, l->fd);
}

static void load_close(struct index_loading *l, const char *why)
{
        l->why = why;
        l->op.on_done = load_on_close;
        io_close(l->segment->partition->ls->io, &l->op, l->fd);
}

static void load_on_size(struct io_op *op)
{
        struct index_loading *l = CONTAINER_OF(op, struct index_loading, op);
        if (op->res < (int64_t)sizeof(struct index_header) || op->res > INDEX_BYTES_MAX) {
                load_close(l, "size is impossible");
                return;
        }
        l->len = (size_t)op->res;
        l->bytes = malloc(l->len);
        if (!l->bytes) {
                load_close(l, "out of memory");
                return;
        }
        op->on_done = load_on_read;
        io_read(
            l->segment->partition->ls->io, op, l->fd, (struct bytes_mut){ l->bytes, l->len }, 0);
}

static void load_on_read(struct io_op *op)
{
        struct index_loading *l = CONTAINER_OF(op, struct index_loading, op);
        load_close(l, op->res == (int64_t)l->len ? NULL : "cannot be read");
}

static void load_on_close(struct io_op *op)
{
        load_finish(CONTAINER_OF(op, struct index_loading, op));
}
