/* Runs tests one after the other, each in a process of its own.  Arguments: parts of suite/name to
 * run only those.  Exit code: 0 when all passed. */
#include "tests/unit/base/plain/criterion/criterion.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_SKIPPED = 77 };

static struct plain_test *tests;
static bool failed;

void plain_add(struct plain_test *t)
{
        t->next = tests;
        tests = t;
}

void plain_check(bool ok, bool fatal, const char *what, const char *where, const char *fmt, ...)
{
        if (ok) return;
        va_list args;
        va_start(args, fmt);
        fprintf(stderr, "%s: %s:", where, what);
        vfprintf(stderr, fmt, args);
        fprintf(stderr, "\n");
        va_end(args);
        failed = true;
        if (fatal) _exit(EXIT_FAILED);
}

void plain_skip(const char *fmt, ...)
{
        va_list args;
        va_start(args, fmt);
        vfprintf(stderr, fmt, args);
        fprintf(stderr, "\n");
        va_end(args);
        _exit(EXIT_SKIPPED);
}

static bool run_one(const struct plain_test *t, bool *ret_skipped)
{
        pid_t pid = fork();
        if (pid < 0) return false;
        if (pid == 0) {
                t->run();
                exit(failed ? EXIT_FAILED : 0);
        }
        int status = 0;
        if (waitpid(pid, &status, 0) != pid) return false;
        *ret_skipped = WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SKIPPED;
        if (t->signal) return WIFSIGNALED(status) && WTERMSIG(status) == t->signal;
        return *ret_skipped || (WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static bool is_wanted(const struct plain_test *t, int argc, char **argv)
{
        char name[256];
        snprintf(name, sizeof name, "%s/%s", t->suite, t->name);
        for (int i = 1; i < argc; i++)
                if (strstr(name, argv[i])) return true;
        return argc < 2;
}

int main(int argc, char **argv)
{
        unsigned n = 0, n_failed = 0, n_skipped = 0;
        for (const struct plain_test *t = tests; t; t = t->next) {
                if (t->disabled || !is_wanted(t, argc, argv)) continue;
                bool skipped = false;
                n++;
                if (!run_one(t, &skipped)) {
                        n_failed++;
                        fprintf(stderr, "FAILED %s/%s\n", t->suite, t->name);
                }
                if (skipped) n_skipped++;
        }
        fprintf(stderr, "tested %u, failed %u, skipped %u\n", n, n_failed, n_skipped);
        return n_failed > 0 || n == 0;
}
