/* What to do with the newest segment of a partition after a start: facts -> decision, as a table
 * that a test proves complete. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum recovery_fact {
        RECOVERY_UNREADABLE = 1, /* reading the file failed */
        RECOVERY_SHORT = 2,   /* the file ends before its settled mark                            */
        RECOVERY_END = 4,     /* good batches up to the very end of the file                      */
        RECOVERY_ZERO = 8,    /* nothing but zeros behind the last good batch                     */
        RECOVERY_BEYOND = 16, /* a whole batch with later offsets ends further than one write     */
                              /* behind the last good one                                         */
        RECOVERY_FACTS = 32,  /* number of fact sets */
};

enum recovery_action {
        RECOVERY_KEEP,   /* nothing to do                                             */
        RECOVERY_ROOM,   /* nothing to do: the rest is room that was made ahead       */
        RECOVERY_CUT,    /* a torn tail: cut it, durably, before anything is appended */
        RECOVERY_REFUSE, /* offline; the file stays as it is                          */
};

struct recovery_case {
        const char *label;
        uint32_t care, want;
        enum recovery_action action;
};
extern const struct recovery_case recovery_cases[];
extern const size_t recovery_cases_count;

/* The one row that matches. */
const struct recovery_case *recovery_decide(uint32_t facts);
