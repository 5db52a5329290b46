/* An error gains context while it travels up and is logged once, by whoever stops it.
 * "recover 4f…-3: open segment 00000000000000001024: header: crc mismatch" */
#pragma once

#include "base/check.h"

enum { ERR_TEXT_MAX = 512 };

struct err {
        int code;                /* enum status */
        char text[ERR_TEXT_MAX]; /* always terminated; cut, never overrun */
};

/* Starts an error; returns code.  e may be NULL in both. */
int err_set(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Puts "context: " before what is there; returns code. */
int err_wrap(struct err *e, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
