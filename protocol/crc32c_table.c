/* CRC-32C without help from the CPU: eight tables, eight bytes a step. */
#include "base/check.h"
#include "base/types.h"
#include "protocol/crc32c_impl.h"

#define POLY_REFLECTED UINT32_C(0x82f63b78)
enum { COPY_STEP = 4096 };

/* table[k][b]: the byte b followed by k zero bytes. */
static uint32_t table[8][256];

void crc32c_table_init(void)
{
        for (uint32_t b = 0; b < 256; b++) {
                uint32_t v = b;
                for (int bit = 0; bit < 8; bit++) v = v & 1 ? v >> 1 ^ POLY_REFLECTED : v >> 1;
                table[0][b] = v;
        }
        for (uint32_t b = 0; b < 256; b++)
                for (int k = 1; k < 8; k++)
                        table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 255];
        assert(table[0][128] == POLY_REFLECTED);
}

static bool usable(void)
{
        return true;
}

static uint32_t sum(uint32_t crc, const void *data, size_t n)
{
        const uint8_t *p = data;
        uint32_t c = ~crc;
        for (; n >= 8; p += 8, n -= 8) {
                uint32_t a = load_le32(p) ^ c, b = load_le32(p + 4);
                c = table[7][a & 255] ^ table[6][a >> 8 & 255] ^ table[5][a >> 16 & 255] ^
                    table[4][a >> 24] ^ table[3][b & 255] ^ table[2][b >> 8 & 255] ^
                    table[1][b >> 16 & 255] ^ table[0][b >> 24];
        }
        for (; n > 0; p++, n--) c = c >> 8 ^ table[0][(c ^ *p) & 255];
        return ~c;
}

/* In steps that stay in the first-level cache, so memory is still read once. */
static uint32_t copy(uint32_t crc, void *dst, const void *src, size_t n)
{
        uint8_t *d = dst;
        const uint8_t *s = src;
        while (n > 0) {
                size_t step = MIN(n, (size_t)COPY_STEP);
                memcpy(d, s, step);
                crc = sum(crc, s, step);
                d += step;
                s += step;
                n -= step;
        }
        return crc;
}

const struct crc32c_impl crc32c_table = { "table", usable, sum, copy };
