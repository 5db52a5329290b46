/* A small script specification, and a reader of frames. */
#include "tests/unit/bench/bench_fixture.h"

#include "protocol/msg/headers.h"
#include "protocol/msg/produce.h"

#include <criterion/criterion.h>
#include <stdio.h>

void rig_init(struct rig *g)
{
        *g = (struct rig){ 0 };
        for (uint32_t i = 0; i < COUNT_OF(g->topics); i++) {
                snprintf(g->topics[i].name, TOPIC_NAME_ROOM, "topic-%u", i);
                g->topics[i].id.b[0] = (uint8_t)(i + 1);
        }
        g->set = (struct topic_set){ g->topics, 1, 4 };
        g->cx = codec_ctx_new();
        const struct payload_kind random = { .type = PAYLOAD_RANDOM };
        cr_assert(g->cx && payload_init(&g->payload, &random, 4096, NULL) == 0);
        rig_keys(g, (struct key_dist){ .kind = KEYS_NONE });
        g->spec = (struct script_spec){ .frame = { .topics = &g->set,
                                            .version = 13,
                                            .acks = -1,
                                            .timeout_ms = 1000,
                                            .cx = g->cx },
                .size = { .kind = SIZE_FIXED, .a = 100 },
                .keys = &g->keys,
                .payload = &g->payload,
                .batch_records = 10,
                .batch_bytes = 1 << 20,
                .partitions_per_request = 1,
                .n_partitions = 4,
                .ring_bytes = 1 << 20,
                .frames_least = 8,
                .seed = 7,
                .wall_ms = 1700000000000 };
}

void rig_keys(struct rig *g, struct key_dist d)
{
        keys_free(&g->keys);
        cr_assert(keys_init(&g->keys, &d));
}

void rig_free(struct rig *g)
{
        keys_free(&g->keys);
        payload_free(&g->payload);
        codec_ctx_free(g->cx);
}

static uint32_t number_of(
    const struct rig *g, const struct produce_req_topic_data *t, int32_t index)
{
        for (uint32_t i = 0; i < g->set.n; i++) {
                bool same = g->spec.frame.version >= 13
                                ? uuid_eq(t->topic_id, g->topics[i].id)
                                : str_eq(t->name, str_of(g->topics[i].name));
                if (same) return i * g->set.partitions + (uint32_t)index;
        }
        cr_assert(false, "a topic that was not given");
        return UINT32_MAX;
}

static void see_batch(const struct rig *g, const struct produce_req_topic_data_partition_data *p,
    struct seen_batch *b)
{
        struct batch_fault fault;
        struct batch_scan scan;
        b->at = p->records.p;
        cr_assert(
            batch_read_client(b->at, (size_t)p->records.n, &b->batch, &fault), "%s", fault.text);
        cr_assert_eq(b->batch.size, (uint32_t)p->records.n);
        cr_assert(batch_crc_ok(b->at, &b->batch));
        cr_assert(batch_check_client(&b->batch, &fault), "%s", fault.text);
        cr_assert(
            batch_scan_records(b->at, &b->batch, g->cx, 1 << 28, &scan, &fault), "%s", fault.text);
        cr_assert_eq(scan.max_timestamp, b->batch.max_timestamp);
}

void frame_see(const struct rig *g, const struct frame *f, struct seen_frame *ret)
{
        struct arena a;
        struct request_header h;
        struct produce_req m;
        int16_t version = g->spec.frame.version;
        arena_init(&a, 1 << 24);
        cr_assert_eq(load_be32(f->bytes), f->size - 4);
        struct cursor c = cursor_of(f->bytes + 4, f->size - 4);
        cr_assert(
            request_header_decode(&h, &c, api_request_header_version(API_PRODUCE, version), &a));
        cr_assert_eq(h.api_key, API_PRODUCE);
        cr_assert_eq(h.api_version, version);
        cr_assert(produce_req_decode(&m, &c, version, &a), "%s", c.why);
        cr_assert_eq(cursor_left(&c), 0);
        *ret = (struct seen_frame){ .correlation = (uint32_t)h.correlation_id, .acks = m.acks };
        for (int32_t t = 0; t < m.topic_data.n; t++) {
                const struct produce_req_topic_data *topic = &m.topic_data.at[t];
                for (int32_t i = 0; i < topic->partition_data.n; i++) {
                        cr_assert_lt(ret->n, SEEN_MAX);
                        struct seen_batch *b = &ret->batches[ret->n++];
                        b->partition = number_of(g, topic, topic->partition_data.at[i].index);
                        see_batch(g, &topic->partition_data.at[i], b);
                }
        }
        cr_assert_eq(ret->n, f->n_batches);
        arena_reset(&a);
}
