/* The files of deleted topics.
 *
 * All goes well: the tombstone is durable and no shard has the topic in its view any more -> every
 * shard deletes its partitions of the topic, a few at a time -> the last shard is through -> GONE
 * is logged -> the tombstone is gone. It can fail at: deleting files, the log.  Then the tombstone
 * stays, and the next start tries again. On a stop nothing new begins; what is under way ends, and
 * the next start does the rest. */
#include "server/registry_impl.h"

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"

#include <stdlib.h>

enum { REMOVAL_MAGIC = 0x7672656d, INDEXES_PER_TURN = 4096 };

struct removal;

/* One shard's part; its thread's while it is there. */
struct removal_part {
        struct message message;
        struct removal *removal;
        struct shard *shard;
        int32_t next; /* partitions below were begun, or are another shard's */
        unsigned out; /* deletes under way */
        int status;   /* the first failure */
        bool posted;  /* the message is under way */
        struct log_config config;
};

struct removal {
        uint32_t magic;
        struct registry *registry;
        struct list link;
        struct uuid id;
        int32_t partitions;
        unsigned parts_out; /* shard 0's */
        int status;         /* shard 0's */
        struct state_command gone;
        uint8_t gone_key[REGISTRY_KEY_SIZE], gone_body[1];
        unsigned n_parts;
        struct removal_part parts[];
};

static void part_run(struct message *m);         /* 1  on each shard                    */
static void part_on_gone(void *arg, int status); /* 2  a partition's files are gone */
static void part_back(struct message *m);        /* 3  on shard 0: the shard is through */
static void removal_logged(struct state_command *c, int status); /* 4  and so is the topic */

static bool stopping(const struct removal *x)
{
        return atomic_load_explicit(&x->registry->server->stopping, memory_order_relaxed) != 0;
}

static void removal_end(struct removal *x)
{
        struct registry *r = x->registry;
        if (x->status < 0)
                log_event(LOG_WARN, "deleted topic still has files",
                    LOG_STR("topic_id", uuid_show(x->id).text),
                    LOG_STR("cause", status_text(x->status)), LOG_END);
        list_remove(&x->link);
        r->n_removals--;
        x->magic = 0;
        free(x);
        registry_remove_more(r);
}

static struct removal *removal_new(struct registry *r, const struct registry_entry *entry)
{
        struct topic_config *defaults;
        unsigned n = r->server->n_shards;
        if (topic_config_new(r->server->config, NULL, 0, &defaults, NULL) < 0) return NULL;
        struct removal *x = calloc(1, sizeof(*x) + n * sizeof(x->parts[0]));
        if (x) {
                x->magic = REMOVAL_MAGIC;
                x->registry = r;
                x->id = entry->id;
                x->partitions = entry->partitions;
                x->n_parts = x->parts_out = n;
                for (unsigned i = 0; i < n; i++) {
                        x->parts[i].removal = x;
                        x->parts[i].shard = &r->server->shards[i];
                        x->parts[i].config = defaults->log;
                        x->parts[i].message.run = part_run;
                        x->parts[i].posted = true;
                }
        }
        topic_config_free(defaults);
        return x;
}

void registry_remove_more(struct registry *r)
{
        if (r->swaps_out > 0) return; /* a shard may still see the topic; called again then */
        struct list *l = r->fold.tombstones.next, *next;
        for (; l != &r->fold.tombstones && r->n_removals < REMOVALS_MAX; l = next) {
                struct registry_entry *entry = CONTAINER_OF(l, struct registry_entry, tombstone);
                next = l->next;
                if (!list_empty(&entry->changed)) continue; /* not in a view yet */
                struct removal *x = removal_new(r, entry);
                if (!x) return;
                list_remove(&entry->tombstone);
                list_push_back(&r->removals, &x->link);
                r->n_removals++;
                for (unsigned i = 0; i < x->n_parts; i++)
                        shard_post(r->home, x->parts[i].shard, &x->parts[i].message);
        }
}

/* --- on each shard --- */

static void part_post(struct removal_part *p, struct shard *to, void (*run)(struct message *m))
{
        assert(!p->posted);
        p->posted = true;
        p->message.run = run;
        shard_post(p->shard, to, &p->message);
}

static void part_begin_one(struct removal_part *p, int32_t index)
{
        struct log_shard *log = p->shard->own.log;
        struct uuid id = p->removal->id;
        struct partition *x = partition_find(log, id, index);
        /* What is only on disk is made known first. */
        if (!x) x = partition_new(log, id, index, &p->config);
        if (!x) {
                p->status = ST_NOMEM;
                return;
        }
        p->out++;
        partition_delete(x, part_on_gone, p);
}

static void part_run(struct message *m)
{
        struct removal_part *p = CONTAINER_OF(m, struct removal_part, message);
        CHECK_OBJ(p->removal, REMOVAL_MAGIC);
        p->posted = false;
        struct removal *x = p->removal;
        if (stopping(x) && p->status == 0 && p->next < x->partitions) p->status = ST_CANCELED;
        int32_t stop = p->next + MIN(INDEXES_PER_TURN, x->partitions - p->next);
        while (p->status == 0 && p->next < stop && p->out < REMOVE_PARALLEL) {
                int32_t index = p->next++;
                if (shard_of(x->registry->server, x->id, index) == p->shard)
                        part_begin_one(p, index);
        }
        bool through = p->next == x->partitions || p->status < 0;
        if (through && p->out == 0)
                part_post(p, x->registry->home, part_back);
        else if (!through && p->out < REMOVE_PARALLEL)
                part_post(p, p->shard, part_run);
}

static void part_on_gone(void *arg, int status)
{
        struct removal_part *p = arg;
        CHECK_OBJ(p->removal, REMOVAL_MAGIC);
        assert(p->out > 0);
        p->out--;
        if (status < 0 && status != ST_NOT_FOUND && p->status == 0) p->status = status;
        if (!p->posted) part_post(p, p->shard, part_run);
}

/* --- on shard 0 --- */

static void part_back(struct message *m)
{
        struct removal_part *p = CONTAINER_OF(m, struct removal_part, message);
        struct removal *x = p->removal;
        CHECK_OBJ(x, REMOVAL_MAGIC);
        if (p->status < 0 && x->status == 0) x->status = p->status;
        if (--x->parts_out > 0) return;
        if (x->status < 0) {
                removal_end(x);
                return;
        }
        struct registry_command c = { .type = COMMAND_GONE, .id = x->id };
        assert(registry_command_size(&c) == sizeof(x->gone_body));
        registry_command_key(&c, x->gone_key);
        registry_command_encode(&c, x->gone_body);
        x->gone.key = (struct bytes){ x->gone_key, REGISTRY_KEY_SIZE };
        x->gone.value = (struct bytes){ x->gone_body, sizeof(x->gone_body) };
        x->gone.on_applied = removal_logged;
        list_init(&x->gone.link);
        state_log_append(x->registry->log, &x->gone);
}

static void removal_logged(struct state_command *c, int status)
{
        struct removal *x = CONTAINER_OF(c, struct removal, gone);
        CHECK_OBJ(x, REMOVAL_MAGIC);
        x->status = status < 0 ? status : 0;
        removal_end(x);
}

void registry_remove_free(struct registry *r)
{
        for (struct list *l; (l = list_pop_front(&r->removals)) != NULL;)
                free(CONTAINER_OF(l, struct removal, link));
        r->n_removals = 0;
}
