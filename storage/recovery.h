/* Pieces of recovery that have files of their own. */
#pragma once

#include "storage/journal.h"
#include "storage/scan.h"

/* recovery_journal.c: the file was scanned up to its last whole batch.  1: bytes were added, scan
 * on; 0: there were none; -errno. */
int64_t recovery_apply(struct log_shard *ls, const struct segment *s, struct scan *c);
