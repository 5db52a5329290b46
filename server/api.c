/* The table of APIs: one row each.  What ApiVersions advertises is printed from it. */
#include "server/api.h"

#include "base/check.h"
#include "protocol/msg/all.h"

/* The generated decoders behind one type. */
#define DECODER(name)                                                                             \
        static bool decode_##name(void *body, struct cursor *c, int16_t version, struct arena *a) \
        {                                                                                         \
                return name##_req_decode(body, c, version, a);                                    \
        }
DECODER(produce)
DECODER(fetch)
DECODER(list_offsets)
DECODER(metadata)
DECODER(api_versions)
DECODER(create_topics)
DECODER(delete_topics)
DECODER(offset_for_leader_epoch)
DECODER(describe_configs)
DECODER(create_partitions)
DECODER(describe_cluster)
DECODER(describe_topic_partitions)
DECODER(varve_stats)

#define NAMED(label, handler)                                                                   \
        .name = (label), .body_size = sizeof(struct handler##_req), .decode = decode_##handler, \
        .begin = api_##handler##_begin, .finish = api_##handler##_finish

/* By key, ascending.  min is what is advertised, accept_min what is served: librdkafka turns
 * compression off when Produce does not begin at 0, and nobody sends 0 to 2. */
static const struct api rows[] = {
        { .key = API_PRODUCE, .min = 0, .max = 13, .accept_min = 3, NAMED("Produce", produce) },
        { .key = API_FETCH, .min = 4, .max = 18, .accept_min = 4, NAMED("Fetch", fetch) },
        { .key = API_LIST_OFFSETS, .min = 0, .max = 11, NAMED("ListOffsets", list_offsets) },
        { .key = API_METADATA, .min = 0, .max = 13, NAMED("Metadata", metadata) },
        { .key = API_API_VERSIONS, .min = 0, .max = 4, NAMED("ApiVersions", api_versions) },
        { .key = API_CREATE_TOPICS, .min = 0, .max = 7, NAMED("CreateTopics", create_topics) },
        { .key = API_DELETE_TOPICS, .min = 0, .max = 6, NAMED("DeleteTopics", delete_topics) },
        { .key = API_OFFSET_FOR_LEADER_EPOCH,
            .min = 0,
            .max = 4,
            NAMED("OffsetForLeaderEpoch", offset_for_leader_epoch) },
        { .key = API_DESCRIBE_CONFIGS,
            .min = 0,
            .max = 4,
            NAMED("DescribeConfigs", describe_configs) },
        { .key = API_CREATE_PARTITIONS,
            .min = 0,
            .max = 3,
            NAMED("CreatePartitions", create_partitions) },
        { .key = API_DESCRIBE_CLUSTER,
            .min = 0,
            .max = 2,
            NAMED("DescribeCluster", describe_cluster) },
        { .key = API_DESCRIBE_TOPIC_PARTITIONS,
            .min = 0,
            .max = 0,
            NAMED("DescribeTopicPartitions", describe_topic_partitions) },
        /* Our own; see PRIVATE. */
        { .key = API_VARVE_STATS, .min = 0, .max = 0, NAMED("VarveStats", varve_stats) },
};

enum { PRIVATE = 1 }; /* so many rows at the end are never advertised */
static_assert(COUNT_OF(rows) <= STATS_APIS_MAX, "every API is counted");

const struct api *api_find(int16_t key)
{
        for (unsigned i = 0; i < COUNT_OF(rows); i++)
                if (rows[i].key == key) return &rows[i];
        return NULL;
}

const struct api *api_rows(unsigned *ret_count)
{
        *ret_count = COUNT_OF(rows) - PRIVATE;
        return rows;
}

const struct api *api_rows_all(unsigned *ret_count)
{
        *ret_count = COUNT_OF(rows);
        return rows;
}

unsigned api_row(const struct api *api)
{
        assert(api >= rows && api < rows + COUNT_OF(rows));
        return (unsigned)(api - rows);
}
