/* One batch per codec, made by Apache Kafka's kafka-clients 4.3.0 (Java), not by this code:
 *
 *   b = MemoryRecords.builder(ByteBuffer.allocate(4096), RecordBatch.MAGIC_VALUE_V2, compression,
 *       TimestampType.CREATE_TIME, 0L, -1L, 4711L, (short) 3, 17, false, false, -1);
 *   b.append(1700000000000L, "key-a".getBytes(), "value value value value value".getBytes());
 *   b.append(1700000000005L, null, "no key".getBytes(), new Header[]{
 *       new RecordHeader("h1", "x".getBytes()), new RecordHeader("", null) });
 *   b.append(1699999999999L, "tomb".getBytes(), null);
 *   b.build().buffer()
 *
 * with Compression.NONE, .gzip(), .snappy(), .lz4(), .zstd() as they come.  Java writes no raw
 * snappy: that one is the block of its xerial batch with the 20 bytes of framing taken off, length
 * and checksum recomputed by a bitwise CRC in Python.
 *
 * By hand, the first: base offset 0 | length 0x79 = 133 - 12 | leader epoch -1 | magic 02 | crc |
 * attributes 0 | last delta 2 | base 018bcfe56800 = 1700000000000 | max ...6805 | producer 1267 =
 * 4711 | epoch 3 | sequence 0x11 | count 3 || 50: 40 bytes, 00, ts +0, offset 0, 0a "key-a",
 * 3a (29) value, 00 headers || 26: 19 bytes, 00, 0a: ts +5, 02: offset 1, 01: null key, 0c "no
 * key", 04: two headers, 04 "h1" 02 "x", 00 "" 01 null || 14: 10 bytes, 00, 01: ts -1, 04: offset
 * 2, 08 "tomb", 01: null value, 00 headers. */
#pragma once

#include "tests/unit/protocol/batch_util.h"

/* In the order of codings[]. */
static const char *const golden_hex[] = {
        /* none */
        "000000000000000000000079ffffffff0258c65abe0000000000020000018bcfe568000000018bcf"
        "e56805000000000000126700030000001100000003500000000a6b65792d613a76616c7565207661"
        "6c75652076616c75652076616c75652076616c75650026000a02010c6e6f206b6579040468310278"
        "00011400010408746f6d620100",
        /* gzip */
        "000000000000000000000077ffffffff02d9ef1b000001000000020000018bcfe568000000018bcf"
        "e568050000000000001267000300000011000000031f8b08000000000000ff0b606060e0ca4eadd4"
        "4db42a4bcc294d55c04132a831703131f2e4e52b0015b3b06418325530308a3030b27094e4e72631"
        "3200004f3d86f548000000",
        /* snappy raw */
        "000000000000000000000068ffffffff02a516e7600002000000020000018bcfe568000000018bcf"
        "e568050000000000001267000300000011000000034840500000000a6b65792d613a76616c756520"
        "5a06007c0026000a02010c6e6f206b657904046831027800011400010408746f6d620100",
        /* snappy xerial */
        "00000000000000000000007cffffffff02f8d6ada40002000000020000018bcfe568000000018bcf"
        "e5680500000000000012670003000000110000000382534e41505059000000000100000001000000"
        "374840500000000a6b65792d613a76616c7565205a06007c0026000a02010c6e6f206b6579040468"
        "31027800011400010408746f6d620100",
        /* lz4 */
        "000000000000000000000078ffffffff02ae5d91350003000000020000018bcfe568000000018bcf"
        "e5680500000000000012670003000000110000000304224d1860408238000000ff02500000000a6b"
        "65792d613a76616c756520060004f0110026000a02010c6e6f206b65790404683102780001140001"
        "0408746f6d62010000000000",
        /* zstd */
        "000000000000000000000075ffffffff02b95f496d0004000000020000018bcfe568000000018bcf"
        "e5680500000000000012670003000000110000000328b52ffd0058c401001403500000000a6b6579"
        "2d613a76616c7565200026000a02010c6e6f206b657904046831027800011400010408746f6d6201"
        "000100539725010000",
};

static inline struct blob golden(size_t coding)
{
        assert(coding < COUNT_OF(golden_hex));
        const char *hex = golden_hex[coding];
        struct blob b = { malloc(strlen(hex) / 2), strlen(hex) / 2 };
        assert(b.p);
        for (size_t i = 0; i < b.n; i++) {
                char pair[3] = { hex[2 * i], hex[2 * i + 1], 0 };
                b.p[i] = (uint8_t)strtoul(pair, NULL, 16);
        }
        return b;
}
