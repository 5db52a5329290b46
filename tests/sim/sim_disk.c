/* The simulated file system: names, directories, open files, locks and space.  Content is
 * sim_file.c's.
 *
 * An operation is checked and done when its event fires; a write's bytes are partly those from its
 * start and partly those from its end, because a device may fetch them at any time between. Names
 * become durable when their directory is synced, never before; what a crash leaves of the others is
 * a prefix (journaled) or any subset that makes sense. */
#include "tests/sim/sim_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>

enum { INODE_MAGIC = 0x73696d6e, NAME_MAX_LEN = 256, ALIGN = 4096, DEPTH_MAX = 16 };

struct entry {
        char name[NAME_MAX_LEN];
        struct sim_inode *inode;
};

struct names {
        struct entry *all;
        size_t n, cap;
};

struct sim_inode {
        uint32_t magic;
        struct list link;
        bool dir, reached;
        bool nameless; /* unlinked: its space is free once it is closed */
        unsigned fds;
        int locked_by;           /* fd, -1: nobody */
        char born[NAME_MAX_LEN]; /* the name it was created under, for faults by name */
        struct sim_file file;
        struct names now, durable;
        struct sim_inode *parent; /* of a directory */
};

struct name_op {
        struct list link;
        uint64_t seq;
        enum { NAME_LINK, NAME_UNLINK, NAME_RENAME } kind;
        struct sim_inode *dir, *dir2, *inode;
        char name[NAME_MAX_LEN], name2[NAME_MAX_LEN];
};

/* --- names --- */

static struct entry *names_find(const struct names *t, const char *name)
{
        for (size_t i = 0; i < t->n; i++)
                if (strcmp(t->all[i].name, name) == 0) return &t->all[i];
        return NULL;
}

static void names_remove(struct names *t, struct entry *e)
{
        *e = t->all[--t->n];
}

static void names_set(struct names *t, const char *name, struct sim_inode *inode)
{
        struct entry *e = names_find(t, name);
        if (!e) {
                if (t->n == t->cap) {
                        t->cap = t->cap ? t->cap * 2 : 8;
                        t->all = realloc(t->all, t->cap * sizeof *t->all);
                        if (!t->all) abort();
                }
                e = &t->all[t->n++];
                memcpy(e->name, name, strlen(name) + 1);
        }
        e->inode = inode;
}

static void names_copy(struct names *to, const struct names *from)
{
        to->n = 0;
        for (size_t i = 0; i < from->n; i++) names_set(to, from->all[i].name, from->all[i].inode);
}

static struct sim_inode *inode_new(struct sim_world *w, bool dir, const char *name)
{
        struct sim_inode *i = sim_alloc(sizeof *i);
        i->magic = INODE_MAGIC;
        i->dir = dir;
        i->locked_by = -1;
        memcpy(i->born, name, strlen(name) + 1);
        sim_file_init(&i->file);
        list_push_back(&w->disk.inodes, &i->link);
        return i;
}

static void inode_free(struct sim_inode *i)
{
        CHECK_OBJ(i, INODE_MAGIC);
        list_remove(&i->link);
        sim_file_free(&i->file);
        free(i->now.all);
        free(i->durable.all);
        i->magic = 0;
        free(i);
}

/* One change of names, on one of the two tables.  False: what it builds on is not there. */
static bool name_apply(const struct name_op *x, bool durable)
{
        struct names *t = durable ? &x->dir->durable : &x->dir->now;
        struct entry *e = names_find(t, x->name);
        if (x->kind == NAME_LINK) {
                names_set(t, x->name, x->inode);
                return true;
        }
        if (!e || e->inode != x->inode) return false;
        names_remove(t, e);
        if (x->kind == NAME_RENAME)
                names_set(durable ? &x->dir2->durable : &x->dir2->now, x->name2, x->inode);
        return true;
}

static void name_change(struct sim_world *w, const struct name_op *x)
{
        struct name_op *copy = sim_alloc(sizeof *copy);
        *copy = *x;
        copy->seq = ++w->disk.next_seq;
        list_push_back(&w->disk.name_ops, &copy->link);
        w->stats.name_ops++;
        bool ok = name_apply(copy, false);
        assert(ok);
}

static void name_op_free(struct name_op *x)
{
        list_remove(&x->link);
        free(x);
}

/* fsync of a directory: its own changes, and in a journal all before the last of them too. */
static void names_sync(struct sim_world *w, const struct sim_inode *dir, uint64_t seq)
{
        struct list *ops = &w->disk.name_ops;
        uint64_t last = 0;
        for (struct list *l = ops->next; l != ops; l = l->next) {
                struct name_op *x = CONTAINER_OF(l, struct name_op, link);
                if (x->seq <= seq && (x->dir == dir || x->dir2 == dir)) last = x->seq;
        }
        for (struct list *l = ops->next, *next; next = l->next, l != ops; l = next) {
                struct name_op *x = CONTAINER_OF(l, struct name_op, link);
                if (x->seq > last) break;
                if (!w->disk.journaled && x->dir != dir && x->dir2 != dir) continue;
                name_apply(x, true);
                name_op_free(x);
        }
}

/* --- paths --- */

/* Finds the directory that holds the last component; ret_name gets that component ("" for the
 * root). */
static int path_walk(struct sim_world *w, int dir_fd, const char *path, struct sim_inode **ret_dir,
    char ret_name[NAME_MAX_LEN])
{
        struct sim_inode *dir = w->disk.root;
        if (path[0] != '/' && dir_fd != AT_FDCWD) dir = sim_fd_get(w, dir_fd)->inode;
        char name[NAME_MAX_LEN] = "";
        for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
                while (*path == '/') path++;
                size_t n = strcspn(path, "/");
                if (n >= NAME_MAX_LEN) return -ENAMETOOLONG;
                if (n == 1 && path[0] == '.') {
                        path++;
                        continue;
                }
                if (n > 0 && name[0]) {
                        struct entry *e = names_find(&dir->now, name);
                        if (!e) return -ENOENT;
                        if (!e->inode->dir) return -ENOTDIR;
                        dir = e->inode;
                        name[0] = '\0';
                }
                if (n == 2 && strncmp(path, "..", 2) == 0) {
                        dir = dir->parent;
                } else if (n > 0) {
                        memcpy(name, path, n);
                        name[n] = '\0';
                }
                path += n;
                if (*path == '\0') {
                        *ret_dir = dir;
                        memcpy(ret_name, name, sizeof name);
                        return 0;
                }
        }
        return -ELOOP;
}

static struct sim_inode *lookup(struct sim_world *w, int dir_fd, const char *path, int *ret_error)
{
        struct sim_inode *dir;
        char name[NAME_MAX_LEN];
        *ret_error = path_walk(w, dir_fd, path, &dir, name);
        if (*ret_error < 0) return NULL;
        if (!name[0]) return dir;
        struct entry *e = names_find(&dir->now, name);
        if (!e) *ret_error = -ENOENT;
        return e ? e->inode : NULL;
}

/* --- the operations --- */

static bool space_for(struct sim_world *w, const struct sim_inode *i, uint64_t size)
{
        if (size <= i->file.now.size) return true;
        uint64_t used = 0;
        for (struct list *l = w->disk.inodes.next; l != &w->disk.inodes; l = l->next) {
                const struct sim_inode *x = CONTAINER_OF(l, struct sim_inode, link);
                if (!x->nameless || x->fds > 0) used += x->file.now.size;
        }
        w->disk.used = used;
        return used + (size - i->file.now.size) <= w->disk.limit;
}

static int64_t do_open(struct sim_world *w, struct sim_op *o)
{
        struct io_op *op = o->op;
        struct sim_inode *dir, *inode = NULL;
        char name[NAME_MAX_LEN];
        int r = path_walk(w, op->fd, op->path, &dir, name);
        if (r < 0) return r;
        struct entry *e = names_find(&dir->now, name);
        inode = name[0] ? (e ? e->inode : NULL) : dir;
        bool writable = (op->flags & O_ACCMODE) != O_RDONLY;
        if (!inode && !(op->flags & O_CREAT)) return -ENOENT;
        if (inode && (op->flags & O_CREAT) && (op->flags & O_EXCL)) return -EEXIST;
        if (inode && inode->dir && writable) return -EISDIR;
        if (inode && !inode->dir && (op->flags & O_DIRECTORY)) return -ENOTDIR;
        if ((op->flags & O_DIRECT) && w->options.no_direct) return -EINVAL;
        if (!inode) {
                inode = inode_new(w, false, name);
                struct name_op x = { .kind = NAME_LINK, .dir = dir, .inode = inode };
                memcpy(x.name, name, sizeof name);
                name_change(w, &x);
        }
        if (op->flags & O_TRUNC) sim_file_size(w, &inode->file, 0, false);
        int fd = sim_fd_new(w, o->io->mortal);
        struct sim_fd *f = sim_fd_get(w, fd);
        f->inode = inode;
        f->direct = op->flags & O_DIRECT;
        f->writable = writable;
        inode->fds++;
        return fd;
}

void sim_fd_close_file(struct sim_world *w, int fd)
{
        struct sim_fd *f = sim_fd_get(w, fd);
        assert(f->type == SIM_FD_FILE && f->inode->fds > 0);
        f->inode->fds--;
        if (f->inode->locked_by == fd) f->inode->locked_by = -1;
        *f = (struct sim_fd){ .type = SIM_FD_FREE };
}

static int64_t do_close(struct sim_world *w, struct sim_op *o)
{
        int fd = o->op->fd;
        /* Nothing else may be under way on it. */
        for (struct list *l = w->ops.next; l != &w->ops; l = l->next) {
                struct sim_op *x = CONTAINER_OF(l, struct sim_op, link);
                enum io_kind k = x->op->kind;
                bool by_fd = k == IO_READ || k == IO_WRITE || k == IO_SYNC || k == IO_ALLOCATE ||
                             k == IO_TRUNCATE || k == IO_SIZE || k == IO_LOCK;
                assert(x == o || !by_fd || x->op->fd != fd);
        }
        sim_fd_close_file(w, fd);
        return 0;
}

static bool misaligned(const struct io_op *op, const struct sim_fd *f)
{
        if (!f->direct) return false;
        bool bad = op->off % ALIGN != 0;
        for (uint32_t i = 0; i < op->n_iov; i++)
                bad |=
                    op->iov[i].iov_len % ALIGN != 0 || (uintptr_t)op->iov[i].iov_base % ALIGN != 0;
        return bad;
}

static size_t iov_total(const struct io_op *op)
{
        size_t n = 0;
        for (uint32_t i = 0; i < op->n_iov; i++) n += op->iov[i].iov_len;
        return n;
}

static void iov_gather(const struct io_op *op, uint8_t *to)
{
        for (uint32_t i = 0; i < op->n_iov; i++) {
                memcpy(to, op->iov[i].iov_base, op->iov[i].iov_len);
                to += op->iov[i].iov_len;
        }
}

static int64_t do_read(struct sim_world *w, struct sim_op *o)
{
        struct sim_fd *f = sim_fd_get(w, o->op->fd);
        if (misaligned(o->op, f)) return -EINVAL;
        if (f->inode->dir) return -EISDIR;
        uint64_t off = o->op->off, total = 0;
        for (uint32_t i = 0; i < o->op->n_iov; i++) {
                struct iovec *v = &o->op->iov[i];
                size_t n = sim_blob_read(&f->inode->file.now, v->iov_base, v->iov_len, off);
                off += n, total += n;
                if (n < v->iov_len) break;
        }
        return (int64_t)total;
}

/* Granule by granule: as it was at the start of the write, or as it is now. */
static void mix(struct sim_world *w, struct sim_op *o, size_t n)
{
        uint8_t *late = sim_alloc(n);
        iov_gather(o->op, late);
        for (size_t at = 0; at < n; at += SIM_GRANULE)
                if (sim_chance(w, 500)) memcpy(o->copy + at, late + at, MIN(SIM_GRANULE, n - at));
        free(late);
}

static bool holds_records(const struct sim_inode *i)
{
        return strstr(i->born, ".log") != NULL;
}

static int64_t do_write(struct sim_world *w, struct sim_op *o)
{
        struct sim_fd *f = sim_fd_get(w, o->op->fd);
        size_t n = iov_total(o->op);
        w->stats.writes++;
        if (!f->writable) return -EBADF;
        if (misaligned(o->op, f)) return -EINVAL;
        if (!space_for(w, f->inode, o->op->off + n)) return -ENOSPC;
        mix(w, o, n);
        uint64_t off = o->op->off;
        if (w->options.lie == SIM_LIE_MISPLACE && sim_chance(w, 20)) off += ALIGN;
        sim_file_write(w, &f->inode->file, o->copy, n, off);
        bool lies = w->options.lie == SIM_LIE_SYNC ||
                    (w->options.lie == SIM_LIE_EARLY && sim_chance(w, 300));
        if (o->op->flags & IO_DSYNC && !lies) sim_file_dsync(&f->inode->file, off, n);
        return (int64_t)n;
}

static int64_t do_sync(struct sim_world *w, struct sim_op *o)
{
        struct sim_fd *f = sim_fd_get(w, o->op->fd);
        w->stats.syncs++;
        if (f->inode->dir && w->options.lie != SIM_LIE_DIR_SYNC)
                names_sync(w, f->inode, o->seen);
        else if (!f->inode->dir && !(w->options.lie == SIM_LIE_SYNC && holds_records(f->inode)))
                sim_file_sync(&f->inode->file, o->seen);
        return 0;
}

static int64_t do_allocate(struct sim_world *w, struct sim_op *o)
{
        struct sim_fd *f = sim_fd_get(w, o->op->fd);
        if (!f->writable) return -EBADF;
        if (!space_for(w, f->inode, o->op->off + o->op->len)) return -ENOSPC;
        sim_file_size(w, &f->inode->file, o->op->off + o->op->len, true);
        return 0;
}

static int64_t do_truncate(struct sim_world *w, struct sim_op *o)
{
        struct sim_fd *f = sim_fd_get(w, o->op->fd);
        if (!f->writable) return -EBADF;
        uint64_t size = o->op->len;
        if (!space_for(w, f->inode, size)) return -ENOSPC;
        if (w->options.lie == SIM_LIE_TRUNCATE && size > ALIGN) size -= ALIGN;
        sim_file_size(w, &f->inode->file, size, false);
        return 0;
}

static int64_t do_mkdir(struct sim_world *w, struct sim_op *o)
{
        struct sim_inode *dir;
        struct name_op x = { .kind = NAME_LINK };
        int r = path_walk(w, o->op->fd, o->op->path, &dir, x.name);
        if (r < 0) return r;
        if (!x.name[0] || names_find(&dir->now, x.name)) return -EEXIST;
        x.dir = dir;
        x.inode = inode_new(w, true, x.name);
        x.inode->parent = dir;
        name_change(w, &x);
        return 0;
}

static int64_t do_rename(struct sim_world *w, struct sim_op *o)
{
        struct name_op x = { .kind = NAME_RENAME };
        int r = path_walk(w, o->op->fd, o->op->path, &x.dir, x.name);
        if (r >= 0) r = path_walk(w, o->op->fd, o->op->path2, &x.dir2, x.name2);
        if (r < 0) return r;
        struct entry *e = names_find(&x.dir->now, x.name);
        if (!e) return -ENOENT;
        struct entry *to = names_find(&x.dir2->now, x.name2);
        if (to && to->inode->dir && to->inode->now.n > 0) return -ENOTEMPTY;
        if (to) to->inode->nameless = true;
        x.inode = e->inode;
        x.inode->nameless = false;
        if (x.inode->dir) x.inode->parent = x.dir2;
        name_change(w, &x);
        return 0;
}

static int64_t do_unlink(struct sim_world *w, struct sim_op *o, bool dir)
{
        struct name_op x = { .kind = NAME_UNLINK };
        int r = path_walk(w, o->op->fd, o->op->path, &x.dir, x.name);
        if (r < 0) return r;
        struct entry *e = names_find(&x.dir->now, x.name);
        if (!e) return -ENOENT;
        if (e->inode->dir != dir) return dir ? -ENOTDIR : -EISDIR;
        if (dir && e->inode->now.n > 0) return -ENOTEMPTY;
        x.inode = e->inode;
        x.inode->nameless = true;
        name_change(w, &x);
        return 0;
}

static int64_t do_list(struct sim_world *w, struct sim_op *o)
{
        int r;
        struct sim_inode *dir = lookup(w, o->op->fd, o->op->path, &r);
        struct io_names *out = o->op->ptr;
        if (!dir) return r;
        if (!dir->dir) return -ENOTDIR;
        *out = (struct io_names){ 0 };
        for (size_t i = 0; i < dir->now.n; i++) out->cap += strlen(dir->now.all[i].name) + 1;
        out->text = sim_alloc(out->cap);
        size_t turn = (size_t)sim_below(w, dir->now.n); /* order is undefined: make it so */
        for (size_t i = 0; i < dir->now.n; i++) {
                const char *name = dir->now.all[(i + turn) % dir->now.n].name;
                memcpy(out->text + out->len, name, strlen(name) + 1);
                out->len += strlen(name) + 1;
                out->count++;
        }
        return out->count;
}

static int64_t do_lock(struct sim_world *w, struct sim_op *o)
{
        struct sim_inode *i = sim_fd_get(w, o->op->fd)->inode;
        if (i->locked_by >= 0 && i->locked_by != o->op->fd) return -EWOULDBLOCK;
        i->locked_by = o->op->fd;
        return 0;
}

static int64_t do_space(struct sim_world *w, struct sim_op *o)
{
        struct io_space *out = o->op->ptr;
        (void)space_for(w, w->disk.root, UINT64_MAX / 2);
        out->total = w->disk.limit;
        out->available = w->disk.limit - MIN(w->disk.limit, w->disk.used);
        return 0;
}

int64_t sim_disk_do(struct sim_world *w, struct sim_op *o)
{
        switch (o->op->kind) {
        case IO_READ:
                return do_read(w, o);
        case IO_WRITE:
                return do_write(w, o);
        case IO_SYNC:
                return do_sync(w, o);
        case IO_OPEN:
                return do_open(w, o);
        case IO_CLOSE:
                return do_close(w, o);
        case IO_ALLOCATE:
                return do_allocate(w, o);
        case IO_TRUNCATE:
                return do_truncate(w, o);
        case IO_SIZE:
                return (int64_t)sim_fd_get(w, o->op->fd)->inode->file.now.size;
        case IO_MKDIR:
                return do_mkdir(w, o);
        case IO_RENAME:
                return do_rename(w, o);
        case IO_UNLINK:
                return do_unlink(w, o, false);
        case IO_RMDIR:
                return do_unlink(w, o, true);
        case IO_LIST:
                return do_list(w, o);
        case IO_LOCK:
                return do_lock(w, o);
        case IO_SPACE:
                return do_space(w, o);
        default:
                abort();
        }
}

void sim_disk_fail(struct sim_world *w, struct sim_op *o)
{
        if (o->op->kind == IO_SYNC) {
                /* Kernels mark pages clean that they failed to write; past O_DIRECT there are none.
                 */
                struct sim_fd *f = sim_fd_get(w, o->op->fd);
                if (!f->inode->dir && !f->direct) sim_file_forget(&f->inode->file, o->seen);
        } else if (o->op->kind == IO_WRITE && o->fault == EIO && sim_chance(w, 500)) {
                struct sim_inode *i = sim_fd_get(w, o->op->fd)->inode;
                size_t n = (size_t)sim_below(w, iov_total(o->op) / SIM_GRANULE + 1) * SIM_GRANULE;
                sim_file_write(w, &i->file, o->copy, n, o->op->off);
        }
}

bool sim_is_disk(enum io_kind kind)
{
        return kind >= IO_READ && kind < IO_KIND_COUNT;
}

const char *sim_fd_name(struct sim_world *w, int fd)
{
        if (fd < SIM_FD_FIRST || (size_t)(fd - SIM_FD_FIRST) >= w->n_fds) return NULL;
        struct sim_fd *f = &w->fds[fd - SIM_FD_FIRST];
        return f->type == SIM_FD_FILE ? f->inode->born : NULL;
}

void sim_disk_start(struct sim_world *w, struct sim_op *o)
{
        if (o->op->kind == IO_WRITE) {
                o->copy = sim_alloc(iov_total(o->op));
                iov_gather(o->op, o->copy);
        }
        o->seen = w->disk.next_seq; /* a sync covers what was done when it began */
        sim_op_schedule(w, o, w->disk_ns * w->slow);
}

/* --- life and death of the disk --- */

void sim_disk_init(struct sim_world *w)
{
        list_init(&w->disk.inodes);
        list_init(&w->disk.name_ops);
        w->disk.limit = w->options.disk_bytes ? w->options.disk_bytes : UINT64_C(64) << 30;
        w->disk.journaled = sim_chance(w, 500);
        w->disk.root = inode_new(w, true, "/");
        w->disk.root->parent = w->disk.root;
}

void sim_disk_free(struct sim_world *w)
{
        while (!list_empty(&w->disk.name_ops))
                name_op_free(CONTAINER_OF(w->disk.name_ops.next, struct name_op, link));
        while (!list_empty(&w->disk.inodes))
                inode_free(CONTAINER_OF(w->disk.inodes.next, struct sim_inode, link));
}

static void names_crash(struct sim_world *w)
{
        struct list *ops = &w->disk.name_ops;
        unsigned keep = (unsigned)sim_below(w, 1001);
        bool ended = false;
        while (!list_empty(ops)) {
                struct name_op *x = CONTAINER_OF(ops->next, struct name_op, link);
                bool kept = !ended && sim_chance(w, keep);
                if (w->disk.journaled && !kept) ended = true;
                if (kept && name_apply(x, true))
                        w->stats.names_kept++;
                else
                        w->stats.names_lost++;
                name_op_free(x);
        }
}

static void reach(struct sim_inode *dir)
{
        if (dir->reached) return;
        dir->reached = true;
        dir->nameless = false;
        for (size_t i = 0; i < dir->now.n; i++) reach(dir->now.all[i].inode);
}

void sim_disk_crash(struct sim_world *w, bool lose)
{
        for (size_t i = 0; i < w->n_fds; i++)
                if (w->fds[i].type == SIM_FD_FILE && w->fds[i].mortal)
                        sim_fd_close_file(w, SIM_FD_FIRST + (int)i);
        if (!lose) return;
        names_crash(w);
        struct list *all = &w->disk.inodes;
        for (struct list *l = all->next; l != all; l = l->next) {
                struct sim_inode *i = CONTAINER_OF(l, struct sim_inode, link);
                sim_file_crash(w, &i->file);
                names_copy(&i->now, &i->durable);
                i->reached = false;
        }
        reach(w->disk.root);
        for (struct list *l = all->next, *next; next = l->next, l != all; l = next) {
                struct sim_inode *i = CONTAINER_OF(l, struct sim_inode, link);
                if (!i->reached && i->fds == 0) inode_free(i);
        }
}

int sim_flip_bit(struct sim_world *w, const char *path, uint64_t bit)
{
        int r;
        struct sim_inode *i = lookup(w, AT_FDCWD, path, &r);
        return i ? sim_file_flip(&i->file, bit) : r;
}
