/* The text form of a configuration: Java's properties, as far as server.properties files use them.
 *
 *   # comment, ! comment
 *   key = value        key: value        key value
 *   key = first part \
 *         second part
 * Escapes: \\ \n \t \r \f, and \ before any of  = : # ! and a blank.  \u is refused, as is a NUL
 * byte. A key that comes twice is refused by the caller. */
#include "base/check.h"
#include "base/status.h"
#include "server/config_impl.h"

#include <stdlib.h>

/* One logical line: continuation lines joined, escapes not undone yet. */
struct line {
        char *text; /* room for the whole file */
        int32_t n;
        unsigned number; /* of its first physical line */
};

static bool blank(char c)
{
        return c == ' ' || c == '\t' || c == '\f' || c == '\r';
}

/* Is the newline after these characters escaped? */
static bool goes_on(const char *p, int32_t n)
{
        int32_t slashes = 0;
        while (slashes < n && p[n - 1 - slashes] == '\\') slashes++;
        return slashes % 2 == 1;
}

static bool next_line(struct str *text, unsigned *line_number, struct line *out)
{
        out->n = 0;
        while (text->n > 0) {
                const char *newline = memchr(text->p, '\n', (size_t)text->n);
                int32_t n = newline ? (int32_t)(newline - text->p) : text->n;
                struct str s = { text->p, n };
                text->p += n + (newline != NULL);
                text->n -= n + (newline != NULL);
                ++*line_number;
                if (s.n > 0 && s.p[s.n - 1] == '\r') s.n--;
                while (s.n > 0 && blank(s.p[0])) {
                        s.p++;
                        s.n--;
                }
                if (out->n == 0) {
                        if (s.n == 0 || s.p[0] == '#' || s.p[0] == '!') continue;
                        out->number = *line_number;
                }
                bool more = goes_on(s.p, s.n);
                if (more) s.n--;
                memcpy(out->text + out->n, s.p, (size_t)s.n);
                out->n += s.n;
                if (!more) return true;
        }
        return out->n > 0;
}

/* Undoes escapes in place. */
static int unescape(struct str *s, unsigned line, struct err *e)
{
        char *p = (char *)(uintptr_t)s->p;
        int32_t to = 0;
        for (int32_t at = 0; at < s->n; at++) {
                char c = p[at];
                if (c == '\\' && at + 1 < s->n) {
                        c = p[++at];
                        if (c == 'u')
                                return err_set(
                                    e, ST_INVALID, "line %u: \\u is not supported", line);
                        const char *from = "ntrf", *found = strchr(from, c);
                        if (found && c) c = "\n\t\r\f"[found - from];
                }
                p[to++] = c;
        }
        s->n = to;
        return 0;
}

static int split(const struct line *l, struct config_pair *ret, struct err *e)
{
        int32_t at = 0;
        while (at < l->n && !blank(l->text[at]) && l->text[at] != '=' && l->text[at] != ':')
                at += l->text[at] == '\\' && at + 1 < l->n ? 2 : 1;
        ret->key = (struct str){ l->text, at };
        while (at < l->n && blank(l->text[at])) at++;
        if (at < l->n && (l->text[at] == '=' || l->text[at] == ':')) at++;
        while (at < l->n && blank(l->text[at])) at++;
        ret->value = (struct str){ l->text + at, l->n - at };
        ret->line = l->number;
        if (ret->key.n == 0) return err_set(e, ST_INVALID, "line %u: no key", l->number);
        int r = unescape(&ret->key, l->number, e);
        return r < 0 ? r : unescape(&ret->value, l->number, e);
}

int config_file_each(struct str text,
    int (*fn)(void *arg, const struct config_pair *p, struct err *e), void *arg, struct err *e)
{
        unsigned number = 0;
        if (text.n > 0 && memchr(text.p, '\0', (size_t)text.n))
                return err_set(e, ST_INVALID, "not a text: it has a NUL byte");
        struct line l = { malloc((size_t)text.n + 1), 0, 0 };
        if (!l.text) return err_set(e, ST_NOMEM, "configuration");
        int r = 0;
        while (r == 0 && next_line(&text, &number, &l)) {
                struct config_pair p;
                r = split(&l, &p, e);
                if (r == 0) r = fn(arg, &p, e);
        }
        free(l.text);
        return r;
}
