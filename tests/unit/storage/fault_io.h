/* An io around a real one: chosen operations fail, clocks can be moved. */
#pragma once

#include "base/io_backend.h"

struct fault {
        enum io_kind kind;
        int error;             /* positive errno */
        unsigned after;        /* that many pass first */
        unsigned times;        /* then that many fail; 0: none */
        const char *path_part; /* NULL: any */
        int fd;                /* this file only; 0: any */
        bool other_fds;        /* any but this one */
        uint32_t short_by;     /* write: the result is this much smaller instead of an error */
};

struct fault_io {
        struct io io;
        struct io *inner;
        struct fault fault;
        unsigned hits;
        uint64_t mono_ahead_ns;
        int64_t wall_ahead_ms;
        bool hold_reads;    /* reads wait until this is false again */
        int hold_writes_fd; /* writes to this file wait until it is 0 again */
        struct io_op *held;
};

struct io *fault_io_new(struct io *inner);
static inline struct fault_io *fault_of(struct io *io)
{
        return (struct fault_io *)io;
}
