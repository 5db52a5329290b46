/* See asked.h.  The table of pairs is open addressing; its hash is seeded by where the table lies,
 * so that nobody can aim at it. */
#include "server/asked.h"

#include "base/check.h"
#include "protocol/errors.h"

#include <xxhash.h>

bool asked_init(struct asked *a, struct request *r, bool by_id, int32_t n, size_t n_pairs)
{
        *a = (struct asked){ .r = r, .by_id = by_id };
        size_t slots = 8;
        n = MAX(n, 0);
        while (slots < 2 * n_pairs) slots *= 2;
        if (slots > UINT32_MAX || !name_set_init(&a->names, &r->arena, n)) return false;
        a->pair_mask = (uint32_t)(slots - 1);
        a->pairs = arena_array(&r->arena, slots, sizeof(*a->pairs));
        a->topics = arena_array(&r->arena, (size_t)n + 1, sizeof(*a->topics));
        return a->pairs && a->topics;
}

/* False: out of memory. */
static bool resolve(struct asked *a, struct asked_topic *t, struct str name, struct uuid id)
{
        const struct registry_view *v = a->r->view;
        t->topic = a->by_id ? registry_find_id(v, id) : registry_find(v, name);
        if (t->topic) {
                t->name = t->topic->name;
                t->id = t->topic->id;
                return true;
        }
        t->error = a->by_id ? WIRE_UNKNOWN_TOPIC_ID : WIRE_UNKNOWN_TOPIC_OR_PARTITION;
        t->id = a->by_id ? id : t->id;
        t->name = STR("");
        if (a->by_id || name.n <= 0) return true;
        char *copy = arena_alloc(&a->r->arena, (size_t)name.n);
        if (!copy) return false;
        memcpy(copy, name.p, (size_t)name.n);
        t->name = (struct str){ copy, name.n };
        return true;
}

int32_t asked_topic_add(struct asked *a, struct str name, struct uuid id)
{
        struct asked_topic *t = &a->topics[a->n_topics];
        *t = (struct asked_topic){ .first = -1, .last = -1 };
        if (!resolve(a, t, name, id)) return -1;
        struct str key = t->name;
        if (a->by_id) key = (struct str){ (const char *)t->id.b, sizeof(t->id.b) };
        int32_t place = name_set_add(&a->names, key, a->n_topics);
        return place >= 0 ? place : a->n_topics++;
}

int32_t asked_pair_add(struct asked *a, int32_t topic, int32_t partition, int32_t place)
{
        assert(place >= 0 && place < INT32_MAX);
        const uint64_t key = (uint64_t)(uint32_t)topic << 32 | (uint32_t)partition;
        uint64_t h = XXH3_64bits_withSeed(&key, sizeof(key), (uintptr_t)a->pairs);
        for (uint32_t i = (uint32_t)h & a->pair_mask;; i = (i + 1) & a->pair_mask) {
                struct asked_pair *s = &a->pairs[i];
                if (s->place == 0) {
                        *s = (struct asked_pair){ key, place + 1 };
                        return -1;
                }
                if (s->key == key) return s->place - 1;
        }
}

int16_t asked_error(const struct asked_topic *t, int32_t partition)
{
        if (!t->topic) return t->error;
        bool there = partition >= 0 && partition < t->topic->partitions;
        return there ? WIRE_NONE : WIRE_UNKNOWN_TOPIC_OR_PARTITION;
}
