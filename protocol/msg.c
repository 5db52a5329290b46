/* The hand-written half of the message codecs: arrays of primitives, header versions. */
#include "protocol/msg.h"

#include "base/check.h"

const struct api_info *api_info_find(int16_t key)
{
        for (unsigned i = 0; i < api_infos_count; i++)
                if (api_infos[i].key == key) return &api_infos[i];
        return NULL;
}

static bool is_flexible(int16_t key, int16_t version)
{
        const struct api_info *api = api_info_find(key);
        return api && version >= api->flexible;
}

int16_t api_request_header_version(int16_t key, int16_t version)
{
        return is_flexible(key, version) ? 2 : 1;
}

int16_t api_response_header_version(int16_t key, int16_t version)
{
        /* The client reads it before it knows what the server supports. */
        if (key == API_API_VERSIONS) return 0;
        return is_flexible(key, version) ? 1 : 0;
}

void *msg_alloc(struct cursor *c, struct arena *a, int32_t n, size_t size)
{
        assert(n <= WIRE_COUNT_MAX);
        assert(size > 0);
        if (n <= 0) return NULL;
        void *p = arena_array(a, (size_t)n, size);
        if (!p) cursor_fail(c, "message needs more memory than a request may");
        return p;
}

/* Room for the elements whose count comes next. */
#define READ_BEGIN(smallest_size)                     \
        m->n = cursor_count(c, form, smallest_size);  \
        m->at = msg_alloc(c, a, m->n, sizeof *m->at); \
        if (!m->at && m->n > 0) m->n = 0

void read_i8_array(struct i8_array *m, struct cursor *c, unsigned form, struct arena *a)
{
        READ_BEGIN(1);
        for (int32_t i = 0; i < m->n; i++) m->at[i] = cursor_i8(c);
}

void read_i16_array(struct i16_array *m, struct cursor *c, unsigned form, struct arena *a)
{
        READ_BEGIN(2);
        for (int32_t i = 0; i < m->n; i++) m->at[i] = cursor_i16(c);
}

void read_i32_array(struct i32_array *m, struct cursor *c, unsigned form, struct arena *a)
{
        READ_BEGIN(4);
        for (int32_t i = 0; i < m->n; i++) m->at[i] = cursor_i32(c);
}

void read_i64_array(struct i64_array *m, struct cursor *c, unsigned form, struct arena *a)
{
        READ_BEGIN(8);
        for (int32_t i = 0; i < m->n; i++) m->at[i] = cursor_i64(c);
}

void read_uuid_array(struct uuid_array *m, struct cursor *c, unsigned form, struct arena *a)
{
        READ_BEGIN(16);
        for (int32_t i = 0; i < m->n; i++) m->at[i] = cursor_uuid(c);
}

void read_str_array(struct str_array *m, struct cursor *c, unsigned form, struct arena *a)
{
        READ_BEGIN(form & WIRE_COMPACT ? 1 : 2);
        unsigned element = wire_form(form & WIRE_COMPACT, false);
        for (int32_t i = 0; i < m->n && !c->bad; i++) m->at[i] = cursor_str(c, element);
}

void write_i8_array(const struct i8_array *m, struct out *o, unsigned form)
{
        int32_t n = out_count(o, m->n, form);
        for (int32_t i = 0; i < n; i++) out_i8(o, m->at[i]);
}

void write_i16_array(const struct i16_array *m, struct out *o, unsigned form)
{
        int32_t n = out_count(o, m->n, form);
        for (int32_t i = 0; i < n; i++) out_i16(o, m->at[i]);
}

void write_i32_array(const struct i32_array *m, struct out *o, unsigned form)
{
        int32_t n = out_count(o, m->n, form);
        for (int32_t i = 0; i < n; i++) out_i32(o, m->at[i]);
}

void write_i64_array(const struct i64_array *m, struct out *o, unsigned form)
{
        int32_t n = out_count(o, m->n, form);
        for (int32_t i = 0; i < n; i++) out_i64(o, m->at[i]);
}

void write_uuid_array(const struct uuid_array *m, struct out *o, unsigned form)
{
        int32_t n = out_count(o, m->n, form);
        for (int32_t i = 0; i < n; i++) out_uuid(o, m->at[i]);
}

void write_str_array(const struct str_array *m, struct out *o, unsigned form)
{
        int32_t n = out_count(o, m->n, form);
        unsigned element = wire_form(form & WIRE_COMPACT, false);
        for (int32_t i = 0; i < n; i++) out_str(o, m->at[i], element);
}
