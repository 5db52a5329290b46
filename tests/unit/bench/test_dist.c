/* Sizes, keys and payloads follow what was asked for. */
#include "bench/dist.h"
#include "bench/payload.h"
#include "protocol/compress.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { DRAWS = 200000 };

static double mean_size(struct size_dist d, uint32_t *least, uint32_t *most)
{
        struct rng r = { 1 };
        double sum = 0;
        *least = UINT32_MAX;
        *most = 0;
        for (int i = 0; i < DRAWS; i++) {
                uint32_t n = size_draw(&d, &r);
                sum += n;
                if (n < *least) *least = n;
                if (n > *most) *most = n;
        }
        cr_assert_geq(*least, size_least(&d));
        cr_assert_leq(*most, size_most(&d));
        return sum / DRAWS;
}

Test(dist, sizes_have_their_mean_and_bounds)
{
        uint32_t least, most;
        cr_assert_float_eq(
            mean_size((struct size_dist){ SIZE_FIXED, 77, 0 }, &least, &most), 77, 0);
        double m = mean_size((struct size_dist){ SIZE_UNIFORM, 100, 300 }, &least, &most);
        cr_assert_float_eq(m, 200, 1);
        cr_assert(least == 100 && most == 300);
        m = mean_size((struct size_dist){ SIZE_NORMAL, 1000, 100 }, &least, &most);
        cr_assert_float_eq(m, 1000, 3);
        cr_assert(least > 400 && most < 1600);
        m = mean_size((struct size_dist){ SIZE_EXP, 500, 0 }, &least, &most);
        cr_assert_float_eq(m, 500, 5);
}

Test(dist, zipf_ranks_have_their_weights)
{
        enum { N = 100 };
        static uint32_t hits[N];
        const struct key_dist d = { KEYS_ZIPF, N, 1.0 };
        struct keys k;
        struct rng r = { 5 };
        double norm = 0;
        cr_assert(keys_init(&k, &d));
        for (int i = 0; i < DRAWS; i++) hits[keys_draw(&k, &r)]++;
        for (int i = 1; i <= N; i++) norm += 1.0 / i;
        for (int i = 0; i < N; i++) {
                double want = DRAWS / (i + 1.0) / norm;
                cr_assert_float_eq(
                    hits[i], want, 6 * sqrt(want), "rank %d: %u, not %g", i, hits[i], want);
        }
        keys_free(&k);
}

Test(dist, uniform_keys_are_all_drawn_alike)
{
        enum { N = 50 };
        static uint32_t hits[N];
        const struct key_dist d = { KEYS_UNIFORM, N, 0 };
        struct keys k;
        struct rng r = { 6 };
        cr_assert(keys_init(&k, &d));
        for (int i = 0; i < DRAWS; i++) hits[keys_draw(&k, &r)]++;
        for (int i = 0; i < N; i++)
                cr_assert_float_eq((double)hits[i], DRAWS / N, 6 * sqrt(DRAWS / N));
        keys_free(&k);
}

Test(dist, keys_are_text_and_spread_over_partitions)
{
        char key[KEY_TEXT_LEN];
        uint32_t hits[16] = { 0 };
        key_text(1234, key);
        cr_assert_arr_eq(key, "key-00001234", KEY_TEXT_LEN);
        for (uint32_t i = 0; i < 16000; i++) {
                key_text(i, key);
                hits[key_partition(key, KEY_TEXT_LEN, 16)]++;
        }
        for (int i = 0; i < 16; i++) cr_assert_float_eq((double)hits[i], 1000, 200);
}

Test(dist, the_same_seed_gives_the_same_numbers)
{
        struct rng a = { 11 }, b = { 11 }, c = { 12 };
        bool same = true;
        for (int i = 0; i < 100; i++) {
                uint64_t x = rng_next(&a);
                cr_assert_eq(x, rng_next(&b));
                same = same && x == rng_next(&c);
        }
        cr_assert_not(same);
}

static double ratio_of(double ratio)
{
        const struct payload_kind k = { .type = PAYLOAD_COMPRESSIBLE, .ratio = ratio };
        struct payload p;
        struct rng r = { 2 };
        struct codec_ctx *cx = codec_ctx_new();
        cr_assert(cx && payload_init(&p, &k, 100000, NULL) == 0);
        struct bytes v = payload_draw(&p, &r, 100000);
        size_t room = codec_bound(CODEC_LZ4, 100000);
        uint8_t *out = malloc(room);
        int64_t n = codec_deflate(cx, CODEC_LZ4, true, v, (struct bytes_mut){ out, room }, NULL);
        cr_assert_gt(n, 0);
        free(out);
        codec_ctx_free(cx);
        payload_free(&p);
        return 100000.0 / (double)n;
}

Test(payload, compresses_to_about_the_ratio)
{
        cr_assert_float_eq(ratio_of(1), 1, 0.02);
        cr_assert_float_eq(ratio_of(2), 2, 0.3);
        cr_assert_float_eq(ratio_of(4), 4, 0.8);
}

Test(payload, lines_of_a_file_are_drawn_whole)
{
        char path[] = "/tmp/bench-lines-XXXXXX";
        int fd = mkstemp(path);
        static const char text[] = "alpha\n\nbeta\ngamma";
        cr_assert(fd >= 0 && write(fd, text, sizeof text - 1) == sizeof text - 1);
        close(fd);
        const struct payload_kind k = { .type = PAYLOAD_LINES, .path = path };
        struct payload p;
        struct err e;
        struct rng r = { 4 };
        int seen[3] = { 0 };
        cr_assert_eq(payload_init(&p, &k, 10, &e), 0);
        unlink(path);
        for (int i = 0; i < 300; i++) {
                struct bytes v = payload_draw(&p, &r, 10);
                struct str s = { (const char *)v.p, v.n };
                seen[0] += str_eq(s, STR("alpha"));
                seen[1] += str_eq(s, STR("beta"));
                seen[2] += str_eq(s, STR("gamma"));
        }
        cr_assert_eq(seen[0] + seen[1] + seen[2], 300);
        cr_assert(seen[0] > 50 && seen[1] > 50 && seen[2] > 50);
        cr_assert_eq(p.longest, 5);
        payload_free(&p);
        cr_assert_lt(payload_init(&p, &k, 10, &e), 0);
}
