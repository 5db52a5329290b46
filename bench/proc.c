/* Reading /proc. */
#include "bench/proc.h"

#include "base/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PROC_TEXT_MAX = 8192, STAT_UTIME = 11 /* fields after the ")" and the state */ };

static bool read_text(int pid, const char *name, char *text)
{
        char path[64];
        if (pid > 0)
                snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
        else
                snprintf(path, sizeof path, "/proc/self/%s", name);
        FILE *f = fopen(path, "r");
        if (!f) return false;
        size_t n = fread(text, 1, PROC_TEXT_MAX - 1, f);
        fclose(f);
        text[n] = 0;
        return n > 0;
}

static uint64_t number_after(const char *text, const char *label)
{
        const char *p = strstr(text, label);
        return p ? strtoull(p + strlen(label), NULL, 10) : 0;
}

static bool cpu_of(const char *stat, double *ret)
{
        const char *p = strrchr(stat, ')');
        for (int i = 0; p && i < STAT_UTIME + 1; i++) {
                p = strchr(p + 1, ' ');
        }
        if (!p) return false;
        char *end;
        double user = (double)strtoull(p, &end, 10), system = (double)strtoull(end, NULL, 10);
        *ret = (user + system) / (double)sysconf(_SC_CLK_TCK);
        return true;
}

bool proc_sample(int pid, struct proc_sample *ret)
{
        char text[PROC_TEXT_MAX];
        struct proc_sample s = { 0 };
        if (!read_text(pid, "stat", text) || !cpu_of(text, &s.cpu_seconds)) return false;
        if (pid == 0) { /* finer than ticks */
                struct rusage u;
                getrusage(RUSAGE_SELF, &u);
                s.cpu_seconds = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                                (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
        }
        if (read_text(pid, "status", text)) {
                s.rss = number_after(text, "VmRSS:") * 1024;
                s.rss_peak = number_after(text, "VmHWM:") * 1024;
        }
        if (read_text(pid, "io", text)) s.written = number_after(text, "\nwrite_bytes: ");
        *ret = s;
        return true;
}
