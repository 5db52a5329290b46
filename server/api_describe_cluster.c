/* DescribeCluster v0-2: the one broker that there is. */
#include "protocol/msg/describe_cluster.h"

#include "protocol/errors.h"
#include "server/admin.h"
#include "server/api.h"

enum { ENDPOINT_BROKERS = 1, ENDPOINT_CONTROLLERS = 2 };

void api_describe_cluster_begin(struct request *r)
{
        (void)r;
}

static void refuse(struct request *r, int8_t asked, struct describe_cluster_res *res)
{
        r->failed = true;
        if (r->version == 0) {
                res->error_code = WIRE_INVALID_REQUEST;
                res->error_message = STR("this endpoint answers for brokers only");
        } else if (asked == ENDPOINT_CONTROLLERS) {
                res->error_code = WIRE_MISMATCHED_ENDPOINT_TYPE;
                res->error_message = STR("this is an endpoint of brokers, not of controllers");
        } else {
                res->error_code = WIRE_UNSUPPORTED_ENDPOINT_TYPE;
                res->error_message = STR("unknown endpoint type");
        }
        res->endpoint_type = asked;
}

static bool answer(struct request *r, struct describe_cluster_res *res)
{
        const struct describe_cluster_req *req = r->body;
        struct endpoint us = request_endpoint(r);
        describe_cluster_res_init(res);
        if (req->endpoint_type != ENDPOINT_BROKERS) {
                refuse(r, req->endpoint_type, res);
                return true;
        }
        struct describe_cluster_res_brokers *broker = arena_alloc(&r->arena, sizeof(*broker));
        res->cluster_id = admin_cluster_id(r);
        if (!broker || str_is_null(res->cluster_id)) return false;
        describe_cluster_res_brokers_init(broker);
        broker->broker_id = request_node_id(r);
        broker->host = us.host;
        broker->port = us.port;
        res->brokers.n = 1;
        res->brokers.at = broker;
        res->controller_id = broker->broker_id;
        if (req->include_cluster_authorized_operations)
                res->cluster_authorized_operations = OPERATIONS_CLUSTER;
        return true;
}

void api_describe_cluster_finish(struct request *r, struct out *reply)
{
        struct describe_cluster_res res;
        if (answer(r, &res))
                describe_cluster_res_encode(&res, reply, r->version);
        else
                reply->bad = true; /* out of memory: the connection is closed */
}
