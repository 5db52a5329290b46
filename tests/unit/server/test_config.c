/* The configuration: where values come from, what they become, and every way to be refused. */
#include "base/check.h"
#include "base/status.h"
#include "server/config_impl.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A file with that text; the caller unlinks it. */
static const char *file_with(const char *text, size_t n)
{
        static char path[64];
        snprintf(path, sizeof(path), "/tmp/varve-config-XXXXXX");
        int fd = mkstemp(path);
        cr_assert_geq(fd, 0);
        cr_assert_eq(write(fd, text, n), (ssize_t)n);
        close(fd);
        return path;
}

static int load_file(const char *text, size_t n, struct config **ret, struct err *e)
{
        struct config_args a = { .file = file_with(text, n) };
        int r = config_load(&a, ret, e);
        unlink(a.file);
        return r;
}

static struct config *load_sets(unsigned n, const char *const *sets)
{
        struct config_args a = { .sets = sets, .n_sets = n };
        struct config *c;
        struct err e;
        cr_assert_eq(config_load(&a, &c, &e), 0, "%s", e.text);
        return c;
}

static const char *value(const struct config *c, const char *key)
{
        const struct config_item *x = config_item(c, key);
        cr_assert_not_null(x, "%s", key);
        return x->value;
}

Test(config, defaults)
{
        struct config *c = load_sets(0, NULL);
        cr_expect_str_eq(c->data_dir, "");
        cr_expect_str_eq(c->listen.host, "127.0.0.1");
        cr_expect_eq(c->listen.port, 9092);
        cr_expect_str_eq(c->advertised.host, "127.0.0.1");
        cr_expect_eq(c->advertised.port, 9092);
        cr_expect_eq(c->node_id, 1);
        cr_expect_eq(c->io, CONFIG_IO_AUTO);
        cr_expect_eq(c->durability, STORE_DURABILITY_AUTO);
        cr_expect_eq(c->num_partitions, 1);
        cr_expect(c->auto_create_topics);
        cr_expect(c->delete_topics);
        cr_expect_eq(c->idle_close_ms, 600000);
        cr_expect_eq(c->fetch_max_bytes, 57671680);
        cr_expect_eq(c->max_connections, 10000);
        cr_expect_eq(c->retention_check_ms, 300000);
        cr_expect_eq(c->max_partitions, 100000);
        cr_expect_eq(c->log_level, LOG_INFO);
        cr_expect_eq(c->log_format, LOG_KV);
        cr_expect_leq(c->memory_limit, config_machine_memory());
        cr_expect_geq(c->memory_limit, (uint64_t)64 << 20);
        cr_expect_eq(c->values->n_warnings, 0);
        config_free(c);
}

Test(config, items_are_sorted_and_whole)
{
        struct config *c = load_sets(0, NULL);
        const struct config_item *x;
        unsigned n = config_items(c, &x), topic_defaults = 0;
        for (unsigned i = 0; i < n; i++) {
                if (i > 0) cr_expect_lt(strcmp(x[i - 1].key, x[i].key), 0, "%s", x[i].key);
                cr_expect(x[i].value && x[i].fallback && x[i].unit, "%s", x[i].key);
                cr_expect(strlen(x[i].meaning) > 5, "%s", x[i].key);
                cr_expect_str_eq(x[i].source_text, "default");
                cr_expect_eq(x[i].source, SOURCE_DEFAULT);
                cr_expect(x[i].type >= 1 && x[i].type <= 9);
                topic_defaults += x[i].topic_default;
        }
        cr_expect_eq(topic_defaults, TOPIC_KEYS - 5, "5 topic keys have no broker key");
        cr_expect_null(config_item(c, "no.such.key"));
        config_free(c);
}

Test(config, environment_names_are_unique)
{
        unsigned n;
        const struct config_key *k = config_keys(&n);
        char a[128], b[128];
        for (unsigned i = 0; i < n; i++) {
                config_env_name(&k[i], a, sizeof(a));
                for (unsigned j = i + 1; j < n; j++) {
                        config_env_name(&k[j], b, sizeof(b));
                        cr_expect_str_neq(a, b);
                }
        }
        config_env_name(config_key_find(STR("varve.log.level")), a, sizeof(a));
        cr_expect_str_eq(a, "VARVE_LOG_LEVEL");
        config_env_name(config_key_find(STR("num.partitions")), a, sizeof(a));
        cr_expect_str_eq(a, "VARVE_NUM_PARTITIONS");
}

Test(config, file_syntax)
{
        static const char text[] = "# comment\n"
                                   "! too \\\n"
                                   "\n"
                                   "num.partitions = 3 \r\n"
                                   "  node.id:7\n"
                                   "varve.log.level\tdebug\n"
                                   "log.dirs = /a\\ b\\\\c \\\n"
                                   "       /d\n"
                                   "auto.create.topics.enable=FALSE\n"
                                   "varve\\.io=posix\n"
                                   "memory.limit.bytes=1 GiB";
        struct config *c;
        struct err e;
        cr_assert_eq(load_file(text, sizeof(text) - 1, &c, &e), 0, "%s", e.text);
        cr_expect_eq(c->num_partitions, 3);
        cr_expect_eq(c->node_id, 7);
        cr_expect_eq(c->log_level, LOG_DEBUG);
        cr_expect_str_eq(c->data_dir, "/a b\\c /d");
        cr_expect_not(c->auto_create_topics);
        cr_expect_eq(c->io, CONFIG_IO_POSIX);
        cr_expect_eq(c->memory_limit, 1U << 30);
        cr_expect_str_eq(value(c, "memory.limit.bytes"), "1073741824");
        const struct config_item *x = config_item(c, "log.dirs");
        cr_expect(strstr(x->source_text, "file /tmp/varve-config-") == x->source_text);
        cr_expect_str_eq(strrchr(x->source_text, ':'), ":7");
        cr_expect_eq(x->source, SOURCE_STATIC_BROKER);
        config_free(c);
}

Test(config, later_sources_win)
{
        static const char text[] = "num.partitions=1\nnode.id=1\nfetch.max.bytes=2000\n"
                                   "listeners=PLAINTEXT://:1\n";
        char env1[] = "VARVE_NODE_ID=2", env2[] = "VARVE_FETCH_MAX_BYTES=3000",
             env3[] = "PATH=/bin";
        char *const env[] = { env1, env2, env3, NULL };
        const char *sets[] = { "fetch.max.bytes=4000", "fetch.max.bytes=5000",
                "listeners=PLAINTEXT://:2" };
        struct config_args a = { .file = file_with(text, sizeof(text) - 1),
                .environ = env,
                .sets = sets,
                .n_sets = 3,
                .listen = "127.0.0.2:3",
                .data_dir = "/x",
                .io = "uring" };
        struct config *c;
        struct err e;
        int r = config_load(&a, &c, &e);
        unlink(a.file);
        cr_assert_eq(r, 0, "%s", e.text);
        cr_expect_eq(c->num_partitions, 1);
        cr_expect_eq(c->node_id, 2);
        cr_expect_eq(c->fetch_max_bytes, 5000);
        cr_expect_str_eq(c->listen.host, "127.0.0.2");
        cr_expect_eq(c->listen.port, 3);
        cr_expect_str_eq(c->data_dir, "/x");
        cr_expect_eq(c->io, CONFIG_IO_URING);
        cr_expect_str_eq(config_item(c, "node.id")->source_text, "environment VARVE_NODE_ID");
        cr_expect_str_eq(config_item(c, "fetch.max.bytes")->source_text, "--set");
        cr_expect_str_eq(config_item(c, "fetch.max.bytes")->fallback, "57671680");
        cr_expect_str_eq(config_item(c, "listeners")->source_text, "--listen");
        cr_expect_str_eq(config_item(c, "log.dirs")->source_text, "--data-dir");
        config_free(c);
}

/* faults 75 */
static const char *const refusals[][2] = {
        { "num.partitions=0",
            "--set: num.partitions=0: not allowed; allowed: 1 to 10000 partitions, "
            "a plain number" },
        { "num.partitions=", "--set: num.partitions=: not allowed; allowed: 1 to 10000 partitions, "
                             "a plain number" },
        { "num.partitions=99999999999999999999",
            "--set: num.partitions=99999999999999999999: not allowed; "
            "allowed: 1 to 10000 partitions, a plain number" },
        { "num.partitions=0x10",
            "--set: num.partitions=0x10: not allowed; allowed: 1 to 10000 partitions, "
            "a plain number" },
        { "fetch.max.bytes=1 MiB",
            "--set: fetch.max.bytes=1 MiB: not allowed; allowed: 1024 to 2147483647 bytes, "
            "a plain number" },
        { "connections.max.idle.ms=10s", "--set: connections.max.idle.ms=10s: not allowed; "
                                         "allowed: 1000 to 34359738368 ms, a plain number" },
        { "memory.limit.bytes=1GB",
            "--set: memory.limit.bytes=1GB: not allowed; allowed: 67108864 to "
            "17592186044416 bytes, a plain number or one with KiB, MiB or GiB" },
        { "memory.limit.bytes=1",
            "--set: memory.limit.bytes=1: not allowed; allowed: 67108864 to "
            "17592186044416 bytes, a plain number or one with KiB, MiB or GiB" },
        { "memory.limit.bytes=9999999999 GiB",
            "--set: memory.limit.bytes=9999999999 GiB: not allowed; allowed: 67108864 to "
            "17592186044416 bytes, a plain number or one with KiB, MiB or GiB" },
        { "delete.topic.enable=1",
            "--set: delete.topic.enable=1: not allowed; allowed: true, false" },
        { "varve.io=epoll", "--set: varve.io=epoll: not allowed; allowed: auto, uring, posix" },
        { "varve.log.level=INFO",
            "--set: varve.log.level=INFO: not allowed; allowed: debug, info, warn, error" },
        { "varve.durability.method=none", "--set: varve.durability.method=none: not allowed; "
                                          "allowed: auto, dsync, fdatasync" },
        { "default.replication.factor=3",
            "--set: default.replication.factor=3: not allowed; allowed: 1 to 1 replicas, "
            "a plain number" },
        { "log.dirs=/a,/b", "--set: log.dirs=/a,/b: not allowed; allowed: one directory" },
        { "listeners=SSL://:9093", "--set: listeners=SSL://:9093: only PLAINTEXT:// is supported; "
                                   "allowed: PLAINTEXT://host:port" },
        { "listeners=PLAINTEXT://:1,PLAINTEXT://:2",
            "--set: listeners=PLAINTEXT://:1,PLAINTEXT://:2: more than one listener is not "
            "supported; allowed: PLAINTEXT://host:port" },
        { "listeners=PLAINTEXT://h", "--set: listeners=PLAINTEXT://h: the port is missing; "
                                     "allowed: PLAINTEXT://host:port" },
        { "listeners=PLAINTEXT://h:65536",
            "--set: listeners=PLAINTEXT://h:65536: the port is not 0 to 65535; "
            "allowed: PLAINTEXT://host:port" },
        { "listeners=PLAINTEXT://::1:9092",
            "--set: listeners=PLAINTEXT://::1:9092: an IPv6 address stands in [ ]; "
            "allowed: PLAINTEXT://host:port" },
        { "listeners=PLAINTEXT://a b:1",
            "--set: listeners=PLAINTEXT://a b:1: the host is malformed; "
            "allowed: PLAINTEXT://host:port" },
        { "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
            "advertised.listeners=0.0.0.0: clients cannot connect to that; name an address "
            "of this machine that they can reach" },
        { "log.cleanup.policy=compact", "--set: log.cleanup.policy=compact: not supported "
                                        "yet; allowed: delete, or empty" },
        { "log.segment.bytes=1",
            "--set: log.segment.bytes=1: out of range; allowed: 1048576 to 2147483647" },
        { "num.partition=1", "--set: num.partition: unknown key (did you mean num.partitions?)" },
        { "log.retention.hours=1",
            "--set: log.retention.hours: unknown key; here it is log.retention.ms" },
        { "process.roles=broker",
            "--set: process.roles: unknown key; Kafka has it, but it means nothing here: "
            "remove it" },
        { "blah=1", "--set: blah: unknown key; `varve config print` shows all" },
        { "=1", "--set: : unknown key; `varve config print` shows all" },
        { "novalue", "--set novalue: not key=value" },
        { "varve.shards=257", "--set: varve.shards=257: not allowed; allowed: 0 to 256 threads, "
                              "a plain number" },
};

Test(config, refusals_name_key_value_and_range)
{
        for (size_t i = 0; i < COUNT_OF(refusals); i++) {
                struct config_args a = { .sets = &refusals[i][0], .n_sets = 1 };
                struct config *c = NULL;
                struct err e;
                cr_expect_eq(config_load(&a, &c, &e), ST_INVALID, "%s", refusals[i][0]);
                cr_expect_str_eq(e.text, refusals[i][1]);
                cr_expect_null(c);
        }
}

Test(config, keys_that_do_not_fit_each_other)
{
        static const char *const rows[][3] = {
                { "memory.limit.bytes=64 MiB", "varve.shards=3",
                    "varve.shards=3: needs memory.limit.bytes=100663296 (32 MiB per shard), which "
                    "is "
                    "67108864" },
                { "memory.limit.bytes=64 MiB", "socket.request.max.bytes=104857600",
                    "socket.request.max.bytes=104857600: at most " },
                { "log.cleaner.max.compaction.lag.ms=5", "log.cleaner.min.compaction.lag.ms=6",
                    "log.cleaner.min.compaction.lag.ms=6: more than "
                    "log.cleaner.max.compaction.lag.ms=5" },
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                struct config_args a = { .sets = rows[i], .n_sets = 2 };
                struct config *c = NULL;
                struct err e;
                cr_expect_eq(config_load(&a, &c, &e), ST_INVALID);
                cr_expect_eq(strncmp(e.text, rows[i][2], strlen(rows[i][2])), 0, "%s", e.text);
        }
}

Test(config, files_that_are_refused)
{
        static const struct {
                const char *text;
                size_t n;
                const char *tail; /* after "file PATH" */
        } rows[] = {
                { "node.id=1\n\nnode.id=2\n", 0, ":3: node.id: given in line 1 already" },
                { "node.id=x\n", 0,
                    ":1: node.id=x: not allowed; allowed: 0 to 2147483647, a plain number" },
                { "no.such=1\n", 0, ":1: no.such: unknown key; `varve config print` shows all" },
                { "=1\n", 0, ": line 1: no key" },
                { "log.dirs=\\u0041\n", 0, ": line 1: \\u is not supported" },
                { "node.id=1\0\n", 11, ": not a text: it has a NUL byte" },
                { "\xff\xfe\x00n", 4, ": not a text: it has a NUL byte" },
                { "\x7f"
                  "ELF\n",
                    0, ":1: ?ELF: unknown key; `varve config print` shows all" },
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                struct config *c = NULL;
                struct err e;
                size_t n = rows[i].n ? rows[i].n : strlen(rows[i].text);
                cr_expect_eq(load_file(rows[i].text, n, &c, &e), ST_INVALID, "row %zu", i);
                const char *tail = e.text + strlen("file /tmp/varve-config-XXXXXX");
                cr_expect_str_eq(tail, rows[i].tail, "%s", e.text);
        }
        struct config_args a = { .file = "/nonexistent/varve.properties" };
        struct config *c = NULL;
        struct err e;
        cr_expect_eq(config_load(&a, &c, &e), ST_INVALID);
        cr_expect_str_eq(e.text, "/nonexistent/varve.properties: No such file or directory");
        size_t n = (1 << 20) + 1;
        char *large = malloc(n);
        memset(large, '#', n);
        cr_expect_eq(load_file(large, n, &c, &e), ST_INVALID);
        cr_expect_not_null(strstr(e.text, ": larger than 1048576 bytes"));
        free(large);
}

Test(config, unknown_environment_is_refused)
{
        char bad[] = "VARVE_NUM_PARTITION=3";
        char *const env[] = { bad, NULL };
        struct config_args a = { .environ = env };
        struct config *c = NULL;
        struct err e;
        cr_expect_eq(config_load(&a, &c, &e), ST_INVALID);
        cr_expect_str_eq(e.text,
            "environment: VARVE_NUM_PARTITION: unknown key (VARVE_ is for settings: "
            "VARVE_NUM_PARTITIONS is num.partitions)");
}

Test(config, advertised_listeners)
{
        const struct {
                const char *sets[2], *host;
                uint16_t port;
                unsigned warnings;
        } rows[] = {
                { { "listeners=PLAINTEXT://10.1.2.3:5", NULL }, "10.1.2.3", 5, 0 },
                { { "listeners=PLAINTEXT://[::1]:5", NULL }, "::1", 5, 0 },
                { { "listeners=PLAINTEXT://:5", NULL }, "", 5, 1 },
                { { "listeners=PLAINTEXT://0.0.0.0:0", NULL }, "", 0, 1 },
                { { "listeners=PLAINTEXT://[::]:5", NULL }, "", 5, 1 },
                { { "listeners=PLAINTEXT://:5", "advertised.listeners=PLAINTEXT://localhost:5" },
                    "localhost", 5, 1 },
                { { "listeners=PLAINTEXT://:5", "advertised.listeners=PLAINTEXT://db.example:6" },
                    "db.example", 6, 0 },
                { { "listeners=PLAINTEXT://127.0.0.1:5",
                      "advertised.listeners=PLAINTEXT://localhost:5" },
                    "localhost", 5, 0 },
        };
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                struct config *c = load_sets(rows[i].sets[1] ? 2 : 1, rows[i].sets);
                cr_expect_str_eq(c->advertised.host, rows[i].host, "row %zu", i);
                cr_expect_eq(c->advertised.port, rows[i].port, "row %zu", i);
                cr_expect_eq(c->values->n_warnings, rows[i].warnings, "row %zu", i);
                config_free(c);
        }
}

/* --- memory --- */

Test(config, memory_adds_up)
{
        for (uint64_t limit = (uint64_t)64 << 20; limit <= (uint64_t)1 << 44;
             limit = limit * 7 / 4) {
                for (unsigned shards = 1; shards <= 256; shards = shards * 2 + 1) {
                        struct config c = { .memory_limit = limit };
                        struct config_memory m;
                        config_memory(&c, shards, &m);
                        uint64_t all = shards * (m.receive + m.blocks + m.indexes + m.arenas);
                        cr_assert_leq(all, limit - limit / 8, "an eighth stays for the rest");
                        cr_assert_geq(all, limit - limit / 8 - 64 * shards - 64 * 64);
                        cr_assert_leq(m.cache, m.blocks / 2, "the cache is a part of the blocks");
                        cr_assert(m.receive && m.blocks && m.cache && m.indexes && m.arenas);
                }
        }
}

Test(config, small_memory_means_fewer_shards_and_smaller_requests)
{
        const char *sets[] = { "memory.limit.bytes=64 MiB" };
        struct config *c = load_sets(1, sets);
        struct config_memory m;
        cr_expect_leq(config_shards(c), 2);
        config_memory(c, config_shards(c), &m);
        cr_expect_leq((uint64_t)c->max_request_bytes, m.receive / 2);
        char text[32];
        snprintf(text, sizeof(text), "%d", c->max_request_bytes);
        cr_expect_str_eq(value(c, "socket.request.max.bytes"), text);
        config_free(c);
        const char *large[] = { "memory.limit.bytes=64 GiB", "varve.shards=4" };
        c = load_sets(2, large);
        cr_expect_eq(config_shards(c), 4);
        cr_expect_eq(c->max_request_bytes, 104857600);
        config_free(c);
}

/* --- printing --- */

static char *print(const struct config *c, bool json, size_t *ret_n)
{
        FILE *f = tmpfile();
        config_print(c, json, fileno(f));
        fseek(f, 0, SEEK_END);
        size_t n = (size_t)ftell(f);
        rewind(f);
        char *text = calloc(1, n + 1);
        cr_assert_eq(fread(text, 1, n, f), n);
        fclose(f);
        *ret_n = n;
        return text;
}

/* What is printed, read as a file, gives the same values. */
Test(config, print_and_read_back)
{
        const char *sets[] = { "log.dirs=/a \\ b", "num.partitions=5", "log.retention.ms=-1",
                "listeners=PLAINTEXT://:7", "advertised.listeners=PLAINTEXT://h:8",
                "log.cleanup.policy=", "varve.log.format=json", "memory.limit.bytes=1 GiB" };
        struct config *c = load_sets(COUNT_OF(sets), sets), *d;
        size_t n;
        char *text = print(c, false, &n);
        struct err e;
        cr_assert_eq(load_file(text, n, &d, &e), 0, "%s", e.text);
        const struct config_item *x;
        unsigned count = config_items(c, &x);
        for (unsigned i = 0; i < count; i++)
                cr_expect_str_eq(value(d, x[i].key), x[i].value, "%s", x[i].key);
        cr_expect_str_eq(d->data_dir, "/a \\ b");
        cr_expect_eq(c->num_partitions, d->num_partitions);
        cr_expect_not_null(strstr(text, "# unit: ms; source: --set; default: 604800000\n"
                                        "log.retention.ms=-1\n"));
        free(text);
        config_free(c);
        config_free(d);
}

Test(config, json_has_every_key_and_escapes)
{
        const char *sets[] = { "log.dirs=/a\"b\\c\td" };
        struct config *c = load_sets(1, sets);
        size_t n;
        char *text = print(c, true, &n);
        const struct config_item *x;
        unsigned count = config_items(c, &x), lines = 0;
        for (char *p = text; *p; p++) lines += *p == '\n';
        cr_expect_eq(lines, count + 2);
        for (unsigned i = 0; i < count; i++) {
                char want[128];
                snprintf(want, sizeof(want), "{\"key\":\"%s\",\"value\":\"", x[i].key);
                cr_expect_not_null(strstr(text, want), "%s", want);
        }
        cr_expect_not_null(strstr(text, "\"value\":\"/a\\\"b\\\\c\\u0009d\""));
        free(text);
        config_free(c);
}

/* Files of noise, and good files with noise in them: refused or loaded, never worse. */
Test(config, hostile_files)
{
        static const char good[] = "node.id=1\nlisteners=PLAINTEXT://[::1]:5\nlog.dirs=/a\\\n b\n"
                                   "memory.limit.bytes=1 GiB\nlog.cleanup.policy=delete,delete\n";
        static const char alphabet[] = "=:\\#! \n\t\r.abcu0123456789,[]/\"'";
        unsigned seed = 11, loaded = 0;
        for (int round = 0; round < 3000; round++) {
                char text[200];
                size_t n = sizeof(good) - 1;
                memcpy(text, good, n);
                for (int i = rand_r(&seed) % 4; i >= 0; i--)
                        text[(size_t)rand_r(&seed) % n] =
                            alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
                n -= (size_t)(rand_r(&seed) % 3 == 0 ? rand_r(&seed) % 100 : 0);
                struct config *c;
                struct err e;
                if (load_file(text, n, &c, &e) == 0) {
                        loaded++;
                        config_free(c);
                } else {
                        cr_assert_gt(strlen(e.text), 0);
                }
        }
        cr_expect_gt(loaded, 0);
        cr_expect_lt(loaded, 3000);
}
