/* Intrusive doubly linked list: a head and the nodes that live inside their owners. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct list {
        struct list *prev, *next;
};

static inline void list_init(struct list *l)
{
        l->prev = l->next = l;
}
static inline bool list_empty(const struct list *l)
{
        return l->next == l;
}
static inline void list_push_back(struct list *l, struct list *n)
{
        n->prev = l->prev;
        n->next = l;
        l->prev->next = n;
        l->prev = n;
}
static inline void list_push_front(struct list *l, struct list *n)
{
        list_push_back(l->next, n);
}
/* Leaves n as an empty list, so removing twice is harmless. */
static inline void list_remove(struct list *n)
{
        n->prev->next = n->next;
        n->next->prev = n->prev;
        list_init(n);
}
static inline struct list *list_first(const struct list *l)
{
        return list_empty(l) ? NULL : l->next;
}
static inline struct list *list_pop_front(struct list *l)
{
        struct list *n = list_first(l);
        if (n) list_remove(n);
        return n;
}
