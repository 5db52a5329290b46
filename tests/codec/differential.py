#!/usr/bin/env python3
"""Our codecs against independent ones: differential.py CODEC_TOOL SCHEMA...

For every message and version of the schemas, random values (by name, seeded) are encoded by the
other codec, decoded and encoded by ours, and must come out byte for byte the same.  Then ours
decodes one version and encodes another, and the other codec must read that and write it back the
same.  A plain encoder over the schema model says what to expect where nobody else can: unknown
tagged fields, defaults of fields that a version lacks, versions that no other codec has.

Environment: CODEC_SEED, CODEC_CASES (per message and version), CODEC_VENV."""

import os
import random
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "protocol", "gen"))
SKIP = 77


def use_venv():
    """Starts again with the interpreter that has the other codecs."""
    venv = os.environ.get("CODEC_VENV") or os.path.join(ROOT, "build", "venv")
    python = os.path.join(venv, "bin", "python3")
    if sys.prefix == os.path.realpath(venv) or os.path.realpath(sys.prefix) == os.path.realpath(
        venv
    ):
        return
    if not os.path.exists(python):
        print(f"no Python environment in {venv}: ./dev test makes it, or name one by CODEC_VENV")
        sys.exit(1 if "CODEC_VENV" in os.environ else SKIP)
    os.execv(python, [python, *sys.argv])


use_venv()

from kio_oracle import Kio  # noqa: E402
from model_codec import encode_struct  # noqa: E402
from old_oracle import Old  # noqa: E402
from parse import parse_schema  # noqa: E402
from random_values import random_struct  # noqa: E402


class Mismatch(Exception):
    pass


class Tool:
    """codec_tool, asked one line at a time."""

    def __init__(self, path):
        self.path, self.cases = path, 0
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, name, version_in, version_out, data):
        line = f"{name} {version_in} {version_out} {data.hex() or '-'}"
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        self.cases += 1
        return line, self.process.stdout.readline().decode().rstrip("\n")

    def expect(self, name, version_in, version_out, data, wanted):
        line, got = self.ask(name, version_in, version_out, data)
        if got != f"ok 0 {wanted.hex() or '-'}":
            raise Mismatch(
                f"echo '{line}' | {self.path}\n  wanted ok 0 {wanted.hex() or '-'}\n  got    {got}"
            )

    def close(self):
        self.process.stdin.close()
        return self.process.wait()


def find_oracle(schema, message, version):
    for make in (
        lambda: Kio(message, schema.key, version),
        lambda: Old(message, schema.title, version),
    ):
        try:
            return make()
        except LookupError:
            pass
    return None


def same(what, theirs, ours):
    if theirs != ours:
        raise Mismatch(f"{what}\n  theirs {theirs.hex()}\n  ours   {ours.hex()}")


def run_version(tool, rnd, message, version, oracle, oracles, cases):
    """All cases of one message in one version."""
    body, name = message.body, message.name
    for case in range(cases):
        value = (
            random_struct(rnd, body, version, oracle.special if oracle else None) if case else {}
        )
        if not value:
            value = random_struct(NoChance(), body, version)
        plain = encode_struct(body, value, version)
        if oracle:
            same(
                f"{oracle.name} encodes {name} v{version} otherwise",
                oracle.encode(message, value, version),
                plain,
            )
        tool.expect(name, version, version, plain, plain)
        if version >= message.flexible:
            tool.expect(name, version, version, encode_struct(body, value, version, rnd), plain)
        other = rnd.choice(list(message.versions))
        wanted = encode_struct(body, value, other)
        tool.expect(name, version, other, plain, wanted)
        reader = oracles.get(other)
        if reader and other_can_hold(reader, oracle, version, other):
            same(
                f"{reader.name} reads our {name} v{other} otherwise",
                reader.reencode(wanted),
                wanted,
            )


def other_can_hold(reader, oracle, version, other):
    """kio's times and error codes have fewer values than the wire."""
    return (
        reader is oracle
        or (reader.name == "kafka-python")
        or (oracle is not None and oracle.name == reader.name)
    )


class NoChance(random.Random):
    """Every choice falls on the first: zeros, empty, nothing tagged, no nulls."""

    def random(self):
        return 0.39

    def choice(self, options):
        return options[0]

    def randint(self, lo, hi):
        return min(max(0, lo), hi)


def run(tool, schemas, seed, cases):
    totals = {"kio": set(), "kafka-python": set(), "alone": set()}
    for schema in schemas:
        for message in schema.messages:
            oracles = {v: find_oracle(schema, message, v) for v in message.versions}
            for version, oracle in oracles.items():
                rnd = random.Random(f"{seed} {message.name} {version}")
                try:
                    run_version(tool, rnd, message, version, oracle, oracles, cases)
                except Exception as e:
                    again = f"CODEC_SEED={seed} CODEC_CASES={cases}"
                    print(f"FAILED {message.name} v{version} ({again})", flush=True)
                    if not isinstance(e, Mismatch):
                        raise
                    print(e)
                    return None
                totals[oracle.name if oracle else "alone"].add((message.name, version))
    return totals


def main():
    tool_path, paths = sys.argv[1], sys.argv[2:]
    seed, cases = os.environ.get("CODEC_SEED", "1"), int(os.environ.get("CODEC_CASES", "80"))
    schemas = []
    for path in paths:
        with open(path, encoding="utf-8") as f:
            schemas.append(parse_schema(path, f.read()))
    tool, began = Tool(tool_path), time.monotonic()
    totals = run(tool, schemas, seed, cases)
    if tool.close() != 0:
        print("FAILED: codec_tool ended with an error")
        totals = None
    if totals is None:
        return 1
    apis = sum(s.key >= 0 for s in schemas)
    by = {name: len(found) for name, found in totals.items()}
    print(
        f"{tool.cases} cases, {apis} APIs, {sum(by.values())} messages by version in "
        f"{time.monotonic() - began:.0f} s: {by['kio']} against kio, {by['kafka-python']} "
        f"against kafka-python, {by['alone']} against the schema only:"
    )
    print("  " + " ".join(f"{n}:v{v}" for n, v in sorted(totals["alone"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
