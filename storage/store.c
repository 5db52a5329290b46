/* Opening the log directory: create or recognise, lock, identify, probe, read the checkpoints.
 *
 * Fails at: no directory, somebody else's lock, an identity that does not parse, a newer format.  A
 * failure leaves nothing open and nothing changed, except that a new directory may exist. */
#include "storage/store.h"

#include "protocol/crc32c.h"
#include "storage/files.h"
#include "storage/internal.h"
#include "storage/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int fail(struct err *e, const struct store *s, const char *what, int64_t res)
{
        return err_set(e, status_from_errno(res), "log directory %s: %s: %s", s->dir, what,
            strerror((int)-res));
}

/* Existing is fine. */
static int64_t make_dir(struct io *io, int at, const char *path)
{
        struct io_op op;
        io_mkdir(io, &op, at, path);
        int64_t r = io_await(io, &op);
        return r == -EEXIST ? 0 : r;
}

static int64_t open_dir(struct io *io, int at, const char *path)
{
        return file_open(io, at, path, O_RDONLY | O_DIRECTORY);
}

/* The name of dir is durable only after its parent's fsync (law 8). */
static int64_t sync_parent(struct io *io, int dir_fd)
{
        int64_t fd = open_dir(io, dir_fd, "..");
        if (fd < 0) return fd == -EACCES ? 0 : fd; /* not ours to read, so not made by us either */
        int64_t r = file_sync(io, (int)fd);
        file_close(io, (int)fd);
        return r;
}

static int lock(struct store *s, struct io *io, struct err *e)
{
        int64_t r = file_open(io, s->dir_fd, "varve.lock", O_RDWR | O_CREAT);
        if (r < 0) return fail(e, s, "open varve.lock", r);
        s->lock_fd = (int)r;
        struct io_op op;
        io_lock(io, &op, s->lock_fd);
        r = io_await(io, &op);
        char pid[24] = "";
        if (r == -EWOULDBLOCK) {
                r = file_read(
                    io, s->lock_fd, (struct bytes_mut){ (uint8_t *)pid, sizeof pid - 1 }, 0);
                pid[r > 0 ? strcspn(pid, "\n") : 0] = 0;
                return err_set(e, ST_LOCKED, "log directory %s is in use by another server%s%s",
                    s->dir, pid[0] ? ", process " : "", pid);
        }
        if (r < 0) return fail(e, s, "lock varve.lock", r);
        int n = snprintf(pid, sizeof pid, "%-11d\n", (int)getpid());
        /* Only a courtesy to whoever is locked out. */
        (void)file_write(io, s->lock_fd, (struct bytes){ (uint8_t *)pid, n }, 0);
        return ST_OK;
}

static uint32_t header_crc(const struct store_header *h)
{
        return crc32c(0, h, offsetof(struct store_header, crc));
}

static int identity_create(struct store *s, struct io *io, struct err *e)
{
        struct store_header h = {
                .magic = STORE_FILE_MAGIC,
                .header_size = le32_of(sizeof h),
                .version = le32_of(STORE_FORMAT),
        };
        io_random(io, &h.id, sizeof h.id);
        io_random(io, &h.cluster_id, sizeof h.cluster_id);
        h.crc = le32_of(header_crc(&h));
        int64_t r = file_replace(io, s->dir_fd, "store", (struct bytes){ (uint8_t *)&h, sizeof h });
        if (r < 0) return fail(e, s, "write store", r);
        s->id = h.id;
        s->cluster_id = h.cluster_id;
        s->created = true;
        return ST_OK;
}

/* Checksum, then fields, then relations; but a newer format says so before its checksum is judged,
 * since where the checksum lies is the format's own. */
static int identity_check(struct store *s, const struct store_header *h, int64_t n, struct err *e)
{
        if (n < 16 || memcmp(h->magic, STORE_FILE_MAGIC, sizeof h->magic) != 0)
                return err_set(
                    e, ST_CORRUPT, "log directory %s: file store is not varve's", s->dir);
        uint32_t version = le32_get(h->version);
        if (version > STORE_FORMAT)
                return err_set(e, ST_TOO_NEW,
                    "log directory %s has format version %" PRIu32
                    ", this varve knows version %d: use the newer varve that wrote it",
                    s->dir, version, STORE_FORMAT);
        if (n != sizeof *h || le32_get(h->header_size) != sizeof *h ||
            le32_get(h->crc) != header_crc(h) || version != STORE_FORMAT)
                return err_set(
                    e, ST_CORRUPT, "log directory %s: file store fails its checksum", s->dir);
        uint32_t unknown = (le32_get(h->incompat) & ~(uint32_t)STORE_INCOMPAT_KNOWN) |
                           (le32_get(h->compat) & ~(uint32_t)STORE_COMPAT_KNOWN);
        if (unknown)
                return err_set(e, ST_TOO_NEW,
                    "log directory %s uses features (flags %" PRIx32
                    ") that this varve, format version %d, does not know",
                    s->dir, unknown, STORE_FORMAT);
        s->id = h->id;
        s->cluster_id = h->cluster_id;
        return ST_OK;
}

/* A directory with partitions but without identity is not taken for a new one (law 4). */
static int identity_missing(struct store *s, struct io *io, struct err *e)
{
        struct io_op op;
        struct io_names names = { 0 };
        io_list(io, &op, s->dir_fd, "p", &names);
        int64_t r = io_await(io, &op);
        uint32_t n = names.count;
        io_names_free(&names);
        if (r < 0 && r != -ENOENT) return fail(e, s, "list p", r);
        if (r >= 0 && n > 0)
                return err_set(e, ST_CORRUPT,
                    "log directory %s: file store is missing, but there are partitions", s->dir);
        return identity_create(s, io, e);
}

static int identify(struct store *s, struct io *io, struct err *e)
{
        union {
                struct store_header h;
                uint8_t bytes[512]; /* room for a later version's */
        } u = { .bytes = { 0 } };
        int64_t n = file_load(io, s->dir_fd, "store", (struct bytes_mut){ u.bytes, sizeof u });
        if (n == -ENOENT) return identity_missing(s, io, e);
        if (n < 0 && n != -EFBIG) return fail(e, s, "read store", n);
        return identity_check(s, &u.h, n, e);
}

static int open_data(struct store *s, struct io *io, struct err *e)
{
        int64_t r = make_dir(io, s->dir_fd, "p");
        if (r == 0) r = file_sync(io, s->dir_fd);
        if (r == 0) r = open_dir(io, s->dir_fd, "p");
        if (r < 0) return fail(e, s, "make p", r);
        s->data_fd = (int)r;
        /* A killed server may have left directories whose names are not durable yet. */
        r = file_sync(io, s->data_fd);
        return r < 0 ? fail(e, s, "sync p", r) : ST_OK;
}

/* DIR/clean is only true while nobody writes. */
static int take_clean_mark(struct store *s, struct io *io, struct err *e)
{
        struct io_op op;
        io_unlink(io, &op, s->dir_fd, "clean");
        int64_t r = io_await(io, &op);
        if (r == -ENOENT) return ST_OK;
        if (r == 0) r = file_sync(io, s->dir_fd);
        if (r < 0) return fail(e, s, "remove clean", r);
        s->was_clean = true;
        return ST_OK;
}

static int store_set_up(struct store *s, struct io *io, const struct store_config *c, struct err *e)
{
        int64_t r = make_dir(io, AT_FDCWD, s->dir);
        if (r < 0) return fail(e, s, "create", r);
        r = open_dir(io, AT_FDCWD, s->dir);
        if (r < 0) return fail(e, s, "open", r);
        s->dir_fd = (int)r;
        r = sync_parent(io, s->dir_fd);
        if (r < 0) return fail(e, s, "sync its parent", r);
        int st = lock(s, io, e);
        if (st == ST_OK) st = identify(s, io, e);
        if (st == ST_OK) st = open_data(s, io, e);
        if (st == ST_OK) st = store_probe(s, io, c->durability, e);
        if (st == ST_OK) st = take_clean_mark(s, io, e);
        if (st == ST_OK) st = checkpoint_load_all(s, io, e);
        if (st == ST_OK) st = journal_load_all(s, io, e);
        return st;
}

static void store_release(struct store *s, struct io *io)
{
        checkpoint_table_free(s->checkpoint);
        journal_set_free(s->journals);
        file_close(io, s->data_fd);
        file_close(io, s->lock_fd);
        file_close(io, s->dir_fd);
        s->magic = 0;
        free(s->dir);
        free(s);
}

int store_open(struct io *io, const struct store_config *c, struct store **ret_store, struct err *e)
{
        assert(io && c && c->dir && ret_store);
        struct store *s = calloc(1, sizeof *s);
        char *dir = strdup(c->dir);
        if (!s || !dir) {
                free(s);
                free(dir);
                return err_set(e, ST_NOMEM, "log directory %s: out of memory", c->dir);
        }
        *s = (struct store){
                .magic = STORE_MAGIC, .dir_fd = -1, .data_fd = -1, .lock_fd = -1, .dir = dir
        };
        int st = store_set_up(s, io, c, e);
        if (st < 0) {
                store_release(s, io);
                return st;
        }
        *ret_store = s;
        return ST_OK;
}

void store_close(struct store *s, struct io *io)
{
        CHECK_OBJ(s, STORE_MAGIC);
        if (s->shards_dirty == 0 && !s->fenced) {
                static const char text[] = "clean stop\n";
                int64_t r = file_replace(io, s->dir_fd, "clean",
                    (struct bytes){ (const uint8_t *)text, sizeof text - 1 });
                if (r < 0)
                        log_event(LOG_WARN, "clean mark not written", LOG_STR("dir", s->dir),
                            LOG_STR("cause", strerror((int)-r)), LOG_END);
        }
        store_release(s, io);
}

int store_each(struct store *s, struct io *io, int (*fn)(void *arg, const struct store_entry *x),
    void *arg, struct err *e)
{
        CHECK_OBJ(s, STORE_MAGIC);
        struct io_op op;
        struct io_names names = { 0 };
        io_list(io, &op, s->data_fd, ".", &names);
        int64_t r = io_await(io, &op);
        if (r < 0) return fail(e, s, "list p", r);
        int st = ST_OK;
        const char *name = names.text;
        for (uint32_t i = 0; i < names.count && st >= 0; i++, name += strlen(name) + 1) {
                struct store_entry x;
                if (partition_dir_parse(name, &x.topic_id, &x.partition))
                        st = fn(arg, &x);
                else
                        log_event(LOG_WARN, "unknown name left alone", LOG_STR("dir", s->dir),
                            LOG_STR("name", name), LOG_END);
        }
        io_names_free(&names);
        return st;
}

int store_space(struct store *s, struct io *io, struct io_space *ret_space)
{
        CHECK_OBJ(s, STORE_MAGIC);
        struct io_op op;
        struct io_space space;
        io_space(io, &op, s->dir_fd, &space);
        int64_t r = io_await(io, &op);
        if (r < 0) return status_from_errno(r);
        *ret_space = space;
        return ST_OK;
}
