/* Stamps in records and the proof that a stream of them is whole. */
#include "bench/check.h"

#include "base/check.h"

#include <xxhash.h>

enum {
        CHECK_MAGIC = 0x63686563,
        AT_MARK = 0,
        AT_RUN = 4,
        AT_PARTITION = 8,
        AT_PRODUCER = 12,
        AT_SEQ = 16,
        AT_INTENDED = 24,
        AT_HASH = 32,
        STAMP_MARK = 0x76727661,
};
static_assert(AT_HASH + 8 == STAMP_SIZE, "the hash comes last, over all before it");

uint64_t stamp_payload_hash(struct bytes value)
{
        assert(value.n >= STAMP_SIZE);
        return XXH3_64bits(value.p + STAMP_SIZE, (size_t)value.n - STAMP_SIZE);
}

void stamp_write(uint8_t *value, const struct stamp *s, uint64_t payload_hash)
{
        store_le32(value + AT_MARK, STAMP_MARK);
        store_le32(value + AT_RUN, s->run);
        store_le32(value + AT_PARTITION, s->partition);
        store_le32(value + AT_PRODUCER, s->producer);
        store_le64(value + AT_SEQ, s->seq);
        store_le64(value + AT_INTENDED, s->intended_ns);
        store_le64(value + AT_HASH, XXH3_64bits_withSeed(value, AT_HASH, payload_hash));
}

bool stamp_read(struct bytes value, struct stamp *ret)
{
        if (value.n < STAMP_SIZE || load_le32(value.p + AT_MARK) != STAMP_MARK) return false;
        uint64_t hash = XXH3_64bits_withSeed(value.p, AT_HASH, stamp_payload_hash(value));
        if (load_le64(value.p + AT_HASH) != hash) return false;
        *ret = (struct stamp){ .run = load_le32(value.p + AT_RUN),
                .partition = load_le32(value.p + AT_PARTITION),
                .producer = load_le32(value.p + AT_PRODUCER),
                .seq = load_le64(value.p + AT_SEQ),
                .intended_ns = stamp_intended(value.p) };
        return true;
}

uint64_t stamp_intended(const uint8_t *value)
{
        return load_le64(value + AT_INTENDED);
}

bool check_init(struct check *c, uint32_t run, uint32_t partitions, uint32_t producers)
{
        assert(partitions > 0 && producers > 0);
        *c = (struct check){
                .magic = CHECK_MAGIC, .run = run, .partitions = partitions, .producers = producers
        };
        c->next = calloc((size_t)partitions * producers, sizeof *c->next);
        return c->next != NULL;
}

void check_free(struct check *c)
{
        free(c->next);
        *c = (struct check){ 0 };
}

static uint64_t *lane(const struct check *c, uint32_t partition, uint32_t producer)
{
        assert(partition < c->partitions && producer < c->producers);
        return &c->next[(size_t)partition * c->producers + producer];
}

static void gap_open(struct check *c, const struct stamp *s, uint64_t from)
{
        if (c->n_gaps == CHECK_GAPS_MAX)
                c->forgotten += s->seq - from;
        else
                c->gaps[c->n_gaps++] = (struct check_gap){ .partition = s->partition,
                        .producer = s->producer,
                        .from = from,
                        .to = s->seq };
}

/* Takes one number out of the gap that holds it.  False: it came before. */
static bool gap_fill(struct check *c, const struct stamp *s)
{
        for (uint32_t i = 0; i < c->n_gaps; i++) {
                struct check_gap *g = &c->gaps[i];
                if (g->partition != s->partition || g->producer != s->producer) continue;
                if (s->seq < g->from || s->seq >= g->to) continue;
                struct check_gap behind = *g;
                behind.from = s->seq + 1;
                g->to = s->seq;
                if (g->from == g->to) *g = c->gaps[--c->n_gaps];
                if (behind.from == behind.to) return true;
                if (c->n_gaps < CHECK_GAPS_MAX)
                        c->gaps[c->n_gaps++] = behind;
                else
                        c->forgotten += behind.to - behind.from;
                return true;
        }
        return false;
}

void check_record(struct check *c, uint32_t partition, struct bytes value)
{
        CHECK_OBJ(c, CHECK_MAGIC);
        struct stamp s;
        c->records++;
        if (value.n < STAMP_SIZE || load_le32(value.p + AT_MARK) != STAMP_MARK) {
                c->foreign++; /* was it ours, its number will be missing */
                return;
        }
        if (!stamp_read(value, &s)) {
                c->damaged++;
                return;
        }
        if (c->run == 0) c->run = s.run;
        if (s.run != c->run) {
                c->foreign++;
                return;
        }
        if (s.partition != partition || s.partition >= c->partitions ||
            s.producer >= c->producers) {
                c->misplaced++;
                return;
        }
        uint64_t *next = lane(c, partition, s.producer);
        if (s.seq < *next) {
                if (gap_fill(c, &s))
                        c->reordered++;
                else
                        c->duplicated++;
                return;
        }
        if (s.seq > *next) gap_open(c, &s, *next);
        *next = s.seq + 1;
}

uint64_t check_missing(const struct check *c)
{
        uint64_t n = c->forgotten;
        for (uint32_t i = 0; i < c->n_gaps; i++) n += c->gaps[i].to - c->gaps[i].from;
        return n;
}

uint64_t check_tail(const struct check *c, uint32_t partition, uint32_t producer, uint64_t sent)
{
        uint64_t next = *lane(c, partition, producer);
        return sent > next ? sent - next : 0;
}
