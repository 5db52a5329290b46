/* The server: its shards, its store, its registry, its configuration; and its life.
 *
 *   server_new -> server_open -> server_recover (each shard) -> server_listen -> shard_turn …
 *              -> server_stop -> shard_turn until server_stopped -> server_free
 *
 * serve.c runs it with threads and signals; the simulator runs all shards in one thread. */
#pragma once

#include "server/config.h"
#include "server/registry.h"
#include "server/shard.h"

struct acceptor;
struct found;

enum { SERVER_MAGIC = 0x76737376 };

struct server {
        uint32_t magic;
        const struct config *config;
        struct shard *shards;
        unsigned n_shards;
        struct store *store;
        struct found *found;       /* by shard; until it has recovered */
        struct registry *registry; /* shard 0's */
        struct acceptor *acceptor; /* shard 0's */
        int listen_fd;
        uint16_t port;                   /* real one, when the configured port is 0 */
        _Atomic int stopping;            /* 0 running, 1 draining, 2 at once */
        _Atomic unsigned shards_drained; /* no connection and no request left */
        _Atomic unsigned shards_closed;  /* and its log is closed */
};

/* ios: one per shard, already made (uring, posix or sim). */
int server_new(const struct config *c, struct io *const *ios, unsigned n,
    struct server **ret_server, struct err *e);
/* Blocking, on shard 0's thread: opens the store, replays the registry, finds out which partitions
 * have files and whose they are. */
int server_open(struct server *s, struct err *e);
/* Blocking, on the thread that runs this shard later: recovers its partitions. */
int server_recover(struct server *s, unsigned shard, struct err *e);
/* On shard 0's thread, after every shard has recovered. */
int server_listen(struct server *s, struct err *e);
/* All of the above one after the other in the caller's thread, which then runs all shards. */
int server_start(struct server *s, struct err *e);
/* Any thread, any number of times: 1 finish what is in flight, seal, end; 2 at once. */
void server_stop(struct server *s, int how);
/* True once every shard has closed; then shard_turn() is not called any more. */
bool server_stopped(struct server *s);
/* After server_stopped(), or before server_listen().  Stopped at once (2), the memory of what was
 * in flight stays: the kernel may still use it, and the process is about to end. */
void server_free(struct server *s);
/* The port that is listened on. */
uint16_t server_port(const struct server *s);
