"""Version tests as C expressions, left out where the context already proves them."""

import re

from model import NONE, Versions


def version_test(wanted, context):
    """`v >= 3 && v <= 7`; "true" or "false" when the context decides."""
    wanted = wanted & context
    if not wanted:
        return "false"
    tests = []
    if wanted.lo == wanted.hi and wanted != context:
        return f"v == {wanted.lo}"
    if wanted.lo > context.lo:
        tests.append(f"v >= {wanted.lo}")
    if wanted.hi < context.hi:
        tests.append(f"v <= {wanted.hi}")
    return " && ".join(tests) or "true"


def flexible_test(s, context=None):
    context = context or s.versions
    return version_test(Versions(s.flexible, context.hi), context)


def plain_versions(f):
    """Where the field stands in the field order rather than in the tags."""
    if not f.tag_versions:
        return f.versions
    return (
        Versions(f.versions.lo, f.tag_versions.lo - 1)
        if f.tag_versions.lo > f.versions.lo
        else NONE
    )


def form(f, s, context):
    """The `form` argument of strings, bytes and arrays."""
    compact = "false" if f.classic else flexible_test(s, context)
    nullable = version_test(f.nullable, context) if f.nullable else "false"
    return f"wire_form({compact}, {nullable})"


def guarded(test, lines, indent):
    """The lines under `if (test)`, or as they are, or not at all."""
    if test == "false":
        return []
    if test == "true":
        return [indent + line for line in lines]
    if len(lines) == 1:
        return [f"{indent}if ({test}) {lines[0]}"]
    return (
        [f"{indent}if ({test}) {{"]
        + [f"{indent}        {line}" for line in lines]
        + [indent + "}"]
    )


def used_or_void(body, *names):
    """`(void)x;` for the parameters that the body does not touch."""
    text = "\n".join(body)
    return [f"        (void){n};" for n in names if not re.search(rf"\b{n}\b", text)]
