/* CRC-32C (Castagnoli), RFC 3720 appendix B.4.  Folding with VPCLMULQDQ or three interleaved
 * hardware streams where the CPU has them, a table elsewhere; chosen once.  Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* crc: 0 to begin, or the result for the bytes before. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* The same while copying n bytes from src to dst in one pass.  They do not overlap. */
uint32_t crc32c_copy(uint32_t crc, void *dst, const void *src, size_t n);
/* "avx512-vpclmulqdq", "sse4.2", "arm64-crc", "table": what this machine uses. */
const char *crc32c_backend(void);
