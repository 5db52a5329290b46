/* A producing connection.
 *
 * Happy path: pump sends frames of the script while they are due and the flight has room; a reply
 * counts one off and pumps again; a timer pumps when the next frame is due.  Failures: an error
 * code, a reply out of order or a lost connection ends the run.  Closing: when time or count is up
 * nothing more is sent, and the connection is finished when the last reply came. */
#include "base/check.h"
#include "bench/worker.h"
#include "protocol/errors.h"
#include "protocol/msg/headers.h"
#include "protocol/msg/produce.h"

enum { RECV_ROOM = 64 << 10 };

static bool room_in_flight(const struct producer *p)
{
        return p->sent - p->answered < p->worker->run->in_flight;
}

static void look_finished(struct producer *p)
{
        if (p->finished || p->sends_max > p->sent || p->answered < p->sent) return;
        p->finished = true;
        struct run *r = p->worker->run;
        if (atomic_fetch_sub(&r->producers_left, 1) == 1) io_wake(r->main_io, NULL);
}

static bool stamp(struct producer *p, struct frame *f, uint64_t intended_ns)
{
        struct run *r = p->worker->run;
        struct err e = { 0 };
        const struct frame_stamp t = { .run = r->id,
                .producer = p->id,
                .intended_ns = intended_ns,
                .wall_ms = io_wall_ms(p->worker->io),
                .seq = r->seq + (size_t)p->id * topic_set_total(r->topics) };
        if (frame_stamp(&p->script.spec, f, &t, &e) == 0) return true;
        failure_text(r, "%s", e.text);
        return false;
}

static void send_next(struct producer *p, uint64_t now_ns, uint64_t due_ns, uint64_t intended_ns)
{
        struct run *r = p->worker->run;
        uint32_t i = (uint32_t)(p->sent % p->script.n);
        struct frame *f = &p->script.frames[i];
        if (r->stamped && !stamp(p, f, intended_ns)) return;
        frame_set_correlation(f, (uint32_t)p->sent);
        p->flights[p->sent % r->in_flight] = (struct flight){ i, intended_ns };
        p->sent++;
        link_send(&p->link, f->bytes, f->size);
        if (due_ns >= r->window.from_ns) hist_add(&p->worker->produce.late, now_ns - due_ns, 1);
}

/* Time is up: what was due and did not leave counts with the time it waited so far. */
static void give_up_rest(struct producer *p, uint64_t now_ns)
{
        struct run *r = p->worker->run;
        double base = (double)r->window.start_ns + p->offset_ns;
        for (uint64_t i = p->sent; r->timed; i++) {
                struct script_time t = script_time(&p->script, i);
                if (base + t.due_ns >= (double)r->window.until_ns) break;
                flow_unsent(&p->worker->produce, &r->window,
                    &(struct flow_event){ .now_ns = now_ns,
                        .intended_ns = (uint64_t)(base + t.oldest_ns),
                        .records = p->script.frames[i % p->script.n].records });
        }
        p->sends_max = p->sent;
}

static void on_timer(struct timer *t)
{
        producer_pump(CONTAINER_OF(t, struct producer, timer), mono_ns());
}

/* False: it is not due yet, and a timer is set. */
static bool send_if_due(struct producer *p, uint64_t now_ns)
{
        struct run *r = p->worker->run;
        struct script_time t = script_time(&p->script, p->sent);
        uint64_t base = r->window.start_ns + (uint64_t)p->offset_ns;
        uint64_t due = base + (uint64_t)t.due_ns;
        if (due > now_ns) {
                timer_arm(&p->worker->timers, &p->timer, MIN(due, r->window.until_ns));
                return false;
        }
        send_next(p, now_ns, due, base + (uint64_t)t.oldest_ns);
        return true;
}

void producer_pump(struct producer *p, uint64_t now_ns)
{
        struct run *r = p->worker->run;
        if (now_ns >= r->window.until_ns && p->sends_max == UINT64_MAX) give_up_rest(p, now_ns);
        while (!p->link.down && p->sent < p->sends_max && room_in_flight(p) &&
               !atomic_load_explicit(&r->failures.any, memory_order_relaxed)) {
                if (r->timed) {
                        if (!send_if_due(p, now_ns)) break;
                } else
                        send_next(p, now_ns, now_ns, now_ns);
        }
        /* Full flight: no reply may ever come, the end of time still does. */
        if (p->sends_max == UINT64_MAX && !p->timer.armed)
                timer_arm(&p->worker->timers, &p->timer, r->window.until_ns);
        look_finished(p);
}

/* --- replies --- */

static void one_answered(struct producer *p, uint64_t now_ns)
{
        struct run *r = p->worker->run;
        const struct flight *fl = &p->flights[p->answered % r->in_flight];
        const struct frame *f = &p->script.frames[fl->frame];
        p->answered++;
        flow_add(&p->worker->produce, &r->window,
            &(struct flow_event){ .now_ns = now_ns,
                .intended_ns = fl->intended_ns,
                .records = f->records,
                .bytes = f->batch_bytes,
                .user_bytes = f->user_bytes });
}

static bool no_errors(struct producer *p, const struct produce_res *m)
{
        bool ok = true;
        uint32_t n = 0;
        for (int32_t t = 0; t < m->responses.n; t++) {
                const struct produce_res_responses *topic = &m->responses.at[t];
                for (int32_t i = 0; i < topic->partition_responses.n; i++, n++) {
                        int16_t code = topic->partition_responses.at[i].error_code;
                        if (code == 0) continue;
                        failure_code(p->worker->run, "Produce", code);
                        ok = false;
                }
        }
        const struct flight *fl = &p->flights[p->answered % p->worker->run->in_flight];
        if (n == p->script.frames[fl->frame].n_batches) return ok;
        failure_text(p->worker->run, "Produce: %u partitions sent, %u answered",
            p->script.frames[fl->frame].n_batches, n);
        return false;
}

static bool on_frame(struct link *l, struct bytes frame)
{
        struct producer *p = CONTAINER_OF(l, struct producer, link);
        struct worker *w = p->worker;
        uint64_t now = mono_ns();
        int16_t version = w->run->produce_version;
        struct cursor c = cursor_of(frame.p, (size_t)frame.n);
        struct response_header h;
        struct produce_res m;
        bool ok = response_header_decode(
                      &h, &c, api_response_header_version(API_PRODUCE, version), &w->arena) &&
                  produce_res_decode(&m, &c, version, &w->arena);
        if (!ok)
                failure_text(w->run, "Produce: reply: %s", c.why);
        else if (p->answered == p->sent || h.correlation_id != (int32_t)(uint32_t)p->answered) {
                failure_text(w->run, "Produce: reply to another request");
                ok = false;
        } else
                ok = no_errors(p, &m);
        arena_reset(&w->arena);
        if (!ok) return false;
        one_answered(p, now);
        producer_pump(p, now);
        return true;
}

/* Without acks, handing over is all there is to wait for. */
static void on_sent(struct link *l, uint32_t frames)
{
        struct producer *p = CONTAINER_OF(l, struct producer, link);
        uint64_t now = mono_ns();
        for (; frames > 0; frames--) one_answered(p, now);
        producer_pump(p, now);
}

static void on_down(struct link *l, int64_t res)
{
        struct producer *p = CONTAINER_OF(l, struct producer, link);
        failure_text(p->worker->run, "producer %u lost its connection: %s", p->id,
            res == 0 ? "the server closed it" : strerror((int)-res));
}

bool producer_open(struct producer *p)
{
        struct run *r = p->worker->run;
        p->flights = calloc(r->in_flight, sizeof *p->flights);
        p->timer.on_due = on_timer;
        p->link.io = p->worker->io;
        p->link.dirty = &p->worker->dirty;
        p->link.on_frame = on_frame;
        p->link.on_sent = r->acks == 0 ? on_sent : NULL;
        p->link.on_down = on_down;
        assert(p->script.n > r->in_flight);
        /* A reply may be seen before the completion of the send that asked for it. */
        return p->flights && link_start(&p->link, p->link.fd, 2 * r->in_flight, RECV_ROOM);
}

void producer_free(struct producer *p)
{
        link_free(&p->link);
        script_free(&p->script);
        free(p->flights);
        p->flights = NULL;
}
