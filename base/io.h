/* Clock, disk, network and randomness: one table of operations, three backends (io_uring, posix,
 * and the simulator in tests/sim).  storage/ and server/ make no system call of their own on a path
 * that a test should be able to break.
 *
 * One `struct io` per shard, used by its thread only, except io_wake().  Whoever makes the first
 * turn is its owner from then on; until then its maker may start operations and register slabs.
 * An operation is a struct io_op inside something that the caller keeps alive, with all buffers it
 * names, until on_done ran.  on_done runs from io_dispatch(), never from inside the call that
 * started the operation, exactly once, on the owner's thread.  There is no cancel: shut the socket
 * down and wait.  A completion says nothing about the order of operations. */
#pragma once

#include "base/counter.h"
#include "base/err.h"
#include "base/inbox.h"
#include "base/types.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct io;
struct io_op;

enum io_kind {
        IO_NOP, /* completes with 0 in the next dispatch */
        /* sockets */
        IO_ACCEPT,
        IO_RECV,
        IO_SEND,
        IO_CONNECT,
        /* data; all aligned to 4 KiB where the file is open with O_DIRECT */
        IO_READ,
        IO_WRITE,
        IO_SYNC, /* fdatasync of a file, fsync of a directory */
        /* names and extents: these may block, so they run on a worker in every backend */
        IO_OPEN,
        IO_CLOSE,
        IO_ALLOCATE, /* fallocate, file size grows with it */
        IO_TRUNCATE,
        IO_SIZE,
        IO_MKDIR,
        IO_RENAME,
        IO_UNLINK,
        IO_RMDIR,
        IO_LIST,
        IO_LOCK, /* exclusive advisory lock, held until close; -EWOULDBLOCK: somebody else's */
        IO_SPACE,
        IO_KIND_COUNT,
};

/* What io_list found; names end in NUL, one after the other.  Freed by io_names_free(). */
struct io_names {
        char *text;
        size_t len, cap;
        uint32_t count;
};

struct io_op {
        void (*on_done)(struct io_op *op);
        int64_t res; /* >= 0 as the call's own result, < 0: -errno */

        /* Below: set by the io_* calls, read by backends; the caller leaves them alone. */
        struct io_op *next;
        enum io_kind kind;
        int fd; /* file, socket, or the directory of a path */
        int flags;
        int reg;
        uint32_t n_iov;
        struct iovec *iov; /* must stay valid; the backend may point it at `one` */
        struct iovec one;
        uint64_t off, len;
        const char *path, *path2;
        void *ptr;
        struct io *io;
        union { /* backend's */
                struct msghdr msg;
                struct sockaddr_in in4;
                struct sockaddr_in6 in6;
                struct message finished; /* a worker's way back to the owner */
                uint64_t spare[4];
        };
};

/* The longest iov of one operation (the kernel's UIO_MAXIOV). */
enum { IO_IOV_MAX = 1024 };

enum io_write_flags { IO_DSYNC = 1 }; /* durable on completion (RWF_DSYNC) */

struct io_write_args {
        int fd;
        int reg; /* registered buffer that holds iov[0], when n_iov == 1; -1: none */
        uint32_t n_iov, flags;
        struct iovec *iov; /* valid until done */
        uint64_t off;
};

/* Bytes of the log directory's file system. */
struct io_space {
        uint64_t total, available;
};

struct io_table {
        const char *name; /* "io_uring", "posix", "sim" */
        void (*start)(struct io *io, struct io_op *op);
        int (*listen)(struct io *io, const char *host, uint16_t port, struct err *e);
        void (*shutdown)(struct io *io, int fd);
        void (*sock_close)(struct io *io, int fd);
        void (*turn)(struct io *io, uint64_t wait_ns);
        void (*wake)(struct io *io, struct io *from);
        uint64_t (*now_ns)(struct io *io);
        int64_t (*wall_ms)(struct io *io);
        void (*random)(struct io *io, void *buf, size_t n);
        int (*register_slab)(struct io *io, void *base, size_t len);
        void (*unregister_slab)(struct io *io, int reg);
        void (*free)(struct io *io);
};

/* First member of every backend's own struct. */
struct io {
        const struct io_table *table;
        struct io_op *done_head, **done_tail; /* reaped, not yet dispatched */
        uint64_t started, finished;           /* operations, for counters and for draining */
        struct counter turns, enters;         /* turns of the loop, system calls that they made  */
        struct counter sleeps;                /* turns that lay down                             */
        uint64_t rest_ns;                     /* when the last of these did; real backends only  */
};

struct io_options {
        unsigned entries; /* submission ring, 0: default             */
        unsigned workers; /* threads for blocking calls, 0: default  */
};

/* Both fail with a text that names the cause (old kernel, io_uring_disabled, container profile). */
int io_uring_new(const struct io_options *o, struct io **ret_io, struct err *e);
int io_posix_new(const struct io_options *o, struct io **ret_io, struct err *e);
/* Everything must have finished.  Any thread; the owner's has stopped turning. */
void io_free(struct io *io);

/* --- operations ------------------------------------------------------------------------------ */
void io_nop(struct io *io, struct io_op *op);
/* fd: from io_listen().  res: the new socket, close-on-exec, TCP_NODELAY, keep-alive and a bounded
 * send buffer set.  One connection per call. */
void io_accept(struct io *io, struct io_op *op, int fd);
/* res: 1..len bytes, 0: the peer closed. */
void io_recv(struct io *io, struct io_op *op, int fd, struct bytes_mut buf);
/* res: bytes taken, may be short. */
void io_send(struct io *io, struct io_op *op, int fd, struct iovec *iov, uint32_t n_iov);
/* res: a connected socket. host is a numeric address. */
void io_connect(struct io *io, struct io_op *op, const char *host, uint16_t port);
void io_read(struct io *io, struct io_op *op, int fd, struct bytes_mut buf, uint64_t off);
void io_write(struct io *io, struct io_op *op, const struct io_write_args *a);
void io_sync(struct io *io, struct io_op *op, int fd);
/* Paths are relative to dir_fd (AT_FDCWD allowed) and stay valid until done.  flags as open(2);
 * O_CLOEXEC is added. */
void io_open(struct io *io, struct io_op *op, int dir_fd, const char *path, int flags);
void io_close(struct io *io, struct io_op *op, int fd);
void io_allocate(struct io *io, struct io_op *op, int fd, uint64_t off, uint64_t len);
void io_truncate(struct io *io, struct io_op *op, int fd, uint64_t size);
void io_size(struct io *io, struct io_op *op, int fd);
void io_mkdir(struct io *io, struct io_op *op, int dir_fd, const char *path);
void io_rename(struct io *io, struct io_op *op, int dir_fd, const char *from, const char *to);
void io_unlink(struct io *io, struct io_op *op, int dir_fd, const char *path);
void io_rmdir(struct io *io, struct io_op *op, int dir_fd, const char *path);
/* Names in a directory without "." and ".."; order undefined. */
void io_list(struct io *io, struct io_op *op, int dir_fd, const char *path, struct io_names *out);
void io_lock(struct io *io, struct io_op *op, int fd);
void io_space(struct io *io, struct io_op *op, int dir_fd, struct io_space *out);
void io_names_free(struct io_names *n);

/* --- sockets, at once ------------------------------------------------------------------------- */
/* A listening socket, or < 0.  host: numeric address or name; SO_REUSEADDR set. port 0: any. */
int io_listen(struct io *io, const char *host, uint16_t port, struct err *e);
/* Pending operations on fd finish soon; fd stays open. */
void io_shutdown(struct io *io, int fd);
/* No operation may be pending on fd. */
void io_sock_close(struct io *io, int fd);

/* --- the loop --------------------------------------------------------------------------------- */
/* Submits all that was started, with one system call; with wait_ns > 0 and nothing finished, sleeps
 * until something finishes, io_wake(), or wait_ns passed (UINT64_MAX: no limit). */
void io_turn(struct io *io, uint64_t wait_ns);
/* Runs on_done of at most max finished operations; returns how many ran. */
unsigned io_dispatch(struct io *io, unsigned max);
/* Any thread.  from: the caller's own io when it is a shard's thread, else NULL.  An io that
 * sleeps, or is about to, returns from io_turn().  The wake-up may leave with the next turn of
 * `from`, so a shard that woke another one turns once more before it ends. */
void io_wake(struct io *io, struct io *from);
/* Start-up, shutdown and tools: turns the loop until op is done, returns its result.  op->on_done
 * is ignored. */
int64_t io_await(struct io *io, struct io_op *op);

/* --- clock, randomness ------------------------------------------------------------------------ */
uint64_t io_now_ns(struct io *io); /* monotonic; read once a turn */
int64_t io_wall_ms(struct io *io); /* only stamps; never drives a timer */
void io_random(struct io *io, void *buf, size_t n);

/* Index for io_write_args.reg, -1: not possible (asked once, logged once). */
int io_register_slab(struct io *io, void *base, size_t len);
void io_unregister_slab(struct io *io, int reg);
