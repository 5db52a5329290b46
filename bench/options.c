/* The command line of `varve bench`. */
#include "bench/options.h"

#include "base/check.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_USAGE = 2, LONG_FIRST = 1000, GIVEN_MAX = 2048 };

enum kind {
        K_HEADING,
        K_FLAG,
        K_TEXT,
        K_COUNT,
        K_DURATION,
        K_RATE,
        K_SIZE,
        K_KEYS,
        K_PAYLOAD,
        K_CHOICE,
        K_CONFIG,
        K_HELP,
};

struct row {
        enum kind kind;
        const char *name, *arg, *help;
        size_t at;
        char letter;
};

#define FIELD(f) offsetof(struct options, f)
#define HEADING(text)                             \
        {                                         \
                K_HEADING, text, NULL, NULL, 0, 0 \
        }

/* K_CHOICE: arg lists the words, the first is number 0. */
static const struct row rows[] = {
        HEADING("Target"),
        { K_TEXT, "address", "HOST:PORT", "any server of the Kafka wire protocol", FIELD(address),
            'a' },
        { K_FLAG, "null", NULL,
            "measure the driver itself: a sink in this process that answers at once",
            FIELD(null_target), 0 },
        { K_COUNT, "server-pid", "PID", "also show CPU, memory and written bytes of this process",
            FIELD(server_pid), 'p' },
        { K_CHOICE, "io", "uring|posix", "backend of the driver", FIELD(io), 0 },
        HEADING("Load"),
        { K_COUNT, "connections", "N", "producing connections (1)", FIELD(connections), 'c' },
        { K_COUNT, "in-flight", "N", "requests of a connection (closed loop 4, open loop 32)",
            FIELD(in_flight), 'f' },
        { K_COUNT, "threads", "N", "for producing (1)", FIELD(threads), 't' },
        { K_COUNT, "consumers", "N", "consuming connections (1)", FIELD(consumers), 'C' },
        { K_COUNT, "fetches", "N",
            "Fetches in flight of a consuming connection, over disjoint partitions; one that waits "
            "at its end holds up the others (1)",
            FIELD(fetches), 'F' },
        { K_COUNT, "consumer-threads", "N", "for consuming (1)", FIELD(consumer_threads), 0 },
        { K_RATE, "rate", "RATE",
            "open loop: 50k (records/s) or 100MB/s over all connections; latency counts "
            "from the intended time",
            FIELD(rate), 'r' },
        { K_DURATION, "linger", "TIME",
            "open loop: a batch leaves when full or this old; latency counts from its "
            "first record (0: batches come whole)",
            FIELD(linger_ns), 0 },
        { K_DURATION, "duration", "TIME", "of the measurement (10s)", FIELD(duration_ns), 'd' },
        { K_DURATION, "warmup", "TIME", "not measured (2s)", FIELD(warmup_ns), 'w' },
        { K_COUNT, "records", "N", "produce so many instead of a duration", FIELD(records), 'n' },
        { K_FLAG, "find-max", NULL, "search the highest rate whose p99 stays under --p99",
            FIELD(find_max), 0 },
        { K_DURATION, "p99", "TIME", "bound for --find-max (10ms)", FIELD(p99_ns), 0 },
        { K_DURATION, "timeout", "TIME", "without any progress, fail (30s)", FIELD(timeout_ns), 0 },
        HEADING("Records"),
        { K_SIZE, "size", "SIZE",
            "of values: 1KiB, uniform:100-2000, normal:1000,200 (mean, deviation), exp:1000 "
            "(1024)",
            FIELD(size), 's' },
        { K_KEYS, "keys", "KEYS",
            "none; 1000 distinct ones; zipf:1000 or zipf:1000,1.1.  With keys the partition is "
            "XXH3-64 of the key, else round robin by batch (none)",
            FIELD(keys), 'k' },
        { K_PAYLOAD, "payload", "KIND", "random, compressible:RATIO, lines:FILE (random)",
            FIELD(payload), 0 },
        { K_CHOICE, "codec", "none|gzip|snappy|lz4|zstd", "of batches", FIELD(codec), 'z' },
        { K_COUNT, "batch-bytes", "N", "a batch is full (256KiB)", FIELD(batch_bytes), 'b' },
        { K_COUNT, "batch-records", "N", "or so many records (no limit; rtt: 1)",
            FIELD(batch_records), 'B' },
        { K_COUNT, "partitions-per-request", "N", "batches in one Produce (1)",
            FIELD(partitions_per_request), 'R' },
        { K_CHOICE, "acks", "all|1|0", "", FIELD(acks), 0 },
        { K_FLAG, "check", NULL,
            "every record carries its number and a checksum; prove that none was lost, doubled, "
            "reordered or damaged",
            FIELD(check), 0 },
        { K_COUNT, "ring", "BYTES", "prebuilt requests, all connections together (64MiB)",
            FIELD(ring_bytes), 0 },
        { K_COUNT, "seed", "N", "of all random choices (1)", FIELD(seed), 0 },
        HEADING("Topics"),
        { K_TEXT, "topic", "NAME", "several: NAME-0, NAME-1, … (varve-bench-…)", FIELD(topic),
            'T' },
        { K_COUNT, "topics", "N", "(1)", FIELD(topics), 0 },
        { K_COUNT, "partitions", "N", "of each topic (1)", FIELD(partitions), 'P' },
        { K_COUNT, "replication", "N", "factor (1)", FIELD(replication), 0 },
        { K_CONFIG, "config", "KEY=VALUE", "setting of new topics; may be repeated", 0, 0 },
        { K_FLAG, "no-create", NULL, "the topics are there", FIELD(no_create), 0 },
        { K_FLAG, "keep", NULL, "do not delete the topics that this run made", FIELD(keep), 0 },
        { K_FLAG, "split", NULL, "each producing connection has partitions of its own",
            FIELD(split), 0 },
        HEADING("Consuming"),
        { K_CHOICE, "from", "default|beginning|tail", "consume, mixed: beginning; e2e: tail",
            FIELD(from), 0 },
        { K_COUNT, "preload", "BYTES", "write so much before the clock starts",
            FIELD(preload_bytes), 0 },
        { K_FLAG, "rewind", NULL, "at the end begin again, until time is up", FIELD(rewind), 0 },
        { K_FLAG, "fan-out", NULL, "every consuming connection reads all partitions",
            FIELD(fan_out), 0 },
        { K_COUNT, "fetch-bytes", "N", "of a partition in one Fetch (1MiB)", FIELD(fetch_bytes),
            0 },
        { K_COUNT, "fetch-max-bytes", "N", "of one Fetch (8MiB)", FIELD(fetch_max_bytes), 0 },
        { K_COUNT, "fetch-min-bytes", "N", "(1)", FIELD(fetch_min_bytes), 0 },
        { K_DURATION, "fetch-wait", "TIME", "(500ms)", FIELD(fetch_wait_ns), 0 },
        HEADING("Output"),
        { K_CHOICE, "output", "text|json", "", FIELD(output), 'o' },
        { K_FLAG, "quiet", NULL, "no progress on a terminal", FIELD(quiet), 'q' },
        { K_HELP, "help", NULL, "", 0, 'h' },
};

static const char intro[] =
    "varve bench - drives load into a server of the Kafka protocol and measures it\n"
    "\n"
    "  varve bench produce|consume|rtt|e2e|mixed --address HOST:PORT [OPTION...]\n"
    "\n"
    "  produce   how much goes in, and how long each request takes\n"
    "  consume   how much comes out (--preload writes something first)\n"
    "  rtt       one record, one request at a time: produce's round trip\n"
    "  e2e       from the time a record should have been sent to its arrival at a consumer\n"
    "  mixed     produce while consuming, from the beginning or at the tail\n"
    "\n"
    "Requests are encoded before the clock starts.  Without --rate the loop is closed: each reply\n"
    "makes room for the next request.  Bytes are those of record batches as they are on the wire;\n"
    "MB and GB are powers of ten.\n";

static const char *const modes[MODE_COUNT] = { "produce", "consume", "rtt", "e2e", "mixed" };
static const char *const codecs[] = { "none", "gzip", "snappy", "lz4", "zstd" };
static char given[GIVEN_MAX];

const char *mode_name(enum bench_mode m)
{
        assert(m < MODE_COUNT);
        return modes[m];
}

const char *codec_name(uint64_t codec)
{
        assert(codec < COUNT_OF(codecs));
        return codecs[codec];
}

const char *options_given(void)
{
        return given;
}

int16_t options_acks(const struct options *o)
{
        static const int16_t acks[] = { -1, 1, 0 };
        return acks[o->acks.value];
}

/* --- help --- */

static void print_row(const struct row *r)
{
        enum { TEXT_COLUMN = 34, COLUMNS = 100 };
        char left[OPTIONS_TEXT_MAX];
        if (r->kind == K_HEADING) {
                printf("\n%s\n", r->name);
                return;
        }
        char letter[8] = "    ";
        if (r->letter) snprintf(letter, sizeof letter, "-%c, ", r->letter);
        int n = snprintf(left, sizeof left, "  %s--%s%s%s", letter, r->name, r->arg ? " " : "",
            r->arg ? r->arg : "");
        printf("%s", left);
        if (n >= TEXT_COLUMN - 1) {
                printf("\n");
                n = 0;
        }
        const char *text = r->help;
        while (*text) {
                size_t room = COLUMNS - TEXT_COLUMN, len = strlen(text);
                if (len > room) {
                        for (len = room; len > 0 && text[len] != ' ';) len--;
                        if (len == 0) len = room;
                }
                printf("%*s%.*s\n", TEXT_COLUMN - n, "", (int)len, text);
                n = 0;
                text += len;
                while (*text == ' ') text++;
        }
        if (n) printf("\n");
}

static void print_help(void)
{
        fputs(intro, stdout);
        for (size_t i = 0; i < COUNT_OF(rows); i++) print_row(&rows[i]);
}

static int usage(const char *what, const char *about)
{
        fprintf(stderr, "varve bench: %s%s%s; `varve bench --help` shows how\n", what,
            about ? ": " : "", about ? about : "");
        return EXIT_USAGE;
}

/* --- parsing --- */

static bool choose(const char *words, const char *text, uint64_t *ret)
{
        size_t n = strlen(text);
        for (uint64_t i = 0; n > 0; i++) {
                size_t len = strcspn(words, "|");
                if (len == n && memcmp(words, text, n) == 0) {
                        *ret = i;
                        return true;
                }
                if (!words[len]) return false;
                words += len + 1;
        }
        return false;
}

static bool set(struct options *o, const struct row *r, const char *text)
{
        void *at = (char *)o + r->at;
        switch (r->kind) {
        case K_FLAG:
                *(bool *)at = true;
                return true;
        case K_TEXT:
                *(const char **)at = text;
                return true;
        case K_COUNT:
                return parse_count(text, at);
        case K_DURATION:
                return parse_duration(text, at);
        case K_RATE:
                return parse_rate(text, at);
        case K_SIZE:
                return parse_size(text, at);
        case K_KEYS:
                return parse_keys(text, at);
        case K_PAYLOAD:
                return parse_payload(text, at);
        case K_CHOICE:
                return choose(r->arg, text, &((struct choice *)at)->value);
        case K_CONFIG:
                if (o->n_configs == CONFIGS_MAX || !strchr(text, '=')) return false;
                o->configs[o->n_configs++] = text;
                return true;
        default:
                return false;
        }
}

/* What differs from mode to mode, and what depends on other options. */
static void set_defaults(struct options *o)
{
        bool timed = o->rate.records > 0 || o->rate.bytes > 0 || o->find_max;
        if (!o->in_flight) o->in_flight = o->mode == MODE_RTT ? 1 : timed ? 32 : 4;
        if (!o->batch_records) o->batch_records = o->mode == MODE_RTT ? 1 : UINT32_MAX;
        if (o->from.value == FROM_DEFAULT)
                o->from.value = o->mode == MODE_E2E ? FROM_TAIL : FROM_BEGINNING;
}

static const struct {
        size_t at;
        const char *name;
        uint64_t least, most;
} ranges[] = {
        { FIELD(connections), "--connections", 1, 10000 },
        { FIELD(in_flight), "--in-flight", 1, 65536 },
        { FIELD(threads), "--threads", 1, 256 },
        { FIELD(consumers), "--consumers", 1, 10000 },
        { FIELD(fetches), "--fetches", 1, 1024 },
        { FIELD(consumer_threads), "--consumer-threads", 1, 256 },
        { FIELD(topics), "--topics", 1, 100000 },
        { FIELD(partitions), "--partitions", 1, 100000 },
        { FIELD(replication), "--replication", 1, 100 },
        { FIELD(batch_bytes), "--batch-bytes", 1, 64 << 20 },
        { FIELD(batch_records), "--batch-records", 1, UINT32_MAX },
        { FIELD(partitions_per_request), "--partitions-per-request", 1, 100000 },
        { FIELD(ring_bytes), "--ring", 1, UINT64_C(64) << 30 },
        { FIELD(server_pid), "--server-pid", 0, 1 << 22 },
        { FIELD(fetch_bytes), "--fetch-bytes", 1, 128 << 20 },
        { FIELD(fetch_max_bytes), "--fetch-max-bytes", 1, 128 << 20 },
        { FIELD(fetch_min_bytes), "--fetch-min-bytes", 0, 128 << 20 },
        { FIELD(timeout_ns), "--timeout", 1000000000, UINT64_MAX },
};

/* NULL: they fit together. */
static const char *conflict(const struct options *o)
{
        bool timed = o->rate.records > 0 || o->rate.bytes > 0 || o->find_max;
        if (!o->address == !o->null_target) return "say --address or --null";
        if (o->linger_ns && !timed) return "--linger needs --rate";
        if (o->find_max && o->mode != MODE_PRODUCE && o->mode != MODE_E2E)
                return "--find-max goes with produce and e2e";
        if (o->find_max && (o->records || o->check)) return "--find-max has trials of --duration";
        if (o->split && o->keys.kind != KEYS_NONE) return "--split and --keys exclude each other";
        if (o->split && o->connections > o->topics * o->partitions)
                return "--split needs a partition for every connection";
        if (o->topics * o->partitions > 100000) return "more than 100000 partitions";
        if (o->rewind && o->mode != MODE_CONSUME) return "--rewind goes with consume";
        if (o->rewind && o->check) return "--rewind and --check exclude each other";
        if (o->check && options_acks(o) == 0) return "--check needs acks";
        if (o->check && o->null_target) return "--check proves nothing on --null";
        if (o->null_target && (o->mode == MODE_E2E || o->mode == MODE_MIXED))
                return "--null keeps nothing: produce, rtt or consume";
        if (o->records && o->mode == MODE_CONSUME) return "--records does not go with consume";
        if (o->mode == MODE_CONSUME && timed) return "--rate does not go with consume";
        if (o->mode == MODE_RTT && o->in_flight != 1) return "rtt has one request in flight";
        if (o->duration_ns == 0 && !o->records) return "--duration 0";
        return NULL;
}

static int check_values(const struct options *o)
{
        for (size_t i = 0; i < COUNT_OF(ranges); i++) {
                uint64_t v = *(const uint64_t *)((const char *)o + ranges[i].at);
                if (v < ranges[i].least || v > ranges[i].most)
                        return usage("out of range", ranges[i].name);
        }
        const char *why = conflict(o);
        return why ? usage(why, NULL) : 0;
}

static void note_given(const struct row *r, const char *text)
{
        size_t n = strlen(given);
        snprintf(given + n, sizeof given - n, "%s--%s%s%s", n ? " " : "", r->name, text ? " " : "",
            text ? text : "");
}

static int parse_rows(struct options *o, int argc, char **argv)
{
        struct option longs[COUNT_OF(rows) + 1] = { 0 };
        char letters[COUNT_OF(rows) * 2 + 1] = "";
        size_t n = 0, k = 0;
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
                if (rows[i].kind == K_HEADING) continue;
                longs[n++] = (struct option){ rows[i].name,
                        rows[i].arg ? required_argument : no_argument, NULL, LONG_FIRST + (int)i };
                if (rows[i].letter) letters[k++] = rows[i].letter;
                if (rows[i].letter && rows[i].arg) letters[k++] = ':';
        }
        static char name[] = "varve bench";
        argv[0] = name; /* what getopt calls us */
        optind = 1;
        for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
                const struct row *r = c >= LONG_FIRST ? &rows[c - LONG_FIRST] : NULL;
                for (size_t i = 0; !r && i < COUNT_OF(rows); i++)
                        if (rows[i].letter == c) r = &rows[i];
                if (!r) return EXIT_USAGE; /* getopt has said what is wrong */
                if (r->kind == K_HELP) {
                        print_help();
                        return -1;
                }
                if (!set(o, r, optarg)) {
                        fprintf(stderr, "varve bench: --%s %s: not understood; %s\n", r->name,
                            optarg, r->help);
                        return EXIT_USAGE;
                }
                note_given(r, r->arg ? optarg : NULL);
        }
        return optind < argc ? usage("not understood", argv[optind]) : 0;
}

static int parse_target(struct options *o)
{
        if (o->address && !parse_address(o->address, o->host, sizeof o->host, &o->port))
                return usage("an address is HOST:PORT, not", o->address);
        return 0;
}

int options_parse(struct options *o, int argc, char **argv)
{
        *o = (struct options){ .connections = 1,
                .threads = 1,
                .consumers = 1,
                .fetches = 1,
                .consumer_threads = 1,
                .warmup_ns = UINT64_C(2000000000),
                .duration_ns = UINT64_C(10000000000),
                .timeout_ns = UINT64_C(30000000000),
                .p99_ns = UINT64_C(10000000),
                .size = { .kind = SIZE_FIXED, .a = 1024 },
                .batch_bytes = 256 << 10,
                .partitions_per_request = 1,
                .ring_bytes = 64 << 20,
                .seed = 1,
                .topics = 1,
                .partitions = 1,
                .replication = 1,
                .fetch_wait_ns = UINT64_C(500000000),
                .fetch_min_bytes = 1,
                .fetch_max_bytes = 8 << 20,
                .fetch_bytes = 1 << 20 };
        given[0] = 0;
        const char *word = argc > 1 ? argv[1] : "";
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
                print_help();
                return -1;
        }
        uint64_t mode;
        if (!choose("produce|consume|rtt|e2e|mixed", word, &mode))
                return usage("the first word is produce, consume, rtt, e2e or mixed, not", word);
        o->mode = (enum bench_mode)mode;
        int r = parse_rows(o, argc - 1, argv + 1);
        if (r == 0) r = parse_target(o);
        if (r) return r;
        set_defaults(o);
        return check_values(o);
}
