/* The model of what a log may hold.  See oracle.h. */
#include "tests/sim/oracle.h"

#include "base/check.h"
#include "base/status.h"
#include "protocol/batch.h"

#include <inttypes.h>
#include <stdio.h>

enum { VALUE_HEAD = 16, VALUE_SALT = 0x5eed };

int oracle_init(struct oracle *o, int32_t partitions)
{
        *o = (struct oracle){ .n = partitions, .next_stream = 1 };
        o->partitions = calloc((size_t)partitions, sizeof *o->partitions);
        o->codecs = codec_ctx_new();
        if (!o->partitions || !o->codecs) return ST_NOMEM;
        for (int32_t i = 0; i < partitions; i++) o->partitions[i].index = i;
        return 0;
}

void oracle_free(struct oracle *o)
{
        for (int32_t i = 0; i < o->n; i++) {
                free(o->partitions[i].sent);
                free(o->partitions[i].at);
        }
        free(o->partitions);
        free(o->values.p);
        free(o->scratch.p);
        free(o->out.p);
        codec_ctx_free(o->codecs);
}

static void *grow(void *p, uint64_t *cap, uint64_t need, size_t size)
{
        if (need <= *cap) return p;
        uint64_t n = MAX(need, *cap * 2 + 64);
        p = realloc(p, n * size);
        if (!p) abort();
        memset((char *)p + *cap * size, 0, (n - *cap) * size);
        *cap = n;
        return p;
}

/* --- bytes of a record --- */

static uint32_t mix32(uint32_t x)
{
        x = (x ^ (x >> 16)) * 0x7feb352du;
        x = (x ^ (x >> 15)) * 0x846ca68bu;
        return x ^ (x >> 16);
}

static uint32_t value_size(const struct oracle_batch *b, uint32_t record)
{
        uint32_t room = b->size_max > VALUE_HEAD ? b->size_max - VALUE_HEAD : 0;
        return VALUE_HEAD + (room ? mix32(b->size_seed + record * 77u) % (room + 1) : 0);
}

static void value_fill(
    uint8_t *p, int32_t partition, uint32_t batch, uint32_t record, uint32_t size)
{
        store_be32(p, (uint32_t)partition);
        store_be32(p + 4, batch);
        store_be32(p + 8, record);
        store_be32(p + 12, size);
        uint64_t x =
            ((uint64_t)mix32(batch * 31u + record) << 32 | mix32((uint32_t)partition)) + VALUE_SALT;
        uint32_t i = VALUE_HEAD;
        for (; i + 8 <= size; i += 8) {
                x = x * 6364136223846793005u + 1442695040888963407u;
                memcpy(p + i, &x, 8);
        }
        for (; i < size; i++) p[i] = (uint8_t)(x >> (i % 8 * 8));
}

/* --- sending --- */

static uint8_t *room(struct oracle_room *r, size_t n)
{
        r->p = grow(r->p, &r->cap, n, 1);
        return r->p;
}

/* Leaves the bytes in o->out. */
static size_t encode(
    struct oracle *o, const struct oracle_send *s, const struct oracle_batch *b, uint32_t number)
{
        struct record_in records[ORACLE_RECORDS_MAX] = { 0 };
        uint8_t *values =
            room(&o->values, (size_t)b->count * MAX(s->size_max, (uint32_t)VALUE_HEAD));
        size_t at = 0;
        for (uint32_t i = 0; i < b->count; i++) {
                uint32_t n = value_size(b, i);
                value_fill(values + at, s->partition, number, i, n);
                records[i].timestamp = 1767139200000 + number;
                records[i].key = (struct bytes){ NULL, -1 };
                records[i].value = (struct bytes){ values + at, (int32_t)n };
                at += n;
        }
        struct batch_build build = {
                .attributes = (int16_t)s->codec,
                .leader_epoch = -1,
                .producer_id = -1,
                .producer_epoch = -1,
                .base_sequence = -1,
                .records = records,
                .count = (int32_t)b->count,
        };
        struct err e;
        size_t bound = batch_encode_bound(&build);
        struct bytes_mut scratch = { room(&o->scratch, bound), bound };
        struct bytes_mut out = { room(&o->out, bound), bound };
        int64_t n = batch_encode(&build, o->codecs, scratch, out, &e);
        if (n <= 0) {
                fprintf(stderr, "oracle: encode: %s\n", e.text);
                abort();
        }
        return (size_t)n;
}

uint8_t *oracle_batch_new(
    struct oracle *o, const struct oracle_send *s, size_t *ret_size, uint32_t *ret_number)
{
        assert(s->partition >= 0 && s->partition < o->n);
        assert(s->count > 0 && s->count <= ORACLE_RECORDS_MAX);
        struct oracle_partition *p = &o->partitions[s->partition];
        uint64_t cap = p->cap_sent;
        p->sent = grow(p->sent, &cap, p->n_sent + 1, sizeof *p->sent);
        p->cap_sent = (uint32_t)cap;
        uint32_t number = p->n_sent++;
        p->sent[number] = (struct oracle_batch){
                .stream = s->stream,
                .count = s->count,
                .size_seed = s->size_seed,
                .size_max = s->size_max,
                .base = -1,
        };
        size_t n = encode(o, s, &p->sent[number], number);
        uint8_t *bytes = malloc(n);
        if (!bytes) abort();
        memcpy(bytes, o->out.p, n);
        *ret_size = n;
        *ret_number = number;
        return bytes;
}

/* --- what is known about offsets --- */

static uint64_t name_of(uint32_t batch, uint32_t record)
{
        return ((uint64_t)batch << 16 | record) + 1;
}

static int learn(
    struct oracle_partition *p, int64_t offset, uint32_t batch, uint32_t record, struct err *e)
{
        p->at = grow(p->at, &p->cap_at, (uint64_t)offset + 1, sizeof *p->at);
        p->n_at = MAX(p->n_at, (uint64_t)offset + 1);
        uint64_t name = name_of(batch, record), *at = &p->at[offset];
        if (*at != 0 && *at != name)
                return err_set(e, ST_CORRUPT,
                    "partition %d offset %" PRId64 ": batch %u record %u, but it was batch %" PRIu64
                    " record %" PRIu64 " before",
                    p->index, offset, batch, record, (*at - 1) >> 16, (*at - 1) & 0xffff);
        *at = name;
        return 0;
}

int oracle_acked(struct oracle *o, int32_t partition, uint32_t number, int64_t base, struct err *e)
{
        struct oracle_partition *p = &o->partitions[partition];
        struct oracle_batch *b = &p->sent[number];
        assert(number < p->n_sent && b->state == SENT_OPEN);
        if (base < 0)
                return err_set(e, ST_CORRUPT, "partition %d batch %u: acked at %" PRId64, partition,
                    number, base);
        if (b->base >= 0 && b->base != base)
                return err_set(e, ST_CORRUPT,
                    "partition %d batch %u: acked at %" PRId64 ", seen at %" PRId64, partition,
                    number, base, b->base);
        b->state = SENT_ACKED;
        b->base = base;
        p->acked++;
        for (uint32_t i = 0; i < b->count; i++) {
                int r = learn(p, base + i, number, i, e);
                if (r < 0) return r;
        }
        return 0;
}

void oracle_refused(struct oracle *o, int32_t partition, uint32_t number)
{
        o->partitions[partition].sent[number].state = SENT_REFUSED;
}

void oracle_failed(struct oracle *o, int32_t partition, uint32_t number)
{
        o->partitions[partition].sent[number].state = SENT_FAILED;
}

void oracle_lost(struct oracle *o, int32_t partition, uint32_t number)
{
        struct oracle_batch *b = &o->partitions[partition].sent[number];
        if (b->state == SENT_OPEN) b->state = SENT_LOST;
}

void oracle_high(struct oracle *o, int32_t partition, int64_t high)
{
        struct oracle_partition *p = &o->partitions[partition];
        p->visible = MAX(p->visible, high);
}

/* --- reading --- */

struct reader {
        struct record_visitor visitor;
        struct oracle_partition *p;
        struct err *e;
        uint32_t batch, records;
        int64_t base;
};

static int refuse(struct reader *r, int64_t offset, const char *what)
{
        return err_set(
            r->e, ST_CORRUPT, "partition %d offset %" PRId64 ": %s", r->p->index, offset, what);
}

static int read_record(struct record_visitor *v, const struct record *rec)
{
        struct reader *r = CONTAINER_OF(v, struct reader, visitor);
        if (rec->value.n < VALUE_HEAD) return refuse(r, rec->offset, "a value that nobody sent");
        uint32_t batch = load_be32(rec->value.p + 4), record = load_be32(rec->value.p + 8);
        if ((int32_t)load_be32(rec->value.p) != r->p->index)
                return refuse(r, rec->offset, "a record of another partition");
        if (batch >= r->p->n_sent) return refuse(r, rec->offset, "a batch that nobody sent");
        const struct oracle_batch *b = &r->p->sent[batch];
        if (r->records == 0) r->batch = batch;
        if (batch != r->batch || record != r->records || record >= b->count)
                return refuse(r, rec->offset, "a record that is not the next one of its batch");
        uint32_t size = value_size(b, record);
        uint8_t *expect = malloc(size);
        if (!expect) abort();
        value_fill(expect, r->p->index, batch, record, size);
        bool same = size == (uint32_t)rec->value.n && memcmp(expect, rec->value.p, size) == 0;
        free(expect);
        if (!same) return refuse(r, rec->offset, "other bytes than those that were sent");
        if (b->state == SENT_REFUSED) return refuse(r, rec->offset, "a batch that was refused");
        r->records++;
        return learn(r->p, rec->offset, batch, record, r->e);
}

static int read_batch(struct oracle *o, struct oracle_partition *p, const uint8_t *at,
    const struct batch *b, struct err *e)
{
        struct reader r = {
                .visitor.on_record = read_record, .p = p, .e = e, .base = b->base_offset
        };
        if (!batch_crc_ok(at, b)) return refuse(&r, b->base_offset, "checksum of a batch is wrong");
        int n = batch_each_record(at, b, o->codecs, UINT32_MAX, &r.visitor, e);
        if (n < 0) return n;
        struct oracle_batch *sent = &p->sent[r.batch];
        if (r.records != sent->count || b->count != (int32_t)sent->count)
                return refuse(&r, b->base_offset, "a batch is not whole");
        if (sent->base >= 0 && sent->base != b->base_offset)
                return refuse(&r, b->base_offset, "a batch is there a second time, or moved");
        sent->base = b->base_offset;
        if (b->base_offset == p->checked) {
                if (sent->seen) return refuse(&r, b->base_offset, "a batch is there twice");
                sent->seen = true;
                p->checked += b->count;
        }
        return 0;
}

int oracle_fetched(struct oracle *o, int32_t partition, int64_t from, struct bytes records,
    int64_t *ret_next, struct err *e)
{
        struct oracle_partition *p = &o->partitions[partition];
        size_t at = 0, n = records.n > 0 ? (size_t)records.n : 0;
        int64_t next = from;
        while (n - at > BATCH_HEADER_SIZE) {
                struct batch b;
                const char *why = batch_read(records.p + at, n - at, false, &b);
                if (why)
                        return err_set(e, ST_CORRUPT, "partition %d offset %" PRId64 ": %s",
                            partition, next, why);
                if (b.size > n - at) break; /* cut by a byte limit */
                bool first = next == from && b.base_offset <= from && batch_last_offset(&b) >= from;
                if (!first && b.base_offset != next)
                        return err_set(e, ST_CORRUPT,
                            "partition %d: batch at offset %" PRId64 " where %" PRId64
                            " is expected",
                            partition, b.base_offset, next);
                int r = read_batch(o, p, records.p + at, &b, e);
                if (r < 0) return r;
                next = batch_last_offset(&b) + 1;
                at += b.size;
        }
        *ret_next = next;
        return 0;
}

/* --- the check of a whole log --- */

void oracle_check_begin(struct oracle *o, int32_t partition)
{
        struct oracle_partition *p = &o->partitions[partition];
        p->checked = 0;
        for (uint32_t i = 0; i < p->n_sent; i++) p->sent[i].seen = false;
}

/* In the order of sending, within one stream: what is there is a prefix of what was not refused,
 * and its offsets grow. */
static int check_streams(const struct oracle_partition *p, struct err *e)
{
        for (uint32_t i = 0; i < p->n_sent; i++) {
                const struct oracle_batch *b = &p->sent[i];
                if (!b->seen || b->state == SENT_FAILED) continue;
                for (uint32_t j = i; j-- > 0 && i - j < 256;) {
                        const struct oracle_batch *a = &p->sent[j];
                        if (a->stream != b->stream || a->state == SENT_REFUSED ||
                            a->state == SENT_FAILED)
                                continue;
                        if (!a->seen)
                                return err_set(e, ST_CORRUPT,
                                    "partition %d: batch %u is there, %u, sent before it on the "
                                    "same connection, is not",
                                    p->index, i, j);
                        if (a->base >= b->base)
                                return err_set(e, ST_CORRUPT,
                                    "partition %d: batches %u and %u changed order", p->index, j,
                                    i);
                        break;
                }
        }
        return 0;
}

int oracle_check_end(struct oracle *o, int32_t partition, int64_t high, struct err *e)
{
        struct oracle_partition *p = &o->partitions[partition];
        if (p->checked != high)
                return err_set(e, ST_CORRUPT,
                    "partition %d: %" PRId64 " records found, high watermark %" PRId64, partition,
                    p->checked, high);
        if (high < p->visible)
                return err_set(e, ST_CORRUPT,
                    "partition %d: %" PRId64 " records were visible, now %" PRId64, partition,
                    p->visible, high);
        for (uint32_t i = 0; i < p->n_sent; i++) {
                const struct oracle_batch *b = &p->sent[i];
                if (b->state == SENT_ACKED && !b->seen)
                        return err_set(e, ST_CORRUPT,
                            "partition %d: batch %u, acked at offset %" PRId64 ", is lost",
                            partition, i, b->base);
        }
        return check_streams(p, e);
}
