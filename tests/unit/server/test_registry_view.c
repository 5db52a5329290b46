/* Views: lookups, order, sharing; names and ids. */
#include "base/check.h"
#include "server/registry_view.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct uuid id_of(uint32_t n)
{
        struct uuid id = { { 0x55 } };
        store_be32(id.b + 4, n * 2654435761U);
        store_be32(id.b + 12, n);
        return id;
}

static struct topic_node *node(uint32_t id, const char *name, int32_t partitions)
{
        struct topic_config *c;
        cr_assert_eq(topic_config_new(NULL, NULL, 0, &c, NULL), 0);
        struct topic_node *n = topic_node_new(id_of(id), str_of(name), partitions, c);
        cr_assert_not_null(n);
        return n;
}

/* A view, and the test's own references to nodes go. */
static struct registry_view *next(struct registry_view *prev, struct view_change *x, uint32_t n)
{
        struct registry_view *v = registry_view_next(prev, x, n);
        cr_assert_not_null(v);
        for (uint32_t i = 0; i < n; i++)
                if (x[i].node) topic_node_unref(x[i].node);
        if (prev) registry_view_unref(prev);
        return v;
}

Test(registry_view, empty)
{
        struct registry_view *v = next(NULL, NULL, 0);
        cr_expect_eq(v->count, 0);
        cr_expect_eq(v->version, 1);
        cr_expect_null(registry_find(v, STR("x")));
        cr_expect_null(registry_find(v, STR("")));
        cr_expect_null(registry_find(v, STR_NULL));
        cr_expect_null(registry_find_id(v, id_of(1)));
        registry_view_unref(v);
}

Test(registry_view, ten_thousand_topics)
{
        enum { N = 10000 };
        struct view_change *x = calloc(N, sizeof(*x));
        for (uint32_t i = 0; i < N; i++) {
                char name[32];
                snprintf(name, sizeof(name), "topic-%u", i * 7919 % N);
                x[i].node = node(i * 7919 % N, name, 1 + (int32_t)(i % 5));
                x[i].name = x[i].node->topic.name;
        }
        struct registry_view *v = next(NULL, x, N);
        cr_assert_eq(v->count, N);
        for (uint32_t i = 0; i < N; i++) {
                char name[32];
                snprintf(name, sizeof(name), "topic-%u", i);
                const struct topic *t = registry_find(v, str_of(name));
                cr_assert_not_null(t, "%s", name);
                cr_assert(uuid_eq(t->id, id_of(i)));
                cr_assert_eq(registry_find_id(v, id_of(i)), t);
                snprintf(name, sizeof(name), "topic-%u-", i);
                cr_assert_null(registry_find(v, str_of(name)));
                cr_assert_null(registry_find_id(v, id_of(N + i)));
                if (i == 0) continue;
                struct str a = v->by_name[i - 1]->name, b = v->by_name[i]->name;
                int order = memcmp(a.p, b.p, (size_t)MIN(a.n, b.n));
                cr_assert(order < 0 || (order == 0 && a.n < b.n), "sorted by bytes");
        }
        free(x);
        registry_view_unref(v);
}

Test(registry_view, changes_replace_add_and_take_away)
{
        struct view_change a[] = { { STR("b"), node(2, "b", 1) }, { STR("a"), node(1, "a", 1) },
                { STR("c"), node(3, "c", 1) } };
        struct registry_view *v = next(NULL, a, 3);
        struct registry_view *old = registry_view_ref(v);
        struct view_change b[] = { { STR("b"), node(2, "b", 9) }, { STR("c"), NULL },
                { STR("not there"), NULL }, { STR("ab"), node(4, "ab", 1) } };
        v = next(v, b, 4);
        cr_assert_eq(v->count, 3);
        cr_expect_eq(v->version, old->version + 1);
        cr_expect(str_eq(v->by_name[0]->name, STR("a")));
        cr_expect(str_eq(v->by_name[1]->name, STR("ab")));
        cr_expect_eq(registry_find(v, STR("b"))->partitions, 9);
        cr_expect_null(registry_find(v, STR("c")));
        cr_expect_null(registry_find_id(v, id_of(3)));
        cr_expect_eq(v->by_name[0], old->by_name[0], "what did not change is shared");
        cr_expect_eq(old->count, 3);
        cr_expect_eq(registry_find(old, STR("b"))->partitions, 1, "the old view stays as it was");
        cr_expect_not_null(registry_find_id(old, id_of(3)));
        registry_view_unref(old);
        registry_view_unref(v);
}

Test(registry_view, deleted_and_created_again_in_one_step)
{
        for (int order = 0; order < 2; order++) {
                struct view_change a[] = { { STR("x"), node(1, "x", 1) } };
                struct registry_view *v = next(NULL, a, 1);
                struct view_change b[] = { { STR("x"), NULL }, { STR("x"), NULL } };
                b[order].node = node(2, "x", 1);
                v = next(v, b, 2);
                cr_assert_eq(v->count, 1);
                cr_expect(uuid_eq(registry_find(v, STR("x"))->id, id_of(2)));
                cr_expect_null(registry_find_id(v, id_of(1)));
                registry_view_unref(v);
        }
}

/* A random history against a plain array. */
Test(registry_view, random_changes)
{
        enum { N = 200, STEPS = 300 };
        uint32_t model[N] = { 0 }; /* id by name; 0: not there */
        unsigned seed = 3;
        struct registry_view *v = next(NULL, NULL, 0);
        for (uint32_t step = 1; step <= STEPS; step++) {
                struct view_change x[8];
                uint32_t n = 0;
                for (uint32_t want = (uint32_t)rand_r(&seed) % 8; n < want; n++) {
                        /* Names of one step differ. */
                        uint32_t i = ((uint32_t)rand_r(&seed) % (N / 8)) * 8 + n;
                        static char names[8][16];
                        snprintf(names[n], sizeof(names[n]), "n%u", i);
                        x[n].name = str_of(names[n]);
                        model[i] = rand_r(&seed) % 3 ? step * 8 + n : 0;
                        x[n].node = model[i] ? node(model[i], names[n], 1) : NULL;
                }
                v = next(v, x, n);
                uint32_t count = 0;
                for (uint32_t i = 0; i < N; i++) {
                        char name[16];
                        snprintf(name, sizeof(name), "n%u", i);
                        const struct topic *t = registry_find(v, str_of(name));
                        cr_assert_eq(t != NULL, model[i] != 0, "step %u name %u", step, i);
                        if (t) cr_assert(uuid_eq(t->id, id_of(model[i])));
                        count += t != NULL;
                }
                cr_assert_eq(v->count, count);
        }
        registry_view_unref(v);
}

/* faults 62 */
Test(registry_name, legal_and_illegal)
{
        char long_name[32768];
        memset(long_name, 'x', sizeof(long_name));
        static const char *const good[] = { "a", "a.b", "a_b", "-", "...", "A9", "0", "..a" };
        for (size_t i = 0; i < COUNT_OF(good); i++)
                cr_expect_null(topic_name_invalid(str_of(good[i])), "%s", good[i]);
        cr_expect_null(topic_name_invalid((struct str){ long_name, 249 }));
        static const char *const bad[] = { "", ".", "..", "a/b", "../../etc", "a b", "a\r\nb",
                "\xff", "\xc3\xa4", "a:b", "a\\b", "a\tb", "~" };
        for (size_t i = 0; i < COUNT_OF(bad); i++)
                cr_expect_not_null(topic_name_invalid(str_of(bad[i])), "%s", bad[i]);
        cr_expect_not_null(topic_name_invalid((struct str){ "a\0b", 3 }));
        cr_expect_not_null(topic_name_invalid(STR_NULL));
        cr_expect_not_null(topic_name_invalid((struct str){ long_name, 250 }));
        cr_expect_not_null(topic_name_invalid((struct str){ long_name, 32767 }));
}

Test(registry_name, internal)
{
        cr_expect(topic_name_internal(STR("__consumer_offsets")));
        cr_expect(topic_name_internal(STR("__transaction_state")));
        cr_expect(topic_name_internal(STR("__share_group_state")));
        cr_expect_not(topic_name_internal(STR("__consumer_offset")));
        cr_expect_not(topic_name_internal(STR("_schemas")));
        cr_expect_not(topic_name_internal(STR_NULL));
}

Test(registry_name, text_of_ids)
{
        struct uuid zero = { { 0 } }, full;
        memset(&full, 0xff, sizeof(full));
        struct uuid rising = { { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 } };
        cr_expect_str_eq(uuid_show(zero).text, "AAAAAAAAAAAAAAAAAAAAAA");
        cr_expect_str_eq(uuid_show(full).text, "_____________________w");
        cr_expect_str_eq(uuid_show(rising).text, "AAECAwQFBgcICQoLDA0ODw");
        cr_expect_neq((registry_topic_id.b[6] >> 4), 4, "no random id is like it");
        cr_expect_not(uuid_is_zero(registry_topic_id));
}
