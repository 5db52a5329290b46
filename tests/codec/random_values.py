"""Random messages by name, with a liking for edges."""

import struct

EDGES = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}
LENGTHS = (0, 0, 1, 1, 2, 5, 5, 12, 12, 62, 63, 126, 127, 128, 300)
TEXT = "abcdefghijklmnopqrstuvwxyz-._0123456789\u00e9\u4e2d\U0001f40a\x00"


def random_int(rnd, lo, hi):
    kind = rnd.random()
    if kind < 0.3:
        return rnd.choice((lo, hi, max(lo, -1), 0, 1))
    if kind < 0.6:
        return rnd.randint(max(lo, -10), min(hi, 1000))
    return rnd.randint(lo, hi)


def random_text(rnd):
    n = rnd.choice(LENGTHS)
    if rnd.random() < 0.004:
        n = rnd.choice((16382, 16383, 32767))
    if n > 40 or rnd.random() < 0.5:
        return rnd.choice("abcxyz") * n
    text = "".join(rnd.choice(TEXT) for _ in range(n))
    return text


def random_primitive(rnd, kind):
    if kind in EDGES:
        return random_int(rnd, *EDGES[kind])
    if kind == "bool":
        return rnd.random() < 0.5
    if kind == "float64":
        return rnd.choice(
            (0.0, -1.5, 1e308, 5e-324, struct.unpack(">d", rnd.randbytes(7) + b"\0")[0] % 1e9)
        )
    if kind == "uuid":
        return bytes(16) if rnd.random() < 0.2 else rnd.randbytes(16)
    if kind == "string":
        return random_text(rnd)
    return rnd.randbytes(rnd.choice(LENGTHS) if rnd.random() < 0.99 else 20000)


def random_count(rnd, f, depth):
    if not f.struct and rnd.random() < 0.02:
        return rnd.choice((126, 127, 128, 1000))
    return rnd.choice((0, 1, 1, 2, 3) if depth < 3 else (0, 1, 2))


def random_field(rnd, f, version, special, depth):
    """special(f, version): what the other codec can hold, as a function of rnd; None: anything."""
    if version in f.nullable and rnd.random() < 0.25:
        return None
    one = special(f, version) if special else None

    def element():
        if f.struct:
            return random_struct(rnd, f.struct, version, special, depth + 1)
        return one(rnd) if one else random_primitive(rnd, f.type)

    if f.is_array:
        return [element() for _ in range(random_count(rnd, f, depth))]
    return element()


def random_struct(rnd, s, version, special=None, depth=0):
    value = {}
    for f in s.fields:
        if version in f.versions and not (version in f.tag_versions and rnd.random() < 0.4):
            value[f.name] = random_field(rnd, f, version, special, depth)
    return value
