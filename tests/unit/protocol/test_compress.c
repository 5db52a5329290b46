/* The codecs: both directions, caps, and input that lies.  faults.md 15, 16. */
#include "tests/unit/protocol/batch_util.h"

#include <lz4frame.h>
#include <malloc.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

static struct codec_ctx *x;
static struct rng r;

static void begin(void)
{
        x = codec_ctx_new();
        r.s = 0x243f6a8885a308d3;
        cr_assert(x);
}
static void end(void)
{
        codec_ctx_free(x);
}
TestSuite(compress, .init = begin, .fini = end, .timeout = 300);

static int inflate_all(const struct coding *c, struct bytes in, uint64_t max_out, struct gather *g)
{
        g->sink.on_bytes = gather_bytes;
        g->n = 0;
        return codec_inflate(x, c->codec, in, max_out, &g->sink, NULL);
}

static void round_trip(const struct coding *c, const uint8_t *p, size_t n)
{
        struct blob small = deflated(x, c, (struct bytes){ p, (int32_t)n });
        struct gather g = { .p = malloc(n + 1), .room = n };
        cr_assert_eq(inflate_all(c, blob_bytes(small), n, &g), 0, "%s %zu", c->name, n);
        cr_assert_eq(g.n, n, "%s %zu", c->name, n);
        if (n) cr_assert_arr_eq(g.p, p, n);
        if (n) { /* one byte less than it needs */
                g.n = 0;
                cr_assert_eq(inflate_all(c, blob_bytes(small), n - 1, &g), ST_TOO_LARGE);
                cr_assert_leq(g.n, n - 1);
        }
        free(g.p);
        free(small.p);
}

Test(compress, round_trips_of_all_codecs)
{
        enum { MAX_SIZE = 1 << 20 };
        static uint8_t noise[MAX_SIZE], text[MAX_SIZE];
        static const size_t large[] = { 65535, 65536, 65537, 131071, 131072, 131073, MAX_SIZE };
        random_bytes(&r, noise, MAX_SIZE);
        text_bytes(&r, text, MAX_SIZE);
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                for (size_t n = 0; n <= 300; n++) {
                        round_trip(&codings[c], noise, n);
                        round_trip(&codings[c], text, n);
                }
                for (size_t i = 0; i < COUNT_OF(large); i++) {
                        round_trip(&codings[c], noise, large[i]);
                        round_trip(&codings[c], text, large[i]);
                }
        }
}

Test(compress, framings_start_as_the_sheet_says)
{
        static const uint8_t xerial[16] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0,
                0, 1 };
        static const uint8_t lz4[7] = { 0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82 };
        static uint8_t text[100000];
        text_bytes(&r, text, sizeof text);
        struct bytes in = { text, sizeof text };
        struct blob b = deflated(x, &codings[3], in);
        cr_assert_arr_eq(b.p, xerial, sizeof xerial);
        size_t blocks = 0;
        for (size_t at = 16; at < b.n; at += 4 + load_be32(b.p + at)) {
                size_t n = 0;
                cr_assert_eq(
                    snappy_uncompressed_length((char *)b.p + at + 4, load_be32(b.p + at), &n),
                    SNAPPY_OK);
                cr_assert_leq(n, 32768);
                blocks++;
        }
        cr_assert_eq(blocks, 4);
        free(b.p);
        b = deflated(x, &codings[4], in);
        cr_assert_arr_eq(b.p, lz4, sizeof lz4, "Java and librdkafka begin their frames so");
        free(b.p);
}

Test(compress, no_room_is_an_error_not_an_overrun)
{
        static uint8_t noise[5000];
        random_bytes(&r, noise, sizeof noise);
        for (size_t c = 0; c < COUNT_OF(codings); c++)
                for (size_t room = 0; room < sizeof noise; room += 97) {
                        struct blob out = blob_of(noise, room);
                        int64_t n = codec_deflate(x, codings[c].codec, codings[c].xerial,
                            (struct bytes){ noise, sizeof noise },
                            (struct bytes_mut){ out.p, room }, NULL);
                        cr_assert_eq(n, ST_TOO_LARGE, "%s into %zu", codings[c].name, room);
                        free(out.p);
                }
}

Test(compress, sink_stops_the_stream)
{
        static uint8_t noise[400000];
        random_bytes(&r, noise, sizeof noise);
        for (size_t c = 0; c < COUNT_OF(codings); c++) {
                struct blob b = deflated(x, &codings[c], (struct bytes){ noise, sizeof noise });
                struct gather g = { .stop_with = 7 };
                cr_assert_eq(inflate_all(&codings[c], blob_bytes(b), UINT64_MAX, &g), 7);
                cr_assert_eq(g.n, g.largest, "called once");
                round_trip(&codings[c], noise, 1000); /* the context is fit for use again */
                free(b.p);
        }
}

Test(compress, unknown_codec)
{
        struct gather g = { .sink = { gather_bytes } };
        for (int c = 5; c < 8; c++)
                cr_assert_eq(codec_inflate(x, (enum codec)c, (struct bytes){ (uint8_t *)"x", 1 },
                                 10, &g.sink, NULL),
                    ST_UNSUPPORTED);
}

/* A cut stream is refused at every length; only xerial can end between two blocks. */
Test(compress, truncation_at_each_byte)
{
        static uint8_t text[70000];
        text_bytes(&r, text, sizeof text);
        for (size_t c = 1; c < COUNT_OF(codings); c++) {
                struct blob b = deflated(x, &codings[c], (struct bytes){ text, sizeof text });
                for (size_t n = 0; n < b.n; n++) {
                        struct blob cut = blob_of(b.p, n);
                        struct gather g = { 0 };
                        int got = inflate_all(&codings[c], blob_bytes(cut), sizeof text, &g);
                        if (codings[c].xerial && n >= 16 && got == 0)
                                cr_assert(g.n % 32768 == 0 && g.n < sizeof text);
                        else
                                cr_assert_eq(got, ST_BAD_BATCH, "%s at %zu", codings[c].name, n);
                        free(cut.p);
                }
                free(b.p);
        }
}

Test(compress, random_mutations)
{
        static uint8_t text[3000];
        text_bytes(&r, text, sizeof text);
        enum { ROUNDS = 20000, CAP = 20000 };
        for (size_t c = 1; c < COUNT_OF(codings); c++) {
                struct blob b = deflated(x, &codings[c], (struct bytes){ text, sizeof text });
                unsigned accepted = 0;
                for (int i = 0; i < ROUNDS; i++) {
                        struct blob m = blob_of(b.p, b.n);
                        for (uint32_t k = 1 + rnd_below(&r, 4); k > 0; k--)
                                m.p[rnd_below(&r, (uint32_t)m.n)] = (uint8_t)rnd(&r);
                        struct gather g = { 0 };
                        int got = inflate_all(&codings[c], blob_bytes(m), CAP, &g);
                        cr_assert(got == 0 || got == ST_BAD_BATCH || got == ST_TOO_LARGE, "%s: %d",
                            codings[c].name, got);
                        cr_assert_leq(g.n, CAP);
                        accepted += got == 0;
                        free(m.p);
                }
                cr_assert_lt(accepted, ROUNDS, "%s notices nothing", codings[c].name);
                round_trip(&codings[c], text, sizeof text);
                free(b.p);
        }
}

/* --- gzip ---------------------------------------------------------------------------------- */

static struct blob join(struct blob a, const void *p, size_t n)
{
        a.p = realloc(a.p, a.n + n + 1);
        assert(a.p);
        if (n) memcpy(a.p + a.n, p, n);
        a.n += n;
        return a;
}

static const struct coding *const gzip = &codings[1], *const raw = &codings[2],
                                  *const xerial = &codings[3], *const lz4 = &codings[4],
                                  *const zstd = &codings[5];

Test(compress, gzip_members_and_what_follows)
{
        struct blob one = deflated(x, gzip, (struct bytes){ (uint8_t *)"hello ", 6 });
        struct blob two = deflated(x, gzip, (struct bytes){ (uint8_t *)"world", 5 });
        struct blob both = join(blob_of(one.p, one.n), two.p, two.n);
        uint8_t text[64];
        struct gather g = { .p = text, .room = sizeof text };
        cr_assert_eq(inflate_all(gzip, blob_bytes(both), 11, &g), 0);
        cr_assert(g.n == 11 && memcmp(text, "hello world", 11) == 0);
        cr_assert_eq(inflate_all(gzip, blob_bytes(both), 10, &g), ST_TOO_LARGE);
        static const struct {
                const char *p;
                size_t n;
        } trailing[] = { { "", 0 }, { "x", 1 }, { "\x1f\x8b", 2 },
                { "\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\0", 17 },
                { "garbage longer than a member's header and trailer", 49 } };
        for (size_t i = 0; i < COUNT_OF(trailing); i++) {
                struct blob b = join(blob_of(one.p, one.n), trailing[i].p, trailing[i].n);
                cr_assert_eq(inflate_all(gzip, blob_bytes(b), 64, &g), 0, "trailing %zu", i);
                cr_assert_eq(g.n, 6);
                free(b.p);
        }
        free(one.p);
        free(two.p);
        free(both.p);
}

Test(compress, zlib_wrapper_is_not_gzip)
{
        uint8_t out[64];
        uLongf n = sizeof out;
        cr_assert_eq(compress(out, &n, (const uint8_t *)"hello", 5), Z_OK);
        struct gather g = { 0 };
        cr_assert_eq(inflate_all(gzip, (struct bytes){ out, (int32_t)n }, 64, &g), ST_BAD_BATCH);
}

/* --- snappy -------------------------------------------------------------------------------- */

Test(compress, xerial_streams_one_after_another)
{
        struct blob one = deflated(x, xerial, (struct bytes){ (uint8_t *)"hello ", 6 });
        struct blob two = deflated(x, xerial, (struct bytes){ (uint8_t *)"world", 5 });
        struct blob both = join(blob_of(one.p, one.n), two.p, two.n);
        uint8_t text[64];
        struct gather g = { .p = text, .room = sizeof text };
        cr_assert_eq(inflate_all(xerial, blob_bytes(both), 11, &g), 0);
        cr_assert(g.n == 11 && memcmp(text, "hello world", 11) == 0);
        cr_assert_eq(inflate_all(xerial, (struct bytes){ one.p, 16 }, 11, &g), 0, "no blocks");
        cr_assert_eq(g.n, 0);
        cr_assert_eq(inflate_all(xerial, (struct bytes){ one.p, 15 }, 11, &g), ST_BAD_BATCH);
        both.p[11] = 0; /* version */
        cr_assert_eq(inflate_all(xerial, blob_bytes(both), 11, &g), ST_BAD_BATCH);
        free(one.p);
        free(two.p);
        free(both.p);
}

/* Neither framing lets a length size an allocation. */
Test(compress, snappy_lengths_that_lie)
{
        static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 0x0f, 0xfe, 1, 0, 0xfe, 1, 0 };
        static const uint8_t likely[] = { 0x80, 0x80, 0x40, 0xfe, 1, 0, 0xfe, 1, 0 }; /* 1 MiB */
        struct gather g = { 0 };
        size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
        struct bytes in = { huge, sizeof huge };
        cr_assert_eq(inflate_all(raw, in, 64 << 20, &g), ST_TOO_LARGE);
        cr_assert_eq(inflate_all(raw, in, UINT64_MAX, &g), ST_TOO_LARGE);
        in = (struct bytes){ likely, sizeof likely };
        cr_assert_eq(inflate_all(raw, in, 64 << 20, &g), ST_BAD_BATCH);
        uint8_t framed[16 + 4 + sizeof likely] = { 0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0,
                1, 0, 0, 0, 1, 0, 0, 0, sizeof likely };
        memcpy(framed + 20, likely, sizeof likely);
        in = (struct bytes){ framed, sizeof framed };
        cr_assert_eq(inflate_all(xerial, in, 64 << 20, &g), ST_BAD_BATCH);
        memset(framed + 16, 0x7f, 4);
        cr_assert_eq(inflate_all(xerial, in, 64 << 20, &g), ST_BAD_BATCH);
        memset(framed + 16, 0xff, 4);
        cr_assert_eq(inflate_all(xerial, in, 64 << 20, &g), ST_BAD_BATCH);
        cr_assert_leq(mallinfo2().uordblks + mallinfo2().hblkhd, before + 4096);
}

/* The bound on a block's length must let the densest legal block through: 64 bytes for each 3. */
Test(compress, densest_snappy_block_passes)
{
        enum { COPIES = 5000, N = 1 + COPIES * 64 };
        static uint8_t in[8 + COPIES * 3];
        size_t at = 0;
        for (uint32_t v = N; v; v >>= 7) in[at++] = (uint8_t)(v >= 128 ? v | 128 : v);
        in[at++] = 0; /* literal of one byte */
        in[at++] = 'z';
        for (int i = 0; i < COPIES; i++) {
                in[at++] = 63 << 2 | 2; /* copy of 64, two bytes of offset */
                in[at++] = 1;
                in[at++] = 0;
        }
        struct gather g = { 0 };
        cr_assert_eq(inflate_all(raw, (struct bytes){ in, (int32_t)at }, N, &g), 0);
        cr_assert_eq(g.n, N);
}

/* --- lz4, zstd ----------------------------------------------------------------------------- */

Test(compress, lz4_frames_that_java_cannot_read)
{
        static uint8_t text[200000], out[300000];
        text_bytes(&r, text, sizeof text);
        LZ4F_preferences_t p = { .frameInfo = { .blockMode = LZ4F_blockLinked } };
        struct gather g = { 0 };
        size_t n = LZ4F_compressFrame(out, sizeof out, text, sizeof text, &p);
        cr_assert_eq(
            inflate_all(lz4, (struct bytes){ out, (int32_t)n }, 1 << 20, &g), ST_BAD_BATCH);
        p = (LZ4F_preferences_t){ .frameInfo = { .blockMode = LZ4F_blockIndependent,
                                      .blockSizeID = LZ4F_max4MB,
                                      .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                                      .contentSize = sizeof text } };
        n = LZ4F_compressFrame(out, sizeof out, text, sizeof text, &p);
        cr_assert_eq(inflate_all(lz4, (struct bytes){ out, (int32_t)n }, sizeof text, &g), 0);
        cr_assert_eq(g.n, sizeof text);
        out[n - 1] ^= 1; /* content checksum */
        cr_assert_eq(
            inflate_all(lz4, (struct bytes){ out, (int32_t)n }, 1 << 20, &g), ST_BAD_BATCH);
        out[n - 1] ^= 1;
        out[n] = 'x';
        cr_assert_eq(
            inflate_all(lz4, (struct bytes){ out, (int32_t)n + 1 }, 1 << 20, &g), ST_BAD_BATCH);
        out[4] |= 1; /* dictionary id */
        cr_assert_eq(
            inflate_all(lz4, (struct bytes){ out, (int32_t)n }, 1 << 20, &g), ST_BAD_BATCH);
}

Test(compress, zstd_windows_and_frames)
{
        /* Frame header without content size: window descriptor is exponent << 3 (2^(10+exponent)).
         */
        uint8_t frame[] = { 0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3, 1, 0, 0 }; /* one empty raw block */
        struct bytes in = { frame, sizeof frame };
        struct gather g = { 0 };
        cr_assert_eq(inflate_all(zstd, in, 1 << 20, &g), 0, "8 MiB");
        frame[5] = 13 << 3 | 1;
        cr_assert_eq(inflate_all(zstd, in, 1 << 20, &g), ST_TOO_LARGE, "9 MiB");
        size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
        frame[5] = 21 << 3;
        cr_assert_eq(inflate_all(zstd, in, 1 << 20, &g), ST_TOO_LARGE, "2 GiB");
        frame[5] = 31 << 3 | 7;
        cr_assert_eq(inflate_all(zstd, in, 1 << 20, &g), ST_TOO_LARGE, "3.75 TiB");
        cr_assert_leq(mallinfo2().uordblks + mallinfo2().hblkhd, before + 4096);
        struct blob one = deflated(x, zstd, (struct bytes){ (uint8_t *)"hello ", 6 });
        struct blob two = join(blob_of(one.p, one.n), one.p, one.n);
        cr_assert_eq(inflate_all(zstd, blob_bytes(two), 12, &g), 0);
        cr_assert_eq(g.n, 12);
        two = join(two, "junk", 4);
        cr_assert_eq(inflate_all(zstd, blob_bytes(two), 64, &g), ST_BAD_BATCH);
        free(one.p);
        free(two.p);
}

/* --- bombs, faults.md 15 ------------------------------------------------------------------- */

enum { BOMB_MEMBER = 16 << 20, BOMB_MEMBERS = 64 };

/* Small streams of zeros one after another: 1 GiB from about 1 MB and less. */
static struct blob bomb(const struct coding *c, int members)
{
        static uint8_t zeros[BOMB_MEMBER];
        struct blob one = deflated(x, c, (struct bytes){ zeros, BOMB_MEMBER });
        struct blob all = { malloc(one.n * (size_t)members), one.n * (size_t)members };
        assert(all.p);
        for (int i = 0; i < members; i++) memcpy(all.p + one.n * (size_t)i, one.p, one.n);
        free(one.p);
        return all;
}

static size_t held(void)
{
        struct mallinfo2 m = mallinfo2(); /* zeros under ASan, which then checks nothing here */
        return m.uordblks + m.hblkhd;
}

struct watch {
        struct gather g;
        size_t most;
};

static int watch_bytes(struct inflate_sink *s, struct bytes piece)
{
        struct watch *w = CONTAINER_OF(s, struct watch, g.sink);
        w->most = MAX(w->most, held());
        return gather_bytes(s, piece);
}

static void bomb_is_flat(const struct coding *c, struct bytes in, uint64_t cap, size_t memory)
{
        struct watch w = { .g = { .sink = { watch_bytes } } };
        size_t before = held();
        cr_assert_eq(
            codec_inflate(x, c->codec, in, cap, &w.g.sink, NULL), ST_TOO_LARGE, "%s", c->name);
        cr_assert_leq(w.g.n, cap);
        cr_assert_leq(w.most, before + memory, "%s held %zu", c->name, w.most - before);
        cr_assert_leq(held(), before + memory);
}

Test(compress, bombs_stop_at_the_cap)
{
        enum { CAP = 64 << 20, CONTEXT = 20 << 20 };
        static const size_t of[] = { 1, 3, 5 }; /* can be concatenated: 1 GiB */
        for (size_t i = 0; i < COUNT_OF(of); i++) {
                const struct coding *c = &codings[of[i]];
                struct blob b = bomb(c, BOMB_MEMBERS);
                bomb_is_flat(c, blob_bytes(b), CAP, CONTEXT);
                bomb_is_flat(c, blob_bytes(b), 1, CONTEXT);
                free(b.p);
        }
        struct blob b = bomb(lz4, 1);
        bomb_is_flat(lz4, blob_bytes(b), BOMB_MEMBER - 1, CONTEXT);
        free(b.p);
        /* A raw block must be held whole, but not above the cap. */
        b = bomb(raw, 1);
        cr_assert_leq(b.n, 1 << 20);
        bomb_is_flat(raw, blob_bytes(b), BOMB_MEMBER - 1, 4096);
        free(b.p);
}

Test(compress, a_gibibyte_passes_in_flat_memory)
{
        struct blob b = bomb(gzip, BOMB_MEMBERS);
        cr_assert_leq(b.n, (size_t)1100000, "about 1 MB: %zu", b.n);
        struct watch w = { .g = { .sink = { watch_bytes } } };
        size_t before = held();
        cr_assert_eq(codec_inflate(x, CODEC_GZIP, blob_bytes(b), UINT64_MAX, &w.g.sink, NULL), 0);
        cr_assert_eq(w.g.n, (uint64_t)BOMB_MEMBER * BOMB_MEMBERS);
        cr_assert_leq(w.g.largest, 128 << 10);
        cr_assert_leq(w.most, before + (1 << 20));
        free(b.p);
}

/* Frames inside frames are bytes: the outer one is inflated, once. */
Test(compress, nested_snappy_is_inflated_once)
{
        static uint8_t zeros[1 << 20];
        struct blob inner = deflated(x, xerial, (struct bytes){ zeros, sizeof zeros });
        for (int depth = 0; depth < 8; depth++) {
                struct blob outer = deflated(x, xerial, blob_bytes(inner));
                struct gather g = { .p = malloc(inner.n), .room = inner.n };
                cr_assert_eq(inflate_all(xerial, blob_bytes(outer), inner.n, &g), 0);
                cr_assert(g.n == inner.n && memcmp(g.p, inner.p, inner.n) == 0);
                free(g.p);
                free(inner.p);
                inner = outer;
        }
        free(inner.p);
}
