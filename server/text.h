/* Text that people and clients give us: numbers, trimming, showing it safely, near misses. */
#pragma once

#include "base/types.h"

#include <stddef.h>

/* Without blanks at both ends. */
struct str text_trim(struct str s);
/* A whole decimal number, optional sign, nothing else.  False: ret untouched. */
bool text_i64(struct str s, int64_t *ret);
/* The same with an exact suffix KiB, MiB or GiB (a blank before it allowed). */
bool text_size(struct str s, int64_t *ret);
/* A decimal fraction as 0.5, .5, 1 or 5e-1; not nan, not inf. */
bool text_double(struct str s, double *ret);
/* true or false, any case. */
bool text_bool(struct str s, bool *ret);
bool text_eq_nocase(struct str a, const char *z);

enum { TEXT_SHOWN_MAX = 100 };
/* Printable ASCII of s, the rest as '?'; cut with "..." */
struct text_shown {
        char text[TEXT_SHOWN_MAX];
};
struct text_shown text_show(struct str s);

/* Is `a` so close to `b` that it may be a slip? */
bool text_near(struct str a, const char *b);
