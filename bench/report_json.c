/* The same for programs: one JSON object. */
#include "bench/report.h"

#include "base/check.h"

static void text(FILE *f, const char *name, const char *value)
{
        fprintf(f, "\"%s\": \"", name);
        for (const char *p = value; *p; p++) {
                if (*p == '"' || *p == '\\')
                        fprintf(f, "\\%c", *p);
                else if ((unsigned char)*p < 0x20)
                        fprintf(f, "\\u%04x", (unsigned)*p);
                else
                        fputc(*p, f);
        }
        fputc('"', f);
}

/* name, value pairs are written as doubles, exact for counts below 2^53 */
static void number(FILE *f, const char *name, double v)
{
        fprintf(f, ", \"%s\": %.15g", name, v);
}

static void latency(FILE *f, const char *name, const struct hist *h)
{
        static const struct {
                const char *name;
                double q;
        } named[] = { { "p50", .5 }, { "p90", .9 }, { "p99", .99 }, { "p99_9", .999 },
                { "p99_99", .9999 } };
        fprintf(f, ", \"%s\": {\"count\": %llu", name, (unsigned long long)h->total);
        if (h->total) {
                for (size_t i = 0; i < COUNT_OF(named); i++)
                        number(f, named[i].name, (double)hist_quantile(h, named[i].q) * 1e-3);
                number(f, "min", (double)h->min * 1e-3);
                number(f, "max", (double)h->max * 1e-3);
                number(f, "mean", hist_mean(h) * 1e-3);
                /* five points for every halving of what is left above */
                fprintf(f, ", \"curve\": [");
                double left = 1;
                for (int i = 0; left * (double)h->total >= 1 && i < 200; i++) {
                        double step = left / 2 / 5;
                        for (int k = 0; k < 5; k++) {
                                double q = 1 - left + step * k;
                                fprintf(f, "%s[%.9g, %.15g]", i || k ? ", " : "", q,
                                    (double)hist_quantile(h, q) * 1e-3);
                        }
                        left /= 2;
                }
                fprintf(f, ", [1, %.15g]]", (double)h->max * 1e-3);
        }
        fprintf(f, "}");
}

static void series(FILE *f, const struct flow *w)
{
        fprintf(f, ", \"seconds\": [");
        for (uint32_t i = 0; i < w->n_seconds; i++) {
                const struct flow_second *s = &w->seconds[i];
                fprintf(f, "%s{\"second\": %u", i ? ", " : "", i);
                number(f, "records", (double)s->records);
                number(f, "bytes", (double)s->bytes);
                if (s->latency.magic && s->latency.total) {
                        number(f, "p50_us", (double)hist_quantile(&s->latency, .5) * 1e-3);
                        number(f, "p99_us", (double)hist_quantile(&s->latency, .99) * 1e-3);
                        number(f, "max_us", (double)s->latency.max * 1e-3);
                }
                fprintf(f, "}");
        }
        fprintf(f, "]");
}

static void flow(FILE *f, const char *name, const struct flow *w, double seconds)
{
        if (w->requests == 0 && w->latency.total == 0) return;
        double per = seconds > 0 ? 1 / seconds : 0;
        fprintf(f, ",\n \"%s\": {\"requests\": %llu", name, (unsigned long long)w->requests);
        number(f, "records", (double)w->records);
        number(f, "bytes", (double)w->bytes);
        if (w->user_bytes) number(f, "user_bytes", (double)w->user_bytes);
        number(f, "records_per_second", (double)w->records * per);
        number(f, "bytes_per_second", (double)w->bytes * per);
        number(f, "requests_per_second", (double)w->requests * per);
        number(f, "unsent_records", (double)w->unsent);
        latency(f, "latency_us", &w->latency);
        if (w->late.total) latency(f, "late_us", &w->late);
        series(f, w);
        fprintf(f, "}");
}

static void cpu(FILE *f, const char *name, double seconds, const struct result *x)
{
        double gb = (double)(x->produce.bytes + x->fetch.bytes) / 1e9;
        double requests = (double)(x->produce.requests + x->fetch.requests);
        fprintf(f, ",\n \"%s\": {\"cpu_seconds\": %.6f", name, seconds);
        if (x->seconds > 0) number(f, "cores", seconds / x->seconds);
        if (gb > 0) number(f, "cpu_seconds_per_gb", seconds / gb);
        if (requests > 0) number(f, "cpu_us_per_request", seconds / requests * 1e6);
}

static void check(FILE *f, const struct check_result *c)
{
        fprintf(f, ",\n \"check\": {\"ok\": %s", check_failed(c) ? "false" : "true");
        number(f, "sent", (double)c->sent);
        number(f, "received", (double)c->received);
        number(f, "missing", (double)c->missing);
        number(f, "duplicated", (double)c->duplicated);
        number(f, "reordered", (double)c->reordered);
        number(f, "damaged", (double)c->damaged);
        number(f, "misplaced", (double)c->misplaced);
        number(f, "foreign", (double)c->foreign);
        fprintf(f, "}");
}

static void steps(FILE *f, const struct report *r)
{
        if (r->n_steps == 0) return;
        fprintf(f, ",\n \"find_max\": {\"rate\": %.15g", r->max_rate);
        number(f, "p99_bound_us", (double)r->session->o->p99_ns * 1e-3);
        fprintf(f, ", \"steps\": [");
        for (uint32_t i = 0; i < r->n_steps; i++) {
                const struct found *s = &r->steps[i];
                fprintf(f, "%s{\"under\": %s", i ? ", " : "", s->under ? "true" : "false");
                number(f, "rate", s->rate);
                number(f, "records_per_second", s->records_per_second);
                number(f, "p99_us", (double)s->p99_ns * 1e-3);
                fprintf(f, "}");
        }
        fprintf(f, "]}");
}

void report_json(const struct report *r, FILE *f)
{
        const struct options *o = r->session->o;
        const struct result *x = r->result;
        fprintf(f, "{");
        text(f, "mode", mode_name(o->mode));
        fprintf(f, ", ");
        text(f, "target", o->null_target ? "null" : o->address);
        fprintf(f, ", ");
        text(f, "options", options_given());
        fprintf(f, ", ");
        text(f, "codec", codec_name(o->codec.value));
        number(f, "seconds", x->seconds);
        number(f, "warmup_seconds", (double)o->warmup_ns * 1e-9);
        number(f, "connections", (double)o->connections);
        number(f, "in_flight", (double)o->in_flight);
        number(f, "topics", (double)o->topics);
        number(f, "partitions", (double)o->partitions);
        number(f, "prebuilt_requests", x->frames);
        number(f, "prebuilt_bytes", x->ring_bytes);
        flow(f, "produce", &x->produce, x->seconds);
        flow(f, "e2e", &x->e2e, x->seconds);
        flow(f, "fetch", &x->fetch, x->seconds);
        cpu(f, "driver", x->cpu.own, x);
        fprintf(f, "}");
        if (r->session->sink) {
                cpu(f, "null", x->cpu.sink, x);
                fprintf(f, "}");
        }
        if (x->cpu.server_known) {
                cpu(f, "server", x->cpu.server, x);
                number(f, "rss_bytes", (double)x->cpu.server_rss);
                number(f, "rss_peak_bytes", (double)x->cpu.server_rss_peak);
                number(f, "written_bytes", (double)x->cpu.server_written);
                fprintf(f, "}");
        }
        if (x->check.done) check(f, &x->check);
        if (r->read_back && r->read_back->done) check(f, r->read_back);
        steps(f, r);
        fprintf(f, "\n}\n");
}
