/* Worlds with a journal, and the journal's file as docs/storage.md describes it: read and written
 * here by byte positions, without the structs of the code. */
#pragma once

#include "storage/journal.h"
#include "tests/unit/storage/storage_fixture.h"

enum { RING = 512 << 10, PARTS_MAX = 64 };

extern const struct batch_spec thin; /* three records, less than a page */

/* Partitions of as many topics in one shard. */
struct parts {
        unsigned n;
        const struct log_config *config; /* NULL: plain */
        struct partition *p[PARTS_MAX];
};
/* The world is open, its journals are read: recovers all. */
void parts_recover(struct world *w, struct parts *all);
/* The same, and the journals are used up. */
void parts_start(struct world *w, struct parts *all);
/* Opens the world, starts, and goes on until the journal serves all of them: a batch in each. */
void parts_open(struct world *w, struct parts *all);
void journal_until_ready(struct world *w);
/* A stop without a close, then a start. */
void parts_crash(struct world *w, struct parts *all);
/* Each in turn gets a batch, that often, each in a group of its own. */
void parts_append(struct world *w, struct parts *all, const struct batch_spec *s, unsigned rounds);

/* What all of them hold. */
struct shot {
        unsigned n;
        struct log_bytes logs[PARTS_MAX];
};
void shot_take(struct world *w, struct parts *all, struct shot *ret);
void shot_check(struct world *w, struct parts *all, const struct shot *s);
void shot_free(struct shot *s);

/* --- the file --- */
enum {
        PAGE = 4096,
        HEADER_BYTES = 64,
        GROUP_BYTES = 72,
        ENTRY_BYTES = 24,
        AT_HEADER_COMPAT = 12,
        AT_HEADER_INCOMPAT = 16,
        AT_HEADER_ID = 24,
        AT_HEADER_SIZE = 40,
        AT_HEADER_RUN = 48,
        AT_HEADER_SUM = 56,
        AT_GROUP_LENGTH = 12,
        AT_GROUP_COUNT = 16,
        AT_GROUP_INCOMPAT = 20,
        AT_GROUP_ID = 24,
        AT_GROUP_RUN = 40,
        AT_GROUP_SEQ = 48,
        AT_GROUP_OLDEST = 56,
        AT_GROUP_SUM = 64,
};

struct disk_group {
        size_t at; /* in the file */
        uint32_t length, count;
        uint64_t seq, oldest;
};

struct disk_entry {
        size_t at; /* of the entry */
        struct uuid topic;
        int32_t partition;
        uint32_t flags, length, position;
        int64_t segment;
        const uint8_t *bytes;
};

struct disk_journal {
        char path[512];
        uint8_t *p;
        size_t n;
        uint64_t size, run;
        struct disk_group *groups; /* good ones of the run, by seq */
        unsigned n_groups;
};

uint64_t disk_le(const uint8_t *p, unsigned n);
void disk_le_put(uint8_t *p, unsigned n, uint64_t x);
void journal_path(struct world *w, unsigned number, char out[512]);
/* Checks every number of the header and of each group of its run. */
void disk_get(struct world *w, unsigned number, struct disk_journal *ret);
void disk_put(const struct disk_journal *j);
void disk_free(struct disk_journal *j);
const struct disk_group *disk_newest(const struct disk_journal *j);
/* All entries of a group in order; the caller frees.  Checks that they fill it. */
struct disk_entry *disk_entries(const struct disk_journal *j, const struct disk_group *g);
/* Checksums anew, after a change. */
void disk_seal_header(struct disk_journal *j);
void disk_seal_group(struct disk_journal *j, const struct disk_group *g);
