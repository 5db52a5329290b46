/* Record batch v2: the header, what a client may send, and the patches that the server makes. */
#include "protocol/batch.h"

#include "base/check.h"
#include "protocol/crc32c.h"
#include "protocol/errors.h"

static_assert(BATCH_COUNT + 4 == BATCH_HEADER_SIZE, "the header ends with the record count");
static_assert(BATCH_LENGTH + 4 == BATCH_LENGTH_EXTRA, "the length counts what follows it");

enum { LENGTH_MIN = BATCH_HEADER_SIZE - BATCH_LENGTH_EXTRA, MAGIC_2 = 2 };
/* What Kafka reads before it knows the format: magic 0's overhead, and the bytes up to magic. */
enum { OLD_LENGTH_MIN = 14, UP_TO_MAGIC = BATCH_MAGIC + 1 };

static void decode(const uint8_t *p, struct batch *ret)
{
        *ret = (struct batch){
                .base_offset = (int64_t)load_be64(p + BATCH_BASE_OFFSET),
                .size = load_be32(p + BATCH_LENGTH) + BATCH_LENGTH_EXTRA,
                .leader_epoch = (int32_t)load_be32(p + BATCH_LEADER_EPOCH),
                .magic = (int8_t)p[BATCH_MAGIC],
                .crc = load_be32(p + BATCH_CRC),
                .attributes = (int16_t)load_be16(p + BATCH_ATTRIBUTES),
                .last_offset_delta = (int32_t)load_be32(p + BATCH_LAST_OFFSET_DELTA),
                .base_timestamp = (int64_t)load_be64(p + BATCH_BASE_TIMESTAMP),
                .max_timestamp = (int64_t)load_be64(p + BATCH_MAX_TIMESTAMP),
                .producer_id = (int64_t)load_be64(p + BATCH_PRODUCER_ID),
                .producer_epoch = (int16_t)load_be16(p + BATCH_PRODUCER_EPOCH),
                .base_sequence = (int32_t)load_be32(p + BATCH_BASE_SEQUENCE),
                .count = (int32_t)load_be32(p + BATCH_COUNT),
        };
}

const char *batch_read(const uint8_t *p, size_t n, bool whole, struct batch *ret)
{
        assert(ret && (p || n == 0));
        if (n < BATCH_HEADER_SIZE) return "header is cut";
        int32_t length = (int32_t)load_be32(p + BATCH_LENGTH);
        if (length < LENGTH_MIN || length > INT32_MAX - BATCH_LENGTH_EXTRA)
                return "length is out of range";
        if (whole && (size_t)length > n - BATCH_LENGTH_EXTRA) return "batch is cut";
        if (p[BATCH_MAGIC] != MAGIC_2) return "magic is not 2";
        struct batch b;
        decode(p, &b);
        if (b.count < 0) return "record count is negative";
        if (b.last_offset_delta < 0) return "last offset delta is negative";
        if (b.base_offset > INT64_MAX - b.last_offset_delta) return "last offset overflows";
        *ret = b;
        return NULL;
}

static bool fault(struct batch_fault *f, int16_t error, const char *text)
{
        *f = (struct batch_fault){ error, -1, text };
        return false;
}

/* As far as Kafka looks at any entry of a record set, old formats included. */
static bool entry_acceptable(const uint8_t *p, size_t n, struct batch_fault *f)
{
        if (n < BATCH_LENGTH_EXTRA) return fault(f, WIRE_INVALID_RECORD, "no complete batch");
        int32_t length = (int32_t)load_be32(p + BATCH_LENGTH);
        if (length < OLD_LENGTH_MIN || length > INT32_MAX - BATCH_LENGTH_EXTRA)
                return fault(f, WIRE_CORRUPT_MESSAGE, "batch length is out of range");
        if (n < UP_TO_MAGIC) return fault(f, WIRE_INVALID_RECORD, "no complete batch");
        if (p[BATCH_MAGIC] > MAGIC_2) return fault(f, WIRE_CORRUPT_MESSAGE, "magic is unknown");
        if ((size_t)length > n - BATCH_LENGTH_EXTRA)
                return fault(f, WIRE_INVALID_RECORD, "no complete batch");
        return true;
}

bool batch_read_client(const uint8_t *p, size_t n, struct batch *ret, struct batch_fault *f)
{
        assert(ret && f && (p || n == 0));
        if (!entry_acceptable(p, n, f)) return false;
        if (p[BATCH_MAGIC] != MAGIC_2) return fault(f, WIRE_INVALID_RECORD, "magic is not 2");
        size_t size = (size_t)load_be32(p + BATCH_LENGTH) + BATCH_LENGTH_EXTRA;
        if (size < BATCH_HEADER_SIZE)
                return fault(f, WIRE_CORRUPT_MESSAGE, "batch length is out of range");
        struct batch_fault second;
        if (entry_acceptable(p + size, n - size, &second))
                return fault(f, WIRE_INVALID_RECORD, "more than one batch");
        if (second.error != WIRE_INVALID_RECORD) {
                *f = second; /* a cut one is dropped in silence, a corrupt one is not */
                return false;
        }
        decode(p, ret);
        return true;
}

bool batch_crc_ok(const uint8_t *p, const struct batch *b)
{
        assert(b->size >= BATCH_HEADER_SIZE);
        return crc32c(0, p + BATCH_CRC_FROM, b->size - BATCH_CRC_FROM) == b->crc;
}

bool batch_check_client(const struct batch *b, struct batch_fault *ret)
{
        assert(b && ret);
        if (b->base_offset != 0) return fault(ret, WIRE_INVALID_RECORD, "base offset is not 0");
        if (b->count <= 0) return fault(ret, WIRE_INVALID_RECORD, "record count is not positive");
        if (b->last_offset_delta != b->count - 1)
                return fault(ret, WIRE_INVALID_RECORD, "last offset delta is not count - 1");
        if (b->attributes & BATCH_ATTR_CONTROL)
                return fault(ret, WIRE_INVALID_RECORD, "clients may not write control batches");
        if (b->producer_id >= 0 && b->base_sequence < 0)
                return fault(ret, WIRE_INVALID_RECORD, "producer id without a sequence");
        if (batch_codec(b) >= CODEC_COUNT)
                return fault(ret, WIRE_UNSUPPORTED_COMPRESSION_TYPE, "codec is unknown");
        return true;
}

void batch_set_base_offset(uint8_t *p, int64_t offset)
{
        assert(p && offset >= 0);
        store_be64(p + BATCH_BASE_OFFSET, (uint64_t)offset);
}

void batch_set_leader_epoch(uint8_t *p, int32_t epoch)
{
        assert(p);
        store_be32(p + BATCH_LEADER_EPOCH, (uint32_t)epoch);
}

void batch_set_timestamp(uint8_t *p, const struct batch *b, bool append_time, int64_t max_timestamp)
{
        assert(p && b->size >= BATCH_HEADER_SIZE);
        int attributes = load_be16(p + BATCH_ATTRIBUTES) & ~BATCH_ATTR_APPEND_TIME;
        if (append_time) attributes |= BATCH_ATTR_APPEND_TIME;
        store_be16(p + BATCH_ATTRIBUTES, (uint16_t)attributes);
        store_be64(p + BATCH_MAX_TIMESTAMP, (uint64_t)max_timestamp);
        store_be32(p + BATCH_CRC, crc32c(0, p + BATCH_CRC_FROM, b->size - BATCH_CRC_FROM));
}
