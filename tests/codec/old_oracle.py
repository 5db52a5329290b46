"""kafka-python's hand-written structs (PyPI): the versions that Kafka 4 dropped and kio has not.
Their fields are positional here, since their names are older than ours."""

import importlib
import io
import pkgutil

import kafka.protocol.old as old

CLASSES = {
    name: cls
    for info in pkgutil.iter_modules(old.__path__)
    for name, cls in vars(importlib.import_module(f"{old.__name__}.{info.name}")).items()
    if isinstance(cls, type)
}

# Theirs is wrong: one partition instead of an array of them, unlike v1 (same layout) in kio.
KNOWN_WRONG = {"DescribeLogDirsRequest_v0"}


def positional(s, value, version):
    """The values in wire order, as nested tuples."""
    out = []
    for f in s.fields:
        if version not in f.versions:
            continue
        v = value[f.name]
        if f.struct and v is not None:
            v = (
                [positional(f.struct, e, version) for e in v]
                if f.is_array
                else positional(f.struct, v, version)
            )
        out.append(v)
    return tuple(out)


class Old:
    """One (message, version); LookupError when there is none, or it is flexible."""

    name = "kafka-python"

    def __init__(self, message, title, version):
        kind = {"req": "Request", "res": "Response"}.get(message.name[-3:])
        self.cls = CLASSES.get(f"{title}{kind}_v{version}")
        if not self.cls or version >= message.flexible or self.cls.__name__ in KNOWN_WRONG:
            raise LookupError(f"{message.name} v{version}")

    def special(self, f, version):
        return None

    def encode(self, message, value, version):
        return self.cls.SCHEMA.encode(positional(message.body, value, version))

    def reencode(self, data):
        source = io.BytesIO(data)
        values = self.cls.SCHEMA.decode(source)
        if source.tell() != len(data):
            raise AssertionError(f"kafka-python read {source.tell()} of {len(data)} bytes")
        return self.cls.SCHEMA.encode(values)
