"""Plots, by matplotlib, as SVG text."""

import io
import math

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter  # noqa: E402

from . import results as res, units  # noqa: E402

# Okabe and Ito: told apart by every kind of colour vision.
COLOURS = {"varve": "#0072B2", "kafka": "#D55E00", "kafka:flush": "#E69F00",
           "varve:shards=1": "#56B4E9", "varve:shards=2": "#0072B2"}
SPARE = ["#009E73", "#CC79A7", "#8C6D1F", "#6A6A6A"]
INK, FAINT, GRID = "#222222", "#6b6b6b", "#e4e4e4"
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.labelcolor": FAINT,
    "axes.edgecolor": "#bdbdbd", "axes.linewidth": 0.8, "axes.spines.top": False,
    "axes.spines.right": False, "xtick.color": FAINT, "ytick.color": FAINT, "axes.titlesize": 10,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "svg.fonttype": "path",
    "svg.hashsalt": "varve", "figure.facecolor": "white", "savefig.facecolor": "white",
}
PER_ROW, PANEL = 3, (3.55, 2.1)
QUANTILES = ((0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %"))


def colour(peer):
    return COLOURS.get(peer) or SPARE[sum(peer.encode()) % len(SPARE)]


def label(peer):
    return {"kafka": "Kafka", "kafka:flush": "Kafka, flush"}.get(peer, peer.split(":")[-1]
                                                                if peer.startswith("varve:")
                                                                else peer)


def _svg(figure):
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    plt.close(figure)
    return text.getvalue()


def _grid(count, panel=PANEL, per_row=PER_ROW):
    """A figure with so many panels, and the unused ones taken away."""
    columns = min(count, per_row)
    rows = math.ceil(count / columns)
    figure, axes = plt.subplots(rows, columns, squeeze=False, layout="constrained",
                                figsize=(panel[0] * columns, panel[1] * rows))
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    axes = list(axes.flat)
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


# --- bars ---------------------------------------------------------------------------------------


def _limit_of(data, scenario):
    limit = data["limits"].get(scenario["limit"])
    return limit["median"] if limit and limit["unit"] == scenario["unit"] else None


def _bar_panel(axis, data, scenario, title):
    shown = [peer for peer in data["run"]["peers"] if res.headline(scenario, peer)]
    shown.sort(key=lambda peer: not peer.startswith("varve"))
    found = [res.headline(scenario, peer) for peer in shown]
    limit = _limit_of(data, scenario)
    top = max([one["high"] for one in found] + ([limit] if limit else []))
    factor, unit = units.scale(scenario["unit"], top)
    for y, (peer, one) in enumerate(zip(shown, found)):
        value = res.bar(scenario, peer)
        axis.barh(y, value / factor, height=0.62, color=colour(peer), zorder=2)
        if one["low"] != one["high"]:
            axis.plot([one["low"] / factor, one["high"] / factor], [y, y], color=INK, lw=1.1,
                      solid_capstyle="butt", zorder=3)
        _name_bar(axis, y, value / factor, max(value, one["high"]) / factor, top / factor,
                  units.show(value, scenario["unit"], like=top).split(" ")[0])
    if limit:
        axis.axvline(limit / factor, color=INK, lw=1.1, ls=(0, (4, 2)), zorder=1)
        axis.annotate("limit " + units.show(limit, scenario["unit"], like=top).split(" ")[0],
                      (limit / factor, -0.62), xytext=(-3, 0), textcoords="offset points",
                      ha="right", va="center", fontsize=8, color=FAINT)
    axis.set_yticks(range(len(shown)), [label(peer) for peer in shown])
    axis.set_ylim(len(shown) - 0.45, -0.95 if limit else -0.6)
    axis.set_xlim(0, top / factor * 1.16)
    axis.tick_params(axis="y", length=0, labelcolor=INK)
    axis.xaxis.set_major_locator(MaxNLocator(4))
    axis.grid(axis="x", color=GRID, zorder=0)
    axis.set_title(title)
    axis.set_xlabel(unit)


def _name_bar(axis, y, value, end, top, text):
    """The number inside its bar, at the foot, or beside a bar that is too short for it."""
    inside = value > 0.27 * top
    axis.annotate(text, (0 if inside else end, y), xytext=(5, 0), textcoords="offset points",
                  va="center", fontsize=9, zorder=4, color="white" if inside else INK,
                  fontweight="bold" if inside else "normal")


def bars(data, scenarios, titles=None, per_row=PER_ROW):
    with plt.rc_context(STYLE):
        figure, axes = _grid(len(scenarios), per_row=per_row)
        for n, (axis, scenario) in enumerate(zip(axes, scenarios)):
            _bar_panel(axis, data, scenario, titles[n] if titles else short(scenario))
        return _svg(figure)


def short(scenario):
    """The title, broken where it would run into its neighbour."""
    title = scenario["title"]
    if len(title) <= 36:
        return title
    at = title.rfind(" ", 0, 36)
    return title[:at] + "\n" + title[at + 1:]


README = {"p1": "P1 · 1 KB records,\n256 KiB requests", "p2": "P2 · 100 B records,\none partition",
          "p5-requests": "P5 · one-record\nrequests, 1 KB",
          "p7-memory-4": "P7 · consume from\nmemory"}


def readme(data, path):
    found = {s["name"]: s for s in data["scenarios"] if s["name"] in README and s["figures"]}
    chosen = [found[name] for name in README if name in found]
    if not chosen:
        raise SystemExit(f"none of {', '.join(README)} is in these results")
    path.write_text(bars(data, chosen, [README[s["name"]] for s in chosen], per_row=2),
                    encoding="utf-8")


# --- latencies ----------------------------------------------------------------------------------


def _time_text(seconds, _position=None):
    factor, unit = units.scale("s", seconds * 1.0001)
    return f"{seconds / factor:g} {unit}"


def spread_labels(values, gap):
    """Positions on a log axis, in order, at least so far apart (in decades)."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    placed, last = [0.0] * len(values), -math.inf
    for i in order:
        last = max(math.log10(values[i]), last + gap)
        placed[i] = 10 ** last
    return placed


def _latency_panel(axis, title, curves, points):
    """curves: {peer: [(quantile, seconds)]}; points: the disk alone, the same way."""
    ends, names, lows, highs = [], [], [], []
    for peer, curve in curves.items():
        shown = [(1 / (1 - q), s) for q, s in curve if 0 <= q <= 0.9999 and s > 0]
        if not shown:
            continue
        axis.plot([x for x, _ in shown], [s for _, s in shown], color=colour(peer), lw=1.8)
        ends.append(shown[-1])
        names.append(peer)
        lows.append(min(s for x, s in shown if x >= 1.5))
        highs.append(shown[-1][1])
    if points:
        xs = [1 / (1 - q) for q, _ in points]
        axis.plot(xs, [s for _, s in points], "o", color=FAINT, ms=4)
        axis.annotate("disk alone", (xs[0], points[0][1]), xytext=(7, -1), color=FAINT,
                      textcoords="offset points", va="center", fontsize=8)
        lows.append(points[0][1])
    axis.set_xscale("log")
    axis.set_yscale("log")
    low, high = min(lows) / 1.5, max(highs) * 1.6
    axis.set_ylim(low, high)
    axis.set_xlim(1.5, 1e4 * 1.2)
    gap = math.log10(high / low) * 0.075
    for peer, (x, _), y in zip(names, ends, spread_labels([s for _, s in ends], gap)):
        axis.annotate(label(peer), (x, y), xytext=(5, 0), textcoords="offset points",
                      color=colour(peer), va="center", fontsize=9, annotation_clip=False)
    axis.set_xticks([1 / (1 - q) for q, _ in QUANTILES], [text for _, text in QUANTILES])
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(axis="x", which="minor", length=0)
    axis.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter(FuncFormatter(_time_text))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(axis="y", which="minor", length=0)
    axis.grid(color=GRID)
    axis.set_title(title)


def latencies(panels):
    """panels: [(title, curves, points)]"""
    with plt.rc_context(STYLE):
        figure, axes = _grid(len(panels), (5.3, 3.1), 2)
        for axis, panel in zip(axes, panels):
            _latency_panel(axis, *panel)
        return _svg(figure)


# --- time series --------------------------------------------------------------------------------


def series(panels):
    """panels: [(title, unit, {peer: [[value of each second] of each repetition]})]"""
    with plt.rc_context(STYLE):
        figure, axes = _grid(len(panels))
        for axis, (title, unit, strands) in zip(axes, panels):
            _series_panel(axis, title, unit, strands)
        return _svg(figure)


def _series_panel(axis, title, unit, strands):
    top = max(v for runs in strands.values() for run in runs for v in run)
    factor, name = units.scale(unit, top)
    last = max(len(run) for runs in strands.values() for run in runs)
    labels = []
    for peer, runs in strands.items():
        for run in runs:
            axis.plot([n + 1 for n in range(len(run))], [v / factor for v in run],
                      color=colour(peer), lw=1.3, marker="o", ms=2.6, alpha=0.85)
        labels.append((sum(run[-1] for run in runs) / len(runs) / factor, peer))
    height, at = top / factor * 1.12, -math.inf
    for y, peer in sorted(labels):
        at = max(y, at + height * 0.1)
        axis.annotate(label(peer), (last, at), xytext=(6, 0), textcoords="offset points",
                      color=colour(peer), va="center", fontsize=9, annotation_clip=False)
    axis.set_ylim(0, height)
    axis.set_xlim(0.8, last + 0.1)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axis.yaxis.set_major_locator(MaxNLocator(4))
    axis.grid(color=GRID)
    axis.set_title(title)
    axis.set_ylabel(name)
    axis.set_xlabel("second")
