/* A segment in memory: its life, its pins, what is known to be bad in it. */
#include "storage/internal.h"

struct segment *segment_new(struct partition *p, int64_t base, uint64_t virt)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        assert(base >= 0);
        struct segment *s = calloc(1, sizeof *s);
        if (!s) return NULL;
        s->magic = SEGMENT_MAGIC;
        s->partition = p;
        s->base_offset = s->end_offset = base;
        s->virt = virt;
        s->max_timestamp = s->appended_max_timestamp = -1;
        s->fd = -1;
        struct list *lists[] = { &s->fd_waiters, &s->index_waiters, &s->fd_lru, &s->index_lru,
                &s->drop_link };
        for (size_t i = 0; i < COUNT_OF(lists); i++) list_init(lists[i]);
        return s;
}

/* Memory only: a descriptor that is still open stays open. */
void segment_free(struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        assert(list_empty(&s->drop_link));
        struct log_shard *ls = s->partition->ls;
        cache_forget_segment(ls, s);
        index_unload(s);
        if (s->fd >= 0) ls->n_fds--;
        list_remove(&s->fd_lru);
        s->magic = 0;
        free(s);
}

void segment_pin(struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        s->pins++;
        partition_hold(s->partition);
}

void segment_unpin(struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        assert(s->pins > 0);
        struct partition *p = s->partition;
        s->pins--;
        s->used_ns = io_now_ns(p->ls->io);
        if (s->pins == 0 && s->dropped) retention_drops(p->ls);
        partition_unhold(p); /* may free both */
}

void segment_note_bad(struct segment *s, uint64_t pos, int64_t offset, const char *why)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        char name[STORE_NAME_MAX];
        for (uint32_t i = 0; i < s->n_bad; i++)
                if (s->bad[i] == pos) return;
        if (s->n_bad == BAD_SPOTS_MAX) return; /* this file is known to be bad by now */
        s->bad[s->n_bad++] = pos;
        segment_name(s, ".log", name);
        log_event(LOG_ERROR, "stored batch is damaged", LOG_STR("file", name),
            LOG_INT("position", pos), LOG_INT("offset", offset), LOG_STR("cause", why), LOG_END);
}

/* --- sealing: wholly durable and not the newest any more --- */
static void seal_on_saved(struct segment_save *v)
{
        struct segment *s = v->segment;
        struct log_shard *ls = s->partition->ls;
        s->sealing = false;
        s->sealed = true;
        s->allocated = s->size;
        if (s->index.n > 0 && list_empty(&s->index_lru))
                list_push_back(&ls->indexes, &s->index_lru);
        free(v);
        index_trim(ls);
        segment_unpin(s);
}

void segment_seal(struct segment *s)
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        assert(s->durable == s->size && s != partition_active(s->partition));
        if (s->sealed || s->sealing) return;
        struct segment_save *v = calloc(1, sizeof *v);
        if (!v) { /* the file keeps its spare room; recovery takes it as it is */
                s->sealed = true;
                return;
        }
        s->sealing = true;
        counter_add(&s->partition->ls->stats.segments_rolled, 1);
        v->segment = s;
        v->on_done = seal_on_saved;
        segment_pin(s);
        segment_save(v);
}
