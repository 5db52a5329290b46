/* The rows of api.c and of topic_config_keys.c as tables in Markdown. */
#include "server/api_table.h"

#include "protocol/msg.h"
#include "server/request.h"
#include "server/topic_config.h"

#include <inttypes.h>

static void print_range(FILE *f, int min, int max)
{
        if (min == max)
                fprintf(f, " %d |", min);
        else
                fprintf(f, " %d–%d |", min, max);
}

void api_table_print(FILE *f)
{
        unsigned n;
        const struct api *rows = api_rows(&n);
        fprintf(f, "| key | API | advertised | served | flexible from |\n|---|---|---|---|---|\n");
        for (unsigned i = 0; i < n; i++) {
                const struct api_info *info = api_info_find(rows[i].key);
                fprintf(f, "| %d | %s |", rows[i].key, rows[i].name);
                print_range(f, rows[i].min, rows[i].max);
                print_range(f, rows[i].accept_min, rows[i].max);
                if (info && info->flexible <= rows[i].max)
                        fprintf(f, " %d |\n", info->flexible);
                else
                        fprintf(f, " – |\n");
        }
}

static void print_allowed(FILE *f, const struct topic_key *k)
{
        if (k->type == KEY_BOOL) {
                fprintf(f, " true, false |");
        } else if (k->words) {
                const char *comma = " ";
                for (unsigned i = 0; k->words[i]; i++) {
                        if (k->not_yet && str_eq(str_of(k->words[i]), str_of(k->not_yet))) continue;
                        fprintf(f, "%s%s", comma, k->words[i]);
                        comma = ", ";
                }
                fprintf(f, "%s |", k->type == KEY_LIST ? ", or empty" : "");
        } else if (k->type == KEY_LIST) {
                fprintf(f, " empty, *, partition:broker,… |");
        } else if (k->max == INT64_MAX && k->min == INT64_MIN) {
                fprintf(f, " any number |");
        } else if (k->max == INT64_MAX || k->max == INT32_MAX) {
                fprintf(f, " %" PRId64 " or more |", k->min);
        } else {
                fprintf(f, " %" PRId64 " to %" PRId64 "%s |", k->min, k->max,
                    k->not_zero ? " without 0" : "");
        }
}

void topic_table_print(FILE *f)
{
        unsigned n;
        const struct topic_key *k = topic_keys(&n);
        fprintf(f, "| setting | default | allowed | effect |\n|---|---|---|---|\n");
        for (unsigned i = 0; i < n; i++) {
                bool fixed = !k[i].effective && !k[i].anyway;
                fprintf(f, "| %s | %s |", k[i].name, *k[i].fallback ? k[i].fallback : "empty");
                if (fixed)
                        fprintf(f, " %s |", k[i].fallback);
                else
                        print_allowed(f, &k[i]);
                if (k[i].effective)
                        fprintf(f, " yes |\n");
                else if (fixed)
                        fprintf(f, " not yet: other values are refused |\n");
                else
                        fprintf(f, " none: %s |\n", k[i].anyway);
        }
}
