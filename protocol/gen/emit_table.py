"""Tables over all schemas: API keys, version facts, and codecs behind void pointers."""

from emit_header import generated_from


def apis(schemas):
    return sorted((s for s in schemas if s.key >= 0), key=lambda s: s.key)


def emit_keys(schemas):
    rows = [f"        API_{s.stem.upper()} = {s.key}," for s in apis(schemas)]
    return "\n".join(
        [
            generated_from("NN_name.schema"),
            "#pragma once",
            "",
            "enum api_key {",
            *rows,
            "};",
            "",
        ]
    )


def emit_all_header(schemas):
    rows = [f'#include "protocol/msg/{s.stem}.h"' for s in schemas]
    return "\n".join([generated_from("NN_name.schema"), "#pragma once", "", *rows, ""])


def emit_info(schemas):
    """What is known about each API without its codec."""
    rows = [
        f'        {{ {s.key}, {s.versions.lo}, {s.versions.hi}, {s.flexible}, "{s.title}" }},'
        for s in apis(schemas)
    ]
    return "\n".join(
        [
            generated_from("NN_name.schema"),
            '#include "protocol/msg.h"',
            "",
            "const struct api_info api_infos[] = {",
            *rows,
            "};",
            f"const unsigned api_infos_count = {len(rows)};",
            "",
        ]
    )


def emit_wrapper(name):
    return [
        f"static void init_{name}(void *m) {{ {name}_init(m); }}",
        f"static bool decode_{name}(void *m, struct cursor *c, int16_t v, struct arena *a)",
        "{",
        f"        return {name}_decode(m, c, v, a);",
        "}",
        f"static void encode_{name}(const void *m, struct out *o, int16_t v)",
        "{",
        f"        {name}_encode(m, o, v);",
        "}",
        "",
    ]


def emit_codecs(schemas):
    out = [generated_from("NN_name.schema"), '#include "protocol/msg/all.h"', ""]
    rows = []
    for s in sorted(schemas, key=lambda s: (s.key < 0, s.key, s.stem)):
        for direction, m in enumerate(s.messages):
            out += emit_wrapper(m.name)
            of_api = direction if s.key >= 0 else -1
            rows += [
                f'        {{ "{m.name}", {s.key}, {of_api}, {m.versions.lo}, {m.versions.hi},',
                f"            sizeof(struct {m.name}), init_{m.name}, decode_{m.name},",
                f"            encode_{m.name} }},",
            ]
    return "\n".join(
        out
        + [
            "const struct msg_codec msg_codecs[] = {",
            *rows,
            "};",
            f"const unsigned msg_codecs_count = {len(rows) // 3};",
            "",
        ]
    )
