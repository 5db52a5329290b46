/* What the kernel counts for a process: /proc/PID/stat, status and io. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct proc_sample {
        double cpu_seconds;              /* user and system */
        uint64_t rss, rss_peak, written; /* bytes; written: caused to go to storage */
};
/* pid 0: this one.  False: it is gone, or may not be looked at. */
bool proc_sample(int pid, struct proc_sample *ret);
