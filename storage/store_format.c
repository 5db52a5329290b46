/* The layout of what varve writes, as text: docs/storage.md holds the same lines. */
#include "storage/store_format.h"

#include <stdio.h>

struct field {
        const char *name;
        size_t offset, size;
};

#define FIELD(type, member)                                       \
        {                                                         \
#type "." #member, offsetof(struct type, member), \
                    sizeof(((struct type *)0)->member)            \
        }

static const struct field fields[] = {
        FIELD(store_header, magic),
        FIELD(store_header, header_size),
        FIELD(store_header, version),
        FIELD(store_header, compat),
        FIELD(store_header, incompat),
        FIELD(store_header, id),
        FIELD(store_header, cluster_id),
        FIELD(store_header, reserved),
        FIELD(store_header, crc),
        FIELD(checkpoint_header, magic),
        FIELD(checkpoint_header, header_size),
        FIELD(checkpoint_header, count),
        FIELD(checkpoint_header, compat),
        FIELD(checkpoint_header, incompat),
        FIELD(checkpoint_header, store_id),
        FIELD(checkpoint_header, reserved),
        FIELD(checkpoint_header, checksum),
        FIELD(checkpoint_entry, topic_id),
        FIELD(checkpoint_entry, partition),
        FIELD(checkpoint_entry, reserved),
        FIELD(checkpoint_entry, segment),
        FIELD(checkpoint_entry, position),
        FIELD(checkpoint_entry, offset),
        FIELD(checkpoint_entry, max_timestamp),
        FIELD(index_header, magic),
        FIELD(index_header, header_size),
        FIELD(index_header, count),
        FIELD(index_header, compat),
        FIELD(index_header, incompat),
        FIELD(index_header, topic_id),
        FIELD(index_header, partition),
        FIELD(index_header, reserved),
        FIELD(index_header, base_offset),
        FIELD(index_header, end_offset),
        FIELD(index_header, size),
        FIELD(index_header, max_timestamp),
        FIELD(index_header, entries_checksum),
        FIELD(index_header, checksum),
        FIELD(index_entry, relative_offset),
        FIELD(index_entry, position),
        FIELD(index_entry, max_before),
        FIELD(journal_header, magic),
        FIELD(journal_header, header_size),
        FIELD(journal_header, compat),
        FIELD(journal_header, incompat),
        FIELD(journal_header, reserved),
        FIELD(journal_header, store_id),
        FIELD(journal_header, size),
        FIELD(journal_header, run),
        FIELD(journal_header, checksum),
        FIELD(journal_group, magic),
        FIELD(journal_group, header_size),
        FIELD(journal_group, length),
        FIELD(journal_group, count),
        FIELD(journal_group, incompat),
        FIELD(journal_group, store_id),
        FIELD(journal_group, run),
        FIELD(journal_group, seq),
        FIELD(journal_group, oldest),
        FIELD(journal_group, checksum),
        FIELD(journal_entry, flags),
        FIELD(journal_entry, partition),
        FIELD(journal_entry, length),
        FIELD(journal_entry, position),
        FIELD(journal_entry, segment),
};

size_t store_format_print(char *out, size_t cap)
{
        assert(out && cap > 0);
        size_t at = 0;
        for (size_t i = 0; i < COUNT_OF(fields); i++) {
                int n = snprintf(out + at, cap - at, "%s %zu %zu\n", fields[i].name,
                    fields[i].offset, fields[i].size);
                assert(n > 0 && (size_t)n < cap - at);
                at += (size_t)n;
        }
        return at;
}
