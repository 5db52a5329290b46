/* `varve stats`: what a running server has counted. */
#include "bench/stats.h"

#include "base/check.h"
#include "base/status.h"
#include "bench/bench.h"
#include "bench/parse.h"

#include <getopt.h>
#include <poll.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, HOST_MAX = 256, NS_PER_MS = 1000 * 1000, WATCH_MS_MAX = 24 * 3600 * 1000 };

struct options {
        const char *address;
        char host[HOST_MAX];
        uint16_t port;
        uint64_t watch_ns; /* 0: once */
        uint64_t count;    /* of tables, 0: without end */
        bool json, all, shards, help;
};

static const char help[] =
    "varve stats - what a running varve server has counted since it started\n"
    "\n"
    "  varve stats [OPTION...]\n"
    "\n"
    "  -a, --address HOST:PORT   the server's own port (127.0.0.1:9092)\n"
    "  -o, --output text|json    json: one object on one line, all values of every shard\n"
    "  -w, --watch SECONDS       again and again, with rates and percentiles of that time\n"
    "  -n, --count N             with --watch: so many times\n"
    "  -s, --shards              each shard too\n"
    "  -z, --zero                also what is zero\n"
    "\n"
    "Exit: 0 fine, 1 no answer or none of a varve server, 2 wrong usage.\n";

static int usage(const char *what, const char *about)
{
        fprintf(stderr, "varve stats: %s%s; `varve stats --help` shows how\n", what, about);
        return EXIT_USAGE;
}

static int option(struct options *o, int c)
{
        switch (c) {
        case 'a':
                o->address = optarg;
                return 0;
        case 'o':
                o->json = strcmp(optarg, "json") == 0;
                if (o->json || strcmp(optarg, "text") == 0) return 0;
                return usage("-o is text or json, not ", optarg);
        case 'w':
                if (parse_duration(optarg, &o->watch_ns) && o->watch_ns >= NS_PER_MS &&
                    o->watch_ns / NS_PER_MS <= WATCH_MS_MAX)
                        return 0;
                return usage("--watch wants a time of 1ms to 24h, not ", optarg);
        case 'n':
                if (parse_count(optarg, &o->count) && o->count > 0) return 0;
                return usage("--count wants a number from 1 on, not ", optarg);
        case 's':
                o->shards = true;
                return 0;
        case 'z':
                o->all = true;
                return 0;
        case 'h':
                o->help = true;
                return 0;
        default:
                return EXIT_USAGE; /* getopt has said what is wrong */
        }
}

static int options_parse(struct options *o, int argc, char **argv)
{
        static const struct option longs[] = { { "address", required_argument, NULL, 'a' },
                { "output", required_argument, NULL, 'o' },
                { "watch", required_argument, NULL, 'w' },
                { "count", required_argument, NULL, 'n' }, { "shards", no_argument, NULL, 's' },
                { "zero", no_argument, NULL, 'z' }, { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 } };
        static char name[] = "varve stats";
        *o = (struct options){ .address = "127.0.0.1:9092" };
        argv[0] = name; /* what getopt calls us */
        for (int c; (c = getopt_long(argc, argv, "a:o:w:n:szh", longs, NULL)) != -1;) {
                int r = option(o, c);
                if (r) return r;
        }
        if (optind < argc) return usage("not understood: ", argv[optind]);
        if (!parse_address(o->address, o->host, sizeof o->host, &o->port))
                return usage("an address is HOST:PORT, not ", o->address);
        if (o->watch_ns == 0) o->count = 1;
        return 0;
}

/* A signal ends the process. */
static void pause_between(uint64_t ns)
{
        (void)poll(NULL, 0, (int)(ns / NS_PER_MS));
}

static int show(const struct options *o, const struct stats_link *l,
    const struct stats_sample *before, const struct stats_sample *now, struct err *e)
{
        const struct stats_show s = { .address = l->address,
                .now = now,
                .before = o->watch_ns ? before : NULL,
                .all = o->all,
                .shards = o->shards };
        if (o->watch_ns && !o->json && isatty(STDOUT_FILENO)) fputs("\033[H\033[J", stdout);
        bool ok = o->json ? stats_json(&s, stdout) : stats_text(&s, stdout);
        if (!ok) return err_set(e, ST_NOMEM, "out of memory");
        if (o->watch_ns && !o->json) fputc('\n', stdout);
        return fflush(stdout) == 0 ? 0 : err_set(e, ST_IO, "the output is closed");
}

static int run(const struct options *o, struct stats_link *l, struct err *e)
{
        struct stats_sample samples[2] = { 0 };
        unsigned at = 0;
        int r = o->watch_ns ? stats_ask(l, &samples[at], e) : 0;
        for (uint64_t n = 0; r == 0 && (o->count == 0 || n < o->count); n++) {
                if (o->watch_ns) pause_between(o->watch_ns);
                r = stats_ask(l, &samples[!at], e);
                if (r == 0) r = show(o, l, &samples[at], &samples[!at], e);
                at = !at;
        }
        stats_sample_free(&samples[0]);
        stats_sample_free(&samples[1]);
        return r;
}

int stats_main(int argc, char **argv)
{
        struct options o;
        struct stats_link l;
        struct err e = { 0 };
        int r = options_parse(&o, argc, argv);
        if (r) return r;
        if (o.help) {
                fputs(help, stdout);
                return 0;
        }
        r = stats_connect(&l, o.host, o.port, &e);
        if (r == 0) r = run(&o, &l, &e);
        stats_close(&l);
        if (r < 0) fprintf(stderr, "varve stats: %s\n", e.text);
        return r < 0 ? 1 : 0;
}
