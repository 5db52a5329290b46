/* Shared by the message tests: bytes written as text, messages as one run of bytes. */
#pragma once

#include "protocol/msg.h"

enum { BYTES_MAX = 4096 };

/* "00 12  ff", spaces as you like.  On the heap, of the exact size, so that a sanitizer sees every
 * read past the end. */
struct bytes_mut bytes_of_hex(const char *hex);
/* The same, kept until the test's process ends: for what is borrowed from. */
struct bytes_mut bytes_kept(const char *hex);
struct bytes_mut bytes_copy(const uint8_t *p, size_t n);
/* All segments, one after the other. */
struct bytes_mut bytes_of_out(const struct out *o);
/* Fails the test when they differ, and prints both. */
void expect_bytes(struct bytes_mut got, const char *hex, const char *what);
/* NULL never: the test fails. */
const struct msg_codec *codec_of(const char *name);
