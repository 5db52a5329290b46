"""The records that the interop programs exchange, and the file format in which they do.

One record a line, fields parted by tabs:   partition  offset  timestamp(ms)  key  value  headers
Bytes are hexadecimal and null is `-`; headers are `name:value`, names in hexadecimal too, joined by
commas.
A record that is still to be produced has `-` for its offset.
"""

import random
from typing import NamedTuple

PARTITIONS = 3
BIG = 900_000  # just below the limit of about 1 MB that every client has by default


class Record(NamedTuple):
    partition: int
    offset: int | None
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple  # of (str, bytes | None); kcat prints them joined, so its reader gives one str


def to_hex(data):
    return "-" if data is None else data.hex()


def from_hex(text):
    return None if text == "-" else bytes.fromhex(text)


def headers_to_text(headers):
    return ",".join(f"{name.encode().hex()}:{to_hex(value)}" for name, value in headers)


def headers_from_text(text):
    pairs = (item.split(":") for item in text.split(",") if item)
    return tuple((bytes.fromhex(name).decode(), from_hex(value)) for name, value in pairs)


def write(path, records):
    with open(path, "w") as out:
        for r in records:
            offset = "-" if r.offset is None else r.offset
            out.write(
                f"{r.partition}\t{offset}\t{r.timestamp}\t{to_hex(r.key)}\t{to_hex(r.value)}\t"
                f"{headers_to_text(r.headers)}\n"
            )


def read(path):
    with open(path) as lines:
        for line in lines:
            partition, offset, timestamp, key, value, headers = line.rstrip("\n").split("\t")
            yield Record(
                int(partition),
                None if offset == "-" else int(offset),
                int(timestamp),
                from_hex(key),
                from_hex(value),
                headers_from_text(headers),
            )


def split(records, partitions):
    """The records of each partition, in order."""
    parts = [[] for _ in range(partitions)]
    for r in records:
        parts[r.partition].append(r)
    return parts


def generate(seed, start_ms, count=240, nulls_everywhere=True):
    """Records with everything a batch can hold. Timestamps run forward with steps back, as real
    sources have them."""
    rng = random.Random(seed)
    keys = [None, b"", b"k", "clé-ключ-鍵".encode(), bytes(range(256))] + [
        b"key-%d" % i for i in range(20)
    ]
    values = [None, b"", b"v", b"\0", b"\r\n\t", "värve".encode()]
    header_sets = [
        (),
        (),
        (("trace", b"abc"),),
        (("empty", b""), ("null", None)),
        (("twice", b"1"), ("twice", b"2"), ("bytes", bytes(range(256))), ("naïve", b"x")),
    ]
    out = []
    if not nulls_everywhere:  # for clients that refuse a null in a header, or both in key and value
        header_sets[3] = (("empty", b""),)
    for i in range(count):
        if i in (count // 3, 2 * count // 3):  # one of them compresses, one does not
            value = b"varve " * (BIG // 6) if i == count // 3 else rng.randbytes(BIG)
        elif rng.random() < 0.3:
            value = rng.choice(values)
        elif rng.random() < 0.5:
            value = rng.randbytes(rng.randrange(1, 400))
        else:
            value = (b"%d bottles of beer; " % i) * rng.randrange(1, 60)
        key = rng.choice(keys)
        if key is None and value is None and not nulls_everywhere:
            key = b"tombstone"
        out.append(
            Record(
                rng.randrange(PARTITIONS),
                None,
                start_ms + i * 1000 - rng.choice([0, 0, 0, 5500]),
                key,
                value,
                rng.choice(header_sets),
            )
        )
    return out


def generate_for_kcat(seed, start_ms, count=120):
    """What kcat can be told to produce: an empty key or value is a null, header bytes are text, and
    records that share partition and headers lie together because each such run is one kcat."""
    out = []
    for r in generate(seed, start_ms, count):
        if any(value is None or b"\0" in value for _, value in r.headers):
            r = r._replace(
                headers=(("trace", b"abc"), ("null", None), ("twice", b"1"), ("twice", b"2"))
            )
        out.append(r._replace(key=r.key or None, value=r.value or None))
    return sorted(out, key=lambda r: (r.partition, headers_to_text(r.headers)))
