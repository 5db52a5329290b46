/* One micro-benchmark: what is set up before, and the operation that is counted or timed. */
#pragma once

#include <stdint.h>

struct micro {
        const char *name;
        const char *what; /* one operation, in words */
        void (*setup)(struct micro *m);
        void (*op)(struct micro *m);
        void (*teardown)(struct micro *m);
        unsigned ops;   /* how many are counted */
        int size, way;  /* the benchmark's own settings */
        uint64_t bytes; /* that one operation handles, for bytes per second; 0: says nothing */
        void *state;    /* between setup and teardown */
};

/* Each ends with a NULL name. */
extern struct micro micro_base[], micro_batch[], micro_codec[], micro_crc[], micro_store[];

/* A number that only depends on the ones before: the same in every run. */
uint64_t micro_next(uint64_t *state);
