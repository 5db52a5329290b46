/* One vocabulary of outcomes.  0 is success, ours are negative; wire codes are protocol/errors.h's,
 * and the server maps from here to there in one table. */
#pragma once

#include <stdint.h>

#define STATUS_MAP(X)                                                           \
        X(ST_NOMEM, -1001, "out of memory")                                     \
        X(ST_IO, -1002, "input/output error")                                   \
        X(ST_CORRUPT, -1003, "stored bytes fail their checksum")                \
        X(ST_BAD_BATCH, -1004, "record batch is malformed")                     \
        X(ST_BAD_CRC, -1005, "record batch fails its checksum")                 \
        X(ST_DISK_FULL, -1006, "no space left in the log directory")            \
        X(ST_FENCED, -1007, "the log directory is fenced after a failed write") \
        X(ST_OUT_OF_RANGE, -1008, "offset is outside of the log")               \
        X(ST_LOCKED, -1009, "another process holds the log directory")          \
        X(ST_TOO_NEW, -1010, "written by a newer version")                      \
        X(ST_FOREIGN, -1011, "belongs to another store")                        \
        X(ST_INVALID, -1012, "invalid value")                                   \
        X(ST_NOT_FOUND, -1013, "not found")                                     \
        X(ST_EXISTS, -1014, "exists already")                                   \
        X(ST_CANCELED, -1015, "canceled")                                       \
        X(ST_CLOSED, -1016, "closed")                                           \
        X(ST_TOO_LARGE, -1017, "too large")                                     \
        X(ST_PENDING, -1018, "not finished yet")                                \
        X(ST_UNSUPPORTED, -1019, "not supported")

#define STATUS_ENUM(name, value, text) name = value,
enum status { ST_OK = 0, STATUS_MAP(STATUS_ENUM) };
#undef STATUS_ENUM

/* Static text; never NULL. */
const char *status_text(int status);
/* -ENOSPC and -EDQUOT become ST_DISK_FULL, -ENOMEM ST_NOMEM, -ENOENT ST_NOT_FOUND, others ST_IO. */
int status_from_errno(int64_t neg_errno);
