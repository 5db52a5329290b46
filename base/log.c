/* One event, one line.  The line is built in a buffer on the stack and leaves with one write(2); a
 * field that does not fit is left out whole and the line says so (`cut`), so a line always parses.
 */
#include "base/log.h"

#include "base/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
        LINE_MAX_BYTES = 8192,
        TAIL_ROOM = 32, /* for `cut`, the bracket and the newline */
        VALUE_MAX = 256,
        FIELDS_MAX = 32,
};

static struct {
        enum log_level least;
        enum log_format format;
        int fd;
} config = { .least = LOG_INFO, .format = LOG_KV, .fd = STDERR_FILENO };

void log_setup(enum log_level least, enum log_format format, int fd)
{
        config.least = least;
        config.format = format;
        config.fd = fd;
}

struct line {
        char text[LINE_MAX_BYTES];
        size_t n;
        bool full;
};

static void put(struct line *l, const char *p, size_t n)
{
        if (l->full || n > sizeof l->text - TAIL_ROOM - l->n) {
                l->full = true;
                return;
        }
        memcpy(l->text + l->n, p, n);
        l->n += n;
}

static void put_z(struct line *l, const char *z)
{
        put(l, z, strlen(z));
}

PRINTF_LIKE(2, 3) static void put_f(struct line *l, const char *fmt, ...)
{
        char s[64];
        va_list args;
        va_start(args, fmt);
        int n = vsnprintf(s, sizeof s, fmt, args);
        va_end(args);
        assert(n >= 0 && (size_t)n < sizeof s);
        put(l, s, (size_t)n);
}

/* --- untrusted text --- */

/* Bytes of the UTF-8 sequence at p and its code point; 0: not valid (RFC 3629: shortest form, no
 * surrogates, up to U+10FFFF). */
static unsigned utf8_at(const uint8_t *p, size_t left, uint32_t *ret_code)
{
        static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
        const uint8_t c = p[0];
        unsigned n = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : 4;
        if (n == 4 && (c & 0xf8) != 0xf0) return 0;
        if (n > left) return 0;
        uint32_t code = n == 1 ? c : c & (0x7fu >> n);
        for (unsigned i = 1; i < n; i++) {
                if ((p[i] & 0xc0) != 0x80) return 0;
                code = code << 6 | (p[i] & 0x3f);
        }
        if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
        *ret_code = code;
        return n;
}

/* Control characters of both sets, line separators, and what turns the direction of text around. */
static bool is_plain(uint32_t c)
{
        if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;
        if (c == 0x2028 || c == 0x2029 || c == 0xfeff) return false;
        if ((c >= 0x200b && c <= 0x200f) || (c >= 0x202a && c <= 0x202e)) return false;
        return !(c >= 0x2066 && c <= 0x2069);
}

static bool put_short_escape(struct line *l, uint32_t c)
{
        switch (c) {
        case '"':
                put_z(l, "\\\"");
                return true;
        case '\\':
                put_z(l, "\\\\");
                return true;
        case '\n':
                put_z(l, "\\n");
                return true;
        case '\r':
                put_z(l, "\\r");
                return true;
        case '\t':
                put_z(l, "\\t");
                return true;
        default:
                return false;
        }
}

/* key=value: the bytes as \xHH.  JSON: the code point as \uHHHH, an invalid byte as U+FFFD. */
static void put_escaped_bytes(struct line *l, const uint8_t *p, unsigned n, uint32_t code)
{
        if (config.format == LOG_JSON) {
                put_f(l, "\\u%04x", code);
                return;
        }
        for (unsigned i = 0; i < n; i++) put_f(l, "\\x%02x", p[i]);
}

static void put_text(struct line *l, const uint8_t *p, size_t n)
{
        for (size_t i = 0; i < n;) {
                uint32_t code = 0;
                unsigned len = utf8_at(p + i, n - i, &code);
                if (len == 0)
                        put_escaped_bytes(l, p + i, 1, 0xfffd);
                else if (!put_short_escape(l, code)) {
                        if (is_plain(code))
                                put(l, (const char *)p + i, len);
                        else
                                put_escaped_bytes(l, p + i, len, code);
                }
                i += len ? len : 1;
        }
}

/* Where to cut: never inside a character. */
static size_t cut_at(const uint8_t *p, size_t n)
{
        if (n <= VALUE_MAX) return n;
        size_t at = VALUE_MAX;
        for (unsigned back = 0; back < 3 && (p[at] & 0xc0) == 0x80; back++) at--;
        return at;
}

static bool needs_quotes(const uint8_t *p, size_t n)
{
        if (n == 0 || n > VALUE_MAX || (n == 4 && memcmp(p, "null", 4) == 0)) return true;
        for (size_t i = 0; i < n; i++) {
                bool plain =
                    p[i] > ' ' && p[i] < 0x7f && p[i] != '"' && p[i] != '\\' && p[i] != '=';
                if (!plain) return true;
        }
        return false;
}

static void put_value(struct line *l, struct str s)
{
        if (str_is_null(s)) {
                put_z(l, "null");
                return;
        }
        const uint8_t *p = (const uint8_t *)s.p;
        const size_t n = (size_t)s.n, shown = cut_at(p, n);
        const bool quotes = config.format == LOG_JSON || needs_quotes(p, n);
        if (quotes) put_z(l, "\"");
        put_text(l, p, shown);
        if (shown < n) put_z(l, "...");
        if (quotes) put_z(l, "\"");
}

/* --- lines --- */

static void put_key(struct line *l, const char *key)
{
        const bool first = l->n <= 1;
        if (config.format == LOG_JSON) {
                put_z(l, first ? "\"" : ",\"");
                put_z(l, key);
                put_z(l, "\":");
                return;
        }
        if (!first) put_z(l, " ");
        put_z(l, key);
        put_z(l, "=");
}

static void put_time(struct line *l)
{
        struct timespec now;
        struct tm t;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &t);
        char s[64];
        size_t n = strftime(s, sizeof s, "%Y-%m-%dT%H:%M:%S", &t);
        const char *q = config.format == LOG_JSON ? "\"" : "";
        put_z(l, q);
        put(l, s, n);
        put_f(l, ".%03ldZ%s", now.tv_nsec / 1000000, q);
}

static void put_field(struct line *l, const struct log_field *f)
{
        const size_t before = l->n;
        put_key(l, f->key);
        if (f->type == LOG_F_INT)
                put_f(l, "%lld", (long long)f->i);
        else
                put_value(l, f->s);
        if (l->full) l->n = before;
}

static void put_end(struct line *l)
{
        const bool json = config.format == LOG_JSON;
        const char *end =
            l->full ? (json ? ",\"cut\":true}\n" : " cut=true\n") : (json ? "}\n" : "\n");
        memcpy(l->text + l->n, end, strlen(end));
        l->n += strlen(end);
}

static void line_write(const struct line *l)
{
        ssize_t n;
        do {
                n = write(config.fd, l->text, l->n);
        } while (n < 0 && errno == EINTR);
        /* Whatever else happened to stderr, there is no better place to say so. */
}

/* held > 0: lines that a limit held back before this one. */
static void emit(
    enum log_level level, const char *event, const struct log_field *fields, uint64_t held)
{
        static const char *const names[] = { "debug", "info", "warn", "error" };
        assert(level <= LOG_ERROR);
        if (level < config.least) return;
        const int keep = errno;
        struct line l;
        l.n = 0;
        l.full = false;
        if (config.format == LOG_JSON) put_z(&l, "{");
        put_key(&l, "ts");
        put_time(&l);
        put_key(&l, "level");
        put_value(&l, str_of(names[level]));
        put_key(&l, "event");
        put_value(&l, str_of(event));
        const struct log_field held_field = LOG_INT("held", held);
        if (held > 0) put_field(&l, &held_field);
        for (unsigned i = 0; i < FIELDS_MAX && fields[i].type != LOG_F_END; i++)
                put_field(&l, &fields[i]);
        put_end(&l);
        line_write(&l);
        errno = keep;
}

void log_event_(enum log_level level, const char *event, const struct log_field *fields)
{
        emit(level, event, fields, 0);
}

void log_limited_(
    struct log_limit *l, enum log_level level, const char *event, const struct log_field *fields)
{
        if (level < config.least) return;
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        const uint64_t second = (uint64_t)t.tv_sec & UINT32_MAX;
        uint64_t before = atomic_load_explicit(&l->window, memory_order_relaxed), after;
        do {
                uint64_t lines = before >> 32 == second ? before & UINT32_MAX : 0;
                if (lines >= l->burst) {
                        atomic_fetch_add_explicit(&l->held, 1, memory_order_relaxed);
                        return;
                }
                after = second << 32 | (lines + 1);
        } while (!atomic_compare_exchange_weak_explicit(
            &l->window, &before, after, memory_order_relaxed, memory_order_relaxed));
        emit(level, event, fields, atomic_exchange_explicit(&l->held, 0, memory_order_relaxed));
}
