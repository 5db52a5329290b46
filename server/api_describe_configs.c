/* DescribeConfigs v0-4: every setting of topics and of this server, with source and default.
 * Groups, client metrics and loggers have no settings here; they are answered without any, or with
 * the one logger that there is. */
#include "protocol/msg/describe_configs.h"

#include "base/check.h"
#include "protocol/errors.h"
#include "server/admin.h"
#include "server/api.h"
#include "server/config.h"
#include "server/text.h"

#include <stdarg.h>
#include <stdio.h>

enum resource_type {
        RESOURCE_TOPIC = 2,
        RESOURCE_BROKER = 4,
        RESOURCE_BROKER_LOGGER = 8,
        RESOURCE_CLIENT_METRICS = 16,
        RESOURCE_GROUP = 32,
};
enum { SOURCE_LOGGER = 6, SYNONYMS_MAX = 3, TEXT_MAX = 160 };

void api_describe_configs_begin(struct request *r)
{
        (void)r;
}

struct answer {
        struct request *r;
        const struct describe_configs_req *req;
        struct describe_configs_res res;
        bool failed; /* out of memory */
};

typedef struct describe_configs_res_results result;
typedef struct describe_configs_res_results_configs setting;

static void fail(struct answer *a, result *x, int16_t error, const char *fmt, ...)
    PRINTF_LIKE(4, 5);
static void fail(struct answer *a, result *x, int16_t error, const char *fmt, ...)
{
        va_list ap;
        char *text = arena_alloc(&a->r->arena, TEXT_MAX);
        if (!text) {
                a->failed = true;
                return;
        }
        va_start(ap, fmt);
        vsnprintf(text, TEXT_MAX, fmt, ap);
        va_end(ap);
        x->error_code = error;
        request_note_error(a->r, error);
        x->error_message = str_of(text);
}

/* --- which keys --- */

static bool is_wanted(const struct describe_configs_req_resources *asked, const char *key)
{
        if (asked->configuration_keys.n <= 0) return true;
        for (int32_t i = 0; i < asked->configuration_keys.n; i++)
                if (str_eq(asked->configuration_keys.at[i], str_of(key))) return true;
        return false;
}

/* Room for n settings; NULL: out of memory. */
static bool make_room(struct answer *a, result *x, unsigned n)
{
        x->configs.at = arena_array(&a->r->arena, (size_t)n + 1, sizeof(*x->configs.at));
        if (!x->configs.at) a->failed = true;
        return x->configs.at != NULL;
}

static setting *add_setting(struct answer *a, result *x, const char *key, const char *meaning)
{
        setting *s = &x->configs.at[x->configs.n++];
        describe_configs_res_results_configs_init(s);
        s->name = str_of(key);
        s->documentation = a->req->include_documentation ? str_of(meaning) : STR_NULL;
        return s;
}

static void set_value(setting *s, struct str value, enum config_source source)
{
        s->value = value;
        s->config_source = (int8_t)source;
        s->is_default = source == SOURCE_DEFAULT;
}

static void add_synonym(struct answer *a, setting *s, const char *name, struct topic_value v)
{
        if (!a->req->include_synonyms || a->failed) return;
        if (!s->synonyms.at)
                s->synonyms.at = arena_array(&a->r->arena, SYNONYMS_MAX, sizeof(*s->synonyms.at));
        if (!s->synonyms.at) {
                a->failed = true;
                return;
        }
        assert(s->synonyms.n < SYNONYMS_MAX);
        struct describe_configs_res_results_configs_synonyms *y = &s->synonyms.at[s->synonyms.n++];
        describe_configs_res_results_configs_synonyms_init(y);
        y->name = str_of(name);
        y->value = v.value;
        y->source = (int8_t)v.source;
}

/* --- resources --- */

static void add_topic_setting(
    struct answer *a, result *x, const struct topic_config *config, const struct topic_key *k)
{
        const struct config *broker = admin_config(a->r);
        setting *s = add_setting(a, x, k->name, k->meaning);
        struct topic_value v = topic_config_value(broker, config, k);
        struct topic_value below = topic_config_value(broker, NULL, k);
        set_value(s, v.value, v.source);
        s->config_type = topic_key_wire_type(k->type);
        if (v.source == SOURCE_TOPIC) add_synonym(a, s, k->name, v);
        if (!k->broker_key) return;
        if (below.source != SOURCE_DEFAULT) add_synonym(a, s, k->broker_key, below);
        add_synonym(
            a, s, k->broker_key, (struct topic_value){ str_of(k->fallback), SOURCE_DEFAULT });
}

static void describe_topic(
    struct answer *a, const struct describe_configs_req_resources *asked, result *x)
{
        unsigned n;
        const struct topic_key *keys = topic_keys(&n);
        const char *why = topic_name_invalid(asked->resource_name);
        const struct topic *t = registry_find(a->r->view, asked->resource_name);
        if (why) {
                fail(a, x, WIRE_INVALID_TOPIC_EXCEPTION, "%s", why);
        } else if (!t) {
                fail(a, x, WIRE_UNKNOWN_TOPIC_OR_PARTITION, "there is no such topic");
        } else if (make_room(a, x, n)) {
                for (unsigned i = 0; i < n; i++)
                        if (is_wanted(asked, keys[i].name))
                                add_topic_setting(a, x, t->config, &keys[i]);
        }
}

static void add_broker_setting(struct answer *a, result *x, const struct config_item *item)
{
        setting *s = add_setting(a, x, item->key, item->meaning);
        enum config_source source = (enum config_source)item->source;
        struct topic_value v = { str_of(item->value), source };
        set_value(s, v.value, source);
        s->read_only = true; /* nothing changes while the server runs */
        s->config_type = item->type;
        if (source != SOURCE_DEFAULT) add_synonym(a, s, item->key, v);
        add_synonym(
            a, s, item->key, (struct topic_value){ str_of(item->fallback), SOURCE_DEFAULT });
}

/* "" asks for what is set for the whole cluster while it runs: nothing. */
static bool is_us(struct answer *a, const struct describe_configs_req_resources *asked, result *x)
{
        int64_t id;
        if (text_i64(asked->resource_name, &id) && id == request_node_id(a->r)) return true;
        fail(a, x, WIRE_INVALID_REQUEST, "this is broker %d, not %s", request_node_id(a->r),
            text_show(asked->resource_name).text);
        return false;
}

static void describe_broker(
    struct answer *a, const struct describe_configs_req_resources *asked, result *x)
{
        const struct config_item *items;
        unsigned n = config_items(admin_config(a->r), &items);
        if (asked->resource_name.n == 0 || !is_us(a, asked, x) || !make_room(a, x, n)) return;
        for (unsigned i = 0; i < n; i++)
                if (is_wanted(asked, items[i].key)) add_broker_setting(a, x, &items[i]);
}

static void describe_logger(
    struct answer *a, const struct describe_configs_req_resources *asked, result *x)
{
        static const char *const levels[] = { "DEBUG", "INFO", "WARN", "ERROR" };
        if (!is_us(a, asked, x) || !is_wanted(asked, "root") || !make_room(a, x, 1)) return;
        setting *s = add_setting(a, x, "root", "Least important log line that is written.");
        s->value = str_of(levels[admin_config(a->r)->log_level]);
        s->config_source = SOURCE_LOGGER;
        s->read_only = true;
}

static void describe(
    struct answer *a, const struct describe_configs_req_resources *asked, result *x)
{
        switch (asked->resource_type) {
        case RESOURCE_TOPIC:
                describe_topic(a, asked, x);
                return;
        case RESOURCE_BROKER:
                describe_broker(a, asked, x);
                return;
        case RESOURCE_BROKER_LOGGER:
                describe_logger(a, asked, x);
                return;
        case RESOURCE_CLIENT_METRICS:
        case RESOURCE_GROUP:
                if (asked->resource_name.n == 0)
                        fail(a, x, WIRE_INVALID_REQUEST, "the name is empty");
                return;
        default:
                fail(a, x, WIRE_INVALID_REQUEST, "unknown resource type %d", asked->resource_type);
        }
}

static bool answer(struct answer *a)
{
        int32_t n = MAX(a->req->resources.n, 0);
        describe_configs_res_init(&a->res);
        a->res.results.at = arena_array(&a->r->arena, (size_t)n + 1, sizeof(*a->res.results.at));
        if (!a->res.results.at) return false;
        for (int32_t i = 0; i < n && !a->failed; i++) {
                const struct describe_configs_req_resources *asked = &a->req->resources.at[i];
                result *x = &a->res.results.at[a->res.results.n++];
                describe_configs_res_results_init(x);
                x->error_message = STR_NULL;
                x->resource_type = asked->resource_type;
                x->resource_name = asked->resource_name;
                describe(a, asked, x);
        }
        return !a->failed;
}

void api_describe_configs_finish(struct request *r, struct out *reply)
{
        struct answer a = { .r = r, .req = r->body };
        if (answer(&a))
                describe_configs_res_encode(&a.res, reply, r->version);
        else
                reply->bad = true; /* out of memory: the connection is closed */
}
