/* Making views (registry.h has how they are used). */
#pragma once

#include "server/registry.h"

/* A topic inside views; shared by all views between two changes of it. */
struct topic_node {
        struct topic topic;
        _Atomic uint32_t refs;
        uint64_t name_hash, id_hash;
        struct topic_config *config;
        char name[];
};

/* Copies name, takes config over (also on failure it is freed).  One reference.  NULL: out of
 * memory. */
struct topic_node *topic_node_new(
    struct uuid id, struct str name, int32_t partitions, struct topic_config *config);
void topic_node_unref(struct topic_node *n);

struct view_change {
        struct str name;
        struct topic_node *node; /* NULL: no longer there */
};
/* prev (NULL: nothing) with the changes applied, in any order; sorts them.  Of two with one name
 * the one that has a node stands.  The view takes its own references.  NULL: out of memory. */
struct registry_view *registry_view_next(
    const struct registry_view *prev, struct view_change *changes, uint32_t n);
