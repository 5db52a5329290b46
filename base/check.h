/* Assertions (they stay on in release builds), and the few macros that every room uses. */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#ifdef NDEBUG
#error "assertions stay on in release builds (a crash is cheaper than a wrong ack)"
#endif

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Every long-lived struct starts with `uint32_t magic`; stale use then traps at once. */
#define CHECK_OBJ(obj, MAGIC)                    \
        do {                                     \
                assert((obj) != NULL);           \
                assert((obj)->magic == (MAGIC)); \
        } while (0)

/* Release on every path out of the scope; TAKE() hands ownership over by one visible word. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define TAKE(var)                               \
        __extension__({                         \
                __typeof__(var) taken_ = (var); \
                (var) = NULL;                   \
                taken_;                         \
        })

#define PRINTF_LIKE(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
