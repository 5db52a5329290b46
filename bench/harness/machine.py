"""What the figures were measured on."""

import datetime
import os
import pathlib
import platform
import re

from . import process


def _line(path, pattern):
    try:
        found = re.search(pattern, pathlib.Path(path).read_text(encoding="utf-8"), re.M)
    except OSError:
        return ""
    return found[1].strip() if found else ""


def mount_of(room):
    """(device, file system) of the longest mount point above the directory."""
    best, room = ("", "", ""), os.path.realpath(room)
    for line in pathlib.Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        device, point, kind = line.split()[:3]
        inside = room == point or room.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, device, kind)
    return best[1], best[2]


def _first_line(command):
    try:
        return process.run(command, timeout=20).splitlines()[0]
    except (process.ToolError, IndexError):
        return ""


def describe(room):
    device, kind = mount_of(room)
    memory = int(_line("/proc/meminfo", r"^MemTotal:\s+(\d+) kB") or 0) * 1024
    cpu = _line("/proc/cpuinfo", r"^model name\s*:\s*(.+)$") or platform.machine()
    return {
        "cpu": cpu, "cores": os.cpu_count(), "memory_bytes": memory,
        "kernel": platform.release(),
        "system": _line("/etc/os-release", r'^PRETTY_NAME="?([^"\n]+)'),
        "file_system": kind, "device": device,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "fio": _first_line(["fio", "--version"]), "iperf3": _first_line(["iperf3", "--version"]),
    }


def sentence(machine):
    memory = f"{machine['memory_bytes'] / (1 << 30):.0f} GiB"
    return (f"{machine['cores']} × {machine['cpu']}, {memory}, "
            f"{machine['file_system']} on {machine['device']}, Linux {machine['kernel']}, "
            f"{machine['system']}, {machine['date']}")
