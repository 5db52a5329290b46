/* The handlers behind the table in api.c: one pair per API, each in its file api_<name>.c.
 * Adding an API: one schema file, one row in api.c, one pair here and its file. */
#pragma once

#include "server/request.h"

#define API_HANDLER(name)                           \
        void api_##name##_begin(struct request *r); \
        void api_##name##_finish(struct request *r, struct out *reply)

API_HANDLER(produce);
API_HANDLER(fetch);
API_HANDLER(list_offsets);
API_HANDLER(metadata);
API_HANDLER(api_versions);
API_HANDLER(create_topics);
API_HANDLER(delete_topics);
API_HANDLER(offset_for_leader_epoch);
API_HANDLER(describe_configs);
API_HANDLER(create_partitions);
API_HANDLER(describe_cluster);
API_HANDLER(describe_topic_partitions);
API_HANDLER(varve_stats);

/* Kafka's code for one of our statuses (base/status.h); 0 for 0. */
int16_t wire_from_status(int status);
