/* Checks topic settings and computes the effective ones. */
#include "server/topic_config.h"

#include "base/check.h"
#include "base/status.h"
#include "server/config.h"
#include "server/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { VALUE_MAX = 16384 }; /* bytes of one value; lists may be long */

/* "true or false", "0 to 5", "delete, compact": what an error text offers. */
static void allowed_text(const struct topic_key *k, char *buf, size_t n)
{
        if (k->type == KEY_BOOL) {
                snprintf(buf, n, "true, false");
        } else if (k->words) {
                size_t at = 0;
                buf[0] = '\0';
                for (unsigned i = 0; k->words[i] && at < n; i++) {
                        if (k->not_yet && strcmp(k->words[i], k->not_yet) == 0) continue;
                        at +=
                            (size_t)snprintf(buf + at, n - at, "%s%s", at ? ", " : "", k->words[i]);
                }
                if (k->type == KEY_LIST && at < n) snprintf(buf + at, n - at, ", or empty");
        } else if (k->type == KEY_LIST) {
                snprintf(buf, n, "empty, *, or partition:broker,...");
        } else {
                snprintf(buf, n, "%" PRId64 " to %" PRId64 "%s", k->min, k->max,
                    k->not_zero ? " without 0" : "");
        }
}

static int refuse(
    const struct topic_key *k, const char *shown, struct str value, const char *why, struct err *e)
{
        char allowed[160];
        allowed_text(k, allowed, sizeof(allowed));
        return err_set(
            e, ST_INVALID, "%s=%s: %s; allowed: %s", shown, text_show(value).text, why, allowed);
}

static bool is_word(const struct topic_key *k, struct str s)
{
        for (unsigned i = 0; k->words[i]; i++)
                if (str_eq(s, str_of(k->words[i]))) return true;
        return false;
}

static int parse_words(
    const struct topic_key *k, const char *shown, struct topic_parsed *p, struct err *e)
{
        struct str rest = p->text, whole = p->text;
        bool not_yet = false;
        if (k->type == KEY_STRING)
                return is_word(k, rest) ? 0 : refuse(k, shown, whole, "not a value of this key", e);
        for (bool more = rest.n > 0; more;) {
                const char *comma = memchr(rest.p, ',', (size_t)rest.n);
                int32_t n = comma ? (int32_t)(comma - rest.p) : rest.n;
                struct str item = text_trim((struct str){ rest.p, n });
                if (!is_word(k, item)) return refuse(k, shown, whole, "not a value of this key", e);
                if (k->not_yet && str_eq(item, str_of(k->not_yet))) not_yet = true;
                /* Only one word is left to stand, however often it was written. */
                p->text = item;
                more = comma != NULL;
                rest = more ? (struct str){ rest.p + n + 1, rest.n - n - 1 } : rest;
        }
        return not_yet ? refuse(k, shown, whole, "not supported yet", e) : 0;
}

/* partition:broker,partition:broker ... */
static bool is_replica_list(struct str s)
{
        if (s.n == 0 || str_eq(s, STR("*"))) return true;
        int colons = 0;
        bool digit = false;
        for (int32_t i = 0; i < s.n; i++) {
                char c = s.p[i];
                if (c >= '0' && c <= '9') {
                        digit = true;
                        continue;
                }
                if (!digit || (c == ':' ? colons != 0 : c != ',' || colons != 1)) return false;
                colons = c == ':';
                digit = false;
        }
        return digit && colons == 1;
}

static int parse_number(
    const struct topic_key *k, const char *shown, struct topic_parsed *p, struct err *e)
{
        int64_t v;
        if (!text_i64(p->text, &v)) return refuse(k, shown, p->text, "not a whole number", e);
        if (v < k->min || v > k->max || (k->not_zero && v == 0))
                return refuse(k, shown, p->text, "out of range", e);
        p->number = v;
        snprintf(p->buf, sizeof(p->buf), "%" PRId64, v);
        p->text = str_of(p->buf);
        return 0;
}

static int parse_typed(
    const struct topic_key *k, const char *shown, struct topic_parsed *p, struct err *e)
{
        bool truth;
        double fraction;
        switch (k->type) {
        case KEY_BOOL:
                if (!text_bool(p->text, &truth))
                        return refuse(k, shown, p->text, "not a boolean", e);
                p->number = truth;
                p->text = truth ? STR("true") : STR("false");
                return 0;
        case KEY_INT:
        case KEY_LONG:
                return parse_number(k, shown, p, e);
        case KEY_DOUBLE:
                if (!text_double(p->text, &fraction))
                        return refuse(k, shown, p->text, "not a number", e);
                if (fraction < (double)k->min || fraction > (double)k->max)
                        return refuse(k, shown, p->text, "out of range", e);
                return 0;
        case KEY_LIST:
                if (k->words) return parse_words(k, shown, p, e);
                if (!is_replica_list(p->text))
                        return refuse(k, shown, p->text, "not such a list", e);
                return 0;
        case KEY_STRING:
                return parse_words(k, shown, p, e);
        }
        return err_set(e, ST_INVALID, "%s: unknown type", shown);
}

int topic_key_parse(const struct topic_key *k, const char *shown, struct str value,
    struct topic_parsed *ret, struct err *e)
{
        if (value.n < 0) return err_set(e, ST_INVALID, "%s: the value is null", shown);
        if (value.n > VALUE_MAX)
                return err_set(
                    e, ST_INVALID, "%s: the value is longer than %d bytes", shown, VALUE_MAX);
        ret->text = text_trim(value);
        ret->number = 0;
        int r = parse_typed(k, shown, ret, e);
        if (r < 0) return r;
        if (!k->effective && !k->anyway && !str_eq(ret->text, str_of(k->fallback)))
                return err_set(e, ST_INVALID, "%s=%s: not supported yet; allowed: %s", shown,
                    text_show(value).text, k->fallback);
        return 0;
}

/* --- one topic --- */

/* The broker's word on a key: what it sets, else the table's default. */
static struct topic_value broker_value(const struct config *broker, const struct topic_key *k)
{
        unsigned n;
        const struct config_item *item =
            broker ? config_topic_default(broker, (unsigned)(k - topic_keys(&n))) : NULL;
        if (item && item->source != SOURCE_DEFAULT)
                return (
                    struct topic_value){ str_of(item->value), (enum config_source)item->source };
        return (struct topic_value){ str_of(k->fallback), SOURCE_DEFAULT };
}

struct topic_value topic_config_value(
    const struct config *broker, const struct topic_config *c, const struct topic_key *key)
{
        struct str name = str_of(key->name);
        for (int32_t i = 0; c && i < c->n_set; i++)
                if (str_eq(c->set[i].name, name))
                        return (struct topic_value){ c->set[i].value, SOURCE_TOPIC };
        return broker_value(broker, key);
}

static int unknown_key(struct str name, struct err *e)
{
        unsigned n;
        const struct topic_key *all = topic_keys(&n);
        for (unsigned i = 0; i < n; i++)
                if (text_near(name, all[i].name))
                        return err_set(e, ST_INVALID,
                            "%s: unknown topic setting (did you mean %s?)", text_show(name).text,
                            all[i].name);
        return err_set(e, ST_INVALID, "%s: unknown topic setting", text_show(name).text);
}

/* The last entry of each key, checked; returns the bytes of their normal forms. */
static int collect(const struct config_entry *entries, int32_t n,
    const struct config_entry *last[TOPIC_KEYS], size_t *ret_bytes, struct err *e)
{
        unsigned n_keys;
        const struct topic_key *all = topic_keys(&n_keys);
        size_t bytes = 0;
        for (int32_t i = 0; i < n; i++) {
                const struct topic_key *k = topic_key_find(entries[i].name);
                if (!k) return unknown_key(entries[i].name, e);
                struct topic_parsed p;
                int r = topic_key_parse(k, k->name, entries[i].value, &p, e);
                if (r < 0) return r;
                last[k - all] = &entries[i];
        }
        for (unsigned i = 0; i < n_keys; i++) {
                if (!last[i]) continue;
                struct topic_parsed p;
                int r = topic_key_parse(&all[i], all[i].name, last[i]->value, &p, e);
                assert(r == 0);
                bytes += (size_t)p.text.n;
        }
        *ret_bytes = bytes;
        return 0;
}

/* One block: the config, its entries, their texts. Names are the table's own. */
static struct topic_config *build(const struct config_entry *const last[TOPIC_KEYS], size_t bytes)
{
        unsigned n_keys, n = 0;
        const struct topic_key *all = topic_keys(&n_keys);
        for (unsigned i = 0; i < n_keys; i++) n += last[i] != NULL;
        struct topic_config *c = calloc(1, sizeof(*c) + n * sizeof(struct config_entry) + bytes);
        if (!c) return NULL;
        struct config_entry *set = (struct config_entry *)(c + 1);
        char *text = (char *)(set + n);
        c->set = set;
        for (unsigned i = 0; i < n_keys; i++) {
                if (!last[i]) continue;
                struct topic_parsed p;
                int r = topic_key_parse(&all[i], all[i].name, last[i]->value, &p, NULL);
                assert(r == 0 && (size_t)p.text.n <= bytes);
                memcpy(text, p.text.p, (size_t)p.text.n);
                set[c->n_set++] = (struct config_entry){ str_of(all[i].name), { text, p.text.n } };
                text += p.text.n;
                bytes -= (size_t)p.text.n;
        }
        assert((unsigned)c->n_set == n && bytes == 0);
        return c;
}

/* Every effective value and where it goes. */
static void take_number(struct topic_config *c, const char *name, int64_t v)
{
        if (strcmp(name, "index.interval.bytes") == 0)
                c->log.index_interval_bytes = (uint32_t)v;
        else if (strcmp(name, "max.message.bytes") == 0)
                c->max_message_bytes = (int32_t)v;
        else if (strcmp(name, "message.timestamp.after.max.ms") == 0)
                c->timestamp_after_max_ms = v;
        else if (strcmp(name, "message.timestamp.before.max.ms") == 0)
                c->timestamp_before_max_ms = v;
        else if (strcmp(name, "min.insync.replicas") == 0)
                c->min_insync_replicas = (int32_t)v;
        else if (strcmp(name, "retention.bytes") == 0)
                c->log.retention_bytes = v < 0 ? -1 : v;
        else if (strcmp(name, "retention.ms") == 0)
                c->log.retention_ms = v;
        else if (strcmp(name, "segment.bytes") == 0)
                c->log.segment_bytes = (uint32_t)v;
        else if (strcmp(name, "segment.ms") == 0)
                c->log.segment_ms = v;
        else
                assert(0 && "an effective number without a place");
}

static void take_word(struct topic_config *c, const char *name, struct str v)
{
        if (strcmp(name, "cleanup.policy") == 0) {
                c->log.delete_old = str_eq(v, STR("delete"));
                c->compact = str_eq(v, STR("compact"));
        } else if (strcmp(name, "message.timestamp.type") == 0) {
                c->append_time = str_eq(v, STR("LogAppendTime"));
        } else {
                assert(0 && "an effective word without a place");
        }
}

static int resolve(const struct config *broker, struct topic_config *c, struct err *e)
{
        unsigned n;
        const struct topic_key *all = topic_keys(&n);
        int64_t lag_min = 0, lag_max = 0;
        for (unsigned i = 0; i < n; i++) {
                struct topic_parsed p;
                struct topic_value v = topic_config_value(broker, c, &all[i]);
                int r = topic_key_parse(&all[i], all[i].name, v.value, &p, e);
                if (r < 0) return r;
                bool number = all[i].type == KEY_INT || all[i].type == KEY_LONG;
                if (strcmp(all[i].name, "min.compaction.lag.ms") == 0) lag_min = p.number;
                if (strcmp(all[i].name, "max.compaction.lag.ms") == 0) lag_max = p.number;
                if (!all[i].effective) continue;
                if (number)
                        take_number(c, all[i].name, p.number);
                else
                        take_word(c, all[i].name, p.text);
        }
        if (lag_min > lag_max)
                return err_set(e, ST_INVALID,
                    "min.compaction.lag.ms=%" PRId64 ": more than max.compaction.lag.ms=%" PRId64,
                    lag_min, lag_max);
        return 0;
}

int topic_config_new(const struct config *broker, const struct config_entry *entries, int32_t n,
    struct topic_config **ret_config, struct err *e)
{
        const struct config_entry *last[TOPIC_KEYS] = { NULL };
        size_t bytes = 0;
        int r = collect(entries, n, last, &bytes, e);
        if (r < 0) return r;
        struct topic_config *c = build(last, bytes);
        if (!c) return err_set(e, ST_NOMEM, "settings of a topic");
        r = resolve(broker, c, e);
        if (r < 0) {
                topic_config_free(c);
                return r;
        }
        *ret_config = c;
        return 0;
}

void topic_config_free(struct topic_config *c)
{
        free(c);
}
