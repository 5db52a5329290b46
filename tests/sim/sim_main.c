/* Runs seeds: each in a child of its own, so that an assertion of one ends only that one.
 * A seed that fails is named with the line that repeats it. */
#include "base/check.h"
#include "base/log.h"
#include "tests/sim/sim_run.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JOBS_MAX = 64, SEED_SECONDS_MAX = 120, FAILURES_SHOWN = 10 };

static const char *const lie_names[SIM_LIE_COUNT] = {
        [SIM_HONEST] = "none",
        [SIM_LIE_SYNC] = "sync",
        [SIM_LIE_DIR_SYNC] = "dir-sync",
        [SIM_LIE_EARLY] = "early",
        [SIM_LIE_TRUNCATE] = "truncate",
        [SIM_LIE_MISPLACE] = "misplace",
};

struct main {
        uint64_t first, count;
        unsigned jobs;
        enum sim_lie lie;
        bool verbose, one;
        struct {
                pid_t pid;
                uint64_t seed;
        } running[JOBS_MAX];
        struct sim_result *results; /* shared with the children, one per job */
        struct sim_result total, first_failure;
        uint64_t done, failed;
};

static void run_child(struct main *m, unsigned job)
{
        struct sim_run_options o = { m->running[job].seed, m->lie, m->verbose };
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        log_setup(m->verbose ? LOG_DEBUG : LOG_ERROR, LOG_KV, m->verbose || null < 0 ? 2 : null);
        if (!m->one) alarm(SEED_SECONDS_MAX);
        if (!m->verbose && !m->one && null >= 0) dup2(null, 2);
        sim_run(&o, &m->results[job]);
        _exit(m->results[job].failed ? 1 : 0);
}

static void start(struct main *m, unsigned job, uint64_t seed)
{
        m->running[job].seed = seed;
        m->results[job] = (struct sim_result){ 0 };
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) run_child(m, job);
        if (pid < 0) {
                perror("fork");
                exit(2);
        }
        m->running[job].pid = pid;
}

static void add(struct sim_result *t, const struct sim_result *r)
{
        t->lives += r->lives;
        t->crashes += r->crashes;
        t->kills += r->kills;
        t->stops += r->stops;
        t->start_crashes += r->start_crashes;
        t->acked += r->acked;
        t->records += r->records;
        t->fetches += r->fetches;
        t->noise += r->noise;
        t->faults += r->faults;
        t->events += r->events;
        t->granules_lost += r->granules_lost;
        t->names_lost += r->names_lost;
}

static void finish(struct main *m, unsigned job, int status)
{
        const struct sim_result *r = &m->results[job];
        uint64_t seed = m->running[job].seed;
        m->running[job].pid = 0;
        m->done++;
        add(&m->total, r);
        if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
        m->failed++;
        if (m->failed == 1) m->first_failure = *r;
        if (m->failed > FAILURES_SHOWN || m->lie != SIM_HONEST) return;
        const char *why = r->failed ? r->error.text : "ended early";
        if (WIFSIGNALED(status)) why = strsignal(WTERMSIG(status));
        printf("not ok - seed %" PRIu64 ": %s\n#   sim --seed %" PRIu64 "\n", seed, why, seed);
}

static int job_of(const struct main *m, pid_t pid)
{
        for (unsigned i = 0; i < m->jobs; i++)
                if (m->running[i].pid == pid) return (int)i;
        return -1;
}

static void run_all(struct main *m)
{
        uint64_t next = m->first, end = m->first + m->count;
        for (unsigned i = 0; i < m->jobs && next < end; i++) start(m, i, next++);
        while (m->done < m->count) {
                int status;
                pid_t pid = wait(&status);
                if (pid < 0 && errno == EINTR) continue;
                int job = pid > 0 ? job_of(m, pid) : -1;
                if (job < 0) break;
                finish(m, (unsigned)job, status);
                /* One proof that a lie is noticed is enough. */
                if (m->lie != SIM_HONEST && m->failed > 0) next = end, m->count = m->done;
                if (next < end) start(m, (unsigned)job, next++);
        }
        for (int status; wait(&status) > 0;) {
        }
}

static int parse(struct main *m, int argc, char **argv)
{
        static const struct option longs[] = { { "seed", 1, NULL, 's' }, { "first", 1, NULL, 'f' },
                { "seeds", 1, NULL, 'n' }, { "jobs", 1, NULL, 'j' }, { "lie", 1, NULL, 'l' },
                { "verbose", 0, NULL, 'v' }, { NULL, 0, NULL, 0 } };
        for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
                if (c == 's') m->first = strtoull(optarg, NULL, 10), m->count = 1, m->one = true;
                if (c == 'f') m->first = strtoull(optarg, NULL, 10);
                if (c == 'n') m->count = strtoull(optarg, NULL, 10);
                if (c == 'j') m->jobs = (unsigned)strtoul(optarg, NULL, 10);
                if (c == 'v') m->verbose = true;
                for (int i = 0; c == 'l' && i < SIM_LIE_COUNT; i++)
                        if (strcmp(optarg, lie_names[i]) == 0) m->lie = (enum sim_lie)i;
                if (c == '?' || (c == 'l' && m->lie == SIM_HONEST)) return -1;
        }
        if (m->jobs == 0 || m->jobs > JOBS_MAX) m->jobs = 2;
        return 0;
}

int main(int argc, char **argv)
{
        static struct main m = { .first = 1, .count = 1000 };
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        m.jobs = cpus > 0 ? (unsigned)MIN(cpus, JOBS_MAX) : 1;
        if (parse(&m, argc, argv) < 0) {
                fprintf(stderr, "usage: sim [--seed N | --first N --seeds N] [--jobs N] [--verbose]"
                                " [--lie sync|dir-sync|early|truncate|misplace]\n");
                return 2;
        }
        m.results = mmap(NULL, sizeof *m.results * JOBS_MAX, PROT_READ | PROT_WRITE,
            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (m.results == MAP_FAILED) return 2;
        run_all(&m);
        const struct sim_result *t = &m.total;
        if (m.lie != SIM_HONEST) {
                printf("%s - the lie \"%s\" is noticed within %" PRIu64 " seeds: %s\n",
                    m.failed ? "ok" : "not ok", lie_names[m.lie], m.done,
                    m.first_failure.error.text);
                return m.failed ? 0 : 1;
        }
        printf("%s - %" PRIu64 " seeds, %" PRIu64 " failed: %" PRIu64 " lives, %" PRIu64
               " power cuts (+ %" PRIu64 " while starting), %" PRIu64 " kills, %" PRIu64
               " stops, %" PRIu64 " faults; %" PRIu64 " batches acked, %" PRIu64
               " records checked, %" PRIu64 " fetches, %" PRIu64 " other requests; %" PRIu64
               " granules and %" PRIu64 " names lost; %" PRIu64 " events\n",
            m.failed ? "not ok" : "ok", m.done, m.failed, t->lives, t->crashes, t->start_crashes,
            t->kills, t->stops, t->faults, t->acked, t->records, t->fetches, t->noise,
            t->granules_lost, t->names_lost, t->events);
        return m.failed ? 1 : 0;
}
