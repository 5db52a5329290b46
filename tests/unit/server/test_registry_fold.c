/* The registry's commands and what they fold into. */
#include "base/check.h"
#include "base/status.h"
#include "server/registry_fold.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static struct uuid id_of(unsigned n)
{
        struct uuid id = { { 0xaa } };
        store_be32(id.b + 12, n);
        return id;
}

static int apply(struct registry_fold *f, const struct registry_command *c, struct err *e)
{
        uint8_t key[REGISTRY_KEY_SIZE];
        size_t n = registry_command_size(c);
        uint8_t *value = malloc(n); /* exactly: a byte too far is seen */
        registry_command_key(c, key);
        registry_command_encode(c, value);
        int r = registry_fold_apply(
            f, (struct bytes){ key, sizeof(key) }, (struct bytes){ value, (int32_t)n }, e);
        free(value);
        return r;
}

static struct registry_command create(unsigned id, const char *name, int32_t partitions)
{
        return (struct registry_command){ .type = COMMAND_CREATE,
                .id = id_of(id),
                .name = str_of(name),
                .partitions = partitions };
}

Test(registry_command, golden_bytes)
{
        const struct config_entry x[] = { { STR("a.b"), STR("7") }, { STR("c"), STR("") } };
        struct registry_command c = create(0x01020304, "t-1", 258), d;
        c.entries = x;
        c.n_settings = 2;
        static const uint8_t want_key[] = { 1, 0xaa, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4 };
        static const uint8_t want[] = { 1, 0, 0, 1, 2, 0, 3, 't', '-', '1', 0, 2, 0, 3, 'a', '.',
                'b', 0, 0, 0, 1, '7', 0, 1, 'c', 0, 0, 0, 0 };
        uint8_t key[REGISTRY_KEY_SIZE], value[64];
        cr_assert_eq(registry_command_size(&c), sizeof(want));
        registry_command_key(&c, key);
        registry_command_encode(&c, value);
        cr_expect_arr_eq(key, want_key, sizeof(want_key));
        cr_expect_arr_eq(value, want, sizeof(want));
        struct err e;
        struct bytes k = { key, sizeof(key) };
        cr_assert_eq(registry_command_decode(k, (struct bytes){ want, sizeof(want) }, &d, &e), 0);
        cr_expect(d.type == COMMAND_CREATE && uuid_eq(d.id, c.id) && d.partitions == 258);
        cr_expect(str_eq(d.name, c.name) && d.n_settings == 2);
        for (int i = 0; i < 2; i++) {
                struct config_entry got = registry_setting(&d.settings);
                cr_expect(str_eq(got.name, x[i].name) && str_eq(got.value, x[i].value));
        }
        cr_expect_eq(d.settings.n, 0);
}

Test(registry_command, cut_or_longer_is_refused)
{
        const struct config_entry x = { STR("a"), STR("7") };
        struct registry_command c = create(1, "t", 1), d;
        c.entries = &x;
        c.n_settings = 1;
        uint8_t key[REGISTRY_KEY_SIZE];
        size_t n = registry_command_size(&c);
        registry_command_key(&c, key);
        struct err e;
        for (size_t cut = 0; cut < n; cut++) {
                uint8_t whole[64], *part = malloc(cut + 1);
                registry_command_encode(&c, whole);
                memcpy(part, whole, cut);
                cr_expect_eq(registry_command_decode((struct bytes){ key, sizeof(key) },
                                 (struct bytes){ part, (int32_t)cut }, &d, &e),
                    ST_CORRUPT, "cut at %zu", cut);
                free(part);
        }
        uint8_t longer[64] = { 0 };
        registry_command_encode(&c, longer);
        cr_expect_eq(registry_command_decode((struct bytes){ key, sizeof(key) },
                         (struct bytes){ longer, (int32_t)n + 1 }, &d, &e),
            ST_CORRUPT);
        cr_expect_eq(registry_command_decode((struct bytes){ key, sizeof(key) - 1 },
                         (struct bytes){ longer, (int32_t)n }, &d, &e),
            ST_CORRUPT);
}

Test(registry_command, the_future_is_refused)
{
        struct registry_command c = create(1, "t", 1), d;
        uint8_t key[REGISTRY_KEY_SIZE], value[64];
        size_t n = registry_command_size(&c);
        struct err e;
        registry_command_key(&c, key);
        registry_command_encode(&c, value);
        struct bytes k = { key, sizeof(key) }, v = { value, (int32_t)n };
        value[0] = 2;
        cr_expect_eq(registry_command_decode(k, v, &d, &e), ST_TOO_NEW);
        cr_expect_str_eq(e.text, "registry command: version 2 of type 1 is unknown");
        value[0] = 1;
        key[0] = 9;
        cr_expect_eq(registry_command_decode(k, v, &d, &e), ST_TOO_NEW);
        cr_expect_str_eq(e.text, "registry command: type 9 is unknown");
}

Test(registry_command, random_bytes_are_read_safely)
{
        unsigned seed = 7;
        for (int round = 0; round < 50000; round++) {
                uint8_t key[REGISTRY_KEY_SIZE] = { (uint8_t)(1 + round % 4) };
                size_t n = (size_t)(rand_r(&seed) % 40);
                uint8_t *value = malloc(n + 1);
                for (size_t i = 0; i < n; i++)
                        value[i] = (uint8_t)(rand_r(&seed) % (rand_r(&seed) % 3 ? 4 : 256));
                if (n > 0) value[0] = 1;
                struct registry_command d;
                struct err e;
                int r = registry_command_decode((struct bytes){ key, sizeof(key) },
                    (struct bytes){ value, (int32_t)n }, &d, &e);
                for (int32_t i = 0; r == 0 && i < d.n_settings; i++) registry_setting(&d.settings);
                free(value);
        }
}

Test(registry_fold, a_life)
{
        struct registry_fold f;
        struct err e;
        registry_fold_init(&f);
        struct registry_command c = create(1, "orders", 3);
        cr_assert_eq(apply(&f, &c, &e), 0, "%s", e.text);
        cr_expect(f.live == 1 && f.partitions == 3);
        c = (struct registry_command){
                .type = COMMAND_PARTITIONS, .id = id_of(1), .partitions = 5
        };
        cr_assert_eq(apply(&f, &c, &e), 0, "%s", e.text);
        cr_expect_eq(f.partitions, 5);
        c = (struct registry_command){ .type = COMMAND_DELETE, .id = id_of(1) };
        cr_assert_eq(apply(&f, &c, &e), 0, "%s", e.text);
        cr_expect(f.live == 0 && f.partitions == 5, "a tombstone still counts");
        cr_expect(registry_fold_id(&f, id_of(1))->deleted);
        cr_expect_not(list_empty(&f.tombstones));
        c = create(2, "orders", 1); /* again at once, under a new id */
        cr_assert_eq(apply(&f, &c, &e), 0, "%s", e.text);
        c = (struct registry_command){ .type = COMMAND_GONE, .id = id_of(1) };
        cr_assert_eq(apply(&f, &c, &e), 0, "%s", e.text);
        cr_expect(f.live == 1 && f.partitions == 1 && list_empty(&f.tombstones));
        cr_expect_null(registry_fold_id(&f, id_of(1)));
        registry_fold_reset(&f);
}

Test(registry_fold, what_cannot_be_is_refused)
{
        struct registry_fold f;
        struct err e;
        registry_fold_init(&f);
        struct registry_command c = create(1, "a.b", 3);
        cr_assert_eq(apply(&f, &c, &e), 0, "%s", e.text);
        const struct registry_command bad[] = {
                create(1, "other", 1), /* id exists */
                create(2, "a.b", 1),   /* name exists */
                create(2, "a_b", 1),   /* collides */
                create(2, "a/b", 1),   /* illegal */
                create(2, "..", 1),
                { .type = COMMAND_DELETE, .id = id_of(9) },
                { .type = COMMAND_GONE, .id = id_of(1) }, /* lives */
                { .type = COMMAND_PARTITIONS, .id = id_of(1), .partitions = 3 },
                { .type = COMMAND_PARTITIONS, .id = id_of(9), .partitions = 3 },
        };
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
                cr_expect_eq(apply(&f, &bad[i], &e), ST_CORRUPT, "row %zu", i);
                cr_expect(f.live == 1 && f.partitions == 3, "row %zu changed something", i);
        }
        c = (struct registry_command){ .type = COMMAND_DELETE, .id = id_of(1) };
        cr_assert_eq(apply(&f, &c, &e), 0);
        cr_expect_eq(apply(&f, &c, &e), ST_CORRUPT, "deleted twice");
        registry_fold_reset(&f);
}

/* --- histories --- */

enum { IDS = 60 };

/* Every fact of the fold, one line per topic, by id: equal text, equal state. */
static char *describe(struct registry_fold *f)
{
        char *text;
        size_t n;
        FILE *out = open_memstream(&text, &n);
        for (unsigned i = 0; i < IDS; i++) {
                struct registry_entry *x = registry_fold_id(f, id_of(i));
                if (!x) continue;
                fprintf(out, "%u %.*s %d %s", i, x->name.n, x->name.p, x->partitions,
                    x->deleted ? "deleted" : "live");
                for (int32_t s = 0; s < x->n_set; s++)
                        fprintf(out, " %.*s=%.*s", x->set[s].name.n, x->set[s].name.p,
                            x->set[s].value.n, x->set[s].value.p);
                fprintf(out, "\n");
        }
        fprintf(out, "live %u partitions %ld bytes %zu\n", f->live, (long)f->partitions, f->bytes);
        fclose(out);
        return text;
}

struct copy {
        struct registry_fold *to;
        size_t bytes;
        int commands, fail_at;
};

static int copy_emit(void *to, struct bytes key, struct bytes value)
{
        struct copy *c = to;
        struct err e;
        if (c->commands++ == c->fail_at) return ST_DISK_FULL;
        c->bytes += (size_t)key.n + (size_t)value.n;
        int r = registry_fold_apply(c->to, key, value, &e);
        cr_assert_eq(r, 0, "%s", e.text);
        return 0;
}

static void random_command(struct registry_fold *f, unsigned *seed, struct registry_command *c,
    char name[16], struct config_entry *set)
{
        unsigned id = (unsigned)rand_r(seed) % IDS;
        struct registry_entry *x = registry_fold_id(f, id_of(id));
        *c = (struct registry_command){ .id = id_of(id) };
        if (!x) {
                c->type = COMMAND_CREATE;
                snprintf(name, 16, "t%c%u", "._"[rand_r(seed) % 2], (unsigned)rand_r(seed) % 40);
                c->name = str_of(name);
                c->partitions = 1 + rand_r(seed) % 9;
                c->n_settings = rand_r(seed) % 3;
                c->entries = set;
        } else if (x->deleted) {
                c->type = COMMAND_GONE;
        } else if (rand_r(seed) % 2) {
                c->type = COMMAND_DELETE;
        } else {
                c->type = COMMAND_PARTITIONS;
                c->partitions = x->partitions + 1;
        }
}

Test(registry_fold, snapshot_equals_history)
{
        struct config_entry set[2] = { { STR("retention.ms"), STR("5") },
                { STR("cleanup.policy"), STR("") } };
        for (unsigned round = 1; round <= 200; round++) {
                unsigned seed = round;
                struct registry_fold f, g;
                registry_fold_init(&f);
                registry_fold_init(&g);
                int steps = rand_r(&seed) % 400;
                for (int i = 0; i < steps; i++) {
                        struct registry_command c;
                        struct err e;
                        char name[16];
                        random_command(&f, &seed, &c, name, set);
                        int r = apply(&f, &c, &e);
                        cr_assert(r == 0 || (c.type == COMMAND_CREATE && r == ST_CORRUPT));
                }
                struct copy copy = { &g, 0, 0, -1 };
                cr_assert_eq(registry_fold_snapshot(&f, copy_emit, &copy), 0);
                char *a = describe(&f), *b = describe(&g);
                cr_assert_str_eq(a, b, "seed %u", round);
                cr_expect_eq(
                    copy.bytes, f.bytes, "seed %u: the size is what a snapshot takes", round);
                free(a);
                free(b);
                registry_fold_reset(&f);
                registry_fold_reset(&g);
                cr_expect(g.bytes == 0 && list_empty(&g.changed) && list_empty(&g.tombstones));
        }
}

Test(registry_fold, snapshot_stops_when_emit_fails)
{
        struct registry_fold f, g;
        struct err e;
        registry_fold_init(&f);
        registry_fold_init(&g);
        for (unsigned i = 0; i < 5; i++) {
                char name[8];
                snprintf(name, sizeof(name), "t%u", i);
                struct registry_command c = create(i, name, 1);
                cr_assert_eq(apply(&f, &c, &e), 0);
        }
        struct copy copy = { &g, 0, 0, 2 };
        cr_expect_eq(registry_fold_snapshot(&f, copy_emit, &copy), ST_DISK_FULL);
        cr_expect_eq(copy.commands, 3);
        registry_fold_reset(&f);
        registry_fold_reset(&g);
}
