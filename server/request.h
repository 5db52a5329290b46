/* One request, from its frame to its reply.
 *
 *   decode -> begin (issues the work; parts may be on other shards) -> finish (encodes) -> sent in
 * order
 *
 * begin runs on the connection's shard as soon as the frame is complete, in order of arrival;
 * several requests of a connection are under way together.  finish runs there too, when the last
 * part is done. Replies leave in request order.  If the connection goes away first, finish still
 * runs and its reply is dropped: a handler never looks at that. */
#pragma once

#include "base/arena.h"
#include "base/list.h"
#include "protocol/out.h"
#include "protocol/wire.h"
#include "server/registry.h"
#include "server/shard.h"

struct conn;
struct request;

enum { REQUEST_MAGIC = 0x76737271 };

/* One row per API: what ApiVersions advertises is what is here. */
struct api {
        int16_t key, min, max; /* max: implemented completely; min: what is advertised */
        int16_t accept_min;    /* really served from here on (Produce: 3, advertised 0, row C2) */
        const char *name;
        size_t body_size;
        bool (*decode)(void *body, struct cursor *c, int16_t version, struct arena *a);
        void (*begin)(struct request *r);
        void (*finish)(struct request *r, struct out *reply); /* body only; the header is there */
};
/* NULL: not implemented. */
const struct api *api_find(int16_t key);
/* All rows that are advertised by key, ascending. */
const struct api *api_rows(unsigned *ret_count);
/* And behind them those of our own, which are not. */
const struct api *api_rows_all(unsigned *ret_count);
/* Which of them all it is. */
unsigned api_row(const struct api *api);

enum request_step {
        REQUEST_RUNNING,  /* parts are out                                          */
        REQUEST_FINISHED, /* the reply is encoded and waits for its turn            */
        REQUEST_ENDING,   /* sent or dropped; ends when the last part is back again */
};

struct request {
        uint32_t magic;
        enum request_step step;
        struct shard *shard; /* of the connection; everything here is its thread's */
        struct conn *conn;   /* NULL once the reply was sent or dropped */
        const struct api *api;
        struct api_stats *counts; /* of the API on this shard */
        int16_t version;
        int32_t correlation_id;
        struct str client_id; /* borrowed from the frame */
        struct arena arena;   /* decoded body, handler's state, reply */
        void *body;           /* the decoded struct, e.g. struct produce_req */
        void *state;          /* the handler's own, from the arena */
        struct registry_view
            *view;        /* the topics as they were at begin; held until the request ends */
        unsigned pending; /* parts that are out; begin itself holds one */
        uint64_t begun_ns;
        bool no_reply;     /* acks=0 */
        bool close;        /* close the connection instead of (or after) replying */
        bool bad_version;  /* ApiVersions only: the answer that every client can read */
        bool failed;       /* the reply has an error code: for statistics */
        size_t promised;   /* record bytes that the reply may borrow; set by begin */
        size_t frame_size; /* bytes that it came in */
        size_t charged, charged_besides; /* of the shard's arena budget */
        struct block *frame; /* what the body borrows from; NULL: a copy in the arena, or let go */
        struct out reply;
        uint32_t n_sent;     /* segments of the reply that are on their way */
        struct shard *owner; /* of a partition that it names */
        bool many_owners;    /* several shards own its partitions */
        /* Answer soon with what is there: the connection is gone or the server stops. May be NULL.
         */
        void (*hurry)(struct request *r);
        /* The reply is gone (or dropped) and its borrowed bytes are free; may hold the request
         * until owners let go.  May be NULL. */
        void (*on_sent)(struct request *r);
        struct list link; /* the connection's queue */
};

/* A part goes out; request_done() when it is back.  Connection's shard only. */
static inline void request_hold(struct request *r)
{
        r->pending++;
}
void request_done(struct request *r);
/* It has to do with something of this shard's; says where its connection belongs. */
static inline void request_note_owner(struct request *r, struct shard *owner)
{
        if (!r->owner)
                r->owner = owner;
        else if (r->owner != owner)
                r->many_owners = true;
}
/* An error code that goes into the reply; 0: none. */
static inline void request_note_error(struct request *r, int16_t error)
{
        if (error) r->failed = true;
}
/* Memory besides the arena that the request holds until it ends counts as its scratch memory. */
void request_charge(struct request *r, size_t bytes);
/* What the body borrows from is let go before the request ends: nothing of the frame, its strings
 * and client_id included, is looked at any more.  Harmless when it is gone already. */
void request_drop_frame(struct request *r);
/* host:port that this client should use for us (advertised address of its listener). */
struct endpoint {
        struct str host;
        int32_t port;
};
struct endpoint request_endpoint(const struct request *r);
int32_t request_node_id(const struct request *r);

/* --- between connections and requests --------------------------------------------------------- */
/* A complete frame.  block: what holds it (a reference is taken), NULL: it is copied.
 * ST_BAD_BATCH …: the frame is no request that we serve, and why is filled: the connection ends.
 * ST_NOMEM: the shard's scratch memory is used up; the same again later. */
int request_begin(struct conn *c, struct bytes_mut frame, struct block *block, struct err *why);
/* Its reply was sent or dropped. */
void request_end(struct request *r);
/* May a request begin now, as far as scratch memory goes? */
bool request_may_begin(const struct shard *s);
