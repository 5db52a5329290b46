#include "tests/unit/storage/storage_fixture.h"

#include "protocol/crc32c.h"
#include "storage/journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

const struct log_config plain_config = {
        .segment_bytes = 1 << 30,
        .index_interval_bytes = 4096,
        .segment_ms = INT64_MAX,
        .retention_ms = -1,
        .retention_bytes = -1,
};

/* --- worlds --- */
struct log_shard *world_shard(struct world *w)
{
        struct log_shard *ls = log_shard_new(&(struct log_shard_config){
            .store = w->store,
            .io = w->io,
            .timers = &w->timers,
            .blocks = w->blocks,
            .cache_limit = w->cache_limit ? w->cache_limit : 64 << 20,
            .index_limit = w->index_limit ? w->index_limit : 64 << 20,
            .fds_limit = w->fds_limit ? w->fds_limit : 64,
            .write_max = w->write_max,
            .journal_bytes = w->journal_bytes,
        });
        cr_assert(ls);
        return ls;
}

int world_try(struct world *w, struct err *e)
{
        int st = w->uring ? io_uring_new(&(struct io_options){ 0 }, &w->io, e)
                          : io_posix_new(&(struct io_options){ 0 }, &w->io, e);
        cr_assert_eq(st, ST_OK, "%s", e->text);
        if (w->wrap) w->io = w->wrap(w->io);
        timers_init(&w->timers);
        st = store_open(w->io, &(struct store_config){ .dir = w->dir }, &w->store, e);
        if (st != ST_OK) {
                io_free(w->io);
                return st;
        }
        w->blocks =
            block_pool_new(w->wrap ? NULL : w->io, w->blocks_limit ? w->blocks_limit : 256 << 20);
        cr_assert(w->blocks);
        w->ls = world_shard(w);
        return ST_OK;
}

void world_open(struct world *w)
{
        struct err e = { 0 };
        int st = world_try(w, &e);
        cr_assert_eq(st, ST_OK, "%s", e.text);
}

unsigned world_turn(struct world *w)
{
        unsigned n = io_dispatch(w->io, 1024);
        n += timers_run(&w->timers, io_now_ns(w->io), 64);
        n += log_shard_plan(w->ls);
        io_turn(w->io, n ? 0 : 1000000);
        return n;
}

void world_until(struct world *w, const bool *flag)
{
        uint64_t from = io_now_ns(w->io);
        while (!*flag) {
                world_turn(w);
                cr_assert(io_now_ns(w->io) - from < UINT64_C(60000000000), "nothing happens");
        }
}

static bool quiet(struct world *w)
{
        return w->io->started == w->io->finished;
}

void world_settle(struct world *w)
{
        unsigned still = 0;
        while (still < 3) still = world_turn(w) == 0 && quiet(w) ? still + 1 : 0;
}

static void set_flag(void *arg)
{
        *(bool *)arg = true;
}

static void release(struct world *w)
{
        store_close(w->store, w->io);
        block_pool_free(w->blocks);
        io_free(w->io);
        w->ls = NULL;
}

void world_close(struct world *w)
{
        bool closed = false;
        log_shard_close(w->ls, set_flag, &closed);
        world_until(w, &closed);
        cr_assert_eq(w->ls->n_fds, 0);
        log_shard_free(w->ls);
        release(w);
}

void world_kill(struct world *w)
{
        world_settle(w);
        segment_fds_trim(w->ls, 0);
        if (w->ls->journal) journal_close(w->ls->journal);
        while (w->ls->busy > 0) world_turn(w);
        log_shard_free(w->ls);
        release(w);
}

void world_reopen(struct world *w, bool clean)
{
        if (clean)
                world_close(w);
        else
                world_kill(w);
        world_open(w);
}

static void run_world(world_test_fn *fn, bool uring, bool ram)
{
        struct world w = { .uring = uring, .ram = ram };
        snprintf(
            w.dir, sizeof w.dir, "%s", ram ? "/dev/shm/varve-test-XXXXXX" : "storage-test-XXXXXX");
        cr_assert(mkdtemp(w.dir));
        log_setup(LOG_ERROR + 1, LOG_KV, 2);
        fn(&w);
        dir_remove(w.dir);
}

void on_disk_uring(world_test_fn *fn)
{
        run_world(fn, true, false);
}
void on_disk_posix(world_test_fn *fn)
{
        run_world(fn, false, false);
}
void on_ram_uring(world_test_fn *fn)
{
        run_world(fn, true, true);
}

struct uuid topic(uint8_t n)
{
        struct uuid id;
        for (int i = 0; i < 16; i++) id.b[i] = (uint8_t)(n + i);
        return id;
}

struct partition *world_partition(struct world *w, uint8_t t, const struct log_config *c)
{
        struct err e = { 0 };
        struct partition *p = partition_new(w->ls, topic(t), 0, c ? c : &plain_config);
        cr_assert(p);
        int st = partition_recover(p, &e);
        cr_assert_eq(st, ST_OK, "%s", e.text);
        return p;
}

/* --- batches --- */
struct bytes_of batch_make(const struct batch_spec *s)
{
        struct record_in *records = calloc((size_t)s->count, sizeof *records);
        uint8_t *values = malloc((size_t)s->count * s->value + 1);
        uint32_t x = s->seed * 2654435761U + 1;
        for (size_t i = 0; i < (size_t)s->count * s->value; i++) {
                x = x * 1664525U + 1013904223U;
                values[i] = (uint8_t)(x >> 24);
        }
        for (int32_t i = 0; i < s->count; i++)
                records[i] = (struct record_in){
                        .timestamp = s->timestamp + i * s->step,
                        .key = { NULL, -1 },
                        .value = { values + (size_t)i * s->value, (int32_t)s->value },
                };
        struct batch_build in = { .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = records,
                .count = s->count };
        size_t cap = batch_encode_bound(&in);
        struct bytes_of r = { malloc(cap), 0 };
        struct err e = { 0 };
        int64_t n = batch_encode(
            &in, NULL, (struct bytes_mut){ NULL, 0 }, (struct bytes_mut){ r.p, cap }, &e);
        cr_assert_gt(n, 0, "%s", e.text);
        r.n = (uint32_t)n;
        free(records);
        free(values);
        return r;
}

static void on_copied(struct log_append *a)
{
        struct appended *x = CONTAINER_OF(a, struct appended, a);
        cr_assert_eq(x->done, 0);
        x->copied++;
        memset(x->bytes.p, 0xee, x->bytes.n); /* the caller may use it for anything now */
}

static void on_done(struct log_append *a)
{
        struct appended *x = CONTAINER_OF(a, struct appended, a);
        x->done++;
        x->finished = true;
        cr_assert_eq(x->copied, 1);
        cr_assert_eq(x->done, 1);
}

struct appended *append_raw(struct partition *p, uint8_t *bytes, uint32_t n)
{
        struct appended *x = calloc(1, sizeof *x);
        x->bytes = (struct bytes_of){ bytes, n };
        const char *why = batch_read(bytes, n, true, &x->a.info);
        cr_assert_null(why, "%s", why);
        x->a.partition = p;
        x->a.batch = bytes;
        x->a.on_copied = on_copied;
        x->a.on_done = on_done;
        partition_append(&x->a);
        cr_assert_eq(x->copied + x->done, 0, "callbacks come later");
        return x;
}

struct appended *append_begin(struct partition *p, const struct batch_spec *s)
{
        struct bytes_of b = batch_make(s);
        return append_raw(p, b.p, b.n);
}

void appended_free(struct appended *x)
{
        cr_assert(x->finished);
        free(x->bytes.p);
        free(x);
}

int append_one(struct world *w, struct partition *p, const struct batch_spec *s)
{
        struct appended *x = append_begin(p, s);
        world_until(w, &x->finished);
        int st = x->a.status;
        appended_free(x);
        return st;
}

int64_t append_many(struct world *w, struct partition *p, const struct batch_spec *s, unsigned n)
{
        struct appended **all = calloc(n, sizeof(struct appended *));
        struct batch_spec spec = *s;
        for (unsigned i = 0; i < n; i++) {
                all[i] = append_begin(p, &spec);
                spec.seed++;
                spec.timestamp += spec.count * spec.step;
        }
        for (unsigned i = 0; i < n; i++) {
                world_until(w, &all[i]->finished);
                cr_assert_eq(all[i]->a.status, ST_OK, "%s", status_text(all[i]->a.status));
                appended_free(all[i]);
        }
        free(all);
        struct partition_state st;
        partition_get_state(p, &st);
        return st.high_watermark;
}

/* --- reading --- */
void fetched_on_done(struct log_read *r)
{
        CONTAINER_OF(r, struct fetched, r)->finished = true;
}

struct fetched *read_one(struct world *w, struct partition *p, int64_t offset, uint32_t max)
{
        struct fetched *f = calloc(1, sizeof *f);
        f->r = (struct log_read){ .partition = p,
                .offset = offset,
                .max_bytes = max,
                .at_least_one = true,
                .on_done = fetched_on_done };
        int st = partition_read(&f->r);
        if (st == ST_PENDING) world_until(w, &f->finished);
        f->n = f->r.total;
        f->p = malloc(f->n + 1);
        uint32_t at = 0;
        for (uint32_t i = 0; i < f->r.n_slices; i++) {
                memcpy(f->p + at, f->r.slices[i].p, f->r.slices[i].n);
                at += f->r.slices[i].n;
        }
        cr_assert_eq(at, f->n);
        log_read_release(&f->r);
        return f;
}

void fetched_free(struct fetched *f)
{
        free(f->p);
        free(f);
}

static void take(struct log_bytes *b, const uint8_t *p, size_t n)
{
        if (b->n + n > b->cap) {
                b->cap = (b->n + n) * 2;
                b->p = realloc(b->p, b->cap);
        }
        memcpy(b->p + b->n, p, n);
        b->n += n;
}

void read_all(struct world *w, struct partition *p, uint32_t max, struct log_bytes *ret)
{
        struct partition_state st;
        partition_get_state(p, &st);
        *ret = (struct log_bytes){ .first = st.log_start, .end = st.log_start };
        while (ret->end < st.high_watermark) {
                struct fetched *f = read_one(w, p, ret->end, max);
                cr_assert_eq(
                    f->r.status, ST_OK, "%s at %" PRId64, status_text(f->r.status), ret->end);
                cr_assert_gt(f->n, 0, "nothing at %" PRId64, ret->end);
                for (uint32_t at = 0; at < f->n; ret->batches++) {
                        struct batch b;
                        const char *why = batch_read(f->p + at, f->n - at, true, &b);
                        cr_assert_null(why, "%s at %" PRId64, why, ret->end);
                        cr_assert(batch_crc_ok(f->p + at, &b));
                        cr_assert_eq(b.base_offset, ret->end);
                        cr_assert_eq(b.leader_epoch, 0);
                        ret->end = batch_last_offset(&b) + 1;
                        at += b.size;
                }
                take(ret, f->p, f->n);
                fetched_free(f);
        }
        cr_assert_eq(ret->end, st.high_watermark);
}

void log_bytes_free(struct log_bytes *b)
{
        free(b->p);
}

/* --- files --- */
void file_path(struct world *w, uint8_t t, const char *name, char out[512])
{
        struct uuid id = topic(t);
        int n = snprintf(out, 512, "%s/p/", w->dir);
        for (int i = 0; i < 16; i++) n += snprintf(out + n, 512 - (size_t)n, "%02x", id.b[i]);
        snprintf(out + n, 512 - (size_t)n, "-0/%s", name);
}

int64_t file_size_of(const char *path)
{
        struct stat st;
        return stat(path, &st) < 0 ? -1 : st.st_size;
}

size_t file_get(const char *path, uint8_t **ret)
{
        int fd = open(path, O_RDONLY);
        cr_assert_geq(fd, 0, "%s", path);
        size_t n = (size_t)file_size_of(path), at = 0;
        *ret = malloc(n + 1);
        while (at < n) {
                ssize_t r = read(fd, *ret + at, n - at);
                cr_assert_gt(r, 0);
                at += (size_t)r;
        }
        close(fd);
        return n;
}

void file_put(const char *path, const void *p, size_t n)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
        cr_assert_geq(fd, 0, "%s", path);
        const uint8_t *at = p;
        while (n > 0) {
                ssize_t r = write(fd, at, n);
                cr_assert_gt(r, 0);
                at += r;
                n -= (size_t)r;
        }
        close(fd);
}

void dir_remove(const char *path)
{
        DIR *d = opendir(path);
        if (!d) return;
        for (struct dirent *x = readdir(d); x; x = readdir(d)) {
                char sub[1024];
                struct stat st;
                if (strcmp(x->d_name, ".") == 0 || strcmp(x->d_name, "..") == 0) continue;
                snprintf(sub, sizeof sub, "%s/%s", path, x->d_name);
                if (lstat(sub, &st) == 0 && S_ISDIR(st.st_mode))
                        dir_remove(sub);
                else
                        unlink(sub);
        }
        closedir(d);
        rmdir(path);
}

unsigned dir_count(const char *path, const char *suffix)
{
        unsigned n = 0;
        DIR *d = opendir(path);
        for (struct dirent *x = d ? readdir(d) : NULL; x; x = readdir(d)) {
                size_t len = strlen(x->d_name), tail = strlen(suffix);
                n += len >= tail && strcmp(x->d_name + len - tail, suffix) == 0 &&
                     x->d_name[0] != '.';
        }
        if (d) closedir(d);
        return n;
}
