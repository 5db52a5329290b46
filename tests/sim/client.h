/* A connection of a scripted client: requests go out in order, several under way, replies come back
 * to callbacks.  An io user like any other, so it runs on the simulator and on real sockets. */
#pragma once

#include "base/io.h"
#include "base/list.h"
#include "tests/sim/frames.h"

enum { CLIENT_MAGIC = 0x636c6e74 };

struct client;

struct client_request {
        struct list link;
        struct client *client;
        int16_t key, version;
        int32_t correlation;
        uint8_t *frame;
        size_t n, sent;
        bool no_reply; /* Produce with acks=0: done when it is sent */
        void *owner;
        /* payload.n == -1: the connection ended first. The request is freed afterwards. */
        void (*on_reply)(struct client_request *q, struct bytes payload);
        void *note; /* the script's; freed with the request */
};

struct client {
        uint32_t magic;
        struct io *io;
        struct io_op connect_op, send_op, recv_op;
        struct iovec iov;
        int fd;
        bool connecting, sending, receiving, closing, ended;
        int32_t next_correlation;
        struct list unsent, waiting; /* requests */
        uint8_t *in;
        size_t in_n, in_cap;
        int64_t why; /* of the end: 0 end of stream, else -errno */
        void *owner;
        void (*on_connected)(struct client *c);
};

/* Connects at once; requests may be given before it is connected. */
struct client *client_new(struct io *io, uint16_t port);
/* Encodes m.  owner, note: for on_reply. */
struct client_request *client_send(struct client *c, int16_t key, int16_t version, const void *m,
    void (*on_reply)(struct client_request *q, struct bytes payload));
/* Ends the connection; on_reply of what is under way runs when it has ended. */
void client_stop(struct client *c);
/* It must have ended. */
void client_free(struct client *c);
unsigned client_pending(const struct client *c);
