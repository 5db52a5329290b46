/* Journals at start: each file's header; after a stop that was not clean also its groups, from the
 * oldest that the newest one names to the newest.  Recovery of a partition asks for its pieces;
 * when all partitions are recovered, the run is closed: its groups do not count any more.
 *
 * A group that is torn is the newest, because each was durable before the next was begun.  One that
 * is missing between good ones held acknowledged bytes of nobody knows whom: the start stops. */
#include "storage/files.h"
#include "storage/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <xxhash.h>

enum { JOURNAL_BYTES_MAX = (1 << 30) + STORE_PAGE };

/* All pieces of a partition. */
struct pieces {
        struct partition_key key;
        struct journal_piece *first, **last;
        UT_hash_handle hh;
};

struct journal_set {
        struct journal_found *found;
        uint8_t **images;
        uint32_t n;
        struct pieces *by_key;
};

struct group_ref {
        uint64_t seq, oldest;
        const struct journal_group *group;
};

struct image {
        struct store *store;
        const char *name;
        const uint8_t *ring;
        uint64_t size, run;
        struct group_ref *groups;
        uint32_t n;
};

const struct journal_found *journal_find(const struct store *s, uint32_t number)
{
        for (uint32_t i = 0; s->journals && i < s->journals->n; i++)
                if (s->journals->found[i].number == number) return &s->journals->found[i];
        return NULL;
}

const struct journal_piece *journal_pieces(const struct store *s, const struct partition_key *k)
{
        struct pieces *x = NULL;
        if (s->journals) HASH_FIND(hh, s->journals->by_key, k, sizeof *k, x);
        return x ? x->first : NULL;
}

/* --- the header --- */
void journal_header_fill(
    struct journal_header *h, const struct uuid *store_id, const struct journal_found *f)
{
        *h = (struct journal_header){
                .magic = JOURNAL_FILE_MAGIC,
                .header_size = le32_of(sizeof *h),
                .store_id = *store_id,
                .size = le64_of(f->size),
                .run = le64_of(f->run),
        };
        h->checksum = le64_of(XXH3_64bits(h, offsetof(struct journal_header, checksum)));
}

static const char *header_invalid(const struct store *s, const struct journal_header *h)
{
        if (memcmp(h->magic, JOURNAL_FILE_MAGIC, sizeof h->magic) != 0) return "not a journal";
        if (le32_get(h->header_size) != sizeof *h) return "header size is unknown";
        if (le64_get(h->checksum) != XXH3_64bits(h, offsetof(struct journal_header, checksum)))
                return "checksum";
        if (!uuid_eq(h->store_id, s->id)) return "of another store";
        return NULL;
}

/* --- groups --- */
/* NULL: no group of this store begins there. */
static const struct journal_group *group_at(const struct image *m, uint64_t at)
{
        const struct journal_group *g = (const void *)(m->ring + at);
        if (memcmp(g->magic, JOURNAL_GROUP_MAGIC, sizeof g->magic) != 0) return NULL;
        uint32_t n = le32_get(g->length);
        if (le32_get(g->header_size) != sizeof *g || n < sizeof *g || n > m->size - at) return NULL;
        if (!uuid_eq(g->store_id, m->store->id) || !journal_group_valid(g, n)) return NULL;
        return g;
}

static uint64_t newest_run(const struct image *m)
{
        uint64_t run = 0;
        for (uint64_t at = 0; at < m->size; at += STORE_PAGE) {
                const struct journal_group *g = group_at(m, at);
                if (g) run = MAX(run, le64_get(g->run));
        }
        return run;
}

static int group_compare(const void *a, const void *b)
{
        uint64_t x = ((const struct group_ref *)a)->seq, y = ((const struct group_ref *)b)->seq;
        return (x > y) - (x < y);
}

/* All groups of the run, by number. */
static bool image_groups(struct image *m)
{
        m->groups = calloc(m->size / STORE_PAGE, sizeof *m->groups);
        if (!m->groups) return false;
        for (uint64_t at = 0; at < m->size; at += STORE_PAGE) {
                const struct journal_group *g = group_at(m, at);
                if (!g || le64_get(g->run) != m->run) continue;
                m->groups[m->n++] = (struct group_ref){
                        .seq = le64_get(g->seq), .oldest = le64_get(g->oldest), .group = g
                };
        }
        qsort(m->groups, m->n, sizeof *m->groups, group_compare);
        return true;
}

static bool piece_add(
    struct journal_set *set, const struct partition_key *key, const struct journal_piece *x)
{
        struct pieces *all;
        HASH_FIND(hh, set->by_key, key, sizeof *key, all);
        if (!all) {
                all = calloc(1, sizeof *all);
                if (!all) return false;
                all->key = *key;
                all->last = &all->first;
                HASH_ADD(hh, set->by_key, key, sizeof all->key, all);
                if (!all->hh.tbl) {
                        free(all);
                        return false;
                }
        }
        struct journal_piece *piece = malloc(sizeof *piece);
        if (!piece) return false;
        *piece = *x;
        piece->next = NULL;
        *all->last = piece;
        all->last = &piece->next;
        return true;
}

/* Its checksum is good, so what does not fit is a newer format or a mistake of ours. */
static int group_pieces(struct journal_set *set, const struct journal_group *g)
{
        const uint8_t *p = (const uint8_t *)g;
        size_t at = sizeof *g, end = le32_get(g->length);
        struct partition_key key = { .index = 0 };
        if (le32_get(g->incompat) & ~(uint32_t)JOURNAL_INCOMPAT_KNOWN) return ST_TOO_NEW;
        for (uint32_t i = 0; i < le32_get(g->count); i++) {
                struct journal_entry x;
                if (end - at < sizeof x) return ST_CORRUPT;
                memcpy(&x, p + at, sizeof x);
                at += sizeof x;
                if (le32_get(x.flags) & ~(uint32_t)JOURNAL_ENTRY_TOPIC) return ST_TOO_NEW;
                if (le32_get(x.flags) & JOURNAL_ENTRY_TOPIC) {
                        if (end - at < sizeof key.topic_id) return ST_CORRUPT;
                        memcpy(&key.topic_id, p + at, sizeof key.topic_id);
                        at += sizeof key.topic_id;
                }
                key.index = (int32_t)le32_get(x.partition);
                struct journal_piece piece = { .bytes = p + at,
                        .length = le32_get(x.length),
                        .position = le32_get(x.position),
                        .segment = le64_get_signed(x.segment) };
                if (end - at < piece.length) return ST_CORRUPT;
                at += piece.length;
                if (!piece_add(set, &key, &piece)) return ST_NOMEM;
        }
        return ST_OK;
}

static int image_pieces(struct image *m, struct journal_set *set, struct err *e)
{
        if (m->n == 0) return ST_OK;
        uint64_t want = m->groups[m->n - 1].oldest;
        for (uint32_t i = 0; i < m->n; i++) {
                const struct group_ref *g = &m->groups[i];
                if (g->seq < want) continue; /* settled, not overwritten yet */
                if (g->seq > want)
                        return err_set(e, ST_CORRUPT,
                            "log directory %s: %s: group %" PRIu64
                            " is damaged, and later ones are whole",
                            m->store->dir, m->name, want);
                int st = group_pieces(set, g->group);
                if (st != ST_OK)
                        return err_set(e, st, "log directory %s: %s: group %" PRIu64 ": %s",
                            m->store->dir, m->name, g->seq, status_text(st));
                want++;
        }
        return ST_OK;
}

/* --- files --- */
/* Of a store that was left clean the header alone.  Returns what was read. */
static int64_t read_all(
    struct store *s, struct io *io, const char *name, uint8_t **ret_bytes, uint64_t *ret_size)
{
        int64_t fd = file_open(io, s->dir_fd, name, O_RDONLY);
        if (fd < 0) return fd;
        struct io_op op;
        io_size(io, &op, (int)fd);
        int64_t n = io_await(io, &op);
        if (n > JOURNAL_BYTES_MAX) n = -EFBIG;
        uint64_t size = n > 0 ? (uint64_t)n : 0;
        if (n > 0 && s->was_clean) n = MIN(n, STORE_PAGE);
        uint8_t *p = n > 0 ? malloc((size_t)n) : NULL;
        if (p) n = file_read(io, (int)fd, (struct bytes_mut){ p, (size_t)n }, 0);
        file_close(io, (int)fd);
        if (n > 0 && !p) return -ENOMEM;
        *ret_bytes = p;
        *ret_size = size;
        return n;
}

static int set_add(struct journal_set *set, const struct journal_found *f, uint8_t *bytes)
{
        struct journal_found *found = realloc(set->found, (set->n + 1) * sizeof *found);
        if (!found) return ST_NOMEM;
        set->found = found;
        uint8_t **images = realloc(set->images, (set->n + 1) * sizeof *images);
        if (!images) return ST_NOMEM;
        set->images = images;
        set->found[set->n] = *f;
        set->images[set->n++] = bytes;
        return ST_OK;
}

/* It is ours and whole, and may not be used all the same. */
static int header_refused(struct store *s, const struct journal_header *h, const char *name,
    uint64_t file_size, struct err *e)
{
        uint32_t unknown = (le32_get(h->incompat) & ~(uint32_t)JOURNAL_INCOMPAT_KNOWN) |
                           le32_get(h->compat); /* it has to be written, too */
        if (unknown != 0)
                return err_set(
                    e, ST_TOO_NEW, "log directory %s: %s is of a newer format", s->dir, name);
        if (file_size - STORE_PAGE < le64_get(h->size))
                return err_set(e, ST_CORRUPT,
                    "log directory %s: %s is shorter than its header says", s->dir, name);
        return ST_OK;
}

static int journal_load(
    struct store *s, struct io *io, const char *name, uint32_t number, struct err *e)
{
        uint8_t *p = NULL;
        uint64_t size = 0;
        int64_t n = read_all(s, io, name, &p, &size);
        if (n < 0)
                return err_set(e, status_from_errno(n), "log directory %s: read %s: %s", s->dir,
                    name, strerror((int)-n));
        if (n < STORE_PAGE) { /* its making had just begun */
                free(p);
                return ST_OK;
        }
        const struct journal_header *h = (const void *)p;
        const char *why = header_invalid(s, h);
        int st = why ? ST_OK : header_refused(s, h, name, size, e);
        if (st != ST_OK) {
                free(p);
                return st;
        }
        if (why && h->magic[0] != 0) /* zeros: its making was broken off */
                log_event(LOG_WARN, "journal ignored", LOG_STR("dir", s->dir),
                    LOG_STR("file", name), LOG_STR("cause", why), LOG_END);
        struct image m = { .store = s, .name = name, .ring = p + STORE_PAGE };
        m.size = s->was_clean ? 0 : page_down((uint64_t)n - STORE_PAGE);
        m.run = why ? newest_run(&m) : le64_get(h->run);
        struct journal_found f = { .number = number, .run = m.run };
        f.size = why ? m.size : le64_get(h->size);
        bool useless = why && m.run == 0; /* never finished: it will be made anew */
        if (!useless) st = set_add(s->journals, &f, p);
        if (st == ST_OK && !useless && m.size > 0) {
                if (!image_groups(&m)) st = ST_NOMEM;
                if (st == ST_OK) st = image_pieces(&m, s->journals, e);
        } else {
                if (useless) free(p);
        }
        free(m.groups);
        return st;
}

static bool name_parse(const char *name, uint32_t *ret_number)
{
        size_t prefix = strlen(JOURNAL_PREFIX), n = strlen(name);
        if (strncmp(name, JOURNAL_PREFIX, prefix) != 0 || n == prefix || n > prefix + 5)
                return false;
        uint32_t x = 0;
        for (const char *c = name + prefix; *c; c++) {
                if (*c < '0' || *c > '9') return false;
                x = x * 10 + (uint32_t)(*c - '0');
        }
        *ret_number = x;
        return true;
}

int journal_load_all(struct store *s, struct io *io, struct err *e)
{
        CHECK_OBJ(s, STORE_MAGIC);
        s->journals = calloc(1, sizeof *s->journals);
        if (!s->journals) return err_set(e, ST_NOMEM, "journals: out of memory");
        struct io_op op;
        struct io_names names = { 0 };
        io_list(io, &op, s->dir_fd, ".", &names);
        int64_t r = io_await(io, &op);
        if (r < 0)
                return err_set(e, status_from_errno(r), "log directory %s: list: %s", s->dir,
                    strerror((int)-r));
        int st = ST_OK;
        const char *name = names.text;
        for (uint32_t i = 0; i < names.count && st == ST_OK; i++, name += strlen(name) + 1) {
                uint32_t number;
                if (name_parse(name, &number)) st = journal_load(s, io, name, number, e);
        }
        io_names_free(&names);
        return st;
}

static void set_forget(struct journal_set *set)
{
        struct pieces *x, *next;
        HASH_ITER(hh, set->by_key, x, next)
        {
                HASH_DEL(set->by_key, x);
                for (struct journal_piece *p = x->first, *after; p; p = after) {
                        after = p->next;
                        free(p);
                }
                free(x);
        }
        for (uint32_t i = 0; set->images && i < set->n; i++) free(set->images[i]);
        free(set->images);
        set->images = NULL;
}

void journal_set_free(struct journal_set *set)
{
        if (!set) return;
        set_forget(set);
        free(set->found);
        free(set);
}

/* --- closing the run --- */
static int64_t next_run(struct store *s, struct io *io, struct journal_found *f)
{
        char name[STORE_NAME_MAX];
        static_assert(sizeof(struct journal_header) <= STORE_PAGE, "one page");
        uint8_t page[STORE_PAGE] = { 0 };
        struct journal_header h;
        f->run++;
        journal_header_fill(&h, &s->id, f);
        memcpy(page, &h, sizeof h);
        snprintf(name, sizeof name, JOURNAL_PREFIX "%" PRIu32, f->number);
        int64_t fd = file_open(io, s->dir_fd, name, O_WRONLY);
        if (fd < 0) return fd;
        int64_t r = file_write(io, (int)fd, (struct bytes){ page, sizeof page }, 0);
        if (r >= 0) r = file_sync(io, (int)fd);
        file_close(io, (int)fd);
        return r;
}

int store_recovered(struct store *s, struct io *io, struct err *e)
{
        CHECK_OBJ(s, STORE_MAGIC);
        assert(!s->recovered && s->journals);
        if (s->journals_needed) {
                log_event(LOG_WARN, "journals are kept for a partition that is offline",
                    LOG_STR("dir", s->dir),
                    LOG_STR("until then", "every partition is written by itself"), LOG_END);
                s->shards_dirty++; /* the next start reads them again */
                return ST_OK;
        }
        for (uint32_t i = 0; i < s->journals->n; i++) {
                int64_t r = next_run(s, io, &s->journals->found[i]);
                if (r < 0)
                        return err_set(e, status_from_errno(r), "log directory %s: journal: %s",
                            s->dir, strerror((int)-r));
        }
        set_forget(s->journals);
        s->recovered = true;
        return ST_OK;
}
