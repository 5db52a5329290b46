/* The log directory: identity, lock, versions, unknown names, marks. */
#include "protocol/crc32c.h"
#include "tests/unit/storage/storage_fixture.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int try_open(struct world *w, struct err *e)
{
        struct store *s;
        int st = store_open(w->io, &(struct store_config){ .dir = w->dir }, &s, e);
        if (st == ST_OK) store_close(s, w->io);
        return st;
}

static void path_in(struct world *w, const char *name, char out[512])
{
        snprintf(out, 512, "%s/%s", w->dir, name);
}

STORAGE_TEST(store, keeps_its_identity)
{
        world_open(w);
        struct uuid id = w->store->id, cluster = w->store->cluster_id;
        cr_assert(w->store->created);
        cr_assert_not(uuid_is_zero(id));
        cr_assert_not(uuid_eq(id, cluster));
        world_reopen(w, true);
        cr_assert_not(w->store->created);
        cr_assert(w->store->was_clean);
        cr_assert(uuid_eq(id, w->store->id));
        cr_assert(uuid_eq(cluster, w->store->cluster_id));
        world_reopen(w, false);
        cr_assert_not(w->store->was_clean);
        struct io_space space = { 0 };
        cr_assert_eq(store_space(w->store, w->io, &space), ST_OK);
        cr_assert_gt(space.total, space.available);
        world_close(w);
}

/* Case 50: two servers on one directory. */
STORAGE_TEST(store, is_locked_against_a_second_server)
{
        struct err e = { 0 };
        char pid[32];
        world_open(w);
        cr_assert_eq(try_open(w, &e), ST_LOCKED);
        cr_assert(strstr(e.text, w->dir), "%s", e.text);
        snprintf(pid, sizeof pid, "process %d", (int)getpid());
        cr_assert(strstr(e.text, pid), "%s", e.text);
        world_close(w);
}

static void with_header(struct world *w, void (*change)(struct store_header *h), bool fix_crc,
    int want, const char *text)
{
        char path[512];
        uint8_t *p;
        struct err e = { 0 };
        path_in(w, "store", path);
        size_t n = file_get(path, &p);
        cr_assert_eq(n, sizeof(struct store_header));
        struct store_header h;
        memcpy(&h, p, sizeof h);
        change(&h);
        if (fix_crc) h.crc = le32_of(crc32c(0, &h, offsetof(struct store_header, crc)));
        file_put(path, &h, sizeof h);
        cr_assert_eq(try_open(w, &e), want, "%s", e.text);
        cr_assert(strstr(e.text, text), "%s", e.text);
        cr_assert(strstr(e.text, w->dir), "%s", e.text);
        file_put(path, p, n);
        free(p);
}

static void newer(struct store_header *h)
{
        h->version = le32_of(STORE_FORMAT + 1);
}
static void unknown_flag(struct store_header *h)
{
        h->incompat = le32_of(1 << 9);
}
static void unknown_write_flag(struct store_header *h)
{
        h->compat = le32_of(1 << 3);
}
static void other_magic(struct store_header *h)
{
        h->magic[0] ^= 1;
}
static void flipped(struct store_header *h)
{
        h->id.b[3] ^= 4;
}

/* Case 51: data from the future. */
STORAGE_TEST_ONE(store, refuses_what_it_does_not_know)
{
        world_open(w);
        bool closed = false;
        (void)closed;
        struct io *io = w->io;
        store_close(w->store, io);
        with_header(w, newer, true, ST_TOO_NEW, "format version 2, this varve knows version 1");
        with_header(w, newer, false, ST_TOO_NEW, "format version 2");
        with_header(w, unknown_flag, true, ST_TOO_NEW, "200");
        with_header(w, unknown_write_flag, true, ST_TOO_NEW, "features");
        with_header(w, other_magic, true, ST_CORRUPT, "not varve's");
        with_header(w, flipped, false, ST_CORRUPT, "checksum");
        struct err e = { 0 };
        int st = store_open(io, &(struct store_config){ .dir = w->dir }, &w->store, &e);
        cr_assert_eq(st, ST_OK, "%s", e.text);
        w->ls->store = w->store;
        world_kill(w);
}

/* Law 4: a directory with partitions but no identity is not a new one. */
STORAGE_TEST_ONE(store, does_not_start_over_on_old_partitions)
{
        char path[512];
        struct err e = { 0 };
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        append_one(w, p, &(struct batch_spec){ .count = 1, .value = 10 });
        path_in(w, "store", path);
        cr_assert_eq(unlink(path), 0);
        world_close(w);
        struct io *io;
        cr_assert_eq(io_uring_new(&(struct io_options){ 0 }, &io, &e), 0);
        w->io = io;
        cr_assert_eq(try_open(w, &e), ST_CORRUPT);
        cr_assert(strstr(e.text, "store is missing"), "%s", e.text);
        io_free(io);
}

struct seen {
        unsigned n;
        struct store_entry last;
};
static int see(void *arg, const struct store_entry *x)
{
        struct seen *s = arg;
        s->n++;
        s->last = *x;
        return 0;
}

STORAGE_TEST_ONE(store, lists_partitions_and_leaves_unknown_names)
{
        static const char *const names[] = { "p/lost+found", "p/00-1", "p/notes.txt",
                "p/0102030405060708090a0b0c0d0e0f10-01", "p/0102030405060708090A0b0c0d0e0f10-1" };
        char path[512];
        struct seen s = { 0 };
        struct err e;
        world_open(w);
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                path_in(w, names[i], path);
                cr_assert_eq(mkdir(path, 0700), 0);
        }
        struct partition *p = world_partition(w, 1, NULL);
        append_one(w, p, &(struct batch_spec){ .count = 1, .value = 10 });
        cr_assert_eq(store_each(w->store, w->io, see, &s, &e), 0);
        cr_assert_eq(s.n, 1);
        cr_assert(uuid_eq(s.last.topic_id, topic(1)));
        cr_assert_eq(s.last.partition, 0);
        world_reopen(w, true);
        for (size_t i = 0; i < COUNT_OF(names); i++) {
                path_in(w, names[i], path);
                cr_assert_eq(rmdir(path), 0, "%s is still there", path);
        }
        world_close(w);
}

/* Law 5: any damage to the checkpoint costs a scan, nothing else. */
STORAGE_TEST_ONE(store, a_damaged_checkpoint_is_ignored)
{
        char path[512];
        uint8_t *good;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        int64_t end = append_many(w, p, &(struct batch_spec){ .count = 2, .value = 100 }, 40);
        world_close(w);
        path_in(w, "checkpoint-0", path);
        size_t n = file_get(path, &good);
        cr_assert_eq(n, sizeof(struct checkpoint_header) + sizeof(struct checkpoint_entry));
        for (size_t i = 0; i < n + 3; i++) {
                uint8_t *bad = malloc(n + 1);
                memcpy(bad, good, n);
                if (i < n) bad[i] ^= 0x10;
                file_put(path, bad, i < n ? n : i == n ? 0 : i == n + 1 ? n - 1 : n + 1);
                world_open(w);
                cr_assert_null(checkpoint_find(w->store, &(struct partition_key){ topic(1), 0 }));
                p = world_partition(w, 1, NULL);
                cr_assert_eq(p->durable_end, end);
                world_kill(w);
                free(bad);
        }
        free(good);
}

STORAGE_TEST_ONE(store, the_newest_of_several_checkpoints_counts)
{
        char one[512], two[512];
        uint8_t *old;
        world_open(w);
        struct partition *p = world_partition(w, 1, NULL);
        append_many(w, p, &(struct batch_spec){ .count = 2, .value = 100 }, 4);
        world_close(w);
        path_in(w, "checkpoint-0", one);
        path_in(w, "checkpoint-7", two);
        size_t n = file_get(one, &old);
        file_put(two, old, n); /* left by a run with more shards */
        free(old);
        world_open(w);
        p = world_partition(w, 1, NULL);
        int64_t end = append_many(w, p, &(struct batch_spec){ .count = 2, .value = 100 }, 4);
        world_reopen(w, true);
        const struct checkpoint_mark *m =
            checkpoint_find(w->store, &(struct partition_key){ topic(1), 0 });
        cr_assert_not_null(m);
        cr_assert_eq(m->offset, end);
        world_partition(w, 1, NULL);
        world_close(w);
}

/* docs/storage.md holds the same lines. */
Test(format, numbers_on_disk_do_not_move)
{
        char got[8192], path[1024];
        uint8_t *page;
        store_format_print(got, sizeof got);
        snprintf(path, sizeof path, "%s/docs/storage.md", SOURCE_ROOT);
        size_t n = file_get(path, &page);
        page[n] = 0;
        cr_assert(strstr((char *)page, got), "docs/storage.md does not contain:\n%s", got);
        free(page);
}
