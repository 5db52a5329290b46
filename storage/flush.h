/* One flush of a partition: whatever its oldest segment that is not wholly durable needs next. */
#pragma once

#include "storage/internal.h"

enum flush_mode {
        FLUSH_ALL,    /* all there is; a partial last page from a copy  */
        FLUSH_WHOLE,  /* whole pages; the journal has the rest          */
        FLUSH_SETTLE, /* like all; makes room in the journal             */
};

struct flush {
        struct list link; /* first: ls->free_flushes */
        uint32_t magic;
        struct partition *partition;
        struct segment *segment;
        struct io_op op;
        struct fd_waiter opened;
        int fd; /* of a directory, or of the file being made */
        int64_t res;
        uint64_t from, to, bytes; /* of the write: position, end of its batches' bytes, length */
        uint64_t target;          /* room to make in the file being made */
        struct block *edge;       /* the last page, zero behind its bytes */
        uint32_t n_iov, retries;
        enum flush_mode mode;
        bool wants_room; /* waits for segment_grow()             */
        bool writing;    /* counts as in flight, since begun_ns */
        uint64_t begun_ns;
        struct iovec iov[FLUSH_IOV_MAX];
        char path[STORE_NAME_MAX];
};

/* Starts a flush unless one is in flight or there is nothing to write; returns how many. */
unsigned flush_start(struct partition *p, enum flush_mode mode);
/* Starts the next step; each ends in flush_advance() or flush_fail(). */
void flush_advance(struct flush *f);
void flush_end(struct flush *f);
/* Disk full: the partition's un-durable bytes are forgotten; out of descriptors or memory: the same
 * with another status; else law 2. */
void flush_fail(struct flush *f, const char *what, int64_t res);

/* flush_prepare.c */
void flush_make_dir(struct flush *f);
void flush_make_file(struct flush *f);
void flush_cut(struct flush *f);
void flush_open(struct flush *f);
/* Makes room in the file ahead of the write position, in the background. */
void segment_grow(struct segment *s);
uint64_t segment_grow_target(const struct segment *s);
