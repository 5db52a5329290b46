"""Faults 11-20: record batches that are not what they say.  Codes are those of Kafka 4.3 unless a
case says why ours differ; nothing of a refused batch may be appended."""

import gzip
import time

from registry import case
from wire import (Closed, batch, batches, crc32c, i8, i32, lz4_repeat, record, snappy_repeat,
                  varint, zstd_rle)

CORRUPT, TOO_LARGE, INVALID_TIMESTAMP, UNSUPPORTED_CODEC, INVALID_RECORD = 2, 10, 32, 76, 87
GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
MAX = 1048588


def fresh(s, c, name, configs=()):
    """A topic that nobody else uses, on a server of ours or on one that lives on."""
    name = f'{name}-{time.time_ns():x}'
    error = c.create_topic(name, 1, configs)
    assert error == 0, f'create {name}: error {error}'
    for _ in range(200):
        if c.metadata([name])[name.encode()][0] == 0 and c.list_offset(name, -1)[0] == 0:
            return name
    raise AssertionError(f'{name} never became ready')


def expect(s, topic_name, rows, version=7, configs=()):
    """rows: (what, batch bytes, allowed errors)."""
    with s.conn() as c:
        topic = fresh(s, c, topic_name, configs)
        end = 0
        for what, data, allowed in rows:
            try:
                error, base, _ = c.produce(topic, data, version=version)
            except Closed as e:
                raise AssertionError(f'{what}: connection closed') from e
            allowed = allowed if isinstance(allowed, tuple) else (allowed,)
            assert error in allowed, f'{what}: error {error}, expected {allowed}'
            if error == 0:
                assert base == end, f'{what}: base offset {base}, expected {end}'
                end += max(1, sum(n for _, n, _, _ in batches(data)))
            else:
                assert base == -1, f'{what}: base offset {base} with error {error}'
            high = c.fetch(topic, 0)[1]
            assert high == end, f'{what}: {high} records in the log, expected {end}'


@case(11, 'a wrong CRC', peer=True)
def wrong_crc(s):
    good = bytearray(batch([record(b'x' * 100)]))
    rows = [('crc + 1', batch(crc=1), CORRUPT)]
    for at in (21, 27, 60, 70, len(good) - 1):
        bad = bytearray(good)
        bad[at] ^= 0x10
        rows.append((f'bit flipped at {at}', bytes(bad), CORRUPT))
    rows.append(('good one after them', bytes(good), 0))
    expect(s, 'crc', rows)


@case(12, 'counts and deltas that lie', peer=True)
def wrong_counts(s):
    two = [record(offset=0), record(offset=1)]
    expect(s, 'counts', [
        ('count 0', batch([], count=0), INVALID_RECORD),
        ('count -1', batch(two, count=-1, last_delta=-2), INVALID_RECORD),
        ('count 3 of 2', batch(two, count=3), INVALID_RECORD),
        ('count 1 of 2', batch(two, count=1), INVALID_RECORD),
        ('count 2^31-1', batch(two, count=2147483647), INVALID_RECORD),
        ('last delta 5', batch(two, last_delta=5), INVALID_RECORD),
        ('last delta -1', batch(two, last_delta=-1), INVALID_RECORD),
        ('base offset 7', batch(two, base_offset=7), INVALID_RECORD),
        ('good', batch(two), 0)])


@case(12, 'offset deltas inside a compressed batch')
def wrong_deltas(s):
    # Kafka answers -1 here; 87 says what is wrong
    bad = gzip.compress(record(offset=0) + record(offset=5))
    good = gzip.compress(record(offset=0) + record(offset=1))
    expect(s, 'deltas', [
        ('gap', batch(payload=bad, count=2, attributes=GZIP), (INVALID_RECORD, CORRUPT)),
        ('count of compressed lies', batch(payload=good, count=3, attributes=GZIP),
         (INVALID_RECORD, CORRUPT)),
        ('good', batch(payload=good, count=2, attributes=GZIP), 0)])


@case(13, 'lengths, several batches, old magic', peer=True)
def wrong_shape(s):
    good = batch()
    expect(s, 'shape', [
        ('empty', b'', INVALID_RECORD),
        ('60 bytes', good[:60], INVALID_RECORD),
        ('cut', good[:-1], INVALID_RECORD),
        ('two batches', good + good, INVALID_RECORD),
        ('length beyond the bytes', batch(length=len(good) + 100), INVALID_RECORD),
        ('length 20', batch(length=20), CORRUPT),
        ('length 0', batch(length=0), CORRUPT),
        ('length -1', batch(length=-1), CORRUPT),
        ('magic 3', batch(magic=3), CORRUPT),
        ('magic 127', batch(magic=127), CORRUPT),
        ('magic 0', batch(magic=0), INVALID_RECORD),
        ('magic 1', batch(magic=1), INVALID_RECORD),
        ('good', good, 0)])


@case(13, 'null records')
def null_records(s):
    # Kafka 4.3 never answers this one
    expect(s, 'null', [('null', None, INVALID_RECORD)])


@case(14, 'records that overrun', peer=True)
def overrun(s):
    body = i8(0) + varint(0) + varint(0)
    def rec(b): return varint(len(b)) + b
    rows = [
        ('record length beyond the batch', batch([varint(1000) + body]), INVALID_RECORD),
        ('record length negative', batch([varint(-5) + body]), INVALID_RECORD),
        ('record length too small', batch([varint(2) + record()[1:]]), INVALID_RECORD),
        ('key beyond the record', batch([rec(body + varint(500) + varint(-1) + varint(0))]),
         INVALID_RECORD),
        ('value beyond the record', batch([rec(body + varint(-1) + varint(500) + varint(0))]),
         INVALID_RECORD),
        ('header count huge', batch([rec(body + varint(-1) + varint(-1) + varint(2000000000))]),
         INVALID_RECORD),
        ('header count negative', batch([rec(body + varint(-1) + varint(-1) + varint(-1))]),
         INVALID_RECORD),
        ('varint of 11 bytes', batch([b'\xff' * 11 + body]), (INVALID_RECORD, -1)),
        ('bytes after the last record', batch([record() + b'\0\0\0'], count=1), INVALID_RECORD),
        ('good', batch(), 0)]
    expect(s, 'overrun', rows)


@case(14, 'key length -2 and a header without a key')
def negative_lengths(s):
    body = i8(0) + varint(0) + varint(0)
    def rec(b): return varint(len(b)) + b
    expect(s, 'neg', [
        ('key length -2', batch([rec(body + varint(-2) + varint(-1) + varint(0))]),
         (INVALID_RECORD, CORRUPT)),
        ('value length -2', batch([rec(body + varint(-1) + varint(-2) + varint(0))]),
         (INVALID_RECORD, CORRUPT)),
        ('header key null', batch([rec(body + varint(-1) + varint(-1) + varint(1) + varint(-1) +
                                       varint(-1))]), (INVALID_RECORD, CORRUPT))])


@case(15, 'decompression bombs')
def bombs(s):
    # 4 GiB behind at most 1 MiB; a record whose length says that it is all one value
    big = 4 << 30
    refused = (INVALID_RECORD, CORRUPT, TOO_LARGE)
    z = gzip.compress(bytes(900 << 20), 9)
    nested = gzip.compress(gzip.compress(bytes(100 << 20), 9), 9)
    raw_block = snappy_repeat(20 << 20)
    xerial = b'\x82SNAPPY\0' + i32(1) + i32(1) + (i32(len(raw_block)) + raw_block)
    before = s.rss_mib()
    expect(s, 'bombs', [
        ('gzip', batch(payload=z, count=1, attributes=GZIP), refused),
        ('gzip in gzip', batch(payload=nested, count=1, attributes=GZIP), refused),
        ('zstd', batch(payload=zstd_rle(big), count=1, attributes=ZSTD), refused),
        ('zstd, window 2^31', batch(payload=zstd_rle(1 << 20, window_log=31), count=1,
                                    attributes=ZSTD), refused),
        ('zstd, window 2^41', batch(payload=zstd_rle(1 << 20, window_log=41), count=1,
                                    attributes=ZSTD), refused),
        ('lz4', batch(payload=lz4_repeat(240 << 20), count=1, attributes=LZ4), refused),
        ('snappy', batch(payload=raw_block, count=1, attributes=SNAPPY), refused),
        ('snappy says 2^32-1', batch(payload=b'\xff\xff\xff\xff\x0f\0x', count=1,
                                     attributes=SNAPPY), refused),
        ('snappy, framed', batch(payload=xerial, count=1, attributes=SNAPPY), refused),
        ('good', batch(), 0)])
    grown = s.rss_mib() - before
    assert grown < 64, f'{grown:.0f} MiB more after the bombs'


@case(15, 'streams that break off')
def broken_streams(s):
    refused = (INVALID_RECORD, CORRUPT)
    whole = record(b'x' * 1000)
    rows = []
    for name, codec, data in (('gzip', GZIP, gzip.compress(whole)), ('zstd', ZSTD, zstd_rle(1000)),
                              ('lz4', LZ4, lz4_repeat(1000)),
                              ('snappy', SNAPPY, snappy_repeat(1000))):
        for n in (0, 1, len(data) // 2, len(data) - 1):
            rows.append((f'{name} cut to {n}', batch(payload=data[:n], count=1, attributes=codec),
                         refused))
        rows.append((f'{name} is noise', batch(payload=b'\xa5' * 100, count=1, attributes=codec),
                     refused))
    expect(s, 'broken', rows)


@case(16, 'unknown codecs')
def unknown_codecs(s):
    # Kafka answers -1 to codecs 5-7 and appends nothing; a code that names the cause is better
    expect(s, 'codec', [(f'codec {n}', batch(attributes=n),
                         (UNSUPPORTED_CODEC, INVALID_RECORD, CORRUPT)) for n in (5, 6, 7)])


@case(16, 'zstd from an old Produce', peer=True)
def old_zstd(s):
    # `record()` of one byte as a zstd frame with one raw block
    r = record()
    frame = b'\x28\xb5\x2f\xfd\x20' + bytes([len(r)]) + (len(r) << 3 | 1).to_bytes(3, 'little') + r
    data = batch(payload=frame, count=1, attributes=ZSTD)
    expect(s, 'old-zstd', [('v6', data, UNSUPPORTED_CODEC)], version=6)
    expect(s, 'new-zstd', [('v7', data, 0)], version=7)


def sized(n):
    """A batch of exactly n bytes."""
    value = n - len(batch([record(b'')]))
    for v in range(value, value - 12, -1):
        data = batch([record(bytes(v))])
        if len(data) == n:
            return data
    raise AssertionError(f'no batch of {n} bytes')


@case(17, 'sizes at the limit', peer=True)
def limits(s):
    expect(s, 'limit', [
        ('one byte', batch([record(b'x')]), 0),
        ('null key and value', batch([record(None, None)]), 0),
        ('empty key and value', batch([record(b'', b'')]), 0),
        ('max.message.bytes', sized(MAX), 0),
        ('max.message.bytes + 1', sized(MAX + 1), TOO_LARGE),
        ('no records', batch([], count=0), INVALID_RECORD),
        ('headers', batch([record(b'v', b'k', headers=[(b'a', b'1'), (b'a', None),
                                                       (b'', b'')])]), 0)])


@case(17, 'a topic limit of a hundred bytes', peer=True)
def small_limit(s):
    expect(s, 'small', [('100 bytes', sized(100), 0), ('101 bytes', sized(101), TOO_LARGE)],
           configs=[('max.message.bytes', '100')])


@case(18, 'a record of 100 MiB against small fetches', own=True)
def huge_record(settings):
    size = 100 << 20
    limit = 1024
    with settings.server(sets=['socket.request.max.bytes=115343360', 'varve.shards=1',
                               f'memory.limit.bytes={limit << 20}']) as s, s.conn(timeout=90) as c:
        assert c.create_topic('huge', 1, [('max.message.bytes', '110000000')]) == 0
        assert c.produce('huge', batch([record(b'before')]))[0] == 0
        error, base, _ = c.produce('huge', batch([record(bytes(size))]))
        assert (error, base) == (0, 1), (error, base)
        assert c.produce('huge', batch([record(b'after')]))[:2] == (0, 2)
        memory = []
        for offset in (0, 1, 2, 1, 1, 1):
            error, high, data = c.fetch('huge', offset, max_bytes=1, part_bytes=1)
            assert (error, high) == (0, 3), f'offset {offset}: error {error}, high {high}'
            got = list(batches(data))
            assert got and got[0][0] == offset, f'offset {offset}: {got[:1]}'
            assert offset != 1 or len(got[0][3]) > size
            memory.append(s.rss_mib())
        assert max(memory) < limit, f'{max(memory):.0f} MiB with a limit of {limit}'
        assert memory[-1] < memory[3] + 16, f'memory grows with each fetch: {memory}'


@case(19, 'timestamps at the edges', peer=True)
def timestamps(s):
    now = int(time.time() * 1000)
    expect(s, 'times', [
        ('-1', batch(ts=-1), 0), ('0', batch(ts=0), 0),
        ('-2', batch(ts=-2), 0),
        ('now', batch(ts=now), 0),
        ('an hour and a minute ahead', batch(ts=now + 3660000), INVALID_TIMESTAMP),
        ('year 292e6', batch(ts=(1 << 63) - 1), INVALID_TIMESTAMP),
        ('max timestamp lies', batch(ts=now, max_ts=now + 10 ** 12), 0)])
    with s.conn() as c:
        topic = fresh(s, c, 'time-index')
        for ts in (-1, now, 5):
            assert c.produce(topic, batch(ts=ts))[0] == 0
        assert c.list_offset(topic, 6) == (0, now, 1)
        assert c.list_offset(topic, now + 1) == (0, -1, -1)


@case(19, 'a record timestamp that overflows')
def overflow(s):
    top = (1 << 63) - 1
    expect(s, 'overflow', [('base + delta', batch([record(ts=top)], ts=top),
                            (INVALID_RECORD, CORRUPT, INVALID_TIMESTAMP))])


@case(20, 'a control batch from a client', peer=True)
def control_batch(s):
    expect(s, 'control', [
        ('control', batch(attributes=0x20), INVALID_RECORD),
        ('control and transactional', batch(attributes=0x30, pid=5, pepoch=0, seq=0),
         (INVALID_RECORD, 48, 53)),
        ('producer id without sequence', batch(pid=5, pepoch=0, seq=-1), INVALID_RECORD),
        ('good', batch(), 0)])
    assert crc32c(b'123456789') == 0xe3069283
