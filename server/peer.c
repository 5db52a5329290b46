/* Addresses of sockets.  Asked of the kernel directly: a refusal only means "unknown". */
#include "server/peer.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
        IDLE_S = 60,     /* then the kernel asks whether the peer is there … */
        INTERVAL_S = 20, /* … so often …                                     */
        PROBES = 3,      /* … and gives up after so many.                    */
        UNACKED_MS = 60 * 1000,
};

union any_address {
        struct sockaddr any;
        struct sockaddr_in in4;
        struct sockaddr_in6 in6;
};

static struct peer peer_make(const union any_address *a)
{
        static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
        struct peer p = { .size = 0 };
        if (a->any.sa_family == AF_INET) {
                p.size = 4;
                p.port = be16toh(a->in4.sin_port);
                memcpy(p.addr, &a->in4.sin_addr, 4);
        } else if (a->any.sa_family == AF_INET6) {
                const uint8_t *b = a->in6.sin6_addr.s6_addr;
                bool is4 = memcmp(b, mapped, sizeof(mapped)) == 0;
                p.size = is4 ? 4 : 16;
                p.port = be16toh(a->in6.sin6_port);
                memcpy(p.addr, is4 ? b + sizeof(mapped) : b, p.size);
        }
        return p;
}

struct peer peer_of(int fd)
{
        union any_address a = { .any.sa_family = AF_UNSPEC };
        socklen_t len = sizeof(a);
        if (getpeername(fd, &a.any, &len) < 0) return (struct peer){ .size = 0 };
        return peer_make(&a);
}

struct peer peer_local(int fd)
{
        union any_address a = { .any.sa_family = AF_UNSPEC };
        socklen_t len = sizeof(a);
        if (getsockname(fd, &a.any, &len) < 0) return (struct peer){ .size = 0 };
        return peer_make(&a);
}

static void option(int fd, int level, int name, int value)
{
        (void)setsockopt(fd, level, name, &value, sizeof(value));
}

void peer_watch(int fd)
{
        option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        option(fd, IPPROTO_TCP, TCP_KEEPIDLE, IDLE_S);
        option(fd, IPPROTO_TCP, TCP_KEEPINTVL, INTERVAL_S);
        option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
        option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS);
}

const char *peer_host(const struct peer *p, char buf[static PEER_HOST])
{
        int family = p->size == 16 ? AF_INET6 : AF_INET;
        if (p->size == 0 || !inet_ntop(family, p->addr, buf, PEER_HOST))
                snprintf(buf, PEER_HOST, "unknown");
        return buf;
}

const char *peer_text(const struct peer *p, char buf[static PEER_TEXT])
{
        char host[PEER_HOST];
        peer_host(p, host);
        if (p->size == 0)
                snprintf(buf, PEER_TEXT, "unknown");
        else if (p->size == 16)
                snprintf(buf, PEER_TEXT, "[%.46s]:%u", host, p->port);
        else
                snprintf(buf, PEER_TEXT, "%.46s:%u", host, p->port);
        return buf;
}
