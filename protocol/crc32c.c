/* CRC-32C: picks the fastest way this CPU has, once, before main. */
#include "protocol/crc32c.h"

#include "base/check.h"
#include "protocol/crc32c_impl.h"

const struct crc32c_impl *const crc32c_impls[] = {
#if defined(__x86_64__)
        &crc32c_avx512,
        &crc32c_sse42,
#elif defined(__aarch64__)
        &crc32c_arm64,
#endif
        &crc32c_table,
        NULL,
};

/* Written before main by one thread, read-only afterwards. */
static const struct crc32c_impl *chosen = &crc32c_table;

__attribute__((constructor)) static void choose(void)
{
        crc32c_table_init();
        const struct crc32c_impl *const *i = crc32c_impls;
        while (!(*i)->usable()) i++;
        assert(*i != NULL);
        chosen = *i;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
        assert(p != NULL || n == 0);
        return chosen->sum(crc, p, n);
}

uint32_t crc32c_copy(uint32_t crc, void *dst, const void *src, size_t n)
{
        assert((dst != NULL && src != NULL) || n == 0);
        return chosen->copy(crc, dst, src, n);
}

const char *crc32c_backend(void)
{
        return chosen->name;
}
