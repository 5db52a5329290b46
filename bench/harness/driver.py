"""Calls of `varve bench`: one measurement each, its JSON kept."""

from dataclasses import dataclass
import json
import pathlib

from . import process, scenario

SLACK = 240  # seconds on top of warm-up and duration: topics, building requests, preloading


@dataclass(frozen=True)
class Driver:
    binary: pathlib.Path
    raw: pathlib.Path  # where answers are kept

    def measure(self, name, mode, load, target, wrapper=()):
        """`target` are the options that name a server, or --null; the wrapper runs the driver."""
        arguments = [mode, *scenario.arguments(load), *target, "--quiet"]
        out = process.run([*wrapper, self.binary, "bench", *arguments, "--output", "json"],
                          timeout=SLACK + seconds(load.get("duration", "10s"))
                          + seconds(load.get("warmup", "2s")))
        (self.raw / f"{name}.json").write_text(out, encoding="utf-8")
        return json.loads(out)


def seconds(text):
    """250ms, 10s, 2m or a plain number, as the driver reads them."""
    text = str(text)
    for suffix, factor in (("ms", 1e-3), ("m", 60), ("s", 1)):
        if text.endswith(suffix):
            return float(text[:-len(suffix)]) * factor
    return float(text)
