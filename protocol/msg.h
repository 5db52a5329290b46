/* What the generated codecs share.  A message `m` of protocol/schema is, in protocol/msg/<file>.h:
 *   struct m                                 null: n == -1, or a NULL pointer
 *   m_init(&m)                               all defaults
 *   m_decode(&m, &cursor, version, arena)    false: cursor.why; borrows from the frame
 *   m_encode(&m, &out, version)              check out.bad at the end
 * Fields that a version does not have keep their default, and are ignored when encoding. */
#pragma once

#include "base/arena.h"
#include "protocol/msg/api_keys.h"
#include "protocol/out.h"
#include "protocol/wire.h"

/* Arrays of primitives.  n == -1: null. */
struct i8_array {
        int32_t n;
        int8_t *at;
};
struct i16_array {
        int32_t n;
        int16_t *at;
};
struct i32_array {
        int32_t n;
        int32_t *at;
};
struct i64_array {
        int32_t n;
        int64_t *at;
};
struct uuid_array {
        int32_t n;
        struct uuid *at;
};
struct str_array {
        int32_t n;
        struct str *at;
};

/* --- facts by API --- */
struct api_info {
        int16_t key, min, max; /* versions that the schema describes */
        int16_t flexible;      /* first flexible version; INT16_MAX: never */
        const char *name;
};
extern const struct api_info api_infos[]; /* by key, ascending */
extern const unsigned api_infos_count;
/* NULL: no schema. */
const struct api_info *api_info_find(int16_t key);
/* Versions of the headers; for a key without a schema 1 and 0. */
int16_t api_request_header_version(int16_t key, int16_t version);
int16_t api_response_header_version(int16_t key, int16_t version);

/* --- every message behind one type, for tools and tests --- */
struct msg_codec {
        const char *name;
        int16_t key;       /* -1: not of an API     */
        int16_t direction; /* 0 request, 1 response, -1 neither */
        int16_t min, max;
        size_t size;
        void (*init)(void *m);
        bool (*decode)(void *m, struct cursor *c, int16_t version, struct arena *a);
        void (*encode)(const void *m, struct out *o, int16_t version);
};
extern const struct msg_codec msg_codecs[];
extern const unsigned msg_codecs_count;

/* --- used by generated code only --- */
/* Zeroed room for n elements; NULL for none, and on failure (then the cursor is bad). */
void *msg_alloc(struct cursor *c, struct arena *a, int32_t n, size_t size);
/* A known tag may come once per struct. */
static inline void msg_tag_once(struct cursor *payload, uint32_t *seen, unsigned tag)
{
        if (*seen & 1U << tag) cursor_fail(payload, "tagged field comes twice");
        *seen |= 1U << tag;
}
static inline struct records msg_records(struct cursor *c, unsigned form)
{
        struct bytes b = cursor_bytes(c, form);
        return (struct records){ .p = b.p, .n = b.n };
}
void read_i8_array(struct i8_array *m, struct cursor *c, unsigned form, struct arena *a);
void read_i16_array(struct i16_array *m, struct cursor *c, unsigned form, struct arena *a);
void read_i32_array(struct i32_array *m, struct cursor *c, unsigned form, struct arena *a);
void read_i64_array(struct i64_array *m, struct cursor *c, unsigned form, struct arena *a);
void read_uuid_array(struct uuid_array *m, struct cursor *c, unsigned form, struct arena *a);
void read_str_array(struct str_array *m, struct cursor *c, unsigned form, struct arena *a);
void write_i8_array(const struct i8_array *m, struct out *o, unsigned form);
void write_i16_array(const struct i16_array *m, struct out *o, unsigned form);
void write_i32_array(const struct i32_array *m, struct out *o, unsigned form);
void write_i64_array(const struct i64_array *m, struct out *o, unsigned form);
void write_uuid_array(const struct uuid_array *m, struct out *o, unsigned form);
void write_str_array(const struct str_array *m, struct out *o, unsigned form);
