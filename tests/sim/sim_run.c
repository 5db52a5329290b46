/* One seed.  A life of the server: start on what the disk holds (sometimes the power goes off in
 * the middle of that), read everything back and check it against the oracle, load (producers with
 * several requests under way, consumers with long polls, topics that come and go, connections that
 * break, now and then a disk that fails), then power cut, kill or clean stop.  The last life is
 * without mishaps: everything must answer, and after a clean stop everything must still be there.
 */
#include "tests/sim/sim_run.h"

#include "base/check.h"
#include "base/status.h"
#include "server/server.h"
#include "tests/sim/script.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdio.h>

enum {
        SHARDS_MAX = 3,
        SCRIPTS_MAX = 12,
        PARTITIONS_MAX = 6,
        PORT = 9092,
        SETTLE_S = 120,          /* virtual seconds within which everything is answered */
        IDLE_TURNS_MAX = 100000, /* turns with work and without time: a busy loop */
        NS_PER_MS = 1000000,
};

struct run {
        struct sim_world *world;
        struct io *client_io, *ios[SHARDS_MAX];
        unsigned shards;
        struct config *config;
        struct server *server; /* NULL: dead */
        struct oracle oracle;
        struct script_env env;
        struct script *scripts[SCRIPTS_MAX];
        bool no_direct, cut_only;
        int32_t partitions;
        uint32_t segment_bytes;
        uint64_t turns;            /* since time moved last */
        uint64_t start_steps_left; /* events until the power goes off while starting; 0: never */
        jmp_buf start_cut;
        struct sim_result *result;
        char memory[40];
};

static uint64_t draw(void *arg)
{
        return sim_random(((struct run *)arg)->world);
}

static uint64_t below(struct run *x, uint64_t n)
{
        return sim_below(x->world, n);
}

static int fail(struct run *x, const char *what)
{
        if (!x->env.failed)
                err_set(&x->env.error, ST_CORRUPT, "%s (virtual time %" PRIu64 " ms)", what,
                    sim_now(x->world) / NS_PER_MS);
        x->env.failed = true;
        return ST_CORRUPT;
}

/* --- turning the world --- */

static unsigned turn_shards(struct run *x)
{
        unsigned n = 0, first = (unsigned)below(x, x->shards);
        for (unsigned i = 0; i < x->shards && x->server && !server_stopped(x->server); i++)
                n += shard_turn(&x->server->shards[(first + i) % x->shards], 0);
        return n;
}

static uint64_t next_timer(const struct run *x)
{
        uint64_t at = UINT64_MAX;
        for (unsigned i = 0; i < x->shards && x->server && !server_stopped(x->server); i++)
                at = MIN(at, timers_next(&x->server->shards[i].own.timers));
        return at;
}

/* One step of everything.  False: nothing will ever happen again. */
static bool turn(struct run *x)
{
        unsigned n = turn_shards(x);
        io_turn(x->client_io, 0);
        n += io_dispatch(x->client_io, 64);
        if (n > 0) {
                if (++x->turns > IDLE_TURNS_MAX) fail(x, "busy loop: work without end");
                return true;
        }
        uint64_t before = sim_now(x->world), timer = next_timer(x);
        bool stepped = sim_step_until(x->world, timer);
        if (sim_now(x->world) > before) x->turns = 0;
        if (stepped || timer != UINT64_MAX) return true;
        return turn_shards(x) > 0; /* a turn may end with work that only the next one counts */
}

typedef bool condition(struct run *x);

/* Turns until the condition holds; a broken rule ends it too. */
static int until(struct run *x, condition *holds, const char *what)
{
        uint64_t deadline = sim_now(x->world) + (uint64_t)SETTLE_S * 1000 * NS_PER_MS;
        while (!holds(x)) {
                if (x->env.failed) return ST_CORRUPT;
                if (!turn(x)) return fail(x, what);
                if (sim_now(x->world) > deadline) return fail(x, what);
        }
        return x->env.failed ? ST_CORRUPT : 0;
}

/* --- scripts --- */

static bool all_ended(struct run *x)
{
        for (unsigned i = 0; i < SCRIPTS_MAX; i++)
                if (x->scripts[i] && !script_ended(x->scripts[i])) return false;
        return true;
}

static bool first_done(struct run *x)
{
        return x->scripts[0]->done || script_ended(x->scripts[0]);
}

static bool all_quiet(struct run *x)
{
        for (unsigned i = 0; i < SCRIPTS_MAX; i++)
                if (x->scripts[i] && client_pending(x->scripts[i]->client) > 0) return false;
        return true;
}

static bool nobody_there(struct run *x)
{
        return server_stopped(x->server);
}

static void free_scripts(struct run *x)
{
        for (unsigned i = 0; i < SCRIPTS_MAX; i++) {
                if (!x->scripts[i]) continue;
                assert(script_ended(x->scripts[i]));
                script_free(x->scripts[i]);
                x->scripts[i] = NULL;
        }
}

static int end_scripts(struct run *x)
{
        for (unsigned i = 0; i < SCRIPTS_MAX; i++)
                if (x->scripts[i]) client_stop(x->scripts[i]->client);
        int r = until(x, all_ended, "clients do not end");
        if (r == 0) free_scripts(x);
        return r;
}

/* One script alone, until it is done. */
static int run_one(struct run *x, const struct script_options *o, const char *what)
{
        x->scripts[0] = script_new(&x->env, o);
        int r = until(x, first_done, what);
        bool done = r == 0 && x->scripts[0]->done;
        if (r == 0) r = end_scripts(x);
        if (r == 0 && !done && !x->env.storage_may_fail) return fail(x, what);
        return r;
}

static int check_all(struct run *x)
{
        int r = run_one(x,
            &(struct script_options){ .kind = SCRIPT_CHECK, .partitions = x->partitions },
            "the log cannot be read back");
        for (int32_t i = 0; i < x->partitions && r == 0; i++)
                x->result->records += (uint64_t)x->oracle.partitions[i].checked;
        return r;
}

static struct script *new_script(struct run *x, unsigned i)
{
        static const enum script_kind kinds[] = { SCRIPT_PRODUCER, SCRIPT_PRODUCER, SCRIPT_CONSUMER,
                SCRIPT_NOISE };
        struct script_options o = {
                .kind = kinds[i < COUNT_OF(kinds) ? i : below(x, COUNT_OF(kinds))],
                .first = 0,
                .partitions = x->partitions,
                .in_flight = 1 + (unsigned)below(x, 8),
                .bytes = 20000 + below(x, 3000000),
                .acks0_per_mille = below(x, 3) ? 0 : (unsigned)below(x, 300),
        };
        return script_new(&x->env, &o);
}

/* --- life and death of the server --- */

static void maybe_cut(void *arg)
{
        struct run *x = arg;
        if (x->start_steps_left > 0 && --x->start_steps_left == 0) longjmp(x->start_cut, 1);
}

static int boot_once(struct run *x, struct err *e)
{
        for (unsigned i = 0; i < x->shards; i++) sim_io_new(x->world, &x->ios[i]);
        if (setjmp(x->start_cut)) {
                x->server = NULL; /* it is gone; what it held stays until the process ends */
                sim_crash(x->world);
                x->result->start_crashes++;
                return ST_CANCELED;
        }
        int r = server_new(x->config, x->ios, x->shards, &x->server, e);
        sim_on_step(x->world, maybe_cut, x);
        if (r == 0) r = server_start(x->server, e);
        x->start_steps_left = 0;
        return r;
}

/* Power cuts while starting are repeated a few times, as in fault 37. */
static int boot(struct run *x, unsigned cuts)
{
        struct err e = { 0 };
        int r = ST_CANCELED;
        for (unsigned i = 0; i <= cuts && r == ST_CANCELED; i++) {
                x->start_steps_left = i < cuts ? 1 + below(x, 60) : 0;
                x->shards =
                    1 + (unsigned)below(x, SHARDS_MAX); /* a fact of the run, not the data */
                r = boot_once(x, &e);
        }
        x->result->lives++;
        if (r == 0) return 0;
        char text[ERR_TEXT_MAX + 40];
        snprintf(text, sizeof text, "the server does not start: %.400s", e.text);
        return fail(x, text);
}

static int stop_clean(struct run *x)
{
        server_stop(x->server, 1);
        int r = until(x, nobody_there, "the server does not stop");
        if (r < 0) return r;
        server_free(x->server);
        x->server = NULL;
        for (unsigned i = 0; i < x->shards; i++) io_free(x->ios[i]);
        x->result->stops++;
        return 0;
}

static int die(struct run *x)
{
        uint64_t how = below(x, 10);
        int r = 0;
        if (x->cut_only)
                how = 1; /* a sync failed without O_DIRECT: only a power cut is honest then */
        if (how < 7) {
                sim_crash(x->world);
                x->result->crashes++;
        } else if (how < 9) {
                sim_kill(x->world);
                x->result->kills++;
        } else {
                sim_heal(x->world);
                r = stop_clean(x);
        }
        x->server = NULL;
        if (r == 0) r = end_scripts(x);
        x->env.storage_may_fail = x->cut_only = false;
        return r;
}

/* --- load --- */

static void break_something(struct run *x)
{
        static const struct sim_fault faults[] = {
                { IO_SYNC, 0, EIO, false, NULL },
                { IO_WRITE, 0, EIO, false, NULL },
                { IO_WRITE, 0, EIO, true, ".log" },
                { IO_WRITE, 0, ENOSPC, false, ".log" },
                { IO_ALLOCATE, 0, ENOSPC, false, NULL },
                { IO_OPEN, 0, EMFILE, false, NULL },
                { IO_READ, 0, EIO, false, NULL },
                { IO_MKDIR, 0, ENOSPC, false, NULL },
        };
        struct sim_fault f = faults[below(x, COUNT_OF(faults))];
        x->cut_only = x->no_direct && f.kind == IO_SYNC;
        f.nth = 1 + below(x, 60);
        x->env.storage_may_fail = true;
        sim_fail(x->world, &f);
}

static void disturb(struct run *x, unsigned n)
{
        unsigned i = (unsigned)below(x, n);
        struct script *s = x->scripts[i];
        if (script_ended(s)) {
                script_free(s);
                x->scripts[i] = new_script(x, i);
        } else if (s->client->fd >= 0 && !s->client->closing && below(x, 2)) {
                sim_sock_reset(x->world, s->client->fd);
        } else {
                client_stop(s->client);
        }
}

static int load(struct run *x, uint64_t turns, bool mishaps)
{
        unsigned n = 4 + (unsigned)below(x, SCRIPTS_MAX - 3);
        for (unsigned i = 0; i < n; i++) x->scripts[i] = new_script(x, i);
        if (mishaps && below(x, 6) == 0) break_something(x);
        if (mishaps && below(x, 10) == 0) sim_slow_disk(x->world, 1 + (unsigned)below(x, 50));
        if (mishaps && below(x, 20) == 0)
                sim_wall_jump(x->world, (int64_t)below(x, 7200000) - 3600000);
        for (uint64_t i = 0; i < turns && !x->env.failed; i++) {
                if (!turn(x)) return fail(x, "nothing happens any more under load");
                if (mishaps && below(x, 700) == 0) disturb(x, n);
        }
        sim_slow_disk(x->world, 1);
        return x->env.failed ? ST_CORRUPT : 0;
}

/* Nothing new is asked; what was asked is answered. */
static int settle(struct run *x)
{
        for (unsigned i = 0; i < SCRIPTS_MAX; i++)
                if (x->scripts[i]) script_pause(x->scripts[i]);
        return until(x, all_quiet, "a request is never answered");
}

/* --- the seed --- */

static int configure(struct run *x)
{
        struct err e = { 0 };
        snprintf(x->memory, sizeof x->memory, "memory.limit.bytes=%" PRIu64,
            (UINT64_C(64) << 20) << below(x, 3));
        const char *const sets[] = { x->memory, "varve.log.level=error",
                below(x, 2) ? "varve.durability.method=dsync"
                            : "varve.durability.method=fdatasync",
                below(x, 4) ? "varve.journal.bytes=524288" : "varve.journal.bytes=0" };
        static char *none[] = { NULL };
        struct config_args args = { .sets = sets,
                .n_sets = COUNT_OF(sets),
                .data_dir = "/data",
                .listen = "127.0.0.1:9092",
                .environ = none };
        if (config_load(&args, &x->config, &e) < 0) return fail(x, e.text);
        return 0;
}

static int first_life(struct run *x)
{
        int r = boot(x, below(x, 8) ? 0 : 2);
        if (r < 0) return r;
        x->env.port = PORT;
        return run_one(x,
            &(struct script_options){ .kind = SCRIPT_TOPIC,
                .partitions = x->partitions,
                .in_flight = 1,
                .segment_bytes = x->segment_bytes },
            "the topic is not created");
}

static int all_lives(struct run *x)
{
        int r = first_life(x);
        unsigned lives = 2 + (unsigned)below(x, 4);
        for (unsigned i = 0; i < lives && r == 0; i++) {
                if (i > 0) r = boot(x, below(x, 4) ? 0 : 1 + (unsigned)below(x, 3));
                if (r == 0 && i > 0) r = check_all(x);
                if (r == 0) r = load(x, below(x, below(x, 3) ? 400 : 4000), true);
                if (r == 0) r = die(x);
        }
        if (r == 0) r = boot(x, 0);
        if (r == 0) r = check_all(x);
        if (r == 0) r = load(x, 300, false);
        if (r == 0) r = settle(x);
        if (r == 0) r = end_scripts(x);
        if (r == 0) r = check_all(x);
        if (r == 0) r = stop_clean(x);
        if (r == 0) r = boot(x, 0);
        if (r == 0) r = check_all(x);
        if (r == 0) r = stop_clean(x);
        return r;
}

static void report(struct run *x)
{
        struct sim_stats st;
        sim_get_stats(x->world, &st);
        x->result->failed = x->env.failed;
        x->result->error = x->env.error;
        x->result->acked = x->env.acked;
        x->result->fetches = x->env.fetches;
        x->result->noise = x->env.noise;
        x->result->faults = st.faults_hit;
        x->result->events = st.events;
        x->result->granules_lost = st.granules_lost;
        x->result->names_lost = st.names_lost;
}

void sim_run(const struct sim_run_options *o, struct sim_result *ret)
{
        struct sim_options w = {
                .seed = o->seed,
                .lie = o->lie,
                .garble = o->seed % 3 == 0,
                .no_direct = o->seed % 7 == 0,
        };
        static struct run x;
        x = (struct run){ .world = sim_world_new(&w), .result = ret, .no_direct = w.no_direct };
        *ret = (struct sim_result){ 0 };
        sim_client_io_new(x.world, &x.client_io);
        x.partitions = 1 + (int32_t)below(&x, PARTITIONS_MAX);
        x.segment_bytes = below(&x, 4) ? 1 << 20 : 0;
        if (oracle_init(&x.oracle, x.partitions) < 0) abort();
        x.env = (struct script_env){
                .io = x.client_io,
                .oracle = &x.oracle,
                .topic = "sim",
                .random = draw,
                .random_arg = &x,
                .records_max = 1 + (uint32_t)below(&x, 20),
                .value_max = below(&x, 4) ? 2000 : 150000,
                .codecs = below(&x, 2),
        };
        if (configure(&x) == 0) all_lives(&x);
        report(&x);
}
