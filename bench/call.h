/* Requests one at a time, for what happens beside the clock: versions, topics, offsets. */
#pragma once

#include "base/io.h"
#include "bench/topics.h"
#include "protocol/msg.h"

enum { CALL_APIS = 80 };

struct call {
        struct io *io;
        int fd;
        struct io_op op;
        uint32_t correlation;
        struct arena arena; /* of the last reply */
        uint8_t *frame;
        int16_t versions[CALL_APIS]; /* highest that both know, -1: none */
};

/* host is numeric or "localhost". */
int call_open(struct call *c, struct io *io, const char *host, uint16_t port, struct err *e);
void call_close(struct call *c);

/* Connects a socket for others to use. */
int call_connect(struct io *io, const char *host, uint16_t port, int *ret_fd, struct err *e);

struct call_topics {
        struct topic_set *set;
        const char *const *configs; /* key=value */
        uint32_t n_configs;
        bool create;
        int16_t replication;
};
/* Creates what is missing, waits until every partition has a leader, and learns ids. */
int call_topics_ready(struct call *c, const struct call_topics *t, struct err *e);
/* Those that are ours. */
int call_topics_delete(struct call *c, const struct topic_set *t, struct err *e);

enum { OFFSETS_LATEST = -1, OFFSETS_EARLIEST = -2 };
/* ret: one for every partition of the set. */
int call_offsets(
    struct call *c, const struct topic_set *t, int64_t when, int64_t *ret, struct err *e);
