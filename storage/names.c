/* Names of directories and files, printed and parsed. */
#include "storage/internal.h"

#include <stdio.h>

enum { ID_HEX = 32, OFFSET_DIGITS = 20 };

void partition_dir_name(const struct partition *p, char out[STORE_NAME_MAX])
{
        static const char hex[] = "0123456789abcdef";
        CHECK_OBJ(p, PARTITION_MAGIC);
        for (int i = 0; i < 16; i++) {
                out[2 * i] = hex[p->key.topic_id.b[i] >> 4];
                out[2 * i + 1] = hex[p->key.topic_id.b[i] & 15];
        }
        int n = snprintf(out + ID_HEX, STORE_NAME_MAX - ID_HEX, "-%" PRId32, p->key.index);
        assert(n > 0 && n < STORE_NAME_MAX - ID_HEX);
}

void segment_name(const struct segment *s, const char *suffix, char out[STORE_NAME_MAX])
{
        CHECK_OBJ(s, SEGMENT_MAGIC);
        partition_dir_name(s->partition, out);
        size_t at = strlen(out);
        int n =
            snprintf(out + at, STORE_NAME_MAX - at, "/%020" PRId64 "%s", s->base_offset, suffix);
        assert(n > 0 && (size_t)n < STORE_NAME_MAX - at);
}

static int hex_digit(char c)
{
        if (c >= '0' && c <= '9') return c - '0';
        if (c >= 'a' && c <= 'f') return c - 'a' + 10;
        return -1;
}

/* Decimal digits up to the end of the text; no sign, no superfluous zeros. */
static bool parse_index(const char *z, int32_t *ret)
{
        int64_t v = 0;
        size_t n = strlen(z);
        if (n == 0 || n > 10 || (n > 1 && z[0] == '0')) return false;
        for (size_t i = 0; i < n; i++) {
                if (z[i] < '0' || z[i] > '9') return false;
                v = v * 10 + (z[i] - '0');
        }
        if (v > INT32_MAX) return false;
        *ret = (int32_t)v;
        return true;
}

bool partition_dir_parse(const char *name, struct uuid *ret_id, int32_t *ret_index)
{
        assert(name && ret_id && ret_index);
        struct uuid id;
        if (strlen(name) < ID_HEX + 2 || name[ID_HEX] != '-') return false;
        for (int i = 0; i < 16; i++) {
                int a = hex_digit(name[2 * i]), b = hex_digit(name[2 * i + 1]);
                if (a < 0 || b < 0) return false;
                id.b[i] = (uint8_t)(a << 4 | b);
        }
        if (!parse_index(name + ID_HEX + 1, ret_index)) return false;
        *ret_id = id;
        return true;
}

bool segment_name_parse(const char *name, const char *suffix, int64_t *ret_base)
{
        assert(name && suffix && ret_base);
        uint64_t v = 0;
        if (strlen(name) < OFFSET_DIGITS || strcmp(name + OFFSET_DIGITS, suffix) != 0) return false;
        for (int i = 0; i < OFFSET_DIGITS; i++) {
                if (name[i] < '0' || name[i] > '9') return false;
                if (v > (UINT64_MAX - 9) / 10) return false;
                v = v * 10 + (uint64_t)(name[i] - '0');
        }
        if (v > INT64_MAX) return false;
        *ret_base = (int64_t)v;
        return true;
}
