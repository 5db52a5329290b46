/* The two ends of a connection's socket. */
#pragma once

#include "base/types.h"

enum { PEER_TEXT = 64, PEER_HOST = 46 };

struct peer {
        uint8_t addr[16];
        uint16_t port;
        uint8_t size; /* bytes of addr: 4, 16, 0: unknown */
};

/* Whoever is at the other end, and our own end.  Sockets of the simulator have neither. */
struct peer peer_of(int fd);
struct peer peer_local(int fd);
/* Notices peers that are gone without a word. */
void peer_watch(int fd);
/* "127.0.0.1:4711", "[::1]:4711", "unknown". */
const char *peer_text(const struct peer *p, char buf[static PEER_TEXT]);
/* The address alone. */
const char *peer_host(const struct peer *p, char buf[static PEER_HOST]);
