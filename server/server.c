/* The server's life.
 *
 * Start: store -> registry -> which partitions have files, and whose they are -> every shard
 * recovers its own, on the thread that runs it later, because a ring belongs to the thread that
 * uses it first -> listen.  It can fail at each; then nothing was promised to anybody and
 * server_free() ends it. Stop: see shard.c; then the registry, the shards' memory and the store go,
 * in this order. */
#include "server/server.h"

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "server/accept.h"
#include "server/conn.h"
#include "server/peer.h"

#include <stdlib.h>
#include <sys/resource.h>

enum { FDS_OWN = 64, FDS_LOG_MAX = 4096, MESSAGES_LEFT_MAX = 1 << 20 };

/* Partitions with files, found at start, by shard. */
struct found {
        struct store_entry *at;
        size_t n, cap;
};

int server_new(const struct config *c, struct io *const *ios, unsigned n,
    struct server **ret_server, struct err *e)
{
        assert(n > 0);
        struct server *s = calloc(1, sizeof(*s));
        struct shard *shards = calloc(n, sizeof(*shards));
        struct found *found = calloc(n, sizeof(*found));
        if (!s || !shards || !found) {
                free(s);
                free(shards);
                free(found);
                return err_set(e, ST_NOMEM, "out of memory");
        }
        s->magic = SERVER_MAGIC;
        s->config = c;
        s->shards = shards;
        s->found = found;
        s->n_shards = n;
        s->listen_fd = -1;
        s->port = c->listen.port;
        for (unsigned i = 0; i < n; i++) {
                shards[i].own.io = ios[i];
                int r = shard_init(&shards[i], s, i, e);
                if (r < 0) {
                        server_free(s);
                        return r;
                }
        }
        *ret_server = s;
        return 0;
}

/* --- file descriptors --- */

static unsigned fds_all(void)
{
        struct rlimit r;
        if (getrlimit(RLIMIT_NOFILE, &r) < 0) return 1024;
        return r.rlim_cur > INT32_MAX ? INT32_MAX : (unsigned)r.rlim_cur;
}

/* A quarter is the log's, so that connections never take what an append needs. */
static unsigned fds_of_log(const struct server *s)
{
        return MAX(16U, MIN(fds_all() / 4, (unsigned)FDS_LOG_MAX) / s->n_shards);
}

static unsigned fds_of_connections(const struct server *s)
{
        unsigned all = fds_all(), taken = fds_of_log(s) * s->n_shards + FDS_OWN;
        return all > taken ? all - taken : 1;
}

/* --- opening --- */

static int open_logs(struct server *s, struct err *e)
{
        struct config_memory m;
        config_memory(s->config, s->n_shards, &m);
        for (unsigned i = 0; i < s->n_shards; i++) {
                struct shard *shard = &s->shards[i];
                struct log_shard_config c = { .store = s->store,
                        .io = shard->own.io,
                        .timers = &shard->own.timers,
                        .blocks = shard->own.blocks,
                        .cache_limit = m.cache,
                        .index_limit = m.indexes,
                        .fds_limit = fds_of_log(s),
                        .journal_bytes = s->config->journal_bytes,
                        .retention_check_ms = s->config->retention_check_ms };
                shard->own.log = log_shard_new(&c);
                if (!shard->own.log) return err_set(e, ST_NOMEM, "shard %u: log", i);
        }
        return 0;
}

static int found_add(struct found *f, const struct store_entry *x)
{
        if (f->n == f->cap) {
                size_t cap = f->cap ? f->cap * 2 : 64;
                struct store_entry *at = reallocarray(f->at, cap, sizeof(*at));
                if (!at) return ST_NOMEM;
                f->at = at;
                f->cap = cap;
        }
        f->at[f->n++] = *x;
        return 0;
}

static void log_left_alone(const struct store_entry *x, const char *why)
{
        static struct log_limit limit = { .burst = 20 };
        log_limited(&limit, LOG_WARN, "partition directory left alone",
            LOG_STR("topic_id", uuid_show(x->topic_id).text), LOG_INT("partition", x->partition),
            LOG_STR("cause", why), LOG_END);
}

/* A directory is somebody's, or a deleted topic's (the registry goes on removing it), or nobody's:
 * then it stays, because nothing is deleted without a command. */
static int on_directory(void *server, const struct store_entry *x)
{
        struct server *s = server;
        CHECK_OBJ(s, SERVER_MAGIC);
        if (uuid_eq(x->topic_id, registry_topic_id)) return 0;
        const struct topic *t = registry_find_id(s->shards[0].own.view, x->topic_id);
        if (t && x->partition >= 0 && x->partition < t->partitions)
                return found_add(&s->found[shard_of(s, x->topic_id, x->partition)->index], x);
        if (!t && registry_was_deleted(s->registry, x->topic_id)) return 0;
        log_left_alone(x, t ? "the topic has fewer partitions" : "the topic is not known");
        return 0;
}

int server_open(struct server *s, struct err *e)
{
        CHECK_OBJ(s, SERVER_MAGIC);
        struct io *io = s->shards[0].own.io;
        struct store_config c = { .dir = s->config->data_dir, .durability = s->config->durability };
        int r = store_open(io, &c, &s->store, e);
        if (r >= 0) r = open_logs(s, e);
        if (r >= 0) r = registry_open(s, e);
        if (r >= 0) r = store_each(s->store, io, on_directory, s, e);
        return r < 0 ? r : 0;
}

int server_recover(struct server *s, unsigned shard, struct err *e)
{
        CHECK_OBJ(s, SERVER_MAGIC);
        assert(shard < s->n_shards);
        struct shard *to = &s->shards[shard];
        struct found *f = &s->found[shard];
        for (size_t i = 0; i < f->n; i++) {
                const struct topic *t = registry_find_id(to->own.view, f->at[i].topic_id);
                assert(t != NULL);
                struct partition *p =
                    partition_new(to->own.log, t->id, f->at[i].partition, &t->config->log);
                if (!p) return err_set(e, ST_NOMEM, "recover %.*s", t->name.n, t->name.p);
                int r = partition_recover(p, e);
                if (r < 0)
                        return err_wrap(
                            e, r, "recover %.*s-%d", t->name.n, t->name.p, f->at[i].partition);
        }
        free(TAKE(f->at));
        f->n = f->cap = 0;
        return 0;
}

int server_listen(struct server *s, struct err *e)
{
        CHECK_OBJ(s, SERVER_MAGIC);
        int r = store_recovered(s->store, s->shards[0].own.io, e);
        if (r < 0) return r;
        const struct config_listener *l = &s->config->listen;
        s->acceptor = acceptor_new(s, fds_of_connections(s));
        if (!s->acceptor) return err_set(e, ST_NOMEM, "acceptor");
        int fd = io_listen(s->shards[0].own.io, l->host, l->port, e);
        if (fd < 0) return e && e->code < 0 ? e->code : ST_IO;
        s->listen_fd = fd;
        struct peer local = peer_local(fd);
        if (local.port > 0) s->port = local.port;
        acceptor_start(s->acceptor);
        return 0;
}

int server_start(struct server *s, struct err *e)
{
        int r = server_open(s, e);
        for (unsigned i = 0; r >= 0 && i < s->n_shards; i++) r = server_recover(s, i, e);
        return r < 0 ? r : server_listen(s, e);
}

uint16_t server_port(const struct server *s)
{
        return s->port;
}

/* --- ending --- */

void server_stop(struct server *s, int how)
{
        CHECK_OBJ(s, SERVER_MAGIC);
        assert(how == 1 || how == 2);
        int old = atomic_load(&s->stopping);
        while (old < how && !atomic_compare_exchange_weak(&s->stopping, &old, how)) {
        }
        for (unsigned i = 0; i < s->n_shards; i++) shard_wake(NULL, &s->shards[i]);
}

bool server_stopped(struct server *s)
{
        return atomic_load(&s->shards_closed) == s->n_shards;
}

/* Connections that came back to the acceptor, and the like. */
static void run_messages(struct server *s)
{
        unsigned n = 1;
        while (n > 0) {
                n = 0;
                for (unsigned i = 0; i < s->n_shards; i++)
                        n += inbox_run(&s->shards[i].inbox, MESSAGES_LEFT_MAX);
        }
}

void server_free(struct server *s)
{
        CHECK_OBJ(s, SERVER_MAGIC);
        if (atomic_load(&s->stopping) >= 2) return;
        if (server_stopped(s)) run_messages(s);
        if (s->listen_fd >= 0) io_sock_close(s->shards[0].own.io, s->listen_fd);
        if (s->acceptor) acceptor_free(s->acceptor);
        registry_close(s);
        struct io *io = s->shards[0].own.io;
        for (unsigned i = 0; i < s->n_shards; i++) {
                if (s->shards[i].magic == SHARD_MAGIC) shard_free(&s->shards[i]);
                free(s->found[i].at);
        }
        if (s->store) store_close(s->store, io);
        free(s->found);
        free(s->shards);
        s->magic = 0;
        free(s);
}
