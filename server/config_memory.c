/* memory.limit.bytes: its default, its division, and what has to fit into it.
 *
 * In 64ths of the limit, all shards together:
 *   16  receive buffers       a request is whole in memory before it is worked on
 *   28  blocks                tails and cached reads; of these the cache gets at most 14
 *    4  indexes               of segments
 *    8  arenas                decoded requests, replies
 *    8  not divided           topics, connections, rings, stacks, the program itself
 * Each shard has an equal part of the first four. */
#include "base/check.h"
#include "base/status.h"
#include "server/config_impl.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
        SHARE_ALL = 64,
        SHARE_RECEIVE = 16,
        SHARE_BLOCKS = 28,
        SHARE_CACHE = 14, /* of the blocks */
        SHARE_INDEXES = 4,
        SHARE_ARENAS = 8,
        SHARE_REST = 8,
        SHARD_MIN_MIB = 32, /* below that a shard has too few blocks to work */
        SMALL_FILE = 65536,
};
static_assert(SHARE_RECEIVE + SHARE_BLOCKS + SHARE_INDEXES + SHARE_ARENAS + SHARE_REST == SHARE_ALL,
    "the shares add up");
static_assert(SHARE_CACHE * 2 <= SHARE_BLOCKS, "tails have at least as much as the cache");

void config_memory(const struct config *c, unsigned shards, struct config_memory *ret)
{
        assert(shards > 0);
        uint64_t part = c->memory_limit / SHARE_ALL / shards;
        *ret = (struct config_memory){ .receive = part * SHARE_RECEIVE,
                .blocks = part * SHARE_BLOCKS,
                .cache = part * SHARE_CACHE,
                .indexes = part * SHARE_INDEXES,
                .arenas = part * SHARE_ARENAS };
}

/* --- the machine --- */

/* The first number of a small file; false: no file, no number ("max"). */
static bool read_number(const char *path, uint64_t *ret)
{
        char *text;
        size_t n;
        int64_t v;
        if (config_read_file(path, SMALL_FILE, &text, &n, NULL) < 0) return false;
        size_t len = strcspn(text, " \n");
        bool ok = text_i64((struct str){ text, (int32_t)len }, &v) && v > 0;
        free(text);
        if (ok) *ret = (uint64_t)v;
        return ok;
}

/* Our path in the unified hierarchy, from "0::/path". */
static void own_cgroup(char *buf, size_t n)
{
        char *text;
        size_t len;
        buf[0] = '\0';
        if (config_read_file("/proc/self/cgroup", SMALL_FILE, &text, &len, NULL) < 0) return;
        const char *at = strstr(text, "0::/");
        if (at && (at == text || at[-1] == '\n')) {
                at += 3;
                snprintf(buf, n, "%.*s", (int)strcspn(at, "\n"), at);
        }
        free(text);
}

uint64_t config_machine_memory(void)
{
        uint64_t least = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE), v;
        char group[1024], path[1200];
        own_cgroup(group, sizeof(group));
        /* A limit of any group above counts too; inside a container ours is the root. */
        for (;;) {
                snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
                if (read_number(path, &v) && v < least) least = v;
                char *slash = strrchr(group, '/');
                if (!slash) break;
                *slash = '\0';
        }
        if (read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", &v) && v < least) least = v;
        return least;
}

unsigned config_machine_cores(void)
{
        cpu_set_t set;
        if (sched_getaffinity(0, sizeof(set), &set) < 0) return 1;
        int n = CPU_COUNT(&set);
        return n > 0 ? (unsigned)n : 1;
}

/* --- fitting --- */

static uint64_t shards_that_fit(const struct config *c)
{
        return c->memory_limit / ((uint64_t)SHARD_MIN_MIB << 20);
}

unsigned config_shards(const struct config *c)
{
        if (c->shards > 0) return c->shards;
        uint64_t fit = shards_that_fit(c);
        unsigned cores = MIN(config_machine_cores(), 256U);
        return fit < cores ? (unsigned)MAX(fit, 1U) : cores;
}

int config_memory_fit(struct config *c, bool request_max_is_default, struct err *e)
{
        struct config_memory m;
        if (c->shards > shards_that_fit(c))
                return err_set(e, ST_INVALID,
                    "varve.shards=%u: needs memory.limit.bytes=%" PRIu64
                    " (%d MiB per shard), which is %" PRIu64,
                    c->shards, (uint64_t)c->shards * SHARD_MIN_MIB << 20, SHARD_MIN_MIB,
                    c->memory_limit);
        config_memory(c, config_shards(c), &m);
        /* A buffer grows by copying, so a request and the half of it are there together. */
        uint64_t most = m.receive / 2;
        if ((uint64_t)c->max_request_bytes <= most) return 0;
        if (!request_max_is_default)
                return err_set(e, ST_INVALID,
                    "socket.request.max.bytes=%d: at most %" PRIu64
                    " with memory.limit.bytes=%" PRIu64 " and %u shards",
                    c->max_request_bytes, most, c->memory_limit, config_shards(c));
        c->max_request_bytes = (int32_t)most;
        return 0;
}
