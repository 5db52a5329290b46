/* A connection: bytes in, requests under way, replies out.
 *
 * Reading is a pointer to a named step (conn_in.c): length -> frame -> begin -> length …;
 * conn_run() runs steps until one is parked, that is until somebody else (the socket, memory, a
 * reply that leaves) holds the wake-up.  Writing (conn_out.c) has one send under way with all
 * replies that are due in order.  Deadlines and the end are conn.c's.
 *
 * Everything belongs to the shard that the connection was given to, or has moved to
 * (conn_place.c); before and after that to shard 0's acceptor. */
#pragma once

#include "base/err.h"
#include "base/list.h"
#include "server/peer.h"
#include "server/request.h"
#include "server/shard.h"

struct conn;

enum {
        CONN_MAGIC = 0x7673636f,
        CONN_HEAD = 160,                /* an idle connection receives into this, in struct conn */
        CONN_SMALL = 4 << 10,           /* requests that came small are received into this ...   */
        CONN_SMALL_SHARED = 16 << 10,   /* ... or this, when several are in flight               */
        CONN_LARGE = 64 << 10,          /* frames from here on get a block of their own          */
        CONN_SHARED = 256 << 10,        /* block that pipelined smaller frames share             */
        CONN_TRUST_MAX = 8 << 20,       /* frames of what size may get a buffer at once          */
        CONN_INFLIGHT_BYTES = 64 << 20, /* received and not answered                          */
        CONN_OUT_BYTES = 16 << 20,      /* answered or promised, and not sent                    */
        CONN_HANDSHAKE_S = 10,          /* until the first complete request                      */
        CONN_FRAME_S = 30,              /* without a byte inside a frame                         */
        CONN_SEND_S = 30,          /* without progress of a send, and …                     */
        CONN_SEND_RATE = 64 << 10, /* … longer for large ones: bytes per second             */
};

enum next { STEP_MORE, STEP_PARKED };

struct step {
        const char *name;
        enum next (*run)(struct conn *c);
};

/* What was received and is not a request yet. */
struct conn_in {
        struct block *block; /* NULL: head */
        uint8_t *buf;
        size_t cap, start, end; /* [start, end) of buf is not consumed */
        size_t frame;           /* length of the frame that begins at start; 0: not known yet */
        size_t trusted;         /* largest complete frame so far, at most CONN_TRUST_MAX */
        struct block_waiter waiter;
        bool receiving, waiting, ended; /* ended: nothing more is read */
        bool small;                     /* the last frame was small, yet too large for the head */
        uint8_t head[CONN_HEAD];
};

/* Where its requests would rather have it: see conn_place.c. */
struct conn_place {
        struct shard *owner; /* of all that the last requests asked for */
        uint32_t streak;     /* how many these were                     */
        uint32_t moves;      /* ever                                    */
        struct shard *to;    /* it is about to move there; NULL: it stays */
};

struct conn_out {
        struct iovec *iov; /* of the send under way */
        uint32_t n_iov, cap_iov, at;
        size_t sending; /* bytes of it that are left */
        bool busy;
};

struct conn {
        uint32_t magic;
        int fd;
        struct shard *shard;
        struct peer peer;
        struct peer local;
        const struct step *step;
        struct list link;     /* of all connections of the shard */
        struct list dirty;    /* in conns.dirty: look at it at the end of the turn */
        struct list starving; /* in conns.starving: waits for requests' scratch memory */
        struct list queue;    /* requests, in order of arrival */
        unsigned n_queued;
        size_t inflight; /* bytes of their frames */
        size_t promised; /* bytes that their replies may borrow */
        size_t unsent;   /* bytes of finished replies */
        uint64_t begun_ns, received_ns, sent_ns, send_begun_ns;
        bool greeted; /* a complete request came */
        bool closing; /* the socket is shut down; ends when nothing is pending */
        struct timer timer;
        struct message message; /* to the shard, and back to the acceptor */
        struct io_op recv, send;
        struct conn_place place;
        struct conn_out out;
        struct conn_in in;
        char client[32]; /* last client id, for log lines */
        char local_host[PEER_HOST];
};

static_assert(sizeof(struct conn) <= 1024, "what a connection costs before it has sent a header");

/* --- conn.c: life --- */
/* The acceptor's: a connection to be posted to its shard; NULL: out of memory. */
struct conn *conn_new(struct shard *to, int fd, const struct peer *peer, const struct peer *local);
void conn_delete(struct conn *c);
/* message.run: the connection arrives on its shard. */
void conn_arrive(struct message *m);
/* It begins to belong to c->shard, and ceases to. */
void conn_enter(struct conn *c);
void conn_leave(struct conn *c);
/* Ends it: nothing more is read or sent.  why: for the log, NULL: no line. */
void conn_close(struct conn *c, const char *why);
/* The same, with a line that tells a fault of the client; rate-limited. */
void conn_close_fault(struct conn *c, const char *what, const struct err *why);
/* The same, but what it asked for before is answered first. */
void conn_end_fault(struct conn *c, const char *what, const struct err *why);
/* No more requests are read; closes after the replies of those that are under way. */
void conn_end_reading(struct conn *c);
/* To be looked at at the end of the turn. */
void conn_touch(struct conn *c);
/* Looks at what can be done now; conns_run() and completions call it. */
void conn_progress(struct conn *c);
/* The nearest deadline may have come closer. */
void conn_deadline_check(struct conn *c);
void conn_release(struct conn *c); /* frees it when nothing is pending any more */

/* --- conn_in.c, conn_out.c --- */
void conn_in_init(struct conn *c);
void conn_in_free(struct conn *c);
void conn_run(struct conn *c);
/* Sends what is due, unless a send is under way. */
void conn_flush(struct conn *c);
void conn_out_free(struct conn *c);
/* Nothing is being received, and what is here and not a request yet could travel in the head. */
bool conn_in_rests(const struct conn *c);
/* It does: no block of the shard's is held any more. */
void conn_in_pack(struct conn *c);

/* --- conn_place.c --- */
/* One of its requests has ended. */
void conn_place_note(struct conn *c, const struct request *r);
/* It does not move after all. */
void conn_place_cancel(struct conn *c);
/* True: it has left for another shard, and is not ours any more. */
bool conn_place_run(struct conn *c);

/* --- all connections of a shard --- */
struct conns {
        struct shard *shard;
        struct list all, dirty, starving;
        unsigned count;
        unsigned requests; /* that have not ended */
        unsigned detached; /* work that outlived its request: appends that were answered late */
        bool draining;
        struct request *spare; /* ended requests, for reuse */
        unsigned n_spare;
};
struct conns *conns_new(struct shard *s);
void conns_free(struct conns *cs);
/* Once a turn.  Returns how many connections it looked at. */
unsigned conns_run(struct conns *cs);
/* Would conns_run() find something? */
bool conns_busy(const struct conns *cs);
unsigned conns_count(const struct conns *cs);
/* No new requests from now on; connections close when theirs are answered. */
void conns_drain(struct conns *cs);
/* Closes them all at once. */
void conns_cut(struct conns *cs);
/* No connection and no request is left. */
bool conns_idle(const struct conns *cs);
/* Nor any work that outlived its request. */
bool conns_quiet(const struct conns *cs);
