/* The journal's file: as documented, and damaged by hand. */
#include "tests/unit/storage/fault_io.h"
#include "tests/unit/storage/journal_fixture.h"

#include <stdio.h>
#include <unistd.h>

/* Every byte of a header is flipped. */
static const size_t heads = GROUP_BYTES;

/* Sweeps open a store hundreds of times: on a tmpfs. */
#define STORAGE_TEST_RAM(suite, name)      \
        static void name(struct world *w); \
        Test(suite, name)                  \
        {                                  \
                on_ram_uring(name);        \
        }                                  \
        static void name(struct world *w)

/* A stopped store whose newest bytes only the journal has. */
struct stopped {
        struct parts all;
        struct shot shot; /* all of it                       */
        struct shot less; /* without what the newest group has */
        struct disk_journal j;
        uint8_t *logs[PARTS_MAX];
        size_t log_sizes[PARTS_MAX];
};

static void stopped_make(struct world *w, struct stopped *x)
{
        x->all.n = 2;
        parts_open(w, &x->all);
        parts_append(w, &x->all, &thin, 4);
        shot_take(w, &x->all, &x->less);
        cr_assert_eq(append_one(w, x->all.p[1], &thin), ST_OK);
        shot_take(w, &x->all, &x->shot);
        world_kill(w);
        disk_get(w, 0, &x->j);
        cr_assert_geq(x->j.n_groups, 9);
        for (unsigned i = 0; i < x->all.n; i++) {
                char path[512];
                file_path(w, (uint8_t)(i + 1), "00000000000000000000.log", path);
                x->log_sizes[i] = file_get(path, &x->logs[i]);
        }
}

/* The directory as it was, with the journal as it is in memory now. */
static void stopped_put(struct world *w, const struct stopped *x)
{
        disk_put(&x->j);
        for (unsigned i = 0; i < x->all.n; i++) {
                char path[512];
                file_path(w, (uint8_t)(i + 1), "00000000000000000000.log", path);
                file_put(path, x->logs[i], x->log_sizes[i]);
        }
}

static void stopped_free(struct stopped *x)
{
        for (unsigned i = 0; i < x->all.n; i++) free(x->logs[i]);
        shot_free(&x->shot);
        shot_free(&x->less);
        disk_free(&x->j);
}

static void expect(struct world *w, struct stopped *x, const struct shot *s)
{
        stopped_put(w, x);
        world_open(w);
        parts_start(w, &x->all);
        shot_check(w, &x->all, s);
        world_kill(w);
}

static void expect_refused(struct world *w, struct stopped *x, int status, const char *text)
{
        struct err e = { 0 };
        stopped_put(w, x);
        cr_assert_eq(world_try(w, &e), status, "%s", e.text);
        cr_assert_not_null(strstr(e.text, w->dir), "%s", e.text);
        cr_assert_not_null(strstr(e.text, "journal-0"), "%s", e.text);
        cr_assert_not_null(strstr(e.text, text), "%s", e.text);
}

/* --- as documented --- */
STORAGE_TEST(journal_file, a_group_is_what_the_document_says)
{
        struct parts all = { .n = 4 };
        struct appended *a[4];
        struct disk_journal j;
        struct shot s;
        uint64_t from[4];
        parts_open(w, &all);
        for (unsigned i = 0; i < 4; i++) from[i] = page_down(all.p[i]->append_virt);
        for (unsigned i = 0; i < 4; i++) a[i] = append_begin(all.p[i], &thin);
        for (unsigned i = 0; i < 4; i++) world_until(w, &a[i]->finished);
        for (unsigned i = 0; i < 4; i++) appended_free(a[i]);
        uint64_t second = all.p[2]->append_virt;
        cr_assert_eq(append_one(w, all.p[2], &thin), ST_OK);
        shot_take(w, &all, &s);
        world_kill(w);
        disk_get(w, 0, &j);
        cr_assert_eq(j.size, RING);
        cr_assert_eq(j.run, 1);
        cr_assert_eq(j.n_groups, 2);
        cr_assert(j.groups[0].seq == 1 && j.groups[0].oldest == 1 && j.groups[0].at == PAGE);
        cr_assert(j.groups[1].seq == 2 && j.groups[1].oldest == 1);
        cr_assert_eq(j.groups[1].at, PAGE + page_up(j.groups[0].length));
        struct disk_entry *x = disk_entries(&j, &j.groups[0]);
        cr_assert_eq(j.groups[0].count, 4);
        for (unsigned i = 0; i < 4; i++) {
                cr_assert(uuid_eq(x[i].topic, topic((uint8_t)(i + 1))));
                cr_assert(x[i].partition == 0 && x[i].segment == 0 && x[i].flags == 1);
                cr_assert_eq(x[i].position, from[i], "its page from the start on");
                cr_assert_eq(memcmp(x[i].bytes, s.logs[i].p + from[i], x[i].length), 0);
                cr_assert_leq(from[i] + x[i].length, s.logs[i].n);
        }
        free(x);
        x = disk_entries(&j, &j.groups[1]);
        cr_assert_eq(j.groups[1].count, 1);
        cr_assert(uuid_eq(x[0].topic, topic(3)));
        cr_assert_eq(x[0].position, second, "it follows: no byte twice");
        cr_assert_eq(second + x[0].length, s.logs[2].n);
        free(x);
        shot_free(&s);
        disk_free(&j);
}

STORAGE_TEST_ONE(journal_file, the_same_topic_is_named_once)
{
        struct partition *p[3];
        struct appended *a[3];
        struct disk_journal j;
        struct err e = { 0 };
        w->journal_bytes = RING;
        world_open(w);
        for (int32_t i = 0; i < 3; i++) p[i] = partition_new(w->ls, topic(9), i, &plain_config);
        cr_assert_eq(store_recovered(w->store, w->io, &e), ST_OK);
        for (int i = 0; i < 3; i++) cr_assert_eq(append_one(w, p[i], &thin), ST_OK);
        journal_until_ready(w);
        for (int i = 0; i < 3; i++) a[i] = append_begin(p[i], &thin);
        for (int i = 0; i < 3; i++) world_until(w, &a[i]->finished);
        for (int i = 0; i < 3; i++) appended_free(a[i]);
        world_kill(w);
        disk_get(w, 0, &j);
        struct disk_entry *x = disk_entries(&j, disk_newest(&j));
        cr_assert_eq(disk_newest(&j)->count, 3);
        for (int32_t i = 0; i < 3; i++) {
                cr_assert_eq(x[i].flags, i == 0);
                cr_assert_eq(x[i].partition, i);
                cr_assert(uuid_eq(x[i].topic, topic(9)));
        }
        free(x);
        disk_free(&j);
}

/* --- torn --- */
STORAGE_TEST_ONE(journal_file, a_torn_newest_group_is_ignored)
{
        struct stopped x = { .all.n = 0 };
        stopped_make(w, &x);
        expect(w, &x, &x.shot);
        const struct disk_group *g = disk_newest(&x.j);
        uint8_t *good = malloc(x.j.n);
        memcpy(good, x.j.p, x.j.n);
        size_t last = g->at + page_down(g->length - 1);
        const struct {
                size_t at, n;
                int fill; /* -1: flipped bits */
        } tears[] = {
                { last, PAGE, 0 },
                { last, PAGE, 0x55 },
                { g->at, PAGE, 0 },
                { g->at, page_up(g->length), 0 },
                { g->at, 512, 0 },
                { g->at + g->length - 1, 1, -1 },
                { g->at + GROUP_BYTES, 1, -1 },
                { g->at + g->length / 2, 8, -1 },
        };
        for (size_t i = 0; i < COUNT_OF(tears); i++) {
                for (size_t k = 0; k < tears[i].n; k++) {
                        uint8_t *b = x.j.p + tears[i].at + k;
                        *b = tears[i].fill < 0 ? (uint8_t) ~*b : (uint8_t)tears[i].fill;
                }
                expect(w, &x, &x.less);
                memcpy(x.j.p, good, x.j.n);
        }
        free(good);
        stopped_free(&x);
}

/* A group of many pages, of which the last did not arrive. */
STORAGE_TEST_ONE(journal_file, a_newest_group_without_its_last_page_is_ignored)
{
        struct parts all = { .n = 3 };
        struct appended *a[3];
        struct disk_journal j;
        struct shot s;
        parts_open(w, &all);
        parts_append(w, &all, &thin, 2);
        shot_take(w, &all, &s);
        for (unsigned i = 0; i < 3; i++)
                a[i] = append_begin(all.p[i], &(struct batch_spec){ .count = 1, .value = 9000 });
        for (unsigned i = 0; i < 3; i++) world_until(w, &a[i]->finished);
        for (unsigned i = 0; i < 3; i++) appended_free(a[i]);
        world_kill(w);
        disk_get(w, 0, &j);
        const struct disk_group *g = disk_newest(&j);
        cr_assert_eq(g->count, 3);
        cr_assert_gt(g->length, 6 * PAGE);
        memset(j.p + g->at + page_down(g->length - 1), 0, PAGE);
        disk_put(&j);
        disk_free(&j);
        world_open(w);
        parts_start(w, &all);
        shot_check(w, &all, &s);
        shot_free(&s);
        world_close(w);
}

STORAGE_TEST_ONE(journal_file, a_damaged_group_before_good_ones_refuses_the_start)
{
        struct stopped x = { .all.n = 0 };
        stopped_make(w, &x);
        for (unsigned i = 0; i + 1 < x.j.n_groups; i++) {
                char text[64];
                const struct disk_group *g = &x.j.groups[i];
                snprintf(text, sizeof text, "group %" PRIu64 " is damaged", g->seq);
                x.j.p[g->at + g->length - 1] ^= 0x40;
                expect_refused(w, &x, ST_CORRUPT, text);
                x.j.p[g->at + g->length - 1] ^= 0x40;
        }
        expect(w, &x, &x.shot); /* nothing was changed by that */
        stopped_free(&x);
}

/* --- any byte --- */
static void flip(struct world *w, struct stopped *x, size_t at, bool newest)
{
        struct err e = { 0 };
        x->j.p[at] ^= (uint8_t)(1U << at % 8);
        stopped_put(w, x);
        x->j.p[at] ^= (uint8_t)(1U << at % 8);
        int st = world_try(w, &e);
        if (st != ST_OK) {
                cr_assert(!newest && (st == ST_CORRUPT || st == ST_TOO_NEW), "byte %zu", at);
                cr_assert_not_null(strstr(e.text, "journal-0"), "byte %zu: %s", at, e.text);
                return;
        }
        parts_start(w, &x->all);
        bool less = newest && x->all.p[1]->durable_end == x->less.logs[1].end;
        shot_check(w, &x->all, less ? &x->less : &x->shot);
        world_kill(w);
}

STORAGE_TEST_RAM(journal_file, any_flipped_byte_of_the_header_page_is_survived)
{
        struct stopped x = { .all.n = 0 };
        stopped_make(w, &x);
        for (size_t at = 0; at < PAGE; at += at < (size_t)HEADER_BYTES ? 1 : 509)
                flip(w, &x, at, false);
        stopped_free(&x);
}

STORAGE_TEST_RAM(journal_file, any_flipped_byte_of_the_newest_group_is_survived)
{
        struct stopped x = { .all.n = 0 };
        stopped_make(w, &x);
        const struct disk_group *g = disk_newest(&x.j);
        for (size_t i = 0; i < PAGE; i += i < heads ? 1 : 211) flip(w, &x, g->at + i, true);
        stopped_free(&x);
}

STORAGE_TEST_RAM(journal_file, any_flipped_byte_of_an_older_group_is_refused_or_survived)
{
        struct stopped x = { .all.n = 0 };
        stopped_make(w, &x);
        const struct disk_group *g = &x.j.groups[2];
        for (size_t i = 0; i < PAGE; i += i < heads ? 1 : 211) flip(w, &x, g->at + i, false);
        stopped_free(&x);
}

/* --- half made --- */
STORAGE_TEST_ONE(journal_file, a_file_that_was_only_half_made_is_made_anew)
{
        static const size_t sizes[] = { 0, 1, 100, PAGE - 1, PAGE, PAGE + 1000, 3 * PAGE,
                PAGE + RING };
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
                struct parts all = { .n = 2 };
                struct disk_journal j;
                struct shot s;
                char path[512];
                w->journal_bytes = 0;
                world_open(w);
                parts_start(w, &all);
                parts_append(w, &all, &thin, 3);
                shot_take(w, &all, &s);
                world_kill(w);
                uint8_t *zeros = calloc(1, sizes[i] + 1);
                journal_path(w, 0, path);
                file_put(path, zeros, sizes[i]);
                free(zeros);
                w->journal_bytes = RING;
                parts_open(w, &all);
                parts_append(w, &all, &thin, 3);
                for (unsigned k = 0; k < s.n; k++) cr_assert_eq(all.p[k]->durable_end, 21);
                shot_free(&s);
                shot_take(w, &all, &s);
                parts_crash(w, &all);
                shot_check(w, &all, &s);
                world_kill(w);
                disk_get(w, 0, &j);
                cr_assert_eq(j.run, 2);
                disk_free(&j);
                shot_free(&s);
                dir_remove(w->dir);
        }
}

/* --- of others --- */
STORAGE_TEST_ONE(journal_file, a_journal_of_another_store_is_ignored)
{
        struct stopped x = { .all.n = 0 };
        stopped_make(w, &x);
        for (size_t i = 0; i < 16; i++) x.j.p[AT_HEADER_ID + i] ^= 0xa5;
        disk_seal_header(&x.j);
        for (unsigned k = 0; k < x.j.n_groups; k++) {
                for (size_t i = 0; i < 16; i++) x.j.p[x.j.groups[k].at + AT_GROUP_ID + i] ^= 0xa5;
                disk_seal_group(&x.j, &x.j.groups[k]);
        }
        stopped_put(w, &x);
        world_open(w);
        parts_start(w, &x.all);
        for (unsigned i = 0; i < x.all.n; i++)
                cr_assert_eq(x.all.p[i]->durable_end, 3, "only what its segment had");
        parts_append(w, &x.all, &thin, 1);
        journal_until_ready(w);
        parts_append(w, &x.all, &thin, 3);
        parts_crash(w, &x.all);
        for (unsigned i = 0; i < x.all.n; i++) cr_assert_eq(x.all.p[i]->durable_end, 15);
        world_close(w);
        stopped_free(&x);
}

STORAGE_TEST_ONE(journal_file, an_unknown_incompat_bit_refuses_the_start)
{
        struct stopped x = { .all.n = 0 };
        stopped_make(w, &x);
        const struct disk_group *g = &x.j.groups[3];
        struct disk_entry *entry = disk_entries(&x.j, g);
        for (unsigned bit = 0; bit < 31; bit += 5) {
                uint32_t flag = 1U << bit;
                disk_le_put(x.j.p + AT_HEADER_INCOMPAT, 4, flag);
                disk_seal_header(&x.j);
                expect_refused(w, &x, ST_TOO_NEW, "newer format");
                disk_le_put(x.j.p + AT_HEADER_INCOMPAT, 4, 0);
                disk_seal_header(&x.j);
                disk_le_put(x.j.p + g->at + AT_GROUP_INCOMPAT, 4, flag);
                disk_seal_group(&x.j, g);
                expect_refused(w, &x, ST_TOO_NEW, "group 4");
                disk_le_put(x.j.p + g->at + AT_GROUP_INCOMPAT, 4, 0);
                disk_le_put(x.j.p + entry->at, 4, entry->flags | flag << 1);
                disk_seal_group(&x.j, g);
                expect_refused(w, &x, ST_TOO_NEW, "group 4");
                disk_le_put(x.j.p + entry->at, 4, entry->flags);
                disk_seal_group(&x.j, g);
        }
        expect(w, &x, &x.shot);
        free(entry);
        stopped_free(&x);
}

/* Good checksums, and numbers that cannot be. */
STORAGE_TEST_ONE(journal_file, entries_that_run_out_of_their_group_refuse_the_start)
{
        struct stopped x = { .all.n = 0 };
        stopped_make(w, &x);
        const struct disk_group *g = disk_newest(&x.j);
        struct disk_entry *entry = disk_entries(&x.j, g);
        static const uint64_t more[] = { 1, 16, 1U << 20, UINT32_MAX };
        for (size_t i = 0; i < COUNT_OF(more); i++) {
                disk_le_put(x.j.p + entry->at + 8, 4, MIN(entry->length + more[i], UINT32_MAX));
                disk_seal_group(&x.j, g);
                expect_refused(w, &x, ST_CORRUPT, "group 9");
                disk_le_put(x.j.p + entry->at + 8, 4, entry->length);
                disk_le_put(x.j.p + g->at + AT_GROUP_COUNT, 4, MIN(g->count + more[i], UINT32_MAX));
                disk_seal_group(&x.j, g);
                expect_refused(w, &x, ST_CORRUPT, "group 9");
                disk_le_put(x.j.p + g->at + AT_GROUP_COUNT, 4, g->count);
                disk_seal_group(&x.j, g);
        }
        expect(w, &x, &x.shot);
        free(entry);
        stopped_free(&x);
}

STORAGE_TEST_ONE(journal_file, a_cut_file_refuses_the_start)
{
        struct stopped x = { .all.n = 0 };
        struct err e = { .code = 0 };
        stopped_make(w, &x);
        cr_assert_eq(truncate(x.j.path, (off_t)x.j.groups[3].at), 0);
        cr_assert_eq(world_try(w, &e), ST_CORRUPT);
        cr_assert(strstr(e.text, "journal-0 is shorter"), "%s", e.text);
        stopped_free(&x);
}

/* It would have to be written as well. */
STORAGE_TEST_ONE(journal_file, an_unknown_compat_bit_refuses_the_start)
{
        struct stopped x = { .all.n = 0 };
        stopped_make(w, &x);
        disk_le_put(x.j.p + AT_HEADER_COMPAT, 4, 2);
        disk_seal_header(&x.j);
        expect_refused(w, &x, ST_TOO_NEW, "newer format");
        stopped_free(&x);
}
