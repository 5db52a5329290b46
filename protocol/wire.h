/* Reading: a cursor with a sticky error over one frame.  Straight-line field lists, one check at the
 * end; `fault_at` keeps the place of the first failure for the log line.  Nothing here allocates. */
#pragma once

#include "base/types.h"

struct cursor {
        const uint8_t *begin, *at, *end;
        bool bad;
        const char *why;   /* of the first failure, static text */
        size_t fault_at;   /* its offset from begin             */
};

static inline struct cursor cursor_of(const void *p, size_t n)
{
        const uint8_t *b = p;
        return (struct cursor){ b, b, b + n, false, NULL, 0 };
}
static inline size_t cursor_left(const struct cursor *c) { return (size_t)(c->end - c->at); }
/* Marks the cursor bad (first call wins) and empties it. */
void cursor_fail(struct cursor *c, const char *why);
