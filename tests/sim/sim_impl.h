/* Inside of the simulator: what io_sim.c, sim_disk.c and sim_net.c share. */
#pragma once

#include "base/check.h"
#include "base/list.h"
#include "tests/sim/io_sim.h"

enum {
        SIM_IO_MAGIC = 0x73696d69,
        SIM_OP_MAGIC = 0x73696d6f,
        SIM_FD_FIRST = 1000,
        SIM_FAULTS_MAX = 8,
};

struct sim_event {
        uint64_t at, tie; /* tie: random, so what is due together happens in any order */
        void (*fire)(struct sim_world *w, struct sim_event *e);
        void (*drop)(struct sim_event *e); /* the world ends before it fired */
};

struct sim_io {
        struct io io;
        uint32_t magic;
        struct sim_world *world;
        bool mortal, dead, woken;
        struct list link;
};

/* One operation under way. */
struct sim_op {
        struct sim_event event;
        uint32_t magic;
        struct list link;    /* world->ops */
        struct list waiting; /* accept: the listener's queue */
        struct sim_io *io;
        struct io_op *op;
        uint8_t *copy; /* write: the bytes as they were when it was started */
        int fault;     /* errno that it ends with, 0: none */
        uint64_t seen; /* sync: newest change it covers */
        bool scheduled;
};

struct sim_fd {
        enum { SIM_FD_FREE, SIM_FD_FILE, SIM_FD_SOCK } type;
        bool mortal, direct, writable;
        struct sim_inode *inode;
        struct sim_sock *sock;
};

struct sim_disk {
        struct sim_inode *root;
        struct list inodes;   /* all, in order of birth */
        struct list name_ops; /* not durable yet, in order */
        uint64_t next_seq;
        uint64_t used, limit;
        bool journaled; /* names become durable in order, as a prefix */
};

struct sim_net {
        struct list listeners;
        uint16_t next_port;
        size_t window; /* bytes that a socket takes before its reader reads */
};

struct sim_world {
        uint64_t rng[4];
        uint64_t now_ns;
        int64_t wall_ms;
        struct sim_options options;
        uint64_t disk_ns, net_ns;
        unsigned slow;
        unsigned short_per_mille; /* of sends and receives */
        struct sim_event **heap;
        size_t n_events, cap_events;
        struct list ios, ops;
        struct sim_fd *fds;
        size_t n_fds;
        struct sim_disk disk;
        struct sim_net net;
        struct sim_fault faults[SIM_FAULTS_MAX];
        unsigned n_faults;
        struct sim_stats stats;
        void (*on_step)(void *arg);
        void *on_step_arg;
};

void *sim_alloc(size_t n); /* zeroed; never NULL */

void sim_schedule(struct sim_world *w, struct sim_event *e, uint64_t delay_ns);
/* A delay around `typical`, now and then much longer. */
uint64_t sim_delay(struct sim_world *w, uint64_t typical);
/* The op has its result: hands it to its io (unless that is dead) and frees it. */
void sim_op_finish(struct sim_world *w, struct sim_op *o, int64_t res);
/* Lets o->event fire sim_op_fire after a delay. */
void sim_op_schedule(struct sim_world *w, struct sim_op *o, uint64_t typical);

int sim_fd_new(struct sim_world *w, bool mortal);
struct sim_fd *sim_fd_get(struct sim_world *w, int fd); /* asserts that it is open */

/* sim_disk.c */
void sim_disk_init(struct sim_world *w);
void sim_disk_free(struct sim_world *w);
void sim_disk_start(struct sim_world *w, struct sim_op *o);
/* What the operation does; returns its result. */
int64_t sim_disk_do(struct sim_world *w, struct sim_op *o);
/* The operation fails: what it may do all the same. */
void sim_disk_fail(struct sim_world *w, struct sim_op *o);
/* lose: a power cut; else what is volatile stays, and stays volatile. */
void sim_disk_crash(struct sim_world *w, bool lose);
void sim_fd_close_file(struct sim_world *w, int fd);
const char *sim_fd_name(struct sim_world *w, int fd);
bool sim_is_disk(enum io_kind kind);

/* sim_file.c: content of files */
struct sim_blob {
        uint8_t **chunks;
        size_t n_chunks;
        uint64_t size;
};
enum sim_change_kind { SIM_WRITE, SIM_SIZE, SIM_EXTEND };
struct sim_change {
        struct list link;
        uint64_t seq;
        enum sim_change_kind kind;
        uint64_t off, len;
        uint8_t *data;
        uint8_t *gone; /* one per granule: superseded by something durable */
};
struct sim_file {
        struct sim_blob now, durable;
        struct list changes; /* not durable, in order */
};
void sim_file_init(struct sim_file *f);
void sim_file_free(struct sim_file *f);
size_t sim_blob_read(const struct sim_blob *b, void *to, size_t n, uint64_t off);
void sim_file_write(
    struct sim_world *w, struct sim_file *f, const uint8_t *p, size_t n, uint64_t off);
void sim_file_size(struct sim_world *w, struct sim_file *f, uint64_t size, bool only_grow);
/* Changes up to seq become durable. */
void sim_file_sync(struct sim_file *f, uint64_t seq);
/* The newest change and all sizes become durable, what it covers with it (RWF_DSYNC). */
void sim_file_dsync(struct sim_file *f, uint64_t off, uint64_t len);
/* Changes up to seq will never become durable (a failed sync). */
void sim_file_forget(struct sim_file *f, uint64_t seq);
void sim_file_crash(struct sim_world *w, struct sim_file *f);
int sim_file_flip(struct sim_file *f, uint64_t bit);

/* sim_net.c */
void sim_net_init(struct sim_world *w);
void sim_net_free(struct sim_world *w);
void sim_net_start(struct sim_world *w, struct sim_op *o);
void sim_net_fire(struct sim_world *w, struct sim_op *o);
void sim_net_crash(struct sim_world *w);
int sim_net_listen(struct sim_io *io, uint16_t port, struct err *e);
void sim_net_shutdown(struct sim_world *w, int fd);
void sim_net_close(struct sim_world *w, int fd);
uint16_t sim_net_port(struct sim_world *w, int fd);
