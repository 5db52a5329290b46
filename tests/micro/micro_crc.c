/* CRC-32C, alone and fused with the copy, as the machine does it and by the table. */
#include "base/check.h"
#include "protocol/crc32c.h"
#include "protocol/crc32c_impl.h"
#include "tests/micro/micro.h"

#include <string.h>

struct state {
        uint8_t *from, *to;
        volatile uint32_t keep; /* the compiler may not drop the work */
};

static void setup(struct micro *m)
{
        struct state *s = calloc(1, sizeof *s);
        size_t n = (size_t)m->size;
        assert(s);
        s->from = malloc(n);
        s->to = malloc(n);
        assert(s->from && s->to);
        for (size_t i = 0; i < n; i++) s->from[i] = (uint8_t)(i * 2654435761u >> 13);
        memset(s->to, 1, n);
        m->bytes = n;
        m->state = s;
}

static void teardown(struct micro *m)
{
        struct state *s = m->state;
        free(s->from);
        free(s->to);
        free(s);
}

static void sum(struct micro *m)
{
        struct state *s = m->state;
        s->keep = crc32c(0, s->from, (size_t)m->size);
}

static void copy(struct micro *m)
{
        struct state *s = m->state;
        s->keep = crc32c_copy(0, s->to, s->from, (size_t)m->size);
}

static void table_copy(struct micro *m)
{
        struct state *s = m->state;
        s->keep = crc32c_table.copy(0, s->to, s->from, (size_t)m->size);
}

struct micro micro_crc[] = {
        { "crc.sum.16k", "CRC-32C of 16 KiB", setup, sum, teardown, 500, 16 << 10 },
        { "crc.copy.128", "copy and CRC-32C of 128 bytes", setup, copy, teardown, 2000, 128 },
        { "crc.copy.1k", "copy and CRC-32C of 1 KiB", setup, copy, teardown, 2000, 1 << 10 },
        { "crc.copy.16k", "copy and CRC-32C of 16 KiB", setup, copy, teardown, 500, 16 << 10 },
        { "crc.copy.256k", "copy and CRC-32C of 256 KiB", setup, copy, teardown, 50, 256 << 10 },
        { "crc.table.16k", "copy and CRC-32C of 16 KiB by the table", setup, table_copy, teardown,
            100, 16 << 10 },
        { .name = NULL },
};
