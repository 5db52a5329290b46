/* Text that people and clients give us. */
#include "server/text.h"

#include "base/check.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\f';
}

struct str text_trim(struct str s)
{
        while (s.n > 0 && is_blank(s.p[0])) {
                s.p++;
                s.n--;
        }
        while (s.n > 0 && is_blank(s.p[s.n - 1])) s.n--;
        return s;
}

bool text_i64(struct str s, int64_t *ret)
{
        bool minus = s.n > 0 && s.p[0] == '-';
        int32_t at = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+') ? 1 : 0;
        if (at >= s.n) return false;
        int64_t v = 0; /* counted below zero, where there is one number more */
        for (; at < s.n; at++) {
                if (s.p[at] < '0' || s.p[at] > '9') return false;
                if (__builtin_mul_overflow(v, 10, &v)) return false;
                if (__builtin_sub_overflow(v, s.p[at] - '0', &v)) return false;
        }
        if (!minus && v == INT64_MIN) return false;
        *ret = minus ? v : -v;
        return true;
}

bool text_size(struct str s, int64_t *ret)
{
        static const struct {
                char text[4];
                int64_t unit;
        } units[] = { { "KiB", 1024 }, { "MiB", 1024 * 1024 }, { "GiB", 1024 * 1024 * 1024 } };
        int64_t unit = 1, v;
        for (size_t i = 0; i < COUNT_OF(units); i++) {
                if (s.n < 4 || memcmp(s.p + s.n - 3, units[i].text, 3) != 0) continue;
                unit = units[i].unit;
                s.n -= 3;
                if (s.p[s.n - 1] == ' ') s.n--;
                break;
        }
        if (!text_i64(s, &v) || __builtin_mul_overflow(v, unit, &v)) return false;
        *ret = v;
        return true;
}

bool text_double(struct str s, double *ret)
{
        char buf[64], *end;
        if (s.n <= 0 || (size_t)s.n >= sizeof(buf)) return false;
        for (int32_t i = 0; i < s.n; i++)
                if (!strchr("0123456789+-.eE", s.p[i])) return false;
        memcpy(buf, s.p, (size_t)s.n);
        buf[s.n] = '\0';
        double v = strtod(buf, &end);
        if (end != buf + s.n || !isfinite(v)) return false;
        *ret = v;
        return true;
}

bool text_eq_nocase(struct str a, const char *z)
{
        return a.n >= 0 && strlen(z) == (size_t)a.n && strncasecmp(a.p, z, (size_t)a.n) == 0;
}

bool text_bool(struct str s, bool *ret)
{
        bool yes = text_eq_nocase(s, "true");
        if (!yes && !text_eq_nocase(s, "false")) return false;
        *ret = yes;
        return true;
}

struct text_shown text_show(struct str s)
{
        struct text_shown t;
        size_t n = s.n > 0 ? (size_t)s.n : 0, room = sizeof(t.text) - 1;
        size_t keep = n <= room ? n : room - 3;
        for (size_t i = 0; i < keep; i++)
                t.text[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
        t.text[keep] = '\0';
        if (n > keep) memcpy(t.text + keep, "...", 4);
        return t;
}

bool text_near(struct str a, const char *b)
{
        enum { LONGEST = 64 };
        size_t n = strlen(b);
        if (a.n < 3 || a.n > LONGEST || n > LONGEST) return false;
        /* Edit distance, one row at a time. */
        unsigned row[LONGEST + 1];
        for (unsigned j = 0; j <= n; j++) row[j] = j;
        for (unsigned i = 1; i <= (unsigned)a.n; i++) {
                unsigned diagonal = row[0];
                row[0] = i;
                for (unsigned j = 1; j <= n; j++) {
                        unsigned keep = diagonal + (a.p[i - 1] != b[j - 1]);
                        diagonal = row[j];
                        unsigned edit = MIN(row[j], row[j - 1]) + 1;
                        row[j] = MIN(keep, edit);
                }
        }
        return row[n] <= 1 + (unsigned)a.n / 6;
}
