/* Versions, topics and offsets.  Everything waits for its answer. */
#include "bench/call.h"

#include "base/check.h"
#include "base/status.h"
#include "protocol/errors.h"
#include "protocol/msg/api_versions.h"
#include "protocol/msg/create_topics.h"
#include "protocol/msg/delete_topics.h"
#include "protocol/msg/headers.h"
#include "protocol/msg/list_offsets.h"
#include "protocol/msg/metadata.h"

enum {
        CALL_ARENA_MAX = 512 << 20,
        REPLY_MAX = 128 << 20,
        TIMEOUT_MS = 60000,
        PARTITIONS_PER_CALL = 5000, /* of one CreateTopics, unless a topic has more */
        READY_TRIES = 600,
        READY_PAUSE_MS = 50,
};

/* --- one request and its reply --- */

int call_connect(struct io *io, const char *host, uint16_t port, int *ret_fd, struct err *e)
{
        struct io_op op;
        const char *numeric = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
        io_connect(io, &op, numeric, port);
        int64_t r = io_await(io, &op);
        if (r < 0) return err_set(e, ST_IO, "%s:%u: %s", host, port, strerror((int)-r));
        *ret_fd = (int)r;
        return 0;
}

static int send_all(struct call *c, struct out *o, struct err *e)
{
        uint32_t n = out_segments(o), at = 0;
        while (at < n) {
                io_send(c->io, &c->op, c->fd, o->iov + at, MIN(n - at, (uint32_t)IO_IOV_MAX));
                int64_t r = io_await(c->io, &c->op);
                if (r <= 0) return err_set(e, ST_IO, "send: %s", strerror((int)-r));
                for (; r > 0 && at < n; at++) {
                        if ((size_t)r < o->iov[at].iov_len) {
                                o->iov[at].iov_base = (uint8_t *)o->iov[at].iov_base + r;
                                o->iov[at].iov_len -= (size_t)r;
                                break;
                        }
                        r -= (int64_t)o->iov[at].iov_len;
                }
        }
        return 0;
}

static int recv_all(struct call *c, uint8_t *p, size_t n, struct err *e)
{
        while (n > 0) {
                io_recv(c->io, &c->op, c->fd, (struct bytes_mut){ p, n });
                int64_t r = io_await(c->io, &c->op);
                if (r == 0) return err_set(e, ST_CLOSED, "the server closed the connection");
                if (r < 0) return err_set(e, ST_IO, "receive: %s", strerror((int)-r));
                p += r;
                n -= (size_t)r;
        }
        return 0;
}

static int recv_reply(struct call *c, struct cursor *ret, struct err *e)
{
        uint8_t size[4];
        int r = recv_all(c, size, 4, e);
        if (r < 0) return r;
        uint32_t n = load_be32(size);
        if (n < 4 || n > REPLY_MAX) return err_set(e, ST_INVALID, "a reply of %u bytes", n);
        free(c->frame);
        c->frame = malloc(n);
        if (!c->frame) return err_set(e, ST_NOMEM, "no memory for a reply of %u bytes", n);
        r = recv_all(c, c->frame, n, e);
        if (r == 0) *ret = cursor_of(c->frame, n);
        return r;
}

static const struct msg_codec *codec_for(int16_t key, int16_t direction)
{
        for (unsigned i = 0; i < msg_codecs_count; i++)
                if (msg_codecs[i].key == key && msg_codecs[i].direction == direction)
                        return &msg_codecs[i];
        abort(); /* every key we use has a schema */
}

static int encode_and_send(
    struct call *c, int16_t key, int16_t version, const void *req, struct err *e)
{
        struct arena arena;
        struct out o;
        struct request_header h;
        arena_init(&arena, CALL_ARENA_MAX);
        out_init(&o, &arena);
        request_header_init(&h);
        h.api_key = key;
        h.api_version = version;
        h.correlation_id = (int32_t)++c->correlation;
        h.client_id = STR("varve-bench");
        struct out_hole size = out_hole_i32(&o);
        request_header_encode(&h, &o, api_request_header_version(key, version));
        codec_for(key, 0)->encode(req, &o, version);
        int r = o.bad ? err_set(e, ST_NOMEM, "no memory for the request") : 0;
        if (r == 0) {
                out_patch_i32(size, (int32_t)(out_total(&o) - 4));
                r = send_all(c, &o, e);
        }
        arena_reset(&arena);
        return r;
}

static int call_version(
    struct call *c, int16_t key, int16_t version, const void *req, void *res, struct err *e)
{
        struct cursor in;
        struct response_header h;
        int r = encode_and_send(c, key, version, req, e);
        if (r == 0) r = recv_reply(c, &in, e);
        if (r == 0) {
                arena_reset(&c->arena);
                response_header_decode(
                    &h, &in, api_response_header_version(key, version), &c->arena);
                if (!codec_for(key, 1)->decode(res, &in, version, &c->arena))
                        r = err_set(e, ST_INVALID, "reply: %s at byte %zu", in.why, in.fault_at);
                else if (h.correlation_id != (int32_t)c->correlation)
                        r = err_set(e, ST_INVALID, "reply to another request");
        }
        return r < 0 ? err_wrap(e, r, "%s v%d", api_info_find(key)->name, version) : 0;
}

static int call(struct call *c, int16_t key, const void *req, void *res, struct err *e)
{
        int16_t version = c->versions[key];
        if (version < 0)
                return err_set(e, ST_UNSUPPORTED, "%s: no version that both sides know",
                    api_info_find(key)->name);
        return call_version(c, key, version, req, res, e);
}

/* --- versions --- */

static void agree(struct call *c, const struct api_versions_res *m)
{
        for (int i = 0; i < CALL_APIS; i++) c->versions[i] = -1;
        for (int32_t i = 0; i < m->api_keys.n; i++) {
                const struct api_versions_res_api_keys *k = &m->api_keys.at[i];
                const struct api_info *ours = api_info_find(k->api_key);
                if (!ours || k->api_key >= CALL_APIS) continue;
                int16_t top = MIN(ours->max, k->max_version);
                if (top >= ours->min && top >= k->min_version) c->versions[k->api_key] = top;
        }
        /* From here on topics go by id, which only Metadata v10 tells. */
        if (c->versions[API_METADATA] < 10) {
                c->versions[API_PRODUCE] = MIN(c->versions[API_PRODUCE], (int16_t)12);
                c->versions[API_FETCH] = MIN(c->versions[API_FETCH], (int16_t)12);
        }
}

static int negotiate(struct call *c, struct err *e)
{
        struct api_versions_req req;
        struct api_versions_res res;
        api_versions_req_init(&req);
        req.client_software_name = STR("varve-bench");
        req.client_software_version = STR("1");
        int r = call_version(c, API_API_VERSIONS, 3, &req, &res, e);
        if (r < 0) return r;
        if (res.error_code == WIRE_UNSUPPORTED_VERSION) {
                r = call_version(c, API_API_VERSIONS, 0, &req, &res, e);
                if (r < 0) return r;
        }
        if (res.error_code)
                return err_set(
                    e, ST_UNSUPPORTED, "ApiVersions: %s", wire_error_name(res.error_code));
        agree(c, &res);
        return 0;
}

int call_open(struct call *c, struct io *io, const char *host, uint16_t port, struct err *e)
{
        *c = (struct call){ .io = io, .fd = -1 };
        arena_init(&c->arena, CALL_ARENA_MAX);
        int r = call_connect(io, host, port, &c->fd, e);
        if (r == 0) r = negotiate(c, e);
        if (r < 0) call_close(c);
        return r;
}

void call_close(struct call *c)
{
        if (c->fd >= 0) io_sock_close(c->io, c->fd);
        c->fd = -1;
        arena_reset(&c->arena);
        free(c->frame);
        c->frame = NULL;
}

/* --- topics --- */

static bool split_config(
    const char *text, struct create_topics_req_topics_configs *ret, struct err *e)
{
        const char *eq = strchr(text, '=');
        if (!eq) {
                err_set(e, ST_INVALID, "a topic setting is key=value, not %s", text);
                return false;
        }
        create_topics_req_topics_configs_init(ret);
        ret->name = (struct str){ text, (int32_t)(eq - text) };
        ret->value = str_of(eq + 1);
        return true;
}

static int note_created(struct topic_set *set, const struct create_topics_res *res, struct err *e)
{
        for (int32_t i = 0; i < res->topics.n; i++) {
                const struct create_topics_res_topics *t = &res->topics.at[i];
                if (t->error_code == WIRE_TOPIC_ALREADY_EXISTS) continue;
                if (t->error_code)
                        return err_set(e, ST_INVALID, "topic %.*s: %s%s%.*s", t->name.n, t->name.p,
                            wire_error_name(t->error_code), t->error_message.n > 0 ? ": " : "",
                            MAX(t->error_message.n, 0), t->error_message.p);
                for (uint32_t k = 0; k < set->n; k++)
                        if (str_eq(t->name, str_of(set->at[k].name))) set->at[k].ours = true;
        }
        return 0;
}

static int create_some(
    struct call *c, const struct call_topics *t, uint32_t from, uint32_t n, struct err *e)
{
        struct arena a;
        arena_init(&a, CALL_ARENA_MAX);
        struct create_topics_req req;
        struct create_topics_res res;
        create_topics_req_init(&req);
        struct create_topics_req_topics *topics = arena_array(&a, n, sizeof *topics);
        struct create_topics_req_topics_configs *configs =
            arena_array(&a, t->n_configs + 1, sizeof *configs);
        int r = topics && configs ? 0 : err_set(e, ST_NOMEM, "no memory");
        for (uint32_t i = 0; i < t->n_configs && r == 0; i++)
                if (!split_config(t->configs[i], &configs[i], e)) r = ST_INVALID;
        for (uint32_t i = 0; i < n && r == 0; i++) {
                create_topics_req_topics_init(&topics[i]);
                topics[i].name = str_of(t->set->at[from + i].name);
                topics[i].num_partitions = (int32_t)t->set->partitions;
                topics[i].replication_factor = t->replication;
                topics[i].configs.n = (int32_t)t->n_configs;
                topics[i].configs.at = configs;
        }
        req.topics.n = (int32_t)n;
        req.topics.at = topics;
        req.timeout_ms = TIMEOUT_MS;
        if (r == 0) r = call(c, API_CREATE_TOPICS, &req, &res, e);
        if (r == 0) r = note_created(t->set, &res, e);
        arena_reset(&a);
        return r;
}

/* 1: all there; 0: not yet. */
static int note_topic(
    struct topic_set *set, const struct metadata_res_topics *t, int32_t *leader, struct err *e)
{
        if (t->error_code == WIRE_UNKNOWN_TOPIC_OR_PARTITION ||
            t->error_code == WIRE_LEADER_NOT_AVAILABLE)
                return 0;
        if (t->error_code)
                return err_set(e, ST_INVALID, "topic %.*s: %s", t->name.n, t->name.p,
                    wire_error_name(t->error_code));
        for (int32_t i = 0; i < t->partitions.n; i++) {
                const struct metadata_res_topics_partitions *p = &t->partitions.at[i];
                if (p->leader_id < 0 || p->error_code) return 0;
                if (*leader >= 0 && p->leader_id != *leader)
                        return err_set(e, ST_UNSUPPORTED,
                            "partitions are led by several brokers; this driver talks to one");
                *leader = p->leader_id;
        }
        for (uint32_t k = 0; k < set->n; k++) {
                if (!str_eq(t->name, str_of(set->at[k].name))) continue;
                if ((uint32_t)t->partitions.n != set->partitions)
                        return err_set(e, ST_INVALID, "topic %s has %d partitions, not %u",
                            set->at[k].name, t->partitions.n, set->partitions);
                set->at[k].id = t->topic_id;
                return 1;
        }
        return err_set(e, ST_INVALID, "Metadata names a topic that nobody asked for");
}

static int ask_metadata(struct call *c, struct topic_set *set, struct err *e)
{
        struct arena a;
        arena_init(&a, CALL_ARENA_MAX);
        struct metadata_req req;
        struct metadata_res res;
        metadata_req_init(&req);
        req.topics.n = (int32_t)set->n;
        req.topics.at = arena_array(&a, set->n, sizeof *req.topics.at);
        req.allow_auto_topic_creation = false;
        int r = req.topics.at ? 0 : err_set(e, ST_NOMEM, "no memory");
        for (uint32_t i = 0; i < set->n && r == 0; i++) {
                metadata_req_topics_init(&req.topics.at[i]);
                req.topics.at[i].name = str_of(set->at[i].name);
        }
        if (r == 0) r = call(c, API_METADATA, &req, &res, e);
        arena_reset(&a);
        if (r < 0) return r;
        int32_t leader = -1, ready = 0;
        for (int32_t i = 0; i < res.topics.n; i++) {
                r = note_topic(set, &res.topics.at[i], &leader, e);
                if (r < 0) return r;
                ready += r;
        }
        return ready == (int32_t)set->n;
}

static void pause_ms(struct io *io, uint64_t ms)
{
        uint64_t until = io_now_ns(io) + ms * 1000000;
        for (uint64_t now; (now = io_now_ns(io)) < until;) io_turn(io, until - now);
}

/* Kafka's metadata knows a leader a little before the leader does; an offset is proof. */
static int await_leaders(struct call *c, const struct topic_set *t, struct err *e)
{
        int64_t *offsets = calloc(topic_set_total(t), sizeof *offsets);
        if (!offsets) return err_set(e, ST_NOMEM, "no memory");
        int r = call_offsets(c, t, OFFSETS_EARLIEST, offsets, e);
        free(offsets);
        return r;
}

int call_topics_ready(struct call *c, const struct call_topics *t, struct err *e)
{
        uint32_t step = MAX(PARTITIONS_PER_CALL / t->set->partitions, 1U);
        for (uint32_t at = 0; t->create && at < t->set->n; at += step) {
                int r = create_some(c, t, at, MIN(step, t->set->n - at), e);
                if (r < 0) return r;
        }
        for (int i = 0; i < READY_TRIES; i++) {
                int r = ask_metadata(c, t->set, e);
                if (r < 0) return r;
                if (r > 0) return await_leaders(c, t->set, e);
                pause_ms(c->io, READY_PAUSE_MS);
        }
        return err_set(e, ST_NOT_FOUND, "topic %s%s is not there, or has no leader",
            t->set->at[0].name, t->set->n > 1 ? " (or another one)" : "");
}

int call_topics_delete(struct call *c, const struct topic_set *t, struct err *e)
{
        for (uint32_t i = 0; i < t->n; i++) {
                if (!t->at[i].ours) continue;
                struct str name = str_of(t->at[i].name);
                struct delete_topics_req_topics topic;
                struct delete_topics_req req;
                struct delete_topics_res res;
                delete_topics_req_init(&req);
                delete_topics_req_topics_init(&topic);
                topic.name = name;
                req.topics.n = req.topic_names.n = 1;
                req.topics.at = &topic;
                req.topic_names.at = &name;
                req.timeout_ms = TIMEOUT_MS;
                int r = call(c, API_DELETE_TOPICS, &req, &res, e);
                if (r < 0) return r;
                if (res.responses.n > 0 && res.responses.at[0].error_code)
                        return err_set(e, ST_INVALID, "topic %s: %s", t->at[i].name,
                            wire_error_name(res.responses.at[0].error_code));
        }
        return 0;
}

/* --- offsets --- */

static int note_offsets(
    const struct topic_set *t, const struct list_offsets_res *res, int64_t *ret, struct err *e)
{
        const struct list_offsets_res_topics *topic = res->topics.n == 1 ? res->topics.at : NULL;
        if (!topic || (uint32_t)topic->partitions.n != t->partitions)
                return err_set(e, ST_INVALID, "ListOffsets answers something else");
        for (int32_t i = 0; i < topic->partitions.n; i++) {
                const struct list_offsets_res_topics_partitions *p = &topic->partitions.at[i];
                if (p->error_code)
                        return err_set(e,
                            wire_error_is_retriable(p->error_code) ? ST_PENDING : ST_INVALID,
                            "ListOffsets: %.*s-%d: %s", topic->name.n, topic->name.p,
                            p->partition_index, wire_error_name(p->error_code));
                if (p->partition_index < 0 || (uint32_t)p->partition_index >= t->partitions)
                        return err_set(e, ST_INVALID, "ListOffsets answers something else");
                ret[p->partition_index] = p->offset;
        }
        return 0;
}

static int offsets_of_topic(
    struct call *c, const struct topic_set *t, const char *name, int64_t *when_ret, struct err *e)
{
        struct arena a;
        arena_init(&a, CALL_ARENA_MAX);
        struct list_offsets_req req;
        struct list_offsets_req_topics topic;
        struct list_offsets_res res;
        list_offsets_req_init(&req);
        list_offsets_req_topics_init(&topic);
        req.replica_id = -1;
        req.timeout_ms = TIMEOUT_MS;
        req.topics.n = 1;
        req.topics.at = &topic;
        topic.name = str_of(name);
        topic.partitions.n = (int32_t)t->partitions;
        topic.partitions.at = arena_array(&a, t->partitions, sizeof *topic.partitions.at);
        int r = topic.partitions.at ? 0 : err_set(e, ST_NOMEM, "no memory");
        for (uint32_t i = 0; i < t->partitions && r == 0; i++) {
                list_offsets_req_topics_partitions_init(&topic.partitions.at[i]);
                topic.partitions.at[i].partition_index = (int32_t)i;
                topic.partitions.at[i].timestamp = when_ret[0];
        }
        if (r == 0) r = call(c, API_LIST_OFFSETS, &req, &res, e);
        if (r == 0) r = note_offsets(t, &res, when_ret, e);
        arena_reset(&a);
        return r;
}

int call_offsets(
    struct call *c, const struct topic_set *t, int64_t when, int64_t *ret, struct err *e)
{
        for (uint32_t i = 0; i < t->n; i++) {
                int64_t *at = ret + (size_t)i * t->partitions;
                int r = ST_PENDING;
                for (int k = 0; r == ST_PENDING && k < READY_TRIES; k++) {
                        if (k > 0) pause_ms(c->io, READY_PAUSE_MS);
                        at[0] = when;
                        r = offsets_of_topic(c, t, t->at[i].name, at, e);
                }
                if (r < 0) return r;
        }
        return 0;
}
