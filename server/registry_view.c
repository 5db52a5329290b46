/* Immutable views: topics sorted by name, with two flat hash tables of 32-bit slots.  (uthash links
 * handles inside the elements, so an element can be in one table only; here every view has its own
 * tables over shared elements.) */
#include "server/registry_view.h"

#include "base/check.h"

#include <stdlib.h>
#include <xxhash.h>

struct topic_index {
        uint32_t mask;
        uint32_t *names, *ids; /* place in by_name + 1; 0: empty */
        uint32_t slots[];
};

static struct topic_node *node_of(const struct topic *t)
{
        return CONTAINER_OF(t, struct topic_node, topic);
}

static uint64_t hash_of(const void *p, size_t n)
{
        return XXH3_64bits(p, n);
}

struct topic_node *topic_node_new(
    struct uuid id, struct str name, int32_t partitions, struct topic_config *config)
{
        assert(name.n > 0 && partitions > 0);
        struct topic_node *n = malloc(sizeof(*n) + (size_t)name.n);
        if (!n) {
                topic_config_free(config);
                return NULL;
        }
        memcpy(n->name, name.p, (size_t)name.n);
        n->refs = 1;
        n->name_hash = hash_of(name.p, (size_t)name.n);
        n->id_hash = hash_of(&id, sizeof(id));
        n->config = config;
        n->topic = (struct topic){ id, { n->name, name.n }, partitions, config };
        return n;
}

static void topic_node_ref(struct topic_node *n)
{
        atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
}

void topic_node_unref(struct topic_node *n)
{
        uint32_t had = atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel);
        assert(had > 0);
        if (had > 1) return;
        topic_config_free(n->config);
        free(n);
}

struct registry_view *registry_view_ref(struct registry_view *v)
{
        uint32_t had = atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
        assert(had > 0);
        return v;
}

void registry_view_unref(struct registry_view *v)
{
        uint32_t had = atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel);
        assert(had > 0);
        if (had > 1) return;
        for (uint32_t i = 0; i < v->count; i++) topic_node_unref(node_of(v->by_name[i]));
        free(v->index);
        free(v);
}

static int str_compare(struct str a, struct str b)
{
        int r = memcmp(a.p, b.p, (size_t)MIN(a.n, b.n));
        return r ? r : (a.n > b.n) - (a.n < b.n);
}

static int change_compare(const void *pa, const void *pb)
{
        const struct view_change *a = pa, *b = pb;
        int r = str_compare(a->name, b->name);
        return r ? r : (a->node != NULL) - (b->node != NULL);
}

static void insert(uint32_t *slots, uint32_t mask, uint64_t hash, uint32_t place)
{
        uint32_t at = (uint32_t)hash & mask;
        while (slots[at]) at = (at + 1) & mask; /* ends: at most half of the slots are taken */
        slots[at] = place + 1;
}

static struct topic_index *index_new(const struct topic *const *by_name, uint32_t count)
{
        uint32_t slots = 8;
        while (slots < 2 * count) slots *= 2;
        struct topic_index *x = calloc(1, sizeof(*x) + 2 * (size_t)slots * sizeof(uint32_t));
        if (!x) return NULL;
        x->mask = slots - 1;
        x->names = x->slots;
        x->ids = x->slots + slots;
        for (uint32_t i = 0; i < count; i++) {
                insert(x->names, x->mask, node_of(by_name[i])->name_hash, i);
                insert(x->ids, x->mask, node_of(by_name[i])->id_hash, i);
        }
        return x;
}

/* Merges two sorted runs; returns how many are in out. */
static uint32_t merge(const struct registry_view *prev, const struct view_change *changes,
    uint32_t n, const struct topic **out)
{
        uint32_t at = 0, count = 0, old_count = prev ? prev->count : 0;
        for (uint32_t i = 0; i < n; i++) {
                if (i + 1 < n && str_eq(changes[i].name, changes[i + 1].name)) continue;
                int order = -1;
                while (at < old_count &&
                       (order = str_compare(prev->by_name[at]->name, changes[i].name)) < 0)
                        out[count++] = prev->by_name[at++];
                if (at < old_count && order == 0) at++; /* replaced, or gone */
                if (changes[i].node) out[count++] = &changes[i].node->topic;
        }
        while (at < old_count) out[count++] = prev->by_name[at++];
        return count;
}

struct registry_view *registry_view_next(
    const struct registry_view *prev, struct view_change *changes, uint32_t n)
{
        size_t room = (prev ? prev->count : 0) + (size_t)n;
        struct registry_view *v = malloc(sizeof(*v) + room * sizeof(struct topic *));
        if (!v) return NULL;
        const struct topic **by_name = (const struct topic **)(v + 1);
        if (n > 0) qsort(changes, n, sizeof(changes[0]), change_compare);
        uint32_t count = merge(prev, changes, n, by_name);
        assert(count <= room);
        struct topic_index *index = index_new(by_name, count);
        if (!index) {
                free(v);
                return NULL;
        }
        for (uint32_t i = 0; i < count; i++) topic_node_ref(node_of(by_name[i]));
        v->refs = 1;
        v->version = prev ? prev->version + 1 : 1;
        v->count = count;
        v->by_name = by_name;
        v->index = index;
        return v;
}

const struct topic *registry_find(const struct registry_view *v, struct str name)
{
        if (name.n <= 0) return NULL;
        const struct topic_index *x = v->index;
        uint64_t hash = hash_of(name.p, (size_t)name.n);
        for (uint32_t at = (uint32_t)hash & x->mask; x->names[at]; at = (at + 1) & x->mask) {
                const struct topic *t = v->by_name[x->names[at] - 1];
                if (node_of(t)->name_hash == hash && str_eq(t->name, name)) return t;
        }
        return NULL;
}

const struct topic *registry_find_id(const struct registry_view *v, struct uuid id)
{
        const struct topic_index *x = v->index;
        uint64_t hash = hash_of(&id, sizeof(id));
        for (uint32_t at = (uint32_t)hash & x->mask; x->ids[at]; at = (at + 1) & x->mask) {
                const struct topic *t = v->by_name[x->ids[at] - 1];
                if (uuid_eq(t->id, id)) return t;
        }
        return NULL;
}
