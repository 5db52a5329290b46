"""Kafka frames by hand: what a hostile (or honest) client writes, byte by byte.  Standard library
only, so that nothing here shares code with the server."""

import socket
import struct

FLEXIBLE = {0: 9, 1: 12, 2: 6, 3: 9, 18: 3, 19: 5, 20: 4, 23: 4, 32: 4, 37: 2, 60: 0, 75: 0}
PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS = \
    0, 1, 2, 3, 18, 19, 20


class Closed(Exception):
    """The peer closed or reset the connection."""


# --- primitives ---

def i8(v): return struct.pack('>b', v)
def i16(v): return struct.pack('>h', v)
def i32(v): return struct.pack('>i', v)
def i64(v): return struct.pack('>q', v)


def uvarint(v):
    out = bytearray()
    while v >= 0x80:
        out.append(v & 0x7f | 0x80)
        v >>= 7
    out.append(v)
    return bytes(out)


def varint(v):
    return uvarint((v << 1) ^ (v >> 63))


def string(s):
    b = s if isinstance(s, bytes) else s.encode()
    return i16(len(b)) + b


def cstring(s):
    b = s if isinstance(s, bytes) else s.encode()
    return uvarint(len(b) + 1) + b


def array(items): return i32(len(items)) + b''.join(items)
def carray(items): return uvarint(len(items) + 1) + b''.join(items)
def blob(b): return i32(-1) if b is None else i32(len(b)) + b
def cblob(b): return b'\0' if b is None else uvarint(len(b) + 1) + b


class Reader:
    """Reads a reply; running past its end is an error of the server."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, n):
        if n < 0 or self.at + n > len(self.data):
            raise ValueError(f'reply ends early: {n} bytes wanted at {self.at} of {len(self.data)}')
        self.at += n
        return self.data[self.at - n:self.at]

    def num(self, code): return struct.unpack('>' + code, self.take(struct.calcsize(code)))[0]
    def i8(self): return self.num('b')
    def i16(self): return self.num('h')
    def i32(self): return self.num('i')
    def i64(self): return self.num('q')

    def uvarint(self):
        v = shift = 0
        while True:
            b = self.take(1)[0]
            v |= (b & 0x7f) << shift
            shift += 7
            if b < 0x80:
                return v

    def string(self):
        n = self.i16()
        return None if n < 0 else self.take(n)

    def cstring(self):
        n = self.uvarint()
        return None if n == 0 else self.take(n - 1)

    def blob(self):
        n = self.i32()
        return None if n < 0 else self.take(n)

    def tags(self):
        for _ in range(self.uvarint()):
            self.uvarint()
            self.take(self.uvarint())

    def end(self):
        if self.at != len(self.data):
            raise ValueError(f'{len(self.data) - self.at} bytes after the reply')


# --- CRC-32C ---

def _table():
    out = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        out.append(n)
    return out


_TABLE = _table()


def _raw(crc, data):
    t = _TABLE
    for b in data:
        crc = t[(crc ^ b) & 0xff] ^ crc >> 8
    return crc


def _times(matrix, v):
    r = 0
    for row in matrix:
        if v & 1:
            r ^= row
        v >>= 1
    return r


def _zeros_after(n):
    """The linear map that n zero bytes apply to a CRC register."""
    power = [_raw(1 << k, b'\0') for k in range(32)]
    result = [1 << k for k in range(32)]
    while n:
        if n & 1:
            result = [_times(power, row) for row in result]
        power = [_times(power, row) for row in power]
        n >>= 1
    return result


def crc32c(data):
    """Byte by byte; long runs of zeros (the filling of big test records) cost next to nothing."""
    crc, at, data = 0xffffffff, 0, bytes(data)
    while at < len(data):
        run = data.find(b'\0' * 4096, at)
        if run < 0:
            return _raw(crc, data[at:]) ^ 0xffffffff
        crc = _raw(crc, data[at:run])
        end = run + 4096
        step = 1 << 24
        while step >= 4096:
            while data[end:end + step] == b'\0' * step:
                end += step
            step //= 16
        crc, at = _times(_zeros_after(end - run), crc), end
    return crc ^ 0xffffffff


# --- records and batches ---

def record(value=b'v', key=None, offset=0, ts=0, headers=(), attributes=0):
    body = i8(attributes) + varint(ts) + varint(offset)
    body += varint(-1) if key is None else varint(len(key)) + key
    body += varint(-1) if value is None else varint(len(value)) + value
    body += varint(len(headers))
    for k, v in headers:
        body += varint(len(k)) + k + (varint(-1) if v is None else varint(len(v)) + v)
    return varint(len(body)) + body


def batch(records=None, **k):
    """A record batch v2.  Every field can be made to lie: count=, last_delta=, length=, crc=,
    magic=, attributes=, base_offset=, epoch=, ts=, max_ts=, pid=, pepoch=, seq=; payload= replaces
    the records (compressed bytes)."""
    if records is None:
        records = [record()]
    payload = k.get('payload', b''.join(records))
    count = k.get('count', len(records))
    ts = k.get('ts', 0)
    tail = i16(k.get('attributes', 0)) + i32(k.get('last_delta', count - 1)) + i64(ts) + \
        i64(k.get('max_ts', ts)) + i64(k.get('pid', -1)) + i16(k.get('pepoch', -1)) + \
        i32(k.get('seq', -1)) + i32(count) + payload
    crc = k.get('crc')
    if crc is None:
        crc = crc32c(tail)
    return i64(k.get('base_offset', 0)) + i32(k.get('length', len(tail) + 9)) + \
        i32(k.get('epoch', -1)) + i8(k.get('magic', 2)) + struct.pack('>I', crc) + tail


# --- compressed streams by hand ---

def zstd_rle(total, byte=b'\0', window_log=17):
    """A zstd frame that says `total` times the same byte in run-length blocks."""
    out = bytearray(b'\x28\xb5\x2f\xfd\x00' + bytes([window_log - 10 << 3]))
    while total > 0:
        n = min(total, 128 << 10)
        total -= n
        out += struct.pack('<I', n << 3 | 1 << 1 | (total == 0))[:3] + byte
    return bytes(out)


def snappy_repeat(total, byte=b'\0'):
    """One raw snappy block: a literal byte, then copies of 64 bytes from offset 1."""
    out = bytearray(uvarint(total) + b'\0' + byte)
    copies, rest = divmod(total - 1, 64)
    out += b'\xfe\x01\x00' * copies
    if rest:
        out += bytes([(rest - 1) << 2 | 2]) + b'\x01\x00'
    return bytes(out)


def lz4_repeat(total, byte=b'\0'):
    """An lz4 frame, blocks of 4 MiB, each one literal and one match of offset 1.  The header's
    checksum is known, because the header never changes."""
    out = bytearray(b'\x04\x22\x4d\x18\x60\x70\x73')
    while total > 0:
        n = min(total, 4 << 20)
        total -= n
        match = n - 1 - 5 - 4             # the last five bytes are literals
        block = bytearray(b'\x1f' + byte + b'\x01\x00')
        match -= 15
        block += b'\xff' * (match // 255) + bytes([match % 255]) + b'\x50' + byte * 5
        out += struct.pack('<I', len(block)) + block
    return bytes(out + b'\0\0\0\0')


# --- connections ---

class Conn:
    def __init__(self, address, timeout=20.0, client_id='hostile'):
        self.sock = socket.create_connection(address, timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client_id, self.correlation = client_id, 0

    def __enter__(self): return self
    def __exit__(self, *a): self.close()
    def close(self): self.sock.close()

    def reset(self):
        """Gone without a farewell: the peer gets a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        self.sock.close()

    def send(self, data):
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as e:
            raise Closed(str(e)) from e

    def header(self, api, version, flexible=None):
        self.correlation += 1
        if flexible is None:
            flexible = version >= FLEXIBLE.get(api, 1 << 15)
        return i16(api) + i16(version) + i32(self.correlation) + string(self.client_id) + \
            (b'\0' if flexible else b'')

    def frame(self, api, version, body, flexible=None):
        payload = self.header(api, version, flexible) + body
        return i32(len(payload)) + payload

    def read(self, n):
        chunks, left = [], n
        while left:
            try:
                got = self.sock.recv(min(left, 1 << 20))
            except ConnectionResetError as e:
                raise Closed('reset') from e
            if not got:
                raise Closed('end of stream')
            chunks.append(got)
            left -= len(got)
        return b''.join(chunks)

    def reply(self):
        n = struct.unpack('>i', self.read(4))[0]
        if n < 4:
            raise ValueError(f'reply of {n} bytes')
        r = Reader(self.read(n))
        r.correlation = r.i32()
        return r

    def request(self, api, version, body=b'', flexible=None):
        self.send(self.frame(api, version, body, flexible))
        r = self.reply()
        if r.correlation != self.correlation:
            raise ValueError(f'correlation {r.correlation}, expected {self.correlation}')
        if version >= FLEXIBLE.get(api, 1 << 15) and api != API_VERSIONS:
            r.tags()
        return r

    def closes(self, within=15.0):
        """True: the server closes without sending anything.  False: it answers, or stays silent."""
        self.sock.settimeout(within)
        try:
            return self.sock.recv(1) == b''
        except ConnectionError:
            return True
        except socket.timeout:
            return False

    # --- honest requests ---

    def api_versions(self):
        r = self.request(API_VERSIONS, 0)
        error = r.i16()
        keys = {r.i16(): (r.i16(), r.i16()) for _ in range(r.i32())}
        r.end()
        return error, keys

    def metadata(self, topics, version=4, create=True):
        body = array([string(t) for t in topics])
        if version >= 4:
            body += i8(create)
        r = self.request(METADATA, version, body)
        if version >= 3:
            r.i32()
        for _ in range(r.i32()):
            r.i32(), r.string(), r.i32(), r.string()
        if version >= 2:
            r.string()
        r.i32()
        found = {}
        for _ in range(r.i32()):
            error, name, _internal = r.i16(), r.string(), r.i8()
            parts = []
            for _ in range(r.i32()):
                parts.append((r.i16(), r.i32(), r.i32()))
                for _ in range(2):
                    for _ in range(r.i32()):
                        r.i32()
            found[name] = (error, parts)
        return found

    def create_topic(self, name, partitions=1, configs=()):
        # records carry timestamps of 1970: without this, retention takes them
        configs = array([string(k) + string(v) for k, v in [*configs, ('retention.ms', '-1')]])
        topic = string(name) + i32(partitions) + i16(1) + array([]) + configs
        r = self.request(CREATE_TOPICS, 4, array([topic]) + i32(15000) + i8(0))
        r.i32()
        assert r.i32() == 1, 'one result per topic'
        r.string()
        return r.i16()

    def produce_frame(self, topic, parts, acks=-1, version=7):
        """parts: [(partition, records)]"""
        flexible = version >= 9
        if flexible:
            body = cblob(None) + i16(acks) + i32(10000) + carray([cstring(topic) + carray(
                [i32(p) + cblob(b) + b'\0' for p, b in parts]) + b'\0']) + b'\0'
        else:
            body = (string_null() if version >= 3 else b'') + i16(acks) + i32(10000) + array(
                [string(topic) + array([i32(p) + blob(b) for p, b in parts])])
        return self.frame(PRODUCE, version, body)

    def produce_reply(self, r, version=7):
        """{partition: [(error, base offset, log start), …]}"""
        found = {}
        if version >= 9:
            r.tags()
            for _ in range(r.uvarint() - 1):
                r.cstring()
                for _ in range(r.uvarint() - 1):
                    p, error, base, _time, start = r.i32(), r.i16(), r.i64(), r.i64(), r.i64()
                    for _ in range(r.uvarint() - 1):
                        r.i32(), r.cstring(), r.tags()
                    r.cstring(), r.tags()
                    found.setdefault(p, []).append((error, base, start))
                r.tags()
            return found
        for _ in range(r.i32()):
            r.string()
            for _ in range(r.i32()):
                p, error, base = r.i32(), r.i16(), r.i64()
                if version >= 2:
                    r.i64()
                found.setdefault(p, []).append((error, base, r.i64() if version >= 5 else -1))
        return found

    def produce(self, topic, data, partition=0, version=7):
        """(error, base offset, log start) of one batch."""
        self.send(self.produce_frame(topic, [(partition, data)], version=version))
        return self.produce_reply(self.reply(), version)[partition][0]

    def fetch_body(self, topic, offsets, max_bytes=1 << 20, part_bytes=1 << 20, wait=0, least=0):
        parts = array([i32(p) + i64(o) + i32(part_bytes) for p, o in offsets])
        return i32(-1) + i32(wait) + i32(least) + i32(max_bytes) + i8(0) + \
            array([string(topic) + parts])

    def fetch(self, topic, offset, partition=0, **k):
        """(error, high watermark, records)"""
        r = self.request(FETCH, 4, self.fetch_body(topic, [(partition, offset)], **k))
        r.i32()
        assert r.i32() == 1, 'one topic'
        r.string()
        assert r.i32() == 1, 'one partition'
        r.i32()
        error, high = r.i16(), r.i64()
        r.i64()
        for _ in range(max(0, r.i32())):
            r.i64(), r.i64()
        return error, high, r.blob()

    def list_offset(self, topic, timestamp, partition=0):
        """(error, timestamp, offset)"""
        body = i32(-1) + array([string(topic) + array([i32(partition) + i64(timestamp)])])
        r = self.request(LIST_OFFSETS, 1, body)
        assert r.i32() == 1
        r.string()
        assert r.i32() == 1
        r.i32()
        return r.i16(), r.i64(), r.i64()


def string_null():
    return i16(-1)


def batches(data):
    """(base offset, count, attributes, payload) of each whole batch."""
    at = 0
    while at + 61 <= len(data):
        base, length = struct.unpack_from('>qi', data, at)
        if at + 12 + length > len(data):
            return
        attributes, = struct.unpack_from('>h', data, at + 21)
        count, = struct.unpack_from('>i', data, at + 57)
        yield base, count, attributes, data[at + 61:at + 12 + length]
        at += 12 + length
