/* A whole server in the test's own thread. */
#include "tests/unit/server/admin_rig.h"

#include "base/check.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 30, ARENA_MAX = 256 << 20, FRAME_MAX = 64 << 20 };

static time_t now_s(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

static void start(struct rig *g)
{
        struct err e;
        char dir[96];
        const char *sets[COUNT_OF(g->sets) + 2];
        unsigned n = 0;
        snprintf(dir, sizeof(dir), "log.dirs=%s/data", g->dir);
        sets[n++] = dir;
        sets[n++] = "listeners=PLAINTEXT://127.0.0.1:0";
        for (unsigned i = 0; i < g->n_sets; i++) sets[n++] = g->sets[i];
        struct config_args a = { .sets = sets, .n_sets = n };
        cr_assert_eq(config_load(&a, &g->config, &e), 0, "%s", e.text);
        log_setup(LOG_ERROR, LOG_KV, STDERR_FILENO);
        for (unsigned i = 0; i < RIG_SHARDS; i++)
                cr_assert_eq(
                    io_posix_new(&(struct io_options){ 0 }, &g->ios[i], &e), 0, "%s", e.text);
        cr_assert_eq(server_new(g->config, g->ios, RIG_SHARDS, &g->server, &e), 0, "%s", e.text);
        cr_assert_eq(server_start(g->server, &e), 0, "%s", e.text);
}

static void stop(struct rig *g)
{
        if (g->fd >= 0) close(g->fd);
        g->fd = -1;
        server_stop(g->server, 1);
        time_t until = now_s() + PATIENCE_S;
        while (!server_stopped(g->server)) {
                rig_turn(g);
                cr_assert_lt(now_s(), until, "the server does not stop");
        }
        server_free(g->server);
        for (unsigned i = 0; i < RIG_SHARDS; i++) io_free(g->ios[i]);
        config_free(g->config);
}

void rig_open(struct rig *g, const char *const *sets)
{
        *g = (struct rig){ .fd = -1 };
        snprintf(g->dir, sizeof(g->dir), "/tmp/varve-admin-XXXXXX");
        cr_assert_not_null(mkdtemp(g->dir));
        for (; sets && sets[g->n_sets]; g->n_sets++) g->sets[g->n_sets] = sets[g->n_sets];
        g->sets[g->n_sets++] = "memory.limit.bytes=256 MiB";
        arena_init(&g->arena, ARENA_MAX);
        start(g);
}

void rig_restart(struct rig *g)
{
        stop(g);
        start(g);
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *f)
{
        (void)s;
        (void)type;
        (void)f;
        return remove(path);
}

void rig_close(struct rig *g)
{
        stop(g);
        arena_reset(&g->arena);
        cr_assert_eq(nftw(g->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void rig_turn(struct rig *g)
{
        unsigned did = 0;
        for (unsigned i = 0; i < RIG_SHARDS; i++) did += shard_turn(&g->server->shards[i], 0);
        /* Nothing to do: the disk's threads work, so a short sleep in one ring. */
        if (did == 0) shard_turn(&g->server->shards[0], 200 * 1000);
}

/* --- the client --- */

static void client_connect(struct rig *g)
{
        struct sockaddr_in to = { .sin_family = AF_INET,
                .sin_port = htobe16(server_port(g->server)),
                .sin_addr.s_addr = htobe32(INADDR_LOOPBACK) };
        g->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert_geq(g->fd, 0);
        cr_assert_eq(connect(g->fd, (struct sockaddr *)&to, sizeof(to)), 0, "%s", strerror(errno));
        int one = 1;
        cr_assert_eq(setsockopt(g->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
        cr_assert_eq(fcntl(g->fd, F_SETFL, O_NONBLOCK), 0);
}

static const struct msg_codec *codec(int16_t key, int16_t direction)
{
        for (unsigned i = 0; i < msg_codecs_count; i++)
                if (msg_codecs[i].key == key && msg_codecs[i].direction == direction)
                        return &msg_codecs[i];
        cr_assert_fail("no codec for API %d", key);
        return NULL;
}

/* Moves n bytes one way, turning the server meanwhile.  False: the other end closed. */
static bool move(struct rig *g, uint8_t *p, size_t n, bool out)
{
        time_t until = now_s() + PATIENCE_S;
        for (size_t at = 0; at < n;) {
                ssize_t r = out ? send(g->fd, p + at, n - at, MSG_NOSIGNAL)
                                : recv(g->fd, p + at, n - at, 0);
                if (r > 0)
                        at += (size_t)r;
                else if (r < 0 && errno == EAGAIN)
                        rig_turn(g);
                else
                        return false;
                cr_assert_lt(now_s(), until, "no answer");
        }
        return true;
}

void rig_send(struct rig *g, int16_t key, int16_t version, const void *req)
{
        if (g->fd < 0) client_connect(g);
        struct arena a;
        struct out o;
        struct request_header h = { key, version, ++g->correlation, STR("test") };
        arena_init(&a, ARENA_MAX);
        out_init(&o, &a);
        struct out_hole size = out_hole_i32(&o);
        request_header_encode(&h, &o, api_request_header_version(key, version));
        codec(key, 0)->encode(req, &o, version);
        cr_assert_not(o.bad);
        out_patch_i32(size, (int32_t)out_total(&o) - 4);
        for (uint32_t i = 0; i < out_segments(&o); i++)
                if (!move(g, o.iov[i].iov_base, o.iov[i].iov_len, true)) break;
        arena_reset(&a);
}

bool rig_receive(struct rig *g, int16_t key, int16_t version, void *res)
{
        uint8_t size[4];
        struct response_header h;
        if (!move(g, size, 4, false)) {
                close(g->fd);
                g->fd = -1;
                return false;
        }
        size_t n = load_be32(size);
        cr_assert_leq(n, (size_t)FRAME_MAX);
        uint8_t *frame = arena_alloc(&g->arena, n);
        cr_assert(frame && move(g, frame, n, false));
        struct cursor c = cursor_of(frame, n);
        cr_assert(
            response_header_decode(&h, &c, api_response_header_version(key, version), &g->arena));
        cr_assert(codec(key, 1)->decode(res, &c, version, &g->arena), "API %d v%d: %s at %zu", key,
            version, c.why, c.fault_at);
        cr_assert_eq(cursor_left(&c), 0, "bytes after the answer");
        return true;
}

bool rig_call(struct rig *g, int16_t key, int16_t version, const void *req, void *res)
{
        rig_send(g, key, version, req);
        if (!rig_receive(g, key, version, res)) return false;
        return true;
}

/* --- shortcuts --- */

int16_t rig_create(struct rig *g, const char *name, int32_t partitions)
{
        struct create_topics_req_topics t = {
                .name = str_of(name), .num_partitions = partitions, .replication_factor = 1
        };
        struct create_topics_req req = { .topics = { 1, &t }, .timeout_ms = 1000 };
        struct create_topics_res res;
        cr_assert(rig_call(g, API_CREATE_TOPICS, 4, &req, &res));
        cr_assert_eq(res.topics.n, 1);
        return res.topics.at[0].error_code;
}

int16_t rig_delete(struct rig *g, const char *name)
{
        struct str names = str_of(name);
        struct delete_topics_req req = { .topic_names = { 1, &names }, .timeout_ms = 1000 };
        struct delete_topics_res res;
        cr_assert(rig_call(g, API_DELETE_TOPICS, 3, &req, &res));
        cr_assert_eq(res.responses.n, 1);
        return res.responses.at[0].error_code;
}

const struct metadata_res_topics *rig_topic(struct rig *g, const char *name)
{
        struct metadata_req_topics t = { .name = str_of(name) };
        struct metadata_req req = { .topics = { 1, &t } };
        struct metadata_res res;
        cr_assert(rig_call(g, API_METADATA, 12, &req, &res));
        cr_assert_eq(res.topics.n, 1);
        return &res.topics.at[0];
}
