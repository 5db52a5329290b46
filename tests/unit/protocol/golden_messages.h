/* Messages written down byte by byte from the protocol's description, never by our encoder. */
#pragma once

#include <stdint.h>

struct golden_message {
        const char *name;
        int16_t version;
        const char *hex;
};

/* clang-format off */
static const struct golden_message golden_messages[] = {
        { "request_header", 0,
          "0007 0000 00000001" },                /* key, version, correlation id */
        { "request_header", 1,
          "0003 0001 0000002a 0003 616263" },    /* client id "abc" */
        { "request_header", 1,
          "0003 0001 0000002a ffff" },           /* client id null */
        { "request_header", 2,
          "0012 0003 7fffffff 0004 6b636174 00" }, /* client id in the old form, tags */
        { "response_header", 0, "0000002a" },
        { "response_header", 1, "0000002a 00" },

        /* The answer to an ApiVersions of a version that we do not have: 35, and only itself. */
        { "api_versions_res", 0,
          "0023 00000001 0012 0000 0004" },
        { "api_versions_req", 3,
          "05 6b636174 06 312e372e31 00" },      /* "kcat", "1.7.1" */
        { "api_versions_res", 4,
          "0000"
          "03 0000 0000 000d 00  0012 0000 0004 00" /* Produce 0-13, ApiVersions 0-4 */
          "00000000"
          "04"                                   /* four tagged fields */
          "00 17 02 11 6d657461646174612e76657273696f6e 0007 001e 00" /* metadata.version 7-30 */
          "01 08 0000000000000029"               /* epoch 41 */
          "02 17 02 11 6d657461646174612e76657273696f6e 001e 001e 00"
          "03 01 01" },                          /* zk_migration_ready */

        { "produce_req", 3,
          "ffff ffff 000005dc"                   /* no transaction, acks -1, 1500 ms */
          "00000001 0002 7431"                   /* one topic "t1" */
          "00000001 00000000 00000004 deadbeef" }, /* one partition, 4 record bytes */
        { "produce_req", 9,
          "00 ffff 000005dc"
          "02 03 7431"
          "02 00000000 05 deadbeef 00"           /* ... partition's tags */
          "00 00" },                             /* topic's, body's tags */
        { "produce_req", 13,
          "04 747831 0001 00000000"              /* transaction "tx1", acks 1 */
          "02 000102030405060708090a0b0c0d0e0f"
          "03 00000007 00 00  00000008 01 00"    /* records null; records empty */
          "00 00" },
        { "produce_res", 10,
          "02 03 7431"
          "02 00000000 0006 ffffffffffffffff ffffffffffffffff ffffffffffffffff"
          "02 00000003 02 78 00"                 /* record 3: "x" */
          "00"                                   /* no message */
          "01 00 09 00000001 00000005 00"        /* tag 0: leader 1, epoch 5 */
          "00"
          "00000064"
          "01 00 10 02 00000001 03 6831 00002384 03 7231 00" }, /* tag 0: node 1 h1:9092 rack r1 */

        { "fetch_req", 4,
          "ffffffff 000001f4 00000001 03200000 00"
          "00000001 0002 7431"
          "00000001 00000000 000000000000002a 00100000" },
        { "fetch_req", 12,
          "ffffffff 000001f4 00000001 03200000 01"
          "00000000 ffffffff"                    /* no session */
          "02 03 7431"
          "02 00000000 ffffffff 000000000000002a ffffffff ffffffffffffffff 00100000 00"
          "00"
          "02 03 7432 02 00000005 00"            /* forgotten: t2-5 */
          "01"                                   /* rack "" */
          "01 00 03 03 6331" },                  /* tag 0: cluster id "c1" */
        { "fetch_req", 17,
          "000001f4 00000001 7fffffff 00 00000000 00000000"
          "02 000102030405060708090a0b0c0d0e0f"
          "02 00000000 00000003 0000000000000000 ffffffff ffffffffffffffff 00100000"
          "01 00 10 0f0e0d0c0b0a09080706050403020100" /* tag 0: directory id */
          "00"
          "01 03 7231"
          "01 01 0d 00000001 0000000000000002 00" }, /* tag 1: replica 1, epoch 2 */
        { "fetch_res", 4,
          "00000000 00000001 0002 7431"
          "00000001 00000000 0000 0000000000000010 0000000000000010"
          "00000001 0000000000000007 0000000000000003" /* aborted: producer 7 from 3 */
          "00000002 cafe" },
        { "fetch_res", 12,
          "00000000 0000 00000009"
          "02 03 7431"
          "02 00000000 0006 0000000000000010 0000000000000010 0000000000000000"
          "00 ffffffff 03 cafe"                  /* no aborted, no replica, records */
          "02 00 0d 00000004 000000000000000a 00" /* tag 0: diverging epoch 4, end 10 */
          "01 09 00000002 00000005 00"           /* tag 1: leader 2, epoch 5 */
          "00 00" },

        { "metadata_req", 0, "00000000" },
        { "metadata_req", 1, "ffffffff" },       /* all topics */
        { "metadata_req", 12,
          "02 000102030405060708090a0b0c0d0e0f 00 00 01 00 00" }, /* by id, name null */
        { "metadata_res", 1,
          "00000001 00000001 0002 6831 00002384 ffff" /* broker 1 h1:9092, no rack */
          "00000001"                             /* controller */
          "00000001 0000 0002 7431 00"
          "00000001 0000 00000000 00000001 00000001 00000001 00000001 00000001" },
        { "list_offsets_res", 0,
          "00000001 0002 7431 00000001 00000000 0000 00000002 0000000000000064 0000000000000000" },
        { "describe_topic_partitions_req", 0,
          "02 03 7431 00 000007d0 01 03 7431 00000003 00 00" }, /* cursor t1-3 */
        { "describe_topic_partitions_req", 0,
          "01 000007d0 ff 00" },                 /* no topics, cursor null */
        { "describe_client_quotas_res", 0,
          "00000000 0000 ffff 00000001"
          "00000001 0004 75736572 ffff"          /* user, default */
          "00000001 0001 6b 40f86a0000000000" }, /* k = 100000.0 */
        { "consumer_subscription", 1,
          "00000001 0002 7431 ffffffff 00000001 0002 7431 00000002 00000000 00000001" },
};
/* clang-format on */
