/* Encoding and patching of Produce requests. */
#include "bench/frame.h"

#include "base/check.h"
#include "base/status.h"
#include "protocol/batch_record.h"
#include "protocol/crc32c.h"
#include "protocol/msg/headers.h"
#include "protocol/msg/produce.h"

enum { FRAME_ARENA_MAX = 256 << 20, FRAME_ROOM_STEP = 4096 };

/* Finds the values in a plain image. */
static int find_values(const uint8_t *image, size_t n, struct frame_batch *b, struct err *e)
{
        b->values = calloc(b->count, sizeof *b->values);
        if (!b->values) return err_set(e, ST_NOMEM, "no memory for the stamps of a batch");
        const uint8_t *p = image + BATCH_HEADER_SIZE, *end = image + n;
        for (uint32_t i = 0; i < b->count; i++) {
                struct raw_record r;
                const char *why = NULL;
                p = record_parse(p, end, &r, &why);
                if (!p) return err_set(e, ST_BAD_BATCH, "own record %u: %s", i, why);
                if (r.value.n < STAMP_SIZE)
                        return err_set(e, ST_INVALID,
                            "a record of %d bytes has no room for the %d bytes of a stamp",
                            r.value.n, STAMP_SIZE);
                b->values[i] = (struct frame_value){ (uint32_t)(r.value.p - image),
                        stamp_payload_hash(r.value) };
        }
        return 0;
}

static void seal(uint8_t *image, size_t size)
{
        store_be32(image + BATCH_LENGTH, (uint32_t)(size - BATCH_LENGTH_EXTRA));
        store_be32(image + BATCH_CRC, crc32c(0, image + BATCH_CRC_FROM, size - BATCH_CRC_FROM));
}

/* A compressed image of a plain one, for the caller to free. */
static int compress_image(const struct frame_spec *s, const uint8_t *plain, size_t n,
    struct bytes_mut *ret, struct err *e)
{
        size_t room = BATCH_HEADER_SIZE + codec_bound(s->codec, n - BATCH_HEADER_SIZE);
        uint8_t *image = malloc(room);
        if (!image) return err_set(e, ST_NOMEM, "no memory for a batch of %zu bytes", room);
        struct bytes records = { plain + BATCH_HEADER_SIZE, (int32_t)(n - BATCH_HEADER_SIZE) };
        int64_t r = codec_deflate(s->cx, s->codec, true, records,
            (struct bytes_mut){ image + BATCH_HEADER_SIZE, room - BATCH_HEADER_SIZE }, e);
        if (r < 0) {
                free(image);
                return (int)r;
        }
        memcpy(image, plain, BATCH_HEADER_SIZE);
        store_be16(image + BATCH_ATTRIBUTES, (uint16_t)s->codec);
        *ret = (struct bytes_mut){ image, BATCH_HEADER_SIZE + (size_t)r };
        seal(image, ret->n);
        return 0;
}

static int plain_image(struct record_in *records, uint32_t n, struct bytes_mut *ret, struct err *e)
{
        const struct batch_build in = { .leader_epoch = -1,
                .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = records,
                .count = (int32_t)n };
        size_t room = batch_encode_bound(&in);
        uint8_t *image = malloc(room);
        if (!image) return err_set(e, ST_NOMEM, "no memory for a batch of %zu bytes", room);
        int64_t r =
            batch_encode(&in, NULL, (struct bytes_mut){ 0 }, (struct bytes_mut){ image, room }, e);
        if (r < 0) {
                free(image);
                return (int)r;
        }
        *ret = (struct bytes_mut){ image, (size_t)r };
        return 0;
}

int frame_batch_make(const struct frame_spec *s, struct record_in *records, uint32_t n,
    struct bytes_mut *ret_image, struct frame_batch *b, struct err *e)
{
        assert(n > 0);
        struct bytes_mut plain, image;
        int r = plain_image(records, n, &plain, e);
        if (r < 0) return r;
        image = plain;
        *b = (struct frame_batch){ .partition = b->partition, .count = n };
        for (uint32_t i = 0; i < n; i++)
                b->user_bytes += (uint32_t)(MAX(records[i].key.n, 0) + records[i].value.n);
        if (s->stamped) r = find_values(plain.p, plain.n, b, e);
        if (r == 0 && s->codec != CODEC_NONE) {
                r = compress_image(s, plain.p, plain.n, &image, e);
                if (r == 0 && s->stamped) {
                        b->plain = plain.p;
                        b->plain_size = (uint32_t)plain.n;
                } else
                        free(plain.p);
        } else if (r < 0)
                free(plain.p);
        if (r < 0) {
                free(b->values);
                b->values = NULL;
                return r;
        }
        *ret_image = image;
        return 0;
}

/* --- the request around the batches --- */

static bool same_topic(const struct frame_spec *s, uint32_t a, uint32_t b)
{
        return a / s->topics->partitions == b / s->topics->partitions;
}

static bool fill_topics(const struct frame_spec *s, const struct frame *f,
    const struct bytes_mut *images, struct arena *a, struct produce_req *m)
{
        struct produce_req_topic_data *topics = arena_array(a, f->n_batches, sizeof *topics);
        struct produce_req_topic_data_partition_data *parts =
            arena_array(a, f->n_batches, sizeof *parts);
        if (!topics || !parts) return false;
        int32_t n = 0;
        for (uint32_t i = 0; i < f->n_batches; i++) {
                uint32_t partition = f->batches[i].partition;
                if (i == 0 || !same_topic(s, partition, f->batches[i - 1].partition)) {
                        const struct bench_topic *t = topic_of(s->topics, partition);
                        produce_req_topic_data_init(&topics[n]);
                        topics[n].name = str_of(t->name);
                        topics[n].topic_id = t->id;
                        topics[n++].partition_data.at = &parts[i];
                }
                topics[n - 1].partition_data.n++;
                produce_req_topic_data_partition_data_init(&parts[i]);
                parts[i].index = topic_index(s->topics, partition);
                parts[i].records = (struct records){ .p = images[i].p, .n = (int32_t)images[i].n };
        }
        m->topic_data.n = n;
        m->topic_data.at = topics;
        return true;
}

/* Copies the segments into one run and notes where the batches came to lie. */
static int flatten(
    struct frame *f, const struct out *o, const struct bytes_mut *images, struct err *e)
{
        size_t total = out_total(o);
        if (total > INT32_MAX) return err_set(e, ST_TOO_LARGE, "a request of %zu bytes", total);
        if (total > f->room) {
                uint32_t room = (uint32_t)total + FRAME_ROOM_STEP;
                uint8_t *bytes = realloc(f->bytes, room);
                if (!bytes) return err_set(e, ST_NOMEM, "no memory for a request");
                f->bytes = bytes;
                f->room = room;
        }
        uint32_t at = 0, found = 0;
        for (uint32_t i = 0; i < out_segments(o); i++) {
                if (found < f->n_batches && o->iov[i].iov_base == images[found].p) {
                        f->batches[found].at = at;
                        f->batches[found].size = (uint32_t)images[found].n;
                        found++;
                }
                memcpy(f->bytes + at, o->iov[i].iov_base, o->iov[i].iov_len);
                at += (uint32_t)o->iov[i].iov_len;
        }
        assert(at == total && found == f->n_batches);
        f->size = at;
        return 0;
}

static void sum_up(struct frame *f)
{
        f->records = 0;
        f->user_bytes = f->batch_bytes = 0;
        for (uint32_t i = 0; i < f->n_batches; i++) {
                f->records += f->batches[i].count;
                f->user_bytes += f->batches[i].user_bytes;
                f->batch_bytes += f->batches[i].size;
        }
}

int frame_encode(
    const struct frame_spec *s, struct frame *f, const struct bytes_mut *images, struct err *e)
{
        struct arena arena;
        struct out o;
        struct request_header h;
        struct produce_req m;
        arena_init(&arena, FRAME_ARENA_MAX);
        out_init(&o, &arena);
        request_header_init(&h);
        h.api_key = API_PRODUCE;
        h.api_version = s->version;
        h.client_id = STR("varve-bench");
        produce_req_init(&m);
        m.acks = s->acks;
        m.timeout_ms = s->timeout_ms;
        int r = ST_NOMEM;
        if (fill_topics(s, f, images, &arena, &m)) {
                struct out_hole size = out_hole_i32(&o);
                request_header_encode(&h, &o, api_request_header_version(API_PRODUCE, s->version));
                produce_req_encode(&m, &o, s->version);
                r = o.bad ? ST_NOMEM : 0;
                if (r == 0) out_patch_i32(size, (int32_t)(out_total(&o) - 4));
        }
        if (r == 0)
                r = flatten(f, &o, images, e);
        else
                err_set(e, r, "no memory for a request of %u partitions", f->n_batches);
        arena_reset(&arena);
        if (r == 0) sum_up(f);
        return r;
}

void frame_free(struct frame *f)
{
        for (uint32_t i = 0; i < f->n_batches; i++) {
                free(f->batches[i].plain);
                free(f->batches[i].values);
        }
        free(f->batches);
        free(f->bytes);
        *f = (struct frame){ 0 };
}

/* --- patching --- */

static void stamp_image(const struct frame_spec *s, uint8_t *image, const struct frame_batch *b,
    const struct frame_stamp *t)
{
        struct stamp stamp = { .run = t->run,
                .partition = b->partition,
                .producer = t->producer,
                .intended_ns = t->intended_ns };
        uint32_t n = s->check ? b->count : 1;
        for (uint32_t i = 0; i < n; i++) {
                if (s->check) stamp.seq = t->seq[b->partition]++;
                stamp_write(image + b->values[i].at, &stamp, b->values[i].payload_hash);
        }
        store_be64(image + BATCH_BASE_TIMESTAMP, (uint64_t)t->wall_ms);
        store_be64(image + BATCH_MAX_TIMESTAMP, (uint64_t)t->wall_ms);
}

/* Compressed batches change their size: the request is encoded anew. */
static int stamp_compressed(
    const struct frame_spec *s, struct frame *f, const struct frame_stamp *t, struct err *e)
{
        struct bytes_mut *images = calloc(f->n_batches, sizeof *images);
        int r = images ? 0 : err_set(e, ST_NOMEM, "no memory for a request");
        for (uint32_t i = 0; i < f->n_batches && r == 0; i++) {
                struct frame_batch *b = &f->batches[i];
                stamp_image(s, b->plain, b, t);
                r = compress_image(s, b->plain, b->plain_size, &images[i], e);
        }
        if (r == 0) r = frame_encode(s, f, images, e);
        for (uint32_t i = 0; images && i < f->n_batches; i++) free(images[i].p);
        free(images);
        return r;
}

int frame_stamp(
    const struct frame_spec *s, struct frame *f, const struct frame_stamp *t, struct err *e)
{
        assert(s->stamped);
        if (s->codec != CODEC_NONE) return stamp_compressed(s, f, t, e);
        for (uint32_t i = 0; i < f->n_batches; i++) {
                struct frame_batch *b = &f->batches[i];
                stamp_image(s, f->bytes + b->at, b, t);
                seal(f->bytes + b->at, b->size);
        }
        return 0;
}
