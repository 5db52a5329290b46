/* Accepting connections: shard 0 accepts and deals them out to the shards in turn. */
#pragma once

#include "base/err.h"
#include "base/inbox.h"

struct acceptor;
struct server;

/* limit: connections that file descriptors allow. */
struct acceptor *acceptor_new(struct server *server, unsigned limit);
/* Arms it; the listening socket is open. */
void acceptor_start(struct acceptor *a);
/* No more from now on; on shard 0's thread. */
void acceptor_stop(struct acceptor *a);
/* Its operations have ended. */
bool acceptor_stopped(const struct acceptor *a);
/* All connections are gone. */
void acceptor_free(struct acceptor *a);
/* conn.message, back on shard 0: counts and frees it. */
void acceptor_conn_gone(struct message *m);
