/* Error texts that gain context on their way up.  See err.h. */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *e, int code, const char *fmt, ...)
{
        if (!e) return code;
        va_list args;
        va_start(args, fmt);
        vsnprintf(e->text, sizeof e->text, fmt, args);
        va_end(args);
        e->code = code;
        return code;
}

int err_wrap(struct err *e, int code, const char *fmt, ...)
{
        if (!e) return code;
        char context[ERR_TEXT_MAX];
        va_list args;
        va_start(args, fmt);
        vsnprintf(context, sizeof context, fmt, args);
        va_end(args);

        /* The context stays whole and the old text loses its end where both do not fit. */
        size_t n = strlen(context);
        size_t room = sizeof e->text - 1 - n;
        size_t sep = MIN((size_t)2, room);
        size_t old = MIN(strlen(e->text), room - sep);
        memmove(e->text + n + sep, e->text, old);
        memcpy(e->text, context, n);
        memcpy(e->text + n, ": ", sep);
        e->text[n + sep + old] = '\0';
        e->code = code;
        return code;
}
