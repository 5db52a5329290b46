/* kill -9 under load, with an oracle by offset and value (fault 31).
 *
 * A life is a data directory; a round is: start, read everything back and check it, load from
 * several connections for a random time, SIGKILL.  After LIFE rounds a last check, SIGTERM, start,
 * check again, and the next life begins with an empty directory. Any broken rule ends the test and
 * keeps the directory; the line that repeats it is printed. */
#include "base/check.h"
#include "base/status.h"
#include "tests/crash/process.h"
#include "tests/sim/script.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
        LIFE = 20,
        PARTITIONS = 6,
        PRODUCERS = 4,
        CONSUMERS = 2,
        ROUND_BYTES = 6 << 20, /* of each producer */
        CHECK_S = 30,
        SEGMENT_BYTES = 1 << 20,
};

struct crash {
        struct process server;
        struct io *io;
        struct oracle oracle;
        struct script_env env;
        uint64_t rng, seed;
        uint64_t kills, lives, records, worst_start_ns, acked, fetched;
        char dir[4096];
};

static uint64_t draw(void *arg)
{
        struct crash *x = arg;
        x->rng += 0x9e3779b97f4a7c15u;
        uint64_t z = x->rng;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
}

static void turn(struct crash *x, uint64_t wait_ns)
{
        io_turn(x->io, wait_ns);
        io_dispatch(x->io, 256);
}

/* Runs until the scripts are done, or seconds have passed. */
static int wait_done(struct crash *x, struct script *s, unsigned seconds)
{
        uint64_t deadline = process_now_ns() + (uint64_t)seconds * 1000000000u;
        while (!s->done && !x->env.failed && !script_ended(s)) {
                if (process_now_ns() > deadline)
                        return err_set(&x->env.error, ST_IO, "nothing done after %u s", seconds);
                turn(x, 10000000);
        }
        if (!s->done && !x->env.failed)
                return err_set(
                    &x->env.error, ST_IO, "the connection ended: %" PRId64, s->client->why);
        return x->env.failed ? x->env.error.code : 0;
}

static void end_script(struct crash *x, struct script *s)
{
        client_stop(s->client);
        while (!script_ended(s)) turn(x, 10000000);
        script_free(s);
}

static int run_one(struct crash *x, const struct script_options *o)
{
        struct script *s = script_new(&x->env, o);
        int r = wait_done(x, s, CHECK_S);
        end_script(x, s);
        return r;
}

static int start(struct crash *x)
{
        int r = process_start(&x->server, &x->env.error);
        if (r < 0) return r;
        x->env.port = x->server.port;
        x->worst_start_ns = MAX(x->worst_start_ns, x->server.start_ns);
        return 0;
}

static int check_all(struct crash *x)
{
        int r =
            run_one(x, &(struct script_options){ .kind = SCRIPT_CHECK, .partitions = PARTITIONS });
        x->records = 0;
        for (int32_t i = 0; i < PARTITIONS; i++)
                x->records += (uint64_t)x->oracle.partitions[i].checked;
        return r;
}

/* Load for a random time; then the server is dead, and every reply that it had sent has been read.
 */
static int load_and_kill(struct crash *x)
{
        struct script *s[PRODUCERS + CONSUMERS];
        for (int i = 0; i < PRODUCERS + CONSUMERS; i++) {
                struct script_options o = {
                        .kind = i < PRODUCERS ? SCRIPT_PRODUCER : SCRIPT_CONSUMER,
                        .first = i < PRODUCERS ? i : 0,
                        .partitions = i < PRODUCERS ? 3 : PARTITIONS,
                        .in_flight = 1 + (unsigned)script_below(&x->env, 6),
                        .bytes = ROUND_BYTES,
                };
                s[i] = script_new(&x->env, &o);
        }
        /* Often very early, where files are made; sometimes late. */
        uint64_t most = script_below(&x->env, 3) ? 80000000 : 600000000;
        uint64_t until = process_now_ns() + script_below(&x->env, most);
        while (process_now_ns() < until && !x->env.failed) turn(x, 200000);
        process_kill(&x->server);
        x->kills++;
        bool all = false;
        while (!all) {
                all = true;
                for (int i = 0; i < PRODUCERS + CONSUMERS; i++) all &= script_ended(s[i]);
                if (!all) turn(x, 10000000);
        }
        for (int i = 0; i < PRODUCERS + CONSUMERS; i++) script_free(s[i]);
        return x->env.failed ? x->env.error.code : 0;
}

/* --- directories --- */

static void remove_tree(int parent, const char *name, unsigned depth)
{
        int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        DIR *d = fd >= 0 && depth < 8 ? fdopendir(fd) : NULL;
        for (struct dirent *e; d && (e = readdir(d));) {
                if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
                if (unlinkat(fd, e->d_name, 0) < 0) remove_tree(fd, e->d_name, depth + 1);
        }
        if (d) closedir(d);
        unlinkat(parent, name, AT_REMOVEDIR);
}

static int life_begin(struct crash *x)
{
        int r = oracle_init(&x->oracle, PARTITIONS);
        if (r < 0) return r;
        x->env.oracle = &x->oracle;
        r = start(x);
        if (r < 0) return r;
        return run_one(x, &(struct script_options){ .kind = SCRIPT_TOPIC,
                              .partitions = PARTITIONS,
                              .in_flight = 1,
                              .segment_bytes = SEGMENT_BYTES });
}

/* A clean stop keeps everything too. */
static int life_end(struct crash *x)
{
        int r = start(x);
        if (r == 0) r = check_all(x);
        if (r < 0) return r;
        r = process_term(&x->server, &x->env.error);
        if (r != 0) return r < 0 ? r : err_set(&x->env.error, ST_IO, "SIGTERM: exit status %d", r);
        r = start(x);
        if (r == 0) r = check_all(x);
        process_kill(&x->server);
        oracle_free(&x->oracle);
        remove_tree(AT_FDCWD, x->dir, 0);
        char log[4200];
        snprintf(log, sizeof log, "%s.log", x->dir);
        unlink(log);
        x->lives++;
        return r;
}

static int live(struct crash *x, unsigned rounds)
{
        int r = life_begin(x);
        for (unsigned i = 0; i < rounds && r == 0; i++) {
                if (i > 0) r = start(x);
                if (r == 0 && i > 0) r = check_all(x);
                if (r == 0) r = load_and_kill(x);
        }
        return r == 0 ? life_end(x) : r;
}

static int run(struct crash *x, unsigned runs)
{
        while (x->kills < runs) {
                unsigned rounds = (unsigned)MIN((uint64_t)LIFE, runs - x->kills);
                int r = live(x, rounds);
                if (r < 0) return r;
                printf("# %" PRIu64 " kills: %" PRIu64 " records in this life, %" PRIu64
                       " requests acked in all, slowest start %" PRIu64 " ms\n",
                    x->kills, x->records, x->env.acked, x->worst_start_ns / 1000000);
                fflush(stdout);
        }
        return 0;
}

int main(int argc, char **argv)
{
        static const struct option longs[] = { { "varve", 1, NULL, 'v' }, { "io", 1, NULL, 'i' },
                { "runs", 1, NULL, 'n' }, { "seed", 1, NULL, 's' }, { "dir", 1, NULL, 'd' },
                { NULL, 0, NULL, 0 } };
        static struct crash x;
        const char *parent = "."; /* the build directory: a real file system */
        unsigned long runs = 200;
        x.server.io = "uring";
        x.seed = process_now_ns();
        for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
                if (c == 'v') x.server.varve = optarg;
                if (c == 'i') x.server.io = optarg;
                if (c == 'n') runs = strtoul(optarg, NULL, 10);
                if (c == 's') x.seed = strtoull(optarg, NULL, 10);
                if (c == 'd') parent = optarg;
                if (c == '?') return 2;
        }
        if (!x.server.varve || runs == 0) {
                fprintf(stderr, "usage: crash --varve PATH [--io uring|posix] [--runs N] [--seed N]"
                                " [--dir PARENT]\n");
                return 2;
        }
        signal(SIGPIPE, SIG_IGN);
        x.rng = x.seed;
        x.env = (struct script_env){ .topic = "crash",
                .random = draw,
                .random_arg = &x,
                .records_max = 20,
                .value_max = 200000,
                .codecs = true };
        if (io_posix_new(&(struct io_options){ 0 }, &x.io, &x.env.error) < 0) return 1;
        x.env.io = x.io;
        snprintf(x.dir, sizeof x.dir, "%s/varve-crash-%d", parent, (int)getpid());
        x.server.dir = x.dir;
        int r = run(&x, (unsigned)runs);
        process_kill(&x.server);
        if (r < 0) {
                printf("not ok - after %" PRIu64 " kills: %s\n# data is kept in %s; "
                       "try again with --io %s --seed %" PRIu64 "\n",
                    x.kills, x.env.error.text, x.dir, x.server.io, x.seed);
                return 1;
        }
        printf("ok - %" PRIu64 " kills, %" PRIu64 " requests acked, %" PRIu64
               " MiB read back while loading, slowest start %" PRIu64 " ms\n",
            x.kills, x.env.acked, x.env.fetched_bytes >> 20, x.worst_start_ns / 1000000);
        return 0;
}
