#!/usr/bin/env python3
"""Counts the instructions of the micro-benchmarks under callgrind and compares them with a file.

  counts.py MICRO EXPECTED [--update] [NAME…]

Time says little on a machine that others use; instructions are nearly the same in every run.  They
differ between compilers and libraries, so the band is wide: it is there for what became twice as
dear by mistake.  Exit 77, which meson calls skipped: no valgrind, or another architecture."""

import argparse
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tempfile

LOW, HIGH = 0.5, 1.5
ARCHITECTURE, SKIP = 'x86_64', 77
# glibc copies large pieces with one instruction that callgrind counts once per byte.
TUNABLES = 'glibc.cpu.x86_rep_movsb_threshold=1000000000:' \
           'glibc.cpu.x86_rep_stosb_threshold=1000000000'
# `meson test` has malloc fill what it gives and takes back, which counts too.
ENVIRONMENT = dict(os.environ, GLIBC_TUNABLES=TUNABLES, MALLOC_PERTURB_='0')
HEADER = '''\
# Instructions per operation: what callgrind counts in the release build.  Checked by counts.py:
# more than {high} times as many fail the test (found something slow?), and so do fewer than {low}
# times as many: then write this file anew with
#   tests/micro/counts.py BUILD/tests/micro/micro tests/micro/expected.txt --update
# Measured with {compiler}.
# CRC-32C is the {backend} one: valgrind hides AVX-512, which a real server uses where it can.
'''


def list_benchmarks(micro, names):
    """name -> (operations counted, what one is), in the order they run."""
    text = subprocess.run([micro, '--list', *names], check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    rows = [line.split('\t') for line in text.splitlines()]
    return {name: (int(ops), what) for name, ops, what in rows}


def dumped_total(path):
    """Instructions in one of callgrind's dumps: it writes one whenever measured() returns."""
    if not path.exists():
        raise SystemExit(f'counts.py: callgrind left no {path.name}: did measured() run?')
    for line in path.read_text().splitlines():
        if line.startswith(('summary:', 'totals:')):
            return int(line.split()[1])
    raise SystemExit(f'counts.py: no total in {path}')


def count(micro, names, benchmarks):
    """name -> instructions per operation; and what the machine computes CRC-32C with there."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder, 'out')
        done = subprocess.run(
            ['valgrind', '--tool=callgrind', '--toggle-collect=measured', '--dump-after=measured',
             f'--callgrind-out-file={out}', micro, '--count', *names],
            env=ENVIRONMENT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise SystemExit(f'counts.py: exit {done.returncode}\n{done.stdout}{done.stderr}')
        counts = {}
        for i, (name, (ops, _)) in enumerate(benchmarks.items(), 1):
            counts[name] = dumped_total(out.with_name(f'out.{i}')) / ops
        if out.with_name(f'out.{len(benchmarks) + 1}').exists():
            raise SystemExit('counts.py: more dumps than benchmarks')
    return counts, done.stdout.split()[-1]


def read_expected(path):
    """name -> (instructions, what one operation is)."""
    expected = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith('#'):
            name, instructions, what = line.split(maxsplit=2)
            expected[name] = (int(instructions), what)
    return expected


def write_expected(path, counts, benchmarks, header):
    rows = [f'{name:<18} {counts[name]:>9.0f}  {what}\n' for name, (_, what) in benchmarks.items()]
    path.write_text(header + ''.join(rows))


def judge(name, got, expected):
    """What is wrong, or None."""
    ratio = got / expected
    if ratio > HIGH:
        return f'{name}: {got:.0f} instructions, {ratio:.2f} times the expected {expected}'
    if ratio < LOW:
        return f'{name}: {got:.0f} instructions, only {ratio:.2f} times the expected {expected}: ' \
               'good, update expected.txt'
    return None


def compare(counts, benchmarks, expected, whole):
    """Everything that is wrong."""
    wrong = []
    for name, (_, what) in benchmarks.items():
        if expected.get(name, (0, ''))[1] != what:
            wrong.append(f'{name}: expected.txt does not have it, or means another operation')
        else:
            wrong.append(judge(name, counts[name], expected[name][0]))
    if whole:
        wrong += [f'{name}: no such benchmark any more' for name in expected.keys() - benchmarks]
    return [w for w in wrong if w]


def show(counts, expected):
    for name, got in counts.items():
        was = expected.get(name, (0, ''))[0]
        ratio = f'{got / was:.2f}' if was else '-'
        print(f'{name:<18} {got:>11.1f} {was:>9} {ratio:>6}')


def compiler_of(micro):
    """As the object file says it."""
    text = subprocess.run(['readelf', '-p', '.comment', micro], text=True,
                          stdout=subprocess.PIPE).stdout
    found = [line.split(']', 1)[1].strip() for line in text.splitlines() if ']' in line]
    return ' and '.join(found) or 'an unknown compiler'


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument('micro', type=pathlib.Path)
    p.add_argument('expected', type=pathlib.Path)
    p.add_argument('--update', action='store_true', help='write the file anew')
    p.add_argument('names', nargs='*', help='only those that begin with one of these')
    a = p.parse_args()
    if a.update and a.names:
        p.error('--update writes the whole file')
    return a


def main():
    a = arguments()
    if platform.machine() != ARCHITECTURE or not shutil.which('valgrind'):
        print(f'skipped: wants valgrind, and counts are of {ARCHITECTURE}')
        return SKIP
    benchmarks = list_benchmarks(a.micro, a.names)
    counts, backend = count(a.micro, a.names, benchmarks)
    expected = read_expected(a.expected)
    show(counts, expected)
    if a.update:
        header = HEADER.format(low=LOW, high=HIGH, compiler=compiler_of(a.micro), backend=backend)
        write_expected(a.expected, counts, benchmarks, header)
        return 0
    wrong = compare(counts, benchmarks, expected, not a.names)
    print('\n'.join(wrong) or f'{len(counts)} within {LOW} to {HIGH} times what is expected')
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
