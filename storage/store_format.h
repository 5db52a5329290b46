/* Bytes on disk that varve itself defines: identity, checkpoint, segment index.  Segments are plain
 * record batches (protocol/batch.h).  docs/storage.md and these structs name each other; a unit
 * test compares them.
 *
 * A format grows by header_size and two flag words: an unknown bit in `incompat` means nobody may
 * use the file, an unknown bit in `compat` means it may be read, not written. */
#pragma once

#include "base/check.h"
#include "base/types.h"

#include <stddef.h>

/* Little-endian numbers that cannot be added, compared or printed by accident. */
typedef struct {
        uint8_t b[4];
} le32;
typedef struct {
        uint8_t b[8];
} le64;

static inline uint32_t le32_get(le32 v)
{
        return load_le32(v.b);
}
static inline uint64_t le64_get(le64 v)
{
        return load_le64(v.b);
}
static inline int64_t le64_get_signed(le64 v)
{
        return (int64_t)load_le64(v.b);
}
static inline le32 le32_of(uint32_t x)
{
        le32 v;
        store_le32(v.b, x);
        return v;
}
static inline le64 le64_of(uint64_t x)
{
        le64 v;
        store_le64(v.b, x);
        return v;
}
static inline le64 le64_of_signed(int64_t x)
{
        return le64_of((uint64_t)x);
}

#define STORE_FILE_MAGIC "VARVEst\n"
#define CHECKPOINT_FILE_MAGIC "VARVEcp\n"
#define INDEX_FILE_MAGIC "VARVEix\n"
#define JOURNAL_FILE_MAGIC "VARVEjn\n"
#define JOURNAL_GROUP_MAGIC "VARVEjg\n"

/* DIR/store */
struct store_header {
        uint8_t magic[8];
        le32 header_size, version;
        le32 compat, incompat;
        struct uuid id, cluster_id;
        uint8_t reserved[4];
        le32 crc; /* CRC-32C of the bytes before it */
};
static_assert(sizeof(struct store_header) == 64, "docs/storage.md");
static_assert(offsetof(struct store_header, id) == 24, "docs/storage.md");
static_assert(offsetof(struct store_header, crc) == 60, "docs/storage.md");

/* DIR/checkpoint-<shard>: header, then count entries */
struct checkpoint_header {
        uint8_t magic[8];
        le32 header_size, count;
        le32 compat, incompat;
        struct uuid store_id;
        uint8_t reserved[16];
        le64 checksum; /* XXH3-64 of the entries, seeded with that of the header before it */
};
static_assert(sizeof(struct checkpoint_header) == 64, "docs/storage.md");
static_assert(offsetof(struct checkpoint_header, checksum) == 56, "docs/storage.md");

struct checkpoint_entry {
        struct uuid topic_id;
        le32 partition;
        uint8_t reserved[4];
        le64 segment;       /* base offset of the newest segment                       */
        le64 position;      /* bytes of it that were settled, always a batch's end     */
        le64 offset;        /* of the first record behind these bytes                  */
        le64 max_timestamp; /* in these bytes, -1: none                                */
};
static_assert(sizeof(struct checkpoint_entry) == 56, "docs/storage.md");
static_assert(offsetof(struct checkpoint_entry, segment) == 24, "docs/storage.md");

/* <base offset>.index: header, then count entries */
struct index_header {
        uint8_t magic[8];
        le32 header_size, count;
        le32 compat, incompat;
        struct uuid topic_id;
        le32 partition;
        uint8_t reserved[4];
        le64 base_offset, end_offset;
        le64 size; /* bytes of batches in the segment */
        le64 max_timestamp;
        le64 entries_checksum; /* XXH3-64 of the entries           */
        le64 checksum;         /* XXH3-64 of the header before it  */
};
static_assert(sizeof(struct index_header) == 96, "docs/storage.md");
static_assert(offsetof(struct index_header, checksum) == 88, "docs/storage.md");

struct index_entry {
        le32 relative_offset; /* of a batch, from the segment's base offset   */
        le32 position;        /* of that batch in the segment                 */
        le64 max_before;      /* largest timestamp before it in the segment   */
};
static_assert(sizeof(struct index_entry) == 16, "docs/storage.md");

/* DIR/journal-<shard>: one page with this header, then a ring of groups */
struct journal_header {
        uint8_t magic[8];
        le32 header_size;
        le32 compat, incompat;
        uint8_t reserved[4];
        struct uuid store_id;
        le64 size;     /* of the ring */
        le64 run;      /* groups of other runs do not count */
        le64 checksum; /* XXH3-64 of the header before it */
};
static_assert(sizeof(struct journal_header) == 64, "docs/storage.md");
static_assert(offsetof(struct journal_header, checksum) == 56, "docs/storage.md");

/* A group begins on a page: header, then entries, each followed by its bytes; zeros up to the
 * page's end */
struct journal_group {
        uint8_t magic[8];
        le32 header_size, length; /* length: of all, without the zeros */
        le32 count;               /* entries */
        le32 incompat;
        struct uuid store_id;
        le64 run, seq;
        le64 oldest;   /* of this run, that is still needed */
        le64 checksum; /* XXH3-64 of what follows it, seeded with that of what is before it */
};
static_assert(sizeof(struct journal_group) == 72, "docs/storage.md");
static_assert(offsetof(struct journal_group, checksum) == 64, "docs/storage.md");

struct journal_entry {
        le32 flags; /* 1: a topic id follows; else it is the one before */
        le32 partition;
        le32 length;   /* bytes */
        le32 position; /* in the segment */
        le64 segment;  /* base offset */
};
static_assert(sizeof(struct journal_entry) == 24, "docs/storage.md");

enum { JOURNAL_ENTRY_TOPIC = 1 };

enum {
        STORE_INCOMPAT_KNOWN = 0,
        STORE_COMPAT_KNOWN = 0,
        CHECKPOINT_INCOMPAT_KNOWN = 0,
        INDEX_INCOMPAT_KNOWN = 0,
        JOURNAL_INCOMPAT_KNOWN = 0,
};

/* One line per struct and field: "store_header.crc 60 4". */
size_t store_format_print(char *out, size_t cap);
