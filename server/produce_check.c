/* The checks of a Produce, in Kafka's order.  The checksum is Kafka's second check; here it is left
 * to whoever copies the bytes, unless something else is wrong or a byte has to be patched: then it
 * is verified first, so that damaged bytes are called damaged and a patch never heals them. */
#include "server/produce_check.h"

#include "base/check.h"
#include "protocol/errors.h"

enum {
        INFLATE_RATIO_MAX = 1000,
        INFLATE_FREE = 1 << 20,
        INFLATE_MAX = 64 << 20,
        INFLATE_TIMES = 8
};

uint64_t produce_inflate_max(uint32_t size, const struct produce_rules *rules)
{
        uint64_t absolute =
            MAX((uint64_t)INFLATE_MAX, (uint64_t)rules->max_message_bytes * INFLATE_TIMES);
        return MIN(absolute, (uint64_t)size * INFLATE_RATIO_MAX + INFLATE_FREE);
}

static bool refuse(struct produce_verdict *v, int16_t error, int32_t record, const char *text)
{
        v->error = error;
        v->record = record;
        v->text = text;
        return false;
}

struct check {
        uint8_t *p;
        const struct produce_rules *rules;
        struct codec_ctx *codecs;
        struct batch *batch;
        struct batch_scan scan;
        struct produce_verdict *verdict;
};

static bool crc_ok(struct check *c)
{
        if (!c->verdict->crc_checked && !batch_crc_ok(c->p, c->batch)) {
                c->verdict->knows_start = false;
                return refuse(c->verdict, WIRE_CORRUPT_MESSAGE, -1, "checksum does not match");
        }
        c->verdict->crc_checked = true;
        return true;
}

static bool sizes_ok(struct check *c)
{
        const struct batch *b = c->batch;
        if (batch_codec(b) == CODEC_ZSTD && c->rules->version < 7)
                return refuse(c->verdict, WIRE_UNSUPPORTED_COMPRESSION_TYPE, -1,
                    "zstd needs Produce version 7");
        if (b->size > (uint32_t)c->rules->max_message_bytes)
                return refuse(c->verdict, WIRE_MESSAGE_TOO_LARGE, -1,
                    "the batch is larger than the topic's max.message.bytes");
        if (b->size > c->rules->segment_bytes)
                return refuse(c->verdict, WIRE_RECORD_LIST_TOO_LARGE, -1,
                    "the batch is larger than the topic's segment.bytes");
        return true;
}

static bool records_ok(struct check *c)
{
        struct batch_fault f;
        c->verdict->knows_start = true;
        if (!batch_check_client(c->batch, &f) ||
            !batch_scan_records(c->p, c->batch, c->codecs,
                produce_inflate_max(c->batch->size, c->rules), &c->scan, &f))
                return refuse(c->verdict, f.error, f.record, f.text);
        if (c->rules->compact && c->scan.null_key_record >= 0)
                return refuse(c->verdict, WIRE_INVALID_RECORD, c->scan.null_key_record,
                    "a compacted topic takes no record without a key");
        return true;
}

/* -1 is "no timestamp" and always allowed. */
static bool timestamps_in_range(struct check *c)
{
        const struct produce_rules *r = c->rules;
        int64_t bound;
        if (!__builtin_add_overflow(r->now_ms, r->after_ms, &bound) &&
            c->scan.max_timestamp > bound)
                return refuse(c->verdict, WIRE_INVALID_TIMESTAMP, c->scan.max_timestamp_record,
                    "timestamp is later than message.timestamp.after.max.ms allows");
        if (r->before_ms != INT64_MAX && !__builtin_sub_overflow(r->now_ms, r->before_ms, &bound) &&
            c->scan.min_timestamp != -1 && c->scan.min_timestamp < bound)
                return refuse(c->verdict, WIRE_INVALID_TIMESTAMP, c->scan.min_timestamp_record,
                    "timestamp is earlier than message.timestamp.before.max.ms allows");
        return true;
}

static bool timestamps_ok(struct check *c)
{
        bool marked = c->batch->attributes & BATCH_ATTR_APPEND_TIME;
        if (marked && (c->rules->append_time || c->batch->max_timestamp == -1))
                return refuse(
                    c->verdict, WIRE_INVALID_TIMESTAMP, 0, "producers may not set LogAppendTime");
        return c->rules->append_time || timestamps_in_range(c);
}

/* What the topic demands of a good batch. */
static bool patch(struct check *c)
{
        const bool append_time = c->rules->append_time;
        bool marked = c->batch->attributes & BATCH_ATTR_APPEND_TIME;
        int64_t max = append_time ? c->rules->now_ms : c->scan.max_timestamp;
        c->verdict->append_ms = append_time ? max : -1;
        if (marked == append_time && c->batch->max_timestamp == max) return true;
        if (!crc_ok(c)) return false;
        batch_set_timestamp(c->p, c->batch, append_time, max);
        const char *why = batch_read(c->p, c->batch->size, true, c->batch);
        assert(why == NULL);
        return true;
}

bool produce_check(uint8_t *p, int32_t n, const struct produce_rules *rules, struct codec_ctx *cx,
    struct batch *ret_batch, struct produce_verdict *ret)
{
        *ret = (struct produce_verdict){ .record = -1, .append_ms = -1 };
        struct batch_fault f;
        struct check c = { p, rules, cx, ret_batch, { 0 }, ret };
        if (n < 0) return refuse(ret, WIRE_INVALID_RECORD, -1, "records are null");
        if (!batch_read_client(p, (size_t)n, ret_batch, &f))
                return refuse(ret, f.error, f.record, f.text);
        if (!sizes_ok(&c) || !records_ok(&c) || !timestamps_ok(&c)) {
                struct produce_verdict first = *ret;
                if (!crc_ok(&c)) return false;
                *ret = first;
                return false;
        }
        return patch(&c);
}
