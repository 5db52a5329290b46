"""A plain encoder of named values, straight from the schema model: what C must write.

A value is a dict by field name; arrays are lists, structs dicts, null is None.  Absent: default."""

import struct

PACK = {
    "bool": ">?",
    "int8": ">b",
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "float64": ">d",
}


def uvarint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def length(n, compact, wide):
    if compact:
        return uvarint(n + 1)
    return struct.pack(">i" if wide else ">h", n)


def default_of(f):
    """The value of a field that is not there."""
    if f.default is None:
        return None
    if f.is_array:
        return []
    if f.struct:
        return {g.name: default_of(g) for g in f.struct.fields}
    if f.type == "uuid":
        return bytes(16)
    return f.default.encode() if f.type in ("bytes", "records") else f.default


def empty_of(f):
    return [] if f.is_array else "" if f.type == "string" else b""


def encode_element(f, compact, value, version, junk):
    if f.struct:
        return encode_struct(f.struct, value, version, junk)
    if f.type == "uuid":
        return value
    if f.type in PACK:
        return struct.pack(PACK[f.type], value)
    data = value.encode() if f.type == "string" else value
    return length(len(data), compact, f.type != "string") + data


def encode_field(f, s, value, version, junk):
    compact = version >= s.flexible and not f.classic
    if f.struct and not f.is_array and f.nullable:
        return (
            b"\xff" if value is None else b"\x01" + encode_struct(f.struct, value, version, junk)
        )
    if value is None and version not in f.nullable:
        value = empty_of(f)
    if value is None:
        return length(-1, compact, f.is_array or f.type != "string")
    if not f.is_array:
        return encode_element(f, compact, value, version, junk)
    parts = [length(len(value), compact, True)]
    parts += [encode_element(f, compact, v, version, junk) for v in value]
    return b"".join(parts)


def is_default(f, value):
    """Equal to the default, where absent parts of a struct count as theirs."""
    default = default_of(f)
    if isinstance(value, dict):
        return all(is_default(g, value.get(g.name, default_of(g))) for g in f.struct.fields)
    return value == default


def encode_struct(s, value, version, junk=None):
    """junk: a random source that adds unknown tagged fields."""
    out, tags = [], []
    for f in s.fields:
        if version not in f.versions:
            continue
        v = value[f.name] if f.name in value else default_of(f)
        if version not in f.tag_versions:
            out.append(encode_field(f, s, v, version, junk))
        elif not is_default(f, v):
            tags.append((f.tag, encode_field(f, s, v, version, junk)))
    if version >= s.flexible:
        if junk:
            for _ in range(junk.choice((0, 0, 1, 3))):
                tags.append(
                    (
                        junk.choice((33, 127, 128, 70000, 2**31)),
                        junk.randbytes(junk.choice((0, 1, 130))),
                    )
                )
            junk.shuffle(tags)
        out.append(uvarint(len(tags)))
        for tag, payload in sorted(tags) if not junk else tags:
            out.append(uvarint(tag) + uvarint(len(payload)) + payload)
    return b"".join(out)
