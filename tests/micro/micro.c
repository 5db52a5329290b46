/* Micro-benchmarks of what every request passes through.
 *
 *   micro [--seconds S] [NAME…]   ns per operation and bytes per second, for people
 *   micro --list                  name, operations counted and what one is, parted by tabs
 *   micro --count [NAME…]         a fixed number of operations inside measured(), for callgrind
 *
 * NAME is the beginning of a name.  counts.py runs the last two and compares with expected.txt. */
#include "tests/micro/micro.h"

#include "base/check.h"
#include "base/log.h"
#include "protocol/crc32c.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { TIMED_OPS = 16 };

static struct micro *const all[] = { micro_crc, micro_batch, micro_codec, micro_store, micro_base };

struct wish {
        enum { TIME, LIST, COUNT } mode;
        double seconds;
        int n_names;
        char **names;
};

uint64_t micro_next(uint64_t *state)
{
        *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return *state >> 33;
}

/* What callgrind collects is the inside of this function, found by its name. */
void measured(struct micro *m, unsigned n);
__attribute__((noinline)) void measured(struct micro *m, unsigned n)
{
        for (unsigned i = 0; i < n; i++) m->op(m);
}

static double now(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void time_one(struct micro *m, double seconds)
{
        uint64_t n = 0;
        double from = now(), to = from;
        for (; to - from < seconds; to = now(), n += TIMED_OPS) measured(m, TIMED_OPS);
        double ns = (to - from) * 1e9 / (double)n;
        printf("%-28s %12.1f ns", m->name, ns);
        if (m->bytes > 0) printf(" %8.2f GB/s", (double)m->bytes / ns);
        printf("\n");
}

static void run_one(struct micro *m, const struct wish *w)
{
        if (w->mode == LIST) {
                printf("%s\t%u\t%s\n", m->name, m->ops, m->what);
                return;
        }
        if (m->setup) m->setup(m);
        for (unsigned i = 0; i < m->ops; i++) m->op(m); /* memory has been touched, pools filled */
        if (w->mode == COUNT)
                measured(m, m->ops);
        else
                time_one(m, w->seconds);
        if (m->teardown) m->teardown(m);
}

static bool wanted(const struct wish *w, const char *name)
{
        if (w->n_names == 0) return true;
        for (int i = 0; i < w->n_names; i++)
                if (strncmp(name, w->names[i], strlen(w->names[i])) == 0) return true;
        return false;
}

static int run_all(const struct wish *w)
{
        int ran = 0;
        for (size_t i = 0; i < COUNT_OF(all); i++)
                for (struct micro *m = all[i]; m->name; m++) {
                        if (!wanted(w, m->name)) continue;
                        run_one(m, w);
                        ran++;
                }
        if (ran == 0) fprintf(stderr, "micro: no such benchmark; see --list\n");
        return ran > 0 ? 0 : 2;
}

int main(int argc, char **argv)
{
        struct wish w = { .mode = TIME, .seconds = 0.2 };
        int i = 1;
        for (; i < argc && argv[i][0] == '-'; i++) {
                if (strcmp(argv[i], "--list") == 0) {
                        w.mode = LIST;
                } else if (strcmp(argv[i], "--count") == 0) {
                        w.mode = COUNT;
                } else if (strcmp(argv[i], "--seconds") == 0 && i + 1 < argc) {
                        w.seconds = strtod(argv[++i], NULL);
                } else {
                        fprintf(stderr, "usage: micro [--list | --count | --seconds S] [NAME…]\n");
                        return 2;
                }
        }
        w.n_names = argc - i;
        w.names = argv + i;
        setvbuf(stdout, NULL, _IOLBF, 0);
        log_setup(LOG_ERROR, LOG_KV, 2);
        if (w.mode != LIST) printf("crc32c: %s\n", crc32c_backend());
        return run_all(&w);
}
