"""What a dotted name in a goal or a rate means: a limit, a figure of varve or of a peer."""

from dataclasses import dataclass

from .figures import FIGURES

VARVE = "varve"


class NameUnknown(ValueError):
    pass


@dataclass(frozen=True)
class Target:
    kind: str  # "limit" or "figure"
    peer: str  # identifier, for a figure; "": of whom the goal or rate is about
    path: str  # name of the limit, or [step.]figure


def identifier(peer):
    """How a peer is named in goals: kafka:default is kafka, kafka:flush is kafka_flush."""
    name, _, variant = peer.partition(":")
    if variant in ("", "default"):
        return name
    return f"{name}_{variant}".replace("=", "_").replace("-", "_")


def figure_path(path, steps):
    """The path, when it is [step.]figure with a step of the scenario."""
    step, _, figure = path.rpartition(".")
    if figure in FIGURES and step in (steps if len(steps) > 1 else [""]):
        return path
    return None


def resolve(name, *, left, peers, steps, limits):
    """`left` is what a peer's name alone stands for; the others are the names that exist."""
    first, _, rest = name.partition(".")
    if first == "limits":
        if rest not in limits:
            raise NameUnknown(f"no limit is called {rest!r}")
        return Target("limit", "", rest)
    if first in peers:
        path = figure_path(rest or left or "", steps)
        if path:
            return Target("figure", first, path)
    else:
        path = figure_path(name, steps)
        if path:
            return Target("figure", "", path)
    raise NameUnknown(f"{name!r} is neither a figure, nor of a peer, nor a limit")
