"""Faults 21-28: slow and silent clients, floods, exhausted descriptors, refused io_uring."""

import ctypes
import os
import resource
import signal
import struct
import time

from registry import case
from server import until
from wire import FETCH, METADATA, Closed, batch, i16, i32, record

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, PR_CAPBSET_DROP, CAP_IPC_LOCK = 22, 38, 24, 14
SECCOMP_MODE_FILTER, RET_ALLOW, RET_EPERM = 2, 0x7fff0000, 0x00050001
URING_CALLS = (425, 426, 427)


def latency(c, rounds=50):
    """The worst of some honest requests, in seconds."""
    worst = 0.0
    for _ in range(rounds):
        t = time.monotonic()
        assert c.api_versions()[0] == 0
        worst = max(worst, time.monotonic() - t)
    return worst


@case(21, 'slowloris: four hundred clients, a byte each')
def slowloris(s):
    before, held = s.rss_mib(), []
    frame = i32(30) + i16(METADATA) + i16(1) + i32(1) + i16(14) + b'x' * 14
    with s.conn() as honest:
        for _ in range(400):
            held.append(s.conn())
        for at in range(5):                      # never a complete header
            for c in held:
                try:
                    c.send(frame[at:at + 1])
                except Closed:
                    pass                         # a handshake deadline is right too
            worst = latency(honest)
            assert worst < 1.0, f'an honest client waited {worst:.2f} s'
    grown = s.rss_mib() - before
    for c in held:
        c.close()
    assert grown < 16, f'{grown:.1f} MiB for 400 connections of five bytes'


@case(22, 'a reader that never reads')
def never_reads(s):
    with s.conn(timeout=60) as c:
        c.create_topic('unread', 1)
        big = batch([record(bytes(1000000))])
        for _ in range(40):
            assert c.produce('unread', big)[0] == 0
        before, held = s.rss_mib(), []
        for _ in range(8):                       # each asks for 30 x 40 MB and reads nothing
            d = s.conn()
            ask = b''.join(d.frame(FETCH, 4, d.fetch_body('unread', [(0, 0)], 50 << 20, 50 << 20))
                           for _ in range(30))
            d.sock.setblocking(False)
            try:
                d.sock.send(ask)
            except BlockingIOError:
                pass
            held.append(d)
        for _ in range(10):
            assert latency(c, 20) < 2.0, 'others wait for a client that does not read'
            error, _, data = c.fetch('unread', 39)
            assert error == 0 and len(data) > 1000000, 'others cannot fetch'
        assert c.produce('unread', batch())[0] == 0, 'others cannot produce'
        grown = s.rss_mib() - before
        for d in held:
            d.reset()
    assert grown < 200, f'{grown:.0f} MiB held for clients that do not read'


@case(23, 'half-open and vanished peers', own=True)
def half_open(settings):
    with settings.server(sets=['connections.max.idle.ms=1500']) as s:
        silent = [s.conn() for _ in range(50)]
        with s.conn() as c:
            assert c.create_topic('gone', 1) == 0
            data = c.produce_frame('gone', [(0, batch([record(bytes(60000))]))])
        for n in (1, 3, 4, 20, 1000, len(data) - 1, len(data)):
            for _ in range(20):
                d = s.conn()
                d.send(data[:n])
                d.reset()
        assert all(d.closes(20.0) for d in silent), 'silent connections stay open'
        fds = f'/proc/{s.pid}/fd'
        assert until(lambda: sockets(fds) <= 4), f'{sockets(fds)} sockets left open'
        with s.conn() as c:
            assert c.api_versions()[0] == 0


def sockets(fds):
    n = 0
    for fd in os.listdir(fds):
        try:
            n += os.readlink(f'{fds}/{fd}').startswith('socket:')
        except OSError:
            pass
    return n


@case(24, 'two thousand idle connections and a connect flood')
def flood(s):
    before = s.rss_mib()
    idle = []
    for _ in range(2000):
        d = s.conn()
        idle.append(d)
    with s.conn() as honest:
        assert latency(honest) < 1.0
        grown = s.rss_mib() - before
        assert grown < 40, f'{grown:.0f} MiB for 2000 idle connections'
        for d in idle:
            d.close()
        for _ in range(5000):
            s.conn().reset()
        assert latency(honest) < 1.0
    check = s.conn()
    assert check.api_versions()[0] == 0
    check.close()


def accepts(s):
    try:
        with s.conn(timeout=2) as c:
            return c.api_versions()[0] == 0
    except (Closed, OSError):
        return False


def starved(s, honest):
    """Two hundred connections more than there are descriptors for; then they go away."""
    held = [s.conn() for _ in range(200)]        # the kernel accepts, the server cannot
    assert latency(honest) < 1.0, 'existing connections are not served'
    assert honest.produce('few-fds', batch())[0] == 0
    cpu, t = s.cpu_s(), time.monotonic()
    until(lambda: False, within=1.5)             # a second and a half in which nothing happens
    busy = (s.cpu_s() - cpu) / (time.monotonic() - t)
    assert busy < 0.4, f'busy loop: {busy:.0%} of a CPU while idle without descriptors'
    for d in held:
        d.close()


@case(25, 'descriptors run out', own=True)
def no_descriptors(settings):
    def limit(): resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))
    with settings.server(preexec=limit) as s, s.conn() as honest:
        assert honest.create_topic('few-fds', 1) == 0
        assert honest.produce('few-fds', batch())[0] == 0
        starved(s, honest)
        assert until(lambda: accepts(s)), 'no new connections after others closed'


@case(25, 'descriptors run out below what the server was started with', own=True)
def fewer_descriptors(settings):
    with settings.server() as s, s.conn() as honest:
        assert honest.create_topic('few-fds', 1) == 0
        assert honest.produce('few-fds', batch())[0] == 0
        before = resource.prlimit(s.pid, resource.RLIMIT_NOFILE)
        top = max(int(fd) for fd in os.listdir(f'/proc/{s.pid}/fd')) + 1
        resource.prlimit(s.pid, resource.RLIMIT_NOFILE, (top + 20, before[1]))
        starved(s, honest)
        assert until(lambda: accepts(s)), 'no new connections after others closed'
        resource.prlimit(s.pid, resource.RLIMIT_NOFILE, before)
        assert until(lambda: all(accepts(s) for _ in range(20))), 'does not recover'


def refuse_io_uring():
    """seccomp, as container profiles do it: EPERM for the three calls."""
    libc = ctypes.CDLL(None, use_errno=True)

    class Prog(ctypes.Structure):
        _fields_ = [('n', ctypes.c_ushort), ('code', ctypes.c_void_p)]
    code = struct.pack('<HBBI', 0x20, 0, 0, 0)                      # load the call's number
    for i, call in enumerate(URING_CALLS):
        code += struct.pack('<HBBI', 0x15, len(URING_CALLS) - i, 0, call)
    code += struct.pack('<HBBI', 0x06, 0, 0, RET_ALLOW)
    code += struct.pack('<HBBI', 0x06, 0, 0, RET_EPERM)
    buffer = ctypes.create_string_buffer(code, len(code))
    prog = Prog(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or \
            libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(prog), 0, 0):
        raise OSError(ctypes.get_errno(), 'seccomp')


@case(27, 'io_uring is refused', own=True)
def uring_refused(settings):
    with settings.server(io='auto', preexec=refuse_io_uring) as s:
        with s.conn() as c:
            assert c.create_topic('fallback', 1) == 0
            assert c.produce('fallback', batch())[0] == 0
            assert c.fetch('fallback', 0)[1] == 1
        log = s.log()
        warned = [x for x in log.split('\n') if 'io_uring' in x and 'warn' in x.lower()]
        assert len(warned) == 1, f'one warning that names io_uring, got {warned}: {log[-1500:]}'
        assert s.term() == 0
    s = settings.server(io='uring', preexec=refuse_io_uring)
    try:
        s.start()
        raise AssertionError('started with --io=uring where io_uring is refused')
    except AssertionError as e:
        assert 'no ready line' in str(e), e
        assert s.wait_exit() not in (0, None), 'must exit with an error'
        assert 'io_uring' in s.log(), s.log()
    finally:
        s.stop()


def little_memlock(settings, limit, io):
    def before_exec():
        ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (limit, limit))
    with settings.server(preexec=before_exec, io=io) as s, s.conn() as c:
        assert c.create_topic('memlock', 1) == 0
        for _ in range(20):
            assert c.produce('memlock', batch([record(bytes(200000))]))[0] == 0
        assert c.fetch('memlock', 19)[1] == 20
        warnings = s.log().count('level=warn')
        assert warnings <= 2, f'{warnings} warnings: {s.log()}'
        s.signal(signal.SIGTERM)
        assert s.wait_exit() == 0


@case(28, 'little lockable memory', own=True)
def memlock(settings):
    little_memlock(settings, 1 << 20, settings.io)   # room for rings, not for buffers
    little_memlock(settings, 16 << 10, 'auto')       # not even for rings
