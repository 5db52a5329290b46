#!/usr/bin/env python3
"""What a server says it has done against what was done to it, number by number.

`run.py --varve PATH [--io uring|posix]` starts servers, sends them requests byte by byte, counts
both directions, and compares: the answer to VarveStats (decoded here, by hand) and `varve stats`
must say exactly that."""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading

HOSTILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'hostile')
sys.path.insert(0, HOSTILE)

from server import Server, until  # noqa: E402
from wire import (API_VERSIONS, FETCH, METADATA, PRODUCE, Closed, Conn, array,  # noqa: E402
                  batch, i32, record, string)

STATS = 20000
STATS_REQUEST = 4 + 8 + 2 + len('varve-stats') + 2  # size, header, client id, two empty tag lists
SHARDS = 2


# --- counting and asking ---

class Counted(Conn):
    """Knows what went over it."""

    def __init__(self, address, **k):
        self.sent = self.received = 0
        super().__init__(address, **k)

    def send(self, data):
        super().send(data)
        self.sent += len(data)

    def read(self, n):
        data = super().read(n)
        self.received += n
        return data


def series_of(r, shards):
    label = r.cstring().decode()
    values = [r.i64() for _ in range(r.uvarint() - 1)]
    histograms = []
    for _ in range(r.uvarint() - 1):
        total, most, buckets = r.i64(), r.i64(), []
        for _ in range(r.uvarint() - 1):
            buckets.append((r.i64(), r.i64(), r.i64()))
            r.tags()
        r.tags()
        histograms.append((total, most, buckets))
    r.tags()
    assert len(values) + len(histograms) == shards, 'one value for each shard'
    return label, values, histograms


def ask(conn):
    """{name: {label: value over all shards, or (count, sum, max) of a histogram}}"""
    r = conn.request(STATS, 0, b'\0', flexible=True)
    r.tags()
    assert r.i16() == 0
    r.cstring(), r.i64()
    shards, found = r.i32(), {}
    assert shards == SHARDS
    for _ in range(r.uvarint() - 1):
        name, _group, _help, kind = r.cstring().decode(), r.cstring(), r.cstring(), r.i8()
        r.cstring(), r.i64(), r.cstring()
        metric = found.setdefault(name, {})
        for _ in range(r.uvarint() - 1):
            label, values, histograms = series_of(r, shards)
            metric[label] = merged(histograms) if kind == 2 else sum(values)
        r.tags()
    r.tags()
    r.end()
    return found


def merged(histograms):
    for total, most, buckets in histograms:
        for low, high, count in buckets:
            assert low <= high and count > 0
        assert all(a[1] < b[0] for a, b in zip(buckets, buckets[1:])), 'ascending, apart'
        assert not buckets or buckets[-1][0] <= most <= buckets[-1][1], 'the largest is in the last'
        assert total <= sum(b[1] * b[2] for b in buckets)
        assert total >= sum(b[0] * b[2] for b in buckets)
    return (sum(b[2] for h in histograms for b in h[2]), sum(h[0] for h in histograms),
            max(h[1] for h in histograms))


def command(varve, address, *args):
    """(exit status, standard output, standard error) of `varve stats`."""
    p = subprocess.run([varve, 'stats', '-a', f'{address[0]}:{address[1]}', *args],
                       capture_output=True, text=True, timeout=60, check=False)
    return p.returncode, p.stdout, p.stderr


# --- exact ---

class Load:
    """Known requests, and what they come to."""

    def __init__(self, address):
        self.c = Counted(address)
        self.requests, self.errors = {}, {}
        self.records = self.batches = self.bytes = self.fetched = 0

    def count(self, name, error=0):
        self.requests[name] = self.requests.get(name, 0) + 1
        if error:
            self.errors[name] = self.errors.get(name, 0) + 1
        return error

    def create(self, topic, partitions):
        assert self.count('CreateTopics', self.c.create_topic(topic, partitions)) == 0

    def produce(self, topic, partitions, records, size):
        data = batch([record(os.urandom(size), offset=i) for i in range(records)])
        self.c.send(self.c.produce_frame(topic, [(p, data) for p in range(partitions)]))
        answer = self.c.produce_reply(self.c.reply())
        assert len(answer) == partitions and all(a[0][0] == 0 for a in answer.values())
        self.count('Produce')
        self.batches += partitions
        self.records += partitions * records
        self.bytes += partitions * len(data)

    def produce_silently(self, topic, data):
        """acks=0: nothing comes back; the next answer says that it was read."""
        self.c.send(self.c.produce_frame(topic, [(0, data)], acks=0))
        self.count('Produce')
        self.batches, self.records = self.batches + 1, self.records + 1
        self.bytes += len(data)

    def fetch(self, topic, partition, offset):
        error, _, data = self.c.fetch(topic, offset, partition)
        self.count('Fetch', error)
        self.fetched += len(data)
        return error, data

    def everything(self):
        self.create('one', 1)
        self.create('many', 7)
        for size in (0, 1, 100, 5000):
            self.produce('one', 1, 3, size)
            self.produce('many', 7, 10, size)
        self.produce_silently('one', batch([record(b'no answer')]))
        for partition in range(7):
            error, data = self.fetch('many', partition, 0)
            assert error == 0 and len(data) > 10 * 5000
        self.refused()

    def refused(self):
        error, _, _ = self.c.produce('nowhere', batch())
        assert self.count('Produce', error) != 0
        assert self.count('Produce', self.c.produce('one', batch(crc=1))[0]) != 0
        assert self.fetch('one', 0, 1 << 40)[0] != 0
        self.c.api_versions()
        self.count('ApiVersions')
        assert self.c.metadata(['nowhere'], create=False)[b'nowhere'][0] != 0
        self.count('Metadata', 3)


def differences(now, before, load):
    """What is not as it was done."""
    d, found = lambda name, label='': now[name][label] - before[name][label], []

    def expect(name, got, wanted):
        if got != wanted:
            found.append(f'{name} is {got}, expected {wanted}')

    for name in ('Produce', 'Fetch', 'CreateTopics', 'ApiVersions', 'Metadata', 'ListOffsets'):
        done = load.requests.get(name, 0)
        expect(f'requests {name}', d('varve_requests_total', name), done)
        expect(f'errors {name}', d('varve_request_errors_total', name), load.errors.get(name, 0))
        expect(f'timed {name}', now['varve_request_duration_seconds'][name][0], done)
    expect('records', d('varve_produced_records_total'), load.records)
    expect('batches', d('varve_produced_batches_total'), load.batches)
    expect('bytes', d('varve_produced_bytes_total'), load.bytes)
    expect('fetched', d('varve_fetched_bytes_total'), load.fetched)
    expect('read', sum(d('varve_read_bytes_total', x) for x in ('tail', 'cache', 'disk')),
           load.fetched)
    expect('flush sizes', now['varve_flush_size_bytes'][''][:2],
           (now['varve_flushes_total'][''], now['varve_flush_bytes_total']['']))
    expect('flush times', now['varve_flush_duration_seconds'][''][0],
           now['varve_flushes_total'][''])
    for name in ('varve_flushes_in_flight', 'varve_flush_waiting_partitions'):
        expect(name, now[name][''], 0)
    return found


def settled(server, load, before):
    """A reply may be read here before its send is counted there: the numbers come to rest."""
    last = []

    def same():
        with Conn(server.address) as c:
            last[:] = [ask(c)]
        return not differences(last[0], before, load)
    until(same)
    assert not differences(last[0], before, load), '\n'.join(differences(last[0], before, load))
    return last[0]


def exact_counts(varve, io):
    with Server(varve, io, [f'varve.shards={SHARDS}']) as s:
        with Conn(s.address) as c:
            before = ask(c)
        load = Load(s.address)
        load.everything()
        now = settled(s, load, before)
        assert now['varve_append_bytes_total'][''] - before['varve_append_bytes_total'][''] > \
            load.bytes, 'the registry appends too'
        load.c.close()


def exact_bytes(varve, io):
    """The very first answer: nobody else has asked anything before."""
    with Server(varve, io, [f'varve.shards={SHARDS}']) as s:
        load = Load(s.address)
        load.everything()
        load.c.api_versions()  # all replies before this one's are sent and counted
        c = Counted(s.address, client_id='varve-stats')
        sent = 0

        def right():
            nonlocal sent
            sent = c.received
            got = ask(c)
            return got['varve_sent_bytes_total'][''] == load.c.received + sent
        assert until(right), 'bytes sent'
        got = ask(c)
        assert got['varve_received_bytes_total'][''] == load.c.sent + c.sent, 'bytes received'
        assert c.sent % STATS_REQUEST == 0
        connections_are_counted(s, c)


def connections_are_counted(s, c):
    assert ask(c)['varve_connections'][''] == 2
    more = [s.conn() for _ in range(5)]
    for x in more:
        x.api_versions()
    got = ask(c)
    assert got['varve_connections'][''] == 7 and got['varve_connections_accepted_total'][''] == 7
    for x in more:
        x.close()
    assert until(lambda: ask(c)['varve_connections'][''] == 2), 'connections that are gone'
    with s.conn() as bad:
        bad.send(i32(-1))
        assert bad.closes()
    assert ask(c)['varve_connections_faulted_total'][''] == 1


def refused_connections(varve, io):
    with Server(varve, io, [f'varve.shards={SHARDS}', 'max.connections=1']) as s:
        with Conn(s.address) as c:
            assert ask(c)['varve_connections_refused_total'][''] == 0
            for _ in range(3):
                with s.conn() as more:
                    assert more.closes()
            assert ask(c)['varve_connections_refused_total'][''] == 3


def sources_of_reads(varve, io):
    """From the tail, after a restart from the disk, then from the cache."""
    with tempfile.TemporaryDirectory(prefix='varve-stats-', dir=os.getcwd()) as d:
        with Server(varve, io, [f'varve.shards={SHARDS}'], data_dir=d + '/data') as s:
            load = Load(s.address)
            load.create('t', 1)
            load.produce('t', 1, 20, 5000)
            assert read_from(s, 'tail') == load.bytes
            assert s.term() == 0
        with Server(varve, io, [f'varve.shards={SHARDS}'], data_dir=d + '/data') as s:
            assert read_from(s, 'disk') == load.bytes
            assert read_from(s, 'cache') == load.bytes


def read_from(s, source):
    """Fetches all; how many of its bytes came from there.  All of them must."""
    with Conn(s.address) as c:
        before = ask(c)
        error, _, data = c.fetch('t', 0)
        now = ask(c)
        assert error == 0

        def grown(name, label):
            return now[name][label] - before[name][label]
        assert grown('varve_reads_total', source) == 1, f'a read from {source}'
        assert grown('varve_read_bytes_total', source) == len(data)
        return len(data)


# --- the request ---

def private_request(varve, io):
    """Not advertised; other versions end the connection as with every API."""
    with Server(varve, io, [f'varve.shards={SHARDS}']) as s:
        with Conn(s.address) as c:
            assert STATS not in c.api_versions()[1]
            ask(c)
        for version in (1, 99, 32767, -1, -32768):
            with Conn(s.address) as c:
                c.send(c.frame(STATS, version, b'\0', flexible=True))
                assert c.closes(), f'version {version}'
        with Conn(s.address) as c:  # several at once, and other requests between them
            c.send(c.frame(STATS, 0, b'\0', flexible=True) * 3 +
                   c.frame(API_VERSIONS, 0, b'') + c.frame(STATS, 0, b'\0', flexible=True))
            sizes = [len(c.reply().data) for _ in range(5)]
            assert min(sizes[:3] + sizes[4:]) > 1000 > sizes[3]


# --- the command ---

def command_shows(varve, io):
    with Server(varve, io, [f'varve.shards={SHARDS}']) as s:
        load = Load(s.address)
        load.everything()
        status, text, error = command(varve, s.address, '-o', 'json')
        assert status == 0 and error == '', error
        got = json.loads(text)
        metrics = got['metrics']
        with Conn(s.address) as c:
            assert set(metrics) == set(ask(c))
        assert metrics['varve_produced_bytes_total']['series'][0]['value'] == load.bytes
        produce = [x for x in metrics['varve_requests_total']['series'] if x['api'] == 'Produce']
        assert produce[0]['value'] == sum(produce[0]['shards']) == load.requests['Produce']
        sizes = metrics['varve_flush_size_bytes']['series'][0]
        assert sizes['count'] == sum(n for _, n in sizes['buckets'])
        assert 0 < sizes['p50'] <= sizes['p99'] <= sizes['p999'] <= sizes['max'] <= sizes['sum']
        assert all('_total' in n for n, m in metrics.items() if m['kind'] == 'counter')
        status, text, error = command(varve, s.address, '--shards')
        assert status == 0 and 'flush duration' in text and 'shard 1' in text, text
        status, text, error = command(varve, s.address, '--watch', '10ms', '--count', '2')
        assert status == 0 and text.count('rates and percentiles') == 2, text + error
        status, text, error = command(varve, ('localhost', s.address[1]))
        assert status == 0, error


def answer_once(listener, data):
    def serve():
        c, _ = listener.accept()
        with c:
            c.recv(4096)
            c.sendall(data)
    t = threading.Thread(target=serve, daemon=True)
    t.start()
    return t


def command_says_why_not(varve, _io):
    for text, wanted in (('nonsense', 2), ('127.0.0.1', 2), ('127.0.0.1:0', 2),
                         ('127.0.0.1:70000', 2), (':9092', 2)):
        p = subprocess.run([varve, 'stats', '-a', text], capture_output=True, text=True,
                           timeout=60, check=False)
        assert p.returncode == wanted and text in p.stderr and not p.stdout, p.stderr
    with socket.socket() as closed:
        closed.bind(('127.0.0.1', 0))
        status, text, error = command(varve, closed.getsockname())
        assert status == 1 and 'refused' in error and not text, error
    for data in (b'', b'HTTP/1.1 400 Bad Request\r\n\r\n', i32(4) + i32(7), i32(60) + bytes(60)):
        with socket.create_server(('127.0.0.1', 0)) as listener:
            thread = answer_once(listener, data)
            status, text, error = command(varve, listener.getsockname())
            thread.join()
        assert status == 1 and 'not a varve server' in error and not text, error


CASES = [exact_counts, exact_bytes, refused_connections, sources_of_reads, private_request,
         command_shows, command_says_why_not]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--varve', required=True)
    p.add_argument('--io', default='uring', choices=['uring', 'posix'])
    args = p.parse_args()
    failed = 0
    print(f'1..{len(CASES)}')
    for n, case in enumerate(CASES, 1):
        label = case.__name__.replace('_', ' ')
        try:
            case(os.path.abspath(args.varve), args.io)
            print(f'ok {n} - {label}', flush=True)
        except Exception as e:  # the other cases still run
            failed += 1
            line = e.__traceback__.tb_next.tb_lineno if e.__traceback__.tb_next else 0
            print(f'not ok {n} - {label}\n    line {line}: {type(e).__name__}: {e}', flush=True)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
