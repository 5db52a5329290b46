"""Servers, each behind a script of bench/peers (its README.md describes the interface).  A server
runs on a data directory of its own, which is removed with it, whatever happens."""

from dataclasses import dataclass
import contextlib
import os
import pathlib
import shutil
import socket
import sys

from . import process

SCRIPTS = pathlib.Path(__file__).resolve().parents[1] / "peers"
sys.path.append(str(SCRIPTS))
import peer as answering  # noqa: E402  (the scripts' own module: what it takes to be up)

PREPARE_TIMEOUT, START_TIMEOUT, STOP_TIMEOUT = 900, 180, 120


@dataclass(frozen=True)
class Traits:
    """What a fair measurement has to know about a server."""
    warmup: float = 0         # seconds of the same load before the first repetition
    own_cache: bool = False   # keeps data in its own memory: cold means started anew
    topic_config: tuple = ()  # settings of topics, shown in the caption


TRAITS = {
    "varve": Traits(own_cache=True),
    # Deleted topics would hold their space for a minute: the disk has to be there for the next.
    "kafka": Traits(warmup=10, topic_config=("file.delete.delay.ms=1000",)),
}

# What a variant changes, for the caption.
VARIANTS = {"kafka:flush": "log.flush.interval.messages=1", "varve:shards=1": "varve.shards=1",
            "varve:shards=2": "varve.shards=2"}


@dataclass(frozen=True)
class Peer:
    name: str  # as on the command line: kafka:flush
    script: pathlib.Path
    variant: str
    cache: pathlib.Path

    @property
    def program(self):
        return self.script.name

    @property
    def traits(self):
        return TRAITS.get(self.program, Traits(warmup=10))

    def settings(self):
        """Everything that is not default."""
        variant = () if self.variant == "default" else (VARIANTS.get(self.name, self.variant),)
        topics = (f"topics with {', '.join(self.traits.topic_config)}",)
        return [*variant, *(topics if self.traits.topic_config else ())]

    def say(self, verb, *arguments, timeout=60):
        return process.run([self.script, verb, *arguments], timeout=timeout).strip()


def find(name, cache):
    program, _, variant = name.partition(":")
    script = SCRIPTS / program
    if "/" in program or not program or not os.access(script, os.X_OK) or not script.is_file():
        raise process.ToolError(f"{name}: there is no {script}")
    peer = Peer(name, script, variant or "default", cache)
    variants = peer.say("variants").split()
    if peer.variant not in variants:
        raise process.ToolError(f"{name}: {program} has the variants {', '.join(variants)}")
    return peer


def prepare(peer):
    peer.cache.mkdir(parents=True, exist_ok=True)
    peer.say("prepare", peer.cache, timeout=PREPARE_TIMEOUT)
    return peer.say("version", peer.cache)


def free_port():
    """A port that is free now, with the one above it."""
    for _ in range(100):
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = first.getsockname()[1]
            try:
                second.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port
    raise process.ToolError("no two free ports in a row")


def remove(data):
    shutil.rmtree(data, ignore_errors=True)
    for beside in data.parent.glob(data.name + ".*"):
        beside.unlink(missing_ok=True)


class Server:
    """A running server; use running() to have it stopped."""

    def __init__(self, peer, data):
        self.peer, self.data, self.port, self.pid = peer, data, 0, 0
        self.again = None  # the process, once it was started anew on its data

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.port = free_port()
        said = self.peer.say("start", self.peer.cache, self.data, self.port, self.peer.variant,
                             timeout=START_TIMEOUT)
        word, _, pid = said.splitlines()[-1].partition(" ")
        if word != "pid" or not pid.isdecimal():
            raise process.ToolError(f"{self.peer.name}: start said {said!r}")
        self.pid = int(pid)

    def stop(self):
        if self.pid:
            pid, self.pid = self.pid, 0
            self.peer.say("stop", pid, timeout=STOP_TIMEOUT)
        if self.again:
            self.again.wait()
            self.again = None

    def command(self):
        text = pathlib.Path(f"/proc/{self.pid}/cmdline").read_bytes()
        return [os.fsdecode(word) for word in text.split(b"\0")[:-1]]

    def start_again(self, command):
        """The scripts start on empty directories only: the same command on what is there."""
        log = answering.log_of(self.data)
        self.again = answering.spawn(command, log)
        self.pid = self.again.pid
        answering.wait_until(self.again, log, lambda: answering.names_a_broker(self.port))

    def make_cold(self):
        """Nothing of its data is in memory: its own cache goes with the process, the kernel's by
        posix_fadvise, which needs no privilege."""
        restart = self.command() if self.peer.traits.own_cache else None
        if restart:
            self.stop()
        os.sync()
        for folder, _, files in os.walk(self.data):  # what is deleted meanwhile does no harm
            for name in files:
                forget(os.path.join(folder, name))
        if restart:
            self.start_again(restart)


def forget(path):
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return  # deleted meanwhile
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


@contextlib.contextmanager
def running(peer, room):
    """A server on a new directory below `room`."""
    data = room / f"{peer.name.replace(':', '-').replace('=', '-')}-{os.getpid()}"
    remove(data)
    data.mkdir(parents=True)
    server = Server(peer, data)
    try:
        server.start()
        yield server
    finally:
        try:
            server.stop()
        finally:
            remove(data)
