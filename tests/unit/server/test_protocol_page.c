/* docs/protocol.md says what the tables in the code say. */
#include "base/check.h"
#include "server/api_table.h"
#include "server/request.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* The page, found from this file's own place or from SOURCE_ROOT. */
static char *page(void)
{
        char path[4096];
        const char *root = getenv("SOURCE_ROOT");
        int up = (int)strlen(__FILE__) - (int)strlen("tests/unit/server/test_protocol_page.c");
        if (root)
                snprintf(path, sizeof(path), "%s/docs/protocol.md", root);
        else
                snprintf(path, sizeof(path), "%.*sdocs/protocol.md", up, __FILE__);
        FILE *f = fopen(path, "r");
        cr_assert_not_null(f, "%s cannot be read", path);
        char *text = calloc(1, 1 << 20);
        cr_assert_gt(fread(text, 1, (1 << 20) - 1, f), 0);
        fclose(f);
        return text;
}

static void expect_table(const char *name, void (*print)(FILE *f))
{
        char *text = page(), begin[64], end[64], *want;
        size_t n;
        snprintf(begin, sizeof(begin), "<!-- %s -->\n", name);
        snprintf(end, sizeof(end), "<!-- end of %s -->\n", name);
        char *from = strstr(text, begin), *to = from ? strstr(from, end) : NULL;
        cr_assert(from && to, "the page has no marks for %s", name);
        *to = '\0';
        FILE *f = open_memstream(&want, &n);
        print(f);
        fclose(f);
        cr_expect_str_eq(from + strlen(begin), want,
            "docs/protocol.md is stale: put the output of `varve %s` between its marks", name);
        free(want);
        free(text);
}

Test(protocol_page, api_table)
{
        expect_table("api-table", api_table_print);
}
Test(protocol_page, topic_table)
{
        expect_table("topic-table", topic_table_print);
}

/* What is advertised is what there is. */
Test(protocol_page, rows_are_sane)
{
        unsigned n;
        const struct api *rows = api_rows(&n);
        cr_assert_gt(n, 0);
        for (unsigned i = 0; i < n; i++) {
                cr_expect(i == 0 || rows[i - 1].key < rows[i].key, "sorted by key");
                cr_expect(rows[i].min <= rows[i].accept_min && rows[i].accept_min <= rows[i].max);
                cr_expect(rows[i].name && rows[i].begin && rows[i].finish && rows[i].decode);
                cr_expect_eq(api_find(rows[i].key), &rows[i]);
        }
        cr_expect_null(api_find(-1));
        cr_expect_null(api_find(32767));
}
