/* The sparse index of a segment in memory: some batches' offsets and positions, ascending, and the
 * largest timestamp before each.  It never needs to be complete: who looks something up walks on
 * from the nearest spot, and notes spots where the walk was long.  So a missing index repairs
 * itself. */
#include "storage/internal.h"

static const struct index_spot segment_begin = { .rel = 0, .pos = 0, .max_before = -1 };

/* Number of spots whose position is <= pos. */
static uint32_t spots_up_to(const struct segment_index *x, uint64_t pos)
{
        uint32_t low = 0, high = x->n;
        while (low < high) {
                uint32_t mid = low + (high - low) / 2;
                if (x->spots[mid].pos <= pos)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low;
}

struct index_spot index_find_offset(const struct segment *s, int64_t offset)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        assert(offset >= s->base_offset);
        const struct segment_index *x = &s->index;
        uint64_t rel = (uint64_t)(offset - s->base_offset);
        uint32_t low = 0, high = x->n;
        while (low < high) {
                uint32_t mid = low + (high - low) / 2;
                if (x->spots[mid].rel <= rel)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low > 0 ? x->spots[low - 1] : segment_begin;
}

struct index_spot index_find_position(const struct segment *s, uint64_t pos)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        uint32_t i = spots_up_to(&s->index, pos);
        return i > 0 ? s->index.spots[i - 1] : segment_begin;
}

/* Everything before the spot is older than t. */
struct index_spot index_find_time(const struct segment *s, int64_t t)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        const struct segment_index *x = &s->index;
        uint32_t low = 0, high = x->n;
        while (low < high) {
                uint32_t mid = low + (high - low) / 2;
                if (x->spots[mid].max_before < t)
                        low = mid + 1;
                else
                        high = mid;
        }
        return low > 0 ? x->spots[low - 1] : segment_begin;
}

bool index_next(const struct segment *s, uint64_t pos, struct index_spot *ret)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        uint32_t i = spots_up_to(&s->index, pos);
        if (i == s->index.n) return false;
        *ret = s->index.spots[i];
        return true;
}

static void index_shrink(struct log_shard *ls, size_t to)
{
        struct list *l = ls->indexes.next;
        while (l != &ls->indexes && ls->index_used > to) {
                struct segment *s = CONTAINER_OF(l, struct segment, index_lru);
                l = l->next;
                if (s->pins == 0) index_unload(s);
        }
}

static bool grow(struct log_shard *ls, struct segment_index *x)
{
        if (x->n < x->cap) return true;
        uint32_t cap = x->cap ? x->cap * 2 : 8;
        size_t more = (cap - x->cap) * sizeof *x->spots;
        if (ls->index_used + more > ls->index_limit) index_shrink(ls, ls->index_limit / 2);
        if (ls->index_used + more > ls->index_limit) return false;
        struct index_spot *all = realloc(x->spots, cap * sizeof *all);
        if (!all) return false;
        ls->index_used += more;
        x->spots = all;
        x->cap = cap;
        return true;
}

void index_note(struct segment *s, struct index_spot spot)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        struct segment_index *x = &s->index;
        uint32_t interval = s->partition->config.index_interval_bytes;
        uint32_t i = spots_up_to(x, spot.pos);
        uint32_t before = i > 0 ? x->spots[i - 1].pos : 0;
        if (spot.pos - before < interval) return;
        if (i < x->n && x->spots[i].pos - spot.pos < interval) return;
        assert(i == 0 || x->spots[i - 1].rel < spot.rel);
        /* Without memory the index stays sparser. */
        bool listed = !list_empty(&s->index_lru);
        list_remove(&s->index_lru); /* trimming must not take this one */
        bool room = grow(s->partition->ls, x);
        if (listed) list_push_back(&s->partition->ls->indexes, &s->index_lru);
        if (!room) return;
        memmove(x->spots + i + 1, x->spots + i, (x->n - i) * sizeof *x->spots);
        x->spots[i] = spot;
        x->n++;
}

void index_cut(struct segment *s, uint64_t size)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        while (s->index.n > 0 && s->index.spots[s->index.n - 1].pos >= size) s->index.n--;
}

void index_unload(struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        s->partition->ls->index_used -= s->index.cap * sizeof *s->index.spots;
        free(s->index.spots);
        s->index = (struct segment_index){ 0 };
        s->index_tried = false;
        list_remove(&s->index_lru);
}

void index_trim(struct log_shard *ls)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        if (ls->index_used > ls->index_limit) index_shrink(ls, ls->index_limit);
}

void index_touch(struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        if (!s->sealed) return;
        list_remove(&s->index_lru);
        list_push_back(&s->partition->ls->indexes, &s->index_lru);
}
