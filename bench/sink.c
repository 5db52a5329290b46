/* The null target.  One thread: it accepts, answers frame by frame, and ends when told to. */
#include "bench/sink.h"

#include "base/check.h"
#include "base/status.h"
#include "bench/link.h"
#include "protocol/batch.h"
#include "protocol/errors.h"
#include "protocol/msg/all.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <time.h>

enum {
        SINK_MAGIC = 0x73696e6b,
        REPLIES_MAX = 8192, /* of one connection, not yet sent */
        RECV_ROOM = 1 << 20,
        SINK_ARENA_MAX = 512 << 20,
        DISPATCH_MAX = 256,
        ENDLESS = 1 << 30, /* offsets that the null target claims to have */
};

struct sink_conn {
        struct link link;
        struct list all;
        struct sink *sink;
        uint8_t *replies[REPLIES_MAX]; /* a ring, as they wait in the link */
        uint32_t at, n;
};

struct sink {
        uint32_t magic;
        struct sink_spec spec;
        struct io *io;
        int listener;
        uint16_t port;
        pthread_t thread;
        _Atomic bool stop;
        /* the thread's */
        struct io_op accept_op;
        bool accepting;
        struct list conns, dirty;
        struct arena arena;
};

/* --- replies --- */

/* The same order as in the driver's list: the id tells the index. */
static uint32_t topic_number(const struct sink *s, struct str name, struct uuid id)
{
        const struct topic_set *t = s->spec.topics;
        uint32_t n = load_be32(id.b + 12);
        if (!uuid_is_zero(id)) return n < t->n ? n : 0;
        for (uint32_t i = 0; i < t->n; i++)
                if (str_eq(name, str_of(t->at[i].name))) return i;
        return 0;
}

static struct uuid topic_id(uint32_t n)
{
        struct uuid id = { { 'n', 'u', 'l', 'l' } };
        store_be32(id.b + 12, n);
        return id;
}

static bool answer_versions(struct sink *s, struct cursor *c, int16_t version, struct out *o)
{
        (void)c;
        struct api_versions_res res;
        static const int16_t keys[] = { API_PRODUCE, API_FETCH, API_LIST_OFFSETS, API_METADATA,
                API_API_VERSIONS, API_CREATE_TOPICS, API_DELETE_TOPICS };
        api_versions_res_init(&res);
        res.api_keys.n = COUNT_OF(keys);
        res.api_keys.at = arena_array(&s->arena, COUNT_OF(keys), sizeof *res.api_keys.at);
        if (!res.api_keys.at) return false;
        for (size_t i = 0; i < COUNT_OF(keys); i++) {
                const struct api_info *info = api_info_find(keys[i]);
                res.api_keys.at[i] =
                    (struct api_versions_res_api_keys){ keys[i], info->min, info->max };
        }
        api_versions_res_encode(&res, o, version);
        return true;
}

static bool answer_metadata(struct sink *s, struct cursor *c, int16_t version, struct out *o)
{
        struct metadata_req req;
        struct metadata_res res;
        if (!metadata_req_decode(&req, c, version, &s->arena)) return false;
        const struct topic_set *t = s->spec.topics;
        metadata_res_init(&res);
        res.topics.n = MAX(req.topics.n, 0);
        res.topics.at = arena_array(&s->arena, (size_t)res.topics.n, sizeof *res.topics.at);
        if (!res.topics.at) return false;
        for (int32_t i = 0; i < res.topics.n; i++) {
                struct metadata_res_topics *topic = &res.topics.at[i];
                struct metadata_res_topics_partitions *parts =
                    arena_array(&s->arena, t->partitions, sizeof *parts);
                if (!parts) return false;
                metadata_res_topics_init(topic);
                topic->name = req.topics.at[i].name;
                topic->topic_id = topic_id(topic_number(s, topic->name, (struct uuid){ { 0 } }));
                topic->partitions.n = (int32_t)t->partitions;
                topic->partitions.at = parts;
                for (uint32_t p = 0; p < t->partitions; p++) {
                        metadata_res_topics_partitions_init(&parts[p]);
                        parts[p].partition_index = (int32_t)p;
                }
        }
        metadata_res_encode(&res, o, version);
        return true;
}

static bool answer_create(struct sink *s, struct cursor *c, int16_t version, struct out *o)
{
        struct create_topics_req req;
        struct create_topics_res res;
        if (!create_topics_req_decode(&req, c, version, &s->arena)) return false;
        create_topics_res_init(&res);
        res.topics.n = MAX(req.topics.n, 0);
        res.topics.at = arena_array(&s->arena, (size_t)res.topics.n, sizeof *res.topics.at);
        if (!res.topics.at) return false;
        for (int32_t i = 0; i < res.topics.n; i++) {
                create_topics_res_topics_init(&res.topics.at[i]);
                res.topics.at[i].name = req.topics.at[i].name;
        }
        create_topics_res_encode(&res, o, version);
        return true;
}

static bool answer_delete(struct sink *s, struct cursor *c, int16_t version, struct out *o)
{
        struct delete_topics_req req;
        struct delete_topics_res res;
        if (!delete_topics_req_decode(&req, c, version, &s->arena)) return false;
        delete_topics_res_init(&res);
        delete_topics_res_encode(&res, o, version);
        return true;
}

static bool answer_offsets(struct sink *s, struct cursor *c, int16_t version, struct out *o)
{
        struct list_offsets_req req;
        struct list_offsets_res res;
        if (!list_offsets_req_decode(&req, c, version, &s->arena)) return false;
        list_offsets_res_init(&res);
        res.topics.n = MAX(req.topics.n, 0);
        res.topics.at = arena_array(&s->arena, (size_t)res.topics.n, sizeof *res.topics.at);
        if (!res.topics.at) return false;
        for (int32_t i = 0; i < res.topics.n; i++) {
                const struct list_offsets_req_topics *in = &req.topics.at[i];
                struct list_offsets_res_topics *topic = &res.topics.at[i];
                list_offsets_res_topics_init(topic);
                topic->name = in->name;
                topic->partitions.n = MAX(in->partitions.n, 0);
                topic->partitions.at =
                    arena_array(&s->arena, (size_t)in->partitions.n, sizeof *topic->partitions.at);
                if (!topic->partitions.at) return false;
                for (int32_t p = 0; p < in->partitions.n; p++) {
                        list_offsets_res_topics_partitions_init(&topic->partitions.at[p]);
                        topic->partitions.at[p].partition_index =
                            in->partitions.at[p].partition_index;
                        topic->partitions.at[p].offset =
                            in->partitions.at[p].timestamp == -2 ? 0 : ENDLESS;
                }
        }
        list_offsets_res_encode(&res, o, version);
        return true;
}

static bool answer_produce(struct sink *s, struct cursor *c, int16_t version, struct out *o)
{
        struct produce_req req;
        struct produce_res res;
        if (!produce_req_decode(&req, c, version, &s->arena)) return false;
        produce_res_init(&res);
        res.responses.n = MAX(req.topic_data.n, 0);
        res.responses.at =
            arena_array(&s->arena, (size_t)res.responses.n, sizeof *res.responses.at);
        if (!res.responses.at) return false;
        for (int32_t i = 0; i < res.responses.n; i++) {
                const struct produce_req_topic_data *in = &req.topic_data.at[i];
                struct produce_res_responses *topic = &res.responses.at[i];
                produce_res_responses_init(topic);
                topic->name = in->name;
                topic->topic_id = in->topic_id;
                topic->partition_responses.n = MAX(in->partition_data.n, 0);
                topic->partition_responses.at = arena_array(
                    &s->arena, (size_t)in->partition_data.n, sizeof *topic->partition_responses.at);
                if (!topic->partition_responses.at) return false;
                for (int32_t p = 0; p < in->partition_data.n; p++) {
                        produce_res_responses_partition_responses_init(
                            &topic->partition_responses.at[p]);
                        topic->partition_responses.at[p].index = in->partition_data.at[p].index;
                }
        }
        if (req.acks != 0) produce_res_encode(&res, o, version);
        return true;
}

/* Copies of the one batch until max bytes are full, one at least. */
static struct records endless(struct sink *s, int64_t offset, int32_t max)
{
        struct bytes b = s->spec.batch;
        uint32_t n = (uint32_t)MAX(max / b.n, 1);
        struct slice *slices = arena_array(&s->arena, n, sizeof *slices);
        int64_t count = load_be32(b.p + BATCH_COUNT);
        if (!slices || offset > ENDLESS) return (struct records){ .n = 0 };
        for (uint32_t i = 0; i < n; i++) {
                uint8_t *head = arena_alloc(&s->arena, 8);
                if (!head) return (struct records){ .n = 0 };
                store_be64(head, (uint64_t)(offset + i * count));
                slices[i] = (struct slice){ head, 8, NULL };
        }
        struct slice *both = arena_array(&s->arena, (size_t)n * 2, sizeof *both);
        if (!both) return (struct records){ .n = 0 };
        for (uint32_t i = 0; i < n; i++) {
                both[(size_t)i * 2] = slices[i];
                both[(size_t)i * 2 + 1] = (struct slice){ b.p + 8, (uint32_t)b.n - 8, NULL };
        }
        return (struct records){ .n = (int32_t)n * b.n, .n_slices = n * 2, .slices = both };
}

static bool answer_fetch(struct sink *s, struct cursor *c, int16_t version, struct out *o)
{
        struct fetch_req req;
        struct fetch_res res;
        if (!fetch_req_decode(&req, c, version, &s->arena)) return false;
        int32_t left = req.max_bytes;
        fetch_res_init(&res);
        res.responses.n = MAX(req.topics.n, 0);
        res.responses.at =
            arena_array(&s->arena, (size_t)res.responses.n, sizeof *res.responses.at);
        if (!res.responses.at) return false;
        for (int32_t i = 0; i < res.responses.n; i++) {
                const struct fetch_req_topics *in = &req.topics.at[i];
                struct fetch_res_responses *topic = &res.responses.at[i];
                fetch_res_responses_init(topic);
                topic->topic = in->topic;
                topic->topic_id = in->topic_id;
                topic->partitions.n = MAX(in->partitions.n, 0);
                topic->partitions.at =
                    arena_array(&s->arena, (size_t)in->partitions.n, sizeof *topic->partitions.at);
                if (!topic->partitions.at) return false;
                for (int32_t p = 0; p < in->partitions.n; p++) {
                        struct fetch_res_responses_partitions *part = &topic->partitions.at[p];
                        const struct fetch_req_topics_partitions *want = &in->partitions.at[p];
                        fetch_res_responses_partitions_init(part);
                        part->partition_index = want->partition;
                        part->high_watermark = part->last_stable_offset = ENDLESS;
                        part->records.n = 0;
                        if (left <= 0) continue;
                        part->records =
                            endless(s, want->fetch_offset, MIN(left, want->partition_max_bytes));
                        left -= part->records.n;
                }
        }
        fetch_res_encode(&res, o, version);
        return true;
}

static const struct {
        int16_t key;
        bool (*answer)(struct sink *s, struct cursor *c, int16_t version, struct out *o);
} answers[] = {
        { API_PRODUCE, answer_produce },
        { API_FETCH, answer_fetch },
        { API_LIST_OFFSETS, answer_offsets },
        { API_METADATA, answer_metadata },
        { API_API_VERSIONS, answer_versions },
        { API_CREATE_TOPICS, answer_create },
        { API_DELETE_TOPICS, answer_delete },
};

static bool answer_key(
    struct sink *s, int16_t key, struct cursor *c, int16_t version, struct out *o)
{
        for (size_t i = 0; i < COUNT_OF(answers); i++)
                if (answers[i].key == key) return answers[i].answer(s, c, version, o);
        return false;
}

static bool send_reply(struct sink_conn *x, const struct out *o)
{
        size_t n = out_total(o), at = 0;
        uint8_t *bytes = x->n < REPLIES_MAX ? malloc(n) : NULL;
        if (!bytes) return false;
        for (uint32_t i = 0; i < out_segments(o); i++) {
                memcpy(bytes + at, o->iov[i].iov_base, o->iov[i].iov_len);
                at += o->iov[i].iov_len;
        }
        x->replies[(x->at + x->n++) % REPLIES_MAX] = bytes;
        link_send(&x->link, bytes, n);
        return true;
}

static bool on_frame(struct link *l, struct bytes frame)
{
        struct sink_conn *x = CONTAINER_OF(l, struct sink_conn, link);
        struct sink *s = x->sink;
        struct cursor c = cursor_of(frame.p, (size_t)frame.n);
        struct request_header h;
        struct response_header rh;
        struct out o;
        if (frame.n < 8) return false;
        int16_t key = (int16_t)load_be16(frame.p), version = (int16_t)load_be16(frame.p + 2);
        if (!request_header_decode(&h, &c, api_request_header_version(key, version), &s->arena))
                return false;
        out_init(&o, &s->arena);
        response_header_init(&rh);
        rh.correlation_id = h.correlation_id;
        struct out_hole size = out_hole_i32(&o);
        response_header_encode(&rh, &o, api_response_header_version(key, version));
        size_t empty = out_total(&o);
        bool ok = answer_key(s, key, &c, version, &o) && !o.bad;
        if (ok && out_total(&o) > empty) {
                out_patch_i32(size, (int32_t)(out_total(&o) - 4));
                ok = send_reply(x, &o);
        }
        arena_reset(&s->arena);
        return ok;
}

static void on_sent(struct link *l, uint32_t frames)
{
        struct sink_conn *x = CONTAINER_OF(l, struct sink_conn, link);
        for (; frames > 0; frames--, x->n--) {
                free(x->replies[x->at]);
                x->at = (x->at + 1) % REPLIES_MAX;
        }
}

/* --- connections --- */

static void conn_free(struct sink_conn *x)
{
        for (; x->n > 0; x->n--) {
                free(x->replies[x->at]);
                x->at = (x->at + 1) % REPLIES_MAX;
        }
        list_remove(&x->all);
        link_free(&x->link);
        free(x);
}

static void conn_new(struct sink *s, int fd)
{
        struct sink_conn *x = calloc(1, sizeof *x);
        if (!x) {
                io_sock_close(s->io, fd);
                return;
        }
        x->sink = s;
        x->link.io = s->io;
        x->link.dirty = &s->dirty;
        x->link.on_frame = on_frame;
        x->link.on_sent = on_sent;
        list_push_back(&s->conns, &x->all);
        if (!link_start(&x->link, fd, REPLIES_MAX, RECV_ROOM)) conn_free(x);
}

static void on_accept(struct io_op *op)
{
        struct sink *s = CONTAINER_OF(op, struct sink, accept_op);
        CHECK_OBJ(s, SINK_MAGIC);
        s->accepting = false;
        if (op->res >= 0) conn_new(s, (int)op->res);
        if (atomic_load(&s->stop) || op->res < 0) return;
        s->accepting = true;
        io_accept(s->io, &s->accept_op, s->listener);
}

static void reap_conns(struct sink *s, bool all)
{
        struct list *next;
        for (struct list *l = s->conns.next; l != &s->conns; l = next) {
                next = l->next;
                struct sink_conn *x = CONTAINER_OF(l, struct sink_conn, all);
                if (all && !x->link.down) link_shutdown(&x->link);
                if (x->link.down && link_is_idle(&x->link)) conn_free(x);
        }
}

static void *sink_main(void *p)
{
        struct sink *s = p;
        CHECK_OBJ(s, SINK_MAGIC);
        s->accept_op.on_done = on_accept;
        s->accepting = true;
        io_accept(s->io, &s->accept_op, s->listener);
        while (!atomic_load(&s->stop)) {
                io_turn(s->io, UINT64_MAX);
                io_dispatch(s->io, DISPATCH_MAX);
                link_flush_all(&s->dirty);
                reap_conns(s, false);
        }
        io_shutdown(s->io, s->listener);
        while (s->accepting || !list_empty(&s->conns)) {
                reap_conns(s, true);
                if (!s->accepting && list_empty(&s->conns)) break;
                io_turn(s->io, UINT64_MAX);
                io_dispatch(s->io, DISPATCH_MAX);
        }
        return NULL;
}

/* --- life --- */

static int listen_any(struct sink *s, struct err *e)
{
        s->listener = io_listen(s->io, "127.0.0.1", 0, e);
        if (s->listener < 0) return s->listener;
        struct sockaddr_in a;
        socklen_t n = sizeof a;
        if (getsockname(s->listener, (struct sockaddr *)&a, &n) < 0)
                return err_set(e, ST_IO, "the null target has no address");
        s->port = load_be16(&a.sin_port);
        return 0;
}

int sink_start(const struct sink_spec *spec, struct sink **ret, struct err *e)
{
        struct sink *s = calloc(1, sizeof *s);
        if (!s) return err_set(e, ST_NOMEM, "no memory for the null target");
        s->magic = SINK_MAGIC;
        s->spec = *spec;
        s->listener = -1;
        list_init(&s->conns);
        list_init(&s->dirty);
        arena_init(&s->arena, SINK_ARENA_MAX);
        int r = (spec->posix ? io_posix_new : io_uring_new)(NULL, &s->io, e);
        if (r == 0) r = listen_any(s, e);
        if (r == 0 && pthread_create(&s->thread, NULL, sink_main, s) != 0)
                r = err_set(e, ST_NOMEM, "no thread for the null target");
        if (r < 0) {
                if (s->listener >= 0) io_sock_close(s->io, s->listener);
                io_free(s->io);
                free(s);
                return r;
        }
        *ret = s;
        return 0;
}

uint16_t sink_port(const struct sink *s)
{
        CHECK_OBJ(s, SINK_MAGIC);
        return s->port;
}

double sink_cpu_seconds(struct sink *s)
{
        CHECK_OBJ(s, SINK_MAGIC);
        clockid_t clock;
        struct timespec t = { 0 };
        if (pthread_getcpuclockid(s->thread, &clock) == 0) clock_gettime(clock, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void sink_stop(struct sink *s)
{
        CHECK_OBJ(s, SINK_MAGIC);
        atomic_store(&s->stop, true);
        io_wake(s->io, NULL);
        pthread_join(s->thread, NULL);
        io_sock_close(s->io, s->listener);
        io_free(s->io);
        arena_reset(&s->arena);
        s->magic = 0;
        free(s);
}
