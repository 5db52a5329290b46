/* Requests: from a frame to a body, and the way of a request through its steps.
 *
 * All goes well: header -> row of the table -> body -> begin -> parts come back -> finish -> the
 * connection sends the reply -> on_sent -> the last owner has let go -> the struct is used again.
 * It can fail at: the header, an API or version that is not served, the body, scratch memory.  Then
 * the connection ends, with one line that says why. */
#include "server/request.h"

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "protocol/msg/all.h"
#include "server/conn.h"
#include "server/server.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
        SPARE_MAX = 256,
        HEADER_FIXED = 8, /* key, version, correlation id */
        ARENA_PARTS = 4,  /* one request takes at most this part of the shard's scratch memory */
        ARENA_MIN = 1 << 20,
};

/* --- scratch memory --- */

/* Whoever works has what he needs; new ones begin only below three quarters, and one takes at most
 * a quarter. */
bool request_may_begin(const struct shard *s)
{
        const struct budget *b = &s->own.arenas;
        return b->used < b->limit - b->limit / ARENA_PARTS || s->own.conns->requests == 0;
}

static void charge(struct request *r)
{
        size_t now = r->arena.used + sizeof(*r) + r->charged_besides;
        struct budget *b = &r->shard->own.arenas;
        if (now <= r->charged) return;
        b->used += now - r->charged;
        r->charged = now;
}

void request_charge(struct request *r, size_t bytes)
{
        r->charged_besides += bytes;
        charge(r);
}

/* --- the struct --- */

static struct request *request_new(struct conn *c)
{
        struct conns *cs = c->shard->own.conns;
        struct request *r = cs->spare;
        if (r) {
                cs->spare = r->state;
                cs->n_spare--;
        } else {
                r = malloc(sizeof(*r));
                if (!r) return NULL;
        }
        *r = (struct request){
                .magic = REQUEST_MAGIC, .shard = c->shard, .conn = c, .client_id = STR_NULL
        };
        size_t limit = c->shard->own.arenas.limit / ARENA_PARTS;
        arena_init(&r->arena, MAX(limit, (size_t)ARENA_MIN));
        list_init(&r->link);
        cs->requests++;
        return r;
}

static void request_free(struct request *r)
{
        struct conns *cs = r->shard->own.conns;
        assert(list_empty(&r->link));
        if (r->view) registry_view_unref(r->view);
        request_drop_frame(r);
        r->shard->own.arenas.used -= r->charged;
        arena_reset(&r->arena);
        r->magic = 0;
        assert(cs->requests > 0);
        cs->requests--;
        if (cs->n_spare < SPARE_MAX) {
                r->state = cs->spare;
                cs->spare = r;
                cs->n_spare++;
        } else {
                free(r);
        }
}

void request_drop_frame(struct request *r)
{
        r->client_id = STR_NULL;
        if (r->frame) block_unref(TAKE(r->frame));
}

/* --- decoding --- */

static void remember_client(struct conn *c, struct str id)
{
        size_t n = id.n > 0 ? MIN((size_t)id.n, sizeof(c->client) - 1) : 0;
        if (n > 0) memcpy(c->client, id.p, n);
        c->client[n] = '\0';
}

static const char *api_name(int16_t key)
{
        const struct api_info *info = api_info_find(key);
        return info ? info->name : "unknown";
}

static int refuse_version(struct request *r, int16_t key, struct err *why)
{
        const struct api *api = r->api;
        if (!api)
                return err_set(why, ST_UNSUPPORTED, "API %d (%s) version %d is not served", key,
                    api_name(key), r->version);
        return err_set(why, ST_UNSUPPORTED, "%s version %d is not served, %d to %d are", api->name,
            r->version, api->accept_min, api->max);
}

/* Fills api, version, correlation id and client id; the cursor is behind the header then. */
static int decode_header(struct request *r, struct cursor *c, struct err *why)
{
        if (cursor_left(c) < HEADER_FIXED)
                return err_set(why, ST_BAD_BATCH, "%zu bytes are no request", cursor_left(c));
        const int16_t key = (int16_t)load_be16(c->at);
        r->version = (int16_t)load_be16(c->at + 2);
        r->correlation_id = (int32_t)load_be32(c->at + 4);
        r->api = api_find(key);
        bool served = r->api && r->version >= r->api->accept_min && r->version <= r->api->max;
        struct request_header h;
        int16_t form = api_request_header_version(key, r->version);
        bool ok = request_header_decode(&h, c, form, &r->arena);
        if (ok) {
                r->client_id = h.client_id;
                remember_client(r->conn, h.client_id);
        }
        if (!served && key == API_API_VERSIONS && r->api) {
                r->bad_version = true; /* its body is of a version that nobody here knows */
                return 0;
        }
        if (!served) return refuse_version(r, key, why);
        if (!ok)
                return err_set(why, ST_BAD_BATCH, "%s version %d: header at byte %zu: %s",
                    r->api->name, r->version, c->fault_at, c->why);
        return 0;
}

static int decode_body(struct request *r, struct cursor *c, struct err *why)
{
        if (r->bad_version) return 0;
        r->body = arena_alloc(&r->arena, r->api->body_size);
        if (!r->body) return err_set(why, ST_NOMEM, "%s: out of memory", r->api->name);
        if (r->api->decode(r->body, c, r->version, &r->arena)) return 0;
        return err_set(why, ST_BAD_BATCH, "%s version %d: byte %zu: %s", r->api->name, r->version,
            c->fault_at, c->why ? c->why : "out of memory");
}

static int decode(struct request *r, struct bytes_mut frame, struct block *block, struct err *why)
{
        if (block) {
                r->frame = block_ref(block);
        } else {
                uint8_t *copy = arena_alloc(&r->arena, frame.n);
                if (!copy) return err_set(why, ST_NOMEM, "out of memory");
                memcpy(copy, frame.p, frame.n);
                frame.p = copy;
        }
        struct cursor c = cursor_of(frame.p, frame.n);
        int code = decode_header(r, &c, why);
        return code < 0 ? code : decode_body(r, &c, why);
}

int request_begin(struct conn *c, struct bytes_mut frame, struct block *block, struct err *why)
{
        struct shard *s = c->shard;
        struct request *r = request_new(c);
        if (!r) return err_set(why, ST_NOMEM, "out of memory");
        int code = decode(r, frame, block, why);
        if (code < 0) {
                request_free(r);
                return code;
        }
        stats_request_begun(r);
        r->frame_size = frame.n;
        r->view = registry_view_ref(s->own.view);
        r->begun_ns = io_now_ns(s->own.io);
        list_push_back(&c->queue, &r->link);
        c->n_queued++;
        c->inflight += r->frame_size;
        charge(r);
        r->pending = 1;
        if (!r->bad_version) r->api->begin(r);
        c->promised += r->promised;
        charge(r);
        request_done(r);
        return 0;
}

/* --- ending --- */

static void encode_reply(struct request *r)
{
        struct out *o = &r->reply;
        const struct api *api = r->api;
        out_init(o, &r->arena);
        struct out_hole hole = out_hole_i32(o);
        struct response_header h = { .correlation_id = r->correlation_id };
        response_header_encode(&h, o, api_response_header_version(api->key, r->version));
        api->finish(r, o);
        if (!o->bad && out_total(o) - 4 <= INT32_MAX) {
                out_patch_i32(hole, (int32_t)(out_total(o) - 4));
                return;
        }
        static struct log_limit limit = { .burst = 5 };
        log_limited(&limit, LOG_WARN, "reply dropped, its connection closes",
            LOG_STR("api", api->name), LOG_STR("client", r->conn->client),
            LOG_STR("cause", "larger than scratch memory allows"), LOG_END);
        r->close = true;
}

static void finish(struct request *r)
{
        struct conn *c = r->conn;
        CHECK_OBJ(c, CONN_MAGIC);
        encode_reply(r);
        stats_request_finished(r);
        if (r->close) r->no_reply = true;
        r->step = REQUEST_FINISHED;
        r->hurry = NULL;
        charge(r);
        c->promised -= r->promised;
        if (r->no_reply) r->reply.total = 0;
        c->unsent += r->reply.total;
        conn_touch(c);
}

void request_done(struct request *r)
{
        CHECK_OBJ(r, REQUEST_MAGIC);
        assert(r->pending > 0);
        if (--r->pending > 0) return;
        assert(r->step != REQUEST_FINISHED);
        if (r->step == REQUEST_RUNNING)
                finish(r);
        else
                request_free(r);
}

void request_end(struct request *r)
{
        CHECK_OBJ(r, REQUEST_MAGIC);
        assert(r->step == REQUEST_FINISHED && r->pending == 0);
        struct conn *c = r->conn;
        list_remove(&r->link);
        assert(c->n_queued > 0 && c->inflight >= r->frame_size && c->unsent >= r->reply.total);
        c->n_queued--;
        c->inflight -= r->frame_size;
        c->unsent -= r->reply.total;
        conn_place_note(c, r);
        r->step = REQUEST_ENDING;
        r->conn = NULL;
        r->pending = 1;
        if (r->on_sent) r->on_sent(r);
        request_done(r);
}

/* --- who we are --- */

static bool is_any(const char *host)
{
        return !*host || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

/* advertised.listeners; else the address that is listened on; where that is any address, the one
 * that this client has reached us at. */
struct endpoint request_endpoint(const struct request *r)
{
        const struct server *v = r->shard->server;
        const struct config *config = v->config;
        if (config->advertised.host[0])
                return (struct endpoint){ str_of(config->advertised.host),
                        config->advertised.port ? config->advertised.port : server_port(v) };
        if (!is_any(config->listen.host))
                return (struct endpoint){ str_of(config->listen.host), server_port(v) };
        if (r->conn && r->conn->local.size > 0)
                return (struct endpoint){ str_of(r->conn->local_host), server_port(v) };
        return (struct endpoint){ STR("127.0.0.1"), server_port(v) };
}

int32_t request_node_id(const struct request *r)
{
        return r->shard->server->config->node_id;
}
