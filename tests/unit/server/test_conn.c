/* Connections through raw bytes: framing, pipelining, versions, hostile frames, memory. */
#include "base/check.h"
#include "base/log.h"
#include "protocol/errors.h"
#include "server/conn.h"
#include "tests/unit/server/wire_client.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct rig rig;
static void setup(void)
{
        rig_open(&rig, NULL);
}
static void teardown(void)
{
        rig_close(&rig);
}
TestSuite(conn, .init = setup, .fini = teardown, .timeout = 120);

enum { T = 1700000000, ROOM = 1 << 16 };

/* ApiVersions in header v1, client id "me". */
static size_t hello(uint8_t *p, int16_t version, int32_t correlation)
{
        static const uint8_t tail[] = { 0, 2, 'm', 'e' };
        store_be32(p, 12);
        store_be16(p + 4, API_API_VERSIONS);
        store_be16(p + 6, (uint16_t)version);
        store_be32(p + 8, (uint32_t)correlation);
        memcpy(p + 12, tail, sizeof(tail));
        return 16;
}

static uint64_t sum_requests(void)
{
        const unsigned row = api_row(api_find(API_API_VERSIONS));
        uint64_t n = 0;
        for (unsigned i = 0; i < RIG_SHARDS; i++)
                n += counter_get(&rig.server->shards[i].own.stats->api[row].requests);
        return n;
}

Test(conn, one_byte_at_a_time)
{
        uint8_t out[16], in[ROOM];
        struct wire w = wire_open(&rig);
        size_t n = hello(out, 0, 7);
        for (size_t i = 0; i < n; i++) {
                cr_assert(wire_is_silent(&w, 3));
                wire_send(&w, out + i, 1);
        }
        cr_assert_gt(wire_reply(&w, in, sizeof(in)), 8);
        cr_expect_eq(load_be32(in), 7);
        wire_close(&w);
}

Test(conn, many_requests_in_one_piece_are_answered_in_order)
{
        enum { N = 500 };
        static uint8_t out[16 * N], in[ROOM];
        struct wire w = wire_open(&rig);
        size_t n = 0;
        for (int32_t i = 0; i < N; i++) n += hello(out + n, (int16_t)(i % 3), i);
        wire_send(&w, out, n);
        for (int32_t i = 0; i < N; i++) {
                cr_assert_gt(wire_reply(&w, in, sizeof(in)), 8);
                cr_assert_eq(load_be32(in), (uint32_t)i);
        }
        cr_expect_eq(sum_requests(), N);
        uint64_t sends = 0;
        for (unsigned i = 0; i < RIG_SHARDS; i++)
                sends += counter_get(&rig.server->shards[i].own.stats->sends);
        cr_expect_lt(sends, N / 2, "replies leave together");
        wire_close(&w);
}

Test(conn, row_C1_a_version_from_the_future_gets_all_keys_and_goes_on)
{
        static const int16_t odd[] = { 5, 99, INT16_MAX, -1, INT16_MIN };
        uint8_t out[32], in[ROOM];
        struct wire w = wire_open(&rig);
        unsigned rows;
        api_rows(&rows);
        for (size_t i = 0; i < COUNT_OF(odd); i++) {
                size_t n = hello(out, odd[i], 40 + (int32_t)i);
                wire_send(&w, out, n);
                int64_t got = wire_reply(&w, in, sizeof(in));
                cr_assert_eq(got, 4 + 2 + 4 + 6 * (int64_t)rows, "the layout of version 0");
                cr_expect_eq(load_be32(in), 40 + i);
                cr_expect_eq(load_be16(in + 4), WIRE_UNSUPPORTED_VERSION);
                cr_expect_eq(load_be32(in + 6), rows);
        }
        wire_send(&w, out, hello(out, 0, 9));
        cr_assert_gt(wire_reply(&w, in, sizeof(in)), 8);
        cr_expect_eq(load_be16(in + 4), 0);
        wire_close(&w);
}

Test(conn, api_versions_wants_a_proper_name)
{
        static const struct {
                const char *name;
                int16_t error;
        } cases[] = { { "varve-test", 0 }, { "a", 0 }, { "a.b-c9", 0 }, { "", 42 }, { "a_b", 42 },
                { "-a", 42 }, { "a-", 42 }, { "a b", 42 } };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                struct api_versions_req q = { str_of(cases[i].name), STR("1.0") };
                struct api_versions_res r;
                for (int16_t v = 3; v <= 4; v++) {
                        cr_assert(rig_call(&rig, API_API_VERSIONS, v, &q, &r));
                        cr_expect_eq(r.error_code, cases[i].error, "%s", cases[i].name);
                        cr_expect_eq(r.api_keys.n == 0, cases[i].error != 0);
                }
        }
}

Test(conn, faults_1_2_what_is_no_request_closes)
{
        static const struct {
                const char *name;
                const char *bytes;
                size_t n;
        } cases[] = { { "tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9 },
                { "http", "GET / HTTP/1.1\r\n\r\n", 18 }, { "ssh", "SSH-2.0-x\r\n", 11 },
                { "negative", "\xff\xff\xff\xff", 4 }, { "zero", "\0\0\0\0", 4 },
                { "huge", "\x7f\xff\xff\xff", 4 }, { "one", "\0\0\0\x01X", 5 },
                { "unknown key", "\0\0\0\x0a\x7f\0\0\0\0\0\0\x01\xff\xff", 14 },
                { "produce 2", "\0\0\0\x0a\0\0\0\x02\0\0\0\x01\xff\xff", 14 },
                { "fetch 3", "\0\0\0\x0a\0\x01\0\x03\0\0\0\x01\xff\xff", 14 },
                { "short body", "\0\0\0\x0a\0\x01\0\x04\0\0\0\x01\xff\xff", 14 } };
        log_setup(LOG_ERROR, LOG_KV, 2);
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                struct wire w = wire_open(&rig);
                wire_send(&w, cases[i].bytes, cases[i].n);
                cr_expect(wire_is_closed(&w), "%s", cases[i].name);
                wire_close(&w);
        }
        uint64_t faults = 0;
        for (unsigned i = 0; i < RIG_SHARDS; i++)
                faults += counter_get(&rig.server->shards[i].own.stats->closed_by_fault);
        cr_expect_eq(faults, COUNT_OF(cases));
}

Test(conn, what_came_before_a_bad_frame_is_answered)
{
        uint8_t out[64], in[ROOM];
        struct wire w = wire_open(&rig);
        log_setup(LOG_ERROR, LOG_KV, 2);
        size_t n = hello(out, 0, 1);
        n += hello(out + n, 0, 2);
        memset(out + n, 0xff, 4);
        wire_send(&w, out, n + 4);
        for (uint32_t i = 1; i <= 2; i++) {
                cr_assert_gt(wire_reply(&w, in, sizeof(in)), 8);
                cr_expect_eq(load_be32(in), i);
        }
        cr_expect(wire_is_closed(&w));
        wire_close(&w);
}

static size_t receive_used(void)
{
        size_t n = 0;
        for (unsigned i = 0; i < RIG_SHARDS; i++)
                n += block_pool_used(rig.server->shards[i].own.receive);
        return n;
}

Test(conn, fault_3_a_claimed_length_costs_nothing)
{
        enum { N = 50 };
        struct wire w[N];
        uint8_t claim[4];
        store_be32(claim, 10 << 20);
        for (int i = 0; i < N; i++) {
                w[i] = wire_open(&rig);
                wire_send(&w[i], claim, sizeof(claim));
                cr_assert(wire_is_silent(&w[i], 3));
        }
        cr_expect_leq(receive_used(), (size_t)N * (16 << 10));
        for (int i = 0; i < N; i++) wire_close(&w[i]);
}

Test(conn, an_idle_connection_holds_no_block)
{
        uint8_t out[16], in[ROOM];
        struct wire w = wire_open(&rig);
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        wire_produce(&rig, "t", 0, wire_batch(&rig, "0123456789", 60000, T));
        wire_send(&w, out, hello(out, 0, 1));
        cr_assert_gt(wire_reply(&w, in, sizeof(in)), 8);
        for (int i = 0; i < 100; i++) rig_turn(&rig);
        cr_expect_eq(receive_used(), 0, "%zu bytes", receive_used());
        wire_close(&w);
}

Test(conn, large_frames_in_a_row_are_not_copied)
{
        enum { N = 20 };
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        struct records b = wire_batch(&rig, "0123456789", 40000, T); /* some 700 KB */
        cr_assert_gt(b.n, 500000);
        wire_produce(&rig, "t", 0, b);
        uint64_t before = 0, after = 0, recvs = 0;
        for (unsigned i = 0; i < RIG_SHARDS; i++)
                before += counter_get(&rig.server->shards[i].own.stats->receive_copied);
        for (int i = 0; i < N; i++) wire_produce(&rig, "t", 0, b);
        for (unsigned i = 0; i < RIG_SHARDS; i++) {
                after += counter_get(&rig.server->shards[i].own.stats->receive_copied);
                recvs += counter_get(&rig.server->shards[i].own.stats->recvs);
        }
        cr_expect_leq(after - before, (uint64_t)N * CONN_HEAD);
        cr_expect_gt(recvs, 0);
}

Test(conn, a_frame_of_every_size_arrives)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        char *text = calloc(1, 900001);
        int64_t next = 0;
        for (size_t n = 1; n < 900000; n = n * 3 + 1) {
                memset(text, 'a', n);
                for (int k = 0; k < 3; k++) {
                        struct records b = wire_batch(&rig, text, 1, T);
                        cr_assert_eq(wire_produce(&rig, "t", 0, b).base_offset, next++);
                }
        }
        struct wire_fetch f = {
                .topic = "t", .max_bytes = 50 << 20, .partition_max_bytes = 50 << 20
        };
        int64_t got = 0;
        while (got < next) {
                f.offset = got;
                int32_t n = wire_count(wire_fetch(&rig, &f).records);
                cr_assert_gt(n, 0);
                got += n;
        }
        cr_expect_eq(got, next);
        free(text);
}

Test(conn, fault_22_a_reader_that_never_reads_stalls_only_itself)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        struct records b = wire_batch(&rig, "0123456789", 40000, T);
        for (int i = 0; i < 5; i++) wire_produce(&rig, "t", 0, b);
        struct wire w = wire_open(&rig);
        struct wire_fetch f = { .topic = "t", .partition_max_bytes = 4 << 20 };
        for (int i = 0; i < 40; i++) wire_ask(&w, API_FETCH, 11, wire_fetch_req(&rig, &f));
        for (int i = 0; i < 300; i++) rig_turn(&rig);
        size_t unsent = 0;
        for (unsigned i = 0; i < RIG_SHARDS; i++) {
                struct conns *cs = rig.server->shards[i].own.conns;
                for (struct list *l = cs->all.next; l != &cs->all; l = l->next)
                        unsent = MAX(unsent, CONTAINER_OF(l, struct conn, link)->unsent);
        }
        cr_expect_leq(unsent, (size_t)CONN_OUT_BYTES + (8 << 20), "%zu", unsent);
        cr_expect_eq(wire_produce(&rig, "t", 0, wire_batch(&rig, "x", 1, T)).error_code, 0);
        wire_close(&w);
}

enum { HELD_MAX = 20000 };
struct held {
        struct block *at[HELD_MAX];
        size_t n;
};

/* All that is left of the receive buffers. */
static void take_all(struct shard *s, struct held *h)
{
        static const size_t sizes[] = { 1 << 20, 64 << 10, 4096 };
        for (size_t i = 0; i < COUNT_OF(sizes); i++)
                for (struct block *b; (b = block_get(s->own.receive, sizes[i])) != NULL;) {
                        cr_assert_lt(h->n, (size_t)HELD_MAX);
                        h->at[h->n++] = b;
                }
}

Test(conn, without_memory_the_socket_is_not_read)
{
        static struct held held;
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        for (unsigned i = 0; i < RIG_SHARDS; i++) take_all(&rig.server->shards[i], &held);
        struct records b = wire_batch(&rig, "0123456789", 5000, T);
        struct produce_req_topic_data_partition_data p = { 0, b };
        struct produce_req_topic_data t = { .name = STR("t"), .partition_data = { 1, &p } };
        struct produce_req req = { .transactional_id = STR_NULL,
                .acks = -1,
                .timeout_ms = 30000,
                .topic_data = { 1, &t } };
        struct produce_res res;
        struct wire w = wire_open(&rig);
        uint64_t before = log_mark_hits("receive: no memory, the socket is not read");
        wire_ask(&w, API_PRODUCE, 9, &req);
        cr_expect(wire_is_silent(&w, 50));
        cr_expect_gt(log_mark_hits("receive: no memory, the socket is not read"), before);
        while (held.n > 0) block_unref(held.at[--held.n]);
        cr_assert(wire_answer(&w, API_PRODUCE, 9, &res));
        cr_expect_eq(res.responses.at[0].partition_responses.at[0].error_code, 0);
        wire_close(&w);
}

Test(conn, without_scratch_memory_requests_wait)
{
        uint8_t out[16], in[ROOM];
        struct wire parked[2 * RIG_SHARDS], w[2 * RIG_SHARDS];
        struct wire_fetch f = { .topic = "t", .max_wait_ms = 60000, .min_bytes = 1 };
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        for (unsigned i = 0; i < COUNT_OF(parked); i++) {
                parked[i] = wire_open(&rig);
                wire_ask(&parked[i], API_FETCH, 11, wire_fetch_req(&rig, &f));
                cr_assert(wire_is_silent(&parked[i], 5));
        }
        for (unsigned i = 0; i < RIG_SHARDS; i++) {
                struct budget *b = &rig.server->shards[i].own.arenas;
                b->used += b->limit;
        }
        uint64_t before = log_mark_hits("requests: scratch memory is used up");
        for (unsigned i = 0; i < COUNT_OF(w); i++) {
                w[i] = wire_open(&rig);
                wire_send(&w[i], out, hello(out, 0, (int32_t)i));
                cr_expect(wire_is_silent(&w[i], 5));
        }
        cr_expect_gt(log_mark_hits("requests: scratch memory is used up"), before);
        for (unsigned i = 0; i < RIG_SHARDS; i++) {
                struct budget *b = &rig.server->shards[i].own.arenas;
                b->used -= b->limit;
        }
        for (unsigned i = 0; i < COUNT_OF(w); i++) {
                cr_assert_gt(wire_reply(&w[i], in, sizeof(in)), 8);
                cr_expect_eq(load_be32(in), i);
                wire_close(&w[i]);
                wire_close(&parked[i]);
        }
}

Test(conn, stop_answers_what_is_in_flight)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        struct wire w = wire_open(&rig);
        struct wire_fetch f = { .topic = "t", .max_wait_ms = 60000, .min_bytes = 1 };
        wire_ask(&w, API_FETCH, 11, wire_fetch_req(&rig, &f));
        cr_assert(wire_is_silent(&w, 20));
        server_stop(rig.server, 1);
        struct fetch_res res;
        cr_assert(wire_answer(&w, API_FETCH, 11, &res), "a parked fetch answers now");
        cr_expect(wire_is_closed(&w));
        wire_close(&w);
}

/* --- where a connection lives --- */

static uint64_t sum_recvs(void)
{
        uint64_t n = 0;
        for (unsigned i = 0; i < RIG_SHARDS; i++)
                n += counter_get(&rig.server->shards[i].own.stats->recvs);
        return n;
}

/* The rig's own connection is the only one. */
static struct conn *only_conn(void)
{
        struct conn *c = NULL;
        for (unsigned i = 0; i < RIG_SHARDS; i++) {
                struct list *l = list_first(&rig.server->shards[i].own.conns->all);
                if (!l) continue;
                cr_assert(!c, "there are several");
                c = CONTAINER_OF(l, struct conn, link);
        }
        cr_assert(c);
        return c;
}

/* A partition of topic t (of 16) that the shard owns. */
static int32_t partition_on(const struct shard *s)
{
        const struct topic *t = registry_find(rig.server->shards[0].own.view, STR("t"));
        cr_assert(t);
        for (int32_t i = 0; i < t->partitions; i++)
                if (shard_of(rig.server, t->id, i) == s) return i;
        cr_skip_test("all partitions of this topic are on one shard");
        return -1;
}

static struct shard *other_shard(const struct conn *c)
{
        return &rig.server->shards[(c->shard->index + 1) % RIG_SHARDS];
}

static void produce_some(int32_t partition, int n)
{
        struct records b = wire_batch(&rig, "0123456789", 20, T);
        for (int i = 0; i < n; i++)
                cr_assert_eq(wire_produce(&rig, "t", partition, b).error_code, 0);
}

Test(conn, a_small_request_needs_one_receive)
{
        enum { N = 50 };
        cr_assert_eq(rig_create(&rig, "t", 16), 0);
        produce_some(0, 2);
        uint64_t before = sum_recvs();
        produce_some(0, N);
        cr_expect_eq(sum_recvs() - before, N);
        cr_expect_leq(receive_used(), (size_t)CONN_SMALL, "%zu", receive_used());
}

Test(conn, it_moves_to_the_shard_that_owns_what_it_asks_for)
{
        cr_assert_eq(rig_create(&rig, "t", 16), 0);
        struct conn *c = only_conn();
        struct shard *other = other_shard(c);
        produce_some(partition_on(c->shard), 40);
        cr_expect_neq(c->shard, other);
        produce_some(partition_on(other), 40);
        cr_expect_eq(c->shard, other);
        cr_expect_eq(c->place.moves, 1);
        cr_expect_eq(other->own.conns->count, 1);
        cr_expect_eq(counter_get(&other->own.stats->open), 1);
        /* It works there, and does not go back for so little. */
        produce_some(partition_on(other_shard(c)), 40);
        struct wire_fetch f = { .topic = "t", .partition = partition_on(other) };
        f.partition_max_bytes = f.max_bytes = 1 << 20;
        cr_expect_gt(wire_count(wire_fetch(&rig, &f).records), 0);
        cr_expect_eq(c->place.moves, 1);
}

Test(conn, it_stays_where_its_requests_go_everywhere)
{
        cr_assert_eq(rig_create(&rig, "t", 16), 0);
        struct conn *c = only_conn();
        int32_t here = partition_on(c->shard), there = partition_on(other_shard(c));
        for (int i = 0; i < 100; i++) produce_some(i % 8 ? there : here, 1);
        cr_expect_eq(c->place.moves, 0);
}

static struct produce_req *small_produce(int32_t partition)
{
        static struct produce_req_topic_data_partition_data p;
        static struct produce_req_topic_data t;
        static struct produce_req req;
        p.index = partition;
        p.records = wire_batch(&rig, "0123456789", 1, T);
        t.name = STR("t");
        t.partition_data.n = 1;
        t.partition_data.at = &p;
        req.transactional_id = STR_NULL;
        req.acks = -1;
        req.timeout_ms = 30000;
        req.topic_data.n = 1;
        req.topic_data.at = &t;
        return &req;
}

static unsigned sum_moves(void)
{
        unsigned n = 0;
        for (unsigned i = 0; i < RIG_SHARDS; i++) {
                struct conns *cs = rig.server->shards[i].own.conns;
                for (struct list *l = cs->all.next; l != &cs->all; l = l->next)
                        n += CONTAINER_OF(l, struct conn, link)->place.moves;
        }
        return n;
}

Test(conn, a_pipeline_moves_in_order)
{
        enum { N = 60 };
        cr_assert_eq(rig_create(&rig, "t", 16), 0);
        int32_t there = partition_on(other_shard(only_conn()));
        struct produce_res res;
        for (int i = 0; i < N; i++) rig_send(&rig, API_PRODUCE, 9, small_produce(there));
        for (int i = 0; i < N; i++) {
                cr_assert(rig_receive(&rig, API_PRODUCE, 9, &res));
                cr_assert_eq(res.responses.at[0].partition_responses.at[0].base_offset, i);
        }
        produce_some(there, 2);
        cr_expect_eq(sum_moves(), 1);
}

Test(conn, a_hot_partition_does_not_draw_all_to_one_shard)
{
        enum { N = 5 };
        cr_assert_eq(rig_create(&rig, "t", 16), 0);
        struct shard *hot = &rig.server->shards[1];
        int32_t partition = partition_on(hot);
        struct wire w[N];
        struct produce_res res;
        for (int i = 0; i < N; i++) w[i] = wire_open(&rig);
        for (int round = 0; round < 34; round++)
                for (int i = 0; i < N; i++) {
                        wire_ask(&w[i], API_PRODUCE, 9, small_produce(partition));
                        cr_assert(wire_answer(&w[i], API_PRODUCE, 9, &res));
                }
        cr_expect_gt(sum_moves(), 0);
        cr_expect_leq(hot->own.conns->count, (unsigned)(N + 1) / RIG_SHARDS + 1);
        for (int i = 0; i < N; i++) wire_close(&w[i]);
}

Test(conn, a_connection_that_is_about_to_move_may_close)
{
        cr_assert_eq(rig_create(&rig, "t", 16), 0);
        struct shard *hot = &rig.server->shards[1];
        int32_t partition = partition_on(hot);
        for (int n = 14; n < 20; n++) { /* before the sixteenth, with it, and after */
                struct wire w[2] = { wire_open(&rig), wire_open(&rig) };
                struct produce_res res;
                for (int i = 0; i < 2 * n; i++) {
                        wire_ask(&w[i % 2], API_PRODUCE, 9, small_produce(partition));
                        if (i < 2 * n - 2) cr_assert(wire_answer(&w[i % 2], API_PRODUCE, 9, &res));
                }
                wire_close(&w[0]);
                wire_close(&w[1]);
                for (int i = 0; i < 100; i++) rig_turn(&rig);
        }
        (void)only_conn();
}
