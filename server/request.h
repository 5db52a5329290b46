/* One request, from its frame to its reply.
 *
 *   decode -> begin (issues the work; parts may be on other shards) -> finish (encodes) -> sent in order
 *
 * begin runs on the connection's shard as soon as the frame is complete, in order of arrival; several
 * requests of a connection are under way together.  finish runs there too, when the last part is done.
 * Replies leave in request order.  If the connection goes away first, finish still runs and its reply
 * is dropped: a handler never looks at that. */
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "protocol/out.h"
#include "protocol/wire.h"
#include "server/shard.h"

struct conn;
struct request;

enum { REQUEST_MAGIC = 0x76737271 };

/* One row per API: what ApiVersions advertises is what is here. */
struct api {
        int16_t key, min, max;   /* max: implemented completely; min: what is advertised */
        int16_t accept_min;      /* really served from here on (Produce: 3, advertised 0, row C2) */
        const char *name;
        size_t body_size;
        bool (*decode)(void *body, struct cursor *c, int16_t version, struct arena *a);
        void (*begin)(struct request *r);
        void (*finish)(struct request *r, struct out *reply); /* body only; the header is there */
};
/* NULL: not implemented. */
const struct api *api_find(int16_t key);
/* All rows by key, ascending. */
const struct api *api_rows(unsigned *ret_count);

struct request {
        uint32_t magic;
        struct shard *shard;        /* of the connection; everything here is its thread's */
        struct conn *conn;
        const struct api *api;
        int16_t version;
        int32_t correlation_id;
        struct str client_id;       /* borrowed from the frame */
        struct arena arena;         /* decoded body, handler's state, reply */
        void *body;                 /* the decoded struct, e.g. struct produce_req */
        void *state;                /* the handler's own, from the arena */
        struct registry_view *view; /* the topics as they were at begin; held until the request ends */
        unsigned pending;           /* parts that are out; begin itself holds one */
        uint64_t begun_ns;
        bool no_reply;              /* acks=0 */
        bool close;                 /* close the connection instead of (or after) replying */
        struct out reply;
        void (*on_sent)(struct request *r); /* reply is on its way and its borrowed bytes are free */
        struct list link;           /* the connection's queue */
};

/* A part goes out; request_done() when it is back.  Connection's shard only. */
static inline void request_hold(struct request *r) { r->pending++; }
void request_done(struct request *r);
/* host:port that this client should use for us (advertised address of its listener). */
struct endpoint {
        struct str host;
        int32_t port;
};
struct endpoint request_endpoint(const struct request *r);
int32_t request_node_id(const struct request *r);
