/* What scripted clients do: produce, consume, check a whole log, and make noise around it; all of
 * it against one oracle. */
#pragma once

#include "tests/sim/client.h"
#include "tests/sim/oracle.h"

struct script_env {
        struct io *io;
        struct oracle *oracle;
        uint16_t port;
        const char *topic;
        uint64_t (*random)(void *arg);
        void *random_arg;
        uint32_t records_max, value_max; /* of one batch */
        bool codecs;                     /* compressed batches too */
        bool storage_may_fail;           /* errors of the disk are being injected */

        bool failed; /* a rule broke; error says which */
        struct err error;
        uint64_t acked, failed_sends, fetches, fetched_bytes, noise, refused;
};

uint64_t script_below(struct script_env *env, uint64_t n);
void script_fail(struct script_env *env, const char *what);

enum script_kind { SCRIPT_PRODUCER, SCRIPT_CONSUMER, SCRIPT_NOISE, SCRIPT_TOPIC, SCRIPT_CHECK };

struct script_options {
        enum script_kind kind;
        int32_t first, partitions; /* the partitions it works on */
        unsigned in_flight;        /* requests under way at most */
        uint64_t bytes;            /* producer: how much to send before it pauses */
        unsigned acks0_per_mille;  /* producer: requests without an answer */
        uint32_t segment_bytes;    /* topic: 0: the default */
};

struct script {
        struct script_env *env;
        struct script_options o;
        struct client *client;
        uint32_t stream;
        uint64_t sent;
        bool paused;
        bool done;        /* topic: exists; check: everything was read */
        int32_t checking; /* check: partition being read */
        int64_t *next;    /* consumer, check: next offset per partition */
        unsigned churn;   /* noise: topics made so far */
};

struct script *script_new(struct script_env *env, const struct script_options *o);
/* Nothing new is sent; what is under way finishes. */
void script_pause(struct script *s);
/* Connection gone and every request told. */
bool script_ended(const struct script *s);
void script_free(struct script *s);
