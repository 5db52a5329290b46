/* Partitions in memory: made, found, asked, watched, freed. */
#include "storage/internal.h"

enum { SEGMENTS_MAX = 1 << 24 };

static struct log_config config_checked(const struct log_config *c)
{
        struct log_config r = *c;
        r.index_interval_bytes = MAX(r.index_interval_bytes, (uint32_t)INDEX_INTERVAL_MIN);
        r.segment_bytes = MAX(r.segment_bytes, 1U);
        return r;
}

struct partition *partition_new(
    struct log_shard *ls, struct uuid topic_id, int32_t index, const struct log_config *c)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        assert(c && index >= 0 && !partition_find(ls, topic_id, index));
        struct partition *p = calloc(1, sizeof *p);
        if (!p) return NULL;
        p->magic = PARTITION_MAGIC;
        p->key.topic_id = topic_id;
        p->key.index = index;
        p->ls = ls;
        p->config = config_checked(c);
        p->chunk_size = CHUNK_MIN;
        struct list *lists[] = { &p->all, &p->queue, &p->fresh, &p->waiting, &p->dirty, &p->notify,
                &p->moved, &p->watches, &p->delete_link, &p->room.link, &p->kept };
        for (size_t i = 0; i < COUNT_OF(lists); i++) list_init(lists[i]);
        for (size_t i = 0; i < HINTS; i++) p->hints[i].offset = -1;
        HASH_ADD(hh, ls->by_key, key, sizeof p->key, p);
        if (!p->hh.tbl) {
                free(p);
                return NULL;
        }
        list_push_back(&ls->partitions, &p->all);
        ls->n_partitions++;
        return p;
}

struct partition *partition_find(struct log_shard *ls, struct uuid topic_id, int32_t index)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        struct partition_key key = { .topic_id = topic_id, .index = index };
        struct partition *p;
        HASH_FIND(hh, ls->by_key, &key, sizeof key, p);
        return p;
}

void partition_configure(struct partition *p, const struct log_config *c)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        assert(c);
        p->config = config_checked(c);
}

/* Memory only. */
void partition_free(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        struct log_shard *ls = p->ls;
        assert(p->holds == 0 || !p->deleted);
        if (p->room_wanted) shard_room_came(ls);
        block_waiter_cancel(&p->room);
        tail_drop_all(p);
        log_stats_gone(p);
        for (uint32_t i = 0; i < p->n_segments; i++) segment_free(p->segments[i]);
        struct list *lists[] = { &p->dirty, &p->notify, &p->moved, &p->delete_link, &p->all,
                &p->kept };
        if (ls->retention_at == &p->all) ls->retention_at = p->all.next;
        for (size_t i = 0; i < COUNT_OF(lists); i++) list_remove(lists[i]);
        if (p->hh.tbl) HASH_DEL(ls->by_key, p);
        ls->n_partitions--;
        p->magic = 0;
        free(p->segments);
        free(p->chunks);
        free(p);
}

/* --- segments --- */
struct segment *partition_segment_for(const struct partition *p, int64_t offset)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        uint32_t low = 0, high = p->n_segments;
        while (low < high) {
                uint32_t mid = low + (high - low) / 2;
                if (p->segments[mid]->base_offset <= offset)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low > 0 ? p->segments[low - 1] : NULL;
}

struct segment *partition_segment_at(const struct partition *p, uint64_t virt)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        uint32_t low = 0, high = p->n_segments;
        while (low < high) {
                uint32_t mid = low + (high - low) / 2;
                if (p->segments[mid]->virt <= virt)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low > 0 ? p->segments[low - 1] : NULL;
}

struct segment *partition_add_segment(struct partition *p, int64_t base, uint64_t virt)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        assert(!partition_active(p) || partition_active(p)->base_offset < base);
        if (p->n_segments == p->cap_segments) {
                uint32_t cap = MAX(p->cap_segments * 2, 4U);
                if (cap > SEGMENTS_MAX) return NULL;
                struct segment **all = realloc(p->segments, cap * sizeof *all);
                if (!all) return NULL;
                p->segments = all;
                p->cap_segments = cap;
        }
        struct segment *s = segment_new(p, base, virt);
        if (s) p->segments[p->n_segments++] = s;
        return s;
}

/* --- life --- */
void partition_hold(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        p->holds++;
}

void partition_unhold(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        assert(p->holds > 0);
        p->holds--;
        if (p->holds == 0 && p->deleted) partition_delete_continue(p);
}

void partition_make_dirty(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        if (list_empty(&p->dirty)) list_push_back(&p->ls->dirty, &p->dirty);
}

void partition_get_state(const struct partition *p, struct partition_state *ret)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        *ret = (struct partition_state){
                .log_start = p->log_start,
                .high_watermark = p->durable_end,
                .append_end = p->append_end,
                .max_timestamp = -1,
                .segments = p->n_segments,
                .status = p->status != ST_OK    ? p->status
                          : shard_fenced(p->ls) ? ST_FENCED
                                                : ST_OK,
        };
        for (uint32_t i = 0; i < p->n_segments; i++) {
                ret->max_timestamp = MAX(ret->max_timestamp, p->segments[i]->max_timestamp);
                ret->bytes += p->segments[i]->durable;
        }
}

uint32_t partition_segment_offsets(const struct partition *p, int64_t *out, uint32_t max)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        uint32_t n = 0;
        for (uint32_t i = p->n_segments; i > 0 && n < max; i--) {
                const struct segment *s = p->segments[i - 1];
                if (s->base_offset < p->durable_end || n + i == p->n_segments)
                        out[n++] = s->base_offset;
        }
        return n;
}

/* --- watches --- */
void partition_watch(struct partition *p, struct log_watch *w)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        assert(w->on_move);
        partition_unwatch(w);
        w->armed = true;
        list_push_back(&p->watches, &w->link);
}

void partition_unwatch(struct log_watch *w)
{
        if (!w->armed) return;
        w->armed = false;
        list_remove(&w->link);
}

void partition_moved(struct partition *p)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        if (!list_empty(&p->watches) && list_empty(&p->moved))
                list_push_back(&p->ls->moved, &p->moved);
}

/* A watch that arms itself again waits for the next move. */
static unsigned fire_all(struct partition *p)
{
        struct list due;
        unsigned n = 0;
        list_init(&due);
        while (!list_empty(&p->watches)) list_push_back(&due, list_pop_front(&p->watches));
        for (struct list *l = list_pop_front(&due); l; l = list_pop_front(&due), n++) {
                struct log_watch *w = CONTAINER_OF(l, struct log_watch, link);
                w->armed = false;
                w->on_move(w);
        }
        return n;
}

unsigned partition_run_watches(struct log_shard *ls)
{
        unsigned n = 0;
        struct list due;
        list_init(&due);
        while (!list_empty(&ls->moved)) list_push_back(&due, list_pop_front(&ls->moved));
        for (struct list *l = list_pop_front(&due); l; l = list_pop_front(&due))
                n += fire_all(CONTAINER_OF(l, struct partition, moved));
        return n;
}
