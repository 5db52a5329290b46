/* Commands -> live topics and tombstones. */
#include "server/registry_fold.h"

#include "base/check.h"
#include "base/status.h"

#include <stdlib.h>

void name_key_make(struct name_key *k, struct str name)
{
        assert(name.n > 0 && name.n < TOPIC_NAME_ROOM);
        k->n = name.n;
        for (int32_t i = 0; i < name.n; i++) k->text[i] = name.p[i] == '.' ? '_' : name.p[i];
}

void registry_fold_init(struct registry_fold *f)
{
        *f = (struct registry_fold){ .magic = REGISTRY_FOLD_MAGIC };
        list_init(&f->changed);
        list_init(&f->tombstones);
}

struct registry_entry *registry_fold_id(struct registry_fold *f, struct uuid id)
{
        struct registry_entry *x;
        HASH_FIND(by_id, f->ids, &id, sizeof(id), x);
        return x;
}

struct registry_entry *registry_fold_key(struct registry_fold *f, const struct name_key *key)
{
        struct registry_entry *x;
        HASH_FIND(by_key, f->keys, key->text, (unsigned)key->n, x);
        return x;
}

/* Bytes that an entry takes in a snapshot. */
static size_t entry_bytes(const struct registry_entry *x)
{
        struct registry_command c = {
                .type = COMMAND_CREATE, .name = x->name, .n_settings = x->n_set, .entries = x->set
        };
        size_t n = REGISTRY_KEY_SIZE + registry_command_size(&c);
        return x->deleted ? n + REGISTRY_KEY_SIZE + 1 : n;
}

static void mark_changed(struct registry_fold *f, struct registry_entry *x)
{
        list_remove(&x->changed);
        list_push_back(&f->changed, &x->changed);
}

static void forget(struct registry_fold *f, struct registry_entry *x)
{
        HASH_DELETE(by_id, f->ids, x);
        if (!x->deleted) {
                HASH_DELETE(by_key, f->keys, x);
                f->live--;
        }
        f->partitions -= x->partitions;
        f->bytes -= entry_bytes(x);
        list_remove(&x->changed);
        list_remove(&x->tombstone);
        free(x);
}

void registry_fold_reset(struct registry_fold *f)
{
        CHECK_OBJ(f, REGISTRY_FOLD_MAGIC);
        struct registry_entry *x, *next;
        HASH_ITER(by_id, f->ids, x, next)
        {
                forget(f, x);
        }
        assert(f->bytes == 0 && f->partitions == 0 && f->live == 0);
}

/* One block: the entry, its settings, their texts and the name. */
static struct registry_entry *entry_new(const struct registry_command *c)
{
        size_t n_set = (size_t)c->n_settings;
        struct registry_entry *x = calloc(1, sizeof(*x) + n_set * sizeof(struct config_entry) +
                                                 (size_t)c->settings.n + (size_t)c->name.n);
        if (!x) return NULL;
        x->set = (struct config_entry *)(x + 1);
        char *text = (char *)(x->set + n_set);
        memcpy(text, c->name.p, (size_t)c->name.n);
        x->name = (struct str){ text, c->name.n };
        text += c->name.n;
        if (c->settings.n > 0) memcpy(text, c->settings.p, (size_t)c->settings.n);
        struct bytes left = { (const uint8_t *)text, c->settings.n };
        for (int32_t i = 0; i < c->n_settings; i++) x->set[i] = registry_setting(&left);
        x->n_set = c->n_settings;
        x->id = c->id;
        x->partitions = c->partitions;
        name_key_make(&x->key, x->name);
        list_init(&x->changed);
        list_init(&x->tombstone);
        return x;
}

static int apply_create(struct registry_fold *f, const struct registry_command *c, struct err *e)
{
        struct name_key key;
        const char *why = topic_name_invalid(c->name);
        if (why) return err_set(e, ST_CORRUPT, "registry: a topic is created, but %s", why);
        name_key_make(&key, c->name);
        if (registry_fold_id(f, c->id) || registry_fold_key(f, &key))
                return err_set(e, ST_CORRUPT, "registry: topic %.*s is created, but exists",
                    c->name.n, c->name.p);
        struct registry_entry *x = entry_new(c);
        if (!x) return err_set(e, ST_NOMEM, "registry: topic %.*s", c->name.n, c->name.p);
        HASH_ADD(by_id, f->ids, id, sizeof(x->id), x);
        HASH_ADD_KEYPTR(by_key, f->keys, x->key.text, (unsigned)x->key.n, x);
        f->live++;
        f->partitions += x->partitions;
        f->bytes += entry_bytes(x);
        mark_changed(f, x);
        return 0;
}

static void apply_delete(struct registry_fold *f, struct registry_entry *x)
{
        HASH_DELETE(by_key, f->keys, x);
        f->bytes -= entry_bytes(x);
        x->deleted = true;
        x->n_set = 0;
        f->bytes += entry_bytes(x);
        f->live--;
        list_push_back(&f->tombstones, &x->tombstone);
        mark_changed(f, x);
}

int registry_fold_apply(
    struct registry_fold *f, struct bytes key, struct bytes value, struct err *e)
{
        CHECK_OBJ(f, REGISTRY_FOLD_MAGIC);
        struct registry_command c;
        int r = registry_command_decode(key, value, &c, e);
        if (r < 0) return r;
        if (c.type == COMMAND_CREATE) return apply_create(f, &c, e);
        struct registry_entry *x = registry_fold_id(f, c.id);
        bool wants_tombstone = c.type == COMMAND_GONE;
        if (!x || x->deleted != wants_tombstone)
                return err_set(e, ST_CORRUPT, "registry: command %d for topic %s, which is %s",
                    (int)c.type, uuid_show(c.id).text, !x ? "unknown" : "not in that state");
        if (c.type == COMMAND_GONE) {
                forget(f, x);
        } else if (c.type == COMMAND_DELETE) {
                apply_delete(f, x);
        } else {
                if (c.partitions <= x->partitions)
                        return err_set(e, ST_CORRUPT, "registry: topic %.*s would shrink",
                            x->name.n, x->name.p);
                f->partitions += c.partitions - x->partitions;
                x->partitions = c.partitions;
                mark_changed(f, x);
        }
        return 0;
}

static int emit_command(const struct registry_command *c,
    int (*emit)(void *to, struct bytes key, struct bytes value), void *to)
{
        uint8_t key[REGISTRY_KEY_SIZE];
        size_t n = registry_command_size(c);
        uint8_t *value = malloc(n);
        if (!value) return ST_NOMEM;
        registry_command_key(c, key);
        registry_command_encode(c, value);
        int r =
            emit(to, (struct bytes){ key, REGISTRY_KEY_SIZE }, (struct bytes){ value, (int32_t)n });
        free(value);
        return r;
}

/* Tombstones first: a later topic may have the same name. */
int registry_fold_snapshot(
    struct registry_fold *f, int (*emit)(void *to, struct bytes key, struct bytes value), void *to)
{
        CHECK_OBJ(f, REGISTRY_FOLD_MAGIC);
        for (int live = 0; live < 2; live++) {
                struct registry_entry *x, *next;
                HASH_ITER(by_id, f->ids, x, next)
                {
                        if (x->deleted == (bool)live) continue;
                        struct registry_command c = { .type = COMMAND_CREATE,
                                .id = x->id,
                                .partitions = x->partitions,
                                .name = x->name,
                                .n_settings = x->n_set,
                                .entries = x->set };
                        int r = emit_command(&c, emit, to);
                        if (r < 0) return r;
                        if (live) continue;
                        c = (struct registry_command){ .type = COMMAND_DELETE, .id = x->id };
                        r = emit_command(&c, emit, to);
                        if (r < 0) return r;
                }
        }
        return 0;
}
