/* CRC-32C on x86-64.  Two ways: three interleaved streams of the SSE4.2 instruction, joined by a
 * carry-less multiplication; and folding 256 bytes a step with VPCLMULQDQ.  The second
 * is written once for summing (dst == NULL, which the compiler drops) and for copying while
 * summing. */
#include "protocol/crc32c_impl.h"

#if defined(__x86_64__)

#include "base/check.h"

#include <immintrin.h>
#include <string.h>

#define SSE42 __attribute__((target("sse4.2,pclmul")))
#define AVX512 __attribute__((target("sse4.2,pclmul,avx512f,vpclmulqdq")))
#define INLINE static inline __attribute__((always_inline))

/* One step of three streams: short for records, long for whole batches. */
enum { STREAM_SHORT = 128, STREAM_LONG = 1024 };
enum { VECTOR = 64, STEP = 4 * VECTOR, ALIGN_FROM = 4 * STEP };

/* shift(), fold(): see crc32c_impl.h. */
static const uint32_t shift_short[2] = { 0x0d3b6092, 0xb9e02b86 }; /* 128, 256 bytes */
static const uint32_t shift_long[2] = { 0x170076fa, 0xa51b6135 };  /* 1024, 2048 bytes */
static const long long fold_2048[2] = { 0xdcb17aa4, 0xb9e02b86 };  /* bits */
static const long long fold_512[2] = { 0x740eef02, 0x9e4addf8 };

INLINE uint64_t load64(const uint8_t *p)
{
        uint64_t v;
        memcpy(&v, p, 8);
        return v;
}

INLINE SSE42 uint64_t word(uint64_t c, uint8_t *dst, const uint8_t *p)
{
        uint64_t v = load64(p);
        if (dst) memcpy(dst, &v, 8);
        return _mm_crc32_u64(c, v);
}

INLINE SSE42 uint32_t simple(uint32_t state, uint8_t *dst, const uint8_t *p, size_t n)
{
        uint64_t c = state;
        for (; n >= 8; p += 8, n -= 8) {
                c = word(c, dst, p);
                if (dst) dst += 8;
        }
        uint32_t s = (uint32_t)c;
        for (; n > 0; p++, n--) {
                s = _mm_crc32_u8(s, *p);
                if (dst) *dst++ = *p;
        }
        return s;
}

/* The state after as many zero bytes as k = shift(L) stands for. */
INLINE SSE42 uint32_t shift(uint64_t state, uint32_t k)
{
        __m128i v = _mm_clmulepi64_si128(
            _mm_cvtsi64_si128((int64_t)state), _mm_cvtsi64_si128((int64_t)k), 0);
        return (uint32_t)_mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(v));
}

/* 3 * len bytes.  k = { shift(len), shift(2 * len) }. */
INLINE SSE42 uint32_t three(uint32_t state, const uint8_t *p, size_t len, const uint32_t k[2])
{
        uint64_t a = state, b = 0, c = 0;
        for (const uint8_t *end = p + len; p < end; p += 8) {
                a = _mm_crc32_u64(a, load64(p));
                b = _mm_crc32_u64(b, load64(p + len));
                c = _mm_crc32_u64(c, load64(p + 2 * len));
        }
        return shift(a, k[1]) ^ shift(b, k[0]) ^ (uint32_t)c;
}

static bool sse42_usable(void)
{
        return __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul");
}
SSE42 static uint32_t sse42_sum(uint32_t crc, const void *data, size_t n)
{
        const uint8_t *p = data;
        uint32_t s = ~crc;
        for (; n >= 3 * STREAM_LONG; n -= 3 * STREAM_LONG, p += 3 * STREAM_LONG)
                s = three(s, p, STREAM_LONG, shift_long);
        for (; n >= 3 * STREAM_SHORT; n -= 3 * STREAM_SHORT, p += 3 * STREAM_SHORT)
                s = three(s, p, STREAM_SHORT, shift_short);
        return ~simple(s, NULL, p, n);
}

/* In steps that stay in the first-level cache: measured faster than storing from three streams. */
static uint32_t sse42_copy(uint32_t crc, void *dst, const void *src, size_t n)
{
        uint8_t *d = dst;
        const uint8_t *s = src;
        while (n > 0) {
                size_t step = MIN(n, (size_t)3 * STREAM_LONG);
                memcpy(d, s, step);
                crc = sse42_sum(crc, s, step);
                d += step;
                s += step;
                n -= step;
        }
        return crc;
}
const struct crc32c_impl crc32c_sse42 = { "sse4.2", sse42_usable, sse42_sum, sse42_copy };

INLINE AVX512 __m512i take(uint8_t *dst, const uint8_t *p)
{
        __m512i v = _mm512_loadu_si512(p);
        if (dst) _mm512_storeu_si512(dst, v);
        return v;
}

/* acc moved forward by the distance that k stands for, plus what stands there. */
INLINE AVX512 __m512i fold(__m512i acc, __m512i k, __m512i next)
{
        __m512i lo = _mm512_clmulepi64_epi128(acc, k, 0x00);
        __m512i hi = _mm512_clmulepi64_epi128(acc, k, 0x11);
        return _mm512_ternarylogic_epi64(lo, hi, next, 0x96); /* xor of all three */
}

/* Whole vectors, at least STEP bytes; returns the state after them. */
INLINE AVX512 uint32_t folded(uint32_t state, uint8_t *dst, const uint8_t *p, size_t n)
{
        const __m512i k2048 = _mm512_broadcast_i32x4(_mm_set_epi64x(fold_2048[1], fold_2048[0]));
        const __m512i k512 = _mm512_broadcast_i32x4(_mm_set_epi64x(fold_512[1], fold_512[0]));
        __m512i x[4];
        for (int i = 0; i < 4; i++) x[i] = take(dst ? dst + i * VECTOR : NULL, p + i * VECTOR);
        x[0] = _mm512_xor_si512(x[0], _mm512_zextsi128_si512(_mm_cvtsi32_si128((int)state)));
        size_t at = STEP;
        for (; n - at >= STEP; at += STEP)
                for (size_t i = 0; i < 4; i++) {
                        size_t o = at + i * VECTOR;
                        x[i] = fold(x[i], k2048, take(dst ? dst + o : NULL, p + o));
                }
        for (int i = 1; i < 4; i++) x[i] = fold(x[i - 1], k512, x[i]);
        for (; at < n; at += VECTOR) x[3] = fold(x[3], k512, take(dst ? dst + at : NULL, p + at));
        uint8_t rest[VECTOR];
        _mm512_storeu_si512(rest, x[3]);
        return simple(0, NULL, rest, sizeof rest);
}

INLINE AVX512 uint32_t avx512(uint32_t crc, uint8_t *dst, const uint8_t *p, size_t n)
{
        uint32_t s = ~crc;
        if (n < STEP) return ~simple(s, dst, p, n);
        /* Split cache lines cost: stores most, so the destination is what gets aligned. */
        if (n >= ALIGN_FROM) {
                size_t head = -(uintptr_t)(dst ? dst : p) & (VECTOR - 1);
                s = simple(s, dst, p, head);
                p += head;
                if (dst) dst += head;
                n -= head;
        }
        size_t whole = n & ~(size_t)(VECTOR - 1);
        s = folded(s, dst, p, whole);
        return ~simple(s, dst ? dst + whole : NULL, p + whole, n - whole);
}

static bool avx512_usable(void)
{
        return sse42_usable() && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("vpclmulqdq");
}
AVX512 static uint32_t avx512_sum(uint32_t crc, const void *p, size_t n)
{
        return avx512(crc, NULL, p, n);
}
AVX512 static uint32_t avx512_copy(uint32_t crc, void *dst, const void *src, size_t n)
{
        return n ? avx512(crc, dst, src, n) : crc;
}
const struct crc32c_impl crc32c_avx512 = { "avx512-vpclmulqdq", avx512_usable, avx512_sum,
        avx512_copy };

#endif
