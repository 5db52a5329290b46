/* Opening and closing a session: target, topics, and the pools that records come from. */
#include "base/check.h"
#include "base/status.h"
#include "bench/trial.h"

#include <stdio.h>

static int name_topics(struct session *s, struct err *e)
{
        const struct options *o = s->o;
        struct topic_set *t = &s->topics;
        t->n = (uint32_t)o->topics;
        t->partitions = (uint32_t)o->partitions;
        t->at = calloc(t->n, sizeof *t->at);
        s->begin = calloc(topic_set_total(t), sizeof *s->begin);
        s->ends = calloc(topic_set_total(t), sizeof *s->ends);
        if (!t->at || !s->begin || !s->ends)
                return err_set(e, ST_NOMEM, "no memory for %u topics", t->n);
        char made[64];
        uint32_t unique;
        io_random(s->io, &unique, sizeof unique);
        snprintf(made, sizeof made, "varve-bench-%08x", unique);
        const char *base = o->topic ? o->topic : made;
        for (uint32_t i = 0; i < t->n; i++) {
                char *name = t->at[i].name;
                int n = t->n == 1 ? snprintf(name, TOPIC_NAME_ROOM, "%s", base)
                                  : snprintf(name, TOPIC_NAME_ROOM, "%s-%u", base, i);
                if (n >= TOPIC_NAME_ROOM)
                        return err_set(e, ST_INVALID, "the topic's name is too long");
        }
        return 0;
}

/* What the null target hands out. */
static int make_sink_batch(struct session *s, struct err *e)
{
        enum { RECORDS_MAX = 100000 };
        const struct options *o = s->o;
        const struct frame_spec spec = { .codec = (enum codec)o->codec.value, .cx = s->cx };
        struct record_in *records = calloc(RECORDS_MAX, sizeof *records);
        if (!records) return err_set(e, ST_NOMEM, "no memory");
        uint32_t n = 0;
        for (uint64_t bytes = 0;
             n < RECORDS_MAX && n < o->batch_records && (n == 0 || bytes < o->batch_bytes); n++) {
                struct bytes v = payload_draw(&s->payload, &s->rng, size_draw(&o->size, &s->rng));
                records[n] = (struct record_in){
                        .timestamp = io_wall_ms(s->io), .key = { NULL, -1 }, .value = v
                };
                bytes += (uint64_t)v.n;
        }
        struct frame_batch b = { 0 };
        int r = frame_batch_make(&spec, records, n, &s->sink_batch, &b, e);
        free(records);
        return r;
}

static int open_target(struct session *s, struct err *e)
{
        const struct options *o = s->o;
        if (!o->null_target) {
                snprintf(s->host, sizeof s->host, "%s", o->host);
                s->port = o->port;
                return 0;
        }
        int r = make_sink_batch(s, e);
        if (r < 0) return r;
        const struct sink_spec spec = { .topics = &s->topics,
                .batch = { s->sink_batch.p, (int32_t)s->sink_batch.n },
                .posix = o->io.value != 0 };
        r = sink_start(&spec, &s->sink, e);
        if (r < 0) return r;
        snprintf(s->host, sizeof s->host, "127.0.0.1");
        s->port = sink_port(s->sink);
        return 0;
}

static int open_pools(struct session *s, struct err *e)
{
        s->rng.state = s->o->seed;
        s->cx = codec_ctx_new();
        if (!s->cx || !keys_init(&s->keys, &s->o->keys))
                return err_set(e, ST_NOMEM, "no memory for keys");
        return payload_init(&s->payload, &s->o->payload, size_most(&s->o->size), e);
}

int session_open(struct session *s, const struct options *o, struct err *e)
{
        *s = (struct session){ .o = o, .call = { .fd = -1 } };
        int r = (o->io.value ? io_posix_new : io_uring_new)(NULL, &s->io, e);
        if (r < 0) return r;
        r = open_pools(s, e);
        if (r == 0) r = name_topics(s, e);
        if (r == 0) r = open_target(s, e);
        if (r == 0) r = call_open(&s->call, s->io, s->host, s->port, e);
        const struct call_topics topics = { .set = &s->topics,
                .configs = o->configs,
                .n_configs = o->n_configs,
                .create = !o->no_create,
                .replication = (int16_t)o->replication };
        if (r == 0) r = call_topics_ready(&s->call, &topics, e);
        if (r < 0) session_close(s, NULL);
        return r;
}

int session_close(struct session *s, struct err *e)
{
        int r = 0;
        if (s->call.fd >= 0) {
                if (!s->o->keep) r = call_topics_delete(&s->call, &s->topics, e);
                call_close(&s->call);
        }
        if (s->sink) sink_stop(s->sink);
        payload_free(&s->payload);
        keys_free(&s->keys);
        codec_ctx_free(s->cx);
        free(s->sink_batch.p);
        free(s->topics.at);
        free(s->seq);
        free(s->begin);
        free(s->ends);
        io_free(s->io);
        *s = (struct session){ .call = { .fd = -1 } };
        return r;
}
