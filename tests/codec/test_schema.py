#!/usr/bin/env python3
"""The schema parser refuses what makes no sense and says where; the generator is deterministic.

test_schema.py GENERATOR_DIR SCHEMA..."""

import os
import sys
import tempfile

sys.path.insert(0, sys.argv[1])

from generate import generate  # noqa: E402
from model import NEVER, SchemaError, smallest_struct  # noqa: E402
from parse import parse_schema  # noqa: E402

HEAD = "api 7 Try v0-3 flex v2\n"
BAD = {
    "a: int31;": "cannot be of type int31",
    "a: int32": "expected",
    "a: int8 =128;": "128 is no int8",
    "a: string =x;": "only null can be the default here",
    "a: string =null;": "never nullable",
    "a: int32 v4;": "v4 is not within v0-3",
    "a: int32 v2-1;": "v2-1 is not within v0-3",
    "a: int32; a: int8;": "a: twice in try_req",
    "a: int32 <tag0>;": "needs flexible versions",
    "a: int32 v2+ <tag0>; b: int8 v2+ <tag0>;": "tag 0 is taken",
    "a: int32 v2+ <tag32>;": "tags up to 31",
    "a? v2+ <tag0> { b: int8; }": "absent rather than null",
    "a: []bytes;": "cannot be of type bytes",
    "a[] v0-1 { b: int8 v2+; }": "b: never there",
    "a: int32 sometimes;": "unexpected 'sometimes'",
    "a: int32 %;": "unexpected",
}


def check(condition, what):
    if not condition:
        sys.exit(f"FAILED: {what}")


def refuses_bad_schemas():
    for text, wanted in BAD.items():
        try:
            parse_schema("try.schema", f"{HEAD}Req {{\n{text}\n}}\nRes {{}}\n")
        except SchemaError as e:
            check(wanted in str(e), f"{text}: {e}")
            check(str(e).startswith("try.schema:"), f"{text}: no line in {e}")
        else:
            check(False, f"{text}: accepted")


def knows_versions_and_sizes():
    text = (
        HEAD
        + "Req { a: string?(v1+) v1+ =null; b[] { c: int8; d: uuid v3; } t: int8 v2+ <tag1>; }"
    )
    schema = parse_schema("try.schema", text + "Res { }")
    body = schema.messages[0].body
    a, b, t = body.fields
    check((a.versions.lo, a.nullable.lo, a.default) == (1, 1, None), "versions of a")
    check([smallest_struct(body, v) for v in range(4)] == [4, 6, 3, 3], "sizes of the body")
    check([smallest_struct(b.struct, v) for v in range(4)] == [1, 1, 2, 18], "sizes of an element")
    check(t.tag == 1 and body.untagged() == [a, b], "the tag")
    check(
        parse_schema("x.schema", "message X v0 { a: int8; }").messages[0].flexible == NEVER, "flex"
    )


def refuses_a_wrong_file_name():
    with tempfile.TemporaryDirectory() as out:
        path = os.path.join(out, "08_try.schema")
        with open(path, "w", encoding="utf-8") as f:
            f.write(HEAD + "Req { a: int8; } Res { a: int8; }")
        generate(out, [path])
        os.rename(path, os.path.join(out, "08_other.schema"))
        try:
            generate(out, [os.path.join(out, "08_other.schema")])
        except SchemaError:
            return
        check(False, "a file named after another API")


def is_deterministic(paths):
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        generate(one, paths)
        generate(two, list(reversed(paths)))
        names = sorted(os.listdir(one))
        check(names == sorted(os.listdir(two)) and len(names) == 2 * len(paths) + 4, "the files")
        for name in names:
            with open(os.path.join(one, name), "rb") as f, open(
                os.path.join(two, name), "rb"
            ) as g:
                check(f.read() == g.read(), f"{name} differs from run to run")
        before = {name: os.stat(os.path.join(one, name)).st_mtime_ns for name in names}
        generate(one, paths)
        after = {name: os.stat(os.path.join(one, name)).st_mtime_ns for name in names}
        check(before == after, "an unchanged file was touched")


refuses_bad_schemas()
knows_versions_and_sizes()
refuses_a_wrong_file_name()
is_deterministic(sys.argv[2:])
print(f"{len(BAD)} bad schemas refused, {len(sys.argv) - 2} good ones generated twice alike")
