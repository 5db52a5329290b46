/* Scripted clients.  See script.h.  Each keeps `in_flight` requests under way; a reply (or the end
 * of the connection) goes to the oracle, and the next request is drawn. */
#include "tests/sim/script.h"

#include "base/check.h"
#include "base/status.h"
#include "protocol/errors.h"
#include "protocol/msg/all.h"

#include <inttypes.h>
#include <stdio.h>

enum { BATCH_BYTES = 1000000, PARTS_MAX = 3, REPLY_ARENA = 64 << 20, FETCH_BYTES = 1 << 20 };

static void pump(struct script *s);

uint64_t script_below(struct script_env *env, uint64_t n)
{
        return n ? env->random(env->random_arg) % n : 0;
}

static bool chance(struct script_env *env, unsigned per_mille)
{
        return script_below(env, 1000) < per_mille;
}

void script_fail(struct script_env *env, const char *what)
{
        if (!env->failed) err_set(&env->error, ST_CORRUPT, "%s", what);
        env->failed = true;
}

static void broke(struct script_env *env, int status)
{
        if (status < 0) env->failed = true;
}

/* Where an oracle call may put its text: only the first one is kept. */
static struct err *error_of(struct script_env *env)
{
        static struct err later;
        return env->failed ? &later : &env->error;
}

static bool decode(struct script_env *env, const struct client_request *q, struct bytes payload,
    struct arena *a, void *m)
{
        arena_init(a, REPLY_ARENA);
        struct frame_reply r = { q->key, q->version, q->correlation, payload, a };
        const char *why = frame_decode(&r, m);
        if (why) {
                char text[200];
                snprintf(text, sizeof text, "reply of api %d v%d: %s", q->key, q->version, why);
                script_fail(env, text);
        }
        return !why;
}

/* --- producing --- */

struct note {
        int32_t n, partition[PARTS_MAX];
        uint32_t number[PARTS_MAX];
};

/* Errors after which the batch may be in the log all the same. */
static bool indeterminate(int16_t error)
{
        return error == WIRE_KAFKA_STORAGE_ERROR || error == WIRE_REQUEST_TIMED_OUT ||
               error == WIRE_UNKNOWN_SERVER_ERROR || error == WIRE_NOT_LEADER_OR_FOLLOWER;
}

static void produce_answer(struct script_env *env, const struct note *note, int32_t partition,
    const struct produce_res_responses_partition_responses *x)
{
        for (int32_t i = 0; i < note->n; i++) {
                if (note->partition[i] != partition) continue;
                if (x->error_code == 0) {
                        broke(env, oracle_acked(env->oracle, partition, note->number[i],
                                       x->base_offset, error_of(env)));
                        env->acked++;
                } else if (indeterminate(x->error_code) && env->storage_may_fail) {
                        oracle_failed(env->oracle, partition, note->number[i]);
                        env->failed_sends++;
                } else {
                        char text[100];
                        snprintf(text, sizeof text, "partition %d: a good batch got error %d",
                            partition, x->error_code);
                        script_fail(env, text);
                }
                return;
        }
        script_fail(env, "an answer for a partition that was not asked");
}

static void on_produced(struct client_request *q, struct bytes payload)
{
        struct script *s = q->owner;
        struct note *note = q->note;
        if (payload.n < 0 || q->no_reply) {
                /* With a failing disk one may have been refused and the next one taken. */
                for (int32_t i = 0; i < note->n; i++)
                        (s->env->storage_may_fail ? oracle_failed : oracle_lost)(
                            s->env->oracle, note->partition[i], note->number[i]);
                if (payload.n >= 0) pump(s);
                return;
        }
        struct arena a;
        struct produce_res res;
        int32_t answers = 0;
        if (decode(s->env, q, payload, &a, &res)) {
                for (int32_t i = 0; i < res.responses.n; i++) {
                        struct produce_res_responses *t = &res.responses.at[i];
                        for (int32_t j = 0; j < t->partition_responses.n; j++, answers++)
                                produce_answer(s->env, note, t->partition_responses.at[j].index,
                                    &t->partition_responses.at[j]);
                }
                if (answers != note->n) script_fail(s->env, "not one answer for each partition");
        }
        arena_reset(&a);
        pump(s);
}

static enum codec draw_codec(struct script_env *env)
{
        if (!env->codecs || chance(env, 700)) return CODEC_NONE;
        return (enum codec)(1 + script_below(env, CODEC_COUNT - 1));
}

/* The batch stays below the default of max.message.bytes. */
static uint32_t draw_value(struct script_env *env, uint32_t count)
{
        if (chance(env, 700)) return MIN(env->value_max, 200u);
        uint32_t size = 16 + (uint32_t)script_below(env, env->value_max);
        return MIN(size, BATCH_BYTES / count);
}

static void produce(struct script *s)
{
        static const int16_t versions[] = { 3, 5, 7, 8, 9, 11, 12 };
        struct script_env *env = s->env;
        struct produce_req_topic_data_partition_data parts[PARTS_MAX];
        struct note *note = calloc(1, sizeof *note);
        if (!note) abort();
        int16_t version = versions[script_below(env, COUNT_OF(versions))];
        int32_t n = 1 + (int32_t)script_below(env, (uint64_t)MIN(PARTS_MAX, s->o.partitions));
        int32_t first = (int32_t)script_below(env, (uint64_t)s->o.partitions);
        for (int32_t i = 0; i < n; i++) {
                struct oracle_send send = {
                        .partition = s->o.first + (first + i) % s->o.partitions,
                        .stream = s->stream,
                        .count = 1 + (uint32_t)script_below(env, env->records_max),
                        .size_seed = (uint32_t)env->random(env->random_arg),
                        .codec = version >= 7 ? draw_codec(env) : CODEC_NONE,
                };
                send.size_max = draw_value(env, send.count);
                size_t size;
                uint8_t *bytes = oracle_batch_new(env->oracle, &send, &size, &note->number[i]);
                produce_req_topic_data_partition_data_init(&parts[i]);
                parts[i].index = note->partition[i] = send.partition;
                parts[i].records = (struct records){ .p = bytes, .n = (int32_t)size };
                s->sent += size;
        }
        note->n = n;
        struct produce_req_topic_data topic;
        struct produce_req req;
        produce_req_topic_data_init(&topic);
        produce_req_init(&req);
        topic.name = str_of(s->env->topic);
        topic.partition_data.n = n;
        topic.partition_data.at = parts;
        req.acks = chance(env, s->o.acks0_per_mille) ? 0 : chance(env, 300) ? 1 : -1;
        req.timeout_ms = 30000;
        req.topic_data.n = 1;
        req.topic_data.at = &topic;
        struct client_request *q = client_send(s->client, API_PRODUCE, version, &req, on_produced);
        q->owner = s;
        q->note = note;
        q->no_reply = req.acks == 0;
        for (int32_t i = 0; i < n; i++) free((void *)(uintptr_t)parts[i].records.p);
}

/* --- fetching --- */

static void fetch_answer(struct script *s, const struct fetch_res_responses_partitions *x)
{
        struct script_env *env = s->env;
        int32_t p = x->partition_index, i = p - s->o.first;
        if (i < 0 || i >= s->o.partitions) {
                script_fail(env, "a partition that was not fetched");
                return;
        }
        if (x->error_code != 0) {
                char text[100];
                snprintf(text, sizeof text, "partition %d: fetch at %" PRId64 " got error %d", p,
                    s->next[i], x->error_code);
                if (!env->storage_may_fail) script_fail(env, text);
                return;
        }
        oracle_high(env->oracle, p, x->high_watermark);
        if (x->log_start_offset > 0) script_fail(env, "the log start moved");
        if (x->records.n <= 0) return;
        struct bytes bytes = { x->records.p, x->records.n };
        int64_t next = s->next[i];
        broke(env, oracle_fetched(env->oracle, p, s->next[i], bytes, &next, error_of(env)));
        if (next > x->high_watermark) script_fail(env, "records above the high watermark");
        env->fetched_bytes += (uint64_t)x->records.n;
        s->next[i] = next;
}

/* Whether the partition that is being checked has been read to its end. */
static void check_progress(struct script *s, const struct fetch_res_responses_partitions *x)
{
        if (x->error_code != 0 || s->next[s->checking] < x->high_watermark) return;
        int32_t p = s->o.first + s->checking;
        broke(s->env, oracle_check_end(s->env->oracle, p, x->high_watermark, error_of(s->env)));
        s->checking++;
        s->done = s->checking == s->o.partitions;
        if (!s->done) oracle_check_begin(s->env->oracle, p + 1);
}

static void on_fetched(struct client_request *q, struct bytes payload)
{
        struct script *s = q->owner;
        if (payload.n < 0) return;
        struct arena a;
        struct fetch_res res;
        if (decode(s->env, q, payload, &a, &res)) {
                s->env->fetches++;
                if (res.error_code != 0) script_fail(s->env, "a fetch failed as a whole");
                for (int32_t i = 0; i < res.responses.n; i++) {
                        struct fetch_res_responses *t = &res.responses.at[i];
                        for (int32_t j = 0; j < t->partitions.n; j++) {
                                fetch_answer(s, &t->partitions.at[j]);
                                if (s->o.kind == SCRIPT_CHECK)
                                        check_progress(s, &t->partitions.at[j]);
                        }
                }
        }
        arena_reset(&a);
        pump(s);
}

static void fetch(struct script *s)
{
        static const int16_t versions[] = { 4, 6, 7, 9, 10, 11, 12 };
        struct script_env *env = s->env;
        struct fetch_req_topics_partitions parts[PARTS_MAX];
        bool check = s->o.kind == SCRIPT_CHECK;
        int32_t n =
            check ? 1 : 1 + (int32_t)script_below(env, (uint64_t)MIN(PARTS_MAX, s->o.partitions));
        int32_t first = check ? s->checking : (int32_t)script_below(env, (uint64_t)s->o.partitions);
        for (int32_t i = 0; i < n; i++) {
                int32_t at = (first + i) % s->o.partitions;
                fetch_req_topics_partitions_init(&parts[i]);
                parts[i].partition = s->o.first + at;
                parts[i].fetch_offset = s->next[at];
                parts[i].partition_max_bytes =
                    check || chance(env, 600) ? FETCH_BYTES : (int32_t)script_below(env, 20000);
        }
        struct fetch_req_topics topic;
        struct fetch_req req;
        fetch_req_topics_init(&topic);
        fetch_req_init(&req);
        topic.topic = str_of(env->topic);
        topic.partitions.n = n;
        topic.partitions.at = parts;
        req.max_wait_ms = check ? 0 : (int32_t)script_below(env, 300);
        req.min_bytes = check ? 0 : chance(env, 500) ? 1 : (int32_t)script_below(env, 5000);
        req.max_bytes =
            chance(env, 800) || check ? 4 * FETCH_BYTES : (int32_t)script_below(env, 50000);
        req.topics.n = 1;
        req.topics.at = &topic;
        int16_t version = versions[script_below(env, COUNT_OF(versions))];
        client_send(s->client, API_FETCH, version, &req, on_fetched)->owner = s;
}

/* --- topics, and noise --- */

static void on_topic(struct client_request *q, struct bytes payload)
{
        struct script *s = q->owner;
        if (payload.n < 0) return;
        struct arena a;
        struct create_topics_res res;
        if (decode(s->env, q, payload, &a, &res) && res.topics.n == 1) {
                int16_t error = res.topics.at[0].error_code;
                s->done = error == 0 || error == WIRE_TOPIC_ALREADY_EXISTS;
                if (!s->done && !s->env->storage_may_fail)
                        script_fail(s->env, "CreateTopics failed");
        }
        arena_reset(&a);
}

static void on_noise(struct client_request *q, struct bytes payload)
{
        struct script *s = q->owner;
        if (payload.n < 0) return;
        union {
                struct metadata_res metadata;
                struct list_offsets_res offsets;
                struct api_versions_res versions;
                struct create_topics_res created;
                struct delete_topics_res deleted;
        } res;
        struct arena a;
        decode(s->env, q, payload, &a, &res);
        arena_reset(&a);
        s->env->noise++;
        pump(s);
}

static void send_create(struct script *s, const char *name, int32_t partitions,
    void (*on_reply)(struct client_request *q, struct bytes payload))
{
        char bytes[16];
        struct create_topics_req_topics_configs configs[] = {
                { STR("retention.ms"), STR("-1") }, /* the scripts' timestamps are old */
                { STR("segment.bytes"), STR("") },
        };
        struct create_topics_req_topics topic;
        struct create_topics_req req;
        snprintf(bytes, sizeof bytes, "%u", s->o.segment_bytes);
        configs[1].value = str_of(bytes);
        create_topics_req_topics_init(&topic);
        create_topics_req_init(&req);
        topic.name = str_of(name);
        topic.num_partitions = partitions;
        topic.replication_factor = 1;
        topic.configs.n = s->o.segment_bytes > 0 ? 2 : 1;
        topic.configs.at = configs;
        req.topics.n = 1;
        req.topics.at = &topic;
        int16_t version = (int16_t)(2 + script_below(s->env, 6));
        client_send(s->client, API_CREATE_TOPICS, version, &req, on_reply)->owner = s;
}

static void send_delete(struct script *s, const char *name)
{
        struct delete_topics_req req;
        struct str names = str_of(name);
        delete_topics_req_init(&req);
        req.topic_names.n = 1;
        req.topic_names.at = &names;
        req.timeout_ms = 10000;
        int16_t version = (int16_t)(1 + script_below(s->env, 5));
        client_send(s->client, API_DELETE_TOPICS, version, &req, on_noise)->owner = s;
}

static void send_metadata(struct script *s)
{
        struct metadata_req req;
        metadata_req_init(&req);
        req.topics.n = chance(s->env, 500) ? -1 : 0;
        client_send(s->client, API_METADATA, (int16_t)(4 + script_below(s->env, 6)), &req, on_noise)
            ->owner = s;
}

static void send_list_offsets(struct script *s)
{
        struct list_offsets_req_topics_partitions part;
        struct list_offsets_req_topics topic;
        struct list_offsets_req req;
        list_offsets_req_topics_partitions_init(&part);
        list_offsets_req_topics_init(&topic);
        list_offsets_req_init(&req);
        part.partition_index =
            s->o.first + (int32_t)script_below(s->env, (uint64_t)s->o.partitions);
        part.timestamp = -1 - (int64_t)script_below(s->env, 3);
        if (chance(s->env, 400))
                part.timestamp = 1767139200000 + (int64_t)script_below(s->env, 400);
        topic.name = str_of(s->env->topic);
        topic.partitions.n = 1;
        topic.partitions.at = &part;
        req.replica_id = -1;
        req.topics.n = 1;
        req.topics.at = &topic;
        client_send(s->client, API_LIST_OFFSETS, 7, &req, on_noise)->owner = s;
}

static void noise(struct script *s)
{
        char name[40];
        uint64_t what = script_below(s->env, 10);
        if (what < 4) {
                send_metadata(s);
        } else if (what < 7) {
                send_list_offsets(s);
        } else if (what < 9 || s->churn == 0) {
                snprintf(name, sizeof name, "churn-%u-%u", s->stream, s->churn++);
                send_create(s, name, 1 + (int32_t)script_below(s->env, 4), on_noise);
        } else {
                snprintf(name, sizeof name, "churn-%u-%" PRIu64, s->stream,
                    script_below(s->env, s->churn));
                send_delete(s, name);
        }
}

/* --- the script --- */

static bool has_more(const struct script *s)
{
        if (s->paused || s->client->closing || s->env->failed) return false;
        if (s->o.kind == SCRIPT_PRODUCER) return s->sent < s->o.bytes;
        if (s->o.kind == SCRIPT_CHECK) return !s->done;
        return true;
}

static void pump(struct script *s)
{
        static void (*const draw[])(struct script *) = {
                [SCRIPT_PRODUCER] = produce,
                [SCRIPT_CONSUMER] = fetch,
                [SCRIPT_NOISE] = noise,
                [SCRIPT_CHECK] = fetch,
        };
        if (s->o.kind == SCRIPT_TOPIC) return;
        while (client_pending(s->client) < s->o.in_flight && has_more(s)) draw[s->o.kind](s);
}

struct script *script_new(struct script_env *env, const struct script_options *o)
{
        struct script *s = calloc(1, sizeof *s);
        if (!s) abort();
        s->env = env;
        s->o = *o;
        /* Replies of several fetches at once would overlap. */
        if (o->kind == SCRIPT_CONSUMER || o->kind == SCRIPT_CHECK) s->o.in_flight = 1;
        s->next = calloc((size_t)MAX(o->partitions, 1), sizeof *s->next);
        s->stream = env->oracle->next_stream++;
        s->client = client_new(env->io, env->port);
        if (!s->next) abort();
        if (o->kind == SCRIPT_CHECK) oracle_check_begin(env->oracle, o->first);
        if (o->kind == SCRIPT_TOPIC) send_create(s, env->topic, o->partitions, on_topic);
        pump(s);
        return s;
}

void script_pause(struct script *s)
{
        s->paused = true;
}
bool script_ended(const struct script *s)
{
        return s->client->ended;
}

void script_free(struct script *s)
{
        client_free(s->client);
        free(s->next);
        free(s);
}
