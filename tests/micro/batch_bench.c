/* Micro-benchmark: what it costs to prove, iterate and search the records of a batch.
 *   batch_bench [seconds per number] */
#include "base/check.h"
#include "protocol/batch.h"

#include <stdio.h>
#include <time.h>

enum { RECORDS = 1000, CAP = 64 << 20 };

static volatile int64_t keep; /* the compiler may not drop the work */

static double now(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int on_record(struct record_visitor *v, const struct record *r)
{
        (void)v;
        keep = r->offset;
        return 0;
}

static void once(int what, const uint8_t *p, const struct batch *b, struct codec_ctx *x)
{
        struct batch_scan s;
        struct batch_fault f;
        struct record_visitor v = { on_record };
        struct batch_search none = { .timestamp = INT64_MAX };
        if (what == 0) assert(batch_scan_records(p, b, x, CAP, &s, &f));
        if (what == 1) assert(batch_each_record(p, b, x, CAP, &v, NULL) == 0);
        if (what == 2) assert(batch_find_timestamp(p, b, x, CAP, &none) == 0);
}

static double ns_per_record(
    int what, const uint8_t *p, const struct batch *b, struct codec_ctx *x, double seconds)
{
        uint64_t n = 0;
        double from = now(), to = from;
        for (; to - from < seconds; to = now()) {
                for (int i = 0; i < 16; i++) once(what, p, b, x);
                n += 16 * (uint64_t)b->count;
        }
        return (to - from) * 1e9 / (double)n;
}

static void line(enum codec codec, int32_t value, int headers, struct codec_ctx *x, double seconds)
{
        static struct record_in records[RECORDS];
        static uint8_t text[RECORDS + 2000];
        static const struct record_header header[2] = { { { "trace", 5 },
                                                            { (const uint8_t *)"0123456789", 10 } },
                { { "type", 4 }, { (const uint8_t *)"x", 1 } } };
        for (size_t i = 0; i < sizeof text; i++) text[i] = (uint8_t)(i * i >> 3);
        for (int i = 0; i < RECORDS; i++)
                records[i] = (struct record_in){ .timestamp = 1700000000000 + i / 7,
                        .key = { text + i, i % 9 },
                        .value = { text + i, value - i % 5 },
                        .headers = header,
                        .n_headers = headers };
        struct batch_build in = { .attributes = (int16_t)codec,
                .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = records,
                .count = RECORDS };
        size_t bound = batch_encode_bound(&in);
        uint8_t *out = malloc(bound), *scratch = malloc(bound);
        assert(out && scratch);
        int64_t n = batch_encode(
            &in, x, (struct bytes_mut){ scratch, bound }, (struct bytes_mut){ out, bound }, NULL);
        struct batch b;
        assert(n > 0 && !batch_read(out, (size_t)n, true, &b));
        static const char *const names[] = { "none", "gzip", "snappy", "lz4", "zstd" };
        printf("%-7s %6d %8d %8.2f %8.2f %8.2f\n", names[codec], value, headers,
            ns_per_record(0, out, &b, x, seconds), ns_per_record(1, out, &b, x, seconds),
            ns_per_record(2, out, &b, x, seconds));
        free(out);
        free(scratch);
}

int main(int argc, char **argv)
{
        double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.2;
        struct codec_ctx *x = codec_ctx_new();
        assert(x);
        printf("ns per record, %d records a batch\n%-7s %6s %8s %8s %8s %8s\n", RECORDS, "codec",
            "value", "headers", "scan", "each", "find");
        for (int codec = CODEC_NONE; codec < CODEC_COUNT; codec++)
                for (int headers = 0; headers <= 2; headers += 2)
                        for (int32_t value = 10; value <= 1000; value *= 10)
                                line((enum codec)codec, value, headers, x, seconds);
        codec_ctx_free(x);
        return 0;
}
