"""System calls of a server under load, counted by `perf` where it is there and may count."""

import pathlib
import shutil
import tempfile

DURATION = "2s"
EVENT = "raw_syscalls:sys_enter"


def available():
    return shutil.which("perf") is not None


def per_request(driver, name, step, load, server):
    """In a run of its own, because counting costs a little; from its first request on, so that
    what is counted and the requests are of the same time."""
    with tempfile.NamedTemporaryFile() as counted:
        wrapper = ["perf", "stat", "-x,", "-o", counted.name, "-e", EVENT, "-p", str(server.pid),
                   "--"]
        result = driver.measure(name, step.mode, {**load, "duration": DURATION, "warmup": "0s"},
                                ["--address", server.address], wrapper)
        calls = parse(pathlib.Path(counted.name).read_text(encoding="utf-8"))
    requests = result["produce" if "produce" in result else "fetch"]["requests"]
    return calls / requests if calls is not None and requests else None


def parse(text):
    """The count in perf's CSV; None when it could not count."""
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[2].startswith(EVENT) and fields[0].isdecimal():
            return int(fields[0])
    return None
