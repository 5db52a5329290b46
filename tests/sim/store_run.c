/* One seed of the storage engine alone: no server, no sockets, small segments, many deaths.
 *
 * A life: open the store, recover every partition (sometimes the power goes off in between), read
 * all of it and check it against the oracle, append with many batches under way and readers beside
 * them, now and then a failing disk, then power cut, kill or clean close. */
#include "tests/sim/sim_run.h"

#include "base/block.h"
#include "base/check.h"
#include "base/status.h"
#include "storage/log.h"
#include "tests/sim/oracle.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>

enum {
        PARTITIONS_MAX = 5,
        READERS = 3,
        APPENDS_MAX = 64,
        TURNS_MAX = 2000000,
        NS_PER_S = 1000 * 1000 * 1000,
};

struct run;

struct append {
        struct log_append a;
        struct run *run;
        uint32_t number;
        int32_t partition;
        uint8_t *bytes;
        bool copied;
        struct list link; /* run->appends */
};

struct reader {
        struct log_read r;
        struct run *run;
        int32_t partition;
        int64_t next;
        bool busy, checking, done;
};

struct run {
        struct sim_world *world;
        struct io *io;
        struct timers timers;
        struct block_pool *blocks;
        struct store *store;
        struct log_shard *log;
        struct partition *partitions[PARTITIONS_MAX];
        struct reader readers[READERS + 1];
        struct list appends;
        unsigned in_flight;
        struct oracle oracle;
        struct log_config config;
        int32_t n;
        uint32_t stream, records_max, value_max;
        size_t memory;
        bool codecs, may_fail, failed, closed, no_direct, cut_only;
        uint64_t start_steps_left;
        jmp_buf start_cut;
        struct sim_result *result;
};

static uint64_t below(struct run *x, uint64_t n)
{
        return sim_below(x->world, n);
}

static int fail(struct run *x, const char *what)
{
        if (!x->failed)
                err_set(&x->result->error, ST_CORRUPT, "%s (virtual time %" PRIu64 " ms)", what,
                    sim_now(x->world) / 1000000);
        x->failed = true;
        return ST_CORRUPT;
}

/* An oracle's verdict; its text is in e. */
static int judge(struct run *x, int status, const struct err *e)
{
        return status < 0 ? fail(x, e->text) : 0;
}

static int turn(struct run *x)
{
        unsigned n = io_dispatch(x->io, 1 + (unsigned)below(x, 64));
        n += timers_run(&x->timers, sim_now(x->world), 64);
        n += block_pool_run_waiters(x->blocks);
        n += log_shard_plan(x->log);
        io_turn(x->io, 0);
        if (n > 0 || sim_ready(x->io)) return 0;
        uint64_t timer = timers_next(&x->timers);
        bool stepped = sim_step_until(x->world, timer);
        return stepped || timer != UINT64_MAX ? 0 : 1;
}

/* Until *done; a broken rule, a standstill or too many turns end it too. */
static int until(struct run *x, const bool *done, const char *what)
{
        unsigned still = 0;
        for (unsigned i = 0; i < TURNS_MAX && !x->failed; i++) {
                if (*done) return 0;
                still = turn(x) ? still + 1 : 0;
                if (still > 3) return fail(x, what);
        }
        return x->failed ? ST_CORRUPT : fail(x, what);
}

/* --- appending --- */

static void append_free(struct append *p)
{
        list_remove(&p->link);
        p->run->in_flight--;
        free(p->bytes);
        free(p);
}

/* From here on the bytes belong to the caller again: it may write over them. */
static void on_copied(struct log_append *a)
{
        struct append *p = CONTAINER_OF(a, struct append, a);
        p->copied = true;
        memset(p->bytes, 0xdd, p->a.info.size);
}

static void on_appended(struct log_append *a)
{
        struct append *p = CONTAINER_OF(a, struct append, a);
        struct run *x = p->run;
        struct err e;
        if (!p->copied) fail(x, "done before it was copied");
        if (a->status == ST_OK) {
                judge(x, oracle_acked(&x->oracle, p->partition, p->number, a->base_offset, &e), &e);
                x->result->acked++;
        } else if (a->status == ST_CLOSED && x->closed) {
                oracle_lost(&x->oracle, p->partition, p->number);
        } else {
                oracle_failed(&x->oracle, p->partition, p->number);
                if (!x->may_fail) fail(x, status_text(a->status));
        }
        append_free(p);
}

static void append(struct run *x)
{
        struct append *p = calloc(1, sizeof *p);
        if (!p) abort();
        struct oracle_send s = {
                .partition = (int32_t)below(x, (uint64_t)x->n),
                .stream = x->stream,
                .count = 1 + (uint32_t)below(x, x->records_max),
                .size_max = below(x, 4) ? 100 : 16 + (uint32_t)below(x, x->value_max),
                .size_seed = (uint32_t)sim_random(x->world),
                .codec = x->codecs ? (enum codec)below(x, CODEC_COUNT) : CODEC_NONE,
        };
        size_t size;
        p->run = x;
        p->partition = s.partition;
        p->bytes = oracle_batch_new(&x->oracle, &s, &size, &p->number);
        list_push_back(&x->appends, &p->link);
        x->in_flight++;
        if (batch_read(p->bytes, size, true, &p->a.info)) abort();
        p->a.partition = x->partitions[s.partition];
        p->a.batch = p->bytes;
        p->a.on_copied = on_copied;
        p->a.on_done = on_appended;
        partition_append(&p->a);
}

/* --- reading --- */

static int read_next(struct reader *r);

static void take_slices(struct reader *r)
{
        struct run *x = r->run;
        struct log_read *l = &r->r;
        uint8_t *p = malloc(l->total + 1u);
        size_t at = 0;
        struct err e;
        if (!p) abort();
        for (uint32_t i = 0; i < l->n_slices; i++) {
                memcpy(p + at, l->slices[i].p, l->slices[i].n);
                at += l->slices[i].n;
        }
        if (at != l->total) fail(x, "slices do not add up to the total");
        log_read_release(l);
        struct bytes all = { p, (int32_t)at };
        int64_t next = r->next;
        if (!judge(x, oracle_fetched(&x->oracle, r->partition, r->next, all, &next, &e), &e) &&
            next > l->high_watermark)
                fail(x, "records above the high watermark");
        free(p);
        x->result->fetches++;
        if (r->checking && next == r->next && next < l->high_watermark)
                fail(x, "a read below the high watermark gives nothing");
        r->next = next;
}

static void read_done(struct reader *r)
{
        struct run *x = r->run;
        struct err e;
        if (r->r.status != ST_OK) {
                char text[120];
                snprintf(text, sizeof text, "partition %d: read at %" PRId64 ": %s", r->partition,
                    r->next, status_text(r->r.status));
                bool harmless = r->r.status == ST_IO && x->may_fail;
                if (!harmless) fail(x, text);
                return;
        }
        if (r->r.log_start != 0) fail(x, "the log start moved");
        oracle_high(&x->oracle, r->partition, r->r.high_watermark);
        take_slices(r);
        if (r->checking && r->next >= r->r.high_watermark) {
                judge(x, oracle_check_end(&x->oracle, r->partition, r->r.high_watermark, &e), &e);
                r->done = true;
        }
}

static void on_read(struct log_read *l)
{
        struct reader *r = CONTAINER_OF(l, struct reader, r);
        r->busy = false;
        read_done(r);
        if (r->checking && !r->done && !r->run->failed) read_next(r);
}

static int read_next(struct reader *r)
{
        struct run *x = r->run;
        while (!r->busy && !r->done && !x->failed) {
                r->r = (struct log_read){ .partition = x->partitions[r->partition],
                        .offset = r->next,
                        .max_bytes = below(x, 3) ? 1 << 20 : (uint32_t)below(x, 5000),
                        .at_least_one = true,
                        .on_done = on_read };
                r->busy = true;
                if (partition_read(&r->r) == ST_PENDING) return 0;
                r->busy = false;
                read_done(r);
                if (!r->checking) return 0;
        }
        return 0;
}

static int check_all(struct run *x)
{
        struct reader *r = &x->readers[READERS];
        for (int32_t i = 0; i < x->n && !x->failed; i++) {
                *r = (struct reader){ .run = x, .partition = i, .checking = true };
                oracle_check_begin(&x->oracle, i);
                read_next(r);
                until(x, &r->done, "the log cannot be read back");
                x->result->records += (uint64_t)x->oracle.partitions[i].checked;
        }
        return x->failed ? ST_CORRUPT : 0;
}

/* --- life and death --- */

static void maybe_cut(void *arg)
{
        struct run *x = arg;
        if (x->start_steps_left > 0 && --x->start_steps_left == 0) longjmp(x->start_cut, 1);
}

static int open_all(struct run *x, struct err *e)
{
        static const struct uuid topic = { { 7, 1 } };
        struct store_config c = { "/data",
                below(x, 2) ? STORE_DURABILITY_DSYNC : STORE_DURABILITY_SYNC };
        int r = store_open(x->io, &c, &x->store, e);
        if (r < 0) return r;
        x->blocks = block_pool_new(x->io, x->memory);
        timers_init(&x->timers);
        x->log = log_shard_new(&(struct log_shard_config){
            .store = x->store,
            .io = x->io,
            .timers = &x->timers,
            .blocks = x->blocks,
            .cache_limit = x->memory / 3,
            .index_limit = 256 << 10,
            .fds_limit = 3 + (uint32_t)below(x, 20),
            .write_max = below(x, 2) ? 0 : 64 << 10,
            .journal_bytes = below(x, 4) ? 512 << 10 : 0,
        });
        if (!x->log) return err_set(e, ST_NOMEM, "log_shard_new");
        for (int32_t i = 0; i < x->n && r == 0; i++) {
                x->partitions[i] = partition_new(x->log, topic, i, &x->config);
                r = partition_recover(x->partitions[i], e);
                struct partition_state st;
                partition_get_state(x->partitions[i], &st);
                if (r == 0 && st.status != ST_OK)
                        r = err_set(e, st.status, "partition %d is offline", i);
        }
        return r < 0 ? r : store_recovered(x->store, x->io, e);
}

static int boot_once(struct run *x, struct err *e)
{
        sim_io_new(x->world, &x->io);
        if (setjmp(x->start_cut)) {
                sim_crash(x->world);
                x->result->start_crashes++;
                return ST_CANCELED;
        }
        sim_on_step(x->world, maybe_cut, x);
        int r = open_all(x, e);
        x->start_steps_left = 0;
        return r;
}

static int boot(struct run *x, unsigned cuts)
{
        struct err e = { 0 };
        int r = ST_CANCELED;
        for (unsigned i = 0; i <= cuts && r == ST_CANCELED; i++) {
                x->start_steps_left = i < cuts ? 1 + below(x, 80) : 0;
                r = boot_once(x, &e);
        }
        x->result->lives++;
        x->stream = x->oracle.next_stream++;
        x->closed = x->may_fail = x->cut_only = false;
        return r < 0 ? fail(x, e.text) : 0;
}

static void break_something(struct run *x)
{
        static const struct sim_fault faults[] = {
                { IO_SYNC, 0, EIO, false, NULL },
                { IO_WRITE, 0, EIO, false, NULL },
                { IO_WRITE, 0, EIO, true, NULL },
                { IO_WRITE, 0, ENOSPC, false, NULL },
                { IO_ALLOCATE, 0, ENOSPC, false, NULL },
                { IO_OPEN, 0, EMFILE, false, NULL },
                { IO_OPEN, 0, EIO, false, NULL },
                { IO_READ, 0, EIO, false, NULL },
                { IO_MKDIR, 0, ENOSPC, false, NULL },
                { IO_TRUNCATE, 0, EIO, false, NULL },
                { IO_RENAME, 0, EIO, false, NULL },
        };
        struct sim_fault f = faults[below(x, COUNT_OF(faults))];
        x->cut_only = x->no_direct && f.kind == IO_SYNC;
        f.nth = 1 + below(x, 40);
        x->may_fail = true;
        sim_fail(x->world, &f);
}

static int load(struct run *x, uint64_t turns, bool mishaps)
{
        unsigned most = 1 + (unsigned)below(x, APPENDS_MAX);
        for (unsigned i = 0; i < READERS; i++)
                x->readers[i] =
                    (struct reader){ .run = x, .partition = (int32_t)below(x, (uint64_t)x->n) };
        if (mishaps && below(x, 5) == 0) break_something(x);
        for (uint64_t i = 0; i < turns && !x->failed; i++) {
                while (x->in_flight < most && below(x, 3)) append(x);
                struct reader *r = &x->readers[below(x, READERS)];
                if (!r->busy && below(x, 4) == 0) read_next(r);
                turn(x);
        }
        return x->failed ? ST_CORRUPT : 0;
}

static void on_closed(void *arg)
{
        *(bool *)arg = true;
}

static bool readers_busy(const struct run *x)
{
        for (unsigned i = 0; i < READERS; i++)
                if (x->readers[i].busy) return true;
        return false;
}

static int close_clean(struct run *x)
{
        bool done = false;
        for (unsigned i = 0; i < TURNS_MAX && readers_busy(x); i++) turn(x);
        x->closed = true;
        log_shard_close(x->log, on_closed, &done);
        int r = until(x, &done, "the log does not close");
        if (r < 0) return r;
        if (x->in_flight > 0) return fail(x, "closed, and appends have no answer");
        log_shard_free(x->log);
        block_pool_free(x->blocks);
        store_close(x->store, x->io);
        io_free(x->io);
        x->result->stops++;
        return 0;
}

static int die(struct run *x)
{
        uint64_t how = below(x, 10);
        if (x->cut_only)
                how = 1; /* a sync failed without O_DIRECT: only a power cut is honest then */
        if (how == 0) {
                sim_heal(x->world);
                return close_clean(x);
        }
        if (how < 8) {
                sim_crash(x->world);
                x->result->crashes++;
        } else {
                sim_kill(x->world);
                x->result->kills++;
        }
        while (!list_empty(&x->appends)) {
                struct append *p = CONTAINER_OF(x->appends.next, struct append, link);
                (x->may_fail ? oracle_failed : oracle_lost)(&x->oracle, p->partition, p->number);
                append_free(p);
        }
        return 0;
}

static void all_lives(struct run *x)
{
        unsigned lives = 2 + (unsigned)below(x, 6);
        int r = 0;
        for (unsigned i = 0; i < lives && r == 0; i++) {
                r = boot(x, below(x, 4) ? 0 : 1 + (unsigned)below(x, 4));
                if (r == 0) r = check_all(x);
                if (r == 0) r = load(x, below(x, below(x, 3) ? 200 : 3000), true);
                if (r == 0) r = die(x);
        }
        if (r == 0) r = boot(x, 0);
        if (r == 0) r = check_all(x);
        if (r == 0) r = load(x, 200, false);
        if (r == 0) r = close_clean(x);
        if (r == 0) r = boot(x, 0);
        if (r == 0) r = check_all(x);
        if (r == 0) close_clean(x);
}

static void report(struct run *x)
{
        struct sim_stats st;
        sim_get_stats(x->world, &st);
        x->result->failed = x->failed;
        x->result->faults = st.faults_hit;
        x->result->events = st.events;
        x->result->granules_lost = st.granules_lost;
        x->result->names_lost = st.names_lost;
}

void sim_run(const struct sim_run_options *o, struct sim_result *ret)
{
        static const uint32_t segments[] = { 4 << 10, 20 << 10, 100 << 10, 1 << 20, 64 << 20 };
        struct sim_options w = {
                .seed = o->seed,
                .lie = o->lie,
                .garble = o->seed % 3 == 0,
                .no_direct = o->seed % 5 == 0,
        };
        static struct run x;
        x = (struct run){ .world = sim_world_new(&w), .result = ret, .no_direct = w.no_direct };
        *ret = (struct sim_result){ 0 };
        list_init(&x.appends);
        x.n = 1 + (int32_t)below(&x, PARTITIONS_MAX);
        if (oracle_init(&x.oracle, x.n) < 0) abort();
        x.records_max = 1 + (uint32_t)below(&x, 20);
        x.value_max = below(&x, 4) ? 2000 : 100000;
        x.memory = (size_t)(16 << 20) << below(&x, 3);
        x.codecs = below(&x, 3) == 0;
        x.config = (struct log_config){
                .segment_bytes = segments[below(&x, COUNT_OF(segments))],
                .index_interval_bytes = 4096,
                .segment_ms = below(&x, 3) ? 604800000 : 1 + (int64_t)below(&x, 100),
                .retention_ms = -1,
                .retention_bytes = -1,
        };
        all_lives(&x);
        report(&x);
}
