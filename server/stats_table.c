/* Every metric: one row each. */
#include "server/stats_table.h"

#include "server/request.h"
#include "server/shard.h"
#include "storage/stats.h"

static const char *api_label(unsigned i)
{
        unsigned n;
        return api_rows_all(&n)[i].name;
}

static const char *pool_label(unsigned i)
{
        static const char *const names[POOLS] = { "receive", "blocks", "arenas" };
        return names[i];
}

static const char *source_label(unsigned i)
{
        static const char *const names[LOG_SOURCES] = { "tail", "cache", "disk" };
        return names[i];
}

#define COUNTER(title, text) .name = title, .help = text, .kind = STATS_COUNTER
#define GAUGE(title, text) .name = title, .help = text, .kind = STATS_GAUGE
#define HISTOGRAM(title, text) .name = title, .help = text, .kind = STATS_HISTOGRAM
#define SHARD(field) .where = IN_SHARD, .at = offsetof(struct shard_stats, field)
#define LOG(field) .where = IN_LOG, .at = offsetof(struct log_stats, field)
#define IO(field) .where = IN_IO, .at = offsetof(struct io, field)
#define BY_API .label = "api", .step = sizeof(struct api_stats), .series_name = api_label
#define BY_POOL                                                                \
        .label = "pool", .step = sizeof(struct pool_stats), .n_series = POOLS, \
        .series_name = pool_label
#define BY_SOURCE                                                                   \
        .label = "source", .step = sizeof(struct counter), .n_series = LOG_SOURCES, \
        .series_name = source_label
#define CONNECTIONS .group = "connections"
#define REQUESTS .group = "requests"
#define RECORDS .group = "records"
#define FLUSHES .group = "flushes"
#define READS .group = "reads"
#define FILES .group = "files"
#define MEMORY .group = "memory"
#define TURNS .group = "turns"
#define BYTES .unit = "bytes"
#define SECONDS .unit = "seconds"

static const struct stats_metric metrics[] = {
        { CONNECTIONS, GAUGE("varve_connections", "Connections that are open."), SHARD(open) },
        { CONNECTIONS, COUNTER("varve_connections_accepted_total", "Connections accepted."),
            SHARD(accepted) },
        { CONNECTIONS,
            COUNTER("varve_connections_refused_total",
                "Connections closed at once: a limit, no descriptor, no memory."),
            SHARD(refused) },
        { CONNECTIONS,
            COUNTER("varve_connections_faulted_total",
                "Connections ended because of what the client sent, or did not send in time."),
            SHARD(closed_by_fault) },
        { CONNECTIONS, COUNTER("varve_received_bytes_total", "Bytes received from clients."), BYTES,
            SHARD(bytes_in) },
        { CONNECTIONS, COUNTER("varve_sent_bytes_total", "Bytes sent to clients."), BYTES,
            SHARD(bytes_out) },
        { CONNECTIONS, COUNTER("varve_receives_total", "Receive operations that brought bytes."),
            SHARD(recvs) },
        { CONNECTIONS, COUNTER("varve_sends_total", "Send operations begun."), SHARD(sends) },
        { CONNECTIONS,
            COUNTER("varve_receive_copied_bytes_total",
                "Received bytes moved because their buffer was full or grew."),
            BYTES, SHARD(receive_copied) },

        { REQUESTS, GAUGE("varve_requests_open", "Requests under way, or whose reply waits."),
            SHARD(requests_open) },
        { REQUESTS, COUNTER("varve_requests_total", "Requests begun."), BY_API,
            SHARD(api[0].requests) },
        { REQUESTS,
            COUNTER("varve_request_errors_total",
                "Requests answered with an error code, in part or whole, or not at all."),
            BY_API, SHARD(api[0].errors) },
        { REQUESTS,
            HISTOGRAM("varve_request_duration_seconds",
                "From the complete frame until the reply is sent; a Fetch may wait on purpose."),
            SECONDS, BY_API, SHARD(api[0].time) },
        { REQUESTS, COUNTER("varve_replies_total", "Replies that have left."), SHARD(replies) },

        { RECORDS, COUNTER("varve_produced_records_total", "Records made durable for producers."),
            SHARD(produce_records) },
        { RECORDS, COUNTER("varve_produced_batches_total", "Batches made durable for producers."),
            SHARD(produce_batches) },
        { RECORDS,
            COUNTER("varve_produced_bytes_total", "Bytes of these batches, as they are stored."),
            BYTES, SHARD(produce_bytes) },
        { RECORDS, COUNTER("varve_fetched_bytes_total", "Bytes of batches that went into replies."),
            BYTES, SHARD(fetch_bytes) },
        { RECORDS,
            COUNTER("varve_appends_total",
                "Batches copied into tails, those of the server's own logs too."),
            LOG(appends) },
        { RECORDS, COUNTER("varve_append_bytes_total", "Bytes of these."), BYTES,
            LOG(append_bytes) },

        { FLUSHES, COUNTER("varve_flushes_total", "Writes of tails to segment files begun."),
            LOG(writes) },
        { FLUSHES, COUNTER("varve_flush_bytes_total", "Bytes of these writes: whole pages."), BYTES,
            LOG(write_bytes) },
        { FLUSHES, HISTOGRAM("varve_flush_size_bytes", "Size of these writes."), BYTES,
            LOG(write_size) },
        { FLUSHES,
            HISTOGRAM("varve_flush_duration_seconds",
                "From the start of a write until its bytes are durable."),
            SECONDS, LOG(write_time) },
        { FLUSHES,
            HISTOGRAM("varve_flush_depth",
                "Writes in flight on the shard when one starts, this one included."),
            LOG(write_depth) },
        { FLUSHES, GAUGE("varve_flushes_in_flight", "Writes in flight."), LOG(writing) },
        { FLUSHES,
            GAUGE("varve_flush_waiting_partitions",
                "Partitions with bytes that are not durable yet."),
            LOG(waiting_partitions) },

        { FLUSHES,
            COUNTER("varve_journal_writes_total",
                "Groups written to journals: newest bytes of many partitions."),
            LOG(journal_writes) },
        { FLUSHES, COUNTER("varve_journal_bytes_total", "Bytes of these groups: whole pages."),
            BYTES, LOG(journal_bytes) },
        { FLUSHES,
            HISTOGRAM("varve_journal_duration_seconds",
                "From the start of a group's write until it is durable."),
            SECONDS, LOG(journal_time) },

        { READS,
            COUNTER("varve_reads_total",
                "Reads of partitions that returned something, by the slowest source needed."),
            BY_SOURCE, LOG(read_count) },
        { READS, COUNTER("varve_read_bytes_total", "Bytes that they returned, by source."), BYTES,
            BY_SOURCE, LOG(read_bytes) },
        { READS, COUNTER("varve_disk_reads_total", "Reads of segment files, read-ahead included."),
            LOG(disk_reads) },
        { READS, COUNTER("varve_disk_read_bytes_total", "Bytes of these."), BYTES,
            LOG(disk_read_bytes) },

        { FILES, GAUGE("varve_partitions", "Partitions in memory."), LOG(partitions) },
        { FILES, GAUGE("varve_open_segment_files", "Segment files that are open."),
            LOG(open_files) },
        { FILES, COUNTER("varve_segments_sealed_total", "Segments that were finished."),
            LOG(segments_rolled) },
        { FILES, COUNTER("varve_segments_deleted_total", "Segments that retention deleted."),
            LOG(segments_deleted) },

        { MEMORY, GAUGE("varve_pool_used_bytes", "Memory that is in use."), BYTES, BY_POOL,
            SHARD(pools[0].used) },
        { MEMORY, GAUGE("varve_pool_held_bytes", "Memory taken from the system."), BYTES, BY_POOL,
            SHARD(pools[0].held) },
        { MEMORY, GAUGE("varve_pool_spare_bytes", "Of this, in slabs without a block in use."),
            BYTES, BY_POOL, SHARD(pools[0].spare) },
        { MEMORY, GAUGE("varve_pool_limit_bytes", "Memory that the pool may take."), BYTES, BY_POOL,
            SHARD(pools[0].limit) },
        { MEMORY, GAUGE("varve_pool_waiters", "Who waits for memory of the pool."), BY_POOL,
            SHARD(pools[0].waiters) },
        { MEMORY, COUNTER("varve_pool_waits_total", "How often somebody began to wait for it."),
            BY_POOL, SHARD(pools[0].waits) },
        { MEMORY, GAUGE("varve_cached_bytes", "Of blocks: finished tails and cached reads."), BYTES,
            LOG(cached_bytes) },

        { TURNS, COUNTER("varve_turns_total", "Turns of the loop."), SHARD(turns) },
        { TURNS, COUNTER("varve_turns_busy_total", "Turns that found something to do."),
            SHARD(turns_busy) },
        { TURNS,
            HISTOGRAM("varve_turn_duration_seconds",
                "Work of a turn; of one that sleeps, until it submits and lies down."),
            SECONDS, SHARD(turn_time) },
        { TURNS, HISTOGRAM("varve_turn_completions", "Operations that a turn found finished."),
            SHARD(turn_completions) },
        { TURNS, COUNTER("varve_io_enters_total", "System calls to submit, to reap, to sleep."),
            IO(enters) },
        { TURNS, COUNTER("varve_sleeps_total", "Turns that lay down until something happens."),
            IO(sleeps) },
        { TURNS,
            COUNTER("varve_sleep_seconds_total",
                "Time from lying down to getting up; what is submitted then runs within it."),
            SECONDS, SHARD(sleep_ns) },
        { TURNS, COUNTER("varve_messages_sent_total", "Messages to other shards."),
            SHARD(messages_sent) },
        { TURNS, COUNTER("varve_wakeups_sent_total", "Other shards woken."), SHARD(wakes_sent) },
};

const struct stats_metric *stats_metrics(unsigned *ret_count)
{
        *ret_count = COUNT_OF(metrics);
        return metrics;
}

int64_t stats_divisor(const struct stats_metric *m)
{
        return m->unit && strcmp(m->unit, "seconds") == 0 ? NS_PER_SECOND : 1;
}

unsigned stats_series(const struct stats_metric *m)
{
        unsigned n = m->n_series;
        if (!m->label) return 1;
        if (m->series_name == api_label) (void)api_rows_all(&n);
        return n;
}

static const void *place(const struct stats_metric *m, unsigned series, const struct shard *s)
{
        const void *const structs[] = { [IN_SHARD] = s->own.stats,
                [IN_LOG] = log_shard_stats(s->own.log),
                [IN_IO] = s->own.io };
        assert(series < stats_series(m));
        return (const char *)structs[m->where] + m->at + series * m->step;
}

const struct counter *stats_counter(
    const struct stats_metric *m, unsigned series, const struct shard *s)
{
        assert(m->kind != STATS_HISTOGRAM);
        return place(m, series, s);
}

const struct histogram *stats_histogram(
    const struct stats_metric *m, unsigned series, const struct shard *s)
{
        assert(m->kind == STATS_HISTOGRAM);
        return place(m, series, s);
}
