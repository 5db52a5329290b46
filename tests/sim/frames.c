/* See frames.h. */
#include "tests/sim/frames.h"

#include "base/check.h"
#include "protocol/msg/headers.h"

enum { FRAME_ARENA_MAX = 256 << 20 };

static const struct msg_codec *codec_of(int16_t key, int16_t direction)
{
        for (unsigned i = 0; i < msg_codecs_count; i++)
                if (msg_codecs[i].key == key && msg_codecs[i].direction == direction)
                        return &msg_codecs[i];
        abort();
}

uint8_t *frame_request(
    int16_t key, int16_t version, int32_t correlation, const void *m, size_t *ret_n)
{
        struct arena arena;
        struct out out;
        arena_init(&arena, FRAME_ARENA_MAX);
        out_init(&out, &arena);
        struct request_header h = { key, version, correlation, STR("script") };
        request_header_encode(&h, &out, api_request_header_version(key, version));
        codec_of(key, 0)->encode(m, &out, version);
        assert(!out.bad);
        size_t n = out_total(&out), at = 4;
        uint8_t *p = malloc(n + 4);
        if (!p) abort();
        store_be32(p, (uint32_t)n);
        for (uint32_t i = 0; i < out_segments(&out); i++) {
                memcpy(p + at, out.iov[i].iov_base, out.iov[i].iov_len);
                at += out.iov[i].iov_len;
        }
        assert(at == n + 4);
        arena_reset(&arena);
        *ret_n = n + 4;
        return p;
}

const char *frame_decode(const struct frame_reply *r, void *m)
{
        struct cursor c = cursor_of(r->payload.p, (size_t)r->payload.n);
        struct response_header h;
        int16_t hv = api_response_header_version(r->key, r->version);
        if (!response_header_decode(&h, &c, hv, r->arena)) return c.why;
        if (h.correlation_id != r->correlation) return "correlation id of another request";
        if (!codec_of(r->key, 1)->decode(m, &c, r->version, r->arena)) return c.why;
        return cursor_left(&c) ? "bytes after the reply" : NULL;
}
