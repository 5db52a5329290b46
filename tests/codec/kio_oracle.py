"""kio (PyPI): typed messages for every API and version of Kafka 4, decoded and encoded by it."""

import dataclasses
import datetime
import io
import typing
import uuid
from pkgutil import resolve_name

from kio.schema.errors import ErrorCode
from kio.schema.index import schema_name_map
from kio.serial import entity_reader, entity_writer
from kio.static.constants import EntityType

from model_codec import default_of

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MS = datetime.timedelta(milliseconds=1)
TYPES = {"req": EntityType.request, "res": EntityType.response}
# Ours -> theirs, where it is more than a unit that became part of the type.
DATA = {
    "consumer_subscription": "consumer_protocol_subscription",
    "consumer_assignment": "consumer_protocol_assignment",
}
HEADERS = ("request_header", "response_header")
RANGES = {
    "error_code": lambda rnd: int(rnd.choice(list(ErrorCode))),
    "timedelta_i32": lambda rnd: rnd.choice(
        (0, -1, 1, -(2**31), 2**31 - 1, rnd.randint(-(10**6), 10**6))
    ),
    "timedelta_i64": lambda rnd: rnd.choice((0, -1, 1, rnd.randint(-(2**40), 2**40))),
    "datetime_i64": lambda rnd: rnd.choice((0, 1, rnd.randint(0, 4 * 10**12))),
}


def inner_class(annotation):
    """The dataclass inside of tuple[X, ...], X | None and their like; None: a primitive."""
    if dataclasses.is_dataclass(annotation):
        return annotation
    for a in typing.get_args(annotation):
        found = inner_class(a) if a not in (type(None), Ellipsis) else None
        if found:
            return found
    return None


def plain_name(name, unit=""):
    """Without the underscores that are set differently, and without a unit."""
    return name.removesuffix(unit).replace("_", "")


class Kio:
    """One (message, version) of kio; LookupError when it has none."""

    name = "kio"

    def __init__(self, message, key, version):
        self.cls = self.find(message, key, version)
        self.write, self.read = entity_writer(self.cls), entity_reader(self.cls)
        self.by_field = {}
        self.match(message.body, self.cls, version)

    @staticmethod
    def find(message, key, version):
        if key >= 0:
            name, kind = message.name[:-4], TYPES[message.name[-3:]]
            if name == "list_config_resources" and name not in schema_name_map:
                name = "list_client_metrics_resources"
        elif message.name in HEADERS:
            name, kind = message.name, EntityType.header
        else:
            name, kind = DATA.get(message.name, message.name), EntityType.data
        try:
            return resolve_name(schema_name_map[name][version][kind])
        except KeyError:
            raise LookupError(f"{message.name} v{version}") from None

    def match(self, s, cls, version):
        """Pairs our fields with theirs by name, and demands that none is left over."""
        theirs = {f.name: f for f in dataclasses.fields(cls)}
        for f in s.fields:
            if version not in f.versions:
                continue
            names = (
                plain_name(f.name),
                plain_name(f.name, "_ms"),
                plain_name("request_" + f.name),
            )
            found = next((n for n in theirs if plain_name(n) in names), None)
            if not found:
                raise AssertionError(
                    f"kio's {cls.__module__}.{cls.__name__} has no {f.name}: {list(theirs)}"
                )
            other = theirs.pop(found)
            self.by_field[id(f)] = other
            tag = other.metadata.get("tag", -1)
            if (tag if tag is not None else -1) != (f.tag if version in f.tag_versions else -1):
                raise AssertionError(f"{cls.__name__}.{f.name}: kio says tag {tag}")
            if not f.struct and other.default is not dataclasses.MISSING:
                ours = self.convert(f, default_of(f), version)
                if ours != other.default:
                    raise AssertionError(
                        f"{cls.__name__}.{f.name}: kio's default is {other.default}, ours {ours}"
                    )
            if f.struct:
                self.match(f.struct, inner_class(other.type), version)
        if theirs:
            raise AssertionError(f"the schema of {s.name} v{version} lacks {list(theirs)}")

    def special(self, f, version):
        return RANGES.get(self.by_field[id(f)].metadata.get("kafka_type"))

    def convert(self, f, value, version):
        kind = self.by_field[id(f)].metadata.get("kafka_type")
        if value is None:
            return None
        if f.is_array:
            return tuple(self.element(f, kind, v, version) for v in value)
        return self.element(f, kind, value, version)

    def element(self, f, kind, value, version):
        if f.struct:
            return self.build(f.struct, inner_class(self.by_field[id(f)].type), value, version)
        if kind == "error_code":
            return ErrorCode(value)
        if kind in ("timedelta_i32", "timedelta_i64"):
            return value * MS
        if kind == "datetime_i64":
            if value == -1:
                return None
            return EPOCH + value * MS
        if f.type == "uuid":
            return uuid.UUID(bytes=value) if any(value) else None
        return value

    def build(self, s, cls, value, version):
        """Fields that the value lacks keep kio's default."""
        given = {
            self.by_field[id(f)].name: self.convert(f, value[f.name], version)
            for f in s.fields
            if f.name in value
        }
        return cls(**given)

    def encode(self, message, value, version):
        buffer = io.BytesIO()
        self.write(buffer, self.build(message.body, self.cls, value, version))
        return buffer.getvalue()

    def reencode(self, data):
        """Their bytes of what they read out of ours; all of it must have been read."""
        entity, read = self.read(data, 0)
        if read != len(data):
            raise AssertionError(f"kio read {read} of {len(data)} bytes")
        buffer = io.BytesIO()
        self.write(buffer, entity)
        return buffer.getvalue()
