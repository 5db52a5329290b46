/* A whole server in the test's own thread, with a directory of its own, and a client that speaks
 * the generated codecs over a real socket: what the tests of topic administration stand on. */
#pragma once

#include "base/arena.h"
#include "protocol/msg/all.h"
#include "server/server.h"

enum { RIG_SHARDS = 2 };

struct rig {
        char dir[64];
        const char *sets[8]; /* --set, kept for rig_restart() */
        unsigned n_sets;
        struct config *config;
        struct io *ios[RIG_SHARDS];
        struct server *server;
        int fd; /* the client, -1: none */
        int32_t correlation;
        struct arena arena; /* what replies borrow from; lives as long as the rig */
};

/* sets: NULL-terminated --set texts, NULL: none. */
void rig_open(struct rig *g, const char *const *sets);
/* Stops the server cleanly and starts it on the same directory. */
void rig_restart(struct rig *g);
/* Stops it, frees everything, removes the directory. */
void rig_close(struct rig *g);
/* Turns all shards once or until `more` turns did nothing. */
void rig_turn(struct rig *g);
/* Sends a request and waits for its answer.  False: the server closed the connection (the next call
 * makes a new one). */
bool rig_call(struct rig *g, int16_t key, int16_t version, const void *req, void *res);
/* Only sends; rig_receive() takes the answers in order. */
void rig_send(struct rig *g, int16_t key, int16_t version, const void *req);
bool rig_receive(struct rig *g, int16_t key, int16_t version, void *res);

/* Shortcuts. */
int16_t rig_create(struct rig *g, const char *name, int32_t partitions);
int16_t rig_delete(struct rig *g, const char *name);
/* Metadata v12 of one topic, without creating it; points into the rig's arena. */
const struct metadata_res_topics *rig_topic(struct rig *g, const char *name);
