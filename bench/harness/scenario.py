"""Scenarios: small TOML files that say what to run, which figure counts and what the goals are."""

from dataclasses import dataclass
import pathlib
import tomllib

from . import goals, names
from .figures import FIGURES

DIRECTORY = pathlib.Path(__file__).resolve().parents[1] / "scenarios"
MODES = ("produce", "consume", "rtt", "e2e", "mixed", "start", "user")
BEFORE = ("", "cold")

# Key in a scenario -> option of `varve bench`.
OPTIONS = {key: "--" + key.replace("_", "-") for key in (
    "connections", "in_flight", "threads", "consumers", "fetches", "consumer_threads", "rate",
    "linger", "duration", "warmup", "records", "timeout", "keys", "payload", "codec",
    "batch_bytes", "batch_records", "partitions_per_request", "acks", "check", "ring", "seed",
    "topic", "topics", "partitions", "no_create", "keep", "split", "from", "preload", "rewind",
    "fan_out", "fetch_bytes", "fetch_max_bytes", "fetch_min_bytes", "fetch_wait")}
OPTIONS["record_size"] = "--size"

_KEYS = {"title", "about", "goal", "headline", "limit", "peers", "null", "fresh", "repeat",
         "disk", "order", "group", "load", "step", "check", "quick", "note", "syscalls"}
_STEP_KEYS = {"name", "before", "peers", "once", "measured", "mode"} | set(OPTIONS)


class ScenarioError(ValueError):
    pass


@dataclass(frozen=True)
class Step:
    name: str           # "" when it is the only one
    mode: str
    load: dict          # the driver's options, by key
    before: str = ""    # "cold": nothing of what was written is in memory any more
    peers: tuple = ()   # none named: all
    once: bool = False  # not repeated: it prepares
    measured: bool = True


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    about: str
    goal: str
    headline: str
    limit: str          # the limit to compare the headline with, or ""
    peers: tuple        # as on the command line: varve, kafka, kafka:flush
    steps: tuple
    goals: tuple
    order: int
    group: str
    null: bool          # also measure the driver against its own sink
    fresh: bool         # on a server of its own
    repeat: int | None
    disk: float         # bytes that have to be free
    note: str
    syscalls: bool      # also count the server's system calls, in a run of its own
    quick: dict | None  # what is different in a quick run; None: it is left out

    def step_names(self):
        return [step.name for step in self.steps]

    @property
    def figure(self):
        return FIGURES[self.headline.rsplit(".", 1)[-1]]

    @property
    def by_user(self):
        return any(step.mode == "user" for step in self.steps)

    @property
    def starts_itself(self):
        return any(step.mode == "start" for step in self.steps)


def _steps(raw):
    """Every [[step]] on top of [load]; without steps, [load] is the only one."""
    common = raw.get("load", {})
    result = []
    for table in raw.get("step", [{}]):
        merged = {**common, **table}
        unknown = set(merged) - _STEP_KEYS
        if unknown:
            raise ScenarioError(f"unknown key {min(unknown)!r} in the load")
        mode, before = merged.get("mode", ""), merged.get("before", "")
        if mode not in MODES or before not in BEFORE:
            raise ScenarioError(f"mode {mode!r}, before {before!r}")
        load = {key: value for key, value in merged.items() if key in OPTIONS}
        result.append(Step(merged.get("name", ""), mode, load, before,
                           tuple(merged.get("peers", ())), merged.get("once", False),
                           merged.get("measured", True)))
    step_names = [step.name for step in result]
    if len(set(step_names)) != len(step_names) or (len(result) > 1 and "" in step_names):
        raise ScenarioError("steps need names of their own")
    return tuple(result)


def _check_names(scenario, limits):
    known = {"left": None, "steps": scenario.step_names(), "limits": limits,
             "peers": [names.identifier(peer) for peer in scenario.peers]}
    names.resolve(scenario.headline, **known)
    if scenario.limit and scenario.limit not in limits:
        raise ScenarioError(f"no limit is called {scenario.limit!r}")
    for goal in scenario.goals:
        left = names.resolve(goal.left, **known)
        for name in goal.names():
            names.resolve(name, **{**known, "left": left.path})
    for step in scenario.steps:
        for term in rate_terms(step.load) or ():
            if term.name:
                names.resolve(term.name, **known)


def rate_terms(load):
    """The terms of a rate that is an expression: rate = "0.5 * max.records_per_second"."""
    rate = load.get("rate")
    if isinstance(rate, str) and "*" in rate:
        return goals.parse_sum(rate)
    return None


def from_text(name, text, limits):
    """The scenario of a file's text; `limits` are the names of those that exist."""
    try:
        raw = tomllib.loads(text)
        unknown = set(raw) - _KEYS
        if unknown:
            raise ScenarioError(f"unknown key {min(unknown)!r}")
        scenario = Scenario(
            name=name, title=raw["title"], about=raw["about"], goal=raw.get("goal", ""),
            headline=raw["headline"], limit=raw.get("limit", ""),
            peers=tuple(raw.get("peers", ("varve", "kafka"))), steps=_steps(raw),
            goals=tuple(goals.parse(check) for check in raw.get("check", ())),
            order=raw.get("order", 1000), group=raw.get("group", "Other"),
            null=raw.get("null", False), fresh=raw.get("fresh", False),
            repeat=raw.get("repeat"), disk=raw.get("disk", 12) * 1e9, note=raw.get("note", ""),
            syscalls=raw.get("syscalls", False),
            quick=None if raw.get("quick") is False else raw.get("quick", {}))
        _check_names(scenario, limits)
    except KeyError as error:
        raise ScenarioError(f"{name}: {error.args[0]} is missing") from error
    except ValueError as error:  # TOML, goals and names say what is wrong; add where
        raise ScenarioError(f"{name}: {error}") from error
    return scenario


def load_all(limits, directory=DIRECTORY):
    """Every scenario of the directory, in the order in which they run."""
    found = [from_text(path.stem, path.read_text(encoding="utf-8"), limits)
             for path in sorted(directory.glob("*.toml"))]
    return sorted(found, key=lambda scenario: (scenario.order, scenario.name))


def arguments(load):
    """The driver's command line for a load without expressions."""
    result = []
    for key, value in load.items():
        if value is True:
            result.append(OPTIONS[key])
        elif value is not False:
            result += [OPTIONS[key], str(value)]
    return result
