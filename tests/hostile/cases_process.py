"""Faults 32, 33, 50, 62-64: signals, a second server, names and strings that want to be more."""

import os
import signal
import struct
import subprocess
import threading
import time

from registry import case
from server import until
from wire import METADATA, Closed, array, batch, batches, i16, i32, record, string


class Load(threading.Thread):
    """Produces numbered records, one after the other, until its connection ends."""

    def __init__(self, server, topic):
        super().__init__(daemon=True)
        self.conn, self.topic, self.acked, self.error = server.conn(), topic, [], None

    def run(self):
        n = 0
        try:
            while True:
                data = batch([record(struct.pack('>q', n))])
                error, base, _ = self.conn.produce(self.topic, data)
                if error:
                    self.error = error
                    return
                self.acked.append((base, n))
                n += 1
        except (Closed, OSError):
            pass
        finally:
            self.conn.close()


def read_all(server, topic):
    """{offset: number} of a topic that Load filled."""
    found, at = {}, 0
    with server.conn() as c:
        error, high, data = c.fetch(topic, 0)
        while at < high:
            error, _, data = c.fetch(topic, at)
            assert error == 0, error
            for base, count, _, payload in batches(data):
                assert count == 1
                found[base] = struct.unpack('>q', payload[-9:-1])[0]
                at = base + 1
    return found


def under_load(server):
    with server.conn() as c:
        for i in range(3):
            assert c.create_topic(f'load-{i}', 1) == 0
    loads = [Load(server, f'load-{i}') for i in range(3)]
    for x in loads:
        x.start()
    assert until(lambda: all(len(x.acked) > 20 for x in loads)), 'no progress'
    return loads


def nothing_lost(server, loads):
    for x in loads:
        x.join(20)
        assert not x.is_alive(), 'a producer hangs'
        found = read_all(server, x.topic)
        for base, n in x.acked:
            assert found.get(base) == n, f'{x.topic}@{base}: acked {n}, found {found.get(base)}'
        assert sorted(found) == list(range(len(found))), 'offsets are not dense'


@case(32, 'SIGTERM under load, then everything is there', own=True)
def sigterm(settings):
    s = settings.server()
    try:
        s.start()
        loads = under_load(s)
        status = s.term()
        assert status == 0, f'exit status {status}: {s.log()[-1500:]}'
        s.start()
        nothing_lost(s, loads)
        assert sum(len(x.acked) for x in loads) > 60
    finally:
        s.stop()


@case(32, 'a second SIGTERM ends it at once, nothing acked is lost', own=True)
def sigterm_twice(settings):
    s = settings.server()
    try:
        s.start()
        loads = under_load(s)
        s.signal(signal.SIGTERM)
        s.signal(signal.SIGTERM)
        t = time.monotonic()
        assert s.wait_exit() is not None, 'does not end'
        assert time.monotonic() - t < 5
        s.start()
        nothing_lost(s, loads)
    finally:
        s.stop()


@case(32, 'a storm of SIGHUP')
def sighup(s):
    with s.conn() as c:
        for _ in range(500):
            s.signal(signal.SIGHUP)
        assert c.api_versions()[0] == 0


@case(33, 'stopped for a second, then continued', own=True)
def stopped(settings):
    with settings.server() as s:
        loads = under_load(s)
        s.signal(signal.SIGSTOP)
        marks = [len(x.acked) for x in loads]
        until(lambda: False, within=1.0)
        s.signal(signal.SIGCONT)
        assert until(lambda: all(len(x.acked) > m + 10 for x, m in zip(loads, marks))), \
            'producers do not go on'
        assert s.term() == 0
        s.start()
        nothing_lost(s, loads)


@case(50, 'a second server on the directory')
def second_server(s):
    p = subprocess.run(s.command(), capture_output=True, timeout=30, check=False)
    text = (p.stderr + p.stdout).decode(errors='replace')
    assert p.returncode not in (0, None), 'the second one must not run'
    assert p.returncode > 0, f'ended by signal {-p.returncode}: {text}'
    assert s.data_dir in text, f'the error does not name the directory: {text}'
    assert 'lock' in text.lower() or 'holds' in text.lower() or 'another' in text.lower(), text


LEGAL = ['a', 'A.b_c-d', 'x' * 249, '...', '-', '0', 'with.dots.', '__x']
ILLEGAL = ['', '.', '..', 'x' * 250, 'x' * 32767, 'a/b', '../../etc/passwd', 'a\0b', 'a\r\nb',
           'a b', b'\xff\xfe', b'\xc3\x28', 'ä', 'a:b', '*', '$(x)', '\x1b[31m', '%s%n']


@case(62, 'topic names')
def names(s):
    with s.conn() as c:
        for name in ILLEGAL:
            assert c.create_topic(name) == 17, f'CreateTopics {name[:20]!r}'
            key = name if isinstance(name, bytes) else name.encode()
            found = c.metadata([name])
            assert found[key][0] in (17, 3), f'Metadata {name[:20]!r}: {found[key]}'
        for name in LEGAL:
            assert c.create_topic(name) == 0, f'CreateTopics {name[:20]!r}'
            assert c.produce(name, batch())[0] == 0
        assert c.create_topic('col.lide') == 0
        assert c.create_topic('col_lide') == 17, 'names that collide after . -> _'
        assert c.create_topic('a') == 36, 'TOPIC_ALREADY_EXISTS'
    root = os.path.join(s.data_dir, 'p')
    assert all(set(d) <= set('0123456789abcdef-') for d in os.listdir(root)), 'named by id only'


@case(63, 'client ids of 32 KiB and of control bytes')
def client_ids(s):
    for name in (b'x' * 32767, bytes(range(1, 32)) * 100, b'\xff' * 200, b''):
        with s.conn(client_id=name) as c:
            assert c.api_versions()[0] == 0
            assert c.metadata([], version=4) is not None


@case(64, 'log injection', own=True)
def log_injection(settings):
    with settings.server(log_level='debug') as s:
        evil = b'x" level=error event="forged"\nlevel=error event=forged ' \
            b'\x1b[31m\x07\r\x00\x7f\xc2\x85'
        for api, version in ((9999, 0), (METADATA, 99), (0, 1), (1, 2)):
            with s.conn(client_id=evil) as c:
                c.send(c.frame(api, version, bytes(30)))
                c.closes(5.0)
        with s.conn(client_id=evil) as c:
            c.request(METADATA, 1, array([string(evil)]))
            c.create_topic(evil)
            c.send(i32(20) + i16(METADATA) + i16(1) + i32(1) + i16(100) + evil)
        with s.conn() as c:
            c.api_versions()
        log = s.log()
        lines = log.split('\n')
        assert not [x for x in lines if x.startswith('level=error event=forged')], 'a forged line'
        bad = [ch for ch in log if (ch < ' ' and ch != '\n') or '\x7f' <= ch <= '\x9f' or
               '\udc80' <= ch <= '\udcff']
        assert not bad, f'raw control bytes in the log: {bad[:5]}'
        assert log.count('forged') > 0, 'the hostile client does not appear in the log at all'
        heads = {x.split('=')[0] for x in lines if x}
        assert len(heads) == 1, f'lines that do not begin as the others do: {heads}'
