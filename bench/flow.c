/* Counting what finished. */
#include "bench/flow.h"

#include "base/check.h"

bool flow_init(struct flow *f)
{
        *f = (struct flow){ 0 };
        f->seconds = calloc(FLOW_SECONDS_MAX, sizeof *f->seconds);
        bool ok = f->seconds && hist_init(&f->latency, HIST_FINE) && hist_init(&f->late, HIST_FINE);
        if (!ok) flow_free(f);
        return ok;
}

void flow_free(struct flow *f)
{
        for (uint32_t i = 0; f->seconds && i < f->n_seconds; i++) hist_free(&f->seconds[i].latency);
        free(f->seconds);
        hist_free(&f->latency);
        hist_free(&f->late);
        *f = (struct flow){ 0 };
}

static void second_latency(struct flow_second *s, uint64_t ns, uint64_t times)
{
        if (!s->latency.magic && !hist_init(&s->latency, HIST_COARSE)) return;
        hist_add(&s->latency, ns, times);
}

void flow_merge(struct flow *to, const struct flow *from)
{
        hist_merge(&to->latency, &from->latency);
        hist_merge(&to->late, &from->late);
        to->requests += from->requests;
        to->records += from->records;
        to->bytes += from->bytes;
        to->user_bytes += from->user_bytes;
        to->unsent += from->unsent;
        to->last_ns = MAX(to->last_ns, from->last_ns);
        to->n_seconds = MAX(to->n_seconds, from->n_seconds);
        for (uint32_t i = 0; i < from->n_seconds; i++) {
                struct flow_second *s = &to->seconds[i];
                s->records += from->seconds[i].records;
                s->bytes += from->seconds[i].bytes;
                if (!from->seconds[i].latency.magic) continue;
                second_latency(s, 0, 0);
                if (s->latency.magic) hist_merge(&s->latency, &from->seconds[i].latency);
        }
}

static struct flow_second *second_at(struct flow *f, const struct window *w, uint64_t now_ns)
{
        uint64_t i = (now_ns - w->from_ns) / 1000000000;
        if (i >= FLOW_SECONDS_MAX) return NULL;
        f->n_seconds = MAX(f->n_seconds, (uint32_t)i + 1);
        return &f->seconds[i];
}

static uint64_t since(const struct flow_event *ev)
{
        return ev->now_ns > ev->intended_ns ? ev->now_ns - ev->intended_ns : 0;
}

static bool inside(const struct window *w, uint64_t t)
{
        return t >= w->from_ns && t < w->until_ns;
}

void flow_add(struct flow *f, const struct window *w, const struct flow_event *ev)
{
        atomic_store_explicit(&f->live_records,
            atomic_load_explicit(&f->live_records, memory_order_relaxed) + ev->records,
            memory_order_relaxed);
        atomic_store_explicit(&f->live_bytes,
            atomic_load_explicit(&f->live_bytes, memory_order_relaxed) + ev->bytes,
            memory_order_relaxed);
        struct flow_second *s = inside(w, ev->now_ns) ? second_at(f, w, ev->now_ns) : NULL;
        if (inside(w, ev->now_ns)) {
                f->requests++;
                f->records += ev->records;
                f->bytes += ev->bytes;
                f->user_bytes += ev->user_bytes;
                f->last_ns = ev->now_ns;
        }
        if (s) {
                s->records += ev->records;
                s->bytes += ev->bytes;
        }
        if (!inside(w, ev->intended_ns)) return;
        uint64_t times = MAX(ev->records, (uint64_t)1);
        hist_add(&f->latency, since(ev), times);
        if (s) second_latency(s, since(ev), times);
}

void flow_unsent(struct flow *f, const struct window *w, const struct flow_event *ev)
{
        if (!inside(w, ev->intended_ns)) return;
        hist_add(&f->latency, since(ev), ev->records);
        f->unsent += ev->records;
}

double flow_seconds(const struct flow *f, const struct window *w)
{
        uint64_t end = w->until_ns != UINT64_MAX ? w->until_ns : MAX(f->last_ns, w->from_ns);
        return (double)(end - w->from_ns) * 1e-9;
}
