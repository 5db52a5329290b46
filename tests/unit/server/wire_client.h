/* More clients than the rig's own, raw bytes, and the requests of producers and consumers: what the
 * tests of connections, Produce and Fetch stand on. */
#pragma once

#include "protocol/batch.h"
#include "tests/unit/server/admin_rig.h"

/* A connection of raw bytes. */
struct wire {
        struct rig *g;
        int fd;
};
struct wire wire_open(struct rig *g);
void wire_close(struct wire *w);
void wire_send(struct wire *w, const void *p, size_t n);
/* Turns the server until n bytes came; false: it closed the connection. */
bool wire_receive(struct wire *w, void *p, size_t n);
/* rig_send() and rig_receive() on this connection. */
void wire_ask(struct wire *w, int16_t key, int16_t version, const void *req);
bool wire_answer(struct wire *w, int16_t key, int16_t version, void *res);
/* A whole reply; its length, -1: closed. */
int64_t wire_reply(struct wire *w, uint8_t *p, size_t room);
/* True: the server closes it, without another byte. */
bool wire_is_closed(struct wire *w);
/* Nothing comes within so many turns of the server. */
bool wire_is_silent(struct wire *w, unsigned turns);

/* One batch of count records with value `text`, timestamps from `time` on.  From the rig's arena.
 */
struct records wire_batch(struct rig *g, const char *text, int32_t count, int64_t time);
/* Produces it; the partition's answer. */
struct produce_res_responses_partition_responses wire_produce(
    struct rig *g, const char *topic, int32_t partition, struct records records);

struct wire_fetch {
        const char *topic;
        int32_t partition, max_bytes, partition_max_bytes, min_bytes, max_wait_ms;
        int64_t offset;
        int16_t version; /* 0: 11 */
};
/* A request that lives in the rig's arena. */
struct fetch_req *wire_fetch_req(struct rig *g, const struct wire_fetch *f);
/* Fetches; the answer of its one partition. */
struct fetch_res_responses_partitions wire_fetch(struct rig *g, const struct wire_fetch *f);
/* How many records the bytes hold; every batch is checked. */
int32_t wire_count(struct records records);
