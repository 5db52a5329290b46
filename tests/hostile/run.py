#!/usr/bin/env python3
"""Hostile input through a socket.  `run.py --varve PATH [--io uring|posix] [--only TEXT]` runs
every case; after each one the server must answer, be the same process, and keep within its memory.
`--address HOST:PORT` runs the cases that are true of any Kafka against a running server."""

import argparse
import resource
import sys
import time
import traceback

import cases_batches   # noqa: F401  (a module registers its cases when it is imported)
import cases_frames    # noqa: F401
import cases_limits    # noqa: F401
import cases_process   # noqa: F401
from registry import CASES, Settings
from server import Peer, Server

MEMORY_MIB, OVERHEAD_MIB = 256, 96


def check_alive(s):
    with s.conn(timeout=20) as c:
        error, keys = c.api_versions()
        assert error == 0 and keys, 'ApiVersions is not answered as before'
        assert c.metadata([], version=4) is not None
    assert s.alive(), 'the server ended'


def run_shared(case, s):
    case.run(s)
    check_alive(s)
    bound = case.rss_mib or MEMORY_MIB + OVERHEAD_MIB
    assert s.rss_mib() < bound, f'{s.rss_mib():.0f} MiB of memory, bound {bound}'


def tail(s):
    try:
        return '    log: ' + '\n         '.join(s.log().strip().split('\n')[-15:])
    except OSError:
        return ''


def run_case(case, args, state):
    """state: [the shared server or None]"""
    if case.own:
        case.run(Settings(args.varve, args.io))
        return
    if state[0] is None:
        state[0] = Server(args.varve, args.io, [f'memory.limit.bytes={MEMORY_MIB << 20}'])
        state[0].start()
    run_shared(case, state[0])


def run_all(cases, args):
    failed, state = [], [None]
    if args.address:
        host, port = args.address.rsplit(':', 1)
        state[0] = Peer((host, int(port)))
    for n, case in enumerate(cases, 1):
        began, label = time.monotonic(), f'fault {case.fault}: {case.name}'
        try:
            run_case(case, args, state)
            print(f'ok {n} - {label} ({time.monotonic() - began:.1f} s)', flush=True)
        except Exception as e:  # a failed case says why and the next one gets a fresh server
            failed.append(label)
            print(f'not ok {n} - {label}\n    {type(e).__name__}: {e}', flush=True)
            if args.verbose:
                traceback.print_exc()
            if isinstance(state[0], Server):
                print(tail(state[0]), flush=True)
                state[0].stop()
                state[0] = None
    if isinstance(state[0], Server):
        status = state[0].term()
        print(f'{"ok" if status == 0 else "not ok"} {len(cases) + 1} - exit status {status}')
        if status != 0:
            failed.append('exit status')
        state[0].stop()
    return failed


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--varve')
    p.add_argument('--io', default='uring', choices=['uring', 'posix', 'auto'])
    p.add_argument('--address', help='HOST:PORT of a running server')
    p.add_argument('--only', default='', help='cases whose name contains this, or a fault number')
    p.add_argument('--verbose', action='store_true')
    args = p.parse_args()
    if not args.varve and not args.address:
        p.error('--varve or --address')
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536) if hard > 0 else 65536, hard))
    cases = [c for c in CASES if (not args.address or c.peer) and
             (args.only in f'fault {c.fault}: {c.name}' or args.only == str(c.fault))]
    print(f'1..{len(cases) + (0 if args.address else 1)}')
    failed = run_all(cases, args)
    print(f'# {len(cases) - len(failed)} of {len(cases)} cases passed' +
          ''.join(f'\n# failed: {f}' for f in failed))
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
