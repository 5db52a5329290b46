/* Fetch through a socket: limits, waiting, errors, sessions. */
#include "base/check.h"
#include "protocol/errors.h"
#include "server/conn.h"
#include "tests/unit/server/wire_client.h"

#include <criterion/criterion.h>

static struct rig rig;
static void setup(void)
{
        rig_open(&rig, NULL);
}
static void teardown(void)
{
        rig_close(&rig);
}
TestSuite(fetch, .init = setup, .fini = teardown, .timeout = 120);

enum { T = 1700000000, MANY = 6 };

typedef struct fetch_res_responses_partitions part_res;

static void fill(const char *topic, int32_t partition, int batches)
{
        static char kilobyte[1001];
        memset(kilobyte, 'v', sizeof(kilobyte) - 1);
        for (int i = 0; i < batches; i++) {
                struct records b = wire_batch(&rig, kilobyte, 1, T + i);
                cr_assert_eq(wire_produce(&rig, topic, partition, b).error_code, 0);
        }
}

Test(fetch, from_any_offset_whole_batches)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        cr_assert_eq(wire_produce(&rig, "t", 0, wire_batch(&rig, "a", 10, T)).error_code, 0);
        cr_assert_eq(wire_produce(&rig, "t", 0, wire_batch(&rig, "b", 10, T)).error_code, 0);
        for (int64_t offset = 0; offset <= 20; offset++) {
                struct wire_fetch f = { .topic = "t", .offset = offset };
                part_res r = wire_fetch(&rig, &f);
                cr_expect_eq(r.error_code, 0);
                cr_expect_eq(r.high_watermark, 20);
                cr_expect_eq(r.last_stable_offset, 20);
                cr_expect_eq(r.log_start_offset, 0);
                cr_expect_eq(wire_count(r.records), offset < 10 ? 20 : offset < 20 ? 10 : 0);
        }
}

Test(fetch, errors_say_nothing_else)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        fill("t", 0, 1);
        struct wire_fetch bad[] = {
                { .topic = "t", .offset = 2, .max_wait_ms = 10000, .min_bytes = 1 },
                { .topic = "t", .offset = -1 }, { .topic = "t", .partition = 1 }, { .topic = "u" },
                { .topic = "t", .partition_max_bytes = -1 }
        };
        static const int16_t want[] = { 1, 1, 3, 3, -1 };
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
                part_res r = wire_fetch(&rig, &bad[i]);
                cr_expect_eq(r.error_code, want[i], "%zu: %d", i, r.error_code);
                cr_expect_eq(r.high_watermark, -1);
                cr_expect_eq(r.log_start_offset, -1);
                cr_expect_eq(r.records.n, 0, "empty, not null");
                cr_expect_eq(r.aborted_transactions.n, want[i] == 3 ? 0 : -1);
        }
}

Test(fetch, epochs)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        fill("t", 0, 1);
        struct wire_fetch f = { .topic = "t" };
        struct fetch_res res;
        struct fetch_req *q = wire_fetch_req(&rig, &f);
        q->topics.at[0].partitions.at[0].current_leader_epoch = 1;
        cr_assert(rig_call(&rig, API_FETCH, 12, q, &res));
        cr_expect_eq(res.responses.at[0].partitions.at[0].error_code, WIRE_UNKNOWN_LEADER_EPOCH);
        q->topics.at[0].partitions.at[0].current_leader_epoch = 0;
        q->topics.at[0].partitions.at[0].last_fetched_epoch = 0;
        cr_assert(rig_call(&rig, API_FETCH, 12, q, &res));
        cr_expect_eq(wire_count(res.responses.at[0].partitions.at[0].records), 1);
        q->topics.at[0].partitions.at[0].last_fetched_epoch = 3;
        cr_assert(rig_call(&rig, API_FETCH, 12, q, &res));
        cr_expect_eq(res.responses.at[0].partitions.at[0].error_code, WIRE_OFFSET_OUT_OF_RANGE);
        q->replica_id = 2;
        cr_assert(rig_call(&rig, API_FETCH, 12, q, &res));
        cr_expect_eq(res.responses.at[0].partitions.at[0].error_code, WIRE_NOT_LEADER_OR_FOLLOWER);
        cr_expect_eq(res.responses.at[0].partitions.at[0].current_leader.leader_id, 1);
        q->replica_id = -1;
        q->isolation_level = 2;
        cr_assert(rig_call(&rig, API_FETCH, 12, q, &res));
        cr_expect_eq(res.error_code, -1);
        cr_expect_eq(res.responses.at[0].partitions.at[0].error_code, -1);
}

Test(fetch, the_first_batch_ignores_limits)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        fill("t", 0, 5);
        struct wire_fetch f = { .topic = "t", .partition_max_bytes = 1 };
        cr_expect_eq(wire_count(wire_fetch(&rig, &f).records), 1);
        f = (struct wire_fetch){ .topic = "t", .max_bytes = 1 };
        cr_expect_eq(wire_count(wire_fetch(&rig, &f).records), 1);
        f = (struct wire_fetch){ .topic = "t", .partition_max_bytes = 2500 };
        cr_expect_eq(wire_count(wire_fetch(&rig, &f).records), 2);
}

static struct fetch_req *all_of(const char *topic)
{
        struct wire_fetch f = { .topic = topic };
        struct fetch_req *q = wire_fetch_req(&rig, &f);
        struct fetch_req_topics_partitions *p = arena_array(&rig.arena, MANY, sizeof(*p));
        for (int32_t i = 0; i < MANY; i++) {
                fetch_req_topics_partitions_init(&p[i]);
                p[i].partition = i;
                p[i].partition_max_bytes = 1 << 20;
        }
        q->topics.at[0].partitions.n = MANY;
        q->topics.at[0].partitions.at = p;
        return q;
}

static int64_t bytes_of(const struct fetch_res *res)
{
        int64_t n = 0;
        for (int32_t i = 0; i < res->responses.n; i++)
                for (int32_t k = 0; k < res->responses.at[i].partitions.n; k++)
                        n += MAX(res->responses.at[i].partitions.at[k].records.n, 0);
        return n;
}

Test(fetch, max_bytes_over_partitions_of_several_shards)
{
        cr_assert_eq(rig_create(&rig, "t", MANY), 0);
        for (int32_t i = 0; i < MANY; i++) fill("t", i, 4);
        struct fetch_req *q = all_of("t");
        struct fetch_res res;
        cr_assert(rig_call(&rig, API_FETCH, 11, q, &res));
        int64_t all = bytes_of(&res);
        cr_expect_gt(all, MANY * 4 * 1000);
        for (int32_t limit = 0; limit < 30000; limit += 700) {
                q->max_bytes = limit;
                cr_assert(rig_call(&rig, API_FETCH, 11, q, &res));
                cr_assert_eq(res.responses.at[0].partitions.n, MANY);
                int64_t got = bytes_of(&res);
                cr_expect_gt(got, 0);
                cr_expect(got <= limit || got < 1200, "%d: %ld", limit, (long)got);
        }
}

Test(fetch, a_partition_named_twice_is_answered_once)
{
        cr_assert_eq(rig_create(&rig, "t", MANY), 0);
        fill("t", 1, 3);
        struct fetch_req *q = all_of("t");
        q->topics.at[0].partitions.at[0].partition = 1;
        q->topics.at[0].partitions.at[1].fetch_offset = 2; /* the last one counts */
        q->topics.at[0].partitions.n = 2;
        struct fetch_res res;
        cr_assert(rig_call(&rig, API_FETCH, 11, q, &res));
        cr_assert_eq(res.responses.n, 1);
        cr_assert_eq(res.responses.at[0].partitions.n, 1);
        cr_expect_eq(wire_count(res.responses.at[0].partitions.at[0].records), 1);
}

/* --- waiting --- */

static uint64_t now_ns(void)
{
        return io_now_ns(rig.ios[0]);
}

Test(fetch, waits_for_the_deadline_when_nothing_comes)
{
        cr_assert_eq(rig_create(&rig, "t", MANY), 0);
        struct fetch_req *q = all_of("t");
        struct fetch_res res;
        q->max_wait_ms = 200;
        q->min_bytes = 1;
        rig_turn(&rig);
        uint64_t begun = now_ns();
        cr_assert(rig_call(&rig, API_FETCH, 11, q, &res));
        cr_expect_geq(now_ns() - begun, 190 * 1000000ULL);
        cr_expect_lt(now_ns() - begun, 2000 * 1000000ULL);
        cr_expect_eq(bytes_of(&res), 0);
        cr_expect_eq(res.responses.at[0].partitions.n, MANY);
}

Test(fetch, is_woken_by_what_it_waits_for)
{
        cr_assert_eq(rig_create(&rig, "t", MANY), 0);
        struct wire other = wire_open(&rig);
        for (int32_t p = 0; p < MANY; p++) {
                struct fetch_req *q = all_of("t");
                q->max_wait_ms = 30000;
                q->min_bytes = 1;
                for (int32_t k = 0; k < MANY; k++)
                        q->topics.at[0].partitions.at[k].fetch_offset = k < p ? 1 : 0;
                wire_ask(&other, API_FETCH, 11, q);
                cr_assert(wire_is_silent(&other, 20), "parked");
                cr_assert_eq(wire_produce(&rig, "t", p, wire_batch(&rig, "x", 1, T)).error_code, 0);
                struct fetch_res res;
                cr_assert(wire_answer(&other, API_FETCH, 11, &res));
                cr_expect_eq(wire_count(res.responses.at[0].partitions.at[p].records), 1);
        }
        wire_close(&other);
}

Test(fetch, min_bytes_are_summed_over_shards)
{
        cr_assert_eq(rig_create(&rig, "t", MANY), 0);
        struct wire other = wire_open(&rig);
        struct fetch_req *q = all_of("t");
        q->max_wait_ms = 30000;
        q->min_bytes = MANY * 1000;
        wire_ask(&other, API_FETCH, 11, q);
        for (int32_t p = 0; p < MANY; p++) {
                cr_assert(wire_is_silent(&other, 20), "%d are not enough", p);
                fill("t", p, 1);
        }
        struct fetch_res res;
        cr_assert(wire_answer(&other, API_FETCH, 11, &res));
        cr_expect_geq(bytes_of(&res), MANY * 1000);
        wire_close(&other);
}

Test(fetch, a_parked_one_does_not_keep_others_waiting)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        struct wire parked = wire_open(&rig);
        struct wire_fetch f = { .topic = "t", .max_wait_ms = 60000, .min_bytes = 1 };
        wire_ask(&parked, API_FETCH, 11, wire_fetch_req(&rig, &f));
        cr_assert(wire_is_silent(&parked, 20));
        cr_assert_eq(rig_create(&rig, "u", 1), 0);
        wire_close(&parked); /* its client is gone: the request ends long before its deadline */
        for (int i = 0; i < 100000; i++) {
                struct shard *s = rig.server->shards;
                if (conns_quiet(s[0].own.conns) + conns_quiet(s[1].own.conns) >= 1) break;
                rig_turn(&rig);
        }
        cr_expect(conns_quiet(rig.server->shards[0].own.conns) ||
                  conns_quiet(rig.server->shards[1].own.conns));
}

Test(fetch, a_deleted_topic_ends_the_wait)
{
        cr_assert_eq(rig_create(&rig, "t", MANY), 0);
        struct wire other = wire_open(&rig);
        struct fetch_req *q = all_of("t");
        q->max_wait_ms = 60000;
        q->min_bytes = 1;
        wire_ask(&other, API_FETCH, 11, q);
        cr_assert(wire_is_silent(&other, 20));
        cr_assert_eq(rig_delete(&rig, "t"), 0);
        struct fetch_res res;
        cr_assert(wire_answer(&other, API_FETCH, 11, &res));
        int32_t unknown = 0;
        for (int32_t i = 0; i < res.responses.at[0].partitions.n; i++)
                unknown += res.responses.at[0].partitions.at[i].error_code == 3;
        cr_expect_gt(unknown, 0);
        wire_close(&other);
}

/* --- sessions --- */

static struct fetch_res session_call(struct fetch_req *q, int32_t id, int32_t epoch)
{
        struct fetch_res res;
        q->session_id = id;
        q->session_epoch = epoch;
        cr_assert(rig_call(&rig, API_FETCH, 11, q, &res));
        return res;
}

static struct fetch_req *nothing_new(void)
{
        struct fetch_req *q = all_of("t");
        q->topics.n = 0;
        return q;
}

Test(fetch, a_session_tells_only_what_changed)
{
        cr_assert_eq(rig_create(&rig, "t", MANY), 0);
        fill("t", 2, 1);
        struct fetch_res res = session_call(all_of("t"), 0, 0);
        int32_t id = res.session_id;
        cr_assert_gt(id, 0);
        cr_assert_eq(res.responses.at[0].partitions.n, MANY, "the first answer is complete");
        /* The consumer has read partition 2 and asks from 1 on. */
        struct fetch_req *q = all_of("t");
        q->topics.at[0].partitions.n = 1;
        q->topics.at[0].partitions.at[0].partition = 2;
        q->topics.at[0].partitions.at[0].fetch_offset = 1;
        res = session_call(q, id, 1);
        cr_expect_eq(res.session_id, id);
        cr_expect_eq(res.responses.n, 0);
        fill("t", 4, 2);
        res = session_call(nothing_new(), id, 2);
        cr_assert_eq(res.responses.n, 1);
        cr_assert_eq(res.responses.at[0].partitions.n, 1);
        cr_expect_eq(res.responses.at[0].partitions.at[0].partition_index, 4);
        cr_expect_eq(wire_count(res.responses.at[0].partitions.at[0].records), 2);
        /* Not moved on: the records come again. */
        res = session_call(nothing_new(), id, 3);
        cr_expect_eq(res.responses.at[0].partitions.n, 1);
}

Test(fetch, a_session_works_from_every_connection)
{
        cr_assert_eq(rig_create(&rig, "t", MANY), 0);
        int32_t id = session_call(all_of("t"), 0, 0).session_id;
        for (int32_t epoch = 1; epoch < 9; epoch++) { /* dealt out to the shards in turn */
                struct wire w = wire_open(&rig);
                int mine = rig.fd;
                rig.fd = w.fd;
                fill("t", epoch % MANY, 1);
                struct fetch_res res = session_call(nothing_new(), id, epoch);
                cr_expect_eq(res.error_code, 0, "epoch %d: %d", epoch, res.error_code);
                cr_expect_eq(res.session_id, id);
                rig.fd = mine;
                wire_close(&w);
        }
}

Test(fetch, sessions_refuse_what_does_not_fit)
{
        cr_assert_eq(rig_create(&rig, "t", MANY), 0);
        int32_t id = session_call(all_of("t"), 0, 0).session_id;
        struct fetch_res res = session_call(nothing_new(), id, 2);
        cr_expect_eq(res.error_code, WIRE_INVALID_FETCH_SESSION_EPOCH);
        cr_expect_eq(res.session_id, 0);
        cr_expect_eq(res.responses.n, 0);
        res = session_call(nothing_new(), id ^ 0x01000000, 1);
        cr_expect_eq(res.error_code, WIRE_FETCH_SESSION_ID_NOT_FOUND);
        res = session_call(nothing_new(), 0, 1);
        cr_expect_eq(res.error_code, WIRE_FETCH_SESSION_ID_NOT_FOUND);
        struct fetch_req *q = nothing_new();
        q->session_id = id;
        q->session_epoch = 1;
        cr_assert(rig_call(&rig, API_FETCH, 13, q, &res));
        cr_expect_eq(res.error_code, WIRE_FETCH_SESSION_TOPIC_ID_ERROR);
        /* None of these has moved it. */
        cr_expect_eq(session_call(nothing_new(), id, 1).session_id, id);
        /* Closed by a full request without one. */
        res = session_call(all_of("t"), id, -1);
        cr_expect_eq(res.session_id, 0);
        cr_expect_eq(res.responses.at[0].partitions.n, MANY);
        cr_expect_eq(
            session_call(nothing_new(), id, 2).error_code, WIRE_FETCH_SESSION_ID_NOT_FOUND);
}

Test(fetch, a_session_forgets_and_ends_when_empty)
{
        cr_assert_eq(rig_create(&rig, "t", MANY), 0);
        int32_t id = session_call(all_of("t"), 0, 0).session_id;
        int32_t some[] = { 0, 1, 2 }, rest[] = { 3, 4, 5 };
        struct fetch_req_forgotten_topics_data f = { .topic = STR("t"), .partitions = { 3, some } };
        struct fetch_req *q = nothing_new();
        q->forgotten_topics_data.n = 1;
        q->forgotten_topics_data.at = &f;
        cr_expect_eq(session_call(q, id, 1).session_id, id);
        fill("t", 1, 1);
        cr_expect_eq(session_call(nothing_new(), id, 2).responses.n, 0, "it is forgotten");
        f.partitions.at = rest;
        cr_expect_eq(session_call(q, id, 3).session_id, 0);
        cr_expect_eq(
            session_call(nothing_new(), id, 4).error_code, WIRE_FETCH_SESSION_ID_NOT_FOUND);
        cr_expect_gt(session_call(nothing_new(), 0, 0).session_id, 0, "an empty one may begin");
}

Test(fetch, an_error_is_repeated_in_a_session)
{
        cr_assert_eq(rig_create(&rig, "t", 1), 0);
        struct fetch_req *q = all_of("t"); /* five partitions are not there */
        struct fetch_res res = session_call(q, 0, 0);
        for (int32_t epoch = 1; epoch < 4; epoch++) {
                struct fetch_res again = session_call(nothing_new(), res.session_id, epoch);
                cr_assert_eq(again.responses.n, 1);
                cr_expect_eq(again.responses.at[0].partitions.n, MANY - 1);
        }
}
