/* The texts of enum status, and where errno values go. */
#include "base/status.h"

#include <errno.h>

const char *status_text(int status)
{
        switch (status) {
        case ST_OK:
                return "success";
#define STATUS_CASE(name, value, text) \
        case name:                     \
                return text;
                STATUS_MAP(STATUS_CASE)
#undef STATUS_CASE
        default:
                return "unknown status";
        }
}

int status_from_errno(int64_t neg_errno)
{
        switch (neg_errno) {
        case -ENOSPC:
        case -EDQUOT:
                return ST_DISK_FULL;
        case -ENOMEM:
                return ST_NOMEM;
        case -ENOENT:
                return ST_NOT_FOUND;
        default:
                return neg_errno >= 0 ? ST_OK : ST_IO;
        }
}
