/* Marks of rare branches: counters that a test can ask for by name. */
#include "base/log.h"

#include "base/check.h"

#include <stdatomic.h>

enum { MARKS_MAX = 512 };

/* A mark takes a slot with its first hit.  The name is stored last: a slot without one is not
 * ready. */
static struct mark {
        _Atomic(_Atomic uint64_t *) hits;
        _Atomic(const char *) name;
} marks[MARKS_MAX];
static _Atomic uint32_t n_marks;

void log_mark_(_Atomic uint64_t *hits, const char *name)
{
        if (atomic_fetch_add_explicit(hits, 1, memory_order_relaxed) != 0) return;
        uint32_t at = atomic_fetch_add_explicit(&n_marks, 1, memory_order_relaxed);
        assert(at < MARKS_MAX);
        atomic_store_explicit(&marks[at].hits, hits, memory_order_relaxed);
        atomic_store_explicit(&marks[at].name, name, memory_order_release);
}

uint64_t log_mark_hits(const char *name)
{
        uint64_t sum = 0;
        for (unsigned i = 0; i < MARKS_MAX; i++) {
                const char *have = atomic_load_explicit(&marks[i].name, memory_order_acquire);
                if (!have || strcmp(have, name) != 0) continue;
                _Atomic uint64_t *hits = atomic_load_explicit(&marks[i].hits, memory_order_relaxed);
                sum += atomic_load_explicit(hits, memory_order_relaxed);
        }
        return sum;
}
