/* `varve bench`: one measured run, or a search for the highest rate. */
#include "bench/bench.h"

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"
#include "bench/report.h"

#include <signal.h>
#include <unistd.h>

enum { STEPS_MAX = 24, CLOSE_ENOUGH_PERCENT = 4 };

static struct trial trial_of(const struct options *o)
{
        bool produces = o->mode != MODE_CONSUME;
        bool consumes = o->mode == MODE_CONSUME || o->mode == MODE_E2E || o->mode == MODE_MIXED;
        return (struct trial){ .producers = produces ? (uint32_t)o->connections : 0,
                .consumers = consumes ? (uint32_t)o->consumers : 0,
                .rate = o->rate,
                .warmup_ns = o->warmup_ns,
                .duration_ns = o->duration_ns,
                .records = o->records,
                .check = o->check,
                .e2e = o->mode == MODE_E2E,
                .from_beginning = consumes && o->from.value == FROM_BEGINNING,
                .rewind = o->rewind,
                .ends_known = o->mode == MODE_CONSUME,
                .catch_up = o->mode == MODE_E2E || (o->mode == MODE_MIXED && o->check),
                .label = mode_name(o->mode) };
}

/* Written by producers of its own, as fast as it goes. */
static int preload(struct session *s, struct err *e)
{
        const struct options *o = s->o;
        uint64_t size =
            MAX((uint64_t)(size_least(&o->size) + size_most(&o->size)) / 2, UINT64_C(1));
        const struct trial t = { .producers = (uint32_t)o->connections,
                .records = o->preload_bytes / size + 1,
                .check = o->check,
                .label = "preload" };
        struct result r;
        int st = trial_run(s, &t, &r, e);
        if (st < 0) return err_wrap(e, st, "preload");
        result_free(&r);
        return 0;
}

/* After the clock stopped: is everything there that was acknowledged? */
static int read_back(struct session *s, struct check_result *ret, struct err *e)
{
        const struct trial t = { .consumers = (uint32_t)s->o->consumers,
                .duration_ns = UINT64_C(3600000000000),
                .check = true,
                .read_back = true,
                .label = "read back" };
        struct result r;
        int st = trial_run(s, &t, &r, e);
        if (st < 0) return err_wrap(e, st, "read back");
        *ret = r.check;
        result_free(&r);
        return 0;
}

static void print(const struct report *r)
{
        if (r->session->o->output.value == OUTPUT_JSON)
                report_json(r, stdout);
        else
                report_text(r, stdout);
        fflush(stdout);
}

static int run_once(struct session *s, struct err *e)
{
        const struct options *o = s->o;
        struct trial t = trial_of(o);
        struct result result;
        struct check_result back = { 0 };
        struct report report = { .session = s, .result = &result };
        bool produced_only = o->mode == MODE_PRODUCE || o->mode == MODE_RTT;
        int r = o->preload_bytes ? preload(s, e) : 0;
        if (r == 0 && o->preload_bytes && o->check && o->mode == MODE_CONSUME) t.read_back = true;
        if (r == 0) r = trial_run(s, &t, &result, e);
        if (r < 0) return r;
        if (o->check && produced_only) {
                r = read_back(s, &back, e);
                report.read_back = &back;
        }
        if (r == 0) {
                print(&report);
                if (check_failed(&result.check) || check_failed(&back))
                        r = err_set(e, ST_CORRUPT, "the check failed");
        }
        result_free(&result);
        return r;
}

/* --- the highest rate --- */

struct search {
        struct session *s;
        struct found steps[STEPS_MAX];
        uint32_t n;
        struct result best; /* of the highest rate that was under the bound */
        double best_rate;
};

static int try_rate(struct search *x, double rate, struct err *e)
{
        struct trial t = trial_of(x->s->o);
        struct result r;
        t.rate = (struct rate){ .records = rate };
        int st = trial_run(x->s, &t, &r, e);
        if (st < 0) return st;
        const struct flow *f = t.e2e ? &r.e2e : &r.produce;
        struct found *step = &x->steps[x->n++];
        *step = (struct found){ .rate = rate,
                .records_per_second = (double)r.produce.records / r.seconds,
                .p99_ns = hist_quantile(&f->latency, 0.99) };
        bool kept_up = r.produce.unsent == 0 && step->records_per_second >= rate * 0.98;
        step->under = rate > 0 && kept_up && step->p99_ns <= x->s->o->p99_ns;
        if (step->under && rate > x->best_rate) {
                result_free(&x->best);
                x->best = r;
                x->best_rate = rate;
        } else
                result_free(&r);
        return 0;
}

/* The closed loop tells where the top is; then the interval is halved. */
static int find_max(struct session *s, struct err *e)
{
        struct search x = { .s = s };
        int r = try_rate(&x, 0, e);
        double low = 0, high = r == 0 ? x.steps[0].records_per_second * 1.1 : 0;
        while (r == 0 && x.n < STEPS_MAX && high - low > high * CLOSE_ENOUGH_PERCENT / 100) {
                double middle = (low + high) / 2;
                r = try_rate(&x, middle, e);
                if (r < 0) break;
                if (x.steps[x.n - 1].under)
                        low = middle;
                else
                        high = middle;
        }
        if (r == 0 && x.best_rate > 0)
                print(&(struct report){ .session = s,
                    .result = &x.best,
                    .steps = x.steps,
                    .n_steps = x.n,
                    .max_rate = x.best_rate });
        else if (r == 0)
                r = err_set(e, ST_NOT_FOUND, "no rate has its p99 under the bound");
        result_free(&x.best);
        return r;
}

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
        (void)number;
        interrupted = 1;
}

/* The first signal ends the run, so that topics are deleted; the second ends the process. */
static void catch_signals(void)
{
        const struct sigaction a = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };
        sigaction(SIGINT, &a, NULL);
        sigaction(SIGTERM, &a, NULL);
        signal(SIGPIPE, SIG_IGN);
}

int bench_main(int argc, char **argv)
{
        struct options o;
        struct session s;
        struct err e = { 0 }, late = { 0 };
        int r = options_parse(&o, argc, argv);
        if (r != 0) return r < 0 ? 0 : r;
        log_setup(LOG_WARN, LOG_KV, STDERR_FILENO);
        catch_signals();
        r = session_open(&s, &o, &e);
        s.interrupted = &interrupted;
        if (r == 0) {
                r = o.find_max ? find_max(&s, &e) : run_once(&s, &e);
                int closed = session_close(&s, &late);
                if (closed < 0) fprintf(stderr, "varve bench: clean-up: %s\n", late.text);
                if (r == 0) r = closed;
        }
        if (r < 0 && e.text[0]) fprintf(stderr, "varve bench: %s\n", e.text);
        return r < 0 ? 1 : 0;
}
