"""What the machine can do, measured beside the servers: disk by fio, loopback by iperf3, memory by
copying.  Each limit says what it is; `measure` returns {name: value} of one pass."""

from dataclasses import dataclass
import json
import time

from . import peers, process

MIB = 1 << 20
DEPTH, FILES = 16, 16  # as P1: 16 partitions, 16 requests in flight
COPY_BYTES = 64 * MIB


@dataclass(frozen=True)
class Limit:
    unit: str
    text: str


LIMITS = {
    "write_1m": Limit("B/s", "disk: sequential direct writes of 1 MiB, 16 in flight, no flush"),
    "dsync_256k": Limit("B/s", "disk: durable writes of 256 KiB (O_DIRECT, O_DSYNC) to 16 files, "
                        "16 in flight, into preallocated, never written extents"),
    "dsync_256k_over": Limit("B/s", "the same over blocks that were written before"),
    "read_1m": Limit("B/s", "disk: sequential direct reads of 1 MiB, 16 in flight"),
    "loopback_1": Limit("B/s", "loopback: one TCP stream, 256 KiB a call"),
    "loopback_4": Limit("B/s", "loopback: four TCP streams, 256 KiB a call"),
    "memcpy": Limit("B/s", "memory: one thread copies 64 MiB again and again"),
}
for _size in (4, 16):
    for _name, _text in (("p50", "half"), ("p99", "99 %"), ("p99_9", "99.9 %")):
        LIMITS[f"durable_{_size}k_{_name}"] = Limit(
            "s", f"disk: one durable write of {_size} KiB after the other, over written blocks: "
                 f"{_text} are faster")


@dataclass(frozen=True)
class Effort:
    bytes: int      # of the files that are written
    seconds: float  # of the runs that last a given time


FULL = Effort(3 << 30, 2)
QUICK = Effort(2 << 30, 1)


def _fio(room, name, *options):
    out = process.run(
        ["fio", f"--name={name}", f"--directory={room}", "--filename_format=limit.$filenum",
         "--direct=1", "--group_reporting", "--thread", "--invalidate=1",
         "--percentile_list=50:99:99.9", "--output-format=json", *options], timeout=120)
    job = json.loads(out[out.index("{"):])["jobs"][0]
    if job["error"]:
        raise process.ToolError(f"fio {name}: error {job['error']}")
    return job


def _throughput(room, effort):
    many = ["--ioengine=io_uring", f"--nrfiles={FILES}", f"--filesize={effort.bytes // FILES}",
            "--file_service_type=roundrobin:1", f"--iodepth={DEPTH}"]
    durable = [*many, "--rw=write", "--bs=256k", "--sync=dsync"]
    fresh = _fio(room, "dsync-fresh", *durable, "--fallocate=native")
    over = _fio(room, "dsync-over", *durable, "--overwrite=1")
    read = _fio(room, "read", *many, "--rw=read", "--bs=1m")
    write = _fio(room, "write", *many, "--rw=write", "--bs=1m", "--overwrite=1")
    return {"dsync_256k": fresh["write"]["bw_bytes"], "dsync_256k_over": over["write"]["bw_bytes"],
            "read_1m": read["read"]["bw_bytes"], "write_1m": write["write"]["bw_bytes"]}


def _latency(room, effort, kib):
    job = _fio(room, f"durable-{kib}k", "--ioengine=psync", "--nrfiles=1", "--rw=write",
               f"--filesize={effort.bytes // FILES}", f"--bs={kib}k", "--sync=dsync",
               "--overwrite=1", "--time_based", f"--runtime={effort.seconds}")
    spread = job["write"]["clat_ns"]["percentile"]
    return {f"durable_{kib}k_{name}": spread[key] * 1e-9
            for name, key in (("p50", "50.000000"), ("p99", "99.000000"), ("p99_9", "99.900000"))}


def _disk(room, effort):
    """In this order: the first run finds no files, the others what it wrote."""
    folder = room / "limits"
    peers.remove(folder)
    folder.mkdir(parents=True)
    try:
        return {**_throughput(folder, effort), **_latency(folder, effort, 4),
                **_latency(folder, effort, 16)}
    finally:
        peers.remove(folder)


def _loopback(streams, seconds):
    port = str(peers.free_port())
    server = process.begin(["iperf3", "-s", "-1", "-p", port, "--forceflush"])
    try:
        while "listening" not in (line := server.stdout.readline()):
            if not line:
                raise process.ToolError("iperf3 -s ended")
        text = process.run(["iperf3", "-c", "127.0.0.1", "-p", port, "-P", str(streams), "-t",
                            str(max(1, round(seconds))), "-l", "256K", "-J"], timeout=60)
    finally:
        process.end(server)
    return json.loads(text)["end"]["sum_received"]["bits_per_second"] / 8


def _memcpy(seconds):
    """memoryview assignment is one memmove; both sides are far larger than the caches."""
    source, target = memoryview(bytearray(COPY_BYTES)), memoryview(bytearray(COPY_BYTES))
    target[:] = source
    copied, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        target[:] = source
        copied += COPY_BYTES
    return copied / spent


def measure(room, effort):
    return {**_disk(room, effort), "loopback_1": _loopback(1, effort.seconds),
            "loopback_4": _loopback(4, effort.seconds), "memcpy": _memcpy(effort.seconds / 2)}
