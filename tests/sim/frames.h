/* Requests and replies through the generated codec, for scripted clients. */
#pragma once

#include "protocol/msg.h"

/* A whole frame, length first; the caller frees it.  m: the request struct of that API. */
uint8_t *frame_request(
    int16_t key, int16_t version, int32_t correlation, const void *m, size_t *ret_n);
/* The payload of a reply frame.  m: the response struct; it borrows from p and lives in a.
 * NULL: fine, else what is wrong. */
struct frame_reply {
        int16_t key, version;
        int32_t correlation;
        struct bytes payload;
        struct arena *arena;
};
const char *frame_decode(const struct frame_reply *r, void *m);
