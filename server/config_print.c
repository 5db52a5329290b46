/* `varve config print`: every key, in a form that can be read back as a configuration file, or as
 * JSON. */
#include "server/config_impl.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static void json_text(FILE *f, const char *name, const char *text)
{
        fprintf(f, "\"%s\":\"", name);
        for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
                if (*c == '"' || *c == '\\')
                        fprintf(f, "\\%c", *c);
                else if (*c < 0x20 || *c == 0x7f)
                        fprintf(f, "\\u%04x", *c);
                else
                        fputc(*c, f);
        }
        fputc('"', f);
}

static void print_json(const struct config *c, FILE *f)
{
        const struct config_item *x;
        unsigned n = config_items(c, &x);
        fprintf(f, "[\n");
        for (unsigned i = 0; i < n; i++) {
                fprintf(f, "  {");
                json_text(f, "key", x[i].key);
                fprintf(f, ",");
                json_text(f, "value", x[i].value);
                fprintf(f, ",");
                json_text(f, "source", x[i].source_text);
                fprintf(f, ",");
                json_text(f, "unit", x[i].unit);
                fprintf(f, ",");
                json_text(f, "default", x[i].fallback);
                fprintf(f, ",");
                json_text(f, "meaning", x[i].meaning);
                fprintf(f, "}%s\n", i + 1 < n ? "," : "");
        }
        fprintf(f, "]\n");
}

/* A value as a properties file writes it. */
static void print_value(FILE *f, const char *text)
{
        for (const char *c = text; *c; c++) {
                if (*c == '\\' || (*c == ' ' && c == text))
                        fprintf(f, "\\%c", *c);
                else if (*c == '\n')
                        fprintf(f, "\\n");
                else if (*c == '\r')
                        fprintf(f, "\\r");
                else
                        fputc(*c, f);
        }
}

static void print_text(const struct config *c, FILE *f)
{
        const struct config_item *x;
        struct config_memory m;
        unsigned n = config_items(c, &x), shards = config_shards(c);
        for (unsigned i = 0; i < n; i++) {
                fprintf(f, "# %s\n# %s%s%ssource: ", x[i].meaning, *x[i].unit ? "unit: " : "",
                    x[i].unit, *x[i].unit ? "; " : "");
                print_value(f, x[i].source_text);
                fprintf(f, "; default: %s\n%s", *x[i].fallback ? x[i].fallback : "none",
                    *x[i].value || x[i].topic_default ? "" : "# ");
                fprintf(f, "%s=", x[i].key);
                print_value(f, x[i].value);
                fprintf(f, "\n\n");
        }
        config_memory(c, shards, &m);
        fprintf(f,
            "# memory.limit.bytes is divided among %u shards; each has, in bytes:\n"
            "#   receive %" PRIu64 ", blocks %" PRIu64 " (of these at most %" PRIu64
            " cached reads), indexes %" PRIu64 ", arenas %" PRIu64 "\n"
            "# and all together %" PRIu64 " for topics, connections and the rest.\n",
            shards, m.receive, m.blocks, m.cache, m.indexes, m.arenas,
            c->memory_limit - shards * (m.receive + m.blocks + m.indexes + m.arenas));
}

void config_print(const struct config *c, bool json, int fd)
{
        int copy = dup(fd);
        FILE *f = copy < 0 ? NULL : fdopen(copy, "w");
        if (!f) {
                if (copy >= 0) close(copy);
                return;
        }
        if (json)
                print_json(c, f);
        else
                print_text(c, f);
        fclose(f);
}
