/* Storage through its own structures: an append from the call to its answer, on a disk that does
 * nothing; a read of the tail; a look into a segment's index. */
#include "base/check.h"
#include "storage/internal.h"
#include "tests/micro/micro.h"
#include "tests/micro/null_disk.h"

enum {
        BURST_MAX = 16,
        TURNS_MAX = 100000,
        MEMORY = 64 << 20,
        CACHE = 16 << 20,
        TAIL_BATCHES = 64,
        READ_BYTES = 64 << 10,
        SPOTS = 16384,
        SPOT_OFFSETS = 37,
};

/* --- a shard with one partition --- */

struct rig {
        struct io *io;
        struct timers timers;
        struct block_pool *blocks;
        struct store *store;
        struct log_shard *log;
        struct partition *partition;
        uint8_t *batch;
        size_t size;
        struct batch info;
        struct log_append appends[BURST_MAX];
        int done;
        bool closed;
};

static struct rig *the_rig; /* callbacks of an append know nothing but the append */

static void make_batch(struct rig *x, int32_t value)
{
        static uint8_t text[256 << 10];
        assert((size_t)value <= sizeof text);
        struct record_in record = {
                .timestamp = INT64_C(1700000000000), .key = { NULL, -1 }, .value = { text, value }
        };
        struct batch_build in = { .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = &record,
                .count = 1 };
        size_t bound = batch_encode_bound(&in);
        x->batch = malloc(bound);
        assert(x->batch);
        int64_t n = batch_encode(
            &in, NULL, (struct bytes_mut){ NULL, 0 }, (struct bytes_mut){ x->batch, bound }, NULL);
        assert(n > 0);
        x->size = (size_t)n;
        const char *why = batch_read(x->batch, x->size, true, &x->info);
        assert(!why);
}

static void open_store(struct rig *x)
{
        struct err e = { 0 };
        struct store_config c = { .dir = "/data", .durability = STORE_DURABILITY_DSYNC };
        x->io = null_disk_new();
        x->blocks = block_pool_new(NULL, MEMORY);
        assert(x->io && x->blocks);
        timers_init(&x->timers);
        int r = store_open(x->io, &c, &x->store, &e);
        assert(r == 0);
        x->log = log_shard_new(&(struct log_shard_config){
            .store = x->store,
            .io = x->io,
            .timers = &x->timers,
            .blocks = x->blocks,
            .cache_limit = CACHE,
            .index_limit = 1 << 20,
            .fds_limit = 64,
        });
        assert(x->log);
}

/* Waits only where the simulator has something to do: a new segment's name. */
static void turn(struct rig *x)
{
        io_dispatch(x->io, 64);
        log_shard_plan(x->log);
        io_turn(x->io, 1000000);
}

static void on_done(struct log_append *a)
{
        assert(a->status == ST_OK);
        the_rig->done++;
}

static void append_burst(struct rig *x, int n)
{
        x->done = 0;
        for (int i = 0; i < n; i++) {
                x->appends[i] = (struct log_append){ .partition = x->partition,
                        .batch = x->batch,
                        .info = x->info,
                        .on_done = on_done };
                partition_append(&x->appends[i]);
        }
        for (int i = 0; i < TURNS_MAX && x->done < n; i++) turn(x);
        assert(x->done == n);
}

static struct rig *rig_new(int32_t value)
{
        static const struct log_config config = {
                .segment_bytes = 1 << 30,
                .index_interval_bytes = 4096,
                .segment_ms = -1,
                .retention_ms = -1,
                .retention_bytes = -1,
        };
        struct rig *x = the_rig = calloc(1, sizeof *x);
        struct err e = { 0 };
        assert(x);
        make_batch(x, value);
        open_store(x);
        x->partition = partition_new(x->log, (struct uuid){ { 7 } }, 0, &config);
        assert(x->partition);
        int r = partition_recover(x->partition, &e);
        assert(r == 0);
        append_burst(x, 1); /* makes the directory and the first segment */
        null_disk_on(x->io, true);
        return x;
}

static void on_closed(void *arg)
{
        *(bool *)arg = true;
}

static void rig_free(struct rig *x)
{
        null_disk_on(x->io, false);
        log_shard_close(x->log, on_closed, &x->closed);
        for (int i = 0; i < TURNS_MAX && !x->closed; i++) turn(x);
        assert(x->closed);
        log_shard_free(x->log);
        store_close(x->store, x->io);
        block_pool_free(x->blocks);
        io_free(x->io);
        free(x->batch);
        free(x);
        the_rig = NULL;
}

static void teardown(struct micro *m)
{
        rig_free(m->state);
}

/* --- appending --- */

static void append_setup(struct micro *m)
{
        struct rig *x = rig_new(m->size);
        m->bytes = (uint64_t)m->way * x->size;
        m->state = x;
}

static void append_op(struct micro *m)
{
        append_burst(m->state, m->way);
}

/* --- reading the tail --- */

static void read_setup(struct micro *m)
{
        struct rig *x = rig_new(m->size);
        for (int i = 0; i < TAIL_BATCHES; i++) append_burst(x, BURST_MAX);
        m->bytes = READ_BYTES;
        m->state = x;
}

static void on_read(struct log_read *r)
{
        assert(r == NULL); /* a read of the tail never waits */
}

static void read_op(struct micro *m)
{
        struct rig *x = m->state;
        struct log_read r = { .partition = x->partition,
                .offset = (TAIL_BATCHES - 8) * BURST_MAX,
                .max_bytes = READ_BYTES,
                .at_least_one = true,
                .on_done = on_read };
        uint64_t there = partition_readable(x->partition, r.offset, READ_BYTES);
        int st = partition_read(&r);
        assert(there == READ_BYTES && st == ST_OK && r.status == ST_OK && r.total > 0);
        log_read_release(&r);
}

/* --- the index --- */

struct lookup {
        struct segment segment;
        uint64_t seed;
        volatile uint32_t keep;
};

static void index_setup(struct micro *m)
{
        struct lookup *x = calloc(1, sizeof *x);
        assert(x);
        x->segment.magic = SEGMENT_MAGIC;
        x->segment.base_offset = 1000;
        x->segment.index.spots = calloc(SPOTS, sizeof *x->segment.index.spots);
        x->segment.index.n = x->segment.index.cap = SPOTS;
        assert(x->segment.index.spots);
        for (uint32_t i = 0; i < SPOTS; i++)
                x->segment.index.spots[i] = (struct index_spot){ .rel = (i + 1) * SPOT_OFFSETS,
                        .pos = (i + 1) * 4096,
                        .max_before = (int64_t)i * 10 };
        m->state = x;
}

static void index_offset_op(struct micro *m)
{
        struct lookup *x = m->state;
        int64_t at = (int64_t)(micro_next(&x->seed) % (SPOTS * SPOT_OFFSETS));
        x->keep = index_find_offset(&x->segment, x->segment.base_offset + at).pos;
}

static void index_time_op(struct micro *m)
{
        struct lookup *x = m->state;
        x->keep = index_find_time(&x->segment, (int64_t)(micro_next(&x->seed) % (SPOTS * 10))).pos;
}

static void index_teardown(struct micro *m)
{
        struct lookup *x = m->state;
        free(x->segment.index.spots);
        free(x);
}

struct micro micro_store[] = {
        { "append.100", "append a batch of 100 bytes, to its answer", append_setup, append_op,
            teardown, 500, 100, 1 },
        { "append.16x1k", "append 16 batches of 1 KiB in one turn, to their answers", append_setup,
            append_op, teardown, 200, 1 << 10, BURST_MAX },
        { "append.16k", "append a batch of 16 KiB, to its answer", append_setup, append_op,
            teardown, 200, 16 << 10, 1 },
        { "append.256k", "append a batch of 256 KiB, to its answer", append_setup, append_op,
            teardown, 50, 256 << 10, 1 },
        { "read.tail", "read 64 KiB in batches of 1 KiB from the tail", read_setup, read_op,
            teardown, 500, 1 << 10 },
        { "index.offset", "find an offset among 16384 index spots", index_setup, index_offset_op,
            index_teardown, 2000 },
        { "index.time", "find a time among 16384 index spots", index_setup, index_time_op,
            index_teardown, 2000 },
        { .name = NULL },
};
