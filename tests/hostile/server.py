"""A varve under test: started, watched through /proc, stopped by its pid."""

import os
import re
import select
import signal
import shutil
import subprocess
import tempfile
import time

from wire import Conn

START_S, STOP_S = 30.0, 30.0


class Server:
    def __init__(self, varve, io, sets=(), data_dir=None, preexec=None, log_level=None):
        self.varve, self.io, self.sets, self.preexec = varve, io, list(sets), preexec
        self.own_dir = data_dir is None
        self.data_dir = data_dir or tempfile.mkdtemp(prefix='varve-hostile-', dir=os.getcwd())
        self.log_path = self.data_dir.rstrip('/') + '.log'
        self.process = None
        if log_level:
            self.sets.append(f'varve.log.level={log_level}')

    def command(self):
        out = [self.varve, 'serve', '--data-dir', self.data_dir, '--listen', '127.0.0.1:0',
               f'--io={self.io}']
        for s in self.sets:
            out += ['--set', s]
        return out

    def start(self):
        with open(self.log_path, 'ab') as log:
            self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=log,
                                            preexec_fn=self.preexec, start_new_session=True)
        self.pid = self.process.pid
        line = self.ready_line()
        m = re.search(r':(\d+)\b', line)
        assert m, f'no ready line but {line!r}; log: {self.log()[-2000:]}'
        self.address = ('127.0.0.1', int(m.group(1)))
        return self

    def ready_line(self):
        fd, text, deadline = self.process.stdout.fileno(), b'', time.monotonic() + START_S
        while not text.endswith(b'\n'):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([fd], [], [], left)[0]:
                break
            got = os.read(fd, 4096)
            if not got:
                break
            text += got
        return text.decode(errors='replace')

    def __enter__(self): return self.start()
    def __exit__(self, *a): self.stop()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()
            self.process.stdout.close()
        if self.own_dir:
            shutil.rmtree(self.data_dir, ignore_errors=True)
            if os.path.exists(self.log_path):
                os.unlink(self.log_path)

    def signal(self, number): os.kill(self.pid, number)

    def wait_exit(self, within=STOP_S):
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            return None

    def term(self):
        self.signal(signal.SIGTERM)
        return self.wait_exit()

    def alive(self): return self.process.poll() is None

    def log(self):
        with open(self.log_path, 'rb') as f:
            return f.read().decode(errors='surrogateescape')

    def status(self, key):
        with open(f'/proc/{self.pid}/status', encoding='ascii') as f:
            for line in f:
                if line.startswith(key + ':'):
                    return int(line.split()[1])
        raise KeyError(key)

    def rss_mib(self): return self.status('VmRSS') / 1024

    def cpu_s(self):
        with open(f'/proc/{self.pid}/stat', encoding='ascii') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def conn(self, **k): return Conn(self.address, **k)


class Peer:
    """Somebody else's server at an address: for comparing answers."""

    def __init__(self, address):
        self.address = address

    def conn(self, **k): return Conn(self.address, **k)
    def alive(self): return True
    def rss_mib(self): return 0.0


def until(what, within=20.0, every=0.02):
    """Waits for a condition that only the outside can see (a process, a socket); True: it came."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if what():
            return True
        select.select([], [], [], every)
    return what()
