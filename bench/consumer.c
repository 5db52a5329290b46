/* A consuming connection.
 *
 * Its partitions are dealt to chains; each chain has one Fetch on its way, so several chains keep
 * the connection busy.  Happy path: a reply moves the chain's offsets and the next request leaves.
 * Failures: an error code, records that cannot be read or a lost connection ends the run.  Closing:
 * finished when every partition is past run.ends; the rest is cut off by the worker. */
#include "base/check.h"
#include "bench/worker.h"
#include "protocol/batch_record.h"
#include "protocol/errors.h"
#include "protocol/msg/fetch.h"
#include "protocol/msg/headers.h"

enum { RECV_LEAST = 64 << 10, CHAIN_ARENA_MAX = 256 << 20, INFLATED_MAX = 1 << 30 };

static uint32_t dealt(const struct run *r)
{
        return r->fan_out ? r->chains : r->chains * r->n_consumers;
}

uint32_t consumer_of(const struct run *r, uint32_t partition)
{
        return partition % dealt(r) / r->chains;
}

/* --- asking --- */

static bool fill_request(const struct consumer *c, const struct chain *ch, struct fetch_req *m)
{
        const struct run *r = c->worker->run;
        struct arena *a = &c->worker->arena;
        struct fetch_req_topics *topics = arena_array(a, ch->n, sizeof *topics);
        struct fetch_req_topics_partitions *parts = arena_array(a, ch->n, sizeof *parts);
        if (!topics || !parts) return false;
        int32_t n = 0;
        const struct bench_topic *last = NULL;
        for (uint32_t i = 0; i < ch->n; i++) {
                const struct bench_topic *t = topic_of(r->topics, ch->parts[i].partition);
                if (t != last) {
                        fetch_req_topics_init(&topics[n]);
                        topics[n].topic = str_of(t->name);
                        topics[n].topic_id = t->id;
                        topics[n++].partitions.at = &parts[i];
                }
                last = t;
                topics[n - 1].partitions.n++;
                fetch_req_topics_partitions_init(&parts[i]);
                parts[i].partition = topic_index(r->topics, ch->parts[i].partition);
                parts[i].fetch_offset = ch->parts[i].offset;
                parts[i].partition_max_bytes = r->fetch_partition_bytes;
        }
        fetch_req_init(m);
        m->max_wait_ms = r->fetch_wait_ms;
        m->min_bytes = r->fetch_min_bytes;
        m->max_bytes = r->fetch_max_bytes;
        m->topics.n = n;
        m->topics.at = topics;
        return true;
}

static bool flatten(struct chain *ch, const struct out *o)
{
        size_t n = out_total(o), at = 0;
        if (n > ch->room) {
                uint8_t *p = realloc(ch->request, n);
                if (!p) return false;
                ch->request = p;
                ch->room = n;
        }
        for (uint32_t i = 0; i < out_segments(o); i++) {
                memcpy(ch->request + at, o->iov[i].iov_base, o->iov[i].iov_len);
                at += o->iov[i].iov_len;
        }
        return true;
}

static bool ask(struct consumer *c, uint32_t chain)
{
        struct worker *w = c->worker;
        struct chain *ch = &c->chains[chain];
        int16_t version = w->run->fetch_version;
        struct out o;
        struct request_header h;
        struct fetch_req m;
        out_init(&o, &w->arena);
        request_header_init(&h);
        h.api_key = API_FETCH;
        h.api_version = version;
        h.correlation_id = (int32_t)(uint32_t)c->sent;
        h.client_id = STR("varve-bench");
        struct out_hole size = out_hole_i32(&o);
        request_header_encode(&h, &o, api_request_header_version(API_FETCH, version));
        bool ok = fill_request(c, ch, &m);
        if (ok) fetch_req_encode(&m, &o, version);
        ok = ok && !o.bad;
        if (ok) {
                out_patch_i32(size, (int32_t)(out_total(&o) - 4));
                ok = flatten(ch, &o);
        }
        if (ok) {
                c->order[c->sent % w->run->chains] = chain;
                c->sent++;
                ch->sent_ns = mono_ns();
                link_send(&c->link, ch->request, out_total(&o));
        } else
                failure_text(w->run, "no memory for a Fetch of %u partitions", ch->n);
        arena_reset(&w->arena);
        return ok;
}

/* --- records --- */

struct reading {
        struct record_visitor visitor;
        struct consumer *c;
        uint32_t partition;
        int64_t from; /* records before were asked for by nobody */
        uint64_t intended_ns;
        bool check;
};

/* 1: the first record was all that was wanted. */
static int on_record(struct record_visitor *v, const struct record *rec)
{
        struct reading *d = CONTAINER_OF(v, struct reading, visitor);
        if (rec->offset < d->from) return 0;
        if (d->intended_ns == 0 && rec->value.n >= STAMP_SIZE)
                d->intended_ns = stamp_intended(rec->value.p);
        if (!d->check) return 1;
        check_record(&d->c->check, d->partition, rec->value);
        return 0;
}

static bool read_records(struct reading *d, const uint8_t *p, const struct batch *b)
{
        struct worker *w = d->c->worker;
        struct err e = { 0 };
        if (d->check && !batch_crc_ok(p, b)) {
                failure_text(w->run, "partition %u, offset %lld: the batch fails its checksum",
                    d->partition, (long long)b->base_offset);
                return false;
        }
        d->visitor.on_record = on_record;
        int r = batch_each_record(p, b, w->cx, INFLATED_MAX, &d->visitor, &e);
        if (r >= 0) return true;
        failure_text(w->run, "partition %u, offset %lld: %s", d->partition,
            (long long)b->base_offset, e.text);
        return false;
}

struct totals {
        uint64_t now_ns, records, bytes;
};

static bool take_batch(struct consumer *c, struct chain_part *at, const uint8_t *p,
    const struct batch *b, struct totals *sum)
{
        struct run *r = c->worker->run;
        struct reading d = {
                .c = c, .partition = at->partition, .from = at->offset, .check = r->check
        };
        if ((r->check || r->e2e) && !read_records(&d, p, b)) return false;
        uint64_t records = (uint64_t)b->count;
        if (r->e2e)
                flow_add(&c->worker->e2e, &r->window,
                    &(struct flow_event){ .now_ns = sum->now_ns,
                        .intended_ns = d.intended_ns,
                        .records = records,
                        .bytes = b->size });
        sum->records += records;
        sum->bytes += b->size;
        at->offset = batch_last_offset(b) + 1;
        return true;
}

static bool take_records(
    struct consumer *c, struct chain_part *at, const struct records *rs, struct totals *sum)
{
        struct run *r = c->worker->run;
        size_t n = rs->n > 0 ? (size_t)rs->n : 0, done = 0;
        while (n - done >= BATCH_HEADER_SIZE) {
                const uint8_t *p = rs->p + done;
                struct batch b;
                size_t size = (size_t)load_be32(p + BATCH_LENGTH) + BATCH_LENGTH_EXTRA;
                if (size > n - done) break; /* the server cut it */
                const char *why = batch_read(p, n - done, true, &b);
                if (why) {
                        failure_text(r, "partition %u, offset %lld: %s", at->partition,
                            (long long)at->offset, why);
                        return false;
                }
                done += b.size;
                if (batch_last_offset(&b) < at->offset) continue;
                if (!take_batch(c, at, p, &b, sum)) return false;
        }
        if (done == 0 && n > 0) {
                failure_text(r, "partition %u, offset %lld: a batch is larger than --fetch-bytes",
                    at->partition, (long long)at->offset);
                return false;
        }
        const int64_t *ends = atomic_load_explicit(&r->ends, memory_order_acquire);
        if (r->rewind && ends && at->offset >= ends[at->partition])
                at->offset = r->begin[at->partition];
        return true;
}

/* --- replies --- */

/* Which topic a reply means; hint: the one that is likely.  topics->n: none of ours. */
static uint32_t topic_number(
    const struct topic_set *t, const struct fetch_res_responses *m, bool by_id, uint32_t hint)
{
        for (uint32_t k = 0; k < t->n; k++) {
                uint32_t i = (hint + k) % t->n;
                if (by_id ? uuid_eq(m->topic_id, t->at[i].id)
                          : str_eq(m->topic, str_of(t->at[i].name)))
                        return i;
        }
        return t->n;
}

static struct chain_part *part_of(struct consumer *c, struct chain *ch, uint64_t partition)
{
        uint64_t i = partition / dealt(c->worker->run);
        return i < ch->n && ch->parts[i].partition == partition ? &ch->parts[i] : NULL;
}

static bool take_topic(struct consumer *c, struct chain *ch, const struct fetch_res_responses *m,
    uint32_t topic, struct totals *sum)
{
        struct run *r = c->worker->run;
        for (int32_t i = 0; i < m->partitions.n; i++) {
                const struct fetch_res_responses_partitions *p = &m->partitions.at[i];
                if (p->error_code) {
                        failure_code(r, "Fetch", p->error_code);
                        return false;
                }
                struct chain_part *at = part_of(
                    c, ch, (uint64_t)topic * r->topics->partitions + (uint32_t)p->partition_index);
                if (!at) {
                        failure_text(r, "Fetch answers a partition that nobody asked for");
                        return false;
                }
                if (!take_records(c, at, &p->records, sum)) return false;
        }
        return true;
}

static bool take_reply(
    struct consumer *c, struct chain *ch, const struct fetch_res *m, uint64_t now_ns)
{
        struct run *r = c->worker->run;
        struct totals sum = { .now_ns = now_ns };
        uint32_t hint = 0;
        if (m->error_code) {
                failure_code(r, "Fetch", m->error_code);
                return false;
        }
        for (int32_t i = 0; i < m->responses.n; i++) {
                const struct fetch_res_responses *t = &m->responses.at[i];
                hint = topic_number(r->topics, t, r->fetch_version >= 13, hint);
                if (hint == r->topics->n) {
                        failure_text(r, "Fetch answers a topic that nobody asked for");
                        return false;
                }
                if (!take_topic(c, ch, t, hint, &sum)) return false;
        }
        if (sum.records > 0)
                flow_add(&c->worker->fetch, &r->window,
                    &(struct flow_event){ .now_ns = now_ns,
                        .intended_ns = ch->sent_ns,
                        .records = sum.records,
                        .bytes = sum.bytes });
        return true;
}

static bool chain_done(const struct run *r, const struct chain *ch)
{
        const int64_t *ends = atomic_load_explicit(&r->ends, memory_order_acquire);
        if (!ends || r->rewind) return false;
        for (uint32_t i = 0; i < ch->n; i++)
                if (ch->parts[i].offset < ends[ch->parts[i].partition]) return false;
        return true;
}

void consumer_look_done(struct consumer *c)
{
        struct run *r = c->worker->run;
        if (c->finished) return;
        for (uint32_t i = 0; i < r->chains; i++)
                if (!chain_done(r, &c->chains[i])) return;
        c->finished = true;
        if (atomic_fetch_sub(&r->consumers_left, 1) == 1) io_wake(r->main_io, NULL);
}

static bool on_frame(struct link *l, struct bytes frame)
{
        struct consumer *c = CONTAINER_OF(l, struct consumer, link);
        struct worker *w = c->worker;
        struct run *r = w->run;
        uint64_t now = mono_ns();
        struct cursor in = cursor_of(frame.p, (size_t)frame.n);
        struct response_header h;
        struct fetch_res m;
        if (c->answered == c->sent) return false;
        uint32_t chain = c->order[c->answered % r->chains];
        int16_t version = r->fetch_version;
        bool ok = response_header_decode(
                      &h, &in, api_response_header_version(API_FETCH, version), &w->arena) &&
                  fetch_res_decode(&m, &in, version, &w->arena);
        if (!ok)
                failure_text(r, "Fetch: reply: %s", in.why);
        else if (h.correlation_id != (int32_t)(uint32_t)c->answered) {
                failure_text(r, "Fetch: reply to another request");
                ok = false;
        } else
                ok = take_reply(c, &c->chains[chain], &m, now);
        arena_reset(&w->arena);
        if (!ok) return false;
        c->answered++;
        consumer_look_done(c);
        /* A chain that waits at the end would hold up the others: servers answer in order. */
        return chain_done(r, &c->chains[chain]) || ask(c, chain);
}

/* --- life --- */

static void on_down(struct link *l, int64_t res)
{
        struct consumer *c = CONTAINER_OF(l, struct consumer, link);
        failure_text(c->worker->run, "consumer %u lost its connection: %s", c->id,
            res == 0 ? "the server closed it" : strerror((int)-res));
}

static bool deal(struct consumer *c)
{
        struct run *r = c->worker->run;
        uint32_t total = topic_set_total(r->topics), step = dealt(r);
        for (uint32_t i = 0; i < r->chains; i++) {
                struct chain *ch = &c->chains[i];
                uint32_t first = r->fan_out ? i : c->id * r->chains + i;
                ch->parts = calloc(total / step + 1, sizeof *ch->parts);
                if (!ch->parts) return false;
                for (uint32_t p = first; p < total; p += step)
                        ch->parts[ch->n++] = (struct chain_part){ p, r->begin[p] };
        }
        return true;
}

bool consumer_open(struct consumer *c)
{
        struct run *r = c->worker->run;
        c->chains = calloc(r->chains, sizeof *c->chains);
        c->order = calloc(r->chains, sizeof *c->order);
        if (!c->chains || !c->order || !deal(c)) return false;
        if (r->check &&
            !check_init(&c->check, r->id, topic_set_total(r->topics), MAX(r->n_producers, 1U)))
                return false;
        c->link.io = c->worker->io;
        c->link.dirty = &c->worker->dirty;
        c->link.on_frame = on_frame;
        c->link.on_down = on_down;
        size_t room = MAX((size_t)r->fetch_max_bytes + RECV_LEAST, (size_t)RECV_LEAST);
        return link_start(&c->link, c->link.fd, 2 * r->chains, room);
}

void consumer_begin(struct consumer *c)
{
        for (uint32_t i = 0; i < c->worker->run->chains; i++)
                if (!chain_done(c->worker->run, &c->chains[i]) && c->chains[i].n > 0 && !ask(c, i))
                        return;
        consumer_look_done(c);
}

void consumer_free(struct consumer *c)
{
        link_free(&c->link);
        for (uint32_t i = 0; c->chains && i < c->worker->run->chains; i++) {
                free(c->chains[i].parts);
                free(c->chains[i].request);
        }
        free(c->chains);
        free(c->order);
        if (c->check.magic) check_free(&c->check);
        c->chains = NULL;
        c->order = NULL;
}
