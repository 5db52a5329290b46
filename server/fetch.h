/* A Fetch under way: what api_fetch.c, fetch_read.c, fetch_reply.c and fetch_session.c share.
 *
 * Partitions are grouped by owning shard.  An owner visits its group: it looks at how much could be
 * read and arms a watch in the same step; it reads when that is enough, when something is wrong, or
 * when it was told to answer.  Until then nothing is read and no block is held. */
#pragma once

#include "server/fetch_session.h"
#include "server/request.h"

struct fetch;
struct fetch_group;

enum { FETCH_MAGIC = 0x76736665 };

/* One partition.  After begin the owner's, until its group is back. */
struct fetch_part {
        struct fetch_group *group;
        struct fetch_part *next;       /* of its group, in order of the request */
        struct fetch_part *next_moved; /* of its group */
        const struct topic *topic;     /* NULL: unknown, error says how */
        struct str name;
        struct uuid id;
        struct session_part *cached; /* NULL: no session; the connection's shard's */
        int32_t index, max_bytes, leader_epoch, last_epoch;
        int64_t offset;
        /* result */
        int16_t error;
        bool moved, dropped; /* dropped: does not fit into what is left of max_bytes */
        int64_t high_watermark, log_start;
        uint64_t readable;
        struct log_read *read; /* NULL: nothing was read */
        struct log_watch watch;
};

enum fetch_state {
        FETCH_NEW,      /* not all partitions were looked at yet */
        FETCH_WATCHING, /* not enough to answer                  */
        FETCH_READING,
        FETCH_DONE,
};

struct fetch_group {
        struct message visit;    /* to the owner, and later to itself when a watch fires   */
        struct message final;    /* to the owner: answer with what is there                */
        struct message report;   /* back: `reported` has changed                           */
        struct message done;     /* back: everything is read                               */
        struct message release;  /* to the owner: the reply is sent                        */
        struct message released; /* back: the owner knows nothing of us any more           */
        struct fetch *fetch;
        struct shard *owner;
        struct fetch_part *first, *last;
        struct { /* the owner's thread, until it is done */
                enum fetch_state state;
                bool must_answer, visit_posted, has_error;
                struct fetch_part *at;    /* FETCH_NEW: looked at up to here */
                struct fetch_part *moved; /* to be looked at again           */
                uint64_t available;
                uint64_t budget,
                    cold;  /* bytes that may still be read; that are asked of the disk */
                bool some; /* a partition with data was found    */
                unsigned reads_out;
                struct arena arena; /* of the reads */
                bool trip;          /* a message to itself is still on its way */
        } own;
        _Atomic uint64_t reported; /* owner stores */
        _Atomic bool report_posted;
        bool back, final_sent; /* the connection's shard's */
};

/* All of it the connection's shard's. */
struct fetch {
        uint32_t magic;
        struct request *r;
        uint64_t max_bytes, min_bytes;
        int32_t max_wait_ms;
        bool may_wait;  /* false: answer with what is there, set before the groups start */
        bool answering; /* groups were told to finish, or there is none */
        int16_t error;  /* of the whole answer */
        struct fetch_part *parts;
        int32_t n;
        struct fetch_group *groups; /* one per shard; unused ones have no parts */
        unsigned groups_out;
        struct timer deadline;
        struct fetch_session_use session;
};

/* --- fetch_read.c --- */
/* Puts a part into its owner's group. */
void fetch_part_assign(struct fetch *f, struct fetch_part *p);
/* Starts the groups.  The request is held until all are back. */
void fetch_start(struct fetch *f);
/* Answer now, with what is there. */
void fetch_answer(struct fetch *f);
/* request.on_sent: lets the blocks go. */
void fetch_on_sent(struct request *r);

/* --- fetch_reply.c --- */
void fetch_encode(struct fetch *f, struct out *reply);

/* --- api_fetch.c: once the session is known --- */
void fetch_go_on(struct fetch *f);
