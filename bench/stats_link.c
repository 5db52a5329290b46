/* One request, one answer, over a plain blocking socket.
 *
 * It can fail at: the name, the connection, silence, an answer that is none.  A server that is no
 * varve ends the connection (it does not know the request) or says something else. */
#include "bench/stats.h"

#include "base/check.h"
#include "base/status.h"
#include "protocol/msg/headers.h"

#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { WAIT_S = 5, ANSWER_MAX = 64 << 20, ARENA_MAX = 256 << 20 };

/* --- connecting --- */

static int refused(const struct stats_link *l, const char *why, struct err *e)
{
        return err_set(e, ST_IO, "%s: %s", l->address, why);
}

static const char *reason(int number)
{
        return number == EINPROGRESS || number == EAGAIN ? "no answer in time" : strerror(number);
}

/* The socket, or -errno. */
static int try_address(const struct addrinfo *a)
{
        const struct timeval limit = { .tv_sec = WAIT_S };
        int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
        if (fd < 0) return -errno;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        if (connect(fd, a->ai_addr, a->ai_addrlen) == 0) return fd;
        int r = -errno;
        close(fd);
        return r;
}

int stats_connect(struct stats_link *l, const char *host, uint16_t port, struct err *e)
{
        const struct addrinfo wanted = { .ai_socktype = SOCK_STREAM };
        struct addrinfo *found;
        char service[8];
        l->fd = -1;
        l->correlation = 0;
        snprintf(
            l->address, sizeof l->address, strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
        snprintf(service, sizeof service, "%u", port);
        int r = getaddrinfo(host, service, &wanted, &found);
        if (r != 0) return refused(l, gai_strerror(r), e);
        int last = -ENOENT;
        for (const struct addrinfo *a = found; a && l->fd < 0; a = a->ai_next) {
                last = try_address(a);
                if (last >= 0) l->fd = last;
        }
        freeaddrinfo(found);
        return l->fd < 0 ? refused(l, reason(-last), e) : 0;
}

void stats_close(struct stats_link *l)
{
        if (l->fd >= 0) close(l->fd);
        l->fd = -1;
}

/* --- bytes --- */

static int no_varve(const struct stats_link *l, const char *why, struct err *e)
{
        return err_set(e, ST_UNSUPPORTED,
            "%s: not a varve server, or one that does not know this request: %s", l->address, why);
}

static int send_all(struct stats_link *l, const uint8_t *p, size_t n, struct err *e)
{
        while (n > 0) {
                ssize_t r = send(l->fd, p, n, MSG_NOSIGNAL);
                if (r < 0 && errno == EINTR) continue;
                if (r < 0) return refused(l, reason(errno), e);
                p += r;
                n -= (size_t)r;
        }
        return 0;
}

static int recv_all(struct stats_link *l, uint8_t *p, size_t n, struct err *e)
{
        while (n > 0) {
                ssize_t r = recv(l->fd, p, n, 0);
                if (r < 0 && errno == EINTR) continue;
                if (r == 0 || (r < 0 && errno == ECONNRESET))
                        return no_varve(l, "it closed the connection", e);
                if (r < 0) return no_varve(l, reason(errno), e);
                p += r;
                n -= (size_t)r;
        }
        return 0;
}

/* --- the request and its answer --- */

static int ask(struct stats_link *l, struct err *e)
{
        struct arena arena;
        struct out o;
        struct request_header h;
        struct varve_stats_req q;
        arena_init(&arena, ARENA_MAX);
        out_init(&o, &arena);
        request_header_init(&h);
        h.api_key = API_VARVE_STATS;
        h.correlation_id = ++l->correlation;
        h.client_id = STR("varve-stats");
        varve_stats_req_init(&q);
        struct out_hole size = out_hole_i32(&o);
        request_header_encode(&h, &o, api_request_header_version(API_VARVE_STATS, 0));
        varve_stats_req_encode(&q, &o, 0);
        int r = o.bad ? err_set(e, ST_NOMEM, "out of memory") : 0;
        if (r == 0) {
                out_patch_i32(size, (int32_t)(out_total(&o) - 4));
                for (uint32_t i = 0; r == 0 && i < out_segments(&o); i++)
                        r = send_all(l, o.iov[i].iov_base, o.iov[i].iov_len, e);
        }
        arena_reset(&arena);
        return r;
}

/* What the rest relies on. */
static bool is_sane(const struct varve_stats_res *r)
{
        if (r->shards < 1) return false;
        for (int32_t i = 0; i < r->metrics.n; i++) {
                const stats_metric *m = &r->metrics.at[i];
                if (m->kind < STATS_COUNTER || m->kind > STATS_HISTOGRAM || m->divisor < 1)
                        return false;
                for (int32_t k = 0; k < m->series.n; k++) {
                        const stats_series *s = &m->series.at[k];
                        const int32_t values = m->kind == STATS_HISTOGRAM ? 0 : r->shards;
                        if (s->values.n != values || s->histograms.n != r->shards - values)
                                return false;
                }
        }
        return true;
}

static int decode(
    const struct stats_link *l, struct stats_sample *s, struct cursor *c, struct err *e)
{
        struct response_header h;
        if (!response_header_decode(
                &h, c, api_response_header_version(API_VARVE_STATS, 0), &s->arena) ||
            h.correlation_id != l->correlation ||
            !varve_stats_res_decode(&s->res, c, 0, &s->arena) || !is_sane(&s->res))
                return no_varve(l, "its answer is of another kind", e);
        if (s->res.error_code != 0)
                return err_set(e, ST_IO, "%s: error %d", l->address, s->res.error_code);
        return 0;
}

void stats_sample_free(struct stats_sample *s)
{
        if (s->frame) arena_reset(&s->arena);
        free(TAKE(s->frame));
}

int stats_ask(struct stats_link *l, struct stats_sample *ret, struct err *e)
{
        uint8_t head[4];
        stats_sample_free(ret);
        int r = ask(l, e);
        if (r == 0) r = recv_all(l, head, sizeof head, e);
        if (r < 0) return r;
        const uint32_t n = load_be32(head);
        if (n < 4 || n > ANSWER_MAX) return no_varve(l, "its answer is of another kind", e);
        ret->frame = malloc(n);
        if (!ret->frame) return err_set(e, ST_NOMEM, "out of memory");
        arena_init(&ret->arena, ARENA_MAX);
        r = recv_all(l, ret->frame, n, e);
        struct cursor c = cursor_of(ret->frame, n);
        return r < 0 ? r : decode(l, ret, &c, e);
}
