/* One measured run.
 *
 * Set-up: scripts are built and threads connect.  Between two barriers the window is set.  The main
 * thread then samples CPU at the window's ends, shows progress, and waits: for the producers, then
 * (when asked for) for the consumers to catch up.  A failure or a standstill stops everything.
 * Tear-down: workers close and are joined; only then their figures are read. */
#include "bench/trial.h"
#include "base/check.h"
#include "base/status.h"
#include "protocol/errors.h"

#include <stdio.h>
#include <unistd.h>

struct crew {
        struct session *s;
        const struct trial *t;
        struct run run;
        struct worker *workers;
        uint32_t n, started;
};

/* --- set-up --- */

static struct rate share(const struct rate *r, uint32_t of)
{
        return (struct rate){ r->records / of, r->bytes / of };
}

static bool timed(const struct trial *t)
{
        return t->rate.records > 0 || t->rate.bytes > 0;
}

static void describe_script(const struct crew *c, uint32_t id, struct script_spec *ret)
{
        const struct session *s = c->s;
        const struct options *o = s->o;
        uint32_t total = topic_set_total(&s->topics), of = c->t->producers;
        uint32_t first = o->split ? (uint32_t)((uint64_t)total * id / of) : 0;
        uint32_t end = o->split ? (uint32_t)((uint64_t)total * (id + 1) / of) : total;
        *ret = (struct script_spec){ .size = o->size,
                .keys = &s->keys,
                .payload = &s->payload,
                .batch_records = (uint32_t)o->batch_records,
                .batch_bytes = (uint32_t)o->batch_bytes,
                .partitions_per_request = (uint32_t)o->partitions_per_request,
                .first = first,
                .n_partitions = end - first,
                .start = o->split ? 0 : (uint32_t)((uint64_t)total * id / of),
                .rate = share(&c->t->rate, of),
                .linger_ns = timed(c->t) ? o->linger_ns : 0,
                .ring_bytes = o->ring_bytes / of,
                .frames_least = c->run.in_flight + 1,
                .seed = o->seed * 1000003 + id,
                .wall_ms = io_wall_ms(s->io) };
        ret->frame = (struct frame_spec){ .topics = &s->topics,
                .version = c->run.produce_version,
                .acks = c->run.acks,
                .timeout_ms = 30000,
                .codec = (enum codec)o->codec.value,
                .stamped = c->run.stamped,
                .check = c->run.check };
}

/* How many requests make so many records. */
static uint64_t sends_for(const struct script *s, uint64_t records)
{
        uint64_t rounds = records / s->records, n = rounds * s->n, left = records % s->records;
        for (uint32_t i = 0; left > 0; i++) {
                n++;
                left -= MIN(left, (uint64_t)s->frames[i].records);
        }
        return n;
}

static int make_producer(struct crew *c, struct worker *w, uint32_t id, struct err *e)
{
        struct producer *p = &w->producers[w->n_producers++];
        struct script_spec spec;
        *p = (struct producer){ .id = id, .worker = w, .link = { .fd = -1 } };
        describe_script(c, id, &spec);
        spec.frame.cx = w->cx;
        int r = script_build(&spec, &p->script, e);
        if (r < 0) return r;
        p->sends_max = UINT64_MAX;
        uint64_t part = c->t->records / c->t->producers + (id < c->t->records % c->t->producers);
        if (c->t->records) p->sends_max = sends_for(&p->script, part);
        /* Connections take turns. */
        p->offset_ns = p->script.period_ns / p->script.n * id / c->t->producers;
        return 0;
}

static int make_workers(struct crew *c, struct err *e)
{
        const struct options *o = c->s->o;
        uint32_t np = (uint32_t)MIN(o->threads, (uint64_t)c->t->producers);
        uint32_t nc = (uint32_t)MIN(o->consumer_threads, (uint64_t)c->t->consumers);
        c->workers = calloc(np + nc, sizeof *c->workers);
        if (!c->workers) return err_set(e, ST_NOMEM, "no memory for workers");
        for (; c->n < np + nc; c->n++) {
                struct worker *w = &c->workers[c->n];
                int r = worker_init(w, &c->run, e);
                if (r < 0) return r;
                w->producers = calloc(c->t->producers + 1, sizeof *w->producers);
                w->consumers = calloc(c->t->consumers + 1, sizeof *w->consumers);
                if (!w->producers || !w->consumers)
                        return err_set(e, ST_NOMEM, "no memory for connections");
        }
        for (uint32_t i = 0; i < c->t->producers; i++) {
                int r = make_producer(c, &c->workers[i % np], i, e);
                if (r < 0) return r;
        }
        for (uint32_t i = 0; i < c->t->consumers; i++) {
                struct worker *w = &c->workers[np + i % nc];
                w->consumers[w->n_consumers++] =
                    (struct consumer){ .id = i, .worker = w, .link = { .fd = -1 } };
        }
        return 0;
}

static int need_version(const struct call *c, int16_t key, int16_t *ret, struct err *e)
{
        *ret = c->versions[key];
        if (*ret >= 3) return 0; /* below, batches are of another kind */
        return err_set(e, ST_UNSUPPORTED, "the server speaks no usable version of %s",
            api_info_find(key)->name);
}

static int describe_run(struct crew *c, struct err *e)
{
        struct session *s = c->s;
        const struct options *o = s->o;
        const struct trial *t = c->t;
        c->run = (struct run){ .failures = { .lock = PTHREAD_MUTEX_INITIALIZER },
                .main_io = s->io,
                .topics = &s->topics,
                .host = s->host,
                .port = s->port,
                .posix = o->io.value != 0,
                .acks = options_acks(o),
                .check = t->check,
                .stamped = t->check || t->e2e,
                .timed = timed(t),
                .n_producers = t->producers,
                .in_flight = (uint32_t)o->in_flight,
                .n_consumers = t->consumers,
                .chains = (uint32_t)o->fetches,
                .fan_out = o->fan_out,
                .rewind = t->rewind,
                .e2e = t->e2e,
                .fetch_wait_ms = (int32_t)(o->fetch_wait_ns / 1000000),
                .fetch_min_bytes = (int32_t)o->fetch_min_bytes,
                .fetch_max_bytes = (int32_t)o->fetch_max_bytes,
                .fetch_partition_bytes = (int32_t)o->fetch_bytes,
                .begin = s->begin };
        atomic_store(&c->run.producers_left, t->producers);
        atomic_store(&c->run.consumers_left, t->consumers);
        int r = need_version(&s->call, API_PRODUCE, &c->run.produce_version, e);
        if (r == 0) r = need_version(&s->call, API_FETCH, &c->run.fetch_version, e);
        return r;
}

/* Who is checked against whom. */
static int describe_check(struct crew *c, struct err *e)
{
        struct session *s = c->s;
        if (c->t->read_back) {
                c->run.id = s->run_id;
                c->run.n_producers = s->n_producers;
        } else if (c->t->producers > 0) {
                io_random(s->io, &s->run_id, sizeof s->run_id);
                s->run_id |= 1;
                c->run.id = s->run_id;
                s->n_producers = c->t->producers;
                free(s->seq);
                s->seq =
                    calloc((size_t)s->n_producers * topic_set_total(&s->topics), sizeof *s->seq);
                if (!s->seq) return err_set(e, ST_NOMEM, "no memory for record numbers");
        } else /* of a run that is over: whoever produced it had so many connections */
                c->run.n_producers = (uint32_t)s->o->connections;
        c->run.seq = s->seq;
        return 0;
}

static int find_offsets(struct crew *c, struct err *e)
{
        struct session *s = c->s;
        if (c->t->read_back) return call_offsets(&s->call, &s->topics, OFFSETS_LATEST, s->ends, e);
        bool needed = c->t->consumers > 0 || c->t->check;
        if (!needed) return 0;
        int64_t from = c->t->from_beginning ? OFFSETS_EARLIEST : OFFSETS_LATEST;
        int r = call_offsets(&s->call, &s->topics, from, s->begin, e);
        if (r == 0 && c->t->ends_known)
                r = call_offsets(&s->call, &s->topics, OFFSETS_LATEST, s->ends, e);
        return r;
}

/* --- while it runs --- */

struct watch {
        struct crew *c;
        struct proc_sample own[2], server[2];
        double sink[2];
        bool server_ok;
        int sampled;                    /* of the two ends of the window */
        uint64_t progress, progress_ns; /* what moved, and when it last did */
        uint64_t shown_records, shown_bytes, shown_ns;
        bool tty;
};

static void sample(struct watch *w)
{
        const struct session *s = w->c->s;
        int i = w->sampled++;
        proc_sample(0, &w->own[i]);
        if (s->o->server_pid)
                w->server_ok =
                    proc_sample((int)s->o->server_pid, &w->server[i]) && (i == 0 || w->server_ok);
        if (s->sink) w->sink[i] = sink_cpu_seconds(s->sink);
}

static uint64_t live(const struct crew *c, bool fetched, bool bytes)
{
        uint64_t n = 0;
        for (uint32_t i = 0; i < c->n; i++) {
                struct flow *f = fetched ? &c->workers[i].fetch : &c->workers[i].produce;
                n += atomic_load_explicit(
                    bytes ? &f->live_bytes : &f->live_records, memory_order_relaxed);
        }
        return n;
}

static void show_progress(struct watch *w, uint64_t now)
{
        const struct crew *c = w->c;
        bool fetched = c->t->producers == 0;
        uint64_t records = live(c, fetched, false), bytes = live(c, fetched, true);
        double seconds = (double)(now - w->shown_ns) * 1e-9;
        double since = ((double)now - (double)c->run.window.from_ns) * 1e-9;
        if (w->tty && seconds > 0)
                fprintf(stderr, "\r%s %5.0f s  %12.0f records/s  %9.1f MB/s   ",
                    c->t->label ? c->t->label : "", since,
                    (double)(records - w->shown_records) / seconds,
                    (double)(bytes - w->shown_bytes) / seconds / 1e6);
        w->shown_records = records;
        w->shown_bytes = bytes;
        w->shown_ns = now;
}

/* One look at the run; false: it must stop. */
static bool look(struct watch *w)
{
        struct crew *c = w->c;
        const struct window *win = &c->run.window;
        uint64_t now = mono_ns();
        if (w->sampled == 0 && now >= win->from_ns) sample(w);
        if (w->sampled == 1 && now >= win->until_ns) sample(w);
        uint64_t moved = live(c, false, false) + live(c, true, false);
        if (moved != w->progress || now < win->from_ns) {
                w->progress = moved;
                w->progress_ns = now;
        }
        if (now - w->shown_ns >= 1000000000) show_progress(w, now);
        if (c->s->interrupted && *c->s->interrupted) failure_text(&c->run, "interrupted");
        if (atomic_load(&c->run.failures.any)) return false;
        bool still = now > w->progress_ns && now - w->progress_ns > c->s->o->timeout_ns;
        if (still)
                failure_text(
                    &c->run, "nothing moved for %.0f s", (double)c->s->o->timeout_ns * 1e-9);
        return !still;
}

static void doze(struct watch *w)
{
        const struct window *win = &w->c->run.window;
        uint64_t now = mono_ns(), next = w->shown_ns + 1000000000;
        if (w->sampled == 0) next = MIN(next, win->from_ns);
        if (w->sampled == 1) next = MIN(next, win->until_ns);
        if (next > now) io_turn(w->c->s->io, next - now);
}

/* False: stopped before. */
static bool wait_for(struct watch *w, _Atomic uint32_t *left, uint64_t until_ns)
{
        for (;;) {
                if (!look(w)) return false;
                if (atomic_load(left) == 0 || mono_ns() >= until_ns) return true;
                doze(w);
        }
}

static int catch_up(struct watch *w, struct err *e)
{
        struct crew *c = w->c;
        int r = call_offsets(&c->s->call, &c->s->topics, OFFSETS_LATEST, c->s->ends, e);
        if (r < 0) return r;
        atomic_store_explicit(&c->run.ends, c->s->ends, memory_order_release);
        for (uint32_t i = 0; i < c->n; i++) io_wake(c->workers[i].io, NULL);
        w->progress_ns = mono_ns();
        wait_for(w, &c->run.consumers_left, UINT64_MAX);
        return 0;
}

static int watch_run(struct watch *w, struct err *e)
{
        struct crew *c = w->c;
        int r = 0;
        bool go = true;
        if (c->t->producers > 0) go = wait_for(w, &c->run.producers_left, UINT64_MAX);
        if (go && c->t->producers == 0)
                go = wait_for(w, &c->run.consumers_left, c->run.window.until_ns);
        /* The last sample belongs to the end of what was measured. */
        if (w->sampled == 0) sample(w);
        if (w->sampled == 1) sample(w);
        if (go && c->t->catch_up) r = catch_up(w, e);
        if (w->tty) fprintf(stderr, "\r%79s\r", "");
        return r;
}

static void set_window(struct crew *c)
{
        uint64_t now = mono_ns();
        c->run.window = (struct window){ .start_ns = now,
                .from_ns = now + c->t->warmup_ns,
                .until_ns =
                    c->t->records ? UINT64_MAX : now + c->t->warmup_ns + c->t->duration_ns };
}

/* --- results --- */

static void compare_tails(const struct crew *c, const struct consumer *x, struct check_result *ret)
{
        uint32_t total = topic_set_total(c->run.topics);
        for (uint32_t p = 0; p < total; p++) {
                if (!c->run.fan_out && consumer_of(&c->run, p) != x->id) continue;
                for (uint32_t k = 0; c->run.seq && k < c->run.n_producers; k++)
                        ret->missing +=
                            check_tail(&x->check, p, k, c->run.seq[(size_t)k * total + p]);
        }
}

static void collect_check(const struct crew *c, struct check_result *ret)
{
        uint32_t total = topic_set_total(c->run.topics);
        bool whole = c->t->catch_up || c->t->read_back; /* everything sent must have come */
        *ret = (struct check_result){ .done = c->t->check && c->t->consumers > 0 };
        if (!ret->done) return;
        for (size_t i = 0; c->run.seq && i < (size_t)total * c->run.n_producers; i++)
                ret->sent += c->run.seq[i];
        for (uint32_t i = 0; i < c->n; i++)
                for (uint32_t k = 0; k < c->workers[i].n_consumers; k++) {
                        const struct consumer *x = &c->workers[i].consumers[k];
                        if (!x->check.magic) continue;
                        ret->received += x->check.records;
                        ret->duplicated += x->check.duplicated;
                        ret->reordered += x->check.reordered;
                        ret->damaged += x->check.damaged;
                        ret->misplaced += x->check.misplaced;
                        ret->foreign += x->check.foreign;
                        ret->missing += check_missing(&x->check);
                        if (whole) compare_tails(c, x, ret);
                }
}

bool check_failed(const struct check_result *c)
{
        return c->done &&
               (c->missing || c->duplicated || c->reordered || c->damaged || c->misplaced);
}

static int collect(struct crew *c, const struct watch *w, struct result *ret, struct err *e)
{
        if (!flow_init(&ret->produce) || !flow_init(&ret->fetch) || !flow_init(&ret->e2e))
                return err_set(e, ST_NOMEM, "no memory for the result");
        ret->window = c->run.window;
        for (uint32_t i = 0; i < c->n; i++) {
                flow_merge(&ret->produce, &c->workers[i].produce);
                flow_merge(&ret->fetch, &c->workers[i].fetch);
                flow_merge(&ret->e2e, &c->workers[i].e2e);
                for (uint32_t k = 0; k < c->workers[i].n_producers; k++) {
                        const struct script *s = &c->workers[i].producers[k].script;
                        ret->frames += s->n;
                        ret->ring_bytes += (double)s->bytes;
                        ret->covered = MAX(ret->covered, s->covered);
                }
        }
        const struct flow *main_flow = c->t->producers ? &ret->produce : &ret->fetch;
        ret->seconds = flow_seconds(main_flow, &ret->window);
        /* Consumers that came to the end before time was up. */
        if (c->t->producers == 0 && atomic_load(&c->run.consumers_left) == 0 && !c->t->rewind &&
            ret->fetch.last_ns > ret->window.from_ns)
                ret->seconds = (double)(ret->fetch.last_ns - ret->window.from_ns) * 1e-9;
        collect_check(c, &ret->check);
        ret->cpu = (struct cpu_result){ .sink = w->sink[1] - w->sink[0],
                .own = w->own[1].cpu_seconds - w->own[0].cpu_seconds - (w->sink[1] - w->sink[0]),
                .server_known = w->server_ok,
                .server = w->server[1].cpu_seconds - w->server[0].cpu_seconds,
                .server_rss = w->server[1].rss,
                .server_rss_peak = w->server[1].rss_peak,
                .server_written = w->server[1].written - w->server[0].written };
        return 0;
}

static int explain(struct run *r, struct err *e)
{
        char counts[ERR_TEXT_MAX / 2] = "";
        size_t n = 0;
        for (int i = 0; i < ERROR_CODES && n < sizeof counts; i++)
                if (r->failures.by_code[i])
                        n += (size_t)snprintf(counts + n, sizeof counts - n, "; %s × %llu",
                            wire_error_name((int16_t)(i - 1)),
                            (unsigned long long)r->failures.by_code[i]);
        return err_set(e, ST_INVALID, "%s%s", r->failures.first, counts);
}

/* --- all of it --- */

static int run_crew(struct crew *c, struct result *ret, struct err *e)
{
        struct watch w = { .c = c, .tty = isatty(STDERR_FILENO) && !c->s->o->quiet };
        pthread_barrier_init(&c->run.barrier, NULL, c->n + 1);
        if (c->t->ends_known || c->t->read_back) atomic_store(&c->run.ends, c->s->ends);
        for (; c->started < c->n; c->started++) {
                if (worker_start(&c->workers[c->started])) continue;
                fprintf(stderr, "varve bench: no thread for a worker\n");
                exit(1); /* the others wait at the barrier */
        }
        pthread_barrier_wait(&c->run.barrier);
        set_window(c);
        w.shown_ns = w.progress_ns = c->run.window.start_ns;
        atomic_store(&c->run.stop, atomic_load(&c->run.failures.any));
        pthread_barrier_wait(&c->run.barrier);
        int r = watch_run(&w, e);
        atomic_store_explicit(&c->run.stop, true, memory_order_release);
        for (uint32_t i = 0; i < c->n; i++) io_wake(c->workers[i].io, NULL);
        for (uint32_t i = 0; i < c->n; i++) pthread_join(c->workers[i].thread, NULL);
        pthread_barrier_destroy(&c->run.barrier);
        if (atomic_load(&c->run.failures.any)) return explain(&c->run, e);
        return r < 0 ? r : collect(c, &w, ret, e);
}

int trial_run(struct session *s, const struct trial *t, struct result *ret, struct err *e)
{
        assert(t->producers > 0 || t->consumers > 0);
        struct crew c = { .s = s, .t = t };
        struct result result = { 0 };
        int r = describe_run(&c, e);
        if (r == 0) r = describe_check(&c, e);
        if (r == 0) r = find_offsets(&c, e);
        if (r == 0) r = make_workers(&c, e);
        if (r == 0) r = run_crew(&c, &result, e);
        for (uint32_t i = 0; c.workers && i < c.n; i++) worker_free(&c.workers[i]);
        free(c.workers);
        if (r < 0)
                result_free(&result);
        else
                *ret = result;
        return r;
}

void result_free(struct result *r)
{
        flow_free(&r->produce);
        flow_free(&r->fetch);
        flow_free(&r->e2e);
        *r = (struct result){ 0 };
}
