#!/usr/bin/env python3
"""Writes C codecs from message schemas: generate.py OUT_DIR SCHEMA...

Per schema OUT_DIR/<name>.h and .c; over all of them api_keys.h, all.h, info.c and codecs.c.
The same input gives the same output, and a file that does not change is not touched."""

import os
import re
import sys

from emit_header import emit_header, generated_from
from emit_read import emit_reader
from emit_table import emit_all_header, emit_codecs, emit_info, emit_keys
from emit_write import emit_writer
from model import SchemaError
from parse import parse_schema


def emit_source(schema, source_name):
    out = [
        generated_from(source_name),
        f'#include "protocol/msg/{schema.stem}.h"',
        "",
        '#include "base/check.h"',
        "",
    ]
    for m in schema.messages:
        out += emit_reader(m) + emit_writer(m)
    return "\n".join(out).rstrip() + "\n"


def write_if_changed(path, text):
    try:
        with open(path, encoding="utf-8") as f:
            if f.read() == text:
                return
    except FileNotFoundError:
        pass
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


def generate(out_dir, paths):
    schemas = []
    for path in sorted(paths, key=os.path.basename):
        with open(path, encoding="utf-8") as f:
            schema = parse_schema(path, f.read())
        schemas.append(schema)
        name = os.path.basename(path)
        if re.sub(r"^\d+_|\.schema$", "", name) != schema.stem:
            raise SchemaError(
                f"{name} describes {schema.title}: call it {schema.key:02}_{schema.stem}.schema"
            )
        write_if_changed(os.path.join(out_dir, schema.stem + ".h"), emit_header(schema, name))
        write_if_changed(os.path.join(out_dir, schema.stem + ".c"), emit_source(schema, name))
    keys = [s.key for s in schemas if s.key >= 0]
    if len(set(keys)) != len(keys):
        raise SchemaError("two schemas have the same API key")
    for name, emit in (
        ("api_keys.h", emit_keys),
        ("all.h", emit_all_header),
        ("info.c", emit_info),
        ("codecs.c", emit_codecs),
    ):
        write_if_changed(os.path.join(out_dir, name), emit(schemas))


if __name__ == "__main__":
    try:
        generate(sys.argv[1], sys.argv[2:])
    except SchemaError as e:
        sys.exit(f"generate.py: {e}")
