/* Fetch sessions (KIP-227): the server remembers what a client fetches, requests and answers carry
 * only what changes.  Source: kafka-protocol 6.6.
 *
 * A session lives on the shard where it was made; its id says which.  A request on another shard's
 * connection borrows it by message for as long as it is under way.  The cache is bounded by number
 * and bytes; where there is no room the client gets no session, which is legal. */
#pragma once

#include "base/hash.h"
#include "base/list.h"
#include "base/types.h"
#include "server/shard.h"

struct fetch;
struct fetch_req;
struct fetch_session;
struct fetch_sessions;

enum { FETCH_SESSIONS_MAX = 1000 }; /* all shards together */

struct session_topic {
        struct str name; /* sessions by name */
        struct uuid id;  /* sessions by id   */
        uint32_t serial;
        uint32_t parts;
        UT_hash_handle hh;
};

struct session_part {
        struct list link; /* in the session's order */
        uint64_t key;     /* topic's serial, partition */
        struct session_topic *topic;
        int32_t max_bytes, leader_epoch, last_epoch;
        int64_t offset;
        int64_t high_watermark, log_start; /* as last told; -1: nothing yet, or an error */
        UT_hash_handle hh;
};
static inline int32_t session_part_index(const struct session_part *p)
{
        return (int32_t)(uint32_t)p->key;
}

enum session_kind {
        SESSION_NONE,        /* full answer, no session           */
        SESSION_FULL,        /* full answer that begins a session */
        SESSION_INCREMENTAL, /* only what changed                 */
};

/* A request's use of a session. */
struct fetch_session_use {
        enum session_kind kind;
        struct fetch_session *session;
        struct message borrow; /* to its shard and back */
        int32_t id, epoch;
        bool by_id;
        int16_t error; /* 70, 71, 106 */
};

struct fetch_sessions *fetch_sessions_new(struct shard *s, unsigned n_shards, size_t bytes_limit);
void fetch_sessions_free(struct fetch_sessions *c);

/* Finds out which kind of request it is; fetch_go_on() follows, at once or when the session came
 * from its shard. */
void fetch_session_open(struct fetch *f);
/* Incremental: what the request adds, changes and forgets.  False: out of memory, the session ends.
 */
bool fetch_session_apply(struct fetch *f);
/* The partitions in order.  NULL: none. */
struct session_part *fetch_session_first(struct fetch_session *s);
struct session_part *fetch_session_next(struct fetch_session *s, struct session_part *p);
uint32_t fetch_session_count(const struct fetch_session *s);
/* This partition gave records: it goes to the end, the others come first next time. */
void fetch_session_rotate(struct fetch_session *s, struct session_part *p);
/* The id that goes into the answer; 0: there is no session (any more). */
int32_t fetch_session_id(const struct fetch *f);
/* The answer is made: the session goes back, or ends.  Harmless without one. */
void fetch_session_close(struct fetch *f);
