/* The state log: a fold that survives stops and kills, snapshots that shrink the log. */
#include "storage/state_log_own.h"
#include "tests/unit/storage/storage_fixture.h"

enum { KEYS = 64 };

/* The state: the last value of each of 64 keys, and how many commands were applied since reset. */
struct table {
        uint32_t value[KEYS];
        unsigned resets, applied, refuse_at;
        uint32_t pad; /* bytes that a snapshot adds to each value */
};

static void table_reset(void *arg)
{
        struct table *t = arg;
        memset(t->value, 0, sizeof t->value);
        t->resets++;
}

static int table_apply(void *arg, struct bytes key, struct bytes value, struct err *e)
{
        struct table *t = arg;
        if (key.n != 1 || key.p[0] >= KEYS || value.n < 4)
                return err_set(e, ST_CORRUPT, "bad command");
        t->value[key.p[0]] = load_be32(value.p);
        t->applied++;
        if (t->refuse_at && t->applied == t->refuse_at)
                return err_set(e, ST_CORRUPT, "told to fail");
        return 0;
}

static int table_snapshot(void *arg, int (*emit)(void *, struct bytes, struct bytes), void *to)
{
        struct table *t = arg;
        for (uint8_t i = 0; i < KEYS; i++) {
                uint8_t v[4];
                store_be32(v, t->value[i]);
                int st = emit(to, (struct bytes){ &i, 1 }, (struct bytes){ v, 4 });
                if (st < 0) return st;
        }
        return 0;
}

static size_t table_size(void *arg)
{
        (void)arg;
        return (size_t)KEYS * 20;
}

static struct state_fold fold_of(struct table *t)
{
        return (struct state_fold){ t, table_reset, table_apply, table_snapshot, table_size };
}

struct command {
        struct state_command c;
        uint8_t key;
        uint8_t value[2000];
        int status;
        bool done;
};

static void on_applied(struct state_command *c, int status)
{
        struct command *x = CONTAINER_OF(c, struct command, c);
        cr_assert(!x->done);
        x->done = true;
        x->status = status;
}

static struct command *put(struct state_log *sl, uint8_t key, uint32_t value, int32_t size)
{
        struct command *x = calloc(1, sizeof *x);
        x->key = key;
        store_be32(x->value, value);
        x->c = (struct state_command){
                .key = { &x->key, 1 }, .value = { x->value, size }, .on_applied = on_applied
        };
        state_log_append(sl, &x->c);
        cr_assert(!x->done);
        return x;
}

static struct state_log *open_log(struct world *w, struct table *t)
{
        struct err e = { 0 };
        struct state_log *sl;
        struct state_fold f = fold_of(t);
        int st = state_log_open(w->ls, topic(9), 0, &f, &sl, &e);
        cr_assert_eq(st, ST_OK, "%s", e.text);
        return sl;
}

static void put_many(struct world *w, struct state_log *sl, uint32_t from, uint32_t n, int32_t size)
{
        struct command **all = calloc(n, sizeof(struct command *));
        for (uint32_t i = 0; i < n; i++)
                all[i] = put(sl, (uint8_t)((from + i) % KEYS), from + i, size);
        for (uint32_t i = 0; i < n; i++) {
                world_until(w, &all[i]->done);
                cr_assert_eq(all[i]->status, ST_OK);
                free(all[i]);
        }
        free(all);
}

static void expect(const struct table *t, uint32_t n)
{
        for (uint32_t i = n > KEYS ? n - KEYS : 0; i < n; i++) cr_assert_eq(t->value[i % KEYS], i);
}

STORAGE_TEST(state_log, replays_what_was_applied)
{
        struct table t = { 0 };
        world_open(w);
        struct state_log *sl = open_log(w, &t);
        put_many(w, sl, 0, 100, 4);
        cr_assert_eq(t.applied, 100);
        cr_assert_lt(counter_get(&w->ls->stats.appends), 5, "commands of one turn share a batch");
        for (int i = 0; i < 3; i++) {
                state_log_free(sl);
                world_reopen(w, i == 1);
                t = (struct table){ 0 };
                sl = open_log(w, &t);
                expect(&t, 100);
                cr_assert_eq(t.applied, 100);
        }
        state_log_free(sl);
        world_close(w);
}

STORAGE_TEST(state_log, a_snapshot_replaces_the_log_before_it)
{
        struct table t = { 0 };
        world_open(w);
        struct state_log *sl = open_log(w, &t);
        for (uint32_t i = 0; i < 3000; i += 100) put_many(w, sl, i, 100, 2000);
        for (int i = 0; i < 50; i++) world_settle(w);
        struct partition_state st;
        partition_get_state(sl->partition, &st);
        cr_assert_gt(st.log_start, 0);
        cr_assert_lt(st.bytes, 2 << 20);
        cr_assert_gt(counter_get(&w->ls->stats.segments_deleted), 0);
        expect(&t, 3000);
        state_log_free(sl);
        world_reopen(w, false);
        t = (struct table){ 0 };
        sl = open_log(w, &t);
        expect(&t, 3000);
        cr_assert_lt(t.applied, 1500);
        put_many(w, sl, 3000, 10, 4);
        state_log_free(sl);
        world_reopen(w, true);
        t = (struct table){ 0 };
        sl = open_log(w, &t);
        expect(&t, 3010);
        state_log_free(sl);
        world_close(w);
}

/* Records of each type by hand. */
static void append_typed(
    struct world *w, struct partition *p, char type, uint8_t key, uint32_t value, int vn)
{
        uint8_t k[2] = { (uint8_t)type, key }, v[8];
        store_be64(v, value);
        if (vn == 4) store_be32(v, value);
        struct record_in r = {
                .timestamp = 1, .key = { k, type == 'B' || type == 'E' ? 1 : 2 }, .value = { v, vn }
        };
        struct batch_build in = { .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = &r,
                .count = 1 };
        struct appended *x = calloc(1, sizeof *x);
        x->bytes.p = malloc(batch_encode_bound(&in));
        int64_t n = batch_encode(&in, NULL, (struct bytes_mut){ NULL, 0 },
            (struct bytes_mut){ x->bytes.p, batch_encode_bound(&in) }, NULL);
        cr_assert_gt(n, 0);
        struct appended *y = append_raw(p, x->bytes.p, (uint32_t)n);
        free(x);
        world_until(w, &y->finished);
        cr_assert_eq(y->a.status, ST_OK);
        appended_free(y);
}

STORAGE_TEST_ONE(state_log, a_broken_off_snapshot_is_ignored)
{
        struct table t = { 0 };
        world_open(w);
        struct partition *p = world_partition(w, 9, NULL);
        append_typed(w, p, 'C', 1, 11, 4);
        append_typed(w, p, 'B', 0, 0, 0);
        append_typed(w, p, 'S', 1, 99, 4); /* a snapshot that never got its end */
        append_typed(w, p, 'C', 2, 22, 4);
        struct state_log *sl = open_log(w, &t);
        cr_assert_eq(t.value[1], 11);
        cr_assert_eq(t.value[2], 22);
        state_log_free(sl);
        append_typed(w, p, 'B', 0, 0, 0);
        append_typed(w, p, 'S', 3, 33, 4);
        append_typed(w, p, 'E', 0, 1, 8);
        append_typed(w, p, 'C', 4, 44, 4);
        sl = open_log(w, &t);
        cr_assert_eq(t.value[1], 0, "the complete snapshot replaces all before it");
        cr_assert_eq(t.value[3], 33);
        cr_assert_eq(t.value[4], 44);
        state_log_free(sl);
        world_close(w);
}

STORAGE_TEST_ONE(state_log, what_it_cannot_understand_stops_the_start)
{
        static const struct {
                char type;
                uint32_t value;
                int n;
        } bad[] = { { 'X', 1, 4 }, { 'E', 7, 8 } };
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
                struct table t = { 0 };
                struct err e = { 0 };
                struct state_log *sl;
                struct state_fold f = fold_of(&t);
                world_open(w);
                struct partition *p = world_partition(w, 9, NULL);
                if (bad[i].type == 'E') append_typed(w, p, 'B', 0, 0, 0);
                append_typed(w, p, bad[i].type, 0, bad[i].value, bad[i].n);
                cr_assert_lt(state_log_open(w->ls, topic(9), 0, &f, &sl, &e), 0);
                cr_assert(strstr(e.text, "state log"), "%s", e.text);
                world_kill(w);
                dir_remove(w->dir);
        }
}
