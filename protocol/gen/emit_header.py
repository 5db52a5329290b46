"""The header of a message: structs, innermost first, and their initialisers."""

from model import NEVER

C_TYPE = {
    "bool": "bool",
    "int8": "int8_t",
    "int16": "int16_t",
    "uint16": "uint16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "float64": "double",
    "uuid": "struct uuid",
    "string": "struct str",
    "bytes": "struct bytes",
    "records": "struct records",
}
# Arrays of primitives are declared in protocol/msg.h.
ARRAY_TYPE = {
    "int8": "struct i8_array",
    "int16": "struct i16_array",
    "int32": "struct i32_array",
    "int64": "struct i64_array",
    "uuid": "struct uuid_array",
    "string": "struct str_array",
}


def generated_from(stem):
    return f"/* Generated from protocol/schema/{stem} by protocol/gen. */"


def c_type(f):
    if f.is_array:
        return f"struct {f.struct.name}_array" if f.struct else ARRAY_TYPE[f.type]
    if f.struct:
        return f"struct {f.struct.name}"
    return C_TYPE[f.type]


def is_pointer(f):
    return f.struct is not None and not f.is_array and bool(f.nullable)


def range_text(versions, within):
    if versions.lo == versions.hi:
        return f"v{versions.lo}"
    if versions.hi == within.hi:
        return f"v{versions.lo}+"
    return f"v{versions.lo}-{versions.hi}"


def field_note(f, s):
    notes = []
    if f.versions != s.versions:
        notes.append(range_text(f.versions, s.versions))
    if f.nullable:
        where = "" if f.nullable == f.versions else " " + range_text(f.nullable, s.versions)
        notes.append("nullable" + where)
    if f.tag >= 0:
        notes.append(f"tag {f.tag}")
    if initial_value(f) is not None and f.type != "string" and (not f.struct or f.is_array):
        notes.append("default " + initial_text(f))
    return f" /* {', '.join(notes)} */" if notes else ""


def initial_text(f):
    if f.default is None:
        return "null"
    return str(f.default).lower()


def number(f):
    """A C constant of the field's type."""
    if f.type == "bool":
        return "true" if f.default else "false"
    if f.type == "float64":
        return repr(f.default)
    if f.type == "int64":
        return f"INT64_C({f.default})" if f.default > -(2**63) else "INT64_MIN"
    if f.type == "int32" and f.default == -(2**31):
        return "INT32_MIN"
    return str(f.default)


def initial_value(f):
    """What the field starts as; None: zero."""
    if f.is_array:
        return "{ .n = -1 }" if f.default is None else None
    if f.struct:
        if is_pointer(f):
            return None
        inner = initial_fields(f.struct)
        return f"{{ {inner} }}" if inner else None
    if f.type == "string":
        return "{ NULL, -1 }" if f.default is None else '{ "", 0 }'
    if f.type in ("bytes", "records"):
        return "{ .n = -1 }" if f.default is None else None
    if f.type == "uuid" or not f.default:
        return None
    return number(f)


def initial_fields(s):
    values = ((f.name, initial_value(f)) for f in s.fields)
    return ", ".join(f".{name} = {value}" for name, value in values if value is not None)


def emit_struct(s, public_array):
    out = [f"struct {s.name} {{"]
    for f in s.fields:
        star = "*" if is_pointer(f) else ""
        out.append(f"        {c_type(f)} {star}{f.name};{field_note(f, s)}")
    if not s.fields:
        out.append("        char nothing; /* it has no fields */")
    out.append("};")
    if public_array:
        out += [
            f"struct {s.name}_array {{",
            "        int32_t n;",
            f"        struct {s.name} *at;",
            "};",
        ]
    out += [
        f"static inline void {s.name}_init(struct {s.name} *m)",
        "{",
        f"        *m = (struct {s.name}){{ {initial_fields(s) or '0'} }};",
        "}",
        "",
    ]
    return out


def emit_message(m):
    """Structs and the prototypes of one message."""
    out = []
    arrays = {f.struct.name for s in m.body.structs() for f in s.fields if f.struct and f.is_array}
    for s in m.body.structs():
        out += emit_struct(s, s.name in arrays)
    flex = "never flexible" if m.flexible == NEVER else f"flexible from v{m.flexible}"
    n = m.name
    return out + [
        f"/* v{m.versions.lo}-{m.versions.hi}, {flex} */",
        f"bool {n}_decode(struct {n} *m, struct cursor *c, int16_t version, struct arena *a);",
        f"void {n}_encode(const struct {n} *m, struct out *o, int16_t version);",
        "",
    ]


def emit_header(schema, source_name):
    out = [generated_from(source_name), "#pragma once", "", '#include "protocol/msg.h"', ""]
    for m in schema.messages:
        out += emit_message(m)
    return "\n".join(out).rstrip() + "\n"
