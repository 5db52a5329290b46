/* A share of memory.limit.bytes.  See budget.h. */
#include "base/budget.h"

#include "base/check.h"

void budget_give(struct budget *b, size_t n)
{
        assert(n <= b->used);
        b->used -= n;
}
