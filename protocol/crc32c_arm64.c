/* CRC-32C with the instructions of ARMv8: one stream, eight bytes a step. */
#include "protocol/crc32c_impl.h"

#if defined(__aarch64__)

#include "base/types.h"

#include <sys/auxv.h>

enum { HWCAP_HAS_CRC32 = 1 << 7 }; /* asm/hwcap.h */

static bool usable(void)
{
        return (getauxval(AT_HWCAP) & HWCAP_HAS_CRC32) != 0;
}

/* As text: older clang has the intrinsics only in files built for the extension throughout. */
static inline uint32_t word(uint32_t c, uint64_t v)
{
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(c) : "r"(v));
        return c;
}
static inline uint32_t byte(uint32_t c, uint8_t v)
{
        __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(c) : "r"((uint32_t)v));
        return c;
}

static uint32_t sum(uint32_t crc, const void *data, size_t n)
{
        const uint8_t *p = data;
        uint32_t c = ~crc;
        for (; n >= 8; p += 8, n -= 8) c = word(c, load_le64(p));
        for (; n > 0; p++, n--) c = byte(c, *p);
        return ~c;
}

static uint32_t copy(uint32_t crc, void *dst, const void *src, size_t n)
{
        uint8_t *d = dst;
        const uint8_t *s = src;
        uint32_t c = ~crc;
        for (; n >= 8; s += 8, d += 8, n -= 8) {
                uint64_t v = load_le64(s);
                store_le64(d, v);
                c = word(c, v);
        }
        for (; n > 0; s++, d++, n--) c = byte(c, *d = *s);
        return ~c;
}

const struct crc32c_impl crc32c_arm64 = { "arm64-crc", usable, sum, copy };

#endif
