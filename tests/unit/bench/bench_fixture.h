/* What several tests of the load driver need. */
#pragma once

#include "bench/script.h"

/* Values of a script's specification that tests change; freed by rig_free. */
struct rig {
        struct bench_topic topics[4];
        struct topic_set set;
        struct keys keys;
        struct payload payload;
        struct codec_ctx *cx;
        struct script_spec spec;
};

/* One topic of 4 partitions, 100 byte records, 10 in a batch, closed loop. */
void rig_init(struct rig *g);
void rig_keys(struct rig *g, struct key_dist d);
void rig_free(struct rig *g);

/* A frame, decoded by the generated codec; each batch proven to be what a server accepts. */
struct seen_batch {
        uint32_t partition;
        struct batch batch;
        const uint8_t *at;
};
enum { SEEN_MAX = 128 };
struct seen_frame {
        uint32_t correlation, n;
        int16_t acks;
        struct seen_batch batches[SEEN_MAX];
};
void frame_see(const struct rig *g, const struct frame *f, struct seen_frame *ret);
