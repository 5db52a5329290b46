/* Plain values that cross rooms: borrowed strings and bytes, ids, and big-endian loads and stores.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Borrowed text, not terminated.  n == -1: null (as on the wire). */
struct str {
        const char *p;
        int32_t n;
};

/* Borrowed bytes.  n == -1: null. */
struct bytes {
        const uint8_t *p;
        int32_t n;
};

/* Room to read into. */
struct bytes_mut {
        uint8_t *p;
        size_t n;
};

struct uuid {
        uint8_t b[16];
};

#define STR(literal) ((struct str){ (literal), (int32_t)sizeof(literal) - 1 })
#define STR_NULL ((struct str){ NULL, -1 })

static inline struct str str_of(const char *z)
{
        return (struct str){ z, z ? (int32_t)strlen(z) : -1 };
}
static inline bool str_is_null(struct str s)
{
        return s.n < 0;
}
static inline bool str_eq(struct str a, struct str b)
{
        return a.n == b.n && (a.n <= 0 || memcmp(a.p, b.p, (size_t)a.n) == 0);
}
static inline bool uuid_eq(struct uuid a, struct uuid b)
{
        return memcmp(a.b, b.b, 16) == 0;
}
static inline bool uuid_is_zero(struct uuid a)
{
        static const struct uuid zero;
        return uuid_eq(a, zero);
}

static inline uint16_t load_be16(const void *p)
{
        uint16_t v;
        memcpy(&v, p, 2);
        return be16toh(v);
}
static inline uint32_t load_be32(const void *p)
{
        uint32_t v;
        memcpy(&v, p, 4);
        return be32toh(v);
}
static inline uint64_t load_be64(const void *p)
{
        uint64_t v;
        memcpy(&v, p, 8);
        return be64toh(v);
}
static inline uint32_t load_le32(const void *p)
{
        uint32_t v;
        memcpy(&v, p, 4);
        return le32toh(v);
}
static inline uint64_t load_le64(const void *p)
{
        uint64_t v;
        memcpy(&v, p, 8);
        return le64toh(v);
}
static inline void store_be16(void *p, uint16_t v)
{
        v = htobe16(v);
        memcpy(p, &v, 2);
}
static inline void store_be32(void *p, uint32_t v)
{
        v = htobe32(v);
        memcpy(p, &v, 4);
}
static inline void store_be64(void *p, uint64_t v)
{
        v = htobe64(v);
        memcpy(p, &v, 8);
}
static inline void store_le32(void *p, uint32_t v)
{
        v = htole32(v);
        memcpy(p, &v, 4);
}
static inline void store_le64(void *p, uint64_t v)
{
        v = htole64(v);
        memcpy(p, &v, 8);
}
