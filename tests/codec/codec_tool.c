/* Decodes and encodes messages for codec tests, one per line, until its input ends:
 *   <message> <version to decode> <version to encode> <hex, or - for no bytes>
 * answers
 *   ok <bytes left over> <hex or ->      or      bad <offset> <why> */
#include "protocol/msg.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA_LIMIT = 256 << 20, NAME_MAX_LENGTH = 63 };

static const struct msg_codec *find_codec(const char *name)
{
        for (unsigned i = 0; i < msg_codecs_count; i++)
                if (strcmp(msg_codecs[i].name, name) == 0) return &msg_codecs[i];
        return NULL;
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9') return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place; -1: not hex. */
static ssize_t unhex(char *text)
{
        if (strcmp(text, "-") == 0) return 0;
        size_t n = strlen(text);
        for (size_t i = 0; i + 1 < n; i += 2) {
                int hi = hex_digit(text[i]), lo = hex_digit(text[i + 1]);
                if (hi < 0 || lo < 0) return -1;
                text[i / 2] = (char)(hi << 4 | lo);
        }
        return n % 2 ? -1 : (ssize_t)(n / 2);
}

static void print_out(const struct out *o)
{
        static const char digits[] = "0123456789abcdef";
        if (out_total(o) == 0) putchar('-');
        size_t seen = 0;
        for (uint32_t i = 0; i < out_segments(o); i++) {
                const uint8_t *p = o->iov[i].iov_base;
                for (size_t k = 0; k < o->iov[i].iov_len; k++, seen++) {
                        putchar(digits[p[k] >> 4]);
                        putchar(digits[p[k] & 15]);
                }
        }
        if (seen != out_total(o)) abort();
        putchar('\n');
}

/* The bytes are copied to a block of their exact size, so that a sanitizer sees every overrun. */
static void answer(const struct msg_codec *m, int from, int to, const char *bytes, size_t n)
{
        struct arena a;
        arena_init(&a, ARENA_LIMIT);
        char *frame = malloc(n ? n : 1);
        void *value = malloc(m->size);
        if (!frame || !value) abort();
        memcpy(frame, bytes, n);
        struct cursor c = cursor_of(frame, n);
        if (!m->decode(value, &c, (int16_t)from, &a)) {
                printf("bad %zu %s\n", c.fault_at, c.why);
        } else {
                struct out o;
                out_init(&o, &a);
                m->encode(value, &o, (int16_t)to);
                if (o.bad) {
                        printf("bad 0 does not encode\n");
                } else {
                        printf("ok %zu ", cursor_left(&c));
                        print_out(&o);
                }
        }
        free(value);
        free(frame);
        arena_reset(&a);
}

int main(void)
{
        char *line = NULL;
        size_t room = 0;
        for (ssize_t n; (n = getline(&line, &room, stdin)) > 0;) {
                if (line[n - 1] == '\n') line[n - 1] = '\0';
                char name[NAME_MAX_LENGTH + 1];
                int from, to, at = 0;
                if (sscanf(line, "%63s %d %d %n", name, &from, &to, &at) != 3 || at == 0) return 2;
                const struct msg_codec *m = find_codec(name);
                ssize_t size = unhex(line + at);
                if (!m || size < 0 || to < m->min || to > m->max) return 2;
                answer(m, from, to, line + at, (size_t)size);
                if (fflush(stdout) != 0) return 3;
        }
        free(line);
        return 0;
}
