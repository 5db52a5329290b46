/* listeners and advertised.listeners. */
#include "base/check.h"
#include "base/status.h"
#include "server/config_impl.h"

#include <stdio.h>

static int refuse(const char *key, struct str value, const char *why, struct err *e)
{
        return err_set(e, ST_INVALID, "%s=%s: %s; allowed: PLAINTEXT://host:port", key,
            text_show(value).text, why);
}

static bool legal_host(struct str host)
{
        for (int32_t i = 0; i < host.n; i++) {
                char c = host.p[i];
                bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' || c == ':' ||
                          c == '%';
                if (!ok) return false;
        }
        return true;
}

int config_listener_parse(
    const char *key, struct str value, struct config_listener *ret, struct err *e)
{
        static const char scheme[] = "PLAINTEXT://";
        enum { SCHEME = sizeof(scheme) - 1 };
        if (value.n > 0 && memchr(value.p, ',', (size_t)value.n))
                return refuse(key, value, "more than one listener is not supported", e);
        if (value.n < SCHEME || memcmp(value.p, scheme, SCHEME) != 0)
                return refuse(key, value, "only PLAINTEXT:// is supported", e);
        struct str rest = { value.p + SCHEME, value.n - SCHEME };
        const char *colon = rest.n > 0 ? memrchr(rest.p, ':', (size_t)rest.n) : NULL;
        if (!colon) return refuse(key, value, "the port is missing", e);
        struct str host = { rest.p, (int32_t)(colon - rest.p) };
        struct str port = { colon + 1, rest.n - host.n - 1 };
        bool brackets = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
        if (brackets) host = (struct str){ host.p + 1, host.n - 2 };
        int64_t number;
        if (!text_i64(port, &number) || number < 0 || number > UINT16_MAX || port.p[0] == '+')
                return refuse(key, value, "the port is not 0 to 65535", e);
        if (!brackets && host.n > 0 && memchr(host.p, ':', (size_t)host.n))
                return refuse(key, value, "an IPv6 address stands in [ ]", e);
        if ((size_t)host.n >= sizeof(ret->host) || !legal_host(host))
                return refuse(key, value, "the host is malformed", e);
        *ret = (struct config_listener){ .port = (uint16_t)number };
        if (host.n == 0) host = STR("0.0.0.0");
        memcpy(ret->host, host.p, (size_t)host.n);
        return 0;
}

void config_listener_print(const struct config_listener *l, char *buf, size_t n)
{
        bool v6 = strchr(l->host, ':') != NULL;
        snprintf(buf, n, "PLAINTEXT://%s%s%s:%u", v6 ? "[" : "", l->host, v6 ? "]" : "", l->port);
}

bool config_host_is_any(const char *host)
{
        return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

bool config_host_is_loopback(const char *host)
{
        return strcmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
               strncmp(host, "127.", 4) == 0;
}
