/* Inside the configuration: what the config_*.c files share. */
#pragma once

#include "server/config.h"
#include "server/text.h"
#include "server/topic_config.h"

enum { CONFIG_KEYS_MAX = 80, CONFIG_WARNINGS_MAX = 4 };

/* Where a value goes in struct config. */
enum config_field {
        FIELD_NONE, /* only shown: a default for topics, or a constant */
        FIELD_I32,
        FIELD_I64,
        FIELD_U64,
        FIELD_UINT,
        FIELD_BOOL,
        FIELD_WORD, /* an enum: the place in words */
        FIELD_DIR,
        FIELD_LISTENER,
};

struct config_key {
        const char *name;
        enum topic_key_type type;
        const char *fallback; /* "": derived, or none */
        const char *unit, *meaning;
        enum config_field field;
        size_t at; /* offset in struct config */
        int64_t min, max;
        const char *const *words;
        bool size;                     /* takes KiB, MiB, GiB */
        const struct topic_key *topic; /* gives this topic key its default; checked by its rules */
};

/* All keys, sorted by name. */
const struct config_key *config_keys(unsigned *ret_count);
const struct config_key *config_key_find(struct str name);
/* "VARVE_" and the name in capitals, dots as underscores, without a leading "varve.". */
void config_env_name(const struct config_key *k, char *buf, size_t n);
/* Why this name is no key; fills e. */
int config_key_unknown(struct str name, const char *where, struct err *e);
/* Checks value and stores it into c; `normal` gets what `config print` shows. */
int config_key_set(struct config *c, const struct config_key *k, struct str value, char *normal,
    size_t n_normal, struct err *e);

/* PLAINTEXT://host:port; an empty host is 0.0.0.0. */
int config_listener_parse(
    const char *key, struct str value, struct config_listener *ret, struct err *e);
void config_listener_print(const struct config_listener *l, char *buf, size_t n);
bool config_host_is_any(const char *host);
bool config_host_is_loopback(const char *host);

/* Every pair of a server.properties text; fn < 0 stops. */
struct config_pair {
        struct str key, value; /* valid during the call */
        unsigned line;
};
int config_file_each(struct str text,
    int (*fn)(void *arg, const struct config_pair *p, struct err *e), void *arg, struct err *e);

/* A whole small file; ret is terminated, freed by the caller. */
int config_read_file(
    const char *path, size_t limit, char **ret_text, size_t *ret_len, struct err *e);

/* What this machine or container offers. */
uint64_t config_machine_memory(void);
unsigned config_machine_cores(void);
/* Defaults that depend on it, and how keys fit together. */
int config_memory_fit(struct config *c, bool request_max_is_default, struct err *e);

struct config_values {
        unsigned count;
        struct config_item items[CONFIG_KEYS_MAX];
        char *value[CONFIG_KEYS_MAX], *source[CONFIG_KEYS_MAX], *fallback[CONFIG_KEYS_MAX];
        int topic_default[TOPIC_KEYS]; /* index into items, -1: none */
        char warnings[CONFIG_WARNINGS_MAX][512];
        unsigned n_warnings;
};
