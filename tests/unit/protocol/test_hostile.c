/* Hostile messages (faults.md 4, 6, 7, 8): every prefix and thousands of mutations of every golden
 * message, counts and tags that lie.  They end in an error or in a message that can be written. */
#include "tests/unit/protocol/message_util.h"

#include "base/check.h"
#include "protocol/msg/all.h"
#include "tests/unit/protocol/golden_messages.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { MUTATIONS = 100000, ARENA_LIMIT = 32 << 10 };

static uint64_t seed = 0x2545f4914f6cdd1d;
static uint32_t next(uint32_t below)
{
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        return (uint32_t)((seed >> 32) * below >> 32);
}

static bool decode(
    const struct msg_codec *codec, struct bytes_mut b, int16_t v, void *m, struct arena *a)
{
        struct cursor c = cursor_of(b.p, b.n);
        bool ok = codec->decode(m, &c, v, a);
        cr_assert_eq(ok, !c.bad);
        cr_assert(ok || (c.why != NULL && c.fault_at <= b.n));
        cr_assert_leq(a->used, a->limit);
        return ok;
}

Test(hostile, no_prefix_of_a_message_is_a_message)
{
        for (size_t i = 0; i < COUNT_OF(golden_messages); i++) {
                const struct golden_message *g = &golden_messages[i];
                const struct msg_codec *codec = codec_of(g->name);
                struct bytes_mut whole = bytes_of_hex(g->hex);
                void *m = malloc(codec->size);
                for (size_t n = 0; n < whole.n; n++) {
                        struct arena a;
                        arena_init(&a, ARENA_LIMIT);
                        struct bytes_mut part = bytes_copy(whole.p, n);
                        cr_expect_not(decode(codec, part, g->version, m, &a), "%s v%d cut at %zu",
                            g->name, g->version, n);
                        free(part.p);
                        arena_reset(&a);
                }
                free(m);
                free(whole.p);
        }
}

/* Flips, sets to an edge, inserts or removes a few bytes. */
static size_t mutate(uint8_t *p, size_t n, size_t room)
{
        static const uint8_t edges[] = { 0, 1, 0x7f, 0x80, 0xff, 0xfe };
        for (uint32_t k = next(3) + 1; k > 0; k--) {
                size_t at = n ? next((uint32_t)n) : 0;
                switch (next(5)) {
                case 0:
                        if (n) p[at] ^= (uint8_t)(1 << next(8));
                        break;
                case 1:
                        if (n) p[at] = edges[next(COUNT_OF(edges))];
                        break;
                case 2:
                        if (n) p[at] = (uint8_t)next(256);
                        break;
                case 3:
                        if (n == room) break;
                        memmove(p + at + 1, p + at, n - at);
                        p[at] = (uint8_t)next(256);
                        n++;
                        break;
                default:
                        if (n == 0) break;
                        memmove(p + at, p + at + 1, n - at - 1);
                        n--;
                }
        }
        return n;
}

/* What was decoded can be written, and what was written can be decoded. */
static void expect_writable(const struct msg_codec *codec, const void *m, int16_t v)
{
        struct arena a;
        arena_init(&a, 1 << 20);
        struct out o;
        out_init(&o, &a);
        codec->encode(m, &o, v);
        cr_assert_not(o.bad);
        struct bytes_mut b = bytes_of_out(&o);
        void *back = malloc(codec->size);
        cr_assert(decode(codec, b, v, back, &a), "%s v%d", codec->name, v);
        free(back);
        free(b.p);
        arena_reset(&a);
}

static void run_mutations(const struct golden_message *g)
{
        const struct msg_codec *codec = codec_of(g->name);
        struct bytes_mut whole = bytes_of_hex(g->hex);
        void *m = malloc(codec->size);
        uint8_t buf[512];
        int valid = 0;
        for (int i = 0; i < MUTATIONS; i++) {
                memcpy(buf, whole.p, whole.n);
                size_t n = mutate(buf, whole.n, sizeof buf);
                struct bytes_mut b = bytes_copy(buf, n);
                struct arena a;
                arena_init(&a, ARENA_LIMIT);
                if (decode(codec, b, g->version, m, &a)) {
                        valid++;
                        expect_writable(codec, m, g->version);
                }
                arena_reset(&a);
                free(b.p);
        }
        cr_expect(valid > 0 && valid < MUTATIONS, "%s v%d: %d valid", g->name, g->version, valid);
        free(m);
        free(whole.p);
}

Test(hostile, mutated_messages, .timeout = 120)
{
        for (size_t i = 0; i < COUNT_OF(golden_messages); i++) run_mutations(&golden_messages[i]);
}

Test(hostile, random_bytes_in_every_message_and_version)
{
        for (unsigned i = 0; i < msg_codecs_count; i++) {
                const struct msg_codec *codec = &msg_codecs[i];
                void *m = malloc(codec->size);
                for (int16_t v = codec->min; v <= codec->max; v++) {
                        for (int k = 0; k < 300; k++) {
                                uint8_t buf[96];
                                size_t n = next(sizeof buf);
                                for (size_t at = 0; at < n; at++)
                                        buf[at] = (uint8_t)(next(3) ? next(4) : next(256));
                                struct bytes_mut b = bytes_copy(buf, n);
                                struct arena a;
                                arena_init(&a, ARENA_LIMIT);
                                if (decode(codec, b, v, m, &a)) expect_writable(codec, m, v);
                                arena_reset(&a);
                                free(b.p);
                        }
                }
                free(m);
        }
}

/* faults.md 6 and 7: small frames with huge counts are refused before anything is allocated. */
Test(hostile, huge_counts_allocate_nothing)
{
        static const struct golden_message cases[] = {
                { "produce_req", 3, "ffff ffff 000005dc 7fffffff 0002 7431 00000001 00000000" },
                { "produce_req", 3, "ffff ffff 000005dc 10000000 0002 7431 00000001 00000000" },
                { "produce_req", 9, "00 ffff 000005dc ffffffff0f 03 7431 02 00000000 05 deadbeef" },
                { "produce_req", 9, "00 ffff 000005dc 8080808001 03 7431 02 00000000 05 deadbeef" },
                { "metadata_req", 1, "7fffffff 0002 7431" },
                { "metadata_req", 9, "ffffffff0f 03 7431 00" },
                { "offset_delete_req", 0, "0001 67 7fffffff" },
                { "describe_groups_req", 0, "7fffffff 0001 67" },
                { "describe_groups_req", 5, "ffffffff0f 02 67 00 00" },
                { "find_coordinator_req", 4, "00 ffffffff0f 02 67 00" },
                { "request_header", 2, "0012 0003 00000001 ffff 80dac409 0000 0000 0000 0000" },
                { "request_header", 2, "0012 0003 00000001 ffff ffffffff0f 0000 0000 0000 0000" },
                { "metadata_req", 9, "00 01 00 00 80dac409 0000 0000" },
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
                const struct msg_codec *codec = codec_of(cases[i].name);
                struct bytes_mut b = bytes_of_hex(cases[i].hex);
                struct arena a;
                arena_init(&a, ARENA_LIMIT);
                void *m = malloc(codec->size);
                cr_expect_not(decode(codec, b, cases[i].version, m, &a), "%s", cases[i].hex);
                cr_expect_eq(a.used, 0, "%s: %zu bytes", cases[i].hex, a.used);
                free(m);
                free(b.p);
                arena_reset(&a);
        }
}

/* faults.md 9: what a frame may make us allocate is capped by the arena, whatever it contains. */
Test(hostile, many_small_elements_end_at_the_arena_limit)
{
        size_t n = 1 << 20;
        uint8_t *p = calloc(n, 1);
        cr_assert_not_null(p);
        store_be16(p, 0xffff);
        store_be32(
            p + 8, (uint32_t)(n / 6 - 100)); /* topics of 6 zero bytes: no name, no partitions */
        struct cursor c = cursor_of(p, n);
        struct arena a;
        arena_init(&a, 1 << 20);
        struct produce_req m;
        cr_expect_not(produce_req_decode(&m, &c, 3, &a));
        cr_expect_str_eq(c.why, "message needs more memory than a request may");
        cr_expect_eq(m.topic_data.n, 0);
        cr_expect_leq(a.used, a.limit);
        arena_reset(&a);
        arena_init(&a, 64 << 20);
        c = cursor_of(p, n);
        cr_expect(produce_req_decode(&m, &c, 3, &a), "%s", c.why);
        arena_reset(&a);
        free(p);
}
