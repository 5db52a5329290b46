"""Numbers with units: as people write them in scenarios, and as they read them in tables."""

import math
import re

_SUFFIXES = {
    "": 1, "%": 0.01, "k": 1e3, "M": 1e6, "G": 1e9,
    "ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1,
    "B": 1, "KB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30,
}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z%]*)")


def number(text):
    """40us, 0.35, 5%, 20MB: in seconds, bytes or plain."""
    match = _NUMBER.fullmatch(text)
    if not match or match[2] not in _SUFFIXES:
        raise ValueError(f"{text!r} is no number with a unit")
    return float(match[1]) * _SUFFIXES[match[2]]


def _digits(value):
    """Three significant digits, and never an exponent."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}"
    return text


def scale(unit, value):
    """(what to divide by, the unit to show) for values of about this size."""
    if unit == "s":
        for factor, name in ((1, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if abs(value) >= factor:
                return factor, name
        return 1e-6, "µs"
    if unit == "share":
        return 0.01, "%"
    steps = {
        "B/s": ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "KB/s"), (1, "B/s")),
        "B": ((1e9, "GB"), (1e6, "MB"), (1e3, "KB"), (1, "B")),
        "records/s": ((1e6, "M records/s"), (1e3, "k records/s"), (1, "records/s")),
        "requests/s": ((1e3, "k requests/s"), (1, "requests/s")),
    }.get(unit, ((1, unit),))
    for factor, name in steps:
        if abs(value) >= factor:
            return factor, name
    return steps[-1]


def show(value, unit, like=None):
    """"1.23 GB/s"; in the unit that suits `like`, when given."""
    if value is None:
        return "–"
    factor, name = scale(unit, value if like is None else like)
    return f"{_digits(value / factor)} {name}".rstrip()


def show_range(median, low, high, unit):
    """"1.23 GB/s [1.11–1.31]"; without the range when there is only one value."""
    text = show(median, unit)
    if low == high:
        return text
    factor, _ = scale(unit, median)
    return f"{text} [{_digits(low / factor)}–{_digits(high / factor)}]"


def show_factor(value):
    return "–" if value is None else f"{_digits(value)} ×"


def show_share(value):
    """Of a limit: 85 %, and what is far above it as a factor."""
    if value is None:
        return "–"
    return f"{value * 100:.0f} %" if value < 2 else show_factor(value)
