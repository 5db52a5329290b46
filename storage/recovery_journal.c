/* Brings what the journal has of a partition's newest segment into its file, before the scan
 * decides where the log ends.
 *
 * Batches that the file has whole stay as they are: a piece that says otherwise is older than they
 * are.  What is written here may prove useless, when bytes before it were lost that nobody was told
 * of: then the scan does not reach it, and it is cut with the tail.  Blocking, and idempotent. */
#include "storage/files.h"
#include "storage/recovery.h"

#include <errno.h>

enum { RUN_BYTES = 1 << 20, RUN_BYTES_MIN = 256 << 10 };

/* Pieces that follow one another, written together. */
struct run {
        struct scan *scan;
        struct block *block;
        uint64_t from, to; /* from: a page; from == to: empty */
        int64_t error;
};

/* Bytes of the file at a page; behind its end zeros. */
static void page_load(struct run *r, uint64_t at, uint8_t *to)
{
        struct scan *c = r->scan;
        memset(to, 0, STORE_PAGE);
        if (at >= c->file_size) return;
        int64_t n = file_read(c->io, c->fd, (struct bytes_mut){ to, STORE_PAGE }, at);
        if (n < 0) r->error = n;
}

static void run_write(struct run *r)
{
        struct scan *c = r->scan;
        if (r->from == r->to || r->error < 0) return;
        uint64_t last = page_down(r->to), end = page_up(r->to);
        if (last != r->to && last != r->from) {
                uint8_t *page = r->block->data + (last - r->from);
                uint8_t new[STORE_PAGE];
                size_t n = (size_t)(r->to - last);
                memcpy(new, page, n);
                page_load(r, last, page);
                memcpy(page, new, n);
        }
        if (r->error == 0)
                r->error = file_write(c->io, c->fd,
                    (struct bytes){ r->block->data, (int32_t)(end - r->from) }, r->from);
        if (r->error == 0) c->file_size = MAX(c->file_size, end);
        r->from = r->to = 0;
}

static void run_put(struct run *r, uint64_t pos, const uint8_t *p, size_t n)
{
        bool joins = r->to > r->from && pos >= r->from && pos <= r->to &&
                     page_up(pos + n) - r->from <= r->block->cap;
        if (!joins) {
                run_write(r);
                r->from = page_down(pos);
                r->to = pos;
                page_load(r, r->from, r->block->data);
        }
        memcpy(r->block->data + (pos - r->from), p, n);
        r->to = MAX(r->to, pos + n);
}

/* Does the file say the same, as far as both have bytes? */
static bool agrees(struct scan *c, uint64_t pos, const uint8_t *p, uint64_t end)
{
        while (pos < end) {
                size_t n = (size_t)MIN(end - pos, STORE_PAGE - pos % STORE_PAGE);
                const uint8_t *have = scan_bytes(c, pos, n);
                if (!have || memcmp(have, p, n) != 0) return false;
                pos += n;
                p += n;
        }
        return true;
}

static void run_piece(struct run *r, const struct journal_piece *x)
{
        uint64_t pos = x->position, end = pos + x->length, whole = r->scan->pos;
        const uint8_t *p = x->bytes;
        if (end <= whole || r->error < 0) return;
        if (pos < whole) {
                if (!agrees(r->scan, pos, p, whole)) {
                        log_mark("recovery: a piece of the journal is older than the file");
                        return;
                }
                p += whole - pos;
                pos = whole;
        }
        run_put(r, pos, p, (size_t)(end - pos));
}

int64_t recovery_apply(struct log_shard *ls, const struct segment *s, struct scan *c)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        const struct journal_piece *x = journal_pieces(ls->store, &s->partition->key);
        while (x && (x->segment != s->base_offset || x->position + (uint64_t)x->length <= c->pos))
                x = x->next;
        if (!x) return 0;
        struct run r = { .scan = c, .block = block_get(ls->blocks, RUN_BYTES) };
        if (!r.block) r.block = block_get(ls->blocks, RUN_BYTES_MIN);
        if (!r.block) return -ENOMEM;
        for (; x; x = x->next)
                if (x->segment == s->base_offset) run_piece(&r, x);
        run_write(&r);
        block_unref(r.block);
        log_mark("recovery: bytes came out of the journal");
        /* Nothing of the journal is used before this is durable. */
        if (r.error == 0) r.error = file_sync(c->io, c->fd);
        if (r.error < 0) return r.error;
        struct io_op op;
        io_size(c->io, &op, c->fd);
        int64_t size = io_await(c->io, &op);
        if (size < 0) return size;
        c->file_size = (uint64_t)size;
        c->have = 0;
        return 1;
}
