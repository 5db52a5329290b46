/* The byte layout of the registry's commands; registry_command.h has the table. */
#include "server/registry_command.h"

#include "base/check.h"
#include "base/status.h"

void registry_command_key(const struct registry_command *c, uint8_t key[REGISTRY_KEY_SIZE])
{
        key[0] = (uint8_t)c->type;
        memcpy(key + 1, c->id.b, 16);
}

size_t registry_command_size(const struct registry_command *c)
{
        size_t n = 1;
        if (c->type == COMMAND_PARTITIONS) n += 4;
        if (c->type != COMMAND_CREATE) return n;
        n += 4 + 2 + (size_t)c->name.n + 2;
        for (int32_t i = 0; i < c->n_settings; i++)
                n += 2 + (size_t)c->entries[i].name.n + 4 + (size_t)c->entries[i].value.n;
        return n;
}

static uint8_t *put_bytes(uint8_t *at, const void *p, int32_t n)
{
        memcpy(at, p, (size_t)n);
        return at + n;
}

void registry_command_encode(const struct registry_command *c, uint8_t *value)
{
        uint8_t *at = value;
        *at++ = REGISTRY_BODY_VERSION;
        if (c->type == COMMAND_CREATE || c->type == COMMAND_PARTITIONS) {
                assert(c->partitions > 0);
                store_be32(at, (uint32_t)c->partitions);
                at += 4;
        }
        if (c->type == COMMAND_CREATE) {
                assert(c->name.n > 0 && c->name.n <= INT16_MAX);
                store_be16(at, (uint16_t)c->name.n);
                at = put_bytes(at + 2, c->name.p, c->name.n);
                store_be16(at, (uint16_t)c->n_settings);
                at += 2;
                for (int32_t i = 0; i < c->n_settings; i++) {
                        const struct config_entry *x = &c->entries[i];
                        store_be16(at, (uint16_t)x->name.n);
                        at = put_bytes(at + 2, x->name.p, x->name.n);
                        store_be32(at, (uint32_t)x->value.n);
                        at = put_bytes(at + 4, x->value.p, x->value.n);
                }
        }
        assert((size_t)(at - value) == registry_command_size(c));
}

/* Reading: a run of bytes that gets shorter; `bad` sticks. */
struct reader {
        struct bytes left;
        bool bad;
};

static const uint8_t *take(struct reader *r, int64_t n)
{
        static const uint8_t nothing[4];
        if (r->bad || n < 0 || n > r->left.n) {
                r->bad = true;
                return nothing;
        }
        const uint8_t *p = r->left.p;
        r->left.p += n;
        r->left.n -= (int32_t)n;
        return p;
}

static struct str take_text(struct reader *r, int64_t n)
{
        const uint8_t *p = take(r, n);
        return r->bad ? STR("") : (struct str){ (const char *)p, (int32_t)n };
}

static struct config_entry take_setting(struct reader *r)
{
        struct config_entry x;
        x.name = take_text(r, load_be16(take(r, 2)));
        x.value = take_text(r, (int64_t)load_be32(take(r, 4)));
        return x;
}

struct config_entry registry_setting(struct bytes *settings)
{
        struct reader r = { *settings, false };
        struct config_entry x = take_setting(&r);
        assert(!r.bad); /* checked by registry_command_decode() */
        *settings = r.left;
        return x;
}

static void decode_create(struct registry_command *c, struct reader *r)
{
        c->name = take_text(r, load_be16(take(r, 2)));
        c->n_settings = load_be16(take(r, 2));
        if (c->n_settings > REGISTRY_SETTINGS_MAX || c->name.n == 0) r->bad = true;
        c->settings = r->left;
        for (int32_t i = 0; i < c->n_settings && !r->bad; i++) take_setting(r);
}

int registry_command_decode(
    struct bytes key, struct bytes value, struct registry_command *ret, struct err *e)
{
        struct registry_command c = { 0 };
        if (key.n != REGISTRY_KEY_SIZE || value.n < 1)
                return err_set(e, ST_CORRUPT, "registry command: wrong key or empty value");
        memcpy(c.id.b, key.p + 1, 16);
        if (key.p[0] < COMMAND_CREATE || key.p[0] > COMMAND_GONE)
                return err_set(e, ST_TOO_NEW, "registry command: type %u is unknown", key.p[0]);
        c.type = (enum registry_command_type)key.p[0];
        if (value.p[0] != REGISTRY_BODY_VERSION)
                return err_set(e, ST_TOO_NEW, "registry command: version %u of type %u is unknown",
                    value.p[0], key.p[0]);
        struct reader r = { { value.p + 1, value.n - 1 }, false };
        if (c.type == COMMAND_CREATE || c.type == COMMAND_PARTITIONS) {
                c.partitions = (int32_t)load_be32(take(&r, 4));
                if (c.partitions <= 0) r.bad = true;
        }
        if (c.type == COMMAND_CREATE) decode_create(&c, &r);
        if (r.bad || r.left.n != 0)
                return err_set(
                    e, ST_CORRUPT, "registry command: type %u has a malformed body", key.p[0]);
        *ret = c;
        return 0;
}
