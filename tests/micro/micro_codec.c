/* Produce and Fetch on the wire: a request is decoded with its header, an answer is encoded, both
 * with the scratch memory that a request gets and gives back.  Versions: those that librdkafka and
 * Java clients send, and the newest one without compact fields that many others send. */
#include "base/check.h"
#include "protocol/msg/fetch.h"
#include "protocol/msg/headers.h"
#include "protocol/msg/produce.h"
#include "tests/micro/micro.h"

enum { PARTITIONS = 16, RECORD_BYTES = 1024, ARENA_MAX = 1 << 20 };

struct state {
        struct arena arena; /* of one request */
        uint8_t *frame;
        size_t frame_size;
        struct slice slice;
        struct produce_req_topic_data_partition_data produce_ask[PARTITIONS];
        struct produce_res_responses_partition_responses produce_answer[PARTITIONS];
        struct produce_res_responses produce_topic;
        struct produce_res produce_res;
        struct fetch_req_topics_partitions fetch_ask[PARTITIONS];
        struct fetch_res_responses_partitions fetch_answer[PARTITIONS];
        struct fetch_res_responses fetch_topic;
        struct fetch_res fetch_res;
};

static uint8_t records[RECORD_BYTES];
static const struct uuid topic_id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };

static struct state *state_new(struct micro *m)
{
        struct state *s = calloc(1, sizeof *s);
        assert(s);
        arena_init(&s->arena, ARENA_MAX);
        m->state = s;
        return s;
}

static void teardown(struct micro *m)
{
        struct state *s = m->state;
        arena_reset(&s->arena);
        free(s->frame);
        free(s);
}

/* --- requests --- */

static void begin_frame(struct state *s, struct out *o, int16_t key, int version)
{
        struct request_header h = { key, (int16_t)version, 7, STR("client-1") };
        out_init(o, &s->arena);
        request_header_encode(&h, o, api_request_header_version(key, h.api_version));
}

/* What was encoded becomes the frame, in one piece. */
static void end_frame(struct state *s, const struct out *o)
{
        assert(!o->bad);
        s->frame = malloc(o->total);
        assert(s->frame);
        for (uint32_t i = 0; i < o->n_iov; i++) {
                memcpy(s->frame + s->frame_size, o->iov[i].iov_base, o->iov[i].iov_len);
                s->frame_size += o->iov[i].iov_len;
        }
        assert(s->frame_size == o->total);
}

static void produce_req_setup(struct micro *m)
{
        struct state *s = state_new(m);
        struct produce_req_topic_data topic = { STR("events"), topic_id,
                { PARTITIONS, s->produce_ask } };
        struct produce_req q;
        struct out o;
        produce_req_init(&q);
        q.acks = -1;
        q.timeout_ms = 30000;
        q.topic_data.n = 1;
        q.topic_data.at = &topic;
        for (int i = 0; i < PARTITIONS; i++) {
                produce_req_topic_data_partition_data_init(&s->produce_ask[i]);
                s->produce_ask[i].index = i;
                s->produce_ask[i].records = (struct records){ .p = records, .n = RECORD_BYTES };
        }
        begin_frame(s, &o, API_PRODUCE, m->way);
        produce_req_encode(&q, &o, (int16_t)m->way);
        end_frame(s, &o);
}

static void fetch_req_setup(struct micro *m)
{
        struct state *s = state_new(m);
        struct fetch_req_topics topic = { STR("events"), topic_id, { PARTITIONS, s->fetch_ask } };
        struct fetch_req q;
        struct out o;
        fetch_req_init(&q);
        q.max_wait_ms = 500;
        q.min_bytes = 1;
        q.topics.n = 1;
        q.topics.at = &topic;
        for (int i = 0; i < PARTITIONS; i++) {
                fetch_req_topics_partitions_init(&s->fetch_ask[i]);
                s->fetch_ask[i].partition = i;
                s->fetch_ask[i].fetch_offset = 1000 * i;
                s->fetch_ask[i].partition_max_bytes = 1 << 20;
        }
        begin_frame(s, &o, API_FETCH, m->way);
        fetch_req_encode(&q, &o, (int16_t)m->way);
        end_frame(s, &o);
}

static struct cursor decode_header(struct state *s, int16_t key, int version)
{
        struct request_header h;
        struct cursor c = cursor_of(s->frame, s->frame_size);
        arena_reset(&s->arena);
        bool ok = request_header_decode(
            &h, &c, api_request_header_version(key, (int16_t)version), &s->arena);
        assert(ok && h.api_key == key);
        return c;
}

static void produce_decode(struct micro *m)
{
        struct state *s = m->state;
        struct produce_req q;
        struct cursor c = decode_header(s, API_PRODUCE, m->way);
        bool ok = produce_req_decode(&q, &c, (int16_t)m->way, &s->arena);
        assert(ok && q.topic_data.at[0].partition_data.n == PARTITIONS);
}

static void fetch_decode(struct micro *m)
{
        struct state *s = m->state;
        struct fetch_req q;
        struct cursor c = decode_header(s, API_FETCH, m->way);
        bool ok = fetch_req_decode(&q, &c, (int16_t)m->way, &s->arena);
        assert(ok && q.topics.at[0].partitions.n == PARTITIONS);
}

/* --- answers --- */

static void produce_res_setup(struct micro *m)
{
        struct state *s = state_new(m);
        produce_res_init(&s->produce_res);
        produce_res_responses_init(&s->produce_topic);
        s->produce_topic.name = STR("events");
        s->produce_topic.topic_id = topic_id;
        s->produce_topic.partition_responses.n = PARTITIONS;
        s->produce_topic.partition_responses.at = s->produce_answer;
        s->produce_res.responses.n = 1;
        s->produce_res.responses.at = &s->produce_topic;
        for (int i = 0; i < PARTITIONS; i++) {
                produce_res_responses_partition_responses_init(&s->produce_answer[i]);
                s->produce_answer[i].index = i;
                s->produce_answer[i].base_offset = 1000 * i;
                s->produce_answer[i].log_start_offset = 0;
        }
}

static void fetch_res_setup(struct micro *m)
{
        struct state *s = state_new(m);
        s->slice = (struct slice){ .p = records, .n = RECORD_BYTES };
        fetch_res_init(&s->fetch_res);
        fetch_res_responses_init(&s->fetch_topic);
        s->fetch_topic.topic = STR("events");
        s->fetch_topic.topic_id = topic_id;
        s->fetch_topic.partitions.n = PARTITIONS;
        s->fetch_topic.partitions.at = s->fetch_answer;
        s->fetch_res.responses.n = 1;
        s->fetch_res.responses.at = &s->fetch_topic;
        for (int i = 0; i < PARTITIONS; i++) {
                struct fetch_res_responses_partitions *p = &s->fetch_answer[i];
                fetch_res_responses_partitions_init(p);
                p->partition_index = i;
                p->high_watermark = p->last_stable_offset = 1000 * i;
                p->log_start_offset = 0;
                p->aborted_transactions.n = -1;
                p->records =
                    (struct records){ .n = RECORD_BYTES, .n_slices = 1, .slices = &s->slice };
        }
}

static void begin_answer(struct state *s, struct out *o, int16_t key, int version)
{
        struct response_header h = { 7 };
        arena_reset(&s->arena);
        out_init(o, &s->arena);
        response_header_encode(&h, o, api_response_header_version(key, (int16_t)version));
}

static void produce_encode(struct micro *m)
{
        struct state *s = m->state;
        struct out o;
        begin_answer(s, &o, API_PRODUCE, m->way);
        produce_res_encode(&s->produce_res, &o, (int16_t)m->way);
        assert(!o.bad);
}

static void fetch_encode(struct micro *m)
{
        struct state *s = m->state;
        struct out o;
        begin_answer(s, &o, API_FETCH, m->way);
        fetch_res_encode(&s->fetch_res, &o, (int16_t)m->way);
        assert(!o.bad && o.total > PARTITIONS * RECORD_BYTES);
}

#define DECODE(api, v)                                                                      \
        {                                                                                   \
#api ".decode.v" #v, "decode a " #api " request v" #v " for 16 partitions", \
                    api##_req_setup, api##_decode, teardown, 200, 0, v                      \
        }
#define ENCODE(api, v)                                                                    \
        {                                                                                 \
#api ".encode.v" #v, "encode a " #api " answer v" #v " of 16 partitions", \
                    api##_res_setup, api##_encode, teardown, 200, 0, v                    \
        }

struct micro micro_codec[] = {
        DECODE(produce, 7),
        DECODE(produce, 10),
        DECODE(produce, 13),
        ENCODE(produce, 7),
        ENCODE(produce, 10),
        ENCODE(produce, 13),
        DECODE(fetch, 11),
        DECODE(fetch, 16),
        DECODE(fetch, 18),
        ENCODE(fetch, 11),
        ENCODE(fetch, 16),
        ENCODE(fetch, 18),
        { .name = NULL },
};
