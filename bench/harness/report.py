"""report.html: one file with the table on top and the plots below."""

import base64
import html
import pathlib

from . import curves, plots, results as res, table, units
from .machine import sentence

WORDS = {True: ("met", "✓"), False: ("missed", "✗"), None: ("open", "–")}
STYLE = (pathlib.Path(__file__).resolve().parent / "report.css").read_text(encoding="utf-8")
esc = html.escape


def _tag(name, inner, kind=""):
    return f"<{name}{f' class={kind}' if kind else ''}>{inner}</{name}>"


def _row(cells, name="td"):
    return "<tr>" + "".join(_tag(name, cell, "n" if i else "") for i, cell in enumerate(cells)) \
        + "</tr>"


# --- tables -------------------------------------------------------------------------------------


def _figure_cell(scenario, peer):
    found = res.headline(scenario, peer)
    if found is None:
        return "–"
    text = _tag("b", esc(units.show(found["median"], scenario["unit"])))
    if found["low"] == found["high"]:
        return text
    factor, _ = units.scale(scenario["unit"], found["median"])
    low, high = (units.show(found[end] / factor, "") for end in ("low", "high"))
    return text + _tag("small", f"{low} – {high}")


def _goal_items(scenario):
    items = []
    for goal in scenario["goals"]:
        word, mark = WORDS[goal["met"]]
        _, text, sides = table.goal_line(goal)
        items.append(f"<li class={word}><b>{mark} {word}</b> <code>{esc(text)}</code>"
                     f"{_tag('small', esc(sides)) if sides else ''}</li>")
    return _tag("ul", "".join(items), "goals") if items else _tag("small", "shown, no goal")


def _scenario_row(data, scenario, others):
    main = res.main_server(scenario)
    limit = data["limits"].get(scenario["limit"])
    own = _figure_cell(scenario, main)
    for peer in scenario["figures"]:
        if peer != main and peer.startswith("varve"):
            own += _tag("small", f"{esc(plots.label(peer))}: "
                        f"{esc(units.show(res.bar(scenario, peer), scenario['unit']))}")
    if main != "varve":
        own = _tag("small", esc(plots.label(main))) + own
    ratio = units.show_factor(res.times_better(scenario, main, "kafka"))
    share = units.show_share(res.share_of_limit(data, scenario, main))
    shown = "–"
    if limit:
        shown = esc(units.show(limit["median"], limit["unit"])) \
            + _tag("small", f"{esc(scenario['limit'])}: {share}")
    cells = "".join(f"<td class=n>{cell}</td>" for cell in (
        own, *(_figure_cell(scenario, peer) for peer in others), shown, ratio))
    problems = "".join(f"<p class=problem>{esc(peer)}: {esc(text)}</p>"
                       for peer, text in scenario["problems"].items())
    return (f"<tr><td class=what><b>{esc(scenario['title'])}</b>"
            f"<small>{esc(figure_words(scenario))}</small>{problems}</td>{cells}"
            f"<td class=judged>{_goal_items(scenario)}</td></tr>")


def figure_words(scenario):
    step, _, figure = scenario["headline"].rpartition(".")
    words = figure.replace("_per_second", " per second").replace("_", " ")
    if figure.rsplit("_", 1)[-1] in ("p50", "p99"):
        words = "latency " + words
    return words + (f" ({step.replace('_', ' ')})" if step else "")


def main_table(data):
    others = [peer for peer in data["run"]["peers"] if not peer.startswith("varve")]
    head = "".join(_tag("th", cell, "n" if i else "") for i, cell in enumerate(
        ["workload", "varve", *(esc(plots.label(peer)) for peer in others), "limit", "× Kafka"]))
    body = "".join(_scenario_row(data, scenario, others) for scenario in data["scenarios"])
    return (f"<table class=main><thead><tr>{head}<th>goals</th></tr></thead>"
            f"<tbody>{body}</tbody></table>")


def cost_table(data):
    """What server and driver spend, and how fast the driver is against its own sink."""
    def cost(figures, prefix, name, unit):
        found = figures.get(prefix + name)
        return esc(units.show(found["median"], unit)) if found else "–"
    rows = []
    for scenario in data["scenarios"]:
        step = scenario["headline"].rpartition(".")[0]
        prefix = step + "." if step else ""
        null = scenario["null"].get(scenario["headline"])
        for peer, figures in scenario["figures"].items():
            if prefix + "driver_cores" not in figures:
                continue
            rows.append(_row([
                esc(scenario["title"]), esc(plots.label(peer)),
                *(cost(figures, prefix, f"{who}_{name}", unit)
                  for name, unit in (("cpu_s_per_gb", "s/GB"), ("cpu_per_request", "s"))
                  for who in ("server", "driver")),
                cost(figures, prefix, "server_rss_peak", "B"),
                esc(units.show(null["median"], scenario["unit"])) if null else "–"]))
    head = _row(["workload", "server", "server CPU per GB", "driver CPU per GB",
                 "server CPU per request", "driver CPU per request", "server memory, peak so far",
                 "driver into its own sink"], "th")
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


def limits_table(data):
    rows = [_row([f"<code>{esc(name)}</code> {esc(limit['text'])}", esc(units.show_range(
        limit["median"], limit["low"], limit["high"], limit["unit"]))])
        for name, limit in data["limits"].items()]
    head = _row(["limit", "median [range]"], "th")
    return f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"


# --- plots --------------------------------------------------------------------------------------


def _plot(svg, alt, caption):
    code = base64.b64encode(svg.encode()).decode()
    return (f'<figure><img alt="{esc(alt)}" src="data:image/svg+xml;base64,{code}">'
            f"<figcaption>{caption}</figcaption></figure>")


def _what_was_run(scenarios):
    return _tag("ul", "".join(f"<li><b>{esc(s['title'])}.</b> {esc(s['about'])}</li>"
                              for s in scenarios), "runs")


def bar_section(data):
    shown = [s for s in data["scenarios"] if s["unit"] in ("B/s", "records/s", "requests/s")
             and any(res.headline(s, peer) for peer in data["run"]["peers"])]
    if not shown:
        return ""
    return "<h2>Throughput</h2>" + _plot(
        plots.bars(data, shown), "bars of throughput for each workload and server",
        "varve: the median, other servers: their best repetition; the thin line is the range of "
        "the repetitions, the dashed line the limit of the machine that the workload meets first. "
        + _what_was_run(shown))


def latency_section(data, directory):
    panels = curves.latency_panels(data, directory)
    if not panels:
        return ""
    names = {name for name, _ in panels}
    return "<h2>Latency</h2>" + _plot(
        plots.latencies([panel for _, panel in panels]), "latency percentiles",
        "Share of records that were at least this fast, on both axes in powers. varve: the "
        "repetition whose headline is the median, other servers: their best. Open loops count from "
        "the time at which a record should have left, so that waiting is not left out. "
        + _what_was_run([s for s in data["scenarios"] if s["name"] in names]))


def series_section(data, directory):
    panels = curves.series_panels(data, directory)
    if not panels:
        return ""
    return "<h2>Over time</h2>" + _plot(
        plots.series(panels), "throughput of each second",
        "Each second of the workloads above; a line is a repetition.")


# --- the page -----------------------------------------------------------------------------------


def summary(data):
    judged = [goal["met"] for s in data["scenarios"] for goal in s["goals"]]
    parts = [f"<span class={word}>{judged.count(met)} {word}</span>"
             for met, (word, _) in WORDS.items() if met in judged]
    return f"<p class=summary>{len(judged)} goals: {', '.join(parts)}</p>"


def page(data, directory):
    captions = "".join(_tag("p", esc(line)) for line in list(table.caption(data))[1:])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>varve bench</title>
<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>
<h1>varve bench</h1>
<p class=machine>{esc(sentence(data["machine"]))}</p>
{summary(data)}
{main_table(data)}
<div class=caption>{captions}</div>
{bar_section(data)}
{latency_section(data, directory)}
{series_section(data, directory)}
<h2>What it costs</h2>
<p>The driver shares the machine with the server; its own processor time stands beside the server's.
Against its own sink, in its own process and without a server, it reaches the last column.</p>
{cost_table(data)}
<h2>Limits</h2>
<p>{esc(data["machine"]["fio"])} and {esc(data["machine"]["iperf3"])}, on the same file system.</p>
{limits_table(data)}
</body></html>
"""


def write(directory):
    directory = pathlib.Path(directory)
    path = directory / "report.html"
    path.write_text(page(res.read(directory), directory), encoding="utf-8")
    return path
