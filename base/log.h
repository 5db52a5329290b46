/* Structured logging to stderr: one event, one line, key=value or JSON.
 *
 *   log_event(LOG_WARN, "connection closed", LOG_STR("peer", peer), LOG_INT("id", 7), LOG_END);
 *
 * Values may be untrusted: control bytes, quotes and invalid UTF-8 leave escaped, long values are
 * cut. Any thread; a line is one write(2), so lines of several threads never mix. */
#pragma once

#include "base/types.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_KV, LOG_JSON };

struct log_field {
        enum { LOG_F_END, LOG_F_STR, LOG_F_INT } type;
        const char *key;
        struct str s;
        int64_t i;
};

#define LOG_END ((struct log_field){ LOG_F_END, NULL, { NULL, 0 }, 0 })
#define LOG_INT(k, v) ((struct log_field){ LOG_F_INT, (k), { NULL, 0 }, (int64_t)(v) })
#define LOG_S(k, v) ((struct log_field){ LOG_F_STR, (k), (v), 0 })
#define LOG_STR(k, z) LOG_S(k, str_of(z))

/* Before any thread starts. */
void log_setup(enum log_level least, enum log_format format, int fd);
void log_event_(enum log_level level, const char *event, const struct log_field *fields);
#define log_event(level, event, ...) \
        log_event_((level), (event), (const struct log_field[]){ __VA_ARGS__ })

/* At most `burst` lines a second pass; the first one after a silence says how many were held back.
 */
struct log_limit {
        uint32_t burst;
        _Atomic uint64_t window; /* second << 32 | lines seen in it */
        _Atomic uint64_t held;
};
void log_limited_(
    struct log_limit *l, enum log_level level, const char *event, const struct log_field *fields);
#define log_limited(limit, level, event, ...) \
        log_limited_((limit), (level), (event), (const struct log_field[]){ __VA_ARGS__ })

/* A rare branch names itself; the one test that exists for it waits for the name (tests/ list
 * them). Costs one relaxed increment. */
void log_mark_(_Atomic uint64_t *hits, const char *name);
uint64_t log_mark_hits(const char *name);
#define log_mark(name)                         \
        do {                                   \
                static _Atomic uint64_t hits_; \
                log_mark_(&hits_, (name));     \
        } while (0)
