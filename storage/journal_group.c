/* Groups: filled at the end of a turn -> written, durable on completion -> what they carry is
 * durable -> settled by direct writes later -> their space is free.
 *
 * One group is under way at a time; what arrives meanwhile forms the next.  It can fail at its
 * write: that fences the directory (law 2).  No room is back-pressure: the partitions stay dirty
 * while the oldest ones are settled. */
#include "storage/flush.h"
#include "storage/journal.h"

#include <errno.h>
#include <xxhash.h>

enum {
        SETTLE_LANES = 8,
        SETTLE_LOOKS = 64,
        ROOM_MIN = 128 << 10,
        RETRIES_MAX = 16,
        MEMORY_SHARE = 8
};

static void group_write(struct journal *j);
static void group_on_written(struct io_op *op);
static void group_on_durable(struct io_op *op);

/* --- what is covered --- */
bool journal_serves(const struct partition *p)
{
        const struct log_shard *ls = p->ls;
        const struct journal *j = ls->journal;
        const struct segment *s = partition_active(p);
        if (!j || j->state != JOURNAL_READY || ls->closing || ls->store->fenced) return false;
        if (p->deleted || p->discard_due || p->status != ST_OK || !s) return false;
        return s->created && !s->cut_due && p->settled_virt >= s->virt;
}

static uint64_t written_to(const struct partition *p)
{
        const struct flush *f = p->flush;
        if (!f) return p->settled_virt;
        if (f->bytes == 0) return p->append_virt; /* it will take all there is */
        return MAX(p->settled_virt, f->segment->virt + f->to);
}

uint64_t journal_covered(const struct partition *p)
{
        uint64_t to = written_to(p);
        if (p->jfirst <= to) to = MAX(to, p->jend);
        return p->jwriting ? MAX(to, p->jnext) : to;
}

bool journal_holds_more(const struct partition *p)
{
        return p->jwriting || p->jend > p->durable_virt;
}

/* --- the ring --- */
static uint64_t ring_oldest(const struct journal *j)
{
        struct list *l = list_first((struct list *)(uintptr_t)&j->kept);
        return l ? MIN(CONTAINER_OF(l, struct partition, kept)->joldest, j->next_seq) : j->next_seq;
}

/* Bytes that unsettled partitions keep. */
static uint64_t ring_pinned(const struct journal *j)
{
        uint64_t oldest = ring_oldest(j);
        return oldest == j->next_seq ? 0 : j->head - j->starts[oldest % (j->size / STORE_PAGE)];
}

/* A torn write must not take what the newest durable group says is needed. */
static uint64_t ring_room(const struct journal *j)
{
        if (j->floor == j->next_seq) return j->size;
        return j->size - (j->head - j->starts[j->floor % (j->size / STORE_PAGE)]);
}

/* Room for parts.  A page is left, so that an empty group can move the floor. */
static bool group_begin(struct journal *j)
{
        if (!j->block) j->block = shard_block_get(j->ls, journal_group_max(j));
        if (!j->block) return false;
        uint64_t left = j->size - j->head % j->size, room = ring_room(j);
        uint64_t skip = left < ROOM_MIN ? left : 0; /* a group does not go round the end */
        j->n_parts = 0;
        j->used = sizeof(struct journal_group);
        if (room < skip + ROOM_MIN + STORE_PAGE) {
                log_mark("journal: full, waits for settling");
                if (ring_oldest(j) > j->floor) group_write(j);
                return false;
        }
        if (skip > 0) log_mark("journal: went round");
        j->head += skip;
        room -= skip + STORE_PAGE;
        j->room =
            (size_t)MIN(MIN(room, j->size - j->head % j->size), (uint64_t)journal_group_max(j));
        return true;
}

bool journal_stuck(const struct journal *j)
{
        return !j->writing && io_now_ns(j->ls->io) < j->retry_ns;
}

/* --- filling --- */
static void group_put(struct journal *j, struct partition *p, uint64_t from)
{
        const struct segment *s = partition_active(p);
        size_t n = (size_t)(p->append_virt - from);
        bool topic = j->n_parts == 0 || !uuid_eq(j->topic, p->key.topic_id);
        struct journal_entry x = {
                .flags = le32_of(topic ? JOURNAL_ENTRY_TOPIC : 0),
                .partition = le32_of((uint32_t)p->key.index),
                .length = le32_of((uint32_t)n),
                .position = le32_of((uint32_t)(from - s->virt)),
                .segment = le64_of_signed(s->base_offset),
        };
        memcpy(j->block->data + j->used, &x, sizeof x);
        j->used += sizeof x;
        if (topic) memcpy(j->block->data + j->used, &p->key.topic_id, sizeof p->key.topic_id);
        if (topic) j->used += sizeof p->key.topic_id;
        j->topic = p->key.topic_id;
        bool there = tail_copy(p, from, j->block->data + j->used, n);
        assert(there);
        j->used += n;
}

bool journal_add(struct journal *j, struct partition *p)
{
        CHECK_OBJ(j, JOURNAL_MAGIC);
        assert(journal_serves(p));
        if (j->writing || (j->n_parts == 0 && !group_begin(j))) return false;
        assert(!p->jwriting);
        const struct segment *s = partition_active(p);
        uint64_t from = journal_covered(p);
        bool follows = !list_empty(&p->kept) && from == p->jend && from > written_to(p);
        if (!follows) from = s->virt + page_down(from - s->virt);
        size_t need = sizeof(struct journal_entry) + sizeof(struct uuid) + p->append_virt - from;
        bool narrow = p->append_virt - s->virt > UINT32_MAX;
        if (narrow || j->n_parts == JOURNAL_PARTS_MAX || j->room - j->used < need) return false;
        group_put(j, p, from);
        j->parts[j->n_parts++] = (struct journal_part){
                .partition = p, .from = from, .to = p->append_virt, .begins = !follows
        };
        p->jwriting = true;
        p->jnext = p->append_virt;
        partition_hold(p);
        return true;
}

/* --- writing --- */
static uint64_t group_checksum(const uint8_t *p, size_t n)
{
        const size_t at = offsetof(struct journal_group, checksum);
        uint64_t seed = XXH3_64bits(p, at);
        return XXH3_64bits_withSeed(p + at + sizeof(le64), n - at - sizeof(le64), seed);
}

bool journal_group_valid(const struct journal_group *g, size_t n)
{
        return group_checksum((const uint8_t *)g, n) == le64_get(g->checksum);
}

void journal_submit(struct journal *j)
{
        CHECK_OBJ(j, JOURNAL_MAGIC);
        if (!j->writing && j->n_parts > 0) group_write(j);
}

static void group_issue(struct journal *j, uint64_t at)
{
        struct log_shard *ls = j->ls;
        j->op.on_done = group_on_written;
        io_write(ls->io, &j->op,
            &(struct io_write_args){
                .fd = j->fd,
                .reg = j->block->reg,
                .n_iov = 1,
                .flags = ls->store->dsync ? IO_DSYNC : 0,
                .iov = &j->iov,
                .off = STORE_PAGE + at % j->size,
            });
}

static void group_write(struct journal *j)
{
        assert(!j->writing);
        struct log_shard *ls = j->ls;
        struct journal_group *g = (void *)j->block->data;
        size_t bytes = (size_t)page_up(j->used);
        memset(j->block->data + j->used, 0, bytes - j->used);
        j->starts[j->next_seq % (j->size / STORE_PAGE)] = j->head;
        *g = (struct journal_group){
                .magic = JOURNAL_GROUP_MAGIC,
                .header_size = le32_of(sizeof *g),
                .length = le32_of((uint32_t)j->used),
                .count = le32_of(j->n_parts),
                .store_id = ls->store->id,
                .run = le64_of(j->run),
                .seq = le64_of(j->next_seq),
                .oldest = le64_of(ring_oldest(j)),
        };
        g->checksum = le64_of(group_checksum(j->block->data, j->used));
        j->next_seq++;
        j->writing = true;
        ls->busy++;
        j->begun_ns = io_now_ns(ls->io);
        j->iov = (struct iovec){ j->block->data, bytes };
        j->retries = 0;
        group_issue(j, j->head);
        j->head += bytes;
        log_stats_journal(ls, bytes);
}

static void group_on_written(struct io_op *op)
{
        struct journal *j = CONTAINER_OF(op, struct journal, op);
        CHECK_OBJ(j, JOURNAL_MAGIC);
        bool partial = op->res >= 0 && op->res != (int64_t)j->iov.iov_len;
        if ((partial || op->res == -EINTR || op->res == -EAGAIN) && j->retries++ < RETRIES_MAX) {
                group_issue(j, j->head - j->iov.iov_len); /* the same bytes again */
                return;
        }
        if (partial) op->res = -EIO;
        if (op->res < 0 || j->ls->store->dsync) {
                group_on_durable(op);
                return;
        }
        op->on_done = group_on_durable;
        io_sync(j->ls->io, op, j->fd);
}

/* --- done --- */
/* Sorted by group; mostly the newest. */
static void keep(struct journal *j, struct partition *p, uint64_t oldest)
{
        list_remove(&p->kept);
        p->joldest = oldest;
        struct list *l = j->kept.prev;
        while (l != &j->kept && CONTAINER_OF(l, struct partition, kept)->joldest > oldest)
                l = l->prev;
        list_push_front(l, &p->kept);
}

void journal_forget(struct partition *p)
{
        list_remove(&p->kept);
        p->jfirst = p->jend = p->jbegin = 0;
}

void journal_settled(struct partition *p)
{
        struct journal *j = p->ls->journal;
        if (!j || list_empty(&p->kept)) return;
        if (p->jend <= p->settled_virt && !p->jwriting)
                journal_forget(p);
        else if (p->jbegin <= p->settled_virt && p->jbegin_seq != p->joldest)
                keep(j, p, p->jbegin_seq);
}

static void part_done(struct journal *j, const struct journal_part *x, uint64_t seq)
{
        struct partition *p = x->partition;
        if (x->begins) {
                bool joins = x->from >= p->jfirst && x->from <= p->jend;
                if (!joins) p->jfirst = x->from;
                p->jbegin = x->from;
                p->jbegin_seq = seq;
        }
        p->jend = x->to;
        if (list_empty(&p->kept)) keep(j, p, seq);
        journal_settled(p);
}

static void group_on_durable(struct io_op *op)
{
        struct journal *j = CONTAINER_OF(op, struct journal, op);
        CHECK_OBJ(j, JOURNAL_MAGIC);
        struct log_shard *ls = j->ls;
        uint64_t seq = j->next_seq - 1;
        uint32_t n = j->n_parts;
        bool good = op->res >= 0;
        histogram_add(&ls->stats.journal_time, io_now_ns(ls->io) - j->begun_ns);
        if (good)
                j->floor = le64_get(((const struct journal_group *)(void *)j->block->data)->oldest);
        else
                shard_fence(ls, j->name, "journal write", op->res);
        for (uint32_t i = 0; i < n; i++) {
                struct partition *p = j->parts[i].partition;
                p->jwriting = false;
                if (good && !p->deleted) part_done(j, &j->parts[i], seq);
        }
        j->n_parts = 0;
        j->writing = false;
        ls->busy--;
        /* Last, since callbacks may append and the last hold may free. */
        for (uint32_t i = 0; i < n; i++) {
                struct partition *p = j->parts[i].partition;
                if (good && !p->deleted && !p->discard_due) append_complete(p);
                partition_unhold(p);
        }
}

/* --- settling --- */
/* Half the ring, or when tails that cannot go before they are settled hold too much memory. */
static bool settling_due(const struct journal *j)
{
        const struct log_shard *ls = j->ls;
        uint64_t most = MIN(j->size / 2, block_pool_limit(ls->blocks) / MEMORY_SHARE);
        if (io_now_ns(ls->io) < j->retry_ns) return false;
        return ls->room_waits > 0 || ring_pinned(j) >= most;
}

unsigned journal_settle(struct journal *j)
{
        CHECK_OBJ(j, JOURNAL_MAGIC);
        unsigned n = 0, looks = 0;
        if (!settling_due(j)) return 0;
        for (struct list *l = j->kept.next, *next;
             l != &j->kept && j->settling < SETTLE_LANES && looks < SETTLE_LOOKS;
             l = next, looks++) {
                struct partition *p = CONTAINER_OF(l, struct partition, kept);
                next = l->next;
                if (p->flush) continue;
                n += flush_start(p, FLUSH_SETTLE);
        }
        return n;
}
