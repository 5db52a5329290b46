"""The table on the terminal."""

from . import results as res, units
from .machine import sentence

NO, YES, OPEN = "missed", "met", "open"


def _cell(scenario, peer):
    found = res.headline(scenario, peer)
    if found is None:
        return "–"
    return units.show_range(found["median"], found["low"], found["high"], scenario["unit"])


def verdict(scenario):
    """"met 3, missed 1, open 2": what could not be judged is counted as open."""
    judged = [goal["met"] for goal in scenario["goals"]]
    parts = []
    if True in judged:
        parts.append(f"{YES} {judged.count(True)}")
    if False in judged:
        parts.append(f"{NO} {judged.count(False)}")
    if None in judged:
        parts.append(f"{OPEN} {judged.count(None)}")
    return ", ".join(parts)


def _others(data):
    return [peer for peer in data["run"]["peers"] if peer.split(":")[0] != "varve"]


def rows(data):
    others = _others(data)
    yield ["scenario", "varve", *others, "limit", "× kafka", "of limit", "goals"]
    for scenario in data["scenarios"]:
        main = res.main_server(scenario)
        limit = data["limits"].get(scenario["limit"])
        shown = units.show(limit["median"], limit["unit"]) if limit else "–"
        own = _cell(scenario, main)
        if main != "varve":
            own += f" ({main.split(':')[1]})"
        yield [scenario["name"], own, *(_cell(scenario, peer) for peer in others), shown,
               units.show_factor(res.times_better(scenario, main, "kafka")),
               units.show_share(res.share_of_limit(data, scenario, main)), verdict(scenario)]


def _print_columns(lines):
    lines = list(lines)
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for n, line in enumerate(lines):
        cells = [f"{line[0]:<{widths[0]}}"]
        cells += [f"{cell:>{width}}" for cell, width in zip(line[1:], widths[1:])]
        print("  ".join(cells).rstrip())
        if n == 0:
            print("  ".join("─" * width for width in widths))


def goal_line(goal):
    """met / missed / open, the goal, and the two sides as measured."""
    word = {True: YES, False: NO, None: OPEN}[goal["met"]]
    sides = ""
    if goal["met"] is not None:
        left = units.show(goal["left"], goal["unit"])
        right = units.show(goal["right"], goal["unit"], like=goal["left"])
        sides = f"{left} {goal['compare']} {right}"
    return word, goal["text"], sides


def caption(data):
    run = data["run"]
    yield sentence(data["machine"])
    yield "; ".join(data["versions"].values())
    plural = "s" if run["repeat"] > 1 else ""
    yield (f"{run['repeat']} repetition{plural}: median [range]. Of other servers the best "
           "repetition is the bar, in ratios and goals. The driver shares the machine. Limits are "
           "medians of passes between the servers.")
    for peer, seconds in run["warmup"].items():
        if seconds:
            yield f"{peer}: at least {seconds:g} s of the same load before the first repetition."
    for peer, settings in run["settings"].items():
        yield f"{peer}: not default: {'; '.join(settings)}."
    if run["left_out"]:
        yield f"Left out: {', '.join(run['left_out'])}."


def show(data):
    print()
    _print_columns(rows(data))
    print()
    for scenario in data["scenarios"]:
        for goal in scenario["goals"]:
            word, text, sides = goal_line(goal)
            print(f"{scenario['name']:<22} {word:<7} {text}{'   (' + sides + ')' if sides else ''}")
        for peer, problem in scenario["problems"].items():
            print(f"{scenario['name']:<22} {peer}: {problem}")
    print()
    for line in caption(data):
        print(line)
