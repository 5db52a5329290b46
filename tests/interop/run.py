#!/usr/bin/env python3
"""Runs real Kafka clients against a server and compares what they see.

  run.py matrix    every client produces every codec that it has; every client reads back what all
                   wrote, and finds offsets by time in it
  run.py admin     every client that can: create, describe, grow and delete a topic
  run.py auto      every client produces to a topic that does not exist yet
  run.py old       a client that negotiates nothing: Metadata v1, CreateTopics v0, Produce v3 must
                   work at the first try
  run.py flights   the 336,776 flights of nycflights13: whole, and by time window

The server is one that this starts (`--varve PATH [--io uring|posix]`) or one that runs already
(`--address HOST:PORT`, a real Kafka too; `old` is for varve only, Kafka no longer speaks those
versions). Clients are prepared by tests/interop/prepare; without them the test is skipped (exit
77); with a choice of `--clients` the others are not needed.
"""

import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import flights
import wire
from clients import clients
from records import PARTITIONS, generate, generate_for_kcat, read, split, write
from server import Server, SkipTest

CLIENT_TIMEOUT = 240
ALREADY_EXISTS, INVALID_PARTITIONS, UNKNOWN_TOPIC = 36, 37, 3


class Failures(list):
    def check(self, ok, text):
        if not ok:
            print(f"FAIL {text}", flush=True)
            self.append(text)
        return ok


class Run:
    """One server, the chosen clients, a scratch directory."""

    def __init__(self, address, chosen, scratch, is_varve=False):
        self.address, self.clients, self.scratch = address, chosen, pathlib.Path(scratch)
        self.is_varve = is_varve
        self.failures = Failures()
        # A server that stays may still hold the topics of an earlier run.
        self.prefix = f"t{os.getpid()}-{int(time.time())}"

    def call(self, client, *args, may_fail=False):
        """Runs one program: (stdout or None, seconds). A failure is noted unless it may fail."""
        started = time.monotonic()
        try:
            done = subprocess.run(
                [*client.command, self.address, *map(str, args)],
                env=os.environ | client.env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=CLIENT_TIMEOUT,
            )
            error = None if done.returncode == 0 else done.stdout[-1000:] + done.stderr[-3000:]
        except subprocess.TimeoutExpired as e:
            error = f"no end after {CLIENT_TIMEOUT} s: {(e.stderr or b'')[-2000:]}"
        took = time.monotonic() - started
        self.failures.check(
            error is None or may_fail, f"{client.name} {' '.join(map(str, args))[:60]}: {error}"
        )
        return (done.stdout if error is None else None), took

    def create_topic(self, topic, partitions=PARTITIONS, configs=()):
        with wire.Connection(self.address) as c:
            error = c.create_topic(topic, partitions, configs)
        self.failures.check(error == 0, f"creating {topic}: error {error}")

    def partitions(self, topic):
        with wire.Connection(self.address) as c:
            _, error, partitions = c.metadata(topic, create=False)
        return len(partitions) if error == 0 else 0

    def check_times(self, client, topic, partitions, instants):
        """Does the client find, per partition, the first record at or after each instant?"""
        out = self.scratch / f"{client.name}-{topic}.times"
        if self.call(client, "times", topic, out, *instants)[0] is None:
            return
        got = {tuple(int(n) for n in line.split()) for line in out.read_text().splitlines()}
        want = set()
        for ms in instants:
            for partition, written in enumerate(partitions):
                none_so_late = len(written) if client.past_end == "end" else -1
                want.add(
                    (
                        ms,
                        partition,
                        next((i for i, r in enumerate(written) if r.timestamp >= ms), none_so_late),
                    )
                )
        self.failures.check(
            got == want,
            f"{client.name} times in {topic}: (ms, partition, offset) is "
            f"{sorted(got - want)[:3]}, should be {sorted(want - got)[:3]}",
        )

    def in_pairs(self, function):
        """function(client) for every client, two at a time: one keeps the other's pauses busy."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(function, self.clients))


# --- matrix ------------------------------------------------------------------------------------


class Cell:
    """What one client wrote with one codec."""

    def __init__(self, run, client, codec):
        self.client, self.codec = client, codec
        self.topic = f"{run.prefix}-{client.name}-{codec}"
        start = int(time.time() * 1000) - 3600_000
        self.records = (
            generate_for_kcat(self.topic, start)
            if client.own_timestamps
            else generate(self.topic, start, nulls_everywhere=client.nulls_everywhere)
        )
        self.file = run.scratch / f"{self.topic}.in"
        write(self.file, self.records)

    def by_partition(self):
        return split(self.records, PARTITIONS)


def join_headers(headers):
    """As kcat prints them: joined, each value up to its first NUL."""
    text = b",".join(
        name.encode() + b"=" + (b"NULL" if value is None else value.split(b"\0")[0])
        for name, value in headers
    )
    return (("kcat", text),) if text else ()


def difference(reader, cell, index, want, got):
    """The name of what differs between a record as written and as read, or None."""
    headers = join_headers(want.headers) if reader.joins_headers else want.headers
    checks = {
        "offset": (index, got.offset),
        "key": (want.key, got.key),
        "value": (want.value, got.value),
        "headers": (headers, got.headers),
    }
    if cell.client.own_timestamps:
        checks["timestamp"] = (True, abs(got.timestamp - time.time() * 1000) < 3600_000)
    else:
        checks["timestamp"] = (want.timestamp, got.timestamp)
    for name, (a, b) in checks.items():
        if a != b:
            return f"{name}: wrote {a!r:.60}, read {b!r:.60}"
    return None


def compare(run, reader, cell, directory):
    path = directory / f"{cell.topic}.tsv"
    got = split(read(path), PARTITIONS)
    for partition, wanted in enumerate(cell.by_partition()):
        where = f"{reader.name} reading {cell.client.name}/{cell.codec}, partition {partition}"
        if not run.failures.check(
            len(wanted) == len(got[partition]),
            f"{where}: {len(wanted)} written, {len(got[partition])} read",
        ):
            continue
        for index, (want, have) in enumerate(zip(wanted, got[partition])):
            wrong = difference(reader, cell, index, want, have)
            if not run.failures.check(wrong is None, f"{where}, record {index}: {wrong}"):
                break
    path.unlink()


def instants_of(records):
    stamps = sorted(r.timestamp for r in records)
    return [
        0,
        stamps[0],
        stamps[0] + 1,
        stamps[len(stamps) // 2],
        stamps[-len(stamps) // 3] - 1,
        stamps[-1],
        stamps[-1] + 1,
    ]


def matrix(run):
    cells = {c.name: [Cell(run, c, codec) for codec in c.codecs] for c in run.clients}
    for cell in sum(cells.values(), []):
        run.create_topic(cell.topic)

    def produce(client):
        args = [a for cell in cells[client.name] for a in (cell.topic, cell.codec, cell.file)]
        output, took = run.call(client, "produce", *args)
        if output is None:
            del cells[client.name]  # said once; nobody needs to miss its records
        print(f"{client.name:20} wrote {len(client.codecs)} topics in {took:5.1f} s", flush=True)

    def consume(client):
        directory = run.scratch / f"read-{client.name}"
        directory.mkdir()
        output, took = run.call(
            client, "consume", directory, *(cell.topic for row in cells.values() for cell in row)
        )
        for row in cells.values() if output is not None else ():
            for cell in row:
                compare(run, client, cell, directory)
        stamped = [row for row in cells.values() if not row[0].client.own_timestamps]
        for row in stamped[:2]:
            for cell in (row[0], row[-1]):  # not compressed, and inside compressed batches
                run.check_times(client, cell.topic, cell.by_partition(), instants_of(cell.records))
        print(
            f"{client.name:20} read  {sum(map(len, cells.values()))} topics in {took:5.1f} s",
            flush=True,
        )

    run.in_pairs(produce)
    run.in_pairs(consume)


# --- admin, auto, old ----------------------------------------------------------------------------

ADMIN_STEPS = f"""create 0
create-again {ALREADY_EXISTS}
partitions 3
config 2000000
brokers 1
grow 0
shrink {INVALID_PARTITIONS}
partitions 5
delete 0
delete-again {UNKNOWN_TOPIC}
"""


def admin(run):
    """varve's answer is a promise that everyone sees the change; Kafka's may come before its broker
    has heard of it, so there a client may try again."""
    attempts = 1 if run.is_varve else 10

    def one(client):
        for attempt in range(1, attempts + 1):
            topic = f"{run.prefix}-admin-{client.name}-{attempt}"
            got, took = run.call(client, "admin", topic, may_fail=attempt < attempts)
            left = run.partitions(topic)
            if got == ADMIN_STEPS and left == 0:
                break
        else:
            run.failures.check(
                got == ADMIN_STEPS, f"{client.name} admin: wanted\n{ADMIN_STEPS}got\n{got}"
            )
            run.failures.check(left == 0, f"{client.name}: {topic} is still there")
        print(f"{client.name:20} admin in {took:5.1f} s, attempt {attempt}", flush=True)

    run.clients = [c for c in run.clients if c.admin]
    run.in_pairs(one)


def auto(run):
    def one(client):
        cell = Cell(run, client, "none")
        cell.topic += "-auto"
        cell.records = [r._replace(partition=0) for r in cell.records if len(r.value or b"") < 1000]
        write(cell.file, cell.records)
        produced, took = run.call(client, "produce", cell.topic, "none", cell.file)
        run.failures.check(
            run.partitions(cell.topic) > 0, f"{client.name}: {cell.topic} was not created"
        )
        directory = run.scratch / f"auto-{client.name}"
        directory.mkdir()
        if (
            produced is not None
            and run.call(client, "consume", directory, cell.topic)[0] is not None
        ):
            compare(run, client, cell, directory)
        print(f"{client.name:20} created by producing in {took:5.1f} s", flush=True)

    run.in_pairs(one)


def old(run):
    """ruby-kafka's calls, on a topic made by Metadata at the first try, and by CreateTopics v0."""
    now = int(time.time() * 1000)
    for topic, create in ((f"{run.prefix}-old-auto", False), (f"{run.prefix}-old-made", True)):
        with wire.Connection(run.address) as c:
            if create:
                error = c.create_topic(topic, 1, version=0)
                run.failures.check(error == 0, f"CreateTopics v0: error {error}")
            brokers, error, partitions = c.metadata(topic)
            run.failures.check(
                (brokers, error, len(partitions)) == (1, 0, 1) and partitions[0][0] == 0,
                f"Metadata v1: {brokers} brokers, error {error}, partitions {partitions}",
            )
            for round_ in range(2):
                result = c.produce(topic, 0, wire.batch([b"one", b"two", b"three"], now))
                run.failures.check(
                    result == (0, 3 * round_), f"Produce v3 to {topic}: (error, offset) {result}"
                )


# ------------------------------------------------------------------------------------------------

TESTS = {"matrix": matrix, "admin": admin, "auto": auto, "old": old, "flights": flights.flights}
NEEDED = {"old": [], "flights": flights.CLIENTS}


def need(name, paths):
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        raise SkipTest(
            f"{name} needs {', '.join(missing)}: run tests/interop/prepare (./dev test does)"
        )


def choose(args):
    everyone = {c.name: c for c in clients(args.librdkafka)}
    names = args.clients.split(",") if args.clients else NEEDED.get(args.test, list(everyone))
    for name in names:
        if name not in everyone:
            raise SystemExit(f"no client {name}: there are {', '.join(everyone)}")
        need(name, everyone[name].needs)
    if args.test == "flights":
        need("flights", (flights.DATA,))
    return [everyone[name] for name in names]


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("test", choices=TESTS)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--varve", metavar="PATH", help="start this executable")
    where.add_argument("--address", metavar="HOST:PORT", help="use a server that runs already")
    parser.add_argument("--io", default="auto", choices=("uring", "posix", "auto"))
    parser.add_argument("--clients", help="only these, comma-separated")
    parser.add_argument("--librdkafka", metavar="PATH", help="the compiled librdkafka program")
    args = parser.parse_args()
    try:
        chosen = choose(args)
        with tempfile.TemporaryDirectory(prefix="varve-interop-") as scratch:
            with Server(args, scratch) as address:
                run = Run(address, chosen, scratch, is_varve=bool(args.varve))
                TESTS[args.test](run)
    except SkipTest as why:
        print(f"skipped: {why}")
        return 77
    print(f"{len(run.failures)} failures")
    return 1 if run.failures else 0


if __name__ == "__main__":
    sys.exit(main())
