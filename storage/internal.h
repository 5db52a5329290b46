/* Inside of storage: what its files share.  One shard's thread owns all of it. */
#pragma once

#include "base/log.h"
#include "base/status.h"
#include "storage/log.h"
#include "storage/stats.h"
#include "storage/store_format.h"

#include <inttypes.h>

/* Out of memory while adding: the element's hh.tbl is NULL then. */
#define HASH_NONFATAL_OOM 1
#include "base/hash.h"

enum {
        LOG_SHARD_MAGIC = 0x766c7368,
        PARTITION_MAGIC = 0x76706172,
        SEGMENT_MAGIC = 0x76736567,
        CHUNK_MAGIC = 0x7663686b,
        FLUSH_MAGIC = 0x76666c75,
        WALK_MAGIC = 0x7677616c,
        CACHED_MAGIC = 0x76636163,
        JOURNAL_MAGIC = 0x766a726e,
};

enum {
        STORE_PAGE = 4096,
        STORE_NAME_MAX = 96,
        WRITE_MAX = 4 << 20, /* W: no direct write is larger, whatever the configuration    */
        FLUSH_IOV_MAX = 64,
        CHUNK_MIN = STORE_PAGE,
        CHUNK_MAX = BLOCK_CLASS_MAX,
        CACHE_BLOCK = 256 << 10,
        CACHE_MIN = 1 << 20,
        CACHE_START = 24 << 20,
        ALLOCATE_FIRST = 64 << 10,
        ALLOCATE_STEP_MAX = 64 << 20,
        INDEX_INTERVAL_MIN = 4096,
        HINTS = 4,
        BAD_SPOTS_MAX = 8,
};
static_assert((int)STORE_PAGE == (int)BLOCK_ALIGN, "a chunk's pages are the disk's");
static_assert(WRITE_MAX % STORE_PAGE == 0, "writes end on page edges");

static inline uint64_t page_down(uint64_t x)
{
        return x & ~(uint64_t)(STORE_PAGE - 1);
}
static inline uint64_t page_up(uint64_t x)
{
        return page_down(x + STORE_PAGE - 1);
}

struct fd_waiter {
        struct list link;
        void (*on_open)(struct fd_waiter *w, int64_t fd_or_error);
};

/* --- segments --- */
struct index_spot {
        uint32_t rel, pos;
        int64_t max_before; /* largest timestamp in the segment before pos, -1: none */
};

struct segment_index {
        struct index_spot *spots; /* ascending */
        uint32_t n, cap;
};

/* States of the file: named in memory only -> created (its name durable) -> sealed (never written
 * again).  A segment is written only while it is the oldest one that is not wholly durable. */
struct segment {
        uint32_t magic;
        uint32_t pins; /* operations and readers that use fd or need the file to stay */
        struct partition *partition;
        int64_t base_offset, end_offset;
        uint64_t virt;          /* virtual position of its first byte: see struct partition     */
        uint64_t size, durable; /* bytes of batches: appended, of these on stable storage      */
        uint64_t allocated;     /* room in the file                                             */
        uint64_t written;       /* end of the furthest write ever started                      */
        int64_t max_timestamp;  /* of durable batches, -1: none                                 */
        int64_t appended_max_timestamp;
        uint64_t first_append_ns; /* monotonic; 0: nothing appended in this run                   */
        uint64_t used_ns;         /* last use of fd                                               */
        int fd;
        bool created, sealed, sealing;
        bool cut_due; /* discarded bytes may be in the file: cut before the next write */
        bool opening, allocating, allocate_failed;
        bool dropped; /* by retention: gone once nobody pins it                       */
        bool index_loading, index_tried;
        struct segment_index index;
        struct list fd_waiters;      /* struct fd_waiter    */
        struct list index_waiters;   /* struct index_waiter */
        struct list fd_lru;          /* ls->open_fds when fd >= 0    */
        struct list index_lru;       /* ls->indexes when loaded      */
        struct list drop_link;       /* ls->drops                     */
        uint64_t bad[BAD_SPOTS_MAX]; /* positions of damage that was logged */
        uint32_t n_bad;
};

/* A piece of the log in memory: exactly the bytes of the segment file at pos.  Append-only. */
struct chunk {
        uint32_t magic;
        uint32_t used;
        uint32_t from_disk; /* that many bytes were read back, so their CRCs were not seen here */
        bool finished;      /* durable and never appended to again: counts as cache              */
        struct segment *segment;
        uint64_t pos; /* page-aligned */
        struct block *block;
        struct list link; /* ls->finished */
};

/* --- partitions --- */
struct partition_key {
        struct uuid topic_id;
        int32_t index;
};

struct hint {
        int64_t offset;
        uint64_t virt;
        int64_t max_before;
};

/* Virtual positions count the bytes of all segments in order, so that "how far" is one number
 * across segments: virt = segment->virt + position in it. */
struct partition {
        uint32_t magic;
        int status; /* ST_OK or ST_CORRUPT (offline) */
        struct partition_key key;
        struct log_shard *ls;
        UT_hash_handle hh;
        struct list all; /* ls->partitions */
        struct log_config config;

        int64_t log_start, settled_end, durable_end, append_end;
        uint64_t durable_virt, append_virt; /* where these offsets are; always batch edges */
        uint64_t settled_virt;              /* durable in the segments; not always a batch edge */
        uint64_t mark_virt; /* where settled_end is: the last known batch edge at or before that */
        uint64_t next_mark_virt; /* the edge that will be known next, 0: none */
        int64_t next_mark_end;

        uint64_t jfirst, jend;       /* of the journal's contiguous bytes; none when equal    */
        uint64_t jbegin, jbegin_seq; /* the last part that began a page, and its group        */
        uint64_t joldest;            /* oldest group with unsettled bytes, when in the kept list */
        struct list kept;            /* journal's */
        uint64_t jnext;              /* end of its bytes in the group that is filled or written */
        bool jwriting;               /* there are such bytes                                   */

        struct segment **segments; /* ascending */
        uint32_t n_segments, cap_segments;
        struct chunk *
            *chunks; /* ascending, contiguous up to append_virt: [first_chunk, n_chunks) */
        uint32_t first_chunk, n_chunks, cap_chunks;
        uint32_t chunk_size; /* of the next chunk */
        uint64_t chunk_ns;   /* when the newest one was begun */

        struct list queue;       /* appends that wait to be copied            */
        struct list fresh;       /* copied, on_copied is due                   */
        struct list waiting;     /* copied, not durable                        */
        struct list dirty;       /* ls->dirty                                  */
        struct list notify;      /* ls->notify                                 */
        struct list moved;       /* ls->moved: watches are due                 */
        struct list delete_link; /* ls->deletes                                */
        struct list watches;
        struct block_waiter room;
        bool room_wanted;
        bool tail_loading;
        bool dir_created, deleted, deleting;
        int discard_due;     /* status of a discard that waits for the flush in flight, 0: none */
        struct flush *flush; /* in flight, one at most */
        uint32_t holds;      /* operations that use this struct           */
        struct hint hints[HINTS];
        uint32_t next_hint;
        uint64_t appended_ns; /* last append */
        bool counted_waiting; /* in stats.waiting_partitions */
        void (*on_gone)(void *arg, int status);
        void *on_gone_arg;
};

/* --- the read cache --- */
struct cache_key {
        struct segment *segment;
        uint64_t number; /* of the CACHE_BLOCK in the segment */
};

struct cached {
        uint32_t magic;
        struct cache_key key;
        UT_hash_handle hh;
        struct list lru;
        struct list waiters; /* struct walk */
        struct log_shard *ls;
        struct block *block;
        uint32_t valid;                      /* bytes that were durable when it was read */
        uint32_t verified_from, verified_to; /* whole batches in here passed their CRC */
        bool reading, orphan;                /* orphan: out of the table while being read */
        uint64_t read_for;                   /* serial of the walk that waited for it last */
        struct fd_waiter opened;
        struct io_op op;
};

/* --- the shard --- */
struct close_run {
        enum { CLOSE_FLUSH, CLOSE_CUT, CLOSE_CHECKPOINT, CLOSE_FDS, CLOSE_DONE } step;
        uint32_t lanes;  /* files being cut       */
        struct list *at; /* next partition to cut */
        bool clean;
        bool gave_up; /* a disk is full: what the journal has stays there */
        void (*on_closed)(void *arg);
        void *arg;
};

struct log_shard {
        uint32_t magic;
        uint32_t number; /* for its checkpoint's name */
        struct store *store;
        struct io *io;
        struct timers *timers;
        struct block_pool *blocks;
        size_t cache_limit, index_limit, write_max;
        uint32_t fds_limit;
        struct journal *journal; /* NULL: none is wanted */

        struct partition *by_key;
        struct list partitions;
        uint32_t n_partitions;
        struct list dirty, notify, moved;
        struct list refused; /* appends: both callbacks due  */
        struct list failed;  /* appends: on_done due          */
        struct list hooks;   /* struct plan_hook              */
        struct list deletes; /* partitions whose deletion goes on in the next plan */

        struct list finished; /* chunks, oldest first          */
        struct cached *cache;
        struct list cache_lru;              /* least recently used first     */
        size_t cache_used, cache_read_used; /* all, read cache alone */
        size_t cache_target;                /* for cache_used now; grows up to cache_limit */
        struct ghosts *ghosts;
        uint64_t cache_gone; /* pages let go so far                       */
        bool cache_wanted;   /* a reader used what a small cache would not have, since the tick */
        uint32_t cache_unwanted_ticks;
        uint32_t room_waits;  /* block waiters of this shard   */
        struct list open_fds; /* segments, least recently used first */
        uint32_t n_fds;
        struct list indexes; /* of sealed segments, least recently used first */
        size_t index_used;

        struct list free_flushes;
        uint32_t n_free_flushes;
        struct block *edge_reserve;
        bool edge_reserve_busy;
        struct list free_walks;
        uint32_t n_free_walks;
        struct codec_ctx *codecs; /* made by the first search inside a batch */

        struct list drops; /* segments to unlink, oldest first; one at a time */
        bool dropping;
        struct timer tick;
        uint64_t tick_count;
        struct list *retention_at;
        uint64_t retention_every_ns, retention_next_ns; /* rounds over all partitions */
        uint32_t retention_left;                        /* visits of this round */
        int64_t wall_start_ms;
        uint64_t mono_start_ns;
        bool wall_doubt;
        uint64_t settled_bytes; /* since the last checkpoint */
        bool checkpointing;

        bool fence_seen;
        bool closing;
        struct close_run close;
        uint32_t busy;  /* operations that belong to no partition */
        uint64_t walks; /* ever begun */
        struct log_stats stats;
};

/* Called at the beginning of every log_shard_plan(). */
struct plan_hook {
        struct list link;
        void (*run)(struct plan_hook *h);
};

/* names.c */
void partition_dir_name(const struct partition *p, char out[STORE_NAME_MAX]);
void segment_name(const struct segment *s, const char *suffix, char out[STORE_NAME_MAX]);
bool partition_dir_parse(const char *name, struct uuid *ret_id, int32_t *ret_index);
/* suffix: "" matches the bare number only. */
bool segment_name_parse(const char *name, const char *suffix, int64_t *ret_base);

/* log_shard.c */
/* A block for a tail or the cache; makes room among cached bytes when it must. NULL: wait. */
struct block *shard_block_get(struct log_shard *ls, size_t size);
/* Who got NULL waits here; on_room begins with shard_room_came(). */
void shard_room_wait(struct log_shard *ls, struct block_waiter *w);
void shard_room_came(struct log_shard *ls);
/* Cached bytes go until `coming` more are within the limit. */
void shard_cache_trim(struct log_shard *ls, size_t coming);
bool shard_fenced(struct log_shard *ls);
/* Law 2: nobody writes to this directory any more. */
void shard_fence(struct log_shard *ls, const char *file, const char *what, int64_t res);

/* partition.c */
static inline struct segment *partition_active(const struct partition *p)
{
        return p->n_segments > 0 ? p->segments[p->n_segments - 1] : NULL;
}
/* Newest segment with base <= offset; NULL: none. */
struct segment *partition_segment_for(const struct partition *p, int64_t offset);
/* The segment that holds a virtual position below append_virt. */
struct segment *partition_segment_at(const struct partition *p, uint64_t virt);
struct segment *partition_add_segment(struct partition *p, int64_t base, uint64_t virt);
void partition_hold(struct partition *p);
void partition_unhold(struct partition *p);
void partition_make_dirty(struct partition *p);
void partition_moved(struct partition *p);
void partition_free(struct partition *p);
unsigned partition_run_watches(struct log_shard *ls);
static inline bool partition_unsettled(const struct partition *p)
{
        return p->settled_virt != p->append_virt;
}

/* tail.c */
struct chunk *tail_last(const struct partition *p);
/* The chunk that holds a virtual position, NULL: not in memory. */
struct chunk *tail_find(const struct partition *p, uint64_t virt);
/* First virtual position in memory; UINT64_MAX: none. */
uint64_t tail_begin(const struct partition *p);
/* A new chunk behind what is there.  False: no memory. */
bool tail_grow(struct partition *p, struct segment *s, uint64_t pos, size_t want);
struct chunk *tail_push(struct partition *p, struct segment *s, uint64_t pos, struct block *b);
/* Cuts the tail back to p->append_virt. */
void tail_discard(struct partition *p);
/* Takes the newest chunk back, which nothing was put into. */
void tail_pop_empty(struct partition *p);
/* Moves chunks that are durable and full to the cached ones. */
void tail_settle(struct partition *p);
void tail_drop_all(struct partition *p);
void tail_drop_first(struct partition *p);
/* Lets the oldest finished chunk of the shard go; false: there is none. */
bool tail_evict_one(struct log_shard *ls);
bool tail_copy(const struct partition *p, uint64_t virt, void *to, size_t n);
/* Reads the last partial page of the active segment back; appends wait for it. */
bool tail_needs_load(const struct partition *p);
void tail_load(struct partition *p);
/* Nothing was appended for a while: the last chunk may go too. */
void tail_drop_idle(struct partition *p, uint64_t now_ns);

/* append.c */
void append_run(struct partition *p); /* copies what waits in the queue */
void append_notify(struct partition *p);
unsigned append_run_callbacks(struct log_shard *ls);
/* More is durable, in the segment or in the journal: offsets move, who waited is answered. */
void append_complete(struct partition *p);
void append_fail_queue(struct partition *p, int status);
void append_fail_waiting(struct partition *p, int status);
/* Forgets bytes that are not durable; all that wait for them fail. */
void append_discard(struct partition *p, int status);
/* The next batch begins a new segment. Returns false when memory is short. */
bool append_roll(struct partition *p);

/* flush.c */
unsigned flush_plan(struct log_shard *ls);
void flush_idle(struct partition *p);

/* segment.c */
struct segment *segment_new(struct partition *p, int64_t base, uint64_t virt);
void segment_free(struct segment *s);
void segment_pin(struct segment *s);
void segment_unpin(struct segment *s);
void segment_seal(struct segment *s);
/* Says once that the batch there is damaged. */
void segment_note_bad(struct segment *s, uint64_t pos, int64_t offset, const char *why);

/* segment_open.c */
/* fd >= 0 at once; -1: on_open follows (from io_dispatch); -ENOMEM.  The caller has pinned it. */
int segment_open(struct segment *s, struct fd_waiter *w);
void segment_opened(struct segment *s, int fd);
void segment_close_fd(struct segment *s);
void segment_fds_trim(struct log_shard *ls, uint32_t limit);
void segment_fds_idle(struct log_shard *ls, uint64_t now_ns);

/* index.c: in memory */
struct index_spot index_find_offset(const struct segment *s, int64_t offset);
/* The last spot at or before a position. */
struct index_spot index_find_position(const struct segment *s, uint64_t pos);
struct index_spot index_find_time(const struct segment *s, int64_t t);
/* The first spot behind pos; false: none. */
bool index_next(const struct segment *s, uint64_t pos, struct index_spot *ret);
/* Adds a spot where none is near. */
void index_note(struct segment *s, struct index_spot spot);
void index_cut(struct segment *s, uint64_t size);
void index_unload(struct segment *s);
void index_trim(struct log_shard *ls);
void index_touch(struct segment *s);

/* index_file.c */
struct index_waiter {
        struct list link;
        void (*on_loaded)(struct index_waiter *w);
};
/* True: usable now (perhaps empty, then readers walk); false: on_loaded follows. */
bool index_load(struct segment *s, struct index_waiter *w);
struct index_image {
        uint8_t *bytes;
        size_t len;
};
/* False: no memory. */
bool index_encode(const struct segment *s, struct index_image *ret);
/* NULL: fine; else the reason.  Only the header. */
const char *index_header_invalid(const struct index_header *h, const struct segment *s);
const char *index_decode(const uint8_t *bytes, size_t len, struct segment *s);

/* segment_save.c: cuts the file to its size and writes the index; done is called once. */
struct segment_save {
        struct segment *segment;
        void (*on_done)(struct segment_save *v);
        bool failed;
        struct io_op op;
        struct fd_waiter opened;
        struct index_image image;
        struct iovec iov;
        int fd;
        char path[STORE_NAME_MAX], path2[STORE_NAME_MAX];
};
void segment_save(struct segment_save *v);

/* cache_size.c */
bool cache_size_init(struct log_shard *ls, size_t limit);
void cache_size_free(struct log_shard *ls);
/* Bytes of a segment that were in memory and durable, and are let go. */
void cache_size_gone(struct log_shard *ls, const struct segment *s, uint64_t pos, size_t n);
/* A reader needs a block that is not in memory. */
void cache_size_missed(struct log_shard *ls, const struct segment *s, uint64_t number);
void cache_size_tick(struct log_shard *ls);

/* cache.c */
struct walk;
/* The block with at least `need` valid bytes, or NULL: *ret_status is ST_PENDING (w is resumed
 * later) or the reason. */
struct cached *cache_get(struct walk *w, uint64_t number, uint32_t need, int *ret_status);
/* The block if it is here, NULL if not: nothing is read, nobody waits. */
struct cached *cache_peek(struct walk *w, uint64_t number, uint32_t need);
/* Starts a read if that is possible without waiting for anything. */
void cache_ahead(struct log_shard *ls, struct segment *s, uint64_t number);
void cache_forget_segment(struct log_shard *ls, struct segment *s);
bool cache_evict_one(struct log_shard *ls);
void cache_free(struct log_shard *ls);

/* retention.c */
void retention_tick(struct log_shard *ls);
void retention_drops(struct log_shard *ls);
/* Drops whole segments below `offset`; for state logs. */
void partition_drop_before(struct partition *p, int64_t offset);

/* partition_delete.c */
void partition_delete_continue(struct partition *p);
unsigned partition_run_deletes(struct log_shard *ls);

/* checkpoint.c */
struct checkpoint_mark {
        struct partition_key key;
        int64_t segment, offset, max_timestamp;
        uint64_t position;
        UT_hash_handle hh;
};
struct checkpoint_table;
/* NULL: none. */
const struct checkpoint_mark *checkpoint_find(const struct store *s, const struct partition_key *k);
int checkpoint_load_all(struct store *s, struct io *io, struct err *e);
void checkpoint_table_free(struct checkpoint_table *t);
/* Writes this shard's; on_done gets 0 or -errno.  False: no memory or one is being written. */
bool checkpoint_write(struct log_shard *ls, void (*on_done)(struct log_shard *ls, int64_t res));

/* close.c */
void close_continue(struct log_shard *ls);

/* stats.c */
void log_stats_append(struct partition *p, size_t bytes);
/* Whether bytes of p wait for the disk may have changed. */
void log_stats_waiting(struct partition *p);
void log_stats_gone(struct partition *p);
void log_stats_write_begins(struct flush *f);
/* Durable or failed; harmless without a write. */
void log_stats_write_ends(struct flush *f);
void log_stats_journal(struct log_shard *ls, size_t bytes);
void log_stats_disk_read(struct log_shard *ls, size_t bytes);

/* store_probe.c */
int store_probe(struct store *s, struct io *io, enum store_durability wanted, struct err *e);
