/* The registry's life: opening and closing, and views on their way to the shards.
 *
 * A publication: changes were applied -> one message to ourselves, so that all changes of a batch
 * get into one view -> the view is made -> one message per shard swaps it in -> the last answer
 * ends the changes that are in it; what was applied meanwhile begins the next publication. It can
 * fail for memory only: then a timer tries again and the changes wait. */
#include "server/registry_impl.h"

#include "base/check.h"
#include "base/log.h"
#include "base/status.h"

#include <stdlib.h>

enum { PUBLISH_RETRY_NS = 100 * 1000 * 1000 };

/* --- views --- */

static struct topic_node *make_node(
    struct registry *r, const struct registry_entry *x, struct err *e)
{
        struct topic_config *config;
        int code = topic_config_new(r->server->config, x->set, x->n_set, &config, e);
        if (code < 0) {
                err_wrap(e, code, "topic %.*s", x->name.n, x->name.p);
                return NULL;
        }
        struct topic_node *n = topic_node_new(x->id, x->name, x->partitions, config);
        if (!n) err_set(e, ST_NOMEM, "topic %.*s", x->name.n, x->name.p);
        return n;
}

static int collect_changes(struct registry *r, struct view_change *out, struct err *e)
{
        uint32_t n = 0;
        for (struct list *l = r->fold.changed.next; l != &r->fold.changed; l = l->next, n++) {
                const struct registry_entry *x = CONTAINER_OF(l, struct registry_entry, changed);
                out[n].name = x->name;
                if (x->deleted) continue;
                out[n].node = make_node(r, x, e);
                if (!out[n].node) return e->code;
        }
        return 0;
}

int registry_make_view(struct registry *r, struct registry_view **ret_view, struct err *e)
{
        uint32_t n = 0;
        for (struct list *l = r->fold.changed.next; l != &r->fold.changed; l = l->next) n++;
        struct view_change *changes = calloc((size_t)n + 1, sizeof(*changes));
        if (!changes) return err_set(e, ST_NOMEM, "topic view");
        struct registry_view *v = NULL;
        int code = collect_changes(r, changes, e);
        if (code == 0) {
                v = registry_view_next(r->view, changes, n);
                if (!v) code = err_set(e, ST_NOMEM, "topic view");
        }
        for (uint32_t i = 0; i < n; i++)
                if (changes[i].node) topic_node_unref(changes[i].node);
        free(changes);
        if (code < 0) return code;
        while (list_pop_front(&r->fold.changed)) {
        }
        *ret_view = v;
        return 0;
}

/* --- publishing --- */

static void publish_end(struct registry *r)
{
        for (struct list *l; (l = list_pop_front(&r->publishing)) != NULL;)
                registry_change_end(r, CONTAINER_OF(l, struct registry_change, link));
        registry_remove_more(r);
        if (!list_empty(&r->applied)) registry_publish_soon(r);
}

/* Shard 0 again. */
static void swap_back(struct message *m)
{
        struct registry *r = CONTAINER_OF(m, struct view_swap, message)->registry;
        CHECK_OBJ(r, REGISTRY_MAGIC);
        assert(r->swaps_out > 0);
        if (--r->swaps_out == 0) publish_end(r);
}

/* The shard that gets the view. */
static void swap_run(struct message *m)
{
        struct view_swap *x = CONTAINER_OF(m, struct view_swap, message);
        struct shard *s = x->shard;
        struct registry_view *old = s->own.view;
        s->own.view = x->view;
        x->view = NULL;
        if (old) registry_view_unref(old);
        m->run = swap_back;
        shard_post(s, x->registry->home, m);
}

static void publish(struct registry *r)
{
        struct err e;
        struct registry_view *v;
        if (registry_make_view(r, &v, &e) < 0) {
                static struct log_limit limit = { .burst = 1 };
                log_limited(
                    &limit, LOG_ERROR, "topic view not made", LOG_STR("cause", e.text), LOG_END);
                struct io *io = r->home->own.io;
                timer_arm(&r->home->own.timers, &r->retry, io_now_ns(io) + PUBLISH_RETRY_NS);
                return;
        }
        registry_view_unref(r->view);
        r->view = v;
        for (struct list *l; (l = list_pop_front(&r->applied)) != NULL;)
                list_push_back(&r->publishing, l);
        r->swaps_out = r->server->n_shards;
        for (unsigned i = 0; i < r->server->n_shards; i++) {
                struct view_swap *x = &r->swaps[i];
                x->view = registry_view_ref(v);
                x->message.run = swap_run;
                shard_post(r->home, x->shard, &x->message);
        }
}

static void publish_run(struct message *m)
{
        struct registry *r = CONTAINER_OF(m, struct registry, publish);
        CHECK_OBJ(r, REGISTRY_MAGIC);
        r->publish_posted = false;
        if (!list_empty(&r->applied) && r->swaps_out == 0) publish(r);
}

static void publish_again(struct timer *t)
{
        registry_publish_soon(CONTAINER_OF(t, struct registry, retry));
}

void registry_publish_soon(struct registry *r)
{
        if (r->publish_posted || r->swaps_out > 0) return;
        r->publish_posted = true;
        r->publish.run = publish_run;
        shard_post(r->home, r->home, &r->publish);
}

/* --- opening, closing --- */

static void fold_reset(void *arg)
{
        registry_fold_reset(&((struct registry *)arg)->fold);
}
static int fold_apply(void *arg, struct bytes key, struct bytes value, struct err *e)
{
        return registry_fold_apply(&((struct registry *)arg)->fold, key, value, e);
}
static int fold_snapshot(
    void *arg, int (*emit)(void *to, struct bytes key, struct bytes value), void *to)
{
        return registry_fold_snapshot(&((struct registry *)arg)->fold, emit, to);
}
static size_t fold_size(void *arg)
{
        return ((struct registry *)arg)->fold.bytes;
}

static struct registry *registry_new(struct server *server)
{
        struct registry *r = calloc(1, sizeof(*r));
        struct view_swap *swaps = calloc(server->n_shards, sizeof(*swaps));
        if (!r || !swaps) {
                free(r);
                free(swaps);
                return NULL;
        }
        r->magic = REGISTRY_MAGIC;
        r->server = server;
        r->home = &server->shards[0];
        r->swaps = swaps;
        r->retry.on_due = publish_again;
        registry_fold_init(&r->fold);
        list_init(&r->applied);
        list_init(&r->publishing);
        list_init(&r->removals);
        for (unsigned i = 0; i < server->n_shards; i++) {
                swaps[i].registry = r;
                swaps[i].shard = &server->shards[i];
        }
        return r;
}

static void registry_free(struct registry *r)
{
        registry_remove_free(r);
        if (r->log) state_log_free(r->log);
        if (r->view) registry_view_unref(r->view);
        registry_fold_reset(&r->fold);
        free(r->swaps);
        r->magic = 0;
        free(r);
}

int registry_open(struct server *server, struct err *e)
{
        struct registry *r = registry_new(server);
        if (!r) return err_set(e, ST_NOMEM, "topic registry");
        struct state_fold fold = { r, fold_reset, fold_apply, fold_snapshot, fold_size };
        int code = state_log_open(r->home->own.log, registry_topic_id, 0, &fold, &r->log, e);
        if (code >= 0) code = registry_make_view(r, &r->view, e);
        if (code < 0) {
                registry_free(r);
                return err_wrap(e, code, "topic registry");
        }
        for (unsigned i = 0; i < server->n_shards; i++) {
                assert(server->shards[i].own.view == NULL);
                server->shards[i].own.view = registry_view_ref(r->view);
        }
        server->registry = r;
        registry_remove_more(r);
        return 0;
}

bool registry_was_deleted(const struct registry *r, struct uuid id)
{
        struct registry_fold f = r->fold; /* uthash wants it not const; it only looks */
        const struct registry_entry *x = registry_fold_id(&f, id);
        return x && x->deleted;
}

void registry_close(struct server *server)
{
        struct registry *r = server->registry;
        if (!r) return;
        CHECK_OBJ(r, REGISTRY_MAGIC);
        server->registry = NULL;
        for (unsigned i = 0; i < server->n_shards; i++) {
                struct shard *s = &server->shards[i];
                if (s->own.view) registry_view_unref(s->own.view);
                s->own.view = NULL;
        }
        registry_free(r);
}
