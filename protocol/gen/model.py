"""What a schema file says, as Python objects."""

from dataclasses import dataclass, field

NEVER = 0x7FFF  # "flexible from" of messages that never are

# Wire size in bytes of the types that have one.
FIXED = {
    "bool": 1,
    "int8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "int64": 8,
    "float64": 8,
    "uuid": 16,
}
SIZED = ("string", "bytes", "records")
PRIMITIVES = tuple(FIXED) + SIZED


class SchemaError(Exception):
    pass


@dataclass(frozen=True)
class Versions:
    """An inclusive range; empty when hi < lo."""

    lo: int
    hi: int

    def __and__(self, other):
        return Versions(max(self.lo, other.lo), min(self.hi, other.hi))

    def __bool__(self):
        return self.lo <= self.hi

    def __contains__(self, version):
        return self.lo <= version <= self.hi

    def __iter__(self):
        return iter(range(self.lo, self.hi + 1))

    def covers(self, other):
        return not other or (self.lo <= other.lo and other.hi <= self.hi)


NONE = Versions(0, -1)


@dataclass
class Struct:
    """The fields of a message, of an array element or of an embedded struct."""

    path: list  # ["produce_req", "topic_data"]
    versions: Versions  # in which it can occur at all
    flexible: int
    fields: list = field(default_factory=list)

    @property
    def name(self):
        return "_".join(self.path)

    def untagged(self):
        return [f for f in self.fields if not f.tag_versions.covers(f.versions)]

    def tagged(self):
        return sorted((f for f in self.fields if f.tag_versions), key=lambda f: f.tag)

    def structs(self):
        """This one and all inside it, innermost first."""
        for f in self.fields:
            if f.struct:
                yield from f.struct.structs()
        yield self


@dataclass
class Field:
    name: str
    type: str  # a primitive, or "struct"
    is_array: bool
    versions: Versions
    nullable: Versions  # where null is allowed
    default: object  # None: null; else int, float, bool, "" or [] by type
    tag: int = -1
    tag_versions: Versions = NONE  # where it is a tagged field
    classic: bool = False  # never in compact encoding
    struct: Struct = None


@dataclass
class Message:
    """One direction of an API, or a message that stands for itself."""

    name: str  # produce_req
    body: Struct

    @property
    def versions(self):
        return self.body.versions

    @property
    def flexible(self):
        return self.body.flexible


@dataclass
class Schema:
    """One schema file."""

    stem: str  # produce: of generated files
    title: str  # Produce
    key: int  # -1: not an API
    versions: Versions
    flexible: int
    messages: list = field(default_factory=list)


def smallest_size(f, version, flexible):
    """Fewest bytes that the field takes outside of tags in that version."""
    if version not in f.versions or version in f.tag_versions:
        return 0
    compact = version >= flexible and not f.classic
    if f.is_array:
        return 1 if compact else 4
    if f.type == "struct":
        return 1 if version in f.nullable else smallest_struct(f.struct, version)
    if f.type in FIXED:
        return FIXED[f.type]
    return 1 if compact else (2 if f.type == "string" else 4)


def smallest_struct(s, version):
    tags = 1 if version >= s.flexible else 0
    return tags + sum(smallest_size(f, version, s.flexible) for f in s.fields)
