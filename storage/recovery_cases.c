/* See recovery_cases.h; docs/storage.md explains each row. */
#include "storage/recovery_cases.h"

#include "base/check.h"

#define ALL_BUT(later) ((RECOVERY_FACTS - 1) & ~(uint32_t)(later))

const struct recovery_case recovery_cases[] = {
        { "unreadable", RECOVERY_UNREADABLE, RECOVERY_UNREADABLE, RECOVERY_REFUSE },
        { "shorter than its settled mark", RECOVERY_UNREADABLE | RECOVERY_SHORT, RECOVERY_SHORT,
            RECOVERY_REFUSE },
        { "clean end", ALL_BUT(RECOVERY_ZERO | RECOVERY_BEYOND), RECOVERY_END, RECOVERY_KEEP },
        { "damage before durable batches", ALL_BUT(RECOVERY_ZERO), RECOVERY_BEYOND,
            RECOVERY_REFUSE },
        { "room behind the end", ALL_BUT(0), RECOVERY_ZERO, RECOVERY_ROOM },
        { "torn tail", ALL_BUT(0), 0, RECOVERY_CUT },
};
const size_t recovery_cases_count = COUNT_OF(recovery_cases);

const struct recovery_case *recovery_decide(uint32_t facts)
{
        assert(facts < RECOVERY_FACTS);
        const struct recovery_case *row = NULL;
        for (size_t i = 0; i < recovery_cases_count && !row; i++) {
                const struct recovery_case *c = &recovery_cases[i];
                if ((facts & c->care) == c->want) row = c;
        }
        assert(row);
        return row;
}
