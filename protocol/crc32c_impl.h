/* The ways to compute CRC-32C that crc32c.c chooses from.  Internal; tests run each against the
 * table.  Constants of folding and shifting are powers of x modulo the Castagnoli polynomial
 * 0x11edc6f41, bit-reflected: fold(D) = { x^(D+32), x^(D-32) } << 1, shift(L) = x^(8L-33). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crc32c_impl {
        const char *name;
        bool (*usable)(void); /* on this CPU */
        uint32_t (*sum)(uint32_t crc, const void *p, size_t n);
        uint32_t (*copy)(uint32_t crc, void *dst, const void *src, size_t n);
};

/* Best first; the last one is always usable.  Terminated by NULL. */
extern const struct crc32c_impl *const crc32c_impls[];

extern const struct crc32c_impl crc32c_table;
#if defined(__x86_64__)
extern const struct crc32c_impl crc32c_avx512;
extern const struct crc32c_impl crc32c_sse42;
#elif defined(__aarch64__)
extern const struct crc32c_impl crc32c_arm64;
#endif

/* Fills the tables; before main, once. */
void crc32c_table_init(void);
