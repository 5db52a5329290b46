/* A store in a directory of its own, with one shard, on a real backend. */
#pragma once

#include "storage/internal.h"

#include <criterion/criterion.h>

struct world {
        bool uring, ram; /* ram: under /dev/shm, where there is no O_DIRECT */
        char dir[256];
        struct io *io;
        struct timers timers;
        struct block_pool *blocks;
        struct store *store;
        struct log_shard *ls;
        size_t blocks_limit, cache_limit, index_limit, write_max;
        size_t journal_bytes; /* 0: none */
        uint32_t fds_limit;
        struct io *(*wrap)(struct io *inner); /* NULL: as it is */
};

typedef void world_test_fn(struct world *w);
void on_disk_uring(world_test_fn *fn);
void on_disk_posix(world_test_fn *fn);
void on_ram_uring(world_test_fn *fn);

/* Every test on both backends with O_DIRECT, and buffered on a tmpfs. */
#define STORAGE_TEST(suite, name)          \
        static void name(struct world *w); \
        Test(suite, name##_uring)          \
        {                                  \
                on_disk_uring(name);       \
        }                                  \
        Test(suite, name##_posix)          \
        {                                  \
                on_disk_posix(name);       \
        }                                  \
        Test(suite, name##_ram)            \
        {                                  \
                on_ram_uring(name);        \
        }                                  \
        static void name(struct world *w)

/* One backend, where the backend makes no difference. */
#define STORAGE_TEST_ONE(suite, name)      \
        static void name(struct world *w); \
        Test(suite, name)                  \
        {                                  \
                on_disk_uring(name);       \
        }                                  \
        static void name(struct world *w)

void world_open(struct world *w); /* io, store, shard */
/* Its status; nothing is open when it is not ST_OK. */
int world_try(struct world *w, struct err *e);
/* One more log shard over the store; world_open() made the first. */
struct log_shard *world_shard(struct world *w);
void world_close(struct world *w); /* clean stop of shard and store */
void world_kill(struct world *w);  /* the process is gone, the disk stays */
/* The usual sequence. */
void world_reopen(struct world *w, bool clean);
unsigned world_turn(struct world *w);
/* Turns until *flag, at most a minute. */
void world_until(struct world *w, const bool *flag);
void world_settle(struct world *w); /* until nothing is under way */

extern const struct log_config plain_config;
struct uuid topic(uint8_t n);
/* Made, recovered. */
struct partition *world_partition(struct world *w, uint8_t t, const struct log_config *c);

/* --- batches --- */
struct bytes_of {
        uint8_t *p;
        uint32_t n;
};
struct batch_spec {
        int32_t count;
        uint32_t value; /* bytes of each value */
        int64_t timestamp, step;
        uint32_t seed;
};
struct bytes_of batch_make(const struct batch_spec *s);

struct appended {
        struct log_append a;
        struct bytes_of bytes;
        unsigned copied, done;
        bool finished;
};
/* The batch is made here and freed by appended_free(). */
struct appended *append_begin(struct partition *p, const struct batch_spec *s);
/* Takes the bytes (malloc). */
struct appended *append_raw(struct partition *p, uint8_t *bytes, uint32_t n);
void appended_free(struct appended *x);
/* Waits; the status. */
int append_one(struct world *w, struct partition *p, const struct batch_spec *s);
int64_t append_many(struct world *w, struct partition *p, const struct batch_spec *s, unsigned n);

/* --- reading --- */
struct fetched {
        struct log_read r;
        bool finished;
        uint8_t *p; /* joined slices */
        uint32_t n;
};
void fetched_on_done(struct log_read *r);
/* Waits; release with fetched_free(). */
struct fetched *read_one(struct world *w, struct partition *p, int64_t offset, uint32_t max);
void fetched_free(struct fetched *f);
/* All bytes from log start on, batch by batch, each checked: offsets follow, CRC good.  Returns the
 * next offset. */
struct log_bytes {
        uint8_t *p;
        size_t n, cap;
        int64_t first, end;
        unsigned batches;
};
void read_all(struct world *w, struct partition *p, uint32_t max, struct log_bytes *ret);
void log_bytes_free(struct log_bytes *b);

/* --- files --- */
void file_path(struct world *w, uint8_t t, const char *name, char out[512]);
size_t file_get(const char *path, uint8_t **ret);
void file_put(const char *path, const void *p, size_t n);
int64_t file_size_of(const char *path);
void dir_remove(const char *path);
unsigned dir_count(const char *path, const char *suffix);
