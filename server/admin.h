/* What the handlers of topic administration share. */
#pragma once

#include "protocol/msg.h"
#include "server/registry.h"
#include "server/request.h"

/* Bits of authorized_operations: everything that the resource knows, as without an authorizer. */
enum { OPERATIONS_TOPIC = 3576, OPERATIONS_CLUSTER = 8096 };

/* Names (or ids as bytes) seen so far, in the request's arena. */
struct name_set {
        uint32_t mask;
        int32_t count, room;
        uint32_t *slots; /* place + 1 */
        struct name_place {
                struct str name;
                uint64_t hash;
                int32_t place;
        } * places;
};
/* Room for n names.  False: out of memory. */
bool name_set_init(struct name_set *s, struct arena *a, int32_t n);
/* -1: new; else the place that was given for it first. */
int32_t name_set_add(struct name_set *s, struct str name, int32_t place);

/* A change that a request waits for; from the request's arena. */
struct admin_item {
        struct registry_change change;
        struct request *request;
};
void admin_submit(struct request *r, struct admin_item *x);

/* The text of an error, null when there is none; lives as long as c. */
struct str admin_text(const struct registry_change *c);
/* Arrays that name this server as the only replica. */
struct i32_array admin_replicas(struct request *r);
/* For the answer; from the arena.  null: out of memory. */
struct str admin_cluster_id(struct request *r);
/* Server-wide settings. */
const struct config *admin_config(const struct request *r);
