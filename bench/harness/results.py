"""From what was measured to results.json: medians, ranges, goals met or missed."""

import dataclasses
import json

from . import figures, goals, limits, names, run


def _summaries(outcome):
    return {path: dataclasses.asdict(figures.summarise(values,
                                                       figures.describe(path).higher_is_better))
            for path, values in outcome.values.items()}


def _limits(session):
    found = {}
    for name, values in session.limits.items():
        limit = limits.LIMITS[name]
        better = limit.unit == "B/s"
        found[name] = {**dataclasses.asdict(figures.summarise(values, better)),
                       "unit": limit.unit, "text": limit.text}
    return found


def lookup(scenario, by_peer, known_limits, left=None):
    """name -> value: varve's median, another server's best repetition, a limit's median."""
    def find(name):
        target = run.resolve(scenario, name, left)
        if target.kind == "limit":
            return known_limits.get(target.path, {}).get("median")
        who = target.peer or names.VARVE
        figure = by_peer.get(who, {}).get(target.path)
        if figure is None:
            return None
        return figure["median" if who.startswith(names.VARVE) else "best"]
    return find


def _goals(scenario, by_peer, known_limits):
    found = []
    for goal in scenario.goals:
        left = run.resolve(scenario, goal.left).path
        verdict = goals.judge(goal, lookup(scenario, by_peer, known_limits, left))
        found.append({"text": goal.text, "met": verdict.met, "left": verdict.left,
                      "right": verdict.right, "compare": goal.compare,
                      "unit": figures.describe(left).unit})
    return found


def _scenario(session, scenario, known_limits):
    by_name, problems, runs = {}, {}, {}
    for peer in session.plan.peers:
        outcome = session.outcomes.get((scenario.name, peer.name))
        if outcome is None:
            continue
        if outcome.values:
            by_name[peer.name] = _summaries(outcome)
        if outcome.problem:
            problems[peer.name] = outcome.problem
        runs[peer.name] = outcome.runs
    by_identifier = {names.identifier(name): found for name, found in by_name.items()}
    null = session.nulls.get(scenario.name)
    return {
        "name": scenario.name, "title": scenario.title, "about": scenario.about,
        "goal": scenario.goal, "note": scenario.note, "group": scenario.group,
        "headline": scenario.headline, "unit": scenario.figure.unit,
        "higher_is_better": scenario.figure.higher_is_better, "limit": scenario.limit,
        "figures": by_name, "null": _summaries(null) if null else {}, "runs": runs,
        "problems": problems, "goals": _goals(scenario, by_identifier, known_limits),
    }


def collect(session, machine, versions, left_out):
    known_limits = _limits(session)
    plan = session.plan
    return {
        "format": 1, "machine": machine, "versions": versions,
        "run": {"quick": plan.quick, "repeat": plan.repeat, "left_out": left_out,
                "peers": [peer.name for peer in plan.peers],
                "warmup": {peer.name: peer.traits.warmup for peer in plan.peers},
                "settings": {peer.name: peer.settings() for peer in plan.peers if peer.settings()}},
        "limits": known_limits,
        "scenarios": [_scenario(session, s, known_limits) for s in plan.scenarios],
    }


def save(results, directory):
    path = directory / "results.json"
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read(directory):
    return json.loads((directory / "results.json").read_text(encoding="utf-8"))


# --- what tables and plots ask for -------------------------------------------------------------


def headline(scenario, peer):
    """The summary of the headline figure on one server, or None."""
    return scenario["figures"].get(peer, {}).get(scenario["headline"])


def bar(scenario, peer):
    """What a server's headline is counted as: its median, and of another server its best."""
    found = headline(scenario, peer)
    if found is None:
        return None
    return found["median" if peer.split(":")[0] == names.VARVE else "best"]


def times_better(scenario, peer, than):
    """How many times better one server is than another: above 1 is better, whatever the unit."""
    mine, other = bar(scenario, peer), bar(scenario, than)
    if not mine or not other:
        return None
    return mine / other if scenario["higher_is_better"] else other / mine


def share_of_limit(results, scenario, peer):
    mine, limit = bar(scenario, peer), results["limits"].get(scenario["limit"], {}).get("median")
    if not mine or not limit:
        return None
    return mine / limit


def main_server(scenario):
    """varve, or, where a scenario compares its variants, the last of them."""
    mine = [peer for peer in scenario["figures"] if peer.split(":")[0] == names.VARVE]
    return names.VARVE if names.VARVE in mine or not mine else mine[-1]
