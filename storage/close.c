/* A clean stop: appends are refused -> all tails are flushed, operations end -> each file written
 * in this run is cut to its exact size and gets its index, a few at a time -> checkpoint ->
 * descriptors are closed -> on_closed.
 *
 * It goes on from log_shard_plan().  After a failed write nothing more is written: then the store
 * is closed as it is, and not called clean. */
#include "storage/journal.h"

enum { LANES = 8 };

void log_shard_close(struct log_shard *ls, void (*on_closed)(void *arg), void *arg)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        assert(on_closed && !ls->closing);
        ls->closing = true;
        ls->close.step = CLOSE_FLUSH;
        ls->close.clean = true;
        ls->close.on_closed = on_closed;
        ls->close.arg = arg;
        timer_cancel(ls->timers, &ls->tick);
        for (struct list *l = ls->partitions.next; l != &ls->partitions; l = l->next) {
                struct partition *p = CONTAINER_OF(l, struct partition, all);
                append_fail_queue(p, ST_CLOSED);
                if (partition_unsettled(p)) partition_make_dirty(p);
        }
}

/* Everything in memory is on disk, nothing is under way. */
static bool flushed(struct log_shard *ls)
{
        if (ls->busy > 0 || ls->dropping) return false;
        bool given_up = ls->close.gave_up || shard_fenced(ls); /* the journal has it */
        bool lists = list_empty(&ls->dirty) && list_empty(&ls->notify) &&
                     list_empty(&ls->refused) && list_empty(&ls->failed) &&
                     list_empty(&ls->deletes);
        for (struct list *l = ls->partitions.next; l != &ls->partitions && lists; l = l->next) {
                const struct partition *p = CONTAINER_OF(l, struct partition, all);
                if (p->holds > 0 || p->flush) return false;
                if (partition_unsettled(p) && !given_up) return false;
        }
        return lists;
}

static void cut_on_saved(struct segment_save *v)
{
        struct segment *s = v->segment;
        struct log_shard *ls = s->partition->ls;
        if (v->failed) ls->close.clean = false;
        s->allocated = s->size;
        ls->close.lanes--;
        free(v);
        segment_unpin(s);
        close_continue(ls);
}

static void cut_start(struct log_shard *ls, struct partition *p)
{
        struct segment *s = partition_active(p);
        if (p->status != ST_OK || !s || !s->created || s->allocated == s->size) return;
        struct segment_save *v = calloc(1, sizeof *v);
        if (!v) {
                ls->close.clean = false;
                return;
        }
        v->segment = s;
        v->on_done = cut_on_saved;
        ls->close.lanes++;
        segment_pin(s);
        segment_save(v);
}

static void close_fds(struct log_shard *ls)
{
        ls->close.step = CLOSE_FDS;
        segment_fds_trim(ls, 0);
        if (ls->journal) journal_close(ls->journal);
}

static void on_checkpoint(struct log_shard *ls, int64_t res)
{
        if (res < 0) ls->close.clean = false;
        close_fds(ls);
        close_continue(ls);
}

static void step_flush(struct log_shard *ls)
{
        if (!flushed(ls)) return;
        ls->close.at = ls->partitions.next;
        ls->close.step = CLOSE_CUT;
        if (shard_fenced(ls) || ls->close.gave_up) {
                ls->close.clean = false;
                close_fds(ls);
        }
}

static void step_cut(struct log_shard *ls)
{
        while (ls->close.at != &ls->partitions && ls->close.lanes < LANES) {
                struct partition *p = CONTAINER_OF(ls->close.at, struct partition, all);
                ls->close.at = ls->close.at->next;
                cut_start(ls, p);
        }
        if (ls->close.lanes > 0 || ls->close.at != &ls->partitions) return;
        ls->close.step = CLOSE_CHECKPOINT;
        if (!checkpoint_write(ls, on_checkpoint)) on_checkpoint(ls, -1);
}

void close_continue(struct log_shard *ls)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        assert(ls->closing);
        if (ls->close.step == CLOSE_FLUSH) step_flush(ls);
        if (ls->close.step == CLOSE_CUT) step_cut(ls);
        if (ls->close.step != CLOSE_FDS || ls->busy > 0) return;
        ls->close.step = CLOSE_DONE;
        if (ls->close.clean) ls->store->shards_dirty--;
        ls->close.on_closed(ls->close.arg);
}
