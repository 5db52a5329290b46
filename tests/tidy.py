#!/usr/bin/env python3
"""The rules of the house, as a test.  `tidy.py [ROOT]` prints `file:line: rule` for every breach;
`tidy.py --self-test` proves with bad samples that each rule fires.  Exceptions are named
below, each with its reason."""

import os
import re
import sys
import tempfile

COLUMNS, FILE_LINES, FUNCTION_LINES, PARAMETERS = 100, 800, 70, 6

# room -> what it may include from other rooms ('*': everything of that room)
ROOMS = {
    'base': {},
    'protocol': {'base': '*'},
    # storage knows offsets and batches, no API: of protocol/ only what reads and carries batches
    'storage': {'base': '*', 'protocol': {'batch.h', 'compress.h', 'crc32c.h', 'out.h', 'wire.h'}},
    # one binary: its main() hands `varve bench` over
    'server': {'base': '*', 'protocol': '*', 'storage': '*', 'bench': {'bench.h'}},
    'client': {'base': '*', 'protocol': '*'},
    'bench': {'base': '*', 'protocol': '*', 'client': '*'},
    'tests': {room: '*' for room in ('base', 'protocol', 'storage', 'server', 'client', 'bench')},
}

# call -> what to use instead
BANNED = {
    'strcpy': 'snprintf or memcpy with a length', 'strcat': 'snprintf',
    'sprintf': 'snprintf', 'vsprintf': 'vsnprintf', 'gets': 'a bounded read',
    'atoi': 'a checked parser', 'atol': 'a checked parser', 'atoll': 'a checked parser',
    'ntohl': 'load_be32', 'htonl': 'store_be32', 'ntohs': 'load_be16', 'htons': 'store_be16',
    'sleep': 'a timer', 'usleep': 'a timer', 'nanosleep': 'a timer',
    'rand': 'io_random', 'srand': 'io_random', 'random': 'io_random', 'drand48': 'io_random',
    'alloca': 'an arena',
}

# storage/ and server/ reach clock, disk, network and randomness through base/io.h only
SYSTEM = ('open openat creat read pread preadv write pwrite pwritev fsync fdatasync '
          'sync_file_range ftruncate fallocate unlink unlinkat rename renameat mkdir mkdirat rmdir '
          'opendir readdir socket accept accept4 recv send connect listen bind shutdown poll '
          'select epoll_wait time gettimeofday clock_gettime getrandom fopen fread '
          'fwrite mmap').split()

# (rule, path): reason
EXCEPTIONS = {
    ('system call', 'server/serve.c'): 'signals and the ready line, outside of the shards',
    ('system call', 'server/config_load.c'): 'reads the configuration file before anything runs',
    ('system call', 'server/config.c'): 'reads the configuration file before anything runs',
}

DEBT = re.compile(r'\b(?:FIX' r'ME|TO' r'DO|XX' r'X)\b')
MACHINE = re.compile(r'(?<![\w.])/(?:home|root|work)/\w')
ARG_CAST = re.compile(r'\(void ?\*\) ?arg\b')
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"')
NOT_FUNCTION = re.compile(r'^(?:struct|union|enum|typedef)\b[^()]*$|=')


def blank(text):
    """Comments and the insides of literals become spaces; line numbers and columns stay."""
    def spaces(m):
        s = m.group(0)
        keep = s[0] if s[0] in '"\'' else ' '
        inner = re.sub(r'[^\n]', ' ', s[1:-1])
        return keep + inner + keep
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', spaces, text,
                  flags=re.S)


def parameters(signature):
    """How many parameters the function of this declaration takes; None: it is not one."""
    m = re.search(r'\b[A-Za-z_]\w*\s*\(', signature)
    if not m:
        return None
    depth, commas, at = 0, 0, m.end() - 1
    for i in range(at, len(signature)):
        c = signature[i]
        depth += c in '([{'
        depth -= c in ')]}'
        if depth == 1 and c == ',':
            commas += 1
        if depth == 0:
            inside = signature[at + 1:i].strip()
            return 0 if inside in ('', 'void') else commas + 1
    return None


def functions(code):
    """(first line, last line or None for a declaration, signature), lines counted from 1.
    Relies on the house's formatting: declarations begin and bodies end in column 0."""
    lines = code.split('\n')
    start, held = 0, ''
    i = 0
    while i < len(lines):
        line = lines[i]
        if line.startswith('#'):                     # with its continuation lines
            while line.endswith('\\') and i + 1 < len(lines):
                i += 1
                line = lines[i]
            start, held = 0, ''
        elif line.startswith('{') and '(' in held and not NOT_FUNCTION.search(held):
            end = i
            while end < len(lines) and not lines[end].startswith('}'):
                end += 1
            yield start, end + 1, held
            i, held = end, ''
        elif line.startswith(('{', '}')):
            held = ''
        elif held or re.match(r'[A-Za-z_]', line):
            if not held:
                start = i + 1
            held += ' ' + line.strip()
            if held.endswith((';', '}')):            # a declaration, or a body on one line
                if '(' in held and not NOT_FUNCTION.search(held.split('{')[0]):
                    yield start, i + 1 if held.endswith('}') else None, held
                held = ''
            elif held.endswith('{'):                 # struct, enum, initialiser: skip its inside
                while i < len(lines) and not lines[i].startswith('}'):
                    i += 1
                held = ''
        i += 1


class Tidy:
    def __init__(self, root):
        self.root, self.breaches, self.used = root, [], set()

    def report(self, path, line, rule, detail):
        if (rule, path) in EXCEPTIONS:
            self.used.add((rule, path))
        else:
            self.breaches.append(f'{path}:{line}: {rule}: {detail}')

    def files(self):
        for room in sorted(ROOMS):
            for folder, dirs, names in os.walk(os.path.join(self.root, room)):
                dirs[:] = sorted(d for d in dirs if d not in ('__pycache__', 'node_modules')
                                 and not d.startswith('.'))
                for name in sorted(names):
                    yield os.path.relpath(os.path.join(folder, name), self.root)

    def read(self, path):
        with open(os.path.join(self.root, path), encoding='utf-8', errors='replace') as f:
            return f.read()

    def run(self):
        listed, included, paths = '', set(), list(self.files())
        for path in paths + ['meson.build']:
            if os.path.basename(path) == 'meson.build' and \
                    os.path.exists(os.path.join(self.root, path)):
                folder = os.path.dirname(path)
                listed += ''.join(f'\0{os.path.normpath(os.path.join(folder, s))}\0'
                                  for s in re.findall(r"'([^'\n]+\.c)'", self.read(path)))
        for path in paths:
            if path.endswith(('.c', '.h', '.py', '.build', '.sh')):
                text = self.read(path)
                self.text_rules(path, text)
                if path.endswith(('.c', '.h')):
                    included |= self.code_rules(path, text)
        for path in paths:
            if path.endswith('.c') and f'\0{path}\0' not in listed:
                self.report(path, 1, 'orphan', 'no meson.build names this file')
            if path.endswith('.h') and path not in included:
                self.report(path, 1, 'orphan', 'nothing includes this header')
        return self.breaches

    def text_rules(self, path, text):
        lines = text.split('\n')
        if len(lines) - 1 > FILE_LINES:
            self.report(path, FILE_LINES + 1, 'file length',
                        f'{len(lines) - 1} > {FILE_LINES} lines')
        for n, line in enumerate(lines, 1):
            if len(line) > COLUMNS:
                self.report(path, n, 'line length', f'{len(line)} > {COLUMNS} columns')
            if DEBT.search(line):
                self.report(path, n, 'debt', 'do it, or say UNHANDLED()')
            if MACHINE.search(line):
                self.report(path, n, 'machine path', MACHINE.search(line).group(0))

    def code_rules(self, path, text):
        code, room = blank(text), path.split('/')[0]
        for n, line in enumerate(code.split('\n'), 1):
            for m in re.finditer(r'(?<![\w.>])([a-z]\w*)\s*\(', line):
                call = m.group(1)
                if call in BANNED:
                    self.report(path, n, 'banned call', f'{call}: use {BANNED[call]}')
                if call in SYSTEM and room in ('storage', 'server'):
                    self.report(path, n, 'system call', f'{call}: goes through base/io.h')
            if ARG_CAST.search(line):
                self.report(path, n, 'banned cast', 'recover the owner with CONTAINER_OF')
        for first, last, signature in functions(code):
            if last and last - first + 1 > FUNCTION_LINES:
                self.report(path, first, 'function length',
                            f'{last - first + 1} > {FUNCTION_LINES} lines')
            count = parameters(signature)
            if count is not None and count > PARAMETERS:
                self.report(path, first, 'parameters', f'{count} > {PARAMETERS}')
        return self.includes(path, room, text)

    def includes(self, path, room, text):
        found = set()
        for n, line in enumerate(text.split('\n'), 1):
            m = INCLUDE.match(line)
            if not m:
                continue
            target, _, rest = m.group(1).partition('/')
            found.add(m.group(1))
            if target not in ROOMS:
                self.report(path, n, 'include', f'"{m.group(1)}" is not a path from the root')
            elif target != room:
                may = ROOMS[room].get(target, ())
                if may != '*' and rest not in may:
                    self.report(path, n, 'direction', f'{room} may not use {m.group(1)}')
        return found


LONG = 'static int f(void)\n{\n' + '        g();\n' * 70 + '}\n'
SAMPLES = [  # (rule that must fire or None, path, text)
    ('direction', 'base/a.c', '#include "storage/log.h"\n'),
    ('direction', 'protocol/a.c', '#include "server/shard.h"\n'),
    ('direction', 'storage/a.c', '#include "protocol/messages.h"\n'),
    ('direction', 'client/a.c', '#include "server/server.h"\n'),
    (None, 'storage/a.c', '#include "protocol/batch.h"\n#include "base/io.h"\n'),
    ('include', 'base/a.c', '#include "io.h"\n'),
    ('banned call', 'base/a.c', 'void f(char *p)\n{\n        strcpy(p, "x");\n}\n'),
    ('banned call', 'tests/a.c', 'void f(void)\n{\n        usleep(5);\n}\n'),
    (None, 'base/a.c', '/* never strcpy( here */\nconst char *x = "sprintf(";\n'),
    (None, 'base/a.c', 'void f(void)\n{\n        x->random(1);\n        io_random(2);\n}\n'),
    ('banned cast', 'base/a.c', 'void f(int arg)\n{\n        g((void *)arg);\n}\n'),
    ('system call', 'storage/a.c', 'void f(int fd)\n{\n        fsync(fd);\n}\n'),
    (None, 'base/a.c', 'void f(int fd)\n{\n        fsync(fd);\n}\n'),
    ('debt', 'base/a.c', '/* TO' 'DO: later */\n'),
    ('machine path', 'base/a.c', 'const char *p = "/ho' 'me/me/x";\n'),
    ('line length', 'base/a.c', '/* ' + 'x' * 100 + ' */\n'),
    ('file length', 'base/a.c', 'int x;\n' * 801),
    (None, 'base/a.c', 'extern int x;\n' * 800),
    ('function length', 'base/a.c', LONG),
    (None, 'base/a.c', LONG.replace('        g();\n', '', 3)),
    ('function length', 'base/a.c', 'struct x {\n        int a;\n};\n\n' + LONG),
    ('parameters', 'base/a.h', 'int f(int a, int b, int c, int d, int e, int f, int g);\n'),
    ('parameters', 'base/a.c',
     'static void f(int a, int b, int c,\n    int d, int e, int f, int g)\n{\n}\n'),
    (None, 'base/a.h', 'int f(int a, int (*b)(int x, int y), int c, int d, int e, int f);\n'),
    ('orphan', 'base/lonely.c', 'int x;\n'),
    ('orphan', 'base/lonely.h', '#pragma once\n'),
]


def self_test():
    bad = 0
    for rule, path, text in SAMPLES:
        with tempfile.TemporaryDirectory() as root:
            for name, content in [(path, text), ('base/meson.build', "files('a.c')\n"),
                                  ('storage/meson.build', "files('a.c')\n"),
                                  ('protocol/meson.build', "files('a.c')\n"),
                                  ('client/meson.build', "files('a.c')\n"),
                                  ('tests/meson.build', "files('a.c', 'b.c')\n"),
                                  ('tests/b.c', '#include "base/a.h"\n')]:
                os.makedirs(os.path.dirname(os.path.join(root, name)), exist_ok=True)
                with open(os.path.join(root, name), 'w', encoding='utf-8') as f:
                    f.write(content)
            rules = {b.split(': ')[1] for b in Tidy(root).run()}
            if rules != ({rule} if rule else set()):
                print(f'self-test: {path}: expected {rule}, got {sorted(rules)}:\n{text[:200]}')
                bad += 1
    print(f'self-test: {len(SAMPLES) - bad} of {len(SAMPLES)} samples judged as expected')
    return 1 if bad else 0


def main():
    if sys.argv[1:] == ['--self-test']:
        return self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), '..')
    tidy = Tidy(os.path.abspath(root))
    breaches = tidy.run()
    for rule, path in sorted(EXCEPTIONS):
        if (rule, path) not in tidy.used and os.path.exists(os.path.join(tidy.root, path)):
            breaches.append(f'tests/tidy.py:1: exception: {path} no longer needs "{rule}"')
    for b in breaches:
        print(b)
    return 1 if breaches else 0


if __name__ == '__main__':
    sys.exit(main())
