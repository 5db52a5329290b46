/* What takes time, in the simulator's virtual time: deadlines of connections, timeout.ms,
 * descriptors that run out. */
#include "base/check.h"
#include "protocol/errors.h"
#include "server/conn.h"
#include "tests/sim/io_sim.h"
#include "tests/unit/server/wire_client.h"

#include <criterion/criterion.h>
#include <errno.h>

enum { SHARDS = 2, PORT = 9092, ROOM = 1 << 16, MS = 1000000 };
static const uint64_t second = 1000 * 1000 * 1000;

static struct sim_world *world;
static struct io *ios[SHARDS], *client_io;
static struct config *config;
static struct server *server;
static struct rig memory; /* only its arena, for wire_batch() */

/* One end of a connection that a test holds. */
struct end {
        struct io_op op, send;
        struct iovec iov;
        int fd;
        bool connecting, receiving, sending, closed;
        uint8_t in[ROOM];
        size_t n;
};

static void turn(void)
{
        unsigned n = 0;
        uint64_t timer = UINT64_MAX;
        for (unsigned i = 0; i < SHARDS; i++) n += shard_turn(&server->shards[i], 0);
        io_turn(client_io, 0);
        n += io_dispatch(client_io, 100);
        if (n > 0) return;
        for (unsigned i = 0; i < SHARDS; i++)
                timer = MIN(timer, timers_next(&server->shards[i].own.timers));
        sim_step_until(world, timer);
}

static void run_for(uint64_t ns)
{
        for (uint64_t until = sim_now(world) + ns; sim_now(world) < until;) {
                uint64_t before = sim_now(world);
                turn();
                if (sim_now(world) == before && !sim_step_until(world, MIN(until, before + MS)))
                        continue;
        }
}

static void setup(void)
{
        static const char *const sets[] = { "log.dirs=/data",
                "listeners=PLAINTEXT://127.0.0.1:9092", "memory.limit.bytes=128 MiB",
                "connections.max.idle.ms=60000" };
        struct config_args a = { .sets = sets, .n_sets = COUNT_OF(sets) };
        struct err e;
        log_setup(LOG_ERROR, LOG_KV, 2);
        world =
            sim_world_new(&(struct sim_options){ .seed = 4, .disk_ns = 100000, .net_ns = 20000 });
        cr_assert_eq(config_load(&a, &config, &e), 0, "%s", e.text);
        for (unsigned i = 0; i < SHARDS; i++) cr_assert_eq(sim_io_new(world, &ios[i]), 0);
        cr_assert_eq(sim_client_io_new(world, &client_io), 0);
        cr_assert_eq(server_new(config, ios, SHARDS, &server, &e), 0, "%s", e.text);
        cr_assert_eq(server_start(server, &e), 0, "%s", e.text);
        arena_init(&memory.arena, 64 << 20);
}

static void teardown(void)
{
        server_stop(server, 1);
        while (!server_stopped(server)) turn();
        server_free(server);
        config_free(config);
        arena_reset(&memory.arena);
        for (unsigned i = 0; i < SHARDS; i++) io_free(ios[i]);
        io_free(client_io);
        sim_world_free(world);
}
TestSuite(time, .init = setup, .fini = teardown, .timeout = 120);

/* --- ends --- */

static void on_connected(struct io_op *op)
{
        struct end *x = CONTAINER_OF(op, struct end, op);
        x->fd = (int)op->res;
        x->connecting = false;
}

static void on_received(struct io_op *op)
{
        struct end *x = CONTAINER_OF(op, struct end, op);
        x->receiving = false;
        if (op->res > 0)
                x->n += (size_t)op->res;
        else
                x->closed = true;
        if (x->closed) return;
        x->receiving = true;
        io_recv(client_io, &x->op, x->fd, (struct bytes_mut){ x->in + x->n, ROOM - x->n });
}

static void on_sent(struct io_op *op)
{
        CONTAINER_OF(op, struct end, send)->sending = false;
}

static void end_open(struct end *x, bool reads)
{
        *x = (struct end){ .connecting = true };
        x->op.on_done = on_connected;
        io_connect(client_io, &x->op, "127.0.0.1", PORT);
        while (x->connecting) turn();
        cr_assert_geq(x->fd, 0);
        if (!reads) return;
        x->receiving = true;
        x->op.on_done = on_received;
        io_recv(client_io, &x->op, x->fd, (struct bytes_mut){ x->in, ROOM });
}

static void end_send(struct end *x, const void *p, size_t n)
{
        static uint8_t copy[ROOM];
        cr_assert_leq(n, sizeof(copy));
        memcpy(copy, p, n);
        for (size_t at = 0; at < n && !x->closed;) {
                x->iov = (struct iovec){ copy + at, n - at };
                x->sending = true;
                x->send.on_done = on_sent;
                io_send(client_io, &x->send, x->fd, &x->iov, 1);
                while (x->sending) turn();
                if (x->send.res <= 0) return;
                at += (size_t)x->send.res;
        }
}

static void end_close(struct end *x)
{
        io_shutdown(client_io, x->fd);
        while (x->receiving) turn();
        io_sock_close(client_io, x->fd);
}

static size_t encode(uint8_t *p, int16_t key, int16_t version, const void *req)
{
        struct out o;
        struct request_header h = { key, version, 1, STR("t") };
        out_init(&o, &memory.arena);
        struct out_hole size = out_hole_i32(&o);
        request_header_encode(&h, &o, api_request_header_version(key, version));
        if (key == API_PRODUCE) produce_req_encode(req, &o, version);
        if (key == API_METADATA) metadata_req_encode(req, &o, version);
        out_patch_i32(size, (int32_t)out_total(&o) - 4);
        size_t n = 0;
        for (uint32_t i = 0; i < out_segments(&o); i++) {
                memcpy(p + n, o.iov[i].iov_base, o.iov[i].iov_len);
                n += o.iov[i].iov_len;
        }
        return n;
}

static const uint8_t hello[16] = { 0, 0, 0, 12, 0, 18, 0, 0, 0, 0, 0, 1, 0, 2, 'm', 'e' };

/* --- connections --- */

Test(time, fault_21_nothing_said_in_ten_seconds)
{
        struct end x, y;
        end_open(&x, true);
        end_open(&y, true);
        end_send(&y, hello, 7); /* some of it does not help */
        run_for(9 * second);
        cr_expect_not(x.closed);
        run_for(2 * second);
        cr_expect(x.closed);
        cr_expect(y.closed);
        end_close(&x);
        end_close(&y);
}

Test(time, fault_3_half_a_request)
{
        struct end x;
        end_open(&x, true);
        end_send(&x, hello, sizeof(hello));
        end_send(&x, hello, 9);
        run_for(29 * second);
        cr_expect_not(x.closed);
        end_send(&x, hello + 9, 1); /* it goes on */
        run_for(29 * second);
        cr_expect_not(x.closed);
        run_for(2 * second);
        cr_expect(x.closed);
        end_close(&x);
}

Test(time, idle_connections_close)
{
        struct end x;
        end_open(&x, true);
        for (int i = 0; i < 5; i++) {
                end_send(&x, hello, sizeof(hello));
                run_for(50 * second);
                cr_expect_not(x.closed);
        }
        run_for(11 * second);
        cr_expect(x.closed);
        end_close(&x);
}

Test(time, fault_22_replies_that_nobody_reads)
{
        struct end x;
        static uint8_t many[256 * sizeof(hello)];
        for (size_t i = 0; i < sizeof(many); i++) many[i] = hello[i % sizeof(hello)];
        end_open(&x, false);
        /* Until the windows of both sides are full: the server stops reading, then it closes. */
        for (int i = 0; i < 1000; i++) {
                end_send(&x, many, sizeof(many));
                if (x.send.res <= 0) break;
        }
        cr_expect_leq(x.send.res, 0);
        run_for(40 * second);
        for (unsigned i = 0; i < SHARDS; i++)
                cr_expect_eq(conns_count(server->shards[i].own.conns), 0);
        io_sock_close(client_io, x.fd);
}

/* --- timeout.ms --- */

static void make_topic(struct end *x)
{
        uint8_t out[256];
        struct metadata_req_topics t = { .name = STR("t") };
        struct metadata_req q = { .topics = { 1, &t }, .allow_auto_topic_creation = true };
        size_t n = encode(out, API_METADATA, 4, &q);
        end_send(x, out, n);
        while (x->n < 4 || x->n < 4 + load_be32(x->in)) turn();
}

static struct produce_res_responses_partition_responses produce(struct end *x, int32_t timeout_ms)
{
        static uint8_t out[ROOM];
        struct records b = wire_batch(&memory, "x", 1, io_wall_ms(client_io));
        struct produce_req_topic_data_partition_data p = { 0, b };
        struct produce_req_topic_data t = { .name = STR("t"), .partition_data = { 1, &p } };
        struct produce_req q = { .transactional_id = STR_NULL,
                .acks = -1,
                .timeout_ms = timeout_ms,
                .topic_data = { 1, &t } };
        struct produce_res res;
        end_send(x, out, encode(out, API_PRODUCE, 8, &q));
        while (!x->closed && (x->n < 4 || x->n < 4 + load_be32(x->in))) turn();
        cr_assert_not(x->closed);
        struct cursor c = cursor_of(x->in + 8, x->n - 8);
        cr_assert(produce_res_decode(&res, &c, 8, &memory.arena));
        return res.responses.at[0].partition_responses.at[0];
}

Test(time, an_answer_does_not_wait_longer_than_timeout_ms)
{
        struct end x, y, z;
        end_open(&x, true);
        make_topic(&x);
        end_close(&x);
        end_open(&y, true);
        cr_expect_eq(produce(&y, 1000).error_code, 0);
        end_close(&y);
        sim_slow_disk(world, 100000);
        end_open(&z, true);
        uint64_t begun = sim_now(world);
        struct produce_res_responses_partition_responses r = produce(&z, 700);
        cr_expect_eq(r.error_code, WIRE_REQUEST_TIMED_OUT);
        cr_expect_eq(r.base_offset, -1);
        cr_expect_geq(sim_now(world) - begun, 700ULL * MS);
        cr_expect_lt(sim_now(world) - begun, 2 * second);
        unsigned detached = 0;
        for (unsigned i = 0; i < SHARDS; i++) detached += server->shards[i].own.conns->detached;
        cr_expect_eq(detached, 1, "the append goes on");
        cr_expect_eq(log_mark_hits("produce: answered before its appends were durable"), 1);
        end_close(&z);
        sim_slow_disk(world, 1);
        run_for(600 * second);
        for (unsigned i = 0; i < SHARDS; i++) cr_expect(conns_quiet(server->shards[i].own.conns));
        end_open(&x, true);
        cr_expect_eq(produce(&x, 1000).base_offset, 2, "and is in the log");
        end_close(&x);
}

/* --- accepting --- */

Test(time, fault_25_no_descriptors_no_busy_loop)
{
        struct end x;
        sim_fail(world,
            &(struct sim_fault){ .kind = IO_ACCEPT, .nth = 1, .error = EMFILE, .sticky = true });
        uint64_t turns = counter_get(&server->shards[0].own.stats->turns_busy);
        end_open(&x, true);
        run_for(5 * second);
        cr_expect_lt(counter_get(&server->shards[0].own.stats->turns_busy) - turns, 2000);
        cr_expect_gt(log_mark_hits("accept: out of file descriptors"), 0);
        sim_heal(world);
        end_close(&x);
        run_for(second);
        bool served = false;
        for (int i = 0; i < 10 && !served; i++) {
                end_open(&x, true);
                end_send(&x, hello, sizeof(hello));
                run_for(second);
                served = x.n > 0;
                end_close(&x);
        }
        cr_expect(served, "connections are taken again");
}
