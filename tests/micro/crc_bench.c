/* Micro-benchmark: GB/s of memcpy, crc32c and crc32c_copy by size, each way this CPU has.
 *   crc_bench [seconds per number]
 * Source and destination rotate through 8 MiB, so large sizes leave the second-level cache. */
#include "base/check.h"
#include "protocol/crc32c.h"
#include "protocol/crc32c_impl.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { ARENA = 8 << 20 };

static uint8_t *src, *dst;
static volatile uint32_t keep; /* the compiler may not drop the work */

static double now(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

enum what { COPY_ONLY, SUM, COPY_AND_SUM };

static uint32_t once(const struct crc32c_impl *impl, enum what what, size_t at, size_t n)
{
        switch (what) {
        case COPY_ONLY:
                memcpy(dst + at, src + at, n);
                return dst[at];
        case SUM:
                return impl->sum(0, src + at, n);
        default:
                return impl->copy(0, dst + at, src + at, n);
        }
}

static double gbps(const struct crc32c_impl *impl, enum what what, size_t n, double seconds)
{
        size_t at = 0;
        uint64_t bytes = 0;
        double begin = now(), end = begin;
        while (end - begin < seconds) {
                for (int i = 0; i < 64; i++) {
                        keep = once(impl, what, at, n);
                        at = at + 2 * n <= ARENA ? at + n : 0;
                }
                bytes += 64 * n;
                end = now();
        }
        return (double)bytes / (end - begin) / 1e9;
}

int main(int argc, char **argv)
{
        double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.1;
        src = aligned_alloc(4096, ARENA);
        dst = aligned_alloc(4096, ARENA);
        assert(src && dst);
        for (size_t i = 0; i < ARENA; i++) src[i] = (uint8_t)(i * 2654435761u >> 13);
        memset(dst, 1, ARENA);
        printf("GB/s; this machine uses %s\n%9s %8s", crc32c_backend(), "bytes", "memcpy");
        for (const struct crc32c_impl *const *i = crc32c_impls; *i; i++)
                if ((*i)->usable()) printf("  %17s %6s", (*i)->name, "copy");
        printf("\n");
        for (size_t n = 64; n <= 1 << 20; n *= 2) {
                printf("%9zu %8.1f", n, gbps(NULL, COPY_ONLY, n, seconds));
                for (const struct crc32c_impl *const *i = crc32c_impls; *i; i++)
                        if ((*i)->usable())
                                printf("  %17.1f %6.1f", gbps(*i, SUM, n, seconds),
                                    gbps(*i, COPY_AND_SUM, n, seconds));
                printf("\n");
        }
        free(src);
        free(dst);
        return 0;
}
