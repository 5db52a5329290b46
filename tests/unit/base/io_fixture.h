/* The io suites run every test on both real backends. */
#pragma once

#include "base/io.h"

#include <criterion/criterion.h>

typedef void io_test_fn(struct io *io);

/* Makes an io with default options, runs fn with it and frees it. */
void on_uring(io_test_fn *fn);
void on_posix(io_test_fn *fn);

#define IO_TEST(name)                    \
        static void name(struct io *io); \
        Test(uring, name)                \
        {                                \
                on_uring(name);          \
        }                                \
        Test(posix, name)                \
        {                                \
                on_posix(name);          \
        }                                \
        static void name(struct io *io)

/* A fresh io of one backend; skips the test where io_uring is refused. */
struct io *new_io(bool uring, const struct io_options *o);

/* Two ends of a loopback connection made through io, and the listener that joined them. */
struct pair {
        int listener, client, server;
};
uint16_t port_of(int fd);
struct pair pair_open(struct io *io);
void pair_close(struct io *io, struct pair *p);

/* A fresh directory below the current one, opened; removed with all its files by dir_close. */
struct dir {
        char path[64];
        int fd;
};
struct dir dir_open(void);
void dir_close(struct dir *d);

/* Turns and dispatches until *count reaches n. */
void run_until(struct io *io, const unsigned *count, unsigned n);

/* An operation that counts its completion. */
struct counted {
        struct io_op op;
        unsigned *count;
        unsigned runs;
};
void counted_on_done(struct io_op *op);
static inline struct io_op *counted(struct counted *c, unsigned *count)
{
        c->op.on_done = counted_on_done;
        c->count = count;
        c->runs = 0;
        return &c->op;
}

static inline struct bytes_mut mut(void *p, size_t n)
{
        return (struct bytes_mut){ p, n };
}
