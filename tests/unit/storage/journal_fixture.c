#include "tests/unit/storage/journal_fixture.h"

#include <stdio.h>
#include <xxhash.h>

const struct batch_spec thin = { .count = 3, .value = 60, .timestamp = 1000, .step = 1 };

/* --- partitions --- */
void parts_recover(struct world *w, struct parts *all)
{
        for (unsigned i = 0; i < all->n; i++)
                all->p[i] = world_partition(w, (uint8_t)(i + 1), all->config);
}

void parts_start(struct world *w, struct parts *all)
{
        struct err e = { 0 };
        parts_recover(w, all);
        int st = store_recovered(w->store, w->io, &e);
        cr_assert_eq(st, ST_OK, "%s", e.text);
}

void journal_until_ready(struct world *w)
{
        uint64_t from = io_now_ns(w->io);
        while (w->ls->journal->state != JOURNAL_READY) {
                cr_assert_neq((int)w->ls->journal->state, (int)JOURNAL_FAILED);
                world_turn(w);
                cr_assert(io_now_ns(w->io) - from < UINT64_C(60000000000), "nothing happens");
        }
}

void parts_open(struct world *w, struct parts *all)
{
        if (w->journal_bytes == 0) w->journal_bytes = RING;
        if (w->blocks_limit == 0) w->blocks_limit = 32 << 20; /* quicker to open */
        world_open(w);
        parts_start(w, all);
        for (unsigned i = 0; i < all->n; i++) cr_assert_eq(append_one(w, all->p[i], &thin), ST_OK);
        journal_until_ready(w);
        world_settle(w);
        for (unsigned i = 0; i < all->n; i++) cr_assert(journal_serves(all->p[i]));
}

void parts_crash(struct world *w, struct parts *all)
{
        world_kill(w);
        world_open(w);
        cr_assert_not(w->store->was_clean);
        parts_start(w, all);
}

void parts_append(struct world *w, struct parts *all, const struct batch_spec *s, unsigned rounds)
{
        struct batch_spec spec = *s;
        for (unsigned i = 0; i < rounds * all->n; i++) {
                spec.seed = s->seed + i + 1;
                cr_assert_eq(append_one(w, all->p[i % all->n], &spec), ST_OK);
        }
}

void shot_take(struct world *w, struct parts *all, struct shot *ret)
{
        ret->n = all->n;
        for (unsigned i = 0; i < all->n; i++) read_all(w, all->p[i], 1 << 20, &ret->logs[i]);
}

void shot_check(struct world *w, struct parts *all, const struct shot *s)
{
        struct shot now;
        shot_take(w, all, &now);
        cr_assert_eq(now.n, s->n);
        for (unsigned i = 0; i < s->n; i++) {
                const struct log_bytes *a = &s->logs[i], *b = &now.logs[i];
                cr_assert_eq(all->p[i]->status, ST_OK, "partition %u", i);
                cr_assert_eq(b->end, a->end, "partition %u: %" PRId64 " instead of %" PRId64, i,
                    b->end, a->end);
                cr_assert(b->n == a->n && memcmp(b->p, a->p, a->n) == 0, "partition %u", i);
        }
        shot_free(&now);
}

void shot_free(struct shot *s)
{
        for (unsigned i = 0; i < s->n; i++) log_bytes_free(&s->logs[i]);
}

/* --- the file --- */
uint64_t disk_le(const uint8_t *p, unsigned n)
{
        uint64_t x = 0;
        while (n-- > 0) x = x << 8 | p[n];
        return x;
}

void disk_le_put(uint8_t *p, unsigned n, uint64_t x)
{
        for (unsigned i = 0; i < n; i++) p[i] = (uint8_t)(x >> (8 * i));
}

void journal_path(struct world *w, unsigned number, char out[512])
{
        snprintf(out, 512, "%s/journal-%u", w->dir, number);
}

static uint64_t group_sum(const uint8_t *g)
{
        size_t n = disk_le(g + AT_GROUP_LENGTH, 4);
        return XXH3_64bits_withSeed(g + GROUP_BYTES, n - GROUP_BYTES, XXH3_64bits(g, AT_GROUP_SUM));
}

static void header_get(struct disk_journal *j, const uint8_t id[16])
{
        cr_assert_geq(j->n, PAGE);
        cr_assert_eq(memcmp(j->p, "VARVEjn\n", 8), 0);
        cr_assert_eq(disk_le(j->p + 8, 4), HEADER_BYTES);
        cr_assert_eq(disk_le(j->p + AT_HEADER_COMPAT, 4), 0);
        cr_assert_eq(disk_le(j->p + AT_HEADER_INCOMPAT, 4), 0);
        cr_assert_eq(disk_le(j->p + 20, 4), 0, "reserved");
        cr_assert_eq(memcmp(j->p + AT_HEADER_ID, id, 16), 0);
        cr_assert_eq(disk_le(j->p + AT_HEADER_SUM, 8), XXH3_64bits(j->p, AT_HEADER_SUM));
        j->size = disk_le(j->p + AT_HEADER_SIZE, 8);
        j->run = disk_le(j->p + AT_HEADER_RUN, 8);
        cr_assert_eq(j->n, PAGE + j->size);
        for (size_t i = HEADER_BYTES; i < PAGE; i++) cr_assert_eq(j->p[i], 0);
}

/* False: nothing of this run begins there. */
static bool group_get(
    const struct disk_journal *j, size_t at, const uint8_t id[16], struct disk_group *ret)
{
        const uint8_t *g = j->p + at;
        if (memcmp(g, "VARVEjg\n", 8) != 0) return false;
        size_t n = disk_le(g + AT_GROUP_LENGTH, 4);
        if (n < GROUP_BYTES || n > j->n - at) return false;
        if (disk_le(g + AT_GROUP_SUM, 8) != group_sum(g)) return false;
        if (disk_le(g + AT_GROUP_RUN, 8) != j->run) return false;
        cr_assert_eq(disk_le(g + 8, 4), GROUP_BYTES);
        cr_assert_eq(disk_le(g + AT_GROUP_INCOMPAT, 4), 0);
        cr_assert_eq(memcmp(g + AT_GROUP_ID, id, 16), 0);
        *ret = (struct disk_group){ .at = at,
                .length = (uint32_t)n,
                .count = (uint32_t)disk_le(g + AT_GROUP_COUNT, 4),
                .seq = disk_le(g + AT_GROUP_SEQ, 8),
                .oldest = disk_le(g + AT_GROUP_OLDEST, 8) };
        cr_assert(ret->oldest >= 1 && ret->oldest <= ret->seq);
        for (size_t i = at + n; i % PAGE != 0; i++) cr_assert_eq(j->p[i], 0, "zeros follow");
        return true;
}

static int by_seq(const void *a, const void *b)
{
        uint64_t x = ((const struct disk_group *)a)->seq, y = ((const struct disk_group *)b)->seq;
        return (x > y) - (x < y);
}

void disk_get(struct world *w, unsigned number, struct disk_journal *ret)
{
        char path[512];
        uint8_t *store;
        *ret = (struct disk_journal){ .n = 0 };
        snprintf(path, sizeof path, "%s/store", w->dir);
        file_get(path, &store);
        const uint8_t *id = store + 24;
        journal_path(w, number, ret->path);
        ret->n = file_get(ret->path, &ret->p);
        header_get(ret, id);
        ret->groups = calloc(ret->n / PAGE + 1, sizeof *ret->groups);
        for (size_t at = PAGE; at < ret->n; at += PAGE)
                ret->n_groups += group_get(ret, at, id, &ret->groups[ret->n_groups]);
        qsort(ret->groups, ret->n_groups, sizeof *ret->groups, by_seq);
        free(store);
}

void disk_put(const struct disk_journal *j)
{
        file_put(j->path, j->p, j->n);
}

void disk_free(struct disk_journal *j)
{
        free(j->groups);
        free(j->p);
}

const struct disk_group *disk_newest(const struct disk_journal *j)
{
        cr_assert_gt(j->n_groups, 0);
        return &j->groups[j->n_groups - 1];
}

struct disk_entry *disk_entries(const struct disk_journal *j, const struct disk_group *g)
{
        struct disk_entry *all = calloc(g->count + 1, sizeof *all);
        size_t at = g->at + GROUP_BYTES, end = g->at + g->length;
        struct uuid topic = { { 0 } };
        for (uint32_t i = 0; i < g->count; i++) {
                cr_assert(end - at >= ENTRY_BYTES);
                const uint8_t *p = j->p + at;
                struct disk_entry x = { .at = at,
                        .flags = (uint32_t)disk_le(p, 4),
                        .partition = (int32_t)disk_le(p + 4, 4),
                        .length = (uint32_t)disk_le(p + 8, 4),
                        .position = (uint32_t)disk_le(p + 12, 4),
                        .segment = (int64_t)disk_le(p + 16, 8) };
                at += ENTRY_BYTES;
                cr_assert_eq(x.flags & ~1U, 0);
                cr_assert(i > 0 || x.flags == 1, "the first one names its topic");
                if (x.flags & 1) {
                        cr_assert(end - at >= 16);
                        memcpy(&topic, j->p + at, 16);
                        at += 16;
                }
                cr_assert(end - at >= x.length);
                x.topic = topic;
                x.bytes = j->p + at;
                at += x.length;
                all[i] = x;
        }
        cr_assert_eq(at, end, "entries fill the group");
        return all;
}

void disk_seal_header(struct disk_journal *j)
{
        disk_le_put(j->p + AT_HEADER_SUM, 8, XXH3_64bits(j->p, AT_HEADER_SUM));
}

void disk_seal_group(struct disk_journal *j, const struct disk_group *g)
{
        disk_le_put(j->p + g->at + AT_GROUP_SUM, 8, group_sum(j->p + g->at));
}
