"""Reads a schema file.  The notation is described in protocol/schema/README.md."""

import re

from model import (
    FIXED,
    NEVER,
    NONE,
    PRIMITIVES,
    Field,
    Message,
    Schema,
    SchemaError,
    Struct,
    Versions,
)

TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+|\#[^\n]*)"
    r"|(?P<tag><tag[^>]*>)"
    r"|(?P<default>=[^\s;{}<]+)"
    r"|(?P<versions>v\d+(?:-\d+|\+)?(?![A-Za-z0-9_]))"
    r"|(?P<number>\d+)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<array>\[\])"
    r"|(?P<mark>[?(){}:;])"
)
INT_RANGE = {
    "int8": (-(2**7), 2**7 - 1),
    "int16": (-(2**15), 2**15 - 1),
    "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
}


def snake(camel):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", camel).lower()


class Reader:
    """Tokens of one file, with the line for messages."""

    def __init__(self, file_name, text):
        self.file_name, self.tokens, self.at = file_name, [], 0
        pos = 0
        while pos < len(text):
            m = TOKEN.match(text, pos)
            line = text.count("\n", 0, pos) + 1
            if not m:
                raise SchemaError(f"{file_name}:{line}: unexpected {text[pos:pos + 20]!r}")
            if m.lastgroup != "space":
                self.tokens.append((m.lastgroup, m.group(), line))
            pos = m.end()
        self.tokens.append(("end", "end of file", text.count("\n") + 1))

    def fail(self, why):
        raise SchemaError(f"{self.file_name}:{self.tokens[self.at][2]}: {why}")

    def peek(self):
        return self.tokens[self.at][:2]

    def is_mark(self, mark):
        return self.peek() == ("mark", mark)

    def take_if(self, mark):
        if self.is_mark(mark):
            self.at += 1
            return True
        return False

    def take(self, kind, text=None):
        got_kind, got = self.peek()
        if got_kind != kind or (text is not None and got != text):
            self.fail(f"expected {text or kind}, found {got!r}")
        self.at += 1
        return got


def parse_versions(r, text, all_versions):
    m = re.fullmatch(r"v(\d+)(?:-(\d+)|(\+))?", text)
    lo = int(m[1])
    hi = all_versions.hi if m[3] else int(m[2] or lo)
    found = Versions(lo, hi)
    if not found or not all_versions.covers(found):
        r.fail(f"{text} is not within v{all_versions.lo}-{all_versions.hi}")
    return found


def parse_nullable(r, all_versions):
    """After a type or a name: `?` or `?(v2+)`."""
    if not r.take_if("?"):
        return NONE
    if not r.take_if("("):
        return all_versions
    found = parse_versions(r, r.take("versions"), all_versions)
    r.take("mark", ")")
    return found


def parse_default(r, f, text):
    """The value that an absent field has."""
    if text == "null":
        if not f.nullable:
            r.fail(f"{f.name}: null default, but never nullable")
        return None
    if f.is_array or f.type not in FIXED or f.type == "uuid":
        r.fail(f"{f.name}: only null can be the default here")
    if f.type == "bool":
        return {"true": True, "false": False}[text]
    if f.type == "float64":
        return float(text)
    value = int(text, 0)
    lo, hi = INT_RANGE[f.type]
    if not lo <= value <= hi:
        r.fail(f"{f.name}: {value} is no {f.type}")
    return value


def zero_of(f):
    if f.is_array:
        return []
    if f.type == "struct":
        return None if f.nullable else {}
    if f.type == "records" and f.nullable:
        return None
    return {"bool": False, "float64": 0.0, "uuid": 0}.get(f.type, 0 if f.type in FIXED else "")


def parse_tag(r, f, text, flexible, all_versions):
    m = re.fullmatch(r"<tag(\d+)(?:@(v[^>]+))?>", text)
    if not m:
        r.fail(f"bad tag {text}")
    f.tag = int(m[1])
    if f.tag > 31:
        r.fail(f"{f.name}: decoders count tags up to 31")
    wanted = parse_versions(r, m[2], all_versions) if m[2] else f.versions
    f.tag_versions = wanted & f.versions & Versions(flexible, all_versions.hi)
    if not f.tag_versions or (not m[2] and f.tag_versions != f.versions):
        r.fail(f"{f.name}: a tagged field needs flexible versions")
    if f.nullable and f.type == "struct" and not f.is_array:
        r.fail(f"{f.name}: a tagged field is absent rather than null")


def parse_field(r, parent, all_versions):
    f = Field(r.take("name"), "struct", False, parent.versions, NONE, "")
    if r.peek()[0] == "array":
        r.take("array")
        f.is_array = True
    f.nullable = parse_nullable(r, all_versions)
    if r.take_if(":"):
        if r.peek()[0] == "array":
            r.take("array")
            f.is_array = True
        f.type = r.take("name")
        if f.type not in PRIMITIVES or (
            f.is_array and f.type in ("bytes", "records", "bool", "float64")
        ):
            r.fail(f"{f.name}: cannot be of type {f.type}")
        f.nullable = parse_nullable(r, all_versions)
    default, tag = "", ""
    while not r.is_mark("{") and not r.is_mark(";"):
        kind, text = r.peek()
        r.at += 1
        if kind == "versions":
            f.versions = parse_versions(r, text, all_versions)
        elif kind == "default":
            default = text[1:]
        elif kind == "tag":
            tag = text
        elif (kind, text) == ("name", "classic"):
            f.classic = True
        else:
            r.fail(f"{f.name}: unexpected {text!r}")
    f.versions = f.versions & parent.versions
    f.nullable = f.nullable & f.versions
    f.default = parse_default(r, f, default) if default else zero_of(f)
    if tag:
        parse_tag(r, f, tag, parent.flexible, all_versions)
    if not f.versions:
        r.fail(f"{f.name}: never there")
    if f.type == "struct":
        f.struct = parse_struct(
            r, parent.path + [f.name], f.versions, parent.flexible, all_versions
        )
        r.take_if(";")
    else:
        r.take("mark", ";")
    return f


def parse_struct(r, path, versions, flexible, all_versions):
    s = Struct(path, versions, flexible)
    r.take("mark", "{")
    while not r.take_if("}"):
        f = parse_field(r, s, all_versions)
        if any(f.name == g.name for g in s.fields):
            r.fail(f"{f.name}: twice in {s.name}")
        if f.tag >= 0 and any(f.tag == g.tag for g in s.fields):
            r.fail(f"{f.name}: tag {f.tag} is taken")
        s.fields.append(f)
    return s


def parse_heading(r):
    """`v0-13 flex v9`, `v0-1`"""
    text = r.take("versions")
    m = re.fullmatch(r"v(\d+)(?:-(\d+))?", text)
    if not m:
        r.fail(f"bad range {text}")
    versions = Versions(int(m[1]), int(m[2] or m[1]))
    if r.peek() != ("name", "flex"):
        return versions, NEVER
    r.take("name")
    return versions, int(r.take("versions")[1:])


def parse_schema(file_name, text):
    """A file is `api KEY Name vA-B flex vN Req {…} Res {…}`, or several `message Name vA-B {…}`."""
    r = Reader(file_name, text)
    if r.take("name") == "api":
        key, title = int(r.take("number")), r.take("name")
        versions, flexible = parse_heading(r)
        schema = Schema(snake(title), title, key, versions, flexible)
        for word, suffix in (("Req", "_req"), ("Res", "_res")):
            r.take("name", word)
            body = parse_struct(r, [schema.stem + suffix], versions, flexible, versions)
            schema.messages.append(Message(schema.stem + suffix, body))
        r.take("end")
        return schema
    r.at = 0
    stem = re.sub(r".*/|\.schema$", "", file_name)
    schema = Schema(stem, stem, -1, Versions(0, 0), NEVER)
    while r.peek()[0] != "end":
        r.take("name", "message")
        name = snake(r.take("name"))
        versions, flexible = parse_heading(r)
        body = parse_struct(r, [name], versions, flexible, versions)
        schema.messages.append(Message(name, body))
    return schema
