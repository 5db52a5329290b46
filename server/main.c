/* The command line. */
#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "bench/bench.h"
#include "server/api_table.h"
#include "server/config.h"
#include "server/serve.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef VARVE_VERSION
#define VARVE_VERSION "0.1.0"
#endif

enum { EXIT_USAGE = 2, SETS_MAX = 256 };

static const char help[] =
    "varve - an append-only partitioned log server that speaks the Kafka protocol\n"
    "\n"
    "  varve serve --data-dir DIR [--listen HOST:PORT] [OPTION...]\n"
    "      runs the server in the foreground until SIGTERM or SIGINT\n"
    "  varve config print [-o json] [OPTION...]\n"
    "      shows every setting with value, source, unit and meaning\n"
    "  varve bench MODE [OPTION...]\n"
    "      measures a server that speaks the Kafka protocol; `varve bench --help`\n"
    "  varve stats [-a HOST:PORT] [-o json] [--watch SECONDS]\n"
    "      shows what a running server has counted; `varve stats --help`\n"
    "  varve --help | --version\n"
    "\n"
    "Options of serve and config print; later wins: file, environment, --set, shortcuts\n"
    "  -c, --config FILE       settings, one key=value per line (server.properties style)\n"
    "  -s, --set KEY=VALUE     one setting; may be repeated\n"
    "  -d, --data-dir DIR      is log.dirs: where data is kept; created when missing\n"
    "  -l, --listen HOST:PORT  is listeners=PLAINTEXT://HOST:PORT (default 127.0.0.1:9092)\n"
    "      --io auto|uring|posix   is varve.io\n"
    "Environment: VARVE_NUM_PARTITIONS=3 is num.partitions=3, and so on.\n"
    "\n"
    "Exit: 0 after a stop by signal, 1 on failure, 2 on wrong usage.\n";

static int usage(const char *what, const char *about)
{
        fprintf(stderr, "varve: %s%s%s; `varve --help` shows how\n", what, about ? ": " : "",
            about ? about : "");
        return EXIT_USAGE;
}

struct options {
        struct config_args args;
        const char *sets[SETS_MAX];
        bool json;
};

enum { OPT_IO = 256 };

static int option(struct options *o, int c)
{
        switch (c) {
        case 'c':
                o->args.file = optarg;
                return 0;
        case 'd':
                o->args.data_dir = optarg;
                return 0;
        case 'l':
                o->args.listen = optarg;
                return 0;
        case OPT_IO:
                o->args.io = optarg;
                return 0;
        case 's':
                if (o->args.n_sets == SETS_MAX) return usage("too many --set", NULL);
                o->sets[o->args.n_sets++] = optarg;
                return 0;
        case 'o':
                if (strcmp(optarg, "json") != 0 && strcmp(optarg, "text") != 0)
                        return usage("-o is json or text, not", optarg);
                o->json = strcmp(optarg, "json") == 0;
                return 0;
        case 'h':
                fputs(help, stdout);
                exit(0);
        default:
                return EXIT_USAGE; /* getopt has said what is wrong */
        }
}

/* argv[0] is the command; 0: all understood. */
static int options_parse(struct options *o, int argc, char **argv, const char *letters)
{
        static const struct option longs[] = { { "config", required_argument, NULL, 'c' },
                { "set", required_argument, NULL, 's' },
                { "data-dir", required_argument, NULL, 'd' },
                { "listen", required_argument, NULL, 'l' },
                { "io", required_argument, NULL, OPT_IO },
                { "output", required_argument, NULL, 'o' }, { "help", no_argument, NULL, 'h' },
                { NULL, 0, NULL, 0 } };
        static char name[] = "varve";
        o->args.sets = o->sets;
        o->args.environ = environ;
        argv[0] = name; /* what getopt calls us */
        for (int c; (c = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
                if (c == 'o' && !strchr(letters, 'o')) return usage("unknown option", "--output");
                int r = option(o, c);
                if (r) return r;
        }
        return optind < argc ? usage("not understood", argv[optind]) : 0;
}

static int load(struct options *o, struct config **ret)
{
        struct err e = { 0 };
        if (config_load(&o->args, ret, &e) == 0) return 0;
        fprintf(stderr, "varve: configuration refused: %s\n", e.text);
        return 1;
}

static int command_serve(int argc, char **argv)
{
        struct options o = { 0 };
        struct config *c;
        int r = options_parse(&o, argc, argv, "c:s:d:l:h");
        if (r == 0) r = load(&o, &c);
        if (r) return r;
        if (!c->data_dir[0]) {
                config_free(c);
                return usage("log.dirs is not set", "say --data-dir DIR");
        }
        log_setup(c->log_level, c->log_format, STDERR_FILENO);
        config_warn(c);
        r = serve_main(c);
        config_free(c);
        return r;
}

static int command_config(int argc, char **argv)
{
        struct options o = { 0 };
        struct config *c;
        if (argc < 2 || strcmp(argv[1], "print") != 0)
                return usage("config knows one verb", "config print");
        int r = options_parse(&o, argc - 1, argv + 1, "c:s:d:l:o:h");
        if (r == 0) r = load(&o, &c);
        if (r) return r;
        config_print(c, o.json, STDOUT_FILENO);
        config_free(c);
        return 0;
}

/* Not in the help: docs/protocol.md is made from these two. */
static int command_api_table(int argc, char **argv)
{
        if (argc > 1) return usage("not understood", argv[1]);
        api_table_print(stdout);
        return 0;
}

static int command_topic_table(int argc, char **argv)
{
        if (argc > 1) return usage("not understood", argv[1]);
        topic_table_print(stdout);
        return 0;
}

static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
} commands[] = {
        { "serve", command_serve },
        { "config", command_config },
        { "bench", bench_main },
        { "stats", stats_main },
        { "api-table", command_api_table },
        { "topic-table", command_topic_table },
};

int main(int argc, char **argv)
{
        const char *word = argc > 1 ? argv[1] : "";
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
                fputs(help, stdout);
                return 0;
        }
        if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
                printf("varve %s\n", VARVE_VERSION);
                return 0;
        }
        for (size_t i = 0; i < COUNT_OF(commands); i++)
                if (strcmp(word, commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
        return *word ? usage("unknown command", word) : usage("no command", NULL);
}
