/* A change of the topics, on shard 0.
 *
 * All goes well: submit -> arrives at shard 0 -> waits for its name to be free -> is checked
 * against the fold -> its command is logged -> durable and applied -> a view with it reaches all
 * shards -> it goes home with the result. It can fail at: the check (nothing happened), the log
 * (fenced, no space, closing: nothing happened). Either way it goes home exactly once, and the next
 * change of its name begins. */
#include "server/registry_impl.h"

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "protocol/errors.h"
#include "server/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* What a change needs while it is logged; ends with the change. */
struct change_state {
        struct state_command command;
        struct registry_change *change;
        struct registry *registry;
        struct change_key *key;
        int64_t reserved;
        uint8_t command_key[REGISTRY_KEY_SIZE];
        uint8_t body[];
};

static void key_run(struct registry *r, struct change_key *key);
static void change_logged(struct state_command *command, int status);

void registry_refuse(struct registry_change *c, int16_t error, const char *fmt, ...)
{
        va_list ap;
        c->error = error;
        va_start(ap, fmt);
        vsnprintf(c->text, sizeof(c->text), fmt, ap);
        va_end(ap);
}

void registry_submit(struct shard *from, struct registry_change *c)
{
        CHECK_OBJ(from, SHARD_MAGIC);
        c->from = from;
        c->error = 0;
        c->text[0] = '\0';
        c->new_id = (struct uuid){ { 0 } };
        c->view = NULL;
        c->state = NULL;
        list_init(&c->link);
        c->message.run = registry_change_arrived;
        shard_post(from, &from->server->shards[0], &c->message);
}

/* --- going home --- */

static void change_home(struct message *m)
{
        struct registry_change *c = CONTAINER_OF(m, struct registry_change, message);
        struct registry_view *view = c->view; /* c may be gone after on_done */
        c->on_done(c);
        registry_view_unref(view);
}

static void change_send_home(struct registry *r, struct registry_change *c)
{
        c->view = registry_view_ref(r->view);
        c->message.run = change_home;
        shard_post(r->home, c->from, &c->message);
}

void registry_change_end(struct registry *r, struct registry_change *c)
{
        CHECK_OBJ(r, REGISTRY_MAGIC);
        struct change_state *s = c->state;
        struct change_key *key = s->key;
        assert(s->change == c && s->reserved == 0);
        c->state = NULL;
        free(s);
        change_send_home(r, c);
        key_run(r, key);
}

/* --- arriving --- */

/* The name that the change is about; null: refused. */
static struct str change_name(struct registry *r, struct registry_change *c)
{
        if (c->kind == TOPIC_DELETE && !uuid_is_zero(c->id)) {
                struct registry_entry *x = registry_fold_id(&r->fold, c->id);
                if (x && !x->deleted) return x->name;
                registry_refuse(c, WIRE_UNKNOWN_TOPIC_ID, "there is no topic with id %s",
                    uuid_show(c->id).text);
                return STR_NULL;
        }
        const char *why = topic_name_invalid(c->name);
        if (!why) return c->name;
        if (c->kind == TOPIC_CREATE)
                registry_refuse(c, WIRE_INVALID_TOPIC_EXCEPTION, "%s", why);
        else
                registry_refuse(c, WIRE_UNKNOWN_TOPIC_OR_PARTITION, "%s", why);
        return STR_NULL;
}

void registry_change_arrived(struct message *m)
{
        struct registry_change *c = CONTAINER_OF(m, struct registry_change, message);
        struct registry *r = c->from->server->registry;
        CHECK_OBJ(r, REGISTRY_MAGIC);
        struct str name = change_name(r, c);
        if (str_is_null(name)) {
                change_send_home(r, c);
                return;
        }
        struct name_key k;
        struct change_key *key;
        name_key_make(&k, name);
        HASH_FIND(hh, r->busy, k.text, (unsigned)k.n, key);
        if (key) {
                list_push_back(&key->waiting, &c->link);
                return;
        }
        key = calloc(1, sizeof(*key));
        if (!key) {
                registry_refuse(c, WIRE_UNKNOWN_SERVER_ERROR, "out of memory");
                change_send_home(r, c);
                return;
        }
        key->name = k;
        list_init(&key->waiting);
        list_push_back(&key->waiting, &c->link);
        HASH_ADD_KEYPTR(hh, r->busy, key->name.text, (unsigned)key->name.n, key);
        key_run(r, key);
}

/* --- checking --- */

/* Random, version 4, and not one that a command line would take for an option. */
static struct uuid new_id(struct registry *r)
{
        for (;;) {
                struct uuid id;
                io_random(r->home->own.io, id.b, sizeof(id.b));
                id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x40);
                id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
                if (uuid_show(id).text[0] != '-' && !registry_fold_id(&r->fold, id)) return id;
        }
}

static bool room_for(struct registry *r, struct registry_change *c, int64_t more)
{
        int64_t limit = r->server->config->max_partitions, have = r->fold.partitions + r->reserved;
        if (more <= limit - have) return true;
        registry_refuse(c, WIRE_POLICY_VIOLATION,
            "%lld more partitions would pass varve.max.partitions=%lld (there are %lld)",
            (long long)more, (long long)limit, (long long)have);
        return false;
}

/* What a checked change will do. */
struct change_plan {
        struct registry_command command;
        struct topic_config *config; /* owned; the command borrows its entries */
        int64_t partitions;          /* more than now */
};

static void check_create(struct registry *r, struct registry_change *c, struct change_plan *p)
{
        struct err e;
        struct name_key k;
        name_key_make(&k, c->name);
        struct registry_entry *x = registry_fold_key(&r->fold, &k);
        if (x && str_eq(x->name, c->name)) {
                registry_refuse(c, WIRE_TOPIC_ALREADY_EXISTS, "topic %.*s exists already",
                    c->name.n, c->name.p);
                return;
        }
        if (x || topic_name_internal(c->name)) {
                registry_refuse(c, WIRE_INVALID_TOPIC_EXCEPTION,
                    x ? "the topic name collides with topic %.*s ('.' and '_' count as the same)"
                      : "the topic name %.*s is the server's own",
                    x ? x->name.n : c->name.n, x ? x->name.p : c->name.p);
                return;
        }
        if (c->partitions <= 0) {
                registry_refuse(c, WIRE_INVALID_PARTITIONS,
                    "number of partitions is %d, must be at least 1", c->partitions);
                return;
        }
        if (topic_config_new(r->server->config, c->configs, c->n_configs, &p->config, &e) < 0) {
                registry_refuse(c,
                    e.code == ST_NOMEM ? WIRE_UNKNOWN_SERVER_ERROR : WIRE_INVALID_CONFIG, "%s",
                    e.text);
                return;
        }
        if (!room_for(r, c, c->partitions)) return;
        c->new_id = new_id(r);
        p->partitions = c->partitions;
        p->command = (struct registry_command){ .type = COMMAND_CREATE,
                .id = c->new_id,
                .partitions = c->partitions,
                .name = c->name,
                .n_settings = p->config->n_set,
                .entries = p->config->set };
}

/* Of DELETE and ADD: the topic as it is now. */
static struct registry_entry *check_exists(
    struct registry *r, struct registry_change *c, const struct change_key *key)
{
        struct registry_entry *x = registry_fold_key(&r->fold, &key->name);
        bool by_id = c->kind == TOPIC_DELETE && !uuid_is_zero(c->id);
        if (x && (by_id ? uuid_eq(x->id, c->id) : str_eq(x->name, c->name))) return x;
        if (by_id)
                registry_refuse(c, WIRE_UNKNOWN_TOPIC_ID, "there is no topic with id %s",
                    uuid_show(c->id).text);
        else
                registry_refuse(c, WIRE_UNKNOWN_TOPIC_OR_PARTITION, "there is no topic %.*s",
                    c->name.n, c->name.p);
        return NULL;
}

static void check_add(struct registry *r, struct registry_change *c, const struct registry_entry *x,
    struct change_plan *p)
{
        if (c->partitions <= x->partitions) {
                registry_refuse(c, WIRE_INVALID_PARTITIONS,
                    "topic %.*s has %d partitions, %d is not more", x->name.n, x->name.p,
                    x->partitions, c->partitions);
                return;
        }
        p->partitions = c->partitions - x->partitions;
        if (!room_for(r, c, p->partitions)) return;
        p->command = (struct registry_command){
                .type = COMMAND_PARTITIONS, .id = x->id, .partitions = c->partitions
        };
}

/* --- logging --- */

static struct change_state *state_new(
    struct registry *r, struct registry_change *c, const struct change_plan *p)
{
        size_t size = registry_command_size(&p->command);
        struct change_state *s = calloc(1, sizeof(*s) + size);
        if (!s) return NULL;
        s->change = c;
        s->registry = r;
        s->reserved = p->partitions;
        registry_command_key(&p->command, s->command_key);
        registry_command_encode(&p->command, s->body);
        s->command.key = (struct bytes){ s->command_key, REGISTRY_KEY_SIZE };
        s->command.value = (struct bytes){ s->body, (int32_t)size };
        s->command.on_applied = change_logged;
        list_init(&s->command.link);
        return s;
}

/* True: it is being logged.  False: its result is final already. */
static bool change_begin(struct registry *r, struct registry_change *c, struct change_key *key)
{
        struct change_plan plan = { 0 };
        struct change_state *s = NULL;
        if (c->kind == TOPIC_CREATE) {
                check_create(r, c, &plan);
        } else {
                struct registry_entry *x = check_exists(r, c, key);
                if (x && c->kind == TOPIC_ADD_PARTITIONS) check_add(r, c, x, &plan);
                if (x && c->kind == TOPIC_DELETE)
                        plan.command =
                            (struct registry_command){ .type = COMMAND_DELETE, .id = x->id };
        }
        if (c->error == 0 && !c->validate_only) {
                s = state_new(r, c, &plan);
                if (!s) registry_refuse(c, WIRE_UNKNOWN_SERVER_ERROR, "out of memory");
        }
        topic_config_free(plan.config);
        if (!s) return false;
        c->state = s;
        s->key = key;
        r->reserved += s->reserved;
        state_log_append(r->log, &s->command);
        return true;
}

/* The name is free: the next change that waits for it; none: the key goes. */
static void key_run(struct registry *r, struct change_key *key)
{
        for (struct list *next; (next = list_pop_front(&key->waiting)) != NULL;) {
                struct registry_change *c = CONTAINER_OF(next, struct registry_change, link);
                if (change_begin(r, c, key)) return;
                change_send_home(r, c);
        }
        HASH_DEL(r->busy, key);
        free(key);
}

static int16_t wire_of(int status)
{
        return status == ST_NOMEM ? WIRE_UNKNOWN_SERVER_ERROR : WIRE_KAFKA_STORAGE_ERROR;
}

/* Durable and in the fold, or refused. */
static void change_logged(struct state_command *command, int status)
{
        struct change_state *s = CONTAINER_OF(command, struct change_state, command);
        struct registry *r = s->registry;
        struct registry_change *c = s->change;
        CHECK_OBJ(r, REGISTRY_MAGIC);
        r->reserved -= s->reserved; /* counted by the fold from here on */
        s->reserved = 0;
        if (status < 0) {
                static struct log_limit limit = { .burst = 5 };
                log_limited(&limit, LOG_ERROR, "topic change not stored",
                    LOG_STR("cause", status_text(status)), LOG_END);
                registry_refuse(c, wire_of(status), "not stored: %s", status_text(status));
                registry_change_end(r, c);
                return;
        }
        list_push_back(&r->applied, &c->link);
        registry_publish_soon(r);
}
