/* Journal files as they are found at start. */
#pragma once

#include "storage/journal.h"

#define JOURNAL_PREFIX "journal-"

struct journal_found {
        uint32_t number;
        uint64_t size; /* of the ring */
        uint64_t run;
};

/* NULL: there is none, or not a whole one. */
const struct journal_found *journal_find(const struct store *s, uint32_t number);
void journal_header_fill(
    struct journal_header *h, const struct uuid *store_id, const struct journal_found *f);
/* All journals of the directory; groups are read only after a stop that was not clean. */
int journal_load_all(struct store *s, struct io *io, struct err *e);
void journal_set_free(struct journal_set *set);
