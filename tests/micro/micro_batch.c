/* What a Produce proves of a client's batch, and the walks of consumers of records. */
#include "base/check.h"
#include "protocol/batch.h"
#include "server/produce_check.h"
#include "tests/micro/micro.h"

enum { RECORDS = 100, INFLATE_MAX = 64 << 20, TEXT = 4096 };

static const int64_t start_ms = INT64_C(1700000000000);

struct state {
        struct codec_ctx *codecs;
        uint8_t *p; /* the batch */
        size_t n;
        struct batch info;
        int64_t keep;
        struct record_visitor visitor;
};

/* Text as it is in logs: words of a small vocabulary. */
static void fill(uint8_t *text, size_t n)
{
        static const char *const words[] = { "connection ", "from ", "closed ", "after ", "GET ",
                "/index.html ", "200 ", "bytes " };
        uint64_t seed = 1;
        for (size_t at = 0; at < n;) {
                const char *w = words[micro_next(&seed) % COUNT_OF(words)];
                size_t piece = MIN(strlen(w), n - at);
                memcpy(text + at, w, piece);
                at += piece;
        }
}

static void encode(struct micro *m, struct state *s)
{
        static struct record_in records[RECORDS];
        static uint8_t text[TEXT];
        fill(text, sizeof text);
        for (int i = 0; i < RECORDS; i++)
                records[i] = (struct record_in){ .timestamp = start_ms + i / 7,
                        .key = { text + i, 8 },
                        .value = { text + 5 * i, m->size } };
        struct batch_build in = { .attributes = (int16_t)m->way,
                .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = records,
                .count = RECORDS };
        size_t bound = batch_encode_bound(&in);
        uint8_t *scratch = malloc(bound);
        s->p = malloc(bound);
        assert(s->p && scratch);
        int64_t n = batch_encode(&in, s->codecs, (struct bytes_mut){ scratch, bound },
            (struct bytes_mut){ s->p, bound }, NULL);
        assert(n > 0);
        s->n = (size_t)n;
        free(scratch);
}

static int on_record(struct record_visitor *v, const struct record *r)
{
        CONTAINER_OF(v, struct state, visitor)->keep += r->offset;
        return 0;
}

static void setup(struct micro *m)
{
        struct state *s = calloc(1, sizeof *s);
        assert(s);
        s->codecs = codec_ctx_new();
        assert(s->codecs);
        s->visitor.on_record = on_record;
        encode(m, s);
        assert(!batch_read(s->p, s->n, true, &s->info));
        m->bytes = s->n;
        m->state = s;
}

static void teardown(struct micro *m)
{
        struct state *s = m->state;
        codec_ctx_free(s->codecs);
        free(s->p);
        free(s);
}

static void check(struct micro *m)
{
        static const struct produce_rules rules = {
                .version = 13,
                .max_message_bytes = 1 << 20,
                .segment_bytes = 1 << 30,
                .before_ms = INT64_MAX,
                .after_ms = 3600000,
                .now_ms = INT64_C(1700000001000),
        };
        struct state *s = m->state;
        struct produce_verdict v;
        bool ok = produce_check(s->p, (int32_t)s->n, &rules, s->codecs, &s->info, &v);
        assert(ok && !v.crc_checked);
}

static void each(struct micro *m)
{
        struct state *s = m->state;
        int r = batch_each_record(s->p, &s->info, s->codecs, INFLATE_MAX, &s->visitor, NULL);
        assert(r == 0);
}

static void find(struct micro *m)
{
        struct state *s = m->state;
        struct batch_search none = { .timestamp = INT64_MAX };
        int r = batch_find_timestamp(s->p, &s->info, s->codecs, INFLATE_MAX, &none);
        assert(r == 0);
}

#define BATCH(codec) "a client's batch of 100 records of 100 bytes, " codec

struct micro micro_batch[] = {
        { "batch.check.none", "check " BATCH("plain"), setup, check, teardown, 100, 100,
            CODEC_NONE },
        { "batch.check.lz4", "check " BATCH("lz4"), setup, check, teardown, 100, 100, CODEC_LZ4 },
        { "batch.check.zstd", "check " BATCH("zstd"), setup, check, teardown, 100, 100,
            CODEC_ZSTD },
        { "batch.check.1k", "check a client's batch of 100 records of 1000 bytes, plain", setup,
            check, teardown, 100, 1000, CODEC_NONE },
        { "batch.each.none", "visit each record of " BATCH("plain"), setup, each, teardown, 100,
            100, CODEC_NONE },
        { "batch.find.none", "look for a time in " BATCH("plain"), setup, find, teardown, 100, 100,
            CODEC_NONE },
        { .name = NULL },
};
