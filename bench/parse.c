/* Values of options. */
#include "bench/parse.h"

#include "base/check.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <strings.h>

static const struct {
        const char *unit;
        double factor;
} units[] = {
        { "KiB", 0x1p10 },
        { "MiB", 0x1p20 },
        { "GiB", 0x1p30 },
        { "TiB", 0x1p40 },
        { "kB", 1e3 },
        { "KB", 1e3 },
        { "MB", 1e6 },
        { "GB", 1e9 },
        { "TB", 1e12 },
        { "k", 1e3 },
        { "K", 1e3 },
        { "M", 1e6 },
        { "G", 1e9 },
        { "B", 1 },
};

/* A decimal number >= 0 at the beginning of *text, which moves behind it. */
static bool number(const char **text, double *ret)
{
        if ((**text < '0' || **text > '9') && **text != '.') return false;
        char *end;
        errno = 0;
        double v = strtod(*text, &end);
        if (end == *text || errno || !isfinite(v)) return false;
        *text = end;
        *ret = v;
        return true;
}

/* Also says whether bytes were named. */
static bool quantity(const char **text, double *ret, bool *ret_bytes)
{
        double v;
        if (!number(text, &v)) return false;
        bool bytes = false;
        for (size_t i = 0; i < COUNT_OF(units); i++) {
                size_t n = strlen(units[i].unit);
                if (strncmp(*text, units[i].unit, n) != 0) continue;
                v *= units[i].factor;
                bytes = units[i].unit[n - 1] == 'B';
                *text += n;
                break;
        }
        *ret = v;
        *ret_bytes = bytes;
        return true;
}

bool parse_count(const char *text, uint64_t *ret)
{
        double v;
        bool bytes;
        if (!quantity(&text, &v, &bytes) || *text || v > 0x1p53 || v != floor(v)) return false;
        *ret = (uint64_t)v;
        return true;
}

bool parse_duration(const char *text, uint64_t *ret_ns)
{
        static const struct {
                const char *unit;
                double ns;
        } times[] = { { "", 1e9 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 },
                { "h", 3600e9 } };
        double v;
        if (!number(&text, &v)) return false;
        for (size_t i = 0; i < COUNT_OF(times); i++) {
                if (strcmp(text, times[i].unit) != 0) continue;
                if (v * times[i].ns > 30 * 86400e9) return false;
                *ret_ns = (uint64_t)(v * times[i].ns);
                return true;
        }
        return false;
}

bool parse_rate(const char *text, struct rate *ret)
{
        double v;
        bool bytes;
        if (!quantity(&text, &v, &bytes) || v <= 0) return false;
        if (strcmp(text, "/s") != 0 && (bytes || *text)) return false;
        *ret = bytes ? (struct rate){ .bytes = v } : (struct rate){ .records = v };
        return true;
}

/* "word:rest" or just "rest"; NULL: another word. */
static const char *after(const char *text, const char *word)
{
        size_t n = strlen(word);
        return strncasecmp(text, word, n) == 0 && text[n] == ':' ? text + n + 1 : NULL;
}

static bool size_number(const char **text, uint32_t *ret)
{
        double v;
        bool bytes;
        if (!quantity(text, &v, &bytes) || v < 1 || v > RECORD_SIZE_MAX) return false;
        *ret = (uint32_t)v;
        return true;
}

static bool size_pair(const char *text, char between, struct size_dist *d)
{
        if (!size_number(&text, &d->a) || *text++ != between) return false;
        return size_number(&text, &d->b) && !*text;
}

bool parse_size(const char *text, struct size_dist *ret)
{
        struct size_dist d = { .kind = SIZE_FIXED };
        const char *rest;
        if ((rest = after(text, "uniform"))) {
                d.kind = SIZE_UNIFORM;
                if (!size_pair(rest, '-', &d) || d.a > d.b) return false;
        } else if ((rest = after(text, "normal"))) {
                d.kind = SIZE_NORMAL;
                if (!size_pair(rest, ',', &d)) return false;
        } else {
                if ((rest = after(text, "exp")))
                        d.kind = SIZE_EXP;
                else if (!(rest = after(text, "fixed")))
                        rest = text;
                if (!size_number(&rest, &d.a) || *rest) return false;
        }
        *ret = d;
        return true;
}

bool parse_keys(const char *text, struct key_dist *ret)
{
        if (strcmp(text, "none") == 0) {
                *ret = (struct key_dist){ .kind = KEYS_NONE };
                return true;
        }
        struct key_dist d = { .kind = KEYS_UNIFORM, .skew = 1 };
        const char *rest;
        double v;
        bool bytes;
        if ((rest = after(text, "zipf")))
                d.kind = KEYS_ZIPF;
        else if (!(rest = after(text, "uniform")))
                rest = text;
        if (!quantity(&rest, &v, &bytes) || bytes || v < 1 || v > KEYS_MAX) return false;
        d.n = (uint32_t)v;
        if (d.kind == KEYS_ZIPF && *rest == ',') {
                rest++;
                if (!number(&rest, &d.skew) || d.skew > 10) return false;
        }
        if (*rest) return false;
        *ret = d;
        return true;
}

bool parse_payload(const char *text, struct payload_kind *ret)
{
        struct payload_kind k = { .type = PAYLOAD_RANDOM, .ratio = 1 };
        const char *rest;
        if ((rest = after(text, "compressible"))) {
                k.type = PAYLOAD_COMPRESSIBLE;
                if (!number(&rest, &k.ratio) || *rest || k.ratio < 1 || k.ratio > 50) return false;
        } else if ((rest = after(text, "lines"))) {
                k.type = PAYLOAD_LINES;
                k.path = rest;
                if (!*rest) return false;
        } else if (strcmp(text, "random") != 0)
                return false;
        *ret = k;
        return true;
}

bool parse_address(const char *text, char *host, size_t host_room, uint16_t *ret_port)
{
        const char *colon = strrchr(text, ':');
        uint64_t port;
        if (!colon || colon == text || !parse_count(colon + 1, &port)) return false;
        if (port == 0 || port > UINT16_MAX) return false;
        size_t n = (size_t)(colon - text);
        if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
                text++;
                n -= 2;
        }
        if (n == 0 || n >= host_room) return false;
        memcpy(host, text, n);
        host[n] = 0;
        *ret_port = (uint16_t)port;
        return true;
}
