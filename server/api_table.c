/* Prints the rows of api.c as a table in Markdown. */
#include "server/api_table.h"

#include "protocol/msg.h"
#include "server/request.h"

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
