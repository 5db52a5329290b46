/* Sockets, clocks and randomness as the two real backends share them. */
#include "base/io_backend.h"
#include "base/status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A peer that vanished without a word is noticed after two minutes. */
enum { BACKLOG = 4096, KEEPALIVE_IDLE_S = 60, KEEPALIVE_EVERY_S = 15, KEEPALIVE_TRIES = 4 };

static int set_option(int fd, int level, int option, int value)
{
        return setsockopt(fd, level, option, &value, sizeof value);
}

/* On Linux an accepted socket inherits these from the listener: no calls per connection. */
static int set_tcp_options(int fd)
{
        if (set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1) < 0 ||
            set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) < 0 ||
            set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S) < 0 ||
            set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S) < 0 ||
            set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_TRIES) < 0)
                return -errno;
        return 0;
}

/* What an accepted connection has on its way to the peer.  Left to itself the kernel lets it grow
 * to megabytes, whose bytes have left the processor's caches before the peer on this machine, or
 * the network card, comes to them; much less costs a wake-up for every few.  The kernel doubles it
 * for its own bookkeeping, and cuts it to net.core.wmem_max. */
enum { SEND_BUFFER = 512 << 10 };

static int listener_bind(int fd, const struct addrinfo *a)
{
        int r = set_tcp_options(fd);
        if (r < 0) return r;
        if (set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0) return -errno;
        if (set_option(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER) < 0) return -errno;
        if (a->ai_family == AF_INET6 && set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) < 0)
                return -errno;
        if (bind(fd, a->ai_addr, a->ai_addrlen) < 0) return -errno;
        return listen(fd, BACKLOG) < 0 ? -errno : 0;
}

static int listener_new(const struct addrinfo *a, int type)
{
        int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | type, 0);
        if (fd < 0) return -errno;
        int r = listener_bind(fd, a);
        if (r == 0) return fd;
        close(fd);
        return r;
}

int io_sys_listen(const char *host, uint16_t port, int type, struct err *e)
{
        char service[8];
        snprintf(service, sizeof service, "%u", port);
        const struct addrinfo hints = {
                .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                .ai_family = AF_UNSPEC,
                .ai_socktype = SOCK_STREAM,
        };
        const char *node = host && *host ? host : NULL;
        struct addrinfo *found = NULL;
        int g = getaddrinfo(node, service, &hints, &found);
        if (g != 0)
                return err_set(
                    e, ST_INVALID, "listen on %s:%u: %s", node ? node : "*", port, gai_strerror(g));
        int r = -EADDRNOTAVAIL;
        for (const struct addrinfo *a = found; a && r < 0; a = a->ai_next)
                r = listener_new(a, type);
        freeaddrinfo(found);
        if (r < 0)
                return err_set(
                    e, ST_IO, "listen on %s:%u: %s", node ? node : "*", port, strerror(-r));
        return r;
}

/* The length of the address, or -EINVAL. */
static int address_parse(struct io_op *op)
{
        const in_port_t port = htobe16((uint16_t)op->off);
        struct in_addr a4;
        struct in6_addr a6;
        if (inet_pton(AF_INET, op->path, &a4) == 1) {
                op->in4 =
                    (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = port, .sin_addr = a4 };
                return sizeof op->in4;
        }
        if (inet_pton(AF_INET6, op->path, &a6) == 1) {
                op->in6 = (struct sockaddr_in6){
                        .sin6_family = AF_INET6, .sin6_port = port, .sin6_addr = a6
                };
                return sizeof op->in6;
        }
        return -EINVAL;
}

int io_sys_connect_socket(struct io_op *op, int type, socklen_t *ret_len)
{
        int len = address_parse(op);
        if (len < 0) return len;
        int fd = socket(op->in4.sin_family, SOCK_STREAM | SOCK_CLOEXEC | type, 0);
        if (fd < 0) return -errno;
        int r = set_tcp_options(fd);
        if (r < 0) {
                close(fd);
                return r;
        }
        *ret_len = (socklen_t)len;
        return fd;
}

void io_sys_shutdown(struct io *io, int fd)
{
        (void)io;
        /* ENOTCONN: the peer was faster, which is as good. */
        if (shutdown(fd, SHUT_RDWR) < 0) assert(errno != EBADF);
}

uint64_t io_sys_now_ns(void)
{
        struct timespec t;
        int r = clock_gettime(CLOCK_MONOTONIC, &t);
        assert(r == 0);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void io_rests(struct io *io)
{
        counter_add(&io->sleeps, 1);
        io->rest_ns = io_sys_now_ns();
}

int64_t io_sys_wall_ms(struct io *io)
{
        (void)io;
        struct timespec t;
        int r = clock_gettime(CLOCK_REALTIME, &t);
        assert(r == 0);
        return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void io_sys_random(struct io *io, void *buf, size_t n)
{
        (void)io;
        uint8_t *p = buf;
        while (n > 0) {
                ssize_t got = getrandom(p, n, 0);
                if (got < 0) {
                        assert(errno == EINTR);
                        continue;
                }
                p += got;
                n -= (size_t)got;
        }
}
