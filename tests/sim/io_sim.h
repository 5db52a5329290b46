/* The third backend of base/io.h: a world with virtual time, disks that lose what was not synced,
 * and a network that delivers in pieces.  Everything comes from one seed, in one thread.
 *
 * Several ios (one per shard, one or more for scripted clients) share a world.  Time stands still
 * while code runs.  io_turn(io, 0) only moves finished operations; sim_step() advances time to the
 * next event; io_turn(io, wait) and io_await() step the world until something finishes.
 *
 * Disk: a write, a truncation, an allocation is volatile until a sync of its file (or IO_DSYNC); a
 * name is volatile until a sync of its directory.  sim_crash() keeps, loses or garbles each
 * 512-byte granule of each un-synced write independently, and any subset (or prefix) of the
 * un-synced name operations. */
#pragma once

#include "base/io.h"

struct sim_world;

enum { SIM_GRANULE = 512 };

/* A machine that breaks its word, to prove that a checker notices.  What a server looks like that
 * forgets a step is what a disk looks like that does not do it. */
enum sim_lie {
        SIM_HONEST,
        SIM_LIE_SYNC,     /* syncs and DSYNC make nothing durable: an ack before the flush     */
        SIM_LIE_DIR_SYNC, /* so do syncs of directories: a forgotten one                       */
        SIM_LIE_EARLY,    /* a write completes a moment before its bytes are durable           */
        SIM_LIE_TRUNCATE, /* cuts 4 KiB more than asked: a wrong tail cut                      */
        SIM_LIE_MISPLACE, /* now and then a write lands 4 KiB further on                       */
        SIM_LIE_COUNT,
};

struct sim_options {
        uint64_t seed;
        uint64_t disk_bytes; /* size of the file system, 0: 64 GiB                          */
        uint64_t disk_ns;    /* typical time of a disk operation, 0: drawn from the seed    */
        uint64_t net_ns;     /* typical time of a network hop, 0: drawn                     */
        bool no_direct;      /* open with O_DIRECT fails, as on tmpfs                       */
        bool garble;         /* a crash may fill never-written granules with noise          */
        int64_t wall_ms;     /* wall clock at time 0, 0: 2026-01-01                         */
        enum sim_lie lie;
};

struct sim_world *sim_world_new(const struct sim_options *o);
void sim_world_free(struct sim_world *w);
/* mortal: dies in a crash with its operations, files and sockets. */
int sim_io_new(struct sim_world *w, struct io **ret_io);
int sim_client_io_new(struct sim_world *w, struct io **ret_io);

/* Advances time to the next event and lets it happen.  False: nothing is going to happen. */
bool sim_step(struct sim_world *w);
/* The same, but never past `until_ns`; false: nothing happens before, time is until_ns now. */
bool sim_step_until(struct sim_world *w, uint64_t until_ns);
uint64_t sim_now(const struct sim_world *w);
/* Called after each event; may leave by longjmp (to crash in the middle of blocking start-up code).
 */
void sim_on_step(struct sim_world *w, void (*fn)(void *arg), void *arg);
/* Something finished on io, or it was woken, since its last turn. */
bool sim_ready(struct io *io);
/* Wall clock of the world jumps; the monotonic one does not. */
void sim_wall_jump(struct sim_world *w, int64_t by_ms);

/* The world's dice, for scripts. */
uint64_t sim_random(struct sim_world *w);
uint64_t sim_below(struct sim_world *w, uint64_t n); /* 0 .. n-1, 0 for n == 0 */
bool sim_chance(struct sim_world *w, unsigned per_thousand);

/* Power cut: mortal ios are gone (their memory stays until the world is freed, nothing calls back),
 * operations in flight happened in part or not at all, the disk is what survives. */
void sim_crash(struct sim_world *w);
/* The process dies and the machine lives: all that was written or named stays, as volatile as it
 * was. */
void sim_kill(struct sim_world *w);
/* A connection breaks: both ends see a reset. */
void sim_sock_reset(struct sim_world *w, int fd);

/* The nth operation (1: the next one) of a kind on mortal ios fails with error (positive errno),
 * and with `sticky` all after it too.  A failed sync loses the data it was asked to keep at the
 * next crash. */
struct sim_fault {
        enum io_kind kind;
        uint64_t nth;
        int error;
        bool sticky;
        const char *path_part; /* only files whose name contains it, NULL: any */
};
void sim_fail(struct sim_world *w, const struct sim_fault *f);
void sim_heal(struct sim_world *w);
/* Disk operations take `factor` times as long from now on. */
void sim_slow_disk(struct sim_world *w, unsigned factor);

struct sim_stats {
        uint64_t events, ops, writes, syncs, name_ops, crashes;
        uint64_t granules_lost, granules_kept, granules_garbled, names_lost, names_kept;
        uint64_t resets, short_sends, short_recvs, faults_hit;
};
void sim_get_stats(const struct sim_world *w, struct sim_stats *ret);
/* For tests of recovery: flips one bit of a file, in the image that survives too.  < 0: -errno. */
int sim_flip_bit(struct sim_world *w, const char *path, uint64_t bit);
/* Operations of mortal ios that are under way. */
unsigned sim_in_flight(const struct sim_world *w);
