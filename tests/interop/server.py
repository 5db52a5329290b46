"""A varve that a test starts and stops, or the address of a server that runs already."""

import ctypes
import errno
import pathlib
import queue
import re
import subprocess
import threading

READY_TIMEOUT = 30
STOP_TIMEOUT = 60
IO_URING_SETUP = 425


class SkipTest(Exception):
    pass


def io_uring_refused():
    """Does this kernel or container refuse io_uring? Asked of the kernel itself, so that a failure
    of varve's own stays a failure."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.syscall(IO_URING_SETUP, 1, ctypes.create_string_buffer(120))
    if fd >= 0:
        libc.close(fd)
        return False
    return ctypes.get_errno() in (errno.EPERM, errno.ENOSYS, errno.EACCES)


class Server:
    """`with Server(args, scratch) as address`: leaving checks that SIGTERM makes it exit 0."""

    def __init__(self, args, scratch):
        self.args, self.process = args, None
        self.data, self.log = pathlib.Path(scratch) / "data", pathlib.Path(scratch) / "server.log"

    def __enter__(self):
        if self.args.address:
            return self.args.address
        if self.args.io == "uring" and io_uring_refused():
            raise SkipTest("the kernel or container refuses io_uring")
        command = [
            self.args.varve,
            "serve",
            "--data-dir",
            self.data,
            "--listen",
            "127.0.0.1:0",
            f"--io={self.args.io}",
        ]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        self.lines = queue.Queue()
        threading.Thread(target=self.read_lines, daemon=True).start()
        try:
            return self.ready_address()
        except BaseException:
            self.kill()
            raise

    def read_lines(self):
        for line in self.process.stdout:
            self.lines.put(line.decode(errors="replace"))
        self.lines.put(None)

    def ready_address(self):
        try:
            while (line := self.lines.get(timeout=READY_TIMEOUT)) is not None:
                if found := re.search(r"listening on (\S+:\d+)", line):
                    return found[1]
        except queue.Empty:
            pass
        raise SystemExit(f"varve did not get ready: {self.tail()}")

    def tail(self):
        return self.log.read_text(errors="replace")[-4000:]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def __exit__(self, kind, *_):
        if self.process is None:
            return
        self.process.terminate()
        try:
            status = self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            status = f"killed after {STOP_TIMEOUT} s"
        if status != 0:
            print(self.tail())
            if kind is None:
                raise SystemExit(f"varve's exit on SIGTERM: {status}, not 0")
