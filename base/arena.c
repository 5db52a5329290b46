/* Bump allocation in growing chunks.  See arena.h. */
#include "base/arena.h"

#include "base/check.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum { ALIGN = 16, CHUNK_MIN = 4096, CHUNK_MAX = 64 << 10 };

struct arena_chunk {
        alignas(ALIGN) struct arena_chunk *next;
        size_t size; /* of bytes */
        alignas(ALIGN) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t limit)
{
        *a = (struct arena){ .limit = limit };
}

/* Grows with what was used so far, and shrinks to what is needed at the limit. */
static bool arena_grow(struct arena *a, size_t size)
{
        const size_t head = sizeof(struct arena_chunk);
        size_t left = a->limit - a->used;
        if (left < head || size > left - head) return false;
        size_t wish = MIN(MAX(a->used, (size_t)CHUNK_MIN), (size_t)CHUNK_MAX) - head;
        size_t room = MIN(MAX(size, wish), left - head) & ~(size_t)(ALIGN - 1);
        assert(room >= size);
        struct arena_chunk *c = malloc(head + room);
        if (!c) return false;
        c->size = room;
        c->next = a->chunks;
        a->chunks = c;
        a->room = room;
        a->used += head + room;
        return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
        if (size > SIZE_MAX / 2) return NULL;
        size = MAX((size + ALIGN - 1) & ~(size_t)(ALIGN - 1), (size_t)ALIGN);
        if (size > a->room && !arena_grow(a, size)) return NULL;
        struct arena_chunk *c = a->chunks;
        void *p = c->bytes + (c->size - a->room);
        a->room -= size;
        return memset(p, 0, size);
}

void *arena_array(struct arena *a, size_t n, size_t size)
{
        size_t total;
        if (__builtin_mul_overflow(n, size, &total)) return NULL;
        return arena_alloc(a, total);
}

void arena_reset(struct arena *a)
{
        while (a->chunks) {
                struct arena_chunk *c = a->chunks;
                a->chunks = c->next;
                free(c);
        }
        a->room = a->used = 0;
}
