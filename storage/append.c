/* An append, when all goes well: queued -> given its offset and copied into the tail, checksummed
 * in the same pass -> on_copied -> written by the flush planner -> durable -> on_done.
 *
 * It can wait for: the last page of a recovered segment, memory.  It can fail at: its checksum, a
 * full disk, a failed write (which fences the directory), deletion, close; then both callbacks
 * still come, once each.  Bytes that are not durable when their write fails are forgotten: nobody
 * was told of them, so their offsets are given again. */
#include "storage/internal.h"

#include "protocol/crc32c.h"

enum { LEADER_EPOCH = 0 };
#define MS_NS UINT64_C(1000000)

static void append_on_room(struct block_waiter *w);

/* --- callbacks, later --- */
static void refuse(struct log_shard *ls, struct log_append *a, int status)
{
        a->status = status;
        a->base_offset = -1;
        a->log_start = a->partition ? a->partition->log_start : -1;
        list_push_back(&ls->refused, &a->link);
}

void append_fail_queue(struct partition *p, int status)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        for (struct list *l = list_pop_front(&p->queue); l; l = list_pop_front(&p->queue))
                refuse(p->ls, CONTAINER_OF(l, struct log_append, link), status);
        if (p->room_wanted) {
                block_waiter_cancel(&p->room);
                shard_room_came(p->ls);
                p->room_wanted = false;
        }
}

void append_notify(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        list_remove(&p->notify);
        for (struct list *l = list_pop_front(&p->fresh); l; l = list_pop_front(&p->fresh)) {
                struct log_append *a = CONTAINER_OF(l, struct log_append, link);
                list_push_back(&p->waiting, &a->link);
                if (a->on_copied) a->on_copied(a);
        }
}

unsigned append_run_callbacks(struct log_shard *ls)
{
        unsigned n = 0;
        for (struct list *l = list_pop_front(&ls->refused); l;
             l = list_pop_front(&ls->refused), n++) {
                struct log_append *a = CONTAINER_OF(l, struct log_append, link);
                if (a->on_copied) a->on_copied(a);
                a->on_done(a);
        }
        for (struct list *l = list_first(&ls->notify); l; l = list_first(&ls->notify), n++)
                append_notify(CONTAINER_OF(l, struct partition, notify));
        for (struct list *l = list_pop_front(&ls->failed); l;
             l = list_pop_front(&ls->failed), n++) {
                struct log_append *a = CONTAINER_OF(l, struct log_append, link);
                a->on_done(a);
        }
        return n;
}

/* --- in --- */
static int append_refused(const struct partition *p)
{
        if (p->deleted) return ST_NOT_FOUND;
        if (p->status != ST_OK) return p->status;
        if (p->ls->closing) return ST_CLOSED;
        if (shard_fenced(p->ls)) return ST_FENCED;
        return ST_OK;
}

void partition_append(struct log_append *a)
{
        assert(a && a->on_done && a->batch && a->info.size >= BATCH_HEADER_SIZE);
        struct partition *p = a->partition;
        CHECK_OBJ(p, PARTITION_MAGIC);
        a->status = ST_PENDING;
        a->base_offset = -1;
        a->log_start = p->log_start;
        list_init(&a->link);
        int st = append_refused(p);
        /* It could wait for ever. */
        if (st == ST_OK && a->info.size > block_pool_limit(p->ls->blocks) / 2) st = ST_TOO_LARGE;
        if (st != ST_OK) {
                refuse(p->ls, a, st);
                return;
        }
        bool first = list_empty(&p->queue);
        list_push_back(&p->queue, &a->link);
        if (first) append_run(p);
}

static bool roll_wanted(const struct partition *p, const struct log_append *a)
{
        const struct segment *s = partition_active(p);
        if (!s) return true;
        if (s->size == 0) return false;
        int64_t last = p->append_end + a->info.last_offset_delta;
        if (s->size + a->info.size > p->config.segment_bytes) return true;
        if (last - s->base_offset > INT32_MAX) return true;
        uint64_t age_ms = (io_now_ns(p->ls->io) - s->first_append_ns) / MS_NS;
        return p->config.segment_ms >= 0 && age_ms >= (uint64_t)p->config.segment_ms;
}

bool append_roll(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        struct segment *old = partition_active(p);
        assert(!old || old->size > 0);
        struct segment *s = partition_add_segment(p, p->append_end, p->append_virt);
        if (!s) return false;
        if (old && old->created && old->durable == old->size && !old->cut_due) segment_seal(old);
        tail_settle(p);
        return true;
}

/* --- copying --- */
struct cursor {
        struct chunk **chunk;
        uint32_t at;
};

/* Writes behind the used part of the tail; nothing counts until it is committed. */
static uint32_t cursor_put(struct cursor *k, const uint8_t *from, size_t n, uint32_t crc, bool sum)
{
        while (n > 0) {
                struct block *b = (*k->chunk)->block;
                size_t room = b->cap - k->at;
                if (room == 0) {
                        k->chunk++;
                        k->at = 0;
                        continue;
                }
                size_t piece = MIN(room, n);
                if (sum)
                        crc = crc32c_copy(crc, b->data + k->at, from, piece);
                else
                        memcpy(b->data + k->at, from, piece);
                k->at += (uint32_t)piece;
                from += piece;
                n -= piece;
        }
        return crc;
}

/* False: the bytes are not what their checksum says. */
static bool copy_batch(struct partition *p, struct log_append *a, struct chunk **first)
{
        uint8_t head[BATCH_CRC_FROM];
        struct cursor k = { .chunk = first, .at = (*first)->used };
        memcpy(head, a->batch, sizeof head);
        batch_set_base_offset(head, p->append_end);
        batch_set_leader_epoch(head, LEADER_EPOCH);
        cursor_put(&k, head, sizeof head, 0, false);
        uint32_t crc = cursor_put(
            &k, a->batch + BATCH_CRC_FROM, a->info.size - BATCH_CRC_FROM, 0, !a->crc_checked);
        return a->crc_checked || crc == load_be32(head + BATCH_CRC);
}

static void commit_bytes(struct chunk **c, size_t n)
{
        while (n > 0) {
                size_t piece = MIN(n, (*c)->block->cap - (*c)->used);
                (*c)->used += (uint32_t)piece;
                n -= piece;
                c++;
        }
}

static void commit_append(struct partition *p, struct segment *s, struct log_append *a)
{
        index_note(s, (struct index_spot){ .rel = (uint32_t)(p->append_end - s->base_offset),
                          .pos = (uint32_t)s->size,
                          .max_before = s->appended_max_timestamp });
        uint64_t now = io_now_ns(p->ls->io);
        if (s->size == 0) s->first_append_ns = now;
        p->appended_ns = now;
        a->base_offset = p->append_end;
        p->append_end += (int64_t)a->info.last_offset_delta + 1;
        p->append_virt += a->info.size;
        a->end_offset = p->append_virt;
        s->size += a->info.size;
        s->end_offset = p->append_end;
        s->appended_max_timestamp = MAX(s->appended_max_timestamp, a->info.max_timestamp);
        log_stats_append(p, a->info.size);
        assert(s->virt + s->size == p->append_virt);
}

/* ST_OK: in the tail; ST_PENDING: must wait; else: refused. */
static int append_place(struct partition *p, struct log_append *a)
{
        if (roll_wanted(p, a) && !append_roll(p)) return ST_NOMEM;
        struct segment *s = partition_active(p);
        if (p->tail_loading) return ST_PENDING;
        if (tail_needs_load(p)) {
                tail_load(p);
                return ST_PENDING;
        }
        struct chunk *c = tail_last(p);
        if (c && c->segment != s) c = NULL;
        size_t room = c ? c->block->cap - c->used : 0;
        bool grown = room < a->info.size;
        uint64_t pos = c ? c->pos + c->block->cap : s->size;
        if (grown && !tail_grow(p, s, pos, a->info.size - room)) {
                if (!p->room_wanted) shard_room_wait(p->ls, &p->room);
                p->room_wanted = true;
                return ST_PENDING;
        }
        struct chunk **first = p->chunks + p->n_chunks - 1 - (grown && room > 0 ? 1 : 0);
        if (!copy_batch(p, a, first)) {
                if (grown) tail_pop_empty(p);
                return ST_BAD_CRC;
        }
        commit_bytes(first, a->info.size);
        commit_append(p, s, a);
        return ST_OK;
}

void append_run(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        p->room.on_room = append_on_room;
        if (p->discard_due) return; /* goes on when the flush in flight is over */
        for (struct list *l = list_first(&p->queue); l; l = list_first(&p->queue)) {
                struct log_append *a = CONTAINER_OF(l, struct log_append, link);
                int st = append_refused(p);
                if (st == ST_OK) st = append_place(p, a);
                if (st == ST_PENDING) return;
                list_remove(&a->link);
                if (st != ST_OK) {
                        refuse(p->ls, a, st);
                        continue;
                }
                list_push_back(&p->fresh, &a->link);
                if (list_empty(&p->notify)) list_push_back(&p->ls->notify, &p->notify);
                partition_make_dirty(p);
        }
}

static void append_on_room(struct block_waiter *w)
{
        struct partition *p = CONTAINER_OF(w, struct partition, room);
        shard_room_came(p->ls);
        p->room_wanted = false;
        append_run(p);
}

/* --- out --- */
void append_complete(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        struct list done;
        struct segment *s = NULL;
        uint64_t durable = p->settled_virt;
        if (p->jfirst <= durable) durable = MAX(durable, p->jend);
        list_init(&done);
        append_notify(p);
        for (struct list *l = list_first(&p->waiting); l; l = list_first(&p->waiting)) {
                struct log_append *a = CONTAINER_OF(l, struct log_append, link);
                if (a->end_offset > durable) break;
                assert(a->end_offset > p->durable_virt && a->base_offset == p->durable_end);
                p->durable_virt = a->end_offset;
                p->durable_end = a->base_offset + a->info.last_offset_delta + 1;
                if (!s || a->end_offset > s->virt + s->size)
                        s = partition_segment_at(p, a->end_offset - 1);
                s->max_timestamp = MAX(s->max_timestamp, a->info.max_timestamp);
                list_remove(&a->link);
                list_push_back(&done, &a->link);
        }
        if (list_empty(&done)) return;
        log_stats_waiting(p);
        partition_moved(p);
        for (struct list *l = list_pop_front(&done); l; l = list_pop_front(&done)) {
                struct log_append *a = CONTAINER_OF(l, struct log_append, link);
                a->status = ST_OK;
                a->log_start = p->log_start;
                a->on_done(a);
        }
}

void append_fail_waiting(struct partition *p, int status)
{
        for (struct list *l = list_pop_front(&p->fresh); l; l = list_pop_front(&p->fresh))
                refuse(p->ls, CONTAINER_OF(l, struct log_append, link), status);
        for (struct list *l = list_pop_front(&p->waiting); l; l = list_pop_front(&p->waiting)) {
                struct log_append *a = CONTAINER_OF(l, struct log_append, link);
                a->status = status;
                a->base_offset = -1;
                list_push_back(&p->ls->failed, &a->link);
        }
        list_remove(&p->notify);
}

/* Segments that are only named, and begin behind what is durable. */
static void drop_named_segments(struct partition *p)
{
        for (struct segment *s = partition_active(p); s && s->base_offset > p->durable_end;
             s = partition_active(p)) {
                assert(!s->created && s->pins == 0 && s->durable == 0);
                p->n_segments--;
                segment_free(s);
        }
}

void append_discard(struct partition *p, int status)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        append_fail_waiting(p, status);
        if (p->flush) { /* the kernel still reads these bytes */
                p->discard_due = status;
                return;
        }
        p->discard_due = 0;
        p->append_end = p->durable_end;
        p->append_virt = p->durable_virt;
        log_stats_waiting(p);
        p->settled_virt = MIN(p->settled_virt, p->append_virt);
        if (p->next_mark_virt > p->append_virt) p->next_mark_virt = 0;
        tail_discard(p);
        drop_named_segments(p);
        struct segment *s = partition_active(p);
        if (!s) return;
        s->size = p->append_virt - s->virt;
        s->durable = MIN(s->durable, s->size);
        s->end_offset = p->append_end;
        s->appended_max_timestamp = s->max_timestamp;
        s->cut_due = s->cut_due || s->written > s->size;
        index_cut(s, s->size);
        assert(s->durable <= s->size);
}
