/* The flush planner: which partitions write now, and the direct write itself.
 *
 * A flush, when all goes well: (directory and file made, the first time) -> room in the file -> one
 * write of whole pages from the tail's chunks -> (fdatasync where RWF_DSYNC is not used) -> durable
 * bytes move, appends complete.  One per partition is in flight; what arrives meanwhile forms the
 * next.
 *
 * It can fail at: room or name (disk full: the waiting appends fail, the partition lives), anything
 * else: the directory is fenced (law 2).  On delete and close the flush in flight is awaited.
 *
 * Memory under a write is never modified: the last page, if partial, is written from a copy.  The
 * first page is written again when it held durable bytes already; these are the same bytes, so a
 * tear between sectors cannot take them. */
#include "storage/flush.h"

#include "storage/journal.h"

#include <errno.h>

enum { FREE_FLUSHES_MAX = 64, RETRIES_MAX = 16 };
/* What is not covered yet makes a partition fat; so does what waits to be settled. */
#define SETTLE_RETRY_NS UINT64_C(1000000000)
enum { FAT = 64 << 10, SETTLE_RUN = 256 << 10 };

static void write_on_done(struct io_op *op);
static void write_on_sync(struct io_op *op);

/* --- pool --- */
static struct flush *flush_new(struct partition *p, struct segment *s)
{
        struct log_shard *ls = p->ls;
        struct list *l = list_pop_front(&ls->free_flushes);
        if (l) ls->n_free_flushes--;
        struct flush *f = l ? CONTAINER_OF(l, struct flush, link) : malloc(sizeof *f);
        if (!f) return NULL;
        memset(f, 0, offsetof(struct flush, iov));
        list_init(&f->link);
        f->magic = FLUSH_MAGIC;
        f->partition = p;
        f->segment = s;
        f->fd = -1;
        return f;
}

static void edge_release(struct flush *f)
{
        struct log_shard *ls = f->partition->ls;
        if (!f->edge) return;
        if (f->edge == ls->edge_reserve)
                ls->edge_reserve_busy = false;
        else
                block_unref(f->edge);
        f->edge = NULL;
}

static void flush_free(struct log_shard *ls, struct flush *f)
{
        CHECK_OBJ(f, FLUSH_MAGIC);
        f->magic = 0;
        if (ls->n_free_flushes == FREE_FLUSHES_MAX) {
                free(f);
                return;
        }
        ls->n_free_flushes++;
        list_push_back(&ls->free_flushes, &f->link);
}

/* --- planning --- */
static bool segment_done(const struct segment *s)
{
        return s->created && s->durable == s->size;
}

/* Oldest segment that is not wholly durable; segments become so in order. */
static struct segment *flush_segment(const struct partition *p)
{
        uint32_t i = p->n_segments;
        while (i > 0 && !segment_done(p->segments[i - 1])) i--;
        return i < p->n_segments ? p->segments[i] : NULL;
}

unsigned flush_start(struct partition *p, enum flush_mode mode)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        if (p->flush || p->deleted || p->status != ST_OK || shard_fenced(p->ls)) return 0;
        struct segment *s = flush_segment(p);
        if (!s) return 0;
        struct flush *f = flush_new(p, s);
        if (!f) {
                partition_make_dirty(p);
                return 0;
        }
        p->flush = f;
        f->mode = mode;
        if (mode == FLUSH_SETTLE) p->ls->journal->settling++;
        if (p->next_mark_virt == 0) { /* settled with this write, or with the next */
                p->next_mark_virt = p->append_virt;
                p->next_mark_end = p->append_end;
        }
        segment_pin(s);
        flush_advance(f);
        return 1;
}

/* Nothing is appended any more: what only the journal has is settled. */
void flush_idle(struct partition *p)
{
        if (partition_unsettled(p)) flush_start(p, FLUSH_ALL);
}

/* A partition that the journal serves: much goes directly, little into the next group. */
static unsigned plan_served(struct journal *j, struct partition *p)
{
        unsigned n = 0;
        bool fat = p->append_virt - journal_covered(p) >= FAT;
        bool long_run = p->append_virt - p->settled_virt >= SETTLE_RUN;
        if ((fat || long_run) && !p->flush) n = flush_start(p, fat ? FLUSH_ALL : FLUSH_WHOLE);
        uint64_t left = p->append_virt - journal_covered(p);
        bool far = p->append_virt - p->settled_virt > WRITE_MAX; /* recovery's idea of a tear */
        if (left == 0 || left >= FAT || far) return n; /* the flush in flight comes back to it */
        if (journal_add(j, p)) return n;
        if (journal_stuck(j)) return n + flush_start(p, FLUSH_ALL); /* and whoever waits is told */
        partition_make_dirty(p);
        return n;
}

unsigned flush_plan(struct log_shard *ls)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        struct journal *j = ls->journal;
        struct list due;
        unsigned n = 0;
        list_init(&due);
        while (!list_empty(&ls->dirty)) list_push_back(&due, list_pop_front(&ls->dirty));
        for (struct list *l = list_pop_front(&due); l; l = list_pop_front(&due)) {
                struct partition *p = CONTAINER_OF(l, struct partition, dirty);
                if (journal_serves(p)) {
                        n += plan_served(j, p);
                        continue;
                }
                n += flush_start(p, FLUSH_ALL);
                if (j && !ls->closing) journal_want(j);
        }
        if (j) journal_submit(j);
        if (j) n += journal_settle(j);
        return n;
}

/* --- the write --- */
static void flush_fill_edge(struct flush *f, uint64_t pos)
{
        size_t n = (size_t)(f->to - pos);
        assert(n < STORE_PAGE);
        bool there = tail_copy(f->partition, f->segment->virt + pos, f->edge->data, n);
        assert(there);
        memset(f->edge->data + n, 0, STORE_PAGE - n);
        f->iov[f->n_iov++] = (struct iovec){ f->edge->data, STORE_PAGE };
}

/* Whole pages from the chunks, as many as fit; returns the position behind them. */
static uint64_t flush_fill_pages(struct flush *f, uint64_t end, int *ret_reg)
{
        const struct segment *s = f->segment;
        uint64_t pos = f->from;
        while (pos < end && f->n_iov < FLUSH_IOV_MAX - 1) {
                struct chunk *c = tail_find(f->partition, s->virt + pos);
                assert(c && c->segment == s);
                uint64_t stop = MIN(end, c->pos + c->block->cap);
                f->iov[f->n_iov++] = (struct iovec){ c->block->data + (pos - c->pos), stop - pos };
                *ret_reg = c->block->reg;
                pos = stop;
        }
        return pos;
}

static struct block *edge_get(struct log_shard *ls)
{
        struct block *b = shard_block_get(ls, STORE_PAGE);
        if (b || ls->edge_reserve_busy) return b;
        ls->edge_reserve_busy = true;
        return ls->edge_reserve;
}

/* Decides from where to where; false: not even one page can be had now. */
static bool flush_plan_write(struct flush *f, int *ret_reg)
{
        struct segment *s = f->segment;
        struct log_shard *ls = f->partition->ls;
        f->from = page_down(s->durable);
        f->n_iov = 0;
        uint64_t end = MIN(s->size, f->from + ls->write_max);
        uint64_t pages = flush_fill_pages(f, page_down(end), ret_reg);
        f->to = pages;
        f->bytes = pages - f->from;
        if (pages < page_down(end) || pages == end) return true;
        if (f->mode == FLUSH_WHOLE && pages > f->from) return true;
        f->edge = edge_get(ls);
        if (!f->edge) return f->to > s->durable;
        f->to = end;
        f->bytes += STORE_PAGE;
        flush_fill_edge(f, pages);
        *ret_reg = f->edge->reg;
        return true;
}

static void flush_write(struct flush *f)
{
        struct segment *s = f->segment;
        struct log_shard *ls = f->partition->ls;
        int reg = -1;
        assert(s->fd >= 0 && s->durable < s->size);
        if (!flush_plan_write(f, &reg)) { /* another flush returns the reserved page soon */
                partition_make_dirty(f->partition);
                flush_end(f);
                return;
        }
        assert(f->bytes > 0 && f->bytes <= ls->write_max && f->to > s->durable);
        s->written = MAX(s->written, f->from + f->bytes);
        log_stats_write_begins(f);
        f->op.on_done = write_on_done;
        io_write(ls->io, &f->op,
            &(struct io_write_args){
                .fd = s->fd,
                .reg = reg,
                .n_iov = f->n_iov,
                .flags = ls->store->dsync ? IO_DSYNC : 0,
                .iov = f->iov,
                .off = f->from,
            });
        segment_grow(s);
}

static void write_on_done(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        CHECK_OBJ(f, FLUSH_MAGIC);
        edge_release(f);
        bool partial = op->res >= 0 && op->res != (int64_t)f->bytes;
        if ((partial || op->res == -EINTR || op->res == -EAGAIN) && f->retries++ < RETRIES_MAX) {
                flush_advance(f); /* nothing moved yet: the same bytes again, and what came since */
                return;
        }
        if (partial || op->res < 0) {
                flush_fail(f, "write", partial ? -EIO : op->res);
                return;
        }
        if (f->partition->ls->store->dsync) {
                op->res = 0;
                write_on_sync(op);
                return;
        }
        op->on_done = write_on_sync;
        io_sync(f->partition->ls->io, op, f->segment->fd);
}

static void settled_move(struct partition *p, uint64_t virt)
{
        assert(virt > p->settled_virt && virt <= p->append_virt);
        p->settled_virt = virt;
        if (virt == p->append_virt) {
                p->next_mark_virt = virt;
                p->next_mark_end = p->append_end;
        }
        if (p->next_mark_virt != 0 && p->next_mark_virt <= virt) {
                p->mark_virt = p->next_mark_virt;
                p->settled_end = p->next_mark_end;
                p->next_mark_virt = 0;
        }
        journal_settled(p);
}

static void write_on_sync(struct io_op *op)
{
        struct flush *f = CONTAINER_OF(op, struct flush, op);
        struct partition *p = f->partition;
        struct segment *s = f->segment;
        if (op->res < 0) {
                flush_fail(f, "fdatasync", op->res);
                return;
        }
        if (!p->deleted && !p->discard_due) {
                assert(f->to > s->durable && f->to <= s->size);
                p->ls->settled_bytes += f->to - s->durable;
                s->durable = f->to;
                settled_move(p, s->virt + s->durable);
        }
        flush_end(f);
}

/* --- the way on, and out --- */
void flush_advance(struct flush *f)
{
        CHECK_OBJ(f, FLUSH_MAGIC);
        struct partition *p = f->partition;
        struct segment *s = f->segment;
        if (p->deleted || p->discard_due || shard_fenced(p->ls) || segment_done(s)) {
                flush_end(f);
                return;
        }
        if (!p->dir_created)
                flush_make_dir(f);
        else if (!s->created)
                flush_make_file(f);
        else if (s->fd < 0)
                flush_open(f);
        else if (s->cut_due)
                flush_cut(f);
        else if (s->allocated < page_up(s->size) &&
                 s->allocated < page_down(s->durable) + p->ls->write_max) {
                f->wants_room = true;
                segment_grow(s);
        } else
                flush_write(f);
}

void flush_end(struct flush *f)
{
        CHECK_OBJ(f, FLUSH_MAGIC);
        struct partition *p = f->partition;
        struct segment *s = f->segment;
        struct log_shard *ls = p->ls;
        edge_release(f);
        log_stats_write_ends(f);
        p->flush = NULL;
        if (f->mode == FLUSH_SETTLE) ls->journal->settling--;
        flush_free(ls, f);
        if (p->discard_due) {
                append_discard(p, p->discard_due);
        } else if (!p->deleted) {
                append_complete(p);
                tail_settle(p);
                if (segment_done(s) && s != partition_active(p)) segment_seal(s);
                if (flush_segment(p)) partition_make_dirty(p);
        }
        append_run(p);
        segment_unpin(s);
}

/* Out of something that may come back.  Once the journal holds bytes that nobody was told of, or
 * will, they cannot be forgotten any more: their offsets must not be given again. */
static bool fail_passes(const struct flush *f, int64_t res)
{
        bool passes =
            res == -ENOSPC || res == -EDQUOT || res == -EMFILE || res == -ENFILE || res == -ENOMEM;
        return passes && !(f->bytes > 0 && journal_holds_more(f->partition));
}

void flush_fail(struct flush *f, const char *what, int64_t res)
{
        CHECK_OBJ(f, FLUSH_MAGIC);
        static struct log_limit limit = { .burst = 5 };
        struct partition *p = f->partition;
        char name[STORE_NAME_MAX];
        segment_name(f->segment, ".log", name);
        if (!fail_passes(f, res)) {
                shard_fence(p->ls, name, what, res);
                append_fail_queue(p, ST_FENCED);
                p->discard_due = ST_FENCED;
                flush_end(f);
                return;
        }
        log_limited(&limit, LOG_ERROR, "append refused", LOG_STR("file", name),
            LOG_STR("operation", what), LOG_STR("cause", strerror((int)-res)), LOG_END);
        if (p->ls->journal) p->ls->journal->retry_ns = io_now_ns(p->ls->io) + SETTLE_RETRY_NS;
        if (p->ls->closing) p->ls->close.gave_up = true;
        if (!journal_holds_more(p)) {
                append_fail_queue(p, status_from_errno(res));
                p->discard_due = status_from_errno(res);
        }
        flush_end(f);
}
