/* The table for people. */
#include "bench/report.h"

#include "base/check.h"

const struct flow *report_flow(const struct report *r)
{
        return r->session->o->mode == MODE_CONSUME ? &r->result->fetch : &r->result->produce;
}

static void print_time(FILE *f, uint64_t ns)
{
        double us = (double)ns * 1e-3;
        if (us < 1000)
                fprintf(f, " %8.1f µs", us);
        else if (us < 1e6)
                fprintf(f, " %8.2f ms", us * 1e-3);
        else
                fprintf(f, " %8.2f s ", us * 1e-6);
}

static void print_latency(FILE *f, const char *name, const struct hist *h)
{
        static const double q[] = { 0.5, 0.9, 0.99, 0.999, 0.9999 };
        if (h->total == 0) return;
        fprintf(f, "%-12s", name);
        for (size_t i = 0; i < COUNT_OF(q); i++) print_time(f, hist_quantile(h, q[i]));
        print_time(f, h->max);
        print_time(f, (uint64_t)hist_mean(h));
        fprintf(f, "\n");
}

static void print_flow(FILE *f, const char *name, const struct flow *w, double seconds)
{
        if (w->requests == 0 || seconds <= 0) return;
        fprintf(f,
            "%-12s %12.0f records/s %10.1f MB/s %10.0f requests/s   (%llu records, %.3f GB)\n",
            name, (double)w->records / seconds, (double)w->bytes / seconds / 1e6,
            (double)w->requests / seconds, (unsigned long long)w->records, (double)w->bytes / 1e9);
        if (w->unsent)
                fprintf(f, "%-12s %12llu records were due and never left: the target is too slow\n",
                    "", (unsigned long long)w->unsent);
}

static void print_cpu(FILE *f, const char *name, double cpu, const struct report *r)
{
        const struct result *x = r->result;
        double gb = (double)(x->produce.bytes + x->fetch.bytes) / 1e9;
        double requests = (double)(x->produce.requests + x->fetch.requests);
        fprintf(
            f, "%-12s %8.2f s CPU (%.2f cores)", name, cpu, x->seconds > 0 ? cpu / x->seconds : 0);
        if (gb >= 0.05) fprintf(f, "  %.3f s per GB", cpu / gb);
        if (requests > 0) fprintf(f, "  %.2f µs per request", cpu / requests * 1e6);
        fprintf(f, "\n");
}

static void print_cpus(FILE *f, const struct report *r)
{
        const struct cpu_result *c = &r->result->cpu;
        if (r->result->seconds <= 0) return;
        print_cpu(f, "driver", c->own, r);
        if (r->session->sink) print_cpu(f, "null target", c->sink, r);
        if (!c->server_known) return;
        print_cpu(f, "server", c->server, r);
        fprintf(f, "%-12s %8.1f MB resident, peak %.1f MB; %.3f GB written\n", "",
            (double)c->server_rss / 1e6, (double)c->server_rss_peak / 1e6,
            (double)c->server_written / 1e9);
}

static void print_check(FILE *f, const struct check_result *c)
{
        if (!c->done) return;
        fprintf(f,
            "check        %s: %llu sent, %llu received, %llu missing, %llu duplicated, "
            "%llu reordered, %llu damaged, %llu misplaced",
            check_failed(c) ? "FAILED" : "ok", (unsigned long long)c->sent,
            (unsigned long long)c->received, (unsigned long long)c->missing,
            (unsigned long long)c->duplicated, (unsigned long long)c->reordered,
            (unsigned long long)c->damaged, (unsigned long long)c->misplaced);
        if (c->foreign) fprintf(f, ", %llu of other runs", (unsigned long long)c->foreign);
        fprintf(f, "\n");
}

static void print_steps(FILE *f, const struct report *r)
{
        if (r->n_steps == 0) return;
        fprintf(f, "\nrate asked for   records/s done        p99\n");
        for (uint32_t i = 0; i < r->n_steps; i++) {
                const struct found *s = &r->steps[i];
                if (s->rate > 0)
                        fprintf(f, "%14.0f %16.0f", s->rate, s->records_per_second);
                else
                        fprintf(f, "%14s %16.0f", "closed loop", s->records_per_second);
                print_time(f, s->p99_ns);
                fprintf(f, "  %s\n", s->rate <= 0 ? "" : s->under ? "under" : "over");
        }
        fprintf(f, "highest rate with p99 under");
        print_time(f, r->session->o->p99_ns);
        fprintf(f, ": %.0f records/s\n", r->max_rate);
}

void report_text(const struct report *r, FILE *f)
{
        const struct options *o = r->session->o;
        const struct result *x = r->result;
        fprintf(f, "%s on %s, %.1f s after %.1f s of warm-up; options: %s\n", mode_name(o->mode),
            o->null_target ? "the null target" : o->address, x->seconds,
            (double)o->warmup_ns * 1e-9, options_given()[0] ? options_given() : "none");
        if (x->frames) {
                fprintf(f, "%u prebuilt requests, %.1f MB", x->frames, x->ring_bytes / 1e6);
                uint32_t total = topic_set_total(&r->session->topics);
                if (x->covered < total && !o->split)
                        fprintf(f, "; they name %u of %u partitions", x->covered, total);
                if (o->codec.value && (o->check || o->mode == MODE_E2E))
                        fprintf(f, "; compressed while the clock runs, for the stamps");
                fprintf(f, "\n");
        }
        fprintf(f, "\n");
        print_flow(f, "produced", &x->produce, x->seconds);
        print_flow(f, "consumed", &x->fetch, x->seconds);
        fprintf(f, "\n%-12s %11s %11s %11s %11s %11s %11s %11s\n", "latency", "p50", "p90", "p99",
            "p99.9", "p99.99", "max", "mean");
        print_latency(f, "produce", &x->produce.latency);
        print_latency(f, "end to end", &x->e2e.latency);
        print_latency(f, "fetch", &x->fetch.latency);
        if (o->rate.records > 0 || o->rate.bytes > 0)
                print_latency(f, "sent late by", &x->produce.late);
        fprintf(f, "\n");
        print_cpus(f, r);
        print_check(f, &x->check);
        if (r->read_back) print_check(f, r->read_back);
        print_steps(f, r);
}
