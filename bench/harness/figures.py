"""Which figures there are, how they come out of the driver's JSON, and how they are summed up."""

from dataclasses import dataclass
import statistics


@dataclass(frozen=True)
class Figure:
    unit: str
    higher_is_better: bool
    text: str


_FLOW = {
    "bytes_per_second": Figure("B/s", True, "bytes of record batches"),
    "records_per_second": Figure("records/s", True, "records"),
    "requests_per_second": Figure("requests/s", True, "requests"),
    "unsent_records": Figure("records", False, "records that were due and never left"),
    "p50": Figure("s", False, "latency, half of the records"),
    "p90": Figure("s", False, "latency, 90 %"),
    "p99": Figure("s", False, "latency, 99 %"),
    "p99_9": Figure("s", False, "latency, 99.9 %"),
    "p99_99": Figure("s", False, "latency, 99.99 %"),
    "max": Figure("s", False, "latency, the slowest"),
}
_PROCESS = {
    "cpu_s_per_gb": Figure("s/GB", False, "processor time for a gigabyte"),
    "cpu_per_request": Figure("s", False, "processor time for a request"),
    "cores": Figure("cores", False, "processors in use"),
}
_SERVER = {
    "server_rss": Figure("B", False, "resident memory afterwards"),
    "server_rss_peak": Figure("B", False, "resident memory at its peak"),
    "server_syscalls_per_request": Figure("", False, "system calls for a request"),
}
_START = {
    "first_answer": Figure("s", False, "start on an empty directory until the first answer"),
    "idle_rss": Figure("B", False, "resident memory of an idle server"),
    "idle_cpu": Figure("share", False, "share of one processor that an idle server takes"),
    "program_size": Figure("B", False, "the program's own files, binaries stripped"),
}
FLOWS = ("produce", "fetch", "e2e")
MAIN_FLOW = {"produce": "produce", "rtt": "produce", "consume": "fetch", "e2e": "e2e",
             "mixed": "produce"}

FIGURES = dict(_FLOW)
for _flow in FLOWS:
    FIGURES |= {f"{_flow}_{name}": figure for name, figure in _FLOW.items()}
for _who in ("server", "driver"):
    FIGURES |= {f"{_who}_{name}": figure for name, figure in _PROCESS.items()}
FIGURES |= _SERVER | _START


def describe(path):
    """The Figure that a path such as "saturate.records_per_second" ends in."""
    return FIGURES[path.rsplit(".", 1)[-1]]


def _of_flow(flow):
    found = {name: flow[name] for name in
             ("bytes_per_second", "records_per_second", "requests_per_second", "unsent_records")}
    latency = flow["latency_us"]
    for name in ("p50", "p90", "p99", "p99_9", "p99_99", "max"):
        if name in latency:
            found[name] = latency[name] * 1e-6
    return found


def _of_process(process):
    found = {"cores": process.get("cores"), "cpu_s_per_gb": process.get("cpu_seconds_per_gb")}
    if "cpu_us_per_request" in process:
        found["cpu_per_request"] = process["cpu_us_per_request"] * 1e-6
    return {name: value for name, value in found.items() if value is not None}


def of_driver(result):
    """{figure: value} of one JSON answer of `varve bench`.  The flow that the mode is about has the
    short names; every flow has them with its own name before."""
    found = {}
    for flow in FLOWS:
        if flow not in result:
            continue
        figures = _of_flow(result[flow])
        found |= {f"{flow}_{name}": value for name, value in figures.items()}
        if flow == MAIN_FLOW[result["mode"]]:
            found |= figures
    for who in ("server", "driver"):
        if who in result:
            found |= {f"{who}_{k}": v for k, v in _of_process(result[who]).items()}
    if "server" in result:
        found["server_rss"] = result["server"]["rss_bytes"]
        found["server_rss_peak"] = result["server"]["rss_peak_bytes"]
    return found


def of_start(result):
    """{figure: [values]} of the JSON answer of bench/peers/start_time."""
    return {
        "first_answer": [ms * 1e-3 for ms in result["start_ms"]],
        "idle_rss": [result["idle_rss_bytes"]],
        "idle_cpu": [result["idle_cpu_percent"] / 100],
        "program_size": [result["program_bytes"]],
    }


@dataclass(frozen=True)
class Summary:
    """One figure over all repetitions."""
    median: float
    low: float
    high: float
    best: float
    values: tuple


def summarise(values, higher_is_better):
    values = tuple(values)
    if not values:
        raise ValueError("nothing was measured")
    low, high = min(values), max(values)
    return Summary(statistics.median(values), low, high,
                   high if higher_is_better else low, values)
