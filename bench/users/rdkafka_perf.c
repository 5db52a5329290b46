/* rdkafka_perf: what a user of librdkafka gets from a server.  Written as a user writes it: the
 * library's defaults, one call a record, every record's result looked at; any error ends it. */
#include "base/check.h"
#include "bench/hist.h"
#include "bench/parse.h"

#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "rdkafka_perf [OPTION...] produce|consume\n\n"
    "  -b HOST:PORT   server (default 127.0.0.1:9092)\n"
    "  -t NAME        topic (default perf)\n"
    "  -n N           how many records (default 1M)\n"
    "  -s BYTES       size of a record's value (produce; default 1000)\n"
    "  -r RATE        records a second (produce; default: as many as go)\n"
    "  -p N           create the topic with so many partitions, unless it exists (produce)\n"
    "  -T SECONDS     failure after this long (default 120)\n"
    "  -X KEY=VALUE   a setting of librdkafka's, such as linger.ms or batch.size; repeatable\n\n"
    "produce: acks=all (the library's default); consume: all partitions from the beginning, until\n"
    "there are N records.  Prints one JSON object; its bytes are those of values.\n";

enum { CONSUME_BATCH = 1000, POLL_MS = 100, METADATA_MS = 10000, SETTINGS_ROOM = 1024 };

struct perf {
        const char *broker, *topic;
        uint64_t records, size, rate, partitions, timeout_s;
        char settings[SETTINGS_ROOM]; /* those that are not the library's defaults, as JSON */
        rd_kafka_conf_t *conf;
        rd_kafka_t *rk;
        uint64_t began, wall_ns, cpu_ns, done, bytes;
        struct hist latency;
};

static _Noreturn void PRINTF_LIKE(1, 2) die(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        fputs("rdkafka_perf: ", stderr);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
        va_end(args);
        exit(1);
}

static uint64_t clock_ns(clockid_t clock)
{
        struct timespec t;
        clock_gettime(clock, &t);
        return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t now_ns(void)
{
        return clock_ns(CLOCK_MONOTONIC);
}

static void start_clock(struct perf *p)
{
        p->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        p->began = now_ns();
}

static void stop_clock(struct perf *p)
{
        p->wall_ns = now_ns() - p->began;
        p->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - p->cpu_ns;
}

static void check_time(const struct perf *p)
{
        if (now_ns() - p->began > p->timeout_s * 1000000000)
                die("out of time after %" PRIu64 " of %" PRIu64 " records", p->done, p->records);
}

static void on_error(rd_kafka_t *rk, int err, const char *reason, void *opaque)
{
        (void)rk, (void)opaque;
        die("%s: %s", rd_kafka_err2name((rd_kafka_resp_err_t)err), reason);
}

/* KEY=VALUE, for librdkafka and for the report. */
static void set(struct perf *p, char *pair)
{
        char why[256], *value = strchr(pair, '=');
        size_t n = strlen(p->settings), room = sizeof p->settings - n;
        if (!value || strpbrk(pair, "\"\\")) die("%s: KEY=VALUE without quotes, please", pair);
        *value++ = 0;
        if (rd_kafka_conf_set(p->conf, pair, value, why, sizeof why) != 0) die("%s", why);
        int added = snprintf(p->settings + n, room, "%s\"%s\": \"%s\"", n ? ", " : "", pair, value);
        if (added < 0 || (size_t)added >= room) die("too many settings");
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
        (void)rk;
        struct perf *p = opaque;
        if (m->err) die("a record was not delivered: %s", rd_kafka_err2str(m->err));
        hist_add(&p->latency, now_ns() - (uint64_t)(uintptr_t)m->_private, 1);
        p->bytes += m->len;
        p->done++;
}

static void connect_as(struct perf *p, rd_kafka_type_t type)
{
        char why[256];
        rd_kafka_conf_set_error_cb(p->conf, on_error);
        if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(p->conf, on_delivery);
        rd_kafka_conf_set_opaque(p->conf, p);
        if (rd_kafka_conf_set(p->conf, "bootstrap.servers", p->broker, why, sizeof why) != 0 ||
            !(p->rk = rd_kafka_new(type, p->conf, why, sizeof why)))
                die("%s", why);
        p->began = now_ns();
}

/* How many the topic has; a server may need a moment to create it. */
static int partitions_of(struct perf *p, rd_kafka_topic_t *topic)
{
        for (;;) {
                const struct rd_kafka_metadata *m;
                rd_kafka_resp_err_t err = rd_kafka_metadata(p->rk, 0, topic, &m, METADATA_MS);
                if (err) die("metadata: %s", rd_kafka_err2str(err));
                int n = m->topic_cnt == 1 && !m->topics[0].err ? m->topics[0].partition_cnt : 0;
                rd_kafka_metadata_destroy(m);
                if (n) return n;
                rd_kafka_poll(p->rk, POLL_MS);
                check_time(p);
        }
}

static void create_topic(struct perf *p)
{
        char why[256];
        rd_kafka_queue_t *queue = rd_kafka_queue_new(p->rk);
        rd_kafka_NewTopic_t *topic =
            rd_kafka_NewTopic_new(p->topic, (int)p->partitions, 1, why, sizeof why);
        if (!topic) die("%s", why);
        rd_kafka_CreateTopics(p->rk, &topic, 1, NULL, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, (int)p->timeout_s * 1000);
        const rd_kafka_CreateTopics_result_t *result = rd_kafka_event_CreateTopics_result(event);
        if (!result || rd_kafka_event_error(event))
                die("CreateTopics: %s", result ? rd_kafka_event_error_string(event) : "no answer");
        size_t n;
        const rd_kafka_topic_result_t **made = rd_kafka_CreateTopics_result_topics(result, &n);
        rd_kafka_resp_err_t err = n == 1 ? rd_kafka_topic_result_error(made[0]) : 0;
        if (err && err != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
                die("CreateTopics: %s", rd_kafka_err2str(err));
        rd_kafka_event_destroy(event);
        rd_kafka_NewTopic_destroy(topic);
        rd_kafka_queue_destroy(queue);
}

/* The application's thread for what the library has to say. */
static void *take_reports(void *opaque)
{
        struct perf *p = opaque;
        while (p->done < p->records) {
                rd_kafka_poll(p->rk, POLL_MS);
                check_time(p);
        }
        return NULL;
}

/* When record i is due, which is what its latency counts from: now, unless there is a rate. */
static uint64_t wait_until_due(const struct perf *p, uint64_t i)
{
        if (!p->rate) return now_ns();
        uint64_t due = p->began + (uint64_t)((double)i * 1e9 / (double)p->rate), now;
        while ((now = now_ns()) < due) {
                struct timespec t = { .tv_nsec = (long)MIN(due - now, 999999999) };
                ppoll(NULL, 0, &t, NULL);
        }
        return due;
}

/* Waits while the library's queue is full. */
static void produce(const struct perf *p, rd_kafka_topic_t *topic, char *value)
{
        const int flags = RD_KAFKA_MSG_F_COPY | RD_KAFKA_MSG_F_BLOCK;
        for (uint64_t i = 0; i < p->records; i++) {
                void *due = (void *)(uintptr_t)wait_until_due(p, i);
                memcpy(value, &i, MIN(sizeof i, p->size));
                if (rd_kafka_produce(
                        topic, RD_KAFKA_PARTITION_UA, flags, value, p->size, NULL, 0, due) != 0)
                        die("produce: %s", rd_kafka_err2str(rd_kafka_last_error()));
        }
}

static void run_produce(struct perf *p)
{
        pthread_t reports;
        connect_as(p, RD_KAFKA_PRODUCER);
        if (p->partitions) create_topic(p);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(p->rk, p->topic, NULL);
        char *value = malloc(p->size);
        if (!topic || !value) die("out of memory");
        for (uint64_t i = 0, x = 1; i < p->size; i++) /* does not compress */
                value[i] = (char)((x = x * 6364136223846793005 + 1442695040888963407) >> 56);
        partitions_of(p, topic);
        start_clock(p);
        if (pthread_create(&reports, NULL, take_reports, p) != 0) die("no thread");
        produce(p, topic, value);
        pthread_join(reports, NULL);
        stop_clock(p);
        free(value);
        rd_kafka_topic_destroy(topic);
}

static void run_consume(struct perf *p)
{
        connect_as(p, RD_KAFKA_CONSUMER);
        rd_kafka_topic_t *topic = rd_kafka_topic_new(p->rk, p->topic, NULL);
        rd_kafka_queue_t *queue = rd_kafka_queue_new(p->rk);
        if (!topic || !queue) die("out of memory");
        int n = partitions_of(p, topic);
        start_clock(p);
        for (int i = 0; i < n; i++)
                if (rd_kafka_consume_start_queue(topic, i, RD_KAFKA_OFFSET_BEGINNING, queue) != 0)
                        die("consume: %s", rd_kafka_err2str(rd_kafka_last_error()));
        while (p->done < p->records) {
                rd_kafka_message_t *m[CONSUME_BATCH];
                ssize_t got = rd_kafka_consume_batch_queue(
                    queue, POLL_MS, m, MIN(CONSUME_BATCH, p->records - p->done));
                for (ssize_t i = 0; i < got; i++, p->done++) {
                        if (m[i]->err) die("consume: %s", rd_kafka_message_errstr(m[i]));
                        p->bytes += m[i]->len;
                        rd_kafka_message_destroy(m[i]);
                }
                rd_kafka_poll(p->rk, 0);
                check_time(p);
        }
        stop_clock(p);
        for (int i = 0; i < n; i++) rd_kafka_consume_stop(topic, i);
        rd_kafka_queue_destroy(queue);
        rd_kafka_topic_destroy(topic);
}

static void print(const struct perf *p, const char *mode)
{
        const struct hist *h = &p->latency;
        printf("{\"mode\": \"%s\", \"client\": \"librdkafka %s\", \"settings\": {%s},\n", mode,
            rd_kafka_version_str(), p->settings);
        double seconds = (double)p->wall_ns / 1e9, cpu = (double)p->cpu_ns / 1e9;
        printf(" \"records\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"seconds\": %.6f,\n"
               " \"cpu_seconds\": %.6f, \"records_per_second\": %.1f, \"bytes_per_second\": %.1f",
            p->done, p->bytes, seconds, cpu, (double)p->done / seconds, (double)p->bytes / seconds);
        if (h->total)
                printf(",\n \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p99_9\": %.1f, "
                       "\"max\": %.1f}",
                    (double)hist_quantile(h, 0.5) / 1e3, (double)hist_quantile(h, 0.99) / 1e3,
                    (double)hist_quantile(h, 0.999) / 1e3, (double)h->max / 1e3);
        printf("}\n");
}

static void option(struct perf *p, int c)
{
        static const char letters[] = "nsrpT";
        const uint64_t most[] = { UINT32_MAX, RECORD_SIZE_MAX, UINT32_MAX, 100000, 3600 };
        uint64_t *to[] = { &p->records, &p->size, &p->rate, &p->partitions, &p->timeout_s };
        const char *at = strchr(letters, c);
        if (at) {
                size_t i = (size_t)(at - letters);
                if (!parse_count(optarg, to[i]) || *to[i] < 1 || *to[i] > most[i])
                        die("-%c %s: not a sensible number", c, optarg);
        } else if (c == 'b')
                p->broker = optarg;
        else if (c == 't')
                p->topic = optarg;
        else if (c == 'X')
                set(p, optarg);
        else {
                fputs(usage, c == 'h' ? stdout : stderr);
                exit(c == 'h' ? 0 : 2);
        }
}

int main(int argc, char **argv)
{
        struct perf p = { "127.0.0.1:9092", "perf", 1000000, .size = 1000, .timeout_s = 120,
                .conf = rd_kafka_conf_new() };
        for (int c; (c = getopt(argc, argv, "hb:t:n:s:r:p:T:X:")) != -1;) option(&p, c);
        const char *mode = optind == argc - 1 ? argv[optind] : "";
        bool producing = strcmp(mode, "produce") == 0;
        if (!producing && strcmp(mode, "consume") != 0) option(&p, '?');
        if (!hist_init(&p.latency, HIST_FINE)) die("out of memory");
        (producing ? run_produce : run_consume)(&p);
        print(&p, mode);
        rd_kafka_destroy(p.rk);
        hist_free(&p.latency);
        return 0;
}
