/* See process.h. */
#include "tests/crash/process.h"

#include "base/check.h"
#include "base/status.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_MS = 20000, STOP_MS = 20000, LINE_MAX_BYTES = 512 };

uint64_t process_now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* In the child; does not come back.  The server dies with us, and logs into DIR.log. */
static void run_child(const struct process *p, int out)
{
        char log[4200], io[32];
        snprintf(log, sizeof log, "%s.log", p->dir);
        snprintf(io, sizeof io, "--io=%s", p->io);
        int log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (log_fd < 0 || dup2(out, 1) < 0 || dup2(log_fd, 2) < 0) _exit(126);
        execl(p->varve, "varve", "serve", "--data-dir", p->dir, "--listen", "127.0.0.1:0", io,
            "--set", "varve.shards=2", "--set", "memory.limit.bytes=268435456", (char *)NULL);
        _exit(127);
}

/* Reads until the end of a line; what was read is terminated. */
static bool read_line(int fd, char *line, size_t room)
{
        size_t n = 0;
        uint64_t deadline = process_now_ns() + (uint64_t)START_MS * 1000000;
        while (n + 1 < room && process_now_ns() < deadline) {
                struct pollfd p = { fd, POLLIN, 0 };
                int left = (int)((deadline - process_now_ns()) / 1000000);
                if (poll(&p, 1, MAX(left, 1)) <= 0) continue;
                ssize_t got = read(fd, line + n, room - 1 - n);
                if (got <= 0) break;
                n += (size_t)got;
                line[n] = '\0';
                if (strchr(line, '\n')) return true;
        }
        line[n] = '\0';
        return false;
}

/* The number after the last "HOST:" of the ready line. */
static uint16_t port_of(const char *line)
{
        unsigned long port = 0;
        for (const char *c = strchr(line, ':'); c; c = strchr(c + 1, ':')) {
                char *end;
                unsigned long v = strtoul(c + 1, &end, 10);
                if (end > c + 1 && v > 0 && v <= UINT16_MAX) port = v;
        }
        return (uint16_t)port;
}

int process_start(struct process *p, struct err *e)
{
        int out[2];
        uint64_t began = process_now_ns();
        if (pipe2(out, O_CLOEXEC) < 0) return err_set(e, ST_IO, "pipe: %s", strerror(errno));
        pid_t pid = fork();
        if (pid < 0) return err_set(e, ST_IO, "fork: %s", strerror(errno));
        if (pid == 0) run_child(p, out[1]);
        close(out[1]);
        char line[LINE_MAX_BYTES];
        bool ready = read_line(out[0], line, sizeof line);
        close(out[0]);
        p->pid = pid;
        p->start_ns = process_now_ns() - began;
        p->port = ready ? port_of(line) : 0;
        if (p->port) return 0;
        process_kill(p);
        return err_set(e, ST_IO, "no ready line but \"%s\"; see %s.log", line, p->dir);
}

void process_kill(struct process *p)
{
        if (p->pid <= 0) return;
        kill(p->pid, SIGKILL);
        waitpid(p->pid, NULL, 0);
        p->pid = 0;
}

int process_term(struct process *p, struct err *e)
{
        int fd = (int)syscall(SYS_pidfd_open, p->pid, 0), status = 0;
        if (fd < 0) return err_set(e, ST_IO, "pidfd_open: %s", strerror(errno));
        kill(p->pid, SIGTERM);
        struct pollfd x = { fd, POLLIN, 0 };
        int ended = poll(&x, 1, STOP_MS);
        close(fd);
        if (ended <= 0) {
                process_kill(p);
                return err_set(e, ST_IO, "SIGTERM: still there after %d ms", STOP_MS);
        }
        waitpid(p->pid, &status, 0);
        p->pid = 0;
        if (!WIFEXITED(status)) return err_set(e, ST_IO, "SIGTERM: ended by a signal");
        return WEXITSTATUS(status);
}
