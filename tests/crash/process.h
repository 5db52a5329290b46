/* A varve process that is started, killed and started again. */
#pragma once

#include "base/err.h"

#include <stdint.h>
#include <sys/types.h>

struct process {
        const char *varve, *io, *dir;
        int pid; /* 0: none */
        uint16_t port;
        uint64_t start_ns; /* from fork to the ready line */
};

/* Forks, executes and waits for the ready line. */
int process_start(struct process *p, struct err *e);
/* SIGKILL, and waits for its end. */
void process_kill(struct process *p);
/* SIGTERM; the exit status, or < 0 when it does not end in time or dies of a signal. */
int process_term(struct process *p, struct err *e);
uint64_t process_now_ns(void);
