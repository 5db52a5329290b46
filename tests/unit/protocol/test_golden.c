/* Golden messages: they decode to what was meant, and are written back as they were. */
#include "tests/unit/protocol/message_util.h"

#include "base/check.h"
#include "protocol/errors.h"
#include "protocol/msg/all.h"
#include "tests/unit/protocol/golden_messages.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static struct arena arena;

static void setup(void)
{
        arena_init(&arena, 1 << 20);
}
static void teardown(void)
{
        arena_reset(&arena);
}

TestSuite(golden, .init = setup, .fini = teardown);

/* The n-th golden message of that name and version, decoded; leftovers fail. */
static void *golden(const char *name, int16_t version, int nth)
{
        for (size_t i = 0; i < COUNT_OF(golden_messages); i++) {
                const struct golden_message *g = &golden_messages[i];
                if (strcmp(g->name, name) != 0 || g->version != version || nth-- > 0) continue;
                const struct msg_codec *codec = codec_of(name);
                struct bytes_mut b = bytes_kept(g->hex);
                struct cursor c = cursor_of(b.p, b.n);
                void *m = arena_alloc(&arena, codec->size);
                cr_assert_not_null(m);
                cr_assert(codec->decode(m, &c, version, &arena), "%s v%d: %s at %zu", name, version,
                    c.why, c.fault_at);
                cr_assert_eq(cursor_left(&c), 0, "%s v%d", name, version);
                return m;
        }
        cr_assert_fail("no golden %s v%d", name, version);
        return NULL;
}

static void expect_str(struct str got, const char *want)
{
        cr_expect(str_eq(got, str_of(want)), "%s", want);
}

Test(golden, all_are_written_back_as_they_were)
{
        for (size_t i = 0; i < COUNT_OF(golden_messages); i++) {
                const struct golden_message *g = &golden_messages[i];
                const struct msg_codec *codec = codec_of(g->name);
                struct bytes_mut b = bytes_of_hex(g->hex);
                struct cursor c = cursor_of(b.p, b.n);
                void *m = arena_alloc(&arena, codec->size);
                cr_assert(codec->decode(m, &c, g->version, &arena), "%s v%d: %s at %zu", g->name,
                    g->version, c.why, c.fault_at);
                cr_expect_eq(cursor_left(&c), 0, "%s v%d", g->name, g->version);
                struct out o;
                out_init(&o, &arena);
                codec->encode(m, &o, g->version);
                cr_expect_not(o.bad);
                expect_bytes(bytes_of_out(&o), g->hex, g->name);
                free(b.p);
        }
}

Test(golden, headers)
{
        const struct request_header *h = golden("request_header", 0, 0);
        cr_expect(h->api_key == 7 && h->correlation_id == 1 && str_is_null(h->client_id));
        h = golden("request_header", 1, 0);
        cr_expect(h->api_key == API_METADATA && h->api_version == 1 && h->correlation_id == 42);
        expect_str(h->client_id, "abc");
        h = golden("request_header", 1, 1);
        cr_expect(str_is_null(h->client_id));
        h = golden("request_header", 2, 0);
        cr_expect(h->api_key == API_API_VERSIONS && h->correlation_id == INT32_MAX);
        expect_str(h->client_id, "kcat");
        const struct response_header *r = golden("response_header", 1, 0);
        cr_expect_eq(r->correlation_id, 42);
}

Test(golden, header_versions)
{
        cr_expect_eq(api_request_header_version(API_PRODUCE, 8), 1);
        cr_expect_eq(api_request_header_version(API_PRODUCE, 9), 2);
        cr_expect_eq(api_response_header_version(API_PRODUCE, 8), 0);
        cr_expect_eq(api_response_header_version(API_PRODUCE, 9), 1);
        cr_expect_eq(api_request_header_version(API_API_VERSIONS, 3), 2);
        cr_expect_eq(api_response_header_version(API_API_VERSIONS, 3), 0);
        cr_expect_eq(api_request_header_version(API_SASL_HANDSHAKE, 1), 1);
        cr_expect_eq(api_response_header_version(API_OFFSET_DELETE, 0), 0);
        cr_expect_eq(api_request_header_version(API_DESCRIBE_CLUSTER, 0), 2);
        cr_expect_eq(api_request_header_version(9999, 100), 1);
        cr_expect_null(api_info_find(9999));
}

Test(golden, api_versions)
{
        const struct api_versions_res *m = golden("api_versions_res", 0, 0);
        cr_expect_eq(m->error_code, WIRE_UNSUPPORTED_VERSION);
        cr_assert_eq(m->api_keys.n, 1);
        cr_expect_eq(m->api_keys.at[0].api_key, API_API_VERSIONS);
        cr_expect_eq(m->api_keys.at[0].max_version, 4);
        cr_expect_eq(m->finalized_features_epoch, -1, "a default");
        m = golden("api_versions_res", 4, 0);
        cr_assert(m->api_keys.n == 2 && m->supported_features.n == 1);
        expect_str(m->supported_features.at[0].name, "metadata.version");
        cr_expect_eq(m->supported_features.at[0].max_version, 30);
        cr_expect_eq(m->finalized_features_epoch, 41);
        cr_expect_eq(m->finalized_features.at[0].min_version_level, 30);
        cr_expect(m->zk_migration_ready);
        const struct api_versions_req *q = golden("api_versions_req", 3, 0);
        expect_str(q->client_software_name, "kcat");
        expect_str(q->client_software_version, "1.7.1");
}

Test(golden, produce_requests)
{
        for (int16_t version = 3; version <= 9; version = (int16_t)(version + 6)) {
                const struct produce_req *m = golden("produce_req", version, 0);
                cr_expect(
                    str_is_null(m->transactional_id) && m->acks == -1 && m->timeout_ms == 1500);
                cr_assert_eq(m->topic_data.n, 1);
                expect_str(m->topic_data.at[0].name, "t1");
                cr_assert_eq(m->topic_data.at[0].partition_data.n, 1);
                const struct records *r = &m->topic_data.at[0].partition_data.at[0].records;
                cr_assert_eq(r->n, 4);
                cr_expect_eq(load_be32(r->p), 0xdeadbeef);
        }
        const struct produce_req *m = golden("produce_req", 13, 0);
        expect_str(m->transactional_id, "tx1");
        cr_expect_eq(m->topic_data.at[0].topic_id.b[15], 15);
        cr_expect_eq(m->topic_data.at[0].partition_data.at[0].records.n, -1);
        cr_expect_eq(m->topic_data.at[0].partition_data.at[1].records.n, 0);
        cr_expect_eq(m->topic_data.at[0].partition_data.at[1].index, 8);
}

Test(golden, produce_response)
{
        const struct produce_res *m = golden("produce_res", 10, 0);
        const struct produce_res_responses_partition_responses *p =
            &m->responses.at[0].partition_responses.at[0];
        cr_expect_eq(p->error_code, WIRE_NOT_LEADER_OR_FOLLOWER);
        cr_expect_eq(p->record_errors.at[0].batch_index, 3);
        expect_str(p->record_errors.at[0].batch_index_error_message, "x");
        cr_expect(str_is_null(p->error_message));
        cr_expect(p->current_leader.leader_id == 1 && p->current_leader.leader_epoch == 5);
        cr_expect_eq(m->throttle_time_ms, 100);
        cr_assert_eq(m->node_endpoints.n, 1);
        cr_expect_eq(m->node_endpoints.at[0].port, 9092);
        expect_str(m->node_endpoints.at[0].rack, "r1");
}

Test(golden, fetch_requests)
{
        const struct fetch_req *m = golden("fetch_req", 4, 0);
        cr_expect(m->replica_id == -1 && m->max_wait_ms == 500 && m->min_bytes == 1);
        cr_expect(m->max_bytes == 52428800 && m->isolation_level == 0 && m->session_epoch == -1);
        const struct fetch_req_topics_partitions *p = &m->topics.at[0].partitions.at[0];
        cr_expect(p->fetch_offset == 42 && p->partition_max_bytes == 1 << 20);
        cr_expect(p->current_leader_epoch == -1 && p->log_start_offset == -1, "defaults");
        cr_expect_eq(p->high_watermark, INT64_MAX);
        m = golden("fetch_req", 12, 0);
        expect_str(m->cluster_id, "c1");
        expect_str(m->forgotten_topics_data.at[0].topic, "t2");
        cr_assert_eq(m->forgotten_topics_data.at[0].partitions.n, 1);
        cr_expect_eq(m->forgotten_topics_data.at[0].partitions.at[0], 5);
        m = golden("fetch_req", 17, 0);
        cr_expect(m->replica_state.replica_id == 1 && m->replica_state.replica_epoch == 2);
        cr_expect_eq(m->topics.at[0].partitions.at[0].replica_directory_id.b[0], 15);
        expect_str(m->rack_id, "r1");
}

Test(golden, fetch_responses)
{
        const struct fetch_res *m = golden("fetch_res", 4, 0);
        const struct fetch_res_responses_partitions *p = &m->responses.at[0].partitions.at[0];
        cr_expect(p->high_watermark == 16 && p->aborted_transactions.n == 1);
        cr_expect_eq(p->aborted_transactions.at[0].producer_id, 7);
        cr_expect(p->records.n == 2 && p->records.p[0] == 0xca);
        cr_expect_eq(p->preferred_read_replica, -1);
        m = golden("fetch_res", 12, 0);
        p = &m->responses.at[0].partitions.at[0];
        cr_expect(m->session_id == 9 && p->aborted_transactions.n == -1);
        cr_expect(p->diverging_epoch.epoch == 4 && p->diverging_epoch.end_offset == 10);
        cr_expect(p->current_leader.leader_id == 2 && p->current_leader.leader_epoch == 5);
        cr_expect_eq(p->snapshot_id.epoch, -1);
        cr_expect(p->records.n == 2 && p->records.p[1] == 0xfe);
}

Test(golden, metadata)
{
        const struct metadata_req *q = golden("metadata_req", 0, 0);
        cr_expect(q->topics.n == 0 && q->allow_auto_topic_creation);
        q = golden("metadata_req", 1, 0);
        cr_expect_eq(q->topics.n, -1);
        q = golden("metadata_req", 12, 0);
        cr_expect(q->topics.n == 1 && str_is_null(q->topics.at[0].name));
        const struct metadata_res *m = golden("metadata_res", 1, 0);
        expect_str(m->brokers.at[0].host, "h1");
        cr_expect(m->controller_id == 1 && str_is_null(m->cluster_id));
        const struct metadata_res_topics_partitions *p = &m->topics.at[0].partitions.at[0];
        cr_expect(p->leader_id == 1 && p->isr_nodes.n == 1 && p->isr_nodes.at[0] == 1);
        cr_expect_eq(m->topics.at[0].topic_authorized_operations, INT32_MIN);
}

Test(golden, nullable_structs_and_doubles)
{
        const struct describe_topic_partitions_req *m =
            golden("describe_topic_partitions_req", 0, 0);
        cr_assert_not_null(m->cursor);
        expect_str(m->cursor->topic_name, "t1");
        cr_expect(m->cursor->partition_index == 3 && m->response_partition_limit == 2000);
        m = golden("describe_topic_partitions_req", 0, 1);
        cr_expect_null(m->cursor);
        const struct describe_client_quotas_res *q = golden("describe_client_quotas_res", 0, 0);
        cr_expect_eq(q->entries.at[0].values.at[0].value, 100000.0);
        cr_expect(str_is_null(q->entries.at[0].entity.at[0].entity_name));
        const struct consumer_subscription *s = golden("consumer_subscription", 1, 0);
        cr_expect(s->user_data.n == -1 && s->generation_id == -1);
        cr_expect_eq(s->owned_partitions.at[0].partitions.at[1], 1);
}

Test(golden, error_table)
{
        cr_expect_str_eq(wire_error_name(WIRE_NONE), "NONE");
        cr_expect_str_eq(wire_error_name(-1), "UNKNOWN_SERVER_ERROR");
        cr_expect_str_eq(wire_error_name(87), "INVALID_RECORD");
        cr_expect_str_eq(wire_error_name(133), "SHARE_SESSION_LIMIT_REACHED");
        cr_expect_str_eq(wire_error_name(134), "UNKNOWN_ERROR_CODE");
        cr_expect_str_eq(wire_error_name(INT16_MIN), "UNKNOWN_ERROR_CODE");
        cr_expect(wire_error_is_retriable(WIRE_KAFKA_STORAGE_ERROR));
        cr_expect(wire_error_is_retriable(WIRE_CORRUPT_MESSAGE));
        cr_expect_not(wire_error_is_retriable(WIRE_INVALID_RECORD));
        cr_expect_not(wire_error_is_retriable(WIRE_NONE));
        cr_expect_not(wire_error_is_retriable(999));
}
