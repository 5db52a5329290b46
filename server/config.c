/* Loading the configuration: defaults, then the file, then VARVE_..., then --set, then the
 * shortcuts of the command line; later ones win.  Everything is checked; the first fault refuses.
 */
#include "base/check.h"
#include "base/status.h"
#include "server/config_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 20, VALUE_ROOM = 17000, WHERE_MAX = 600 };

int config_read_file(
    const char *path, size_t limit, char **ret_text, size_t *ret_len, struct err *e)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return err_set(e, ST_INVALID, "%s: %s", path, strerror(errno));
        char *text = malloc(limit + 1);
        size_t n = 0;
        ssize_t got = text ? 1 : -1;
        while (got > 0 && n <= limit) {
                got = read(fd, text + n, limit + 1 - n);
                if (got > 0) n += (size_t)got;
        }
        int error = errno;
        close(fd);
        if (got < 0 || n > limit) {
                free(text);
                return got < 0 ? err_set(e, ST_INVALID, "%s: %s", path, strerror(error))
                               : err_set(e, ST_INVALID, "%s: larger than %zu bytes", path, limit);
        }
        text[n] = '\0';
        *ret_text = text;
        *ret_len = n;
        return 0;
}

/* --- one value --- */

struct loading {
        struct config *c;
        const char *file;
        unsigned seen[CONFIG_KEYS_MAX]; /* line in the file, 0: not there */
        char normal[VALUE_ROOM];
};

static unsigned key_index(const struct config_key *k)
{
        unsigned n;
        return (unsigned)(k - config_keys(&n));
}

static int keep(char **to, const char *text, struct err *e)
{
        char *copy = strdup(text);
        if (!copy) return err_set(e, ST_NOMEM, "configuration");
        free(*to);
        *to = copy;
        return 0;
}

static int set(struct loading *l, const struct config_key *k, struct str value, const char *where,
    struct err *e)
{
        struct config_values *v = l->c->values;
        unsigned i = key_index(k);
        int r = config_key_set(l->c, k, value, l->normal, sizeof(l->normal), e);
        if (r < 0) return err_wrap(e, r, "%s", where);
        r = keep(&v->value[i], l->normal, e);
        if (r == 0) r = keep(&v->source[i], where, e);
        v->items[i].source = SOURCE_STATIC_BROKER;
        return r;
}

static int set_default(
    struct loading *l, const struct config_key *k, struct str value, struct err *e)
{
        struct config_values *v = l->c->values;
        unsigned i = key_index(k);
        int r = set(l, k, value, "default", e);
        if (r == 0) r = keep(&v->fallback[i], l->normal, e);
        v->items[i].source = SOURCE_DEFAULT;
        return r;
}

static bool is_default(const struct config *c, const char *key)
{
        return c->values->items[key_index(config_key_find(str_of(key)))].source == SOURCE_DEFAULT;
}

/* --- where values come from --- */

static int load_defaults(struct loading *l, struct err *e)
{
        unsigned n;
        const struct config_key *keys = config_keys(&n);
        struct config_values *v = l->c->values;
        char text[32];
        v->count = n;
        for (unsigned i = 0; i < n; i++) {
                const char *fallback = keys[i].fallback;
                v->items[i] = (struct config_item){ .key = keys[i].name,
                        .unit = keys[i].unit,
                        .meaning = keys[i].meaning,
                        .type = topic_key_wire_type(keys[i].type),
                        .topic_default = keys[i].topic != NULL,
                        .source = SOURCE_DEFAULT };
                if (keys[i].field == FIELD_U64 && !*fallback) { /* memory.limit.bytes */
                        uint64_t half = config_machine_memory() / 2;
                        snprintf(text, sizeof(text), "%" PRIu64,
                            MIN(MAX(half, (uint64_t)keys[i].min), (uint64_t)keys[i].max));
                        fallback = text;
                }
                int r = 0;
                if (keys[i].topic || *fallback) {
                        r = set_default(l, &keys[i], str_of(fallback), e);
                } else { /* derived later, or none */
                        r = keep(&v->value[i], "", e);
                        if (r == 0) r = keep(&v->fallback[i], "", e);
                        if (r == 0) r = keep(&v->source[i], "default", e);
                }
                if (r < 0) return r;
        }
        return 0;
}

static int load_pair(void *arg, const struct config_pair *p, struct err *e)
{
        struct loading *l = arg;
        char where[WHERE_MAX];
        snprintf(where, sizeof(where), "file %.400s:%u", l->file, p->line);
        const struct config_key *k = config_key_find(p->key);
        if (!k) return config_key_unknown(p->key, where, e);
        unsigned *line = &l->seen[key_index(k)];
        if (*line)
                return err_set(
                    e, ST_INVALID, "%s: %s: given in line %u already", where, k->name, *line);
        *line = p->line;
        return set(l, k, p->value, where, e);
}

static int load_file(struct loading *l, struct err *e)
{
        char *text;
        size_t n;
        if (!l->file) return 0;
        int r = config_read_file(l->file, FILE_MAX, &text, &n, e);
        if (r < 0) return r;
        r = config_file_each((struct str){ text, (int32_t)n }, load_pair, l, e);
        if (r < 0 && strncmp(e->text, "file ", 5) != 0) err_wrap(e, r, "file %.400s", l->file);
        free(text);
        return r;
}

static int load_environment(struct loading *l, char *const *env, struct err *e)
{
        unsigned n;
        const struct config_key *keys = config_keys(&n);
        char name[128], where[WHERE_MAX];
        for (; env && *env; env++) {
                const char *equals = strchr(*env, '=');
                if (!equals || strncmp(*env, "VARVE_", 6) != 0) continue;
                struct str given = { *env, (int32_t)(equals - *env) };
                const struct config_key *k = NULL;
                for (unsigned i = 0; i < n && !k; i++) {
                        config_env_name(&keys[i], name, sizeof(name));
                        if (str_eq(given, str_of(name))) k = &keys[i];
                }
                if (!k)
                        return err_set(e, ST_INVALID,
                            "environment: %s: unknown key (VARVE_ is for settings: "
                            "VARVE_NUM_PARTITIONS is num.partitions)",
                            text_show(given).text);
                snprintf(where, sizeof(where), "environment %s", name);
                int r = set(l, k, str_of(equals + 1), where, e);
                if (r < 0) return r;
        }
        return 0;
}

static int load_sets(struct loading *l, const struct config_args *a, struct err *e)
{
        for (unsigned i = 0; i < a->n_sets; i++) {
                const char *equals = strchr(a->sets[i], '=');
                if (!equals)
                        return err_set(e, ST_INVALID, "--set %s: not key=value",
                            text_show(str_of(a->sets[i])).text);
                struct str name =
                    text_trim((struct str){ a->sets[i], (int32_t)(equals - a->sets[i]) });
                const struct config_key *k = config_key_find(name);
                if (!k) return config_key_unknown(name, "--set", e);
                int r = set(l, k, str_of(equals + 1), "--set", e);
                if (r < 0) return r;
        }
        return 0;
}

static int load_shortcuts(struct loading *l, const struct config_args *a, struct err *e)
{
        char url[300];
        int r = 0;
        if (a->listen) {
                snprintf(url, sizeof(url), "PLAINTEXT://%s", a->listen);
                if (strlen(a->listen) >= sizeof(url) - 16)
                        return err_set(e, ST_INVALID, "--listen: too long");
                r = set(l, config_key_find(STR("listeners")), str_of(url), "--listen", e);
        }
        if (r == 0 && a->data_dir)
                r = set(l, config_key_find(STR("log.dirs")), str_of(a->data_dir), "--data-dir", e);
        if (r == 0 && a->io) r = set(l, config_key_find(STR("varve.io")), str_of(a->io), "--io", e);
        return r;
}

/* --- what follows from the values --- */

static void warn(struct config *c, const char *text, const char *about)
{
        struct config_values *v = c->values;
        assert(v->n_warnings < CONFIG_WARNINGS_MAX);
        snprintf(v->warnings[v->n_warnings++], sizeof(v->warnings[0]), "%s%s", about, text);
}

/* advertised.listeners: given, or the listener's own address.  For every interface it stays empty:
 * request_endpoint() then names the address that the client has reached us at. */
static int derive_advertised(struct loading *l, struct err *e)
{
        struct config *c = l->c;
        bool any = config_host_is_any(c->listen.host);
        if (!is_default(c, "advertised.listeners")) {
                if (config_host_is_any(c->advertised.host))
                        return err_set(e, ST_INVALID,
                            "advertised.listeners=%s: clients cannot connect to that; name an "
                            "address of this machine that they can reach",
                            c->advertised.host);
                if (any && config_host_is_loopback(c->advertised.host))
                        warn(c,
                            " is advertised while every interface is listened on: clients on other "
                            "machines will be sent to themselves (advertised.listeners)",
                            c->advertised.host);
                return 0;
        }
        c->advertised = c->listen;
        if (any) {
                c->advertised.host[0] = '\0';
                warn(c,
                    " is not set while every interface is listened on: clients are told the "
                    "address "
                    "at which they reached this machine; behind NAT or a port mapping (containers) "
                    "set it to one that they can reach",
                    "advertised.listeners");
                return 0;
        }
        config_listener_print(&c->advertised, l->normal, sizeof(l->normal));
        return keep(&c->values->value[key_index(config_key_find(STR("advertised.listeners")))],
            l->normal, e);
}

static int fit(struct loading *l, struct err *e)
{
        struct config *c = l->c;
        char text[32];
        int r = config_memory_fit(c, is_default(c, "socket.request.max.bytes"), e);
        if (r < 0) return r;
        snprintf(text, sizeof(text), "%d", c->max_request_bytes);
        r = keep(&c->values->value[key_index(config_key_find(STR("socket.request.max.bytes")))],
            text, e);
        if (r < 0) return r;
        int64_t lag_min = 0, lag_max = 0;
        text_i64(str_of(c->values->value[key_index(
                     config_key_find(STR("log.cleaner.min.compaction.lag.ms")))]),
            &lag_min);
        text_i64(str_of(c->values->value[key_index(
                     config_key_find(STR("log.cleaner.max.compaction.lag.ms")))]),
            &lag_max);
        if (lag_min > lag_max)
                return err_set(e, ST_INVALID,
                    "log.cleaner.min.compaction.lag.ms=%" PRId64
                    ": more than log.cleaner.max.compaction.lag.ms=%" PRId64,
                    lag_min, lag_max);
        return 0;
}

static void fill_items(struct config_values *v)
{
        unsigned n_keys, n_topic;
        const struct config_key *keys = config_keys(&n_keys);
        const struct topic_key *topic = topic_keys(&n_topic);
        for (unsigned i = 0; i < n_topic; i++) v->topic_default[i] = -1;
        for (unsigned i = 0; i < v->count; i++) {
                v->items[i].value = v->value[i];
                v->items[i].fallback = v->fallback[i];
                v->items[i].source_text = v->source[i];
                if (keys[i].topic) v->topic_default[keys[i].topic - topic] = (int)i;
        }
}

static int load(struct loading *l, const struct config_args *a, struct err *e)
{
        int r = load_defaults(l, e);
        if (r == 0) r = load_file(l, e);
        if (r == 0) r = load_environment(l, a->environ, e);
        if (r == 0) r = load_sets(l, a, e);
        if (r == 0) r = load_shortcuts(l, a, e);
        if (r == 0) r = derive_advertised(l, e);
        if (r == 0) r = fit(l, e);
        if (r == 0) fill_items(l->c->values);
        return r;
}

int config_load(const struct config_args *a, struct config **ret_config, struct err *e)
{
        struct config *c = calloc(1, sizeof(*c));
        struct config_values *v = calloc(1, sizeof(*v));
        struct loading *l = calloc(1, sizeof(*l));
        int r = c && v && l ? 0 : err_set(e, ST_NOMEM, "configuration");
        if (r == 0) {
                c->values = v;
                l->c = c;
                l->file = a->file;
                r = load(l, a, e);
        }
        free(l);
        if (r == 0) {
                *ret_config = c;
                return 0;
        }
        if (c && c->values) {
                config_free(c);
        } else {
                free(v);
                free(c);
        }
        return r;
}

void config_free(struct config *c)
{
        if (!c) return;
        for (unsigned i = 0; i < CONFIG_KEYS_MAX; i++) {
                free(c->values->value[i]);
                free(c->values->source[i]);
                free(c->values->fallback[i]);
        }
        free(c->values);
        free(c);
}

unsigned config_items(const struct config *c, const struct config_item **ret_items)
{
        *ret_items = c->values->items;
        return c->values->count;
}

const struct config_item *config_item(const struct config *c, const char *key)
{
        for (unsigned i = 0; i < c->values->count; i++)
                if (strcmp(c->values->items[i].key, key) == 0) return &c->values->items[i];
        return NULL;
}

const struct config_item *config_topic_default(const struct config *c, unsigned topic_key)
{
        assert(topic_key < TOPIC_KEYS);
        int at = c->values->topic_default[topic_key];
        return at < 0 ? NULL : &c->values->items[at];
}

void config_warn(const struct config *c)
{
        for (unsigned i = 0; i < c->values->n_warnings; i++)
                log_event(
                    LOG_WARN, "configuration", LOG_STR("about", c->values->warnings[i]), LOG_END);
}
