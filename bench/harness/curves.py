"""What the plots need from the kept answers of the driver."""

import json

from . import figures, results as res

LATENCY_STEPS = ("rtt",)  # modes that are about latency by themselves; others by their rate
DISK_ALONE = (("p50", 0.5), ("p99", 0.99), ("p99_9", 0.999))


def _read(directory, run):
    return json.loads((directory / "raw" / run["file"]).read_text(encoding="utf-8"))


def chosen_repetition(scenario, peer):
    """Of varve the one nearest to the median, of another server the best."""
    found = res.headline(scenario, peer)
    if found is None:
        return 0
    wanted = res.bar(scenario, peer)
    values = found["values"]
    return min(range(len(values)), key=lambda i: abs(values[i] - wanted))


def _runs(scenario, peer):
    return [run for run in scenario["runs"].get(peer, ()) if run["measured"]]


def _flow(result):
    """The flow whose latency the run is about: e2e, else what the mode is about."""
    return result.get(figures.MAIN_FLOW[result["mode"]])


def _panel(data, scenario, step, directory):
    curves = {}
    for peer in sorted(scenario["figures"], key=lambda name: not name.startswith("varve")):
        runs = [run for run in _runs(scenario, peer) if run["step"] == step]
        wanted = min(chosen_repetition(scenario, peer), len(runs) - 1)
        if runs:
            latency = _flow(_read(directory, runs[wanted]))["latency_us"]
            curves[peer] = [(q, us * 1e-6) for q, us in latency.get("curve", ())]
    points = []
    if scenario["limit"].startswith("durable_") and scenario["limit"].endswith("_p50"):
        stem = scenario["limit"].removesuffix("p50")
        points = [(q, data["limits"][stem + name]["median"]) for name, q in DISK_ALONE]
    title = scenario["title"] + (f"\n{step.replace('_', ' ')}" if step else "")
    return title, curves, points


def latency_panels(data, directory):
    """[(scenario name, (title, curves, points))] of what is about latency."""
    panels = []
    for scenario in data["scenarios"]:
        if scenario["unit"] != "s":
            continue
        steps = {}
        for peer in scenario["figures"]:
            for run in _runs(scenario, peer):
                if run["mode"] in LATENCY_STEPS or "--rate" in run["options"]:
                    steps[run["step"]] = True
        panels += [(scenario["name"], _panel(data, scenario, step, directory)) for step in steps]
    return [panel for panel in panels if any(panel[1][1].values())]


def series_panels(data, directory):
    """[(title, unit, {peer: [values of a repetition]})] of the workloads about throughput."""
    panels = []
    for scenario in data["scenarios"]:
        unit, (step, _, figure) = scenario["unit"], scenario["headline"].rpartition(".")
        key = {"B/s": "bytes", "records/s": "records"}.get(unit)
        if unit == "requests/s":
            key, unit = "records", "records/s"
        if key is None:
            continue
        strands = {}
        for peer in scenario["figures"]:
            for run in _runs(scenario, peer):
                if run["step"] == step:
                    seconds = _flow(_read(directory, run))["seconds"]
                    values = [second[key] for second in seconds]
                    strands.setdefault(peer, []).append(values)
        strands = {peer: runs for peer, runs in strands.items() if any(runs)}
        if strands and max(len(run) for runs in strands.values() for run in runs) > 1:
            panels.append((scenario["title"], unit, strands))
    return panels
