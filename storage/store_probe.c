/* What this directory's file system can do: O_DIRECT, and which way of making a write durable is
 * the faster one here.  A handful of 4 KiB writes to a file of its own. */
#include "storage/files.h"
#include "storage/internal.h"

#include <errno.h>
#include <fcntl.h>

enum { PROBE_ROUNDS = 6, PROBE_BYTES = 64 << 10 };
static_assert((2 * PROBE_ROUNDS + 1) * STORE_PAGE <= PROBE_BYTES, "every round has its own pages");
#define PROBE_NAME "probe.tmp"

struct probe {
        struct io *io;
        int fd;
        uint8_t *page; /* STORE_PAGE bytes, aligned */
};

static int64_t probe_write(struct probe *b, uint32_t flags, uint64_t at)
{
        struct io_op op;
        struct iovec iov = { b->page, STORE_PAGE };
        io_write(b->io, &op,
            &(struct io_write_args){
                .fd = b->fd, .reg = -1, .n_iov = 1, .flags = flags, .iov = &iov, .off = at });
        int64_t r = io_await(b->io, &op);
        return r == STORE_PAGE ? 0 : r < 0 ? r : -EIO;
}

/* Nanoseconds of one durable write of a page, or -errno. */
static int64_t probe_time(struct probe *b, bool dsync, uint64_t page)
{
        io_turn(b->io, 0);
        uint64_t from = io_now_ns(b->io);
        int64_t r = probe_write(b, dsync ? IO_DSYNC : 0, page * STORE_PAGE);
        if (r == 0 && !dsync) r = file_sync(b->io, b->fd);
        if (r < 0) return r;
        io_turn(b->io, 0);
        return (int64_t)(io_now_ns(b->io) - from);
}

struct probe_times {
        int64_t dsync, sync; /* fastest round, or -errno */
};

/* In turns, each round on pages never written before, as appends will be. */
static struct probe_times probe_both(struct probe *b)
{
        struct probe_times t = { INT64_MAX, INT64_MAX };
        for (uint64_t i = 0; i < PROBE_ROUNDS && t.dsync >= 0 && t.sync >= 0; i++) {
                t.dsync = MIN(t.dsync, probe_time(b, true, 1 + 2 * i));
                t.sync = MIN(t.sync, probe_time(b, false, 2 + 2 * i));
        }
        return t;
}

static int64_t probe_open(struct store *s, struct probe *b, bool direct)
{
        int64_t fd = file_open(
            b->io, s->dir_fd, PROBE_NAME, O_RDWR | O_CREAT | O_TRUNC | (direct ? O_DIRECT : 0));
        if (fd < 0) return fd;
        b->fd = (int)fd;
        struct io_op op;
        io_allocate(b->io, &op, b->fd, 0, PROBE_BYTES);
        int64_t r = io_await(b->io, &op);
        if (r == 0) r = probe_write(b, 0, 0);
        if (r == 0) return 0;
        file_close(b->io, b->fd);
        b->fd = -1;
        return r;
}

static void probe_remove(struct store *s, struct probe *b)
{
        struct io_op op;
        file_close(b->io, b->fd);
        io_unlink(b->io, &op, s->dir_fd, PROBE_NAME);
        io_await(b->io, &op);
}

static int64_t probe_durability(struct store *s, struct probe *b, enum store_durability wanted)
{
        static const char *const words[] = { "measured", "configured: dsync", "configured: sync" };
        /* Once each without a clock: the first write of a file costs more than the next ones. */
        struct probe_times t = { .dsync = probe_write(b, IO_DSYNC, 0),
                .sync = file_sync(b->io, b->fd) };
        if (t.dsync == 0 && t.sync == 0) t = probe_both(b);
        if (t.sync < 0) return t.sync;
        s->dsync = t.dsync >= 0 && t.dsync <= t.sync;
        if (wanted == STORE_DURABILITY_SYNC) s->dsync = false;
        if (wanted == STORE_DURABILITY_DSYNC) {
                if (t.dsync < 0) return t.dsync;
                s->dsync = true;
        }
        log_event(LOG_INFO, "durable writes", LOG_STR("dir", s->dir),
            LOG_STR("method", s->dsync ? "RWF_DSYNC" : "write, fdatasync"),
            LOG_STR("chosen", words[wanted]), LOG_INT("dsync_ns", t.dsync),
            LOG_INT("sync_ns", t.sync), LOG_END);
        return 0;
}

int store_probe(struct store *s, struct io *io, enum store_durability wanted, struct err *e)
{
        CHECK_OBJ(s, STORE_MAGIC);
        void *page;
        if (posix_memalign(&page, STORE_PAGE, STORE_PAGE) != 0)
                return err_set(e, ST_NOMEM, "log directory %s: out of memory", s->dir);
        memset(page, 0, STORE_PAGE);
        struct probe b = { .io = io, .fd = -1, .page = page };
        int64_t r = probe_open(s, &b, true);
        s->direct = r == 0;
        if (r == -EINVAL || r == -EOPNOTSUPP) {
                log_event(LOG_WARN, "no O_DIRECT here, writing through the page cache",
                    LOG_STR("dir", s->dir), LOG_END);
                r = probe_open(s, &b, false);
        }
        if (r == 0) r = probe_durability(s, &b, wanted);
        probe_remove(s, &b);
        free(page);
        if (r < 0)
                return err_set(e, status_from_errno(r), "log directory %s: probe write: %s", s->dir,
                    strerror((int)-r));
        return ST_OK;
}
