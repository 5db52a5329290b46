"""Faults 1-10: bytes that are no frames, frames that lie, requests that ask for too much."""

import random
import struct
import time

from registry import case
from server import until
from wire import (API_VERSIONS, CREATE_TOPICS, FETCH, LIST_OFFSETS, METADATA, PRODUCE, Closed,
                  array, batch, blob, cstring, i8, i16, i32, i64, string, uvarint)

LIMIT = 104857600
TLS_HELLO = bytes.fromhex('16030100c8010000c40303') + bytes(range(189))


def refused(s, data, within=15.0):
    """Sends data on a connection of its own; the server closes it without a word."""
    with s.conn() as c:
        try:
            c.send(data)
        except Closed:
            return True
        return c.closes(within)


@case(1, 'foreign protocols', peer=True)
def foreign_protocols(s):
    for data in (b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', TLS_HELLO, b'SSH-2.0-OpenSSH_9.2p1\r\n',
                 b'\xff' * 64, b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', b'*1\r\n$4\r\nPING\r\n'):
        assert refused(s, data), f'{data[:8]!r} was not refused'


@case(1, 'random bytes')
def random_bytes(s):
    dice = random.Random(1)
    for _ in range(100):
        noise = dice.randbytes(dice.randrange(4, 200))
        n = dice.choice([-dice.randrange(1, 1 << 31), dice.randrange(LIMIT + 1, 1 << 31),
                         len(noise)])
        assert refused(s, i32(n) + noise), f'length {n}, then {noise[:16].hex()}'


@case(2, 'lying lengths', peer=True)
def lying_lengths(s):
    for n in (-1, -2147483648, 0, 2147483647, LIMIT + 1, 0x40000000):
        assert refused(s, i32(n)), f'frame length {n}'
    for n in (1, 2, 4, 7):
        assert refused(s, i32(n) + bytes(n)), f'frame of {n} bytes'


@case(2, 'the largest legal length costs nothing')
def largest_length(s):
    before, held = s.rss_mib(), []
    for _ in range(64):
        c = s.conn()
        c.send(i32(LIMIT) + i16(METADATA) + i16(1))
        held.append(c)
    alive(s)
    grown = s.rss_mib() - before
    for c in held:
        c.close()
    assert grown < 32, f'{grown:.0f} MiB for 64 connections that sent 8 bytes each'


def alive(s):
    with s.conn() as c:
        error, keys = c.api_versions()
        assert error == 0 and METADATA in keys


@case(3, 'a body that stops half-way', own=True)
def stopped_body(settings):
    with settings.server(sets=['connections.max.idle.ms=1500']) as s:
        before, held = s.rss_mib(), []
        for _ in range(50):
            c = s.conn()
            c.send(i32(50 << 20) + i16(PRODUCE) + i16(7) + i32(1) + string('half') + bytes(1000))
            held.append(c)
        alive(s)
        grown = s.rss_mib() - before
        assert grown < 24, f'{grown:.0f} MiB for 50 KiB received'
        for c in held:
            assert c.closes(20.0), 'an idle connection stays open'


@case(4, 'bodies shorter than their fields', peer=True)
def short_bodies(s):
    body = {METADATA: (1, array([string('topic-a'), string('topic-b')])),
            PRODUCE: (7, i16(-1) + i16(-1) + i32(1000) + array([string('t') + array(
                [i32(0) + blob(batch())])])),
            FETCH: (4, i32(-1) + i32(0) + i32(0) + i32(1 << 20) + i8(0) + array(
                [string('t') + array([i32(0) + i64(0) + i32(1 << 20)])])),
            LIST_OFFSETS: (1, i32(-1) + array([string('t') + array([i32(0) + i64(-1)])])),
            CREATE_TOPICS: (4, array([string('t') + i32(1) + i16(1) + array([]) + array([])]) +
                            i32(1000) + i8(1))}
    for api, (version, full) in body.items():
        with s.conn() as c:
            for n in sorted({0, 1, 2, 3, len(full) // 2, len(full) - 1}):
                assert refused(s, c.frame(api, version, full[:n])), \
                    f'api {api}: {n} of {len(full)} bytes'


@case(4, 'bytes after the body are ignored', peer=True)
def trailing_bytes(s):
    with s.conn() as c:
        assert c.request(API_VERSIONS, 0, b'trailing rubbish').i16() == 0
        r = c.request(METADATA, 1, array([]) + b'\xff' * 100)
        assert r.i32() >= 1
        assert c.api_versions()[0] == 0


@case(5, 'ApiVersions of a version to come', peer=True)
def newer_api_versions(s):
    with s.conn() as c:
        for version in (5, 6, 127, 32767, -1):
            r = c.request(API_VERSIONS, version, cstring('x') + cstring('1') + b'\0', flexible=True)
            assert r.i16() == 35, 'UNSUPPORTED_VERSION'
            keys = [(r.i16(), r.i16(), r.i16()) for _ in range(r.i32())]
            r.end()
            assert API_VERSIONS in [k[0] for k in keys], keys
        assert c.api_versions()[0] == 0, 'usable afterwards'


@case(5, 'ApiVersions of every version, and a bad client name', peer=True)
def api_versions_all(s):
    with s.conn() as c:
        for version in range(0, 5):
            body = cstring('hostile-1.0') + cstring('1.0') + b'\0' if version >= 3 else b''
            assert c.request(API_VERSIONS, version, body).i16() == 0, version
        for name in ('', 'a_b', '-x', 'x y'):
            r = c.request(API_VERSIONS, 3, cstring(name) + cstring('1') + b'\0')
            assert r.i16() == 42, f'{name!r}: INVALID_REQUEST'
        assert c.api_versions()[0] == 0


@case(5, 'unknown keys and versions close', peer=True)
def unknown_apis(s):
    with s.conn() as c:
        asked = [(9999, 0), (-1, 0), (32767, 3), (METADATA, 99), (METADATA, -1), (FETCH, 99),
                 (PRODUCE, 0), (PRODUCE, 2), (PRODUCE, 99), (FETCH, 3), (LIST_OFFSETS, 99)]
        for api, version in asked:
            assert refused(s, c.frame(api, version, bytes(40))), f'api {api} v{version}'


@case(6, 'array counts of 2^31-1 and 2^28', peer=True)
def lying_counts(s):
    for count in (2147483647, 1 << 28, 1 << 20):
        n, u = i32(count), uvarint(count + 1)
        frames = [(METADATA, 1, n + string('a')), (METADATA, 9, u + cstring('a')),
                  (PRODUCE, 7, i16(-1) + i16(1) + i32(0) + n),
                  (PRODUCE, 7, i16(-1) + i16(1) + i32(0) + i32(1) + string('t') + n),
                  (PRODUCE, 9, b'\0' + i16(1) + i32(0) + u),
                  (FETCH, 4, i32(-1) + i32(0) + i32(0) + i32(1) + i8(0) + n),
                  (FETCH, 12, i32(-1) + i32(0) + i32(0) + i8(0) + i32(0) + i32(-1) + u),
                  (LIST_OFFSETS, 1, i32(-1) + n), (CREATE_TOPICS, 4, n)]
        with s.conn() as c:
            for api, version, body in frames:
                assert refused(s, c.frame(api, version, body)), \
                    f'api {api} v{version} count {count}'


@case(7, 'twenty million tagged fields')
def many_tags(s):
    count = 20_000_000
    with s.conn(timeout=60) as c:
        payload = c.header(API_VERSIONS, 3, flexible=False) + uvarint(count) + b'\x05\x00' * count
        try:
            c.send(i32(len(payload)) + payload)
            c.closes(20.0)               # skipped or refused, both are right; memory is checked
        except Closed:
            pass


@case(7, 'a tag section that says more than there is', peer=True)
def lying_tags(s):
    with s.conn() as c:
        for tags in (uvarint(1 << 30), uvarint(1) + b'\0' + uvarint(1 << 30), b'\xff' * 6):
            payload = c.header(METADATA, 9, flexible=False) + tags
            assert refused(s, i32(len(payload)) + payload), tags.hex()


@case(8, 'lying strings and varints', peer=True)
def lying_strings(s):
    bodies = [(METADATA, 1, i32(1) + i16(32767) + b'abc'), (METADATA, 1, i32(1) + i16(-2) + b'abc'),
              (METADATA, 1, i32(1) + i16(-1)),
              (METADATA, 9, uvarint(2) + uvarint(1 << 30) + b'abc'),
              (METADATA, 9, b'\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01'),
              (METADATA, 9, uvarint(2) + b'\0' + b'\0\0\0\0\0'),
              (PRODUCE, 7, i16(-1) + i16(1) + i32(0) + i32(1) + string('t') + i32(1) + i32(0) +
               i32(1 << 30) + b'abc')]
    with s.conn() as c:
        for api, version, body in bodies:
            assert refused(s, c.frame(api, version, body)), f'api {api} v{version} {body.hex()}'
        header = i16(METADATA) + i16(1) + i32(1)
        for client in (i16(32767) + b'x', i16(-2)):
            assert refused(s, i32(len(header + client)) + header + client), client.hex()


@case(9, 'one partition twice in one Produce')
def duplicate_partition(s):
    with s.conn() as c:
        c.create_topic('dup', 2)
        c.send(c.produce_frame('dup', [(0, batch()), (1, batch()), (0, batch())]))
        answers = c.produce_reply(c.reply())
        assert answers[1][0][0] == 0, answers
        high = c.fetch('dup', 0)[1]
        assert high <= 1, f'{high} records appended for one partition named twice: {answers}'
        accepted = [a for a in answers[0] if a[0] == 0]
        assert len(accepted) == high, f'answers {answers[0]}, records {high}'


@case(9, 'many topics and partitions in one request')
def many_names(s):
    with s.conn(timeout=60) as c:
        try:
            found = c.metadata([f'no-such-{i}' for i in range(50000)], create=False)
            assert len(found) == 50000 and {e for e, _ in found.values()} == {3}
        except Closed:
            pass                          # a cap per request is right too
    with s.conn(timeout=60) as c:
        try:
            c.send(c.produce_frame('nowhere', [(i, b'') for i in range(100000)]))
            assert all(a[0][0] == 3 for a in c.produce_reply(c.reply()).values())
        except Closed:
            pass


def served_meanwhile(s, c, limit=2.0):
    """Others are answered while c's request is worked on; its answer (or its end) is awaited."""
    worst = 0.0
    with s.conn() as other:
        c.sock.setblocking(False)
        got = bytearray()
        end = False

        def finished():
            nonlocal worst, end
            t = time.monotonic()
            other.api_versions()
            worst = max(worst, time.monotonic() - t)
            try:
                while True:
                    part = c.sock.recv(1 << 20)
                    if not part:
                        end = True
                        return True
                    got.extend(part)
            except BlockingIOError:
                pass
            except ConnectionError:
                end = True
            return end or (len(got) >= 4 and len(got) >= 4 + struct.unpack_from('>i', got)[0])
        assert until(finished, 90), f'no end of it: {len(got)} bytes of reply'
    assert worst < limit, f'another connection waited {worst:.1f} s'
    return bytes(got), end


@case(10, 'a million partitions in Fetch and ListOffsets')
def million_partitions(s):
    with s.conn() as c:
        c.create_topic('million', 1)
    count = 1_000_000
    entry = b''.join(struct.pack('>iqi', i, 0, 1024) for i in range(count))
    with s.conn(timeout=60) as c:
        c.send(c.frame(FETCH, 4, i32(-1) + i32(100) + i32(1) + i32(1 << 20) + i8(0) + i32(1) +
                       string('million') + i32(count) + entry))
        served_meanwhile(s, c)
    entry = b''.join(struct.pack('>iq', i % 1000, -1) for i in range(count))
    with s.conn(timeout=60) as c:
        c.send(c.frame(LIST_OFFSETS, 1, i32(-1) + i32(1) + string('million') + i32(count) + entry))
        served_meanwhile(s, c)
