/* `varve serve`: threads, signals, the ready line.  serve.c has the life of the process. */
#pragma once

#include "server/config.h"

/* Runs until a signal ends it; returns the exit code. */
int serve_main(const struct config *c);
