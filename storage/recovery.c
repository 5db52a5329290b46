/* Recovery of one partition at start-up: list its directory, take sealed segments by their indexes
 * (or scan them), scan the newest from its settled mark, decide by the table, say what was decided.
 *
 * Blocking, and idempotent: the only thing it changes is a torn tail, cut durably before anything
 * can be appended behind it; index files are caches.  What cannot be explained leaves the partition
 * offline and its files untouched. */
#include "storage/recovery.h"
#include "storage/files.h"
#include "storage/recovery_cases.h"
#include "storage/scan.h"

#include <errno.h>
#include <fcntl.h>

enum { SCAN_BLOCK = 1 << 20, SCAN_BLOCK_MIN = 64 << 10 };
/* A write is at most this long, and its first page may hold batches that were durable before. */
enum { TEAR_MAX = WRITE_MAX + STORE_PAGE };

struct recovery {
        struct partition *partition;
        struct log_shard *ls;
        struct block *block;
        int64_t *bases;
        uint32_t n;
        uint64_t virt;
};

static void offline(struct partition *p, const struct segment *s, const char *why, uint64_t pos)
{
        char name[STORE_NAME_MAX];
        p->status = ST_CORRUPT;
        if (journal_pieces(p->ls->store, &p->key)) p->ls->store->journals_needed = true;
        if (s)
                segment_name(s, ".log", name);
        else
                partition_dir_name(p, name);
        log_event(LOG_ERROR, "partition offline, its files are left as they are",
            LOG_STR("file", name), LOG_STR("cause", why), LOG_INT("position", pos), LOG_END);
}

/* --- names --- */
static int base_compare(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return (x > y) - (x < y);
}

static int recovery_names(struct recovery *v, const struct io_names *names, const char *dir)
{
        v->bases = calloc(MAX(names->count, 1U), sizeof *v->bases);
        if (!v->bases) return ST_NOMEM;
        const char *name = names->text;
        for (uint32_t i = 0; i < names->count; i++, name += strlen(name) + 1) {
                int64_t base;
                if (segment_name_parse(name, ".log", &base))
                        v->bases[v->n++] = base;
                else if (!segment_name_parse(name, ".index", &base) &&
                         !segment_name_parse(name, ".index.tmp", &base))
                        log_event(LOG_WARN, "unknown name left alone", LOG_STR("partition", dir),
                            LOG_STR("name", name), LOG_END);
        }
        qsort(v->bases, v->n, sizeof *v->bases, base_compare);
        return ST_OK;
}

/* --- files --- */
static int64_t scan_open(struct recovery *v, const struct segment *s, struct scan *ret)
{
        char name[STORE_NAME_MAX];
        struct store *store = v->ls->store;
        segment_name(s, ".log", name);
        int64_t fd =
            file_open(v->ls->io, store->data_fd, name, O_RDWR | (store->direct ? O_DIRECT : 0));
        if (fd < 0) return fd;
        struct io_op op;
        io_size(v->ls->io, &op, (int)fd);
        int64_t size = io_await(v->ls->io, &op);
        if (size < 0) {
                file_close(v->ls->io, (int)fd);
                return size;
        }
        *ret = (struct scan){
                .io = v->ls->io,
                .fd = (int)fd,
                .file_size = (uint64_t)size,
                .block = v->block,
                .expect = s->base_offset,
                .max_timestamp = -1,
        };
        return 0;
}

static const struct checkpoint_mark *mark_of(struct recovery *v, const struct segment *s)
{
        const struct checkpoint_mark *m = checkpoint_find(v->ls->store, &v->partition->key);
        return m && m->segment == s->base_offset ? m : NULL;
}

/* Starts where the mark says that all before is settled.  False: the file is shorter than that. */
static bool scan_from_mark(struct recovery *v, const struct segment *s, struct scan *c)
{
        const struct checkpoint_mark *m = mark_of(v, s);
        if (!m) return true;
        if (m->position > c->file_size) return false;
        c->pos = m->position;
        c->expect = m->offset;
        c->max_timestamp = m->max_timestamp;
        return true;
}

static void segment_take(struct segment *s, const struct scan *c)
{
        s->size = s->durable = s->written = c->pos;
        s->end_offset = c->expect;
        s->max_timestamp = s->appended_max_timestamp = c->max_timestamp;
}

/* --- sealed segments --- */
static bool take_index_header(
    struct recovery *v, struct segment *s, const struct scan *c, int64_t before)
{
        struct index_header h;
        char name[STORE_NAME_MAX];
        segment_name(s, ".index", name);
        int64_t fd = file_open(v->ls->io, v->ls->store->data_fd, name, O_RDONLY);
        if (fd < 0) return false;
        int64_t n = file_read(v->ls->io, (int)fd, (struct bytes_mut){ (uint8_t *)&h, sizeof h }, 0);
        file_close(v->ls->io, (int)fd);
        if (n != sizeof h || index_header_invalid(&h, s)) return false;
        /* One of an earlier time, when the segment was still the newest, does not know its end. */
        if (le64_get(h.size) > c->file_size || le64_get_signed(h.end_offset) != before)
                return false;
        s->size = s->durable = s->written = le64_get(h.size);
        s->end_offset = le64_get_signed(h.end_offset);
        s->max_timestamp = s->appended_max_timestamp = le64_get_signed(h.max_timestamp);
        return true;
}

static void save_index(struct recovery *v, const struct segment *s)
{
        struct index_image image;
        char name[STORE_NAME_MAX], tmp[STORE_NAME_MAX];
        if (s->index.n == 0 || !index_encode(s, &image)) return;
        segment_name(s, ".index", name);
        segment_name(s, ".index.tmp", tmp);
        int64_t fd = file_open(v->ls->io, v->ls->store->data_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC);
        int64_t r = fd;
        if (fd >= 0) {
                r = file_write(
                    v->ls->io, (int)fd, (struct bytes){ image.bytes, (int32_t)image.len }, 0);
                file_close(v->ls->io, (int)fd);
        }
        if (r >= 0) {
                struct io_op op;
                io_rename(v->ls->io, &op, v->ls->store->data_fd, tmp, name);
                io_await(v->ls->io, &op);
        }
        free(image.bytes);
}

/* Over damage to the next batch that fits, up to the offset where the next segment begins. */
static void scan_sealed(struct scan *c, struct segment *s, int64_t before)
{
        for (;;) { /* bounded: the position grows in each round */
                uint64_t pos;
                bool zero;
                struct batch b;
                scan_run(c, s);
                if (!c->why || c->error || c->expect >= before) return;
                uint64_t bad = c->pos;
                if (!scan_find(c, bad + 1, before, bad, &pos, &zero)) {
                        if (!zero || c->expect < before)
                                segment_note_bad(s, bad, c->expect, c->why);
                        return;
                }
                segment_note_bad(s, bad, c->expect, c->why);
                const char *why = scan_batch(c, pos, &b);
                assert(!why);
                c->pos = pos;
                c->expect = b.base_offset;
        }
}

static void recover_sealed(struct recovery *v, struct segment *s, int64_t before)
{
        struct partition *p = v->partition;
        struct scan c;
        int64_t r = scan_open(v, s, &c);
        if (r < 0) {
                offline(p, s, strerror((int)-r), 0);
                return;
        }
        if (!take_index_header(v, s, &c, before)) {
                bool whole = scan_from_mark(v, s, &c);
                scan_sealed(&c, s, before);
                segment_take(s, &c);
                if (c.error)
                        offline(p, s, strerror((int)-c.error), c.pos);
                else if (!whole)
                        segment_note_bad(s, c.file_size, c.expect, "shorter than its settled mark");
                else
                        save_index(v, s);
        }
        file_close(v->ls->io, c.fd);
        s->sealed = true;
        s->allocated = s->size;
        char name[STORE_NAME_MAX];
        segment_name(s, ".log", name);
        if (s->end_offset > before)
                offline(p, s, "its offsets overlap the next segment's", s->size);
        if (s->end_offset < before)
                log_event(LOG_ERROR, "offsets are missing", LOG_STR("behind", name),
                    LOG_INT("from", s->end_offset), LOG_INT("to", before), LOG_END);
}

/* --- the newest one --- */
static uint32_t newest_facts(struct recovery *v, struct segment *s, struct scan *c)
{
        uint32_t facts = 0;
        uint64_t pos;
        bool zero = false;
        if (!scan_from_mark(v, s, c)) return RECOVERY_SHORT;
        scan_run(c, s);
        int64_t more = recovery_apply(v->ls, s, c);
        if (more > 0) scan_run(c, s);
        if (more < 0) c->error = more; /* its bytes stay in the journal */
        if (c->pos == c->file_size)
                facts |= RECOVERY_END;
        else if (scan_find(c, c->pos, INT64_MAX, c->pos + TEAR_MAX, &pos, &zero))
                facts |= RECOVERY_BEYOND;
        if (zero) facts |= RECOVERY_ZERO;
        if (c->error) facts |= RECOVERY_UNREADABLE;
        return facts;
}

static int64_t sync_dir(struct recovery *v)
{
        char dir[STORE_NAME_MAX];
        partition_dir_name(v->partition, dir);
        int64_t fd = file_open(v->ls->io, v->ls->store->data_fd, dir, O_RDONLY | O_DIRECTORY);
        if (fd < 0) return fd;
        int64_t r = file_sync(v->ls->io, (int)fd);
        file_close(v->ls->io, (int)fd);
        return r;
}

/* What was found may have been on its way when the process died: readable now, gone after a power
 * cut. It becomes durable before anybody sees it; a mark says that it is already. */
static int64_t newest_settle(struct recovery *v, const struct segment *s, const struct scan *c)
{
        const struct checkpoint_mark *m = mark_of(v, s);
        int64_t r = 0;
        if (!m || c->pos > m->position) r = file_sync(v->ls->io, c->fd);
        if (r >= 0 && !m) r = sync_dir(v);
        return r;
}

static int64_t newest_cut(struct recovery *v, const struct segment *s, const struct scan *c)
{
        char name[STORE_NAME_MAX];
        struct io_op op;
        segment_name(s, ".log", name);
        log_event(LOG_WARN, "torn tail cut", LOG_STR("file", name), LOG_INT("position", c->pos),
            LOG_INT("bytes", c->file_size - c->pos), LOG_INT("offset", c->expect),
            LOG_STR("cause", c->why), LOG_END);
        io_truncate(v->ls->io, &op, c->fd, c->pos);
        int64_t r = io_await(v->ls->io, &op);
        /* Durable before anything is written behind it. */
        return r < 0 ? r : file_sync(v->ls->io, c->fd);
}

static void newest_apply(struct recovery *v, struct segment *s, struct scan *c, uint32_t facts)
{
        const struct recovery_case *row = recovery_decide(facts);
        int64_t r = 0;
        segment_take(s, c);
        s->first_append_ns = io_now_ns(v->ls->io);
        s->allocated = row->action == RECOVERY_ROOM ? c->file_size : c->pos;
        if (row->action == RECOVERY_REFUSE) {
                offline(v->partition, s, row->label, c->pos);
                return;
        }
        if (row->action == RECOVERY_CUT) r = newest_cut(v, s, c);
        if (r >= 0) r = newest_settle(v, s, c);
        if (r < 0) offline(v->partition, s, strerror((int)-r), c->pos);
}

static void recover_newest(struct recovery *v, struct segment *s)
{
        struct scan c;
        int64_t r = scan_open(v, s, &c);
        if (r < 0) {
                offline(v->partition, s, strerror((int)-r), 0);
                return;
        }
        uint32_t facts = newest_facts(v, s, &c);
        newest_apply(v, s, &c, facts);
        file_close(v->ls->io, c.fd);
}

/* --- all of them --- */
static int recover_segments(struct recovery *v)
{
        struct partition *p = v->partition;
        for (uint32_t i = 0; i < v->n && p->status == ST_OK; i++) {
                struct segment *s = partition_add_segment(p, v->bases[i], v->virt);
                if (!s) return ST_NOMEM;
                s->created = true;
                if (i + 1 < v->n)
                        recover_sealed(v, s, v->bases[i + 1]);
                else
                        recover_newest(v, s);
                v->virt += s->size;
        }
        if (v->n == 0 || p->n_segments == 0) return ST_OK;
        struct segment *last = partition_active(p);
        p->log_start = p->segments[0]->base_offset;
        p->settled_end = p->durable_end = p->append_end = last->end_offset;
        p->durable_virt = p->append_virt = last->virt + last->size;
        p->settled_virt = p->mark_virt = p->append_virt;
        return ST_OK;
}

static int recover_with(struct recovery *v, const struct io_names *names, const char *dir)
{
        v->block = block_get(v->ls->blocks, SCAN_BLOCK);
        if (!v->block) v->block = block_get(v->ls->blocks, SCAN_BLOCK_MIN);
        int st = v->block ? recovery_names(v, names, dir) : ST_NOMEM;
        if (st == ST_OK) st = recover_segments(v);
        if (v->block) block_unref(v->block);
        free(v->bases);
        index_trim(v->ls);
        return st;
}

int partition_recover(struct partition *p, struct err *e)
{
        CHECK_OBJ(p, PARTITION_MAGIC);
        assert(p->n_segments == 0 && p->append_end == 0);
        struct log_shard *ls = p->ls;
        struct io_names names = { 0 };
        struct io_op op;
        char dir[STORE_NAME_MAX];
        partition_dir_name(p, dir);
        io_list(ls->io, &op, ls->store->data_fd, dir, &names);
        int64_t r = io_await(ls->io, &op);
        if (r == -ENOENT) return ST_OK;
        if (r < 0) {
                offline(p, NULL, strerror((int)-r), 0);
                return ST_OK;
        }
        /* The name may be younger than the last fsync of p/: that is repeated before the first
         * append. */
        p->dir_created = names.count > 0;
        struct recovery v = { .partition = p, .ls = ls };
        int st = recover_with(&v, &names, dir);
        io_names_free(&names);
        return st < 0 ? err_set(e, st, "recover %s: %s", dir, status_text(st)) : ST_OK;
}
