"""What the peers have in common: their command line, how a server is started and stopped, and how
one sees that it answers.  README.md describes the interface."""

import json
import os
import pathlib
import select
import signal
import socket
import struct
import subprocess
import sys
import time

START_TIMEOUT = 120  # a JVM on a busy machine
STOP_TIMEOUT = 30
ANSWER_TIMEOUT = 5
PAUSE_MS = 1
ANSWER_MAX = 1 << 20
API_METADATA, API_VERSIONS = 3, 18


def fail(text):
    raise SystemExit(f"{pathlib.Path(sys.argv[0]).name}: {text}")


class Peer:
    """A peer names its variants and knows how to get, describe and run one server."""

    variants = ["default"]

    def prepare(self, cache):
        raise NotImplementedError

    def version(self, cache):
        raise NotImplementedError

    def files(self, cache):
        """The program's own files."""
        raise NotImplementedError

    def command(self, cache, data, port, variant):
        """Does what has to be done once to an empty data directory; returns what to execute."""
        raise NotImplementedError


# --- is it there? -------------------------------------------------------------------------------


def receive(s, n):
    data = b""
    while len(data) < n:
        more = s.recv(n - len(data))
        if not more:
            raise OSError("closed")
        data += more
    return data


def ask(port, key, version, body=b""):
    """One request on a connection of its own; the body of the answer."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT) as s:
        header = struct.pack(">hhih4s", key, version, 1, 4, b"peer")
        s.sendall(struct.pack(">i", len(header + body)) + header + body)
        size = struct.unpack(">i", receive(s, 4))[0]
        if not 4 <= size <= ANSWER_MAX:
            raise OSError("not an answer")
        return receive(s, size)[4:]


def answers(port):
    """Does it answer ApiVersions?"""
    try:
        return ask(port, API_VERSIONS, 0)[:2] == b"\0\0"
    except OSError:
        return False


def names_a_broker(port):
    """Does Metadata (of no topic) name a broker?  One that is still starting may know of none."""
    try:
        answer = ask(port, API_METADATA, 4, struct.pack(">ib", 0, 0))
        return struct.unpack(">i", answer[4:8])[0] > 0
    except OSError:
        return False


# --- processes ----------------------------------------------------------------------------------


def ended(pidfd, milliseconds):
    """Waits so long, or until the process ends; did it?"""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(milliseconds))


def log_of(data):
    return pathlib.Path(f"{data}.log")


def environment():
    """Without what would change a setting of varve's, or be refused as one: VARVE_BINARY."""
    return {k: v for k, v in os.environ.items() if not k.startswith("VARVE_")}


def spawn(command, log):
    """In a session of its own, so that nothing sent to the caller's terminal reaches it."""
    with log.open("wb") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment(),
            start_new_session=True,
        )


def wait_until(process, log, ready):
    """Until ready() says so; a process that does not get there is ended, and its log shown."""
    deadline = time.monotonic() + START_TIMEOUT
    pidfd = os.pidfd_open(process.pid)
    try:
        while not ready():
            if ended(pidfd, PAUSE_MS):
                raise SystemExit(f"ended while it started: {tail(log)}")
            if time.monotonic() > deadline:
                raise SystemExit(f"no answer in {START_TIMEOUT} s: {tail(log)}")
    except BaseException:
        stop(process.pid)
        raise
    finally:
        os.close(pidfd)


def tail(log):
    return log.read_text(errors="replace")[-3000:]


def send(function, *arguments):
    try:
        function(*arguments)
    except ProcessLookupError:
        pass


def stop(pid):
    """SIGTERM, a bounded wait, then SIGKILL; also to what it may have left in its group."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        leads = os.getpgid(pid) == pid
        send(signal.pidfd_send_signal, pidfd, signal.SIGTERM)
        if not ended(pidfd, STOP_TIMEOUT * 1000):
            send(signal.pidfd_send_signal, pidfd, signal.SIGKILL)
            ended(pidfd, STOP_TIMEOUT * 1000)
        if leads:
            send(os.killpg, pid, signal.SIGKILL)
    finally:
        os.close(pidfd)


def start(peer, cache, data, port, variant):
    process = spawn(peer.command(cache, data, port, variant), log_of(data))
    wait_until(process, log_of(data), lambda: answers(port) and names_a_broker(port))
    return process.pid


# --- the command line ---------------------------------------------------------------------------


def launch_arguments(peer, rest):
    """CACHE_DIR DATA_DIR PORT VARIANT, checked."""
    if len(rest) != 4:
        fail("CACHE_DIR DATA_DIR PORT VARIANT, please")
    cache, data = pathlib.Path(rest[0]).resolve(), pathlib.Path(rest[1]).resolve()
    if not rest[2].isdecimal() or not 0 < int(rest[2]) < 65535:
        fail(f"{rest[2]} is no port")
    if rest[3] not in peer.variants:
        fail(f"no variant {rest[3]}; there are: {', '.join(peer.variants)}")
    if not data.is_dir() or any(data.iterdir()):
        fail(f"{data} is not an empty directory")
    if answers(int(rest[2])):
        fail(f"another server answers on port {rest[2]} already")
    return cache, data, int(rest[2]), rest[3]


def main(peer):
    verb, *rest = sys.argv[1:] or [""]
    if verb == "variants" and not rest:
        print("\n".join(peer.variants))
    elif verb in ("prepare", "version", "files") and len(rest) == 1:
        for line in getattr(peer, verb)(pathlib.Path(rest[0]).resolve()) or ():
            print(line)
    elif verb == "start":
        print(f"pid {start(peer, *launch_arguments(peer, rest))}")
    elif verb == "command":
        print(json.dumps(peer.command(*launch_arguments(peer, rest))))
    elif verb == "stop" and len(rest) == 1 and rest[0].isdecimal() and int(rest[0]) > 1:
        stop(int(rest[0]))
    else:
        fail(
            "prepare|version|files CACHE_DIR, variants, stop PID,\n"
            "or start|command CACHE_DIR DATA_DIR PORT VARIANT"
        )
