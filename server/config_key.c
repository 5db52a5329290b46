/* The table of the server's settings; its own first, then the defaults of topics
 * (topic_config_keys.c has those).  A number has one unit, the one that its name says (ms, bytes),
 * and is written without it; only memory.limit.bytes also takes KiB, MiB or GiB. */
#include "base/check.h"
#include "base/status.h"
#include "server/config_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const words_io[] = { "auto", "uring", "posix", NULL };
static const char *const words_durability[] = { "auto", "dsync", "fdatasync", NULL };
static const char *const words_level[] = { "debug", "info", "warn", "error", NULL };
static const char *const words_format[] = { "kv", "json", NULL };
static_assert(CONFIG_IO_POSIX == 2 && STORE_DURABILITY_SYNC == 2 && LOG_ERROR == 3 && LOG_JSON == 1,
    "words are in the order of their enums");

#define AT(member) offsetof(struct config, member)
enum { YEAR_MS_HIGH = 8 }; /* the longest time is 8 * 2^32 ms, a bit more than a year */
#define TIME_MAX ((int64_t)YEAR_MS_HIGH << 32)

static const struct config_key own[] = {
        { "advertised.listeners", KEY_STRING, "", "",
            "Address that clients are told to connect to. Default: the address that listeners "
            "names; "
            "when that is every interface, the one at which the client came in.",
            FIELD_LISTENER, AT(advertised) },
        { "auto.create.topics.enable", KEY_BOOL, "true", "",
            "Whether asking for the metadata of a topic creates it.", FIELD_BOOL,
            AT(auto_create_topics) },
        { "connections.max.idle.ms", KEY_LONG, "600000", "ms",
            "A connection without requests for this long is closed.", FIELD_I64, AT(idle_close_ms),
            1000, TIME_MAX },
        { "default.replication.factor", KEY_INT, "1", "replicas",
            "Replicas of new partitions; this server keeps one.", FIELD_NONE, 0, 1, 1 },
        { "delete.topic.enable", KEY_BOOL, "true", "", "Whether clients may delete topics.",
            FIELD_BOOL, AT(delete_topics) },
        { "fetch.max.bytes", KEY_INT, "57671680", "bytes",
            "Most record bytes in the answer to one Fetch; a first batch that is larger is sent "
            "alone.",
            FIELD_I32, AT(fetch_max_bytes), 1024, INT32_MAX },
        { "listeners", KEY_LIST, "PLAINTEXT://127.0.0.1:9092", "",
            "Where to listen: one PLAINTEXT://host:port. An empty host means every interface, port "
            "0 "
            "any free port.",
            FIELD_LISTENER, AT(listen) },
        { "log.dirs", KEY_LIST, "", "", "The data directory; one. There is no default.", FIELD_DIR,
            AT(data_dir) },
        { "log.retention.check.interval.ms", KEY_LONG, "300000", "ms",
            "How often old segments are looked for.", FIELD_I64, AT(retention_check_ms), 100,
            TIME_MAX },
        { "max.connections", KEY_INT, "10000", "connections", "Connections that are open together.",
            FIELD_I32, AT(max_connections), 1, 1000000 },
        { "max.connections.per.ip", KEY_INT, "2147483647", "connections",
            "Connections that are open together from one address.", FIELD_I32,
            AT(max_connections_per_ip), 1, INT32_MAX },
        { "memory.limit.bytes", KEY_LONG, "", "bytes",
            "All memory that the server uses; a plain number, or one with KiB, MiB or GiB. "
            "Default: "
            "half of the machine's memory or of the container's limit.",
            FIELD_U64, AT(memory_limit), (int64_t)64 << 20, (int64_t)1 << 44, .size = true },
        { "node.id", KEY_INT, "1", "", "Id of this server.", FIELD_I32, AT(node_id), 0, INT32_MAX },
        { "num.partitions", KEY_INT, "1", "partitions",
            "Partitions of a topic whose creator names no number.", FIELD_I32, AT(num_partitions),
            1, 10000 },
        { "socket.request.max.bytes", KEY_INT, "104857600", "bytes",
            "Largest request; the default is lower where memory.limit.bytes is small.", FIELD_I32,
            AT(max_request_bytes), 65536, INT32_MAX },
        { "varve.connection.max.requests", KEY_INT, "64", "requests",
            "Requests of one connection that are worked on together.", FIELD_I32,
            AT(inflight_requests), 1, 10000 },
        { "varve.durability.method", KEY_STRING, "auto", "",
            "How writes become durable: each write by itself (dsync), a write and then fdatasync, "
            "or "
            "whichever is faster on this directory (auto).",
            FIELD_WORD, AT(durability), .words = words_durability },
        { "varve.io", KEY_STRING, "auto", "",
            "How the kernel is asked: uring, posix (epoll and threads), or uring where it is "
            "allowed.",
            FIELD_WORD, AT(io), .words = words_io },
        { "varve.journal.bytes", KEY_LONG, "33554432", "bytes",
            "Size of a shard's journal, which makes the newest bytes of thin partitions durable "
            "together; 0: every partition is written by itself.",
            FIELD_U64, AT(journal_bytes), 0, (int64_t)1 << 30, .size = true },
        { "varve.log.format", KEY_STRING, "kv", "", "Form of log lines: key=value, or JSON.",
            FIELD_WORD, AT(log_format), .words = words_format },
        { "varve.log.level", KEY_STRING, "info", "", "Least important log line that is written.",
            FIELD_WORD, AT(log_level), .words = words_level },
        { "varve.max.partitions", KEY_INT, "100000", "partitions",
            "Partitions of all topics together; more are refused.", FIELD_I32, AT(max_partitions),
            1, 10000000 },
        { "varve.shards", KEY_INT, "0", "threads",
            "Threads that share connections and partitions; 0: one per core, as far as memory "
            "goes.",
            FIELD_UINT, AT(shards), 0, 256 },
};

static struct config_key all[CONFIG_KEYS_MAX];
static unsigned all_count;

static int compare_names(const void *a, const void *b)
{
        return strcmp(((const struct config_key *)a)->name, ((const struct config_key *)b)->name);
}

static const char *unit_of(const char *name)
{
        static const char *const units[] = { "bytes", "ms", "messages", "replicas" };
        size_t n = strlen(name);
        for (size_t i = 0; i < COUNT_OF(units); i++) {
                size_t u = strlen(units[i]);
                if (n > u && strcmp(name + n - u, units[i]) == 0) return units[i];
        }
        return "";
}

/* Once, before there are threads. */
static void join_tables(void)
{
        unsigned n;
        const struct topic_key *topic = topic_keys(&n);
        static_assert(COUNT_OF(own) + TOPIC_KEYS <= CONFIG_KEYS_MAX, "both tables fit");
        memcpy(all, own, sizeof(own));
        all_count = COUNT_OF(own);
        for (unsigned i = 0; i < n; i++) {
                const struct topic_key *t = &topic[i];
                if (!t->broker_key) continue;
                all[all_count++] = (struct config_key){ .name = t->broker_key,
                        .type = t->type,
                        .fallback = t->fallback,
                        .unit = unit_of(t->broker_key),
                        .meaning = t->meaning,
                        .topic = t };
        }
        qsort(all, all_count, sizeof(all[0]), compare_names);
}

const struct config_key *config_keys(unsigned *ret_count)
{
        if (all_count == 0) join_tables();
        *ret_count = all_count;
        return all;
}

const struct config_key *config_key_find(struct str name)
{
        unsigned n;
        const struct config_key *k = config_keys(&n);
        for (unsigned i = 0; i < n; i++)
                if (str_eq(name, str_of(k[i].name))) return &k[i];
        return NULL;
}

void config_env_name(const struct config_key *k, char *buf, size_t n)
{
        const char *name = k->name;
        if (strncmp(name, "varve.", 6) == 0) name += 6;
        snprintf(buf, n, "VARVE_%s", name);
        for (char *c = buf; *c; c++) {
                if (*c >= 'a' && *c <= 'z') *c = (char)(*c - 'a' + 'A');
                if (*c == '.') *c = '_';
        }
}

/* --- names that are no keys --- */

/* Kafka's settings that people bring along; here: what to write instead, NULL: nothing. */
static const struct {
        const char *name, *here;
} elsewhere[] = {
        { "broker.id", "node.id" },
        { "controller.listener.names", NULL },
        { "controller.quorum.bootstrap.servers", NULL },
        { "controller.quorum.voters", NULL },
        { "group.initial.rebalance.delay.ms", NULL },
        { "inter.broker.listener.name", NULL },
        { "listener.security.protocol.map", NULL },
        { "log.dir", "log.dirs" },
        { "log.retention.hours", "log.retention.ms" },
        { "log.retention.minutes", "log.retention.ms" },
        { "log.roll.hours", "log.roll.ms" },
        { "log.roll.jitter.hours", "log.roll.jitter.ms" },
        { "log.flush.scheduler.interval.ms", "log.flush.interval.ms" },
        { "num.io.threads", "varve.shards" },
        { "num.network.threads", "varve.shards" },
        { "num.recovery.threads.per.data.dir", NULL },
        { "offsets.topic.replication.factor", NULL },
        { "process.roles", NULL },
        { "share.coordinator.state.topic.min.isr", NULL },
        { "share.coordinator.state.topic.replication.factor", NULL },
        { "socket.receive.buffer.bytes", NULL },
        { "socket.send.buffer.bytes", NULL },
        { "transaction.state.log.min.isr", NULL },
        { "transaction.state.log.replication.factor", NULL },
        { "zookeeper.connect", NULL },
        { "zookeeper.connection.timeout.ms", NULL },
};

int config_key_unknown(struct str name, const char *where, struct err *e)
{
        unsigned n;
        const struct config_key *keys = config_keys(&n);
        struct text_shown shown = text_show(name);
        for (size_t i = 0; i < COUNT_OF(elsewhere); i++) {
                if (!str_eq(name, str_of(elsewhere[i].name))) continue;
                if (elsewhere[i].here)
                        return err_set(e, ST_INVALID, "%s: %s: unknown key; here it is %s", where,
                            shown.text, elsewhere[i].here);
                return err_set(e, ST_INVALID,
                    "%s: %s: unknown key; Kafka has it, but it means nothing here: remove it",
                    where, shown.text);
        }
        for (unsigned i = 0; i < n; i++)
                if (text_near(name, keys[i].name))
                        return err_set(e, ST_INVALID, "%s: %s: unknown key (did you mean %s?)",
                            where, shown.text, keys[i].name);
        return err_set(e, ST_INVALID, "%s: %s: unknown key; `varve config print` shows all", where,
            shown.text);
}

/* --- values --- */

static int bad(const struct config_key *k, struct str value, const char *allowed, struct err *e)
{
        return err_set(e, ST_INVALID, "%s=%s: not allowed; allowed: %s", k->name,
            text_show(value).text, allowed);
}

static int set_number(
    struct config *c, const struct config_key *k, struct str value, int64_t *ret, struct err *e)
{
        int64_t v;
        char allowed[120];
        snprintf(allowed, sizeof(allowed), "%" PRId64 " to %" PRId64 "%s%s%s", k->min, k->max,
            *k->unit ? " " : "", k->unit,
            k->size ? ", a plain number or one with KiB, MiB or GiB" : ", a plain number");
        if (!(k->size ? text_size(value, &v) : text_i64(value, &v)) || v < k->min || v > k->max)
                return bad(k, value, allowed, e);
        char *at = (char *)c + k->at;
        if (k->field == FIELD_I32) *(int32_t *)(void *)at = (int32_t)v;
        if (k->field == FIELD_I64) *(int64_t *)(void *)at = v;
        if (k->field == FIELD_U64) *(uint64_t *)(void *)at = (uint64_t)v;
        if (k->field == FIELD_UINT) *(unsigned *)(void *)at = (unsigned)v;
        *ret = v;
        return 0;
}

static int set_word(struct config *c, const struct config_key *k, struct str value, struct err *e)
{
        char allowed[120] = "";
        for (unsigned i = 0; k->words[i]; i++) {
                if (str_eq(value, str_of(k->words[i]))) {
                        static_assert(sizeof(enum log_level) == sizeof(unsigned), "enums are int");
                        *(unsigned *)(void *)((char *)c + k->at) = i;
                        return 0;
                }
                size_t at = strlen(allowed);
                snprintf(allowed + at, sizeof(allowed) - at, "%s%s", i ? ", " : "", k->words[i]);
        }
        return bad(k, value, allowed, e);
}

static int set_dir(struct config *c, const struct config_key *k, struct str value, struct err *e)
{
        if (value.n > 0 && memchr(value.p, ',', (size_t)value.n))
                return bad(k, value, "one directory", e);
        if ((size_t)value.n >= sizeof(c->data_dir)) return bad(k, value, "a shorter path", e);
        memcpy(c->data_dir, value.p, (size_t)value.n);
        c->data_dir[value.n] = '\0';
        return 0;
}

static int set_listener(struct config *c, const struct config_key *k, struct str value,
    char *normal, size_t n_normal, struct err *e)
{
        struct config_listener l;
        int r = config_listener_parse(k->name, value, &l, e);
        if (r < 0) return r;
        *(struct config_listener *)(void *)((char *)c + k->at) = l;
        config_listener_print(&l, normal, n_normal);
        return 0;
}

static int set_topic_default(
    const struct config_key *k, struct str value, char *normal, size_t n_normal, struct err *e)
{
        struct topic_parsed p;
        int r = topic_key_parse(k->topic, k->name, value, &p, e);
        if (r < 0) return r;
        snprintf(normal, n_normal, "%.*s", p.text.n, p.text.p);
        return 0;
}

int config_key_set(struct config *c, const struct config_key *k, struct str value, char *normal,
    size_t n_normal, struct err *e)
{
        int64_t number = 0;
        bool truth;
        int r;
        value = text_trim(value);
        snprintf(normal, n_normal, "%.*s", value.n, value.p);
        if (memchr(value.p, '\0', (size_t)value.n) || (size_t)value.n >= n_normal)
                return bad(k, value, "a shorter text without NUL", e);
        if (k->topic) return set_topic_default(k, value, normal, n_normal, e);
        switch (k->field) {
        case FIELD_WORD:
                return set_word(c, k, value, e);
        case FIELD_DIR:
                return set_dir(c, k, value, e);
        case FIELD_LISTENER:
                return set_listener(c, k, value, normal, n_normal, e);
        case FIELD_BOOL:
                if (!text_bool(value, &truth)) return bad(k, value, "true, false", e);
                *(bool *)((char *)c + k->at) = truth;
                snprintf(normal, n_normal, "%s", truth ? "true" : "false");
                return 0;
        case FIELD_NONE:
        case FIELD_I32:
        case FIELD_I64:
        case FIELD_U64:
        case FIELD_UINT:
                break;
        }
        r = set_number(c, k, value, &number, e);
        if (r == 0) snprintf(normal, n_normal, "%" PRId64, number);
        return r;
}
