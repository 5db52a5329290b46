"""Decoders: a function per struct, per array of structs, per struct with tagged fields."""

from conditions import flexible_test, form, guarded, plain_versions, used_or_void, version_test
from emit_header import is_pointer
from model import FIXED, smallest_struct

READER = {
    "bool": "bool",
    "int8": "i8",
    "int16": "i16",
    "uint16": "u16",
    "int32": "i32",
    "uint32": "u32",
    "int64": "i64",
    "float64": "f64",
    "uuid": "uuid",
}
ARRAY_READER = {
    "int8": "i8",
    "int16": "i16",
    "int32": "i32",
    "int64": "i64",
    "uuid": "uuid",
    "string": "str",
}


def read_field(f, s, context, cursor="c"):
    """Statements that read one field that is there."""
    to = f"m->{f.name}"
    if f.is_array:
        kind = f.struct.name if f.struct else ARRAY_READER[f.type]
        version = ", v" if f.struct else ""
        return [f"read_{kind}_array(&{to}, {cursor}, {form(f, s, context)}{version}, a);"]
    if is_pointer(f):
        return [
            f"if (cursor_present({cursor}) && ({to} = msg_alloc({cursor}, a, 1, sizeof *{to})))",
            f"        read_{f.struct.name}({to}, {cursor}, v, a);",
        ]
    if f.struct:
        return [f"read_{f.struct.name}(&{to}, {cursor}, v, a);"]
    if f.type in FIXED:
        return [f"{to} = cursor_{READER[f.type]}({cursor});"]
    name = {"string": "cursor_str", "bytes": "cursor_bytes", "records": "msg_records"}[f.type]
    return [f"{to} = {name}({cursor}, {form(f, s, context)});"]


def emit_tags(s):
    """Reads the tagged fields of a struct that knows some."""
    body = [
        "        uint32_t n = cursor_tag_count(c), seen = 0;",
        "        for (uint32_t i = 0; i < n && !c->bad; i++) {",
        "                struct cursor f;",
        "                uint32_t tag = cursor_tag(c, &f);",
        "                switch (tag) {",
    ]
    for f in s.tagged():
        known = f.tag_versions & s.versions
        test = version_test(known, s.versions)
        body.append(f"                case {f.tag}:")
        lines = [f"msg_tag_once(&f, &seen, {f.tag});"] + read_field(f, s, known, "&f")
        if test == "true":
            body += [f"                        {line}" for line in lines]
        else:
            body.append(f"                        if (!({test})) goto unknown;")
            body += [f"                        {line}" for line in lines]
        body.append("                        break;")
    needs_label = any("goto unknown" in line for line in body)
    body += ["                default:"] + (["                unknown:"] if needs_label else [])
    body += [
        "                        f.at = f.end;",
        "                }",
        "                cursor_tag_end(c, &f);",
        "        }",
    ]
    head = [
        f"static void read_{s.name}_tags(struct {s.name} *m, struct cursor *c, int16_t v,",
        "    struct arena *a)",
        "{",
    ]
    return head + used_or_void(body, "v", "a") + body + ["}", ""]


def emit_read_struct(s):
    body = [f"        {s.name}_init(m);"]
    for f in s.untagged():
        where = plain_versions(f) & s.versions
        body += guarded(version_test(where, s.versions), read_field(f, s, where), " " * 8)
    tags = f"read_{s.name}_tags(m, c, v, a);" if s.tagged() else "cursor_skip_tags(c);"
    body += guarded(flexible_test(s), [tags], " " * 8)
    out = emit_tags(s) if s.tagged() else []
    out += [
        f"static void read_{s.name}(struct {s.name} *m, struct cursor *c, int16_t v,",
        "    struct arena *a)",
        "{",
    ]
    return out + used_or_void(body, "c", "v", "a") + body + ["}", ""]


def emit_read_array(s):
    """An array of s: bounded by the bytes left before anything is allocated."""
    sizes = [smallest_struct(s, version) for version in s.versions]
    if len(set(sizes)) == 1:
        table, smallest = [], str(sizes[0])
    else:
        numbers = ", ".join(map(str, sizes))
        table = [f"        static const uint8_t smallest[] = {{ {numbers} }}; /* by version */"]
        smallest = f"smallest[v - {s.versions.lo}]" if s.versions.lo else "smallest[v]"
    assert 0 < min(sizes) and max(sizes) < 256, s.name
    return [
        f"static void read_{s.name}_array(struct {s.name}_array *m, struct cursor *c,",
        "    unsigned form, int16_t v, struct arena *a)",
        "{",
        *table,
        f"        m->n = cursor_count(c, form, {smallest});",
        "        m->at = msg_alloc(c, a, m->n, sizeof *m->at);",
        "        if (!m->at && m->n > 0) m->n = 0;",
        f"        for (int32_t i = 0; i < m->n && !c->bad; i++) read_{s.name}(&m->at[i], c, v, a);",
        "}",
        "",
    ]


def emit_decode(m):
    lo, hi = m.versions.lo, m.versions.hi
    return [
        f"bool {m.name}_decode(struct {m.name} *m, struct cursor *c, int16_t version,",
        "    struct arena *a)",
        "{",
        f'        if (version < {lo} || version > {hi}) cursor_fail(c, "unknown version");',
        f"        if (c->bad) {m.name}_init(m);",
        f"        else read_{m.name}(m, c, version, a);",
        "        return !c->bad;",
        "}",
        "",
    ]


def emit_reader(m):
    out = []
    arrays = {f.struct.name for s in m.body.structs() for f in s.fields if f.struct and f.is_array}
    for s in m.body.structs():
        out += emit_read_struct(s)
        if s.name in arrays:
            out += emit_read_array(s)
    return out + emit_decode(m)
