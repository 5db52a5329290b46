/* The server: its shards, its store, its registry, its configuration; and its life.
 *
 *   server_new -> (server_start: store, recovery, registry, listener) -> shard_turn … -> server_stop
 *
 * serve.c runs it with threads and signals; the simulator runs all shards in one thread. */
#pragma once

#include "server/config.h"
#include "server/registry.h"
#include "server/shard.h"

struct server {
        uint32_t magic;
        const struct config *config;
        struct shard *shards;
        unsigned n_shards;
        struct store *store;
        struct registry *registry;      /* shard 0's */
        int listen_fd;
        uint16_t port;                  /* real one, when the configured port is 0 */
        _Atomic int stopping;           /* 0 running, 1 draining, 2 at once */
        _Atomic unsigned shards_closed;
};

/* ios: one per shard, already made (uring, posix or sim). */
int server_new(const struct config *c, struct io *const *ios, unsigned n, struct server **ret_server,
    struct err *e);
/* Blocking, on the caller's thread, before any shard turns: opens the store, recovers each shard's
 * partitions (in threads when parallel is set), replays the registry, listens. */
int server_start(struct server *s, bool parallel, struct err *e);
/* Any thread, any number of times: 1 finish what is in flight, seal, end; 2 at once. */
void server_stop(struct server *s, int how);
/* True once every shard has closed; then shard_turn() is not called any more. */
bool server_stopped(struct server *s);
void server_free(struct server *s);
