"""Runs scenarios: one server at a time, each scenario several times on it."""

from dataclasses import dataclass, field
import os
import pathlib
import shutil
import sys
import time

from . import driver, figures, goals, limits, names, other, peers, process, scenario as scenarios, \
    syscalls, units

QUICK_DURATION, QUICK_WARMUP = "2s", "500ms"
SPACE_TIMEOUT = 5  # seconds that a server has to give deleted topics' space back


@dataclass
class Plan:
    scenarios: list
    peers: list  # in the order in which they run: varve, whose rates may refer to others, last
    repeat: int
    quick: bool
    room: pathlib.Path  # below it all data is written
    out: pathlib.Path
    binary: pathlib.Path
    cache: pathlib.Path


@dataclass
class Outcome:
    """Of one scenario on one server."""
    values: dict = field(default_factory=dict)  # path -> a value for each repetition
    runs: list = field(default_factory=list)    # what was called, and where its answer is
    problem: str = ""                           # why there is less than expected


class Session:
    def __init__(self, plan):
        self.plan, self.began = plan, time.monotonic()
        raw = plan.out / "raw"
        raw.mkdir(parents=True, exist_ok=True)
        self.driver = driver.Driver(plan.binary, raw)
        self.outcomes = {}  # (scenario name, peer name) -> Outcome
        self.nulls = {}     # scenario name -> Outcome against the driver's own sink
        self.limits = {}    # name -> values

    def say(self, text):
        spent = int(time.monotonic() - self.began)
        print(f"[{spent // 60:2d}:{spent % 60:02d}] {text}", file=sys.stderr, flush=True)

    # --- the whole ----------------------------------------------------------------------------

    def run(self):
        """The limits first, again before varve (the others ran before it), and at the end."""
        self.measure_limits()
        for n, peer in enumerate(self.plan.peers):
            if n and peer.name == names.VARVE and not self.plan.quick:
                self.measure_limits()
            self.run_peer(peer)
        if not self.plan.quick:
            self.measure_limits()
        self.run_nulls()

    def measure_limits(self):
        effort = limits.QUICK if self.plan.quick else limits.FULL
        try:
            found = limits.measure(self.plan.room, effort)
        except process.ToolError as error:
            self.say(f"limits: {error}")
            return
        for name, value in found.items():
            self.limits.setdefault(name, []).append(value)
        shown = ", ".join(f"{name} {units.show(found[name], limits.LIMITS[name].unit)}" for name in
                          ("dsync_256k", "dsync_256k_over", "durable_4k_p50", "loopback_4"))
        self.say(f"limits: {shown}")

    def run_peer(self, peer):
        """One server for all scenarios that share one; the others have their own."""
        mine = [s for s in self.plan.scenarios if peer.name in s.peers]
        shared = [s for s in mine if not s.fresh and not s.starts_itself]
        groups = [shared] if shared else []
        groups += [[s] for s in mine if s.fresh]
        for group in groups:
            left = list(group)
            while left:
                left = self.run_on_one_server(peer, left)
        for scenario in mine:
            if scenario.starts_itself:
                self.run_start(scenario, peer)

    def run_on_one_server(self, peer, group):
        """Returns what is left to be done because the server ended."""
        try:
            with peers.running(peer, self.plan.room) as server:
                self.say(f"{peer.name} runs as process {server.pid}")
                for done, scenario in enumerate(group, 1):
                    self.run_scenario(scenario, server)
                    if not pathlib.Path(f"/proc/{server.pid}").exists():
                        return group[done:]
        except process.ToolError as error:
            self.say(f"{peer.name}: {error}")
            for scenario in group:
                self.outcomes.setdefault((scenario.name, peer.name), Outcome(problem=str(error)))
        return []

    # --- one scenario -------------------------------------------------------------------------

    def run_scenario(self, scenario, server):
        outcome = self.outcomes[scenario.name, server.peer.name] = Outcome()
        free = shutil.disk_usage(self.plan.room).free
        if free < scenario.disk:
            outcome.problem = f"needs {units.show(scenario.disk, 'B')} of free disk space"
            self.say(f"{scenario.name}: {outcome.problem}")
            return
        warmed = set()
        try:
            if scenario.by_user:
                outcome.values = other.user(self, scenario, server)
                return
            for repetition in range(self.repetitions(scenario)):
                for step in scenario.steps:
                    if not (step.once and repetition) and wanted(step, server.peer):
                        self.run_step(scenario, step, server, repetition, warmed)
            if scenario.syscalls:
                self.count_syscalls(scenario, server, outcome)
        except process.ToolError as error:
            outcome.problem = str(error)
            self.say(f"{scenario.name} on {server.peer.name}: {error}")

    def repetitions(self, scenario):
        return min(self.plan.repeat, scenario.repeat or self.plan.repeat)

    def load_of(self, scenario, step, peer):
        load = dict(step.load)
        if self.plan.quick:
            quick = {"duration": QUICK_DURATION, "warmup": QUICK_WARMUP, **(scenario.quick or {})}
            load |= {key: value for key, value in quick.items() if key in load}
        terms = scenarios.rate_terms(load)
        if terms:
            rate = goals.total(terms, lambda name: self.value_for_rate(scenario, peer, name))
            if rate is None:
                return None
            load["rate"] = f"{rate:.0f}"
        return load

    def value_for_rate(self, scenario, peer, name):
        """Of this server what was measured last, of another its best."""
        target = resolve(scenario, name)
        if target.kind == "limit":
            return self.limits[target.path][-1]
        mine = names.identifier(peer.name)
        for (of, who), outcome in self.outcomes.items():
            if of == scenario.name and names.identifier(who) == (target.peer or mine):
                values = outcome.values.get(target.path)
                if values and names.identifier(who) == mine:
                    return values[-1]
                if values:
                    better = figures.describe(target.path).higher_is_better
                    return figures.summarise(values, better).best
        return None

    def run_step(self, scenario, step, server, repetition, warmed):
        peer, outcome = server.peer, self.outcomes[scenario.name, server.peer.name]
        load = self.load_of(scenario, step, peer)
        if load is None:
            outcome.problem = f"{step.name} was left out: its rate depends on what was not measured"
            return
        if step.before == "cold":
            server.make_cold()
        elif step.measured and step.mode not in warmed:
            self.warm_up(step, server, load)
            warmed.add(step.mode)
        name = file_name(scenario, step, peer.name, repetition)
        free = shutil.disk_usage(self.plan.room).free
        result = self.driver.measure(name, step.mode, load, target_of(server))
        settle(self.plan.room, 0 if load.get("keep") else free)
        shown = self.note(outcome, scenario, step, result) if step.measured else {}
        outcome.runs.append({"step": step.name, "repetition": repetition, "file": f"{name}.json",
                             "measured": step.measured, "mode": step.mode,
                             "options": " ".join(scenarios.arguments(load))})
        text = ", ".join(units.show(value, figures.describe(path).unit)
                         for path, value in shown.items())
        self.say(f"{scenario.name} · {peer.name} {repetition + 1}/{self.repetitions(scenario)}"
                 f"{' ' + step.name if step.name else ''}{': ' + text if text else ''}")

    def warm_up(self, step, server, load):
        """The same load before the first repetition.  What it wrote is deleted and forgotten before
        the clock starts, or a server that leaves flushing to the kernel would pay for it later."""
        seconds = server.peer.traits.warmup
        if not seconds:
            return
        free = shutil.disk_usage(self.plan.room).free
        warm = {**load, "duration": f"{seconds:g}s", "warmup": "0s"}
        self.driver.measure("warm-up", step.mode, warm, target_of(server))
        settle(self.plan.room, free)

    def note(self, outcome, scenario, step, result):
        """Adds the figures of one answer; returns the one or two that tell most."""
        prefix = f"{step.name}." if step.name else ""
        found = {prefix + name: value for name, value in figures.of_driver(result).items()}
        for path, value in found.items():
            outcome.values.setdefault(path, []).append(value)
        shown = [scenario.headline] if scenario.headline in found else []
        shown += [path for path in (f"{prefix}bytes_per_second", f"{prefix}p99")
                  if path in found and path not in shown]
        return {path: found[path] for path in shown[:2]}

    def count_syscalls(self, scenario, server, outcome):
        if not syscalls.available():
            self.say("system calls are not counted: perf is missing")
            return
        step = next(s for s in scenario.steps if s.measured)
        name = f"{scenario.name}.syscalls.{server.peer.name.replace(':', '-')}"
        try:
            found = syscalls.per_request(self.driver, name, step, step.load, server)
        except process.ToolError as error:
            self.say(f"system calls are not counted: {error}")
            return
        if found is not None:
            outcome.values["server_syscalls_per_request"] = [found]

    # --- what is not load on a server -----------------------------------------------------------

    def run_start(self, scenario, peer):
        outcome = self.outcomes[scenario.name, peer.name] = Outcome()
        try:
            name = file_name(scenario, scenario.steps[0], peer.name, 0)
            outcome.values = other.start(self, scenario, peer, name)
        except process.ToolError as error:
            outcome.problem = str(error)
            self.say(f"{scenario.name} on {peer.name}: {error}")

    def run_nulls(self):
        """The driver's own ceiling: the same load into a sink that answers at once."""
        for scenario in self.plan.scenarios:
            if not scenario.null:
                continue
            step = next(s for s in scenario.steps if s.measured)
            load = {**step.load, "duration": "2s", "warmup": "500ms"}
            outcome = self.nulls[scenario.name] = Outcome()
            try:
                name = file_name(scenario, step, "null", 0)
                result = self.driver.measure(name, step.mode, load, ["--null"])
                self.note(outcome, scenario, step, result)
            except process.ToolError as error:
                outcome.problem = str(error)
        if self.nulls:
            self.say("the driver against its own sink: done")


def target_of(server):
    target = ["--address", server.address, "--server-pid", str(server.pid)]
    for setting in server.peer.traits.topic_config:
        target += ["--config", setting]
    return target


def wanted(step, peer):
    return not step.peers or peer.name in step.peers


def resolve(scenario, name, left=None):
    return names.resolve(name, left=left, steps=scenario.step_names(), limits=limits.LIMITS,
                         peers=[names.identifier(peer) for peer in scenario.peers])


def file_name(scenario, step, peer, repetition):
    parts = [scenario.name, step.name, peer.replace(":", "-").replace("=", "-"), str(repetition)]
    return ".".join(part for part in parts if part)


def settle(room, free):
    """Until what was deleted is gone, so that the next scenario does not pay for it."""
    deadline = time.monotonic() + SPACE_TIMEOUT
    while shutil.disk_usage(room).free < free - 1e9 and time.monotonic() < deadline:
        time.sleep(0.1)
    os.sync()
