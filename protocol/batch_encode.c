/* Building a batch: for internal logs, the client, the benchmark and tests. */
#include "base/check.h"
#include "base/status.h"
#include "protocol/batch.h"
#include "protocol/crc32c.h"

enum { VARINT_MAX = 5, VARLONG_MAX = 10 };
/* length, attributes, timestamp, offset, key length, value length, header count */
enum { RECORD_EXTRA_MAX = VARINT_MAX + 1 + VARLONG_MAX + 4 * VARINT_MAX };

static uint8_t *put_unsigned(uint8_t *p, uint64_t v)
{
        for (; v >= 0x80; v >>= 7) *p++ = (uint8_t)(v | 0x80);
        *p++ = (uint8_t)v;
        return p;
}

static uint64_t zigzag(int64_t v)
{
        return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}

static size_t size_unsigned(uint64_t v)
{
        size_t n = 1;
        for (; v >= 0x80; v >>= 7) n++;
        return n;
}

static uint8_t *put_number(uint8_t *p, int64_t v)
{
        return put_unsigned(p, zigzag(v));
}
static size_t size_number(int64_t v)
{
        return size_unsigned(zigzag(v));
}

static size_t length_or_0(int32_t n)
{
        return n < 0 ? 0 : (size_t)n;
}

static uint8_t *put_bytes(uint8_t *p, const void *bytes, int32_t n)
{
        p = put_number(p, n < 0 ? -1 : n);
        if (n > 0) memcpy(p, bytes, (size_t)n);
        return p + length_or_0(n);
}
static size_t size_bytes(int32_t n)
{
        return size_number(n < 0 ? -1 : n) + length_or_0(n);
}

static size_t headers_size(const struct record_in *r)
{
        size_t n = size_number(r->n_headers);
        for (int32_t i = 0; i < r->n_headers; i++)
                n += size_bytes(r->headers[i].key.n) + size_bytes(r->headers[i].value.n);
        return n;
}

static size_t plain_bound(const struct batch_build *in)
{
        size_t n = 0;
        for (int32_t i = 0; i < in->count; i++) {
                const struct record_in *r = &in->records[i];
                n += RECORD_EXTRA_MAX + length_or_0(r->key.n) + length_or_0(r->value.n) +
                     headers_size(r);
        }
        return n;
}

static enum codec codec_of(const struct batch_build *in)
{
        return (enum codec)(in->attributes & BATCH_ATTR_CODEC);
}

size_t batch_encode_bound(const struct batch_build *in)
{
        assert(in && in->count >= 0 && codec_of(in) < CODEC_COUNT);
        size_t plain = plain_bound(in);
        if (plain > INT32_MAX) return BATCH_HEADER_SIZE + plain; /* refused by batch_encode */
        return BATCH_HEADER_SIZE + MAX(plain, codec_bound(codec_of(in), plain));
}

static uint8_t *put_record(
    uint8_t *p, const struct record_in *r, int64_t timestamp_delta, int32_t i)
{
        size_t length = 1 + size_number(timestamp_delta) + size_number(i) + size_bytes(r->key.n) +
                        size_bytes(r->value.n) + headers_size(r);
        p = put_number(p, (int64_t)length);
        *p++ = 0; /* attributes */
        p = put_number(p, timestamp_delta);
        p = put_number(p, i);
        p = put_bytes(p, r->key.p, r->key.n);
        p = put_bytes(p, r->value.p, r->value.n);
        p = put_number(p, r->n_headers);
        for (int32_t h = 0; h < r->n_headers; h++) {
                p = put_bytes(p, r->headers[h].key.p, r->headers[h].key.n);
                p = put_bytes(p, r->headers[h].value.p, r->headers[h].value.n);
        }
        return p;
}

/* The bytes of all records, < 0 when two timestamps are too far apart. */
static int64_t put_records(const struct batch_build *in, uint8_t *out, struct err *e)
{
        uint8_t *p = out;
        for (int32_t i = 0; i < in->count; i++) {
                const struct record_in *r = &in->records[i];
                int64_t delta;
                if (__builtin_sub_overflow(r->timestamp, in->records[0].timestamp, &delta))
                        return err_set(e, ST_INVALID, "record %d: timestamp is too far", i);
                p = put_record(p, r, delta, i);
        }
        return p - out;
}

static int64_t max_timestamp(const struct batch_build *in)
{
        int64_t max = -1;
        for (int32_t i = 0; i < in->count; i++) max = MAX(max, in->records[i].timestamp);
        return max;
}

static void put_header(const struct batch_build *in, uint8_t *p, size_t size)
{
        store_be64(p + BATCH_BASE_OFFSET, (uint64_t)in->base_offset);
        store_be32(p + BATCH_LENGTH, (uint32_t)(size - BATCH_LENGTH_EXTRA));
        store_be32(p + BATCH_LEADER_EPOCH, (uint32_t)in->leader_epoch);
        p[BATCH_MAGIC] = 2;
        store_be16(p + BATCH_ATTRIBUTES, (uint16_t)in->attributes);
        store_be32(p + BATCH_LAST_OFFSET_DELTA, (uint32_t)(in->count - 1));
        store_be64(p + BATCH_BASE_TIMESTAMP, (uint64_t)in->records[0].timestamp);
        store_be64(p + BATCH_MAX_TIMESTAMP, (uint64_t)max_timestamp(in));
        store_be64(p + BATCH_PRODUCER_ID, (uint64_t)in->producer_id);
        store_be16(p + BATCH_PRODUCER_EPOCH, (uint16_t)in->producer_epoch);
        store_be32(p + BATCH_BASE_SEQUENCE, (uint32_t)in->base_sequence);
        store_be32(p + BATCH_COUNT, (uint32_t)in->count);
        store_be32(p + BATCH_CRC, crc32c(0, p + BATCH_CRC_FROM, size - BATCH_CRC_FROM));
}

int64_t batch_encode(const struct batch_build *in, struct codec_ctx *cx, struct bytes_mut scratch,
    struct bytes_mut out, struct err *e)
{
        assert(in && out.p);
        if (in->count <= 0) return err_set(e, ST_INVALID, "a batch has at least one record");
        size_t bound = batch_encode_bound(in);
        if (bound > INT32_MAX) return err_set(e, ST_TOO_LARGE, "batch of up to %zu bytes", bound);
        bool plain = codec_of(in) == CODEC_NONE;
        if (out.n < bound || (!plain && scratch.n < bound))
                return err_set(e, ST_TOO_LARGE, "no room for a batch of up to %zu bytes", bound);
        struct bytes_mut payload = { out.p + BATCH_HEADER_SIZE, out.n - BATCH_HEADER_SIZE };
        int64_t n = put_records(in, plain ? payload.p : scratch.p, e);
        if (n >= 0 && !plain) {
                struct bytes records = { scratch.p, (int32_t)n };
                n = codec_deflate(cx, codec_of(in), in->snappy_xerial, records, payload, e);
        }
        if (n < 0) return n;
        put_header(in, out.p, BATCH_HEADER_SIZE + (size_t)n);
        return BATCH_HEADER_SIZE + n;
}
