/* librdkafka (Debian's) through its C API as an interop client: no group, partitions read one queue
 * at a time. clients.py describes the command line, records.py the file format.  Any failure ends
 * the program with a reason. */
#include <inttypes.h>
#include <librdkafka/rdkafka.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_MS = 60000, PARTITIONS_MAX = 64, HEADERS_MAX = 64, ERRSTR_SIZE = 512 };

struct bytes {
        unsigned char *data; /* NULL: a null, which is not the same as empty */
        size_t len;
};

static unsigned delivery_failures;

static _Noreturn __attribute__((format(printf, 1, 2))) void die(const char *format, ...)
{
        va_list args;
        va_start(args, format);
        vfprintf(stderr, format, args);
        va_end(args);
        fputc('\n', stderr);
        exit(1);
}

static void check(rd_kafka_resp_err_t err, const char *what)
{
        if (err != RD_KAFKA_RESP_ERR_NO_ERROR) die("%s: %s", what, rd_kafka_err2str(err));
}

static unsigned digit(char c)
{
        if (c >= '0' && c <= '9') return (unsigned)(c - '0');
        if (c >= 'a' && c <= 'f') return (unsigned)(c - 'a') + 10;
        die("not a hexadecimal digit: %c", c);
}

/* Decodes in place: the text is at least as long as its bytes. */
static struct bytes from_hex(char *text)
{
        if (strcmp(text, "-") == 0) return (struct bytes){ NULL, 0 };
        size_t len = strlen(text) / 2;
        for (size_t i = 0; i < len; i++)
                text[i] = (char)(digit(text[2 * i]) << 4 | digit(text[2 * i + 1]));
        return (struct bytes){ (unsigned char *)text, len };
}

static void print_hex(FILE *out, const void *data, size_t len)
{
        const unsigned char *at = data;
        if (data == NULL) fputc('-', out);
        for (size_t i = 0; data != NULL && i < len; i++) {
                fputc("0123456789abcdef"[at[i] >> 4], out);
                fputc("0123456789abcdef"[at[i] & 15], out);
        }
}

static rd_kafka_headers_t *parse_headers(char *text)
{
        rd_kafka_headers_t *headers = rd_kafka_headers_new(HEADERS_MAX);
        for (char *item; (item = strsep(&text, ",")) != NULL;) {
                char *name_text = strsep(&item, ":");
                if (item == NULL) continue; /* no headers at all */
                struct bytes name = from_hex(name_text), value = from_hex(item);
                check(rd_kafka_header_add(headers, (const char *)name.data, (ssize_t)name.len,
                          value.data, (ssize_t)value.len),
                    "header");
        }
        return headers;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
        (void)rk;
        (void)opaque;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) return;
        fprintf(stderr, "delivery: %s\n", rd_kafka_err2str(message->err));
        delivery_failures++;
}

static rd_kafka_t *open_client(rd_kafka_type_t type, const char *address, const char *codec)
{
        const char *settings[][2] = { { "bootstrap.servers", address },
                { "compression.codec", codec }, { "linger.ms", "5" }, { "acks", "all" },
                { "fetch.wait.max.ms", "50" } };
        char why[ERRSTR_SIZE];
        rd_kafka_conf_t *conf = rd_kafka_conf_new();
        for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
                if (rd_kafka_conf_set(conf, settings[i][0], settings[i][1], why, sizeof why) !=
                    RD_KAFKA_CONF_OK)
                        die("%s: %s", settings[i][0], why);
        if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
        rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
        if (rk == NULL) die("rd_kafka_new: %s", why);
        return rk;
}

static void produce_line(rd_kafka_t *rk, const char *topic, char *line)
{
        int32_t partition = (int32_t)strtol(strsep(&line, "\t"), NULL, 10);
        (void)strsep(&line, "\t"); /* the offset, not known yet */
        int64_t timestamp = strtoll(strsep(&line, "\t"), NULL, 10);
        struct bytes key = from_hex(strsep(&line, "\t")), value = from_hex(strsep(&line, "\t"));
        rd_kafka_headers_t *headers = parse_headers(line);
        rd_kafka_resp_err_t err;
        while ((err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic),
                    RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_TIMESTAMP(timestamp),
                    RD_KAFKA_V_KEY(key.data, key.len), RD_KAFKA_V_VALUE(value.data, value.len),
                    RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                    RD_KAFKA_V_END)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
                rd_kafka_poll(rk, 100);
        check(err, topic);
}

static void produce(const char *address, const char *topic, const char *codec, const char *path)
{
        rd_kafka_t *rk = open_client(RD_KAFKA_PRODUCER, address, codec);
        FILE *in = fopen(path, "r");
        if (in == NULL) die("cannot open %s", path);
        char *line = NULL;
        size_t room = 0;
        for (ssize_t len; (len = getline(&line, &room, in)) > 0;) {
                line[len - 1] = '\0';
                produce_line(rk, topic, line);
        }
        free(line);
        fclose(in);
        check(rd_kafka_flush(rk, TIMEOUT_MS), "flush");
        rd_kafka_destroy(rk);
        if (delivery_failures > 0) die("%s: %u records failed", topic, delivery_failures);
}

static void print_record(FILE *out, rd_kafka_message_t *message)
{
        fprintf(out, "%" PRId32 "\t%" PRId64 "\t%" PRId64 "\t", message->partition, message->offset,
            rd_kafka_message_timestamp(message, NULL));
        print_hex(out, message->key, message->key_len);
        fputc('\t', out);
        print_hex(out, message->payload, message->len);
        fputc('\t', out);
        rd_kafka_headers_t *headers = NULL;
        const char *name;
        const void *value;
        size_t len;
        if (rd_kafka_message_headers(message, &headers) == RD_KAFKA_RESP_ERR_NO_ERROR)
                for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &len) ==
                                   RD_KAFKA_RESP_ERR_NO_ERROR;
                     i++) {
                        if (i > 0) fputc(',', out);
                        print_hex(out, name, strlen(name));
                        fputc(':', out);
                        print_hex(out, value, len);
                }
        fputc('\n', out);
}

static int32_t partition_count(rd_kafka_t *rk, rd_kafka_topic_t *topic)
{
        const struct rd_kafka_metadata *metadata;
        check(rd_kafka_metadata(rk, 0, topic, &metadata, TIMEOUT_MS), "metadata");
        check(metadata->topics[0].err, metadata->topics[0].topic);
        int32_t count = metadata->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(metadata);
        return count;
}

static void consume_partition(rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition, FILE *out)
{
        int64_t low, high;
        check(rd_kafka_query_watermark_offsets(
                  rk, rd_kafka_topic_name(topic), partition, &low, &high, TIMEOUT_MS),
            "watermarks");
        if (rd_kafka_consume_start(topic, partition, RD_KAFKA_OFFSET_BEGINNING) != 0)
                check(rd_kafka_last_error(), "consume_start");
        for (int64_t next = low; next < high;) {
                rd_kafka_message_t *message = rd_kafka_consume(topic, partition, TIMEOUT_MS);
                if (message == NULL) die("partition %" PRId32 ": nothing came", partition);
                check(message->err, "consume");
                print_record(out, message);
                next = message->offset + 1;
                rd_kafka_message_destroy(message);
        }
        rd_kafka_consume_stop(topic, partition);
}

static void consume(const char *address, const char *directory, const char *topic_name)
{
        rd_kafka_t *rk = open_client(RD_KAFKA_CONSUMER, address, "none");
        rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, topic_name, NULL);
        char *path;
        if (topic == NULL || asprintf(&path, "%s/%s.tsv", directory, topic_name) < 0)
                die("no topic object for %s", topic_name);
        FILE *out = fopen(path, "w");
        if (out == NULL) die("cannot write %s", path);
        int32_t count = partition_count(rk, topic);
        for (int32_t partition = 0; partition < count; partition++)
                consume_partition(rk, topic, partition, out);
        if (fclose(out) != 0) die("cannot write %s", path);
        free(path);
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(rk);
}

static void times(const char *address, const char *topic_name, const char *path, char **instants)
{
        rd_kafka_t *rk = open_client(RD_KAFKA_CONSUMER, address, "none");
        rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, topic_name, NULL);
        FILE *out = fopen(path, "w");
        if (topic == NULL || out == NULL) die("cannot write %s", path);
        int32_t count = partition_count(rk, topic);
        for (; *instants != NULL; instants++) {
                rd_kafka_topic_partition_list_t *list =
                    rd_kafka_topic_partition_list_new(PARTITIONS_MAX);
                for (int32_t partition = 0; partition < count; partition++)
                        rd_kafka_topic_partition_list_add(list, topic_name, partition)->offset =
                            strtoll(*instants, NULL, 10);
                check(rd_kafka_offsets_for_times(rk, list, TIMEOUT_MS), "offsets_for_times");
                for (int i = 0; i < list->cnt; i++) {
                        check(list->elems[i].err, "offsets_for_times");
                        fprintf(out, "%s\t%" PRId32 "\t%" PRId64 "\n", *instants,
                            list->elems[i].partition, list->elems[i].offset);
                }
                rd_kafka_topic_partition_list_destroy(list);
        }
        if (fclose(out) != 0) die("cannot write %s", path);
        rd_kafka_topic_destroy(topic);
        rd_kafka_destroy(rk);
}

int main(int argc, char **argv)
{
        if (argc < 5) die("usage: %s ADDRESS produce|consume|times …", argv[0]);
        const char *address = argv[1], *command = argv[2];
        if (strcmp(command, "produce") == 0)
                for (int i = 3; i + 2 < argc; i += 3)
                        produce(address, argv[i], argv[i + 1], argv[i + 2]);
        else if (strcmp(command, "consume") == 0)
                for (int i = 4; i < argc; i++) consume(address, argv[3], argv[i]);
        else if (strcmp(command, "times") == 0)
                times(address, argv[3], argv[4], argv + 5);
        else
                die("no such command: %s", command);
        return 0;
}
