"""Encoders: one function per struct and per array of structs, and for tagged fields the size of
their payload and the test whether they are worth writing."""

from conditions import flexible_test, form, guarded, plain_versions, used_or_void, version_test
from emit_header import is_pointer, number
from emit_read import ARRAY_READER, READER
from model import FIXED, SchemaError


def write_field(f, s, context):
    """Statements that write one field that is there."""
    of = f"m->{f.name}"
    if f.is_array:
        kind = f.struct.name if f.struct else ARRAY_READER[f.type]
        version = ", v" if f.struct else ""
        return [f"write_{kind}_array(&{of}, o, {form(f, s, context)}{version});"]
    if is_pointer(f):
        return [
            f"out_i8(o, {of} ? 1 : -1);",
            f"if ({of}) write_{f.struct.name}({of}, o, v);",
        ]
    if f.struct:
        return [f"write_{f.struct.name}(&{of}, o, v);"]
    if f.type in FIXED:
        return [f"out_{READER[f.type]}(o, {of});"]
    name = {"string": "out_str", "bytes": "out_blob", "records": "out_records"}[f.type]
    amp = "&" if f.type == "records" else ""
    return [f"{name}(o, {amp}{of}, {form(f, s, context)});"]


def differs(f, of):
    """The C test that a field has another value than its default."""
    if f.is_array or f.type in ("string", "bytes", "records"):
        if f.default is None:
            return f"{of}.n >= 0"
        return f"{of}.n != 0" if f.nullable else f"{of}.n > 0"
    if f.struct:
        return f"!plain_{f.struct.name}(&{of})"
    if f.type == "uuid":
        return f"!uuid_is_zero({of})"
    return of if f.type == "bool" and not f.default else f"{of} != {number(f)}"


def emit_plain(s):
    """Is everything in it as it starts?  Then a tagged field is left out."""
    if any(is_pointer(f) for f in s.fields):
        raise SchemaError(f"{s.name}: a nullable struct inside a tagged field")
    tests = " &&\n            ".join(f"!({differs(f, 'm->' + f.name)})" for f in s.fields)
    return [
        f"static bool plain_{s.name}(const struct {s.name} *m)",
        "{",
        f"        return {tests};",
        "}",
        "",
    ]


def size_of(f, of):
    """The size of a field in compact encoding, as a C expression."""
    if f.is_array:
        if not f.struct:
            raise SchemaError(f"{f.name}: arrays of primitives inside tagged fields are not done")
        return f"size_{f.struct.name}_array(&{of}, v)"
    if f.struct:
        return f"size_{f.struct.name}(&{of}, v)"
    return str(FIXED[f.type]) if f.type in FIXED else f"size_compact({of}.n)"


def emit_size(s, is_element):
    if s.tagged():
        raise SchemaError(f"{s.name}: tagged fields inside a tagged field are not done")
    body = ["        size_t n = 1; /* its own tags: none */"]
    for f in s.fields:
        test = version_test(f.versions, s.versions)
        body += guarded(test, [f"n += {size_of(f, 'm->' + f.name)};"], " " * 8)
    head = [f"static size_t size_{s.name}(const struct {s.name} *m, int16_t v)", "{"]
    out = head + used_or_void(body, "m", "v") + body + ["        return n;", "}", ""]
    if is_element:
        out += [
            f"static size_t size_{s.name}_array(const struct {s.name}_array *m, int16_t v)",
            "{",
            "        size_t n = size_uvarint((uint32_t)m->n + 1);",
            f"        for (int32_t i = 0; i < m->n; i++) n += size_{s.name}(&m->at[i], v);",
            "        return n;",
            "}",
            "",
        ]
    return out


def emit_tags(s):
    """Writes the tagged fields that differ from their defaults, ascending."""
    body = []
    for f in s.tagged():
        test = version_test(f.tag_versions, s.versions)
        test = "" if test == "true" else test + " && "
        body.append(f"        const bool has_{f.tag} = {test}{differs(f, 'm->' + f.name)};")
    body.append(
        "        out_uvarint(o, " + " + ".join(f"(uint32_t)has_{f.tag}" for f in s.tagged()) + ");"
    )
    for f in s.tagged():
        body += [
            f"        if (has_{f.tag}) {{",
            f"                out_tag(o, {f.tag}, {size_of(f, 'm->' + f.name)});",
            *(f"                {line}" for line in write_field(f, s, f.tag_versions)),
            "        }",
        ]
    head = [
        f"static void write_{s.name}_tags(const struct {s.name} *m, struct out *o, int16_t v)",
        "{",
    ]
    return head + used_or_void(body, "v") + body + ["}", ""]


def emit_write_struct(s):
    body = []
    for f in s.untagged():
        where = plain_versions(f) & s.versions
        body += guarded(version_test(where, s.versions), write_field(f, s, where), " " * 8)
    tags = f"write_{s.name}_tags(m, o, v);" if s.tagged() else "out_u8(o, 0);"
    body += guarded(flexible_test(s), [tags], " " * 8)
    out = emit_tags(s) if s.tagged() else []
    out += [f"static void write_{s.name}(const struct {s.name} *m, struct out *o, int16_t v)", "{"]
    return out + used_or_void(body, "m", "o", "v") + body + ["}", ""]


def emit_write_array(s):
    return [
        f"static void write_{s.name}_array(const struct {s.name}_array *m, struct out *o,",
        "    unsigned form, int16_t v)",
        "{",
        "        int32_t n = out_count(o, m->n, form);",
        f"        for (int32_t i = 0; i < n; i++) write_{s.name}(&m->at[i], o, v);",
        "}",
        "",
    ]


def emit_encode(m):
    return [
        f"void {m.name}_encode(const struct {m.name} *m, struct out *o, int16_t version)",
        "{",
        f"        assert(version >= {m.versions.lo} && version <= {m.versions.hi});",
        f"        write_{m.name}(m, o, version);",
        "}",
        "",
    ]


def emit_writer(m):
    out = []
    arrays = {f.struct.name for s in m.body.structs() for f in s.fields if f.struct and f.is_array}
    tagged = {f.struct.name: f for s in m.body.structs() for f in s.tagged() if f.struct}
    in_tags = {t.name for f in tagged.values() for t in f.struct.structs()}
    compared = {t.name for f in tagged.values() if not f.is_array for t in f.struct.structs()}
    for s in m.body.structs():
        if s.name in in_tags:
            out += emit_size(s, s.name in arrays)
        if s.name in compared:
            out += emit_plain(s)
        out += emit_write_struct(s)
        if s.name in arrays:
            out += emit_write_array(s)
    return out + emit_encode(m)
