/* Counting what the store does. */
#include "storage/stats.h"

#include "storage/flush.h"
#include "storage/walk.h"

const struct log_stats *log_shard_stats(const struct log_shard *ls)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        return &ls->stats;
}

void log_shard_stats_refresh(struct log_shard *ls)
{
        CHECK_OBJ(ls, LOG_SHARD_MAGIC);
        counter_set(&ls->stats.partitions, ls->n_partitions);
        counter_set(&ls->stats.open_files, ls->n_fds);
        counter_set(&ls->stats.cached_bytes, ls->cache_used);
}

/* --- appends --- */
void log_stats_waiting(struct partition *p)
{
        bool waits = p->durable_virt != p->append_virt;
        if (waits == p->counted_waiting) return;
        p->counted_waiting = waits;
        if (waits)
                counter_add(&p->ls->stats.waiting_partitions, 1);
        else
                counter_sub(&p->ls->stats.waiting_partitions, 1);
}

void log_stats_append(struct partition *p, size_t bytes)
{
        counter_add(&p->ls->stats.appends, 1);
        counter_add(&p->ls->stats.append_bytes, bytes);
        log_stats_waiting(p);
}

void log_stats_gone(struct partition *p)
{
        if (p->counted_waiting) counter_sub(&p->ls->stats.waiting_partitions, 1);
        p->counted_waiting = false;
}

/* --- flushes --- */
void log_stats_write_begins(struct flush *f)
{
        struct log_shard *ls = f->partition->ls;
        struct log_stats *st = &ls->stats;
        counter_add(&st->writes, 1);
        counter_add(&st->write_bytes, f->bytes);
        histogram_add(&st->write_size, f->bytes);
        if (f->writing) return; /* the rest of a short write: its time goes on */
        f->writing = true;
        f->begun_ns = io_now_ns(ls->io);
        counter_add(&st->writing, 1);
        histogram_add(&st->write_depth, counter_get(&st->writing));
}

void log_stats_write_ends(struct flush *f)
{
        struct log_shard *ls = f->partition->ls;
        if (!f->writing) return;
        f->writing = false;
        counter_sub(&ls->stats.writing, 1);
        histogram_add(&ls->stats.write_time, io_now_ns(ls->io) - f->begun_ns);
}

void log_stats_journal(struct log_shard *ls, size_t bytes)
{
        counter_add(&ls->stats.journal_writes, 1);
        counter_add(&ls->stats.journal_bytes, bytes);
}

/* --- reads --- */
void log_stats_span(struct walk *w, const struct span *s)
{
        enum log_source from = LOG_FROM_TAIL;
        if (s->cached)
                from = s->cached->read_for == w->serial ? LOG_FROM_DISK : LOG_FROM_CACHE;
        else if (s->block == w->own)
                from = LOG_FROM_DISK;
        w->bytes_from[from] += s->n;
}

void log_stats_read(const struct walk *w)
{
        struct log_stats *st = &w->ls->stats;
        enum log_source slowest = LOG_FROM_TAIL;
        for (unsigned i = 0; i < LOG_SOURCES; i++) {
                if (w->bytes_from[i] == 0) continue;
                slowest = i;
                counter_add(&st->read_bytes[i], w->bytes_from[i]);
        }
        counter_add(&st->read_count[slowest], 1);
}

void log_stats_disk_read(struct log_shard *ls, size_t bytes)
{
        counter_add(&ls->stats.disk_reads, 1);
        counter_add(&ls->stats.disk_read_bytes, bytes);
}
