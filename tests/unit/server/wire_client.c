/* See wire_client.h. */
#include "tests/unit/server/wire_client.h"

#include "base/check.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 30 };

static time_t now_s(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec;
}

struct wire wire_open(struct rig *g)
{
        struct sockaddr_in to = { .sin_family = AF_INET,
                .sin_port = htobe16(server_port(g->server)),
                .sin_addr.s_addr = htobe32(INADDR_LOOPBACK) };
        struct wire w = { g, socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
        cr_assert_geq(w.fd, 0);
        cr_assert_eq(connect(w.fd, (struct sockaddr *)&to, sizeof(to)), 0, "%s", strerror(errno));
        cr_assert_eq(fcntl(w.fd, F_SETFL, O_NONBLOCK), 0);
        return w;
}

void wire_close(struct wire *w)
{
        if (w->fd >= 0) close(w->fd);
        w->fd = -1;
}

void wire_send(struct wire *w, const void *p, size_t n)
{
        const uint8_t *from = p;
        time_t until = now_s() + PATIENCE_S;
        while (n > 0) {
                ssize_t r = send(w->fd, from, n, MSG_NOSIGNAL);
                if (r < 0 && errno != EAGAIN) return; /* the server has closed it */
                if (r < 0) rig_turn(w->g);
                if (r > 0) {
                        from += r;
                        n -= (size_t)r;
                }
                cr_assert_lt(now_s(), until, "the server does not read");
        }
}

bool wire_receive(struct wire *w, void *p, size_t n)
{
        uint8_t *to = p;
        time_t until = now_s() + PATIENCE_S;
        while (n > 0) {
                ssize_t r = recv(w->fd, to, n, 0);
                if (r == 0 || (r < 0 && errno != EAGAIN)) return false;
                if (r < 0) rig_turn(w->g);
                if (r > 0) {
                        to += r;
                        n -= (size_t)r;
                }
                cr_assert_lt(now_s(), until, "no answer");
        }
        return true;
}

void wire_ask(struct wire *w, int16_t key, int16_t version, const void *req)
{
        int mine = w->g->fd;
        w->g->fd = w->fd;
        rig_send(w->g, key, version, req);
        w->g->fd = mine;
}

bool wire_answer(struct wire *w, int16_t key, int16_t version, void *res)
{
        int mine = w->g->fd;
        w->g->fd = w->fd;
        bool ok = rig_receive(w->g, key, version, res);
        w->fd = w->g->fd; /* -1: closed */
        w->g->fd = mine;
        return ok;
}

int64_t wire_reply(struct wire *w, uint8_t *p, size_t room)
{
        uint8_t size[4];
        if (!wire_receive(w, size, sizeof(size))) return -1;
        uint32_t n = load_be32(size);
        cr_assert_leq(n, room);
        return wire_receive(w, p, n) ? (int64_t)n : -1;
}

bool wire_is_closed(struct wire *w)
{
        uint8_t byte;
        return !wire_receive(w, &byte, 1);
}

bool wire_is_silent(struct wire *w, unsigned turns)
{
        uint8_t byte;
        for (unsigned i = 0; i < turns; i++) rig_turn(w->g);
        return recv(w->fd, &byte, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

struct records wire_batch(struct rig *g, const char *text, int32_t count, int64_t time)
{
        struct record_in *r = arena_array(&g->arena, (size_t)count, sizeof(*r));
        int32_t n = (int32_t)strlen(text);
        for (int32_t i = 0; i < count; i++)
                r[i] = (struct record_in){ .timestamp = time + i,
                        .key = { NULL, -1 },
                        .value = { (const uint8_t *)text, n } };
        struct batch_build b = { .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = r,
                .count = count };
        size_t room = batch_encode_bound(&b);
        uint8_t *out = arena_alloc(&g->arena, room);
        struct err e;
        int64_t size = batch_encode(
            &b, NULL, (struct bytes_mut){ NULL, 0 }, (struct bytes_mut){ out, room }, &e);
        cr_assert_gt(size, 0, "%s", e.text);
        return (struct records){ .p = out, .n = (int32_t)size };
}

struct produce_res_responses_partition_responses wire_produce(
    struct rig *g, const char *topic, int32_t partition, struct records records)
{
        struct produce_req_topic_data_partition_data p = { partition, records };
        struct produce_req_topic_data t = { .name = str_of(topic), .partition_data = { 1, &p } };
        struct produce_req req = { .transactional_id = STR_NULL,
                .acks = -1,
                .timeout_ms = 30000,
                .topic_data = { 1, &t } };
        struct produce_res res;
        cr_assert(rig_call(g, API_PRODUCE, 9, &req, &res));
        cr_assert_eq(res.responses.n, 1);
        cr_assert_eq(res.responses.at[0].partition_responses.n, 1);
        return res.responses.at[0].partition_responses.at[0];
}

struct fetch_req *wire_fetch_req(struct rig *g, const struct wire_fetch *f)
{
        struct {
                struct fetch_req req;
                struct fetch_req_topics topic;
                struct fetch_req_topics_partitions part;
        } *x = arena_alloc(&g->arena, sizeof(*x));
        fetch_req_init(&x->req);
        fetch_req_topics_init(&x->topic);
        fetch_req_topics_partitions_init(&x->part);
        x->req.max_wait_ms = f->max_wait_ms;
        x->req.min_bytes = f->min_bytes;
        if (f->max_bytes) x->req.max_bytes = f->max_bytes;
        x->req.topics.n = 1;
        x->req.topics.at = &x->topic;
        x->topic.topic = str_of(f->topic);
        x->topic.partitions.n = 1;
        x->topic.partitions.at = &x->part;
        x->part.partition = f->partition;
        x->part.fetch_offset = f->offset;
        x->part.partition_max_bytes = f->partition_max_bytes ? f->partition_max_bytes : 1 << 20;
        return &x->req;
}

struct fetch_res_responses_partitions wire_fetch(struct rig *g, const struct wire_fetch *f)
{
        struct fetch_res res;
        int16_t version = f->version ? f->version : 11;
        cr_assert(rig_call(g, API_FETCH, version, wire_fetch_req(g, f), &res));
        cr_assert_eq(res.responses.n, 1);
        cr_assert_eq(res.responses.at[0].partitions.n, 1);
        return res.responses.at[0].partitions.at[0];
}

int32_t wire_count(struct records r)
{
        int32_t count = 0;
        cr_assert_geq(r.n, 0, "records are null");
        for (int32_t at = 0; at < r.n;) {
                struct batch b;
                const char *why = batch_read(r.p + at, (size_t)(r.n - at), true, &b);
                cr_assert_null(why, "%s", why);
                cr_assert(batch_crc_ok(r.p + at, &b));
                count += b.count;
                at += (int32_t)b.size;
        }
        return count;
}
