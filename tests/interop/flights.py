"""All flights that left New York in 2013 (nycflights13), keyed by tail number, stamped by the hour.

Once in the order of time, once in the order of the file, which runs through the months as 1, 10,
11, 12, 2, 3 …: there a search by time is only right if it looks at records and not merely at an
index that it takes for sorted.
"""

import csv
import datetime
import io
import zipfile
import zlib

from clients import OUT
from records import Record, read, split, write

DATA = OUT / "nycflights13" / "nycflights13" / "data" / "flights.csv.zip"
CLIENTS = ["confluent-kafka", "franz-go", "kcat", "java"]
FLIGHTS, FLIGHTS_WITHOUT_TAIL = 336_776, 2_512
PARTITIONS = 4


def milliseconds(text):
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=datetime.timezone.utc
    )
    return int(moment.timestamp() * 1000)


def load():
    """One record per line of the file, in its order; one key is always in one partition."""
    hours, out = {}, []
    with zipfile.ZipFile(DATA) as archive, archive.open("flights.csv") as raw:
        lines = io.TextIOWrapper(raw).read().splitlines()
    columns = next(csv.reader(lines[:1]))
    tail_at, hour_at = columns.index("tailnum"), columns.index("time_hour")
    for number, (line, row) in enumerate(zip(lines[1:], csv.reader(lines[1:]))):
        tail, hour = row[tail_at], row[hour_at]
        stamp = hours.get(hour) or hours.setdefault(hour, milliseconds(hour))
        key = None if tail == "NA" else tail.encode()
        partition = (number if key is None else zlib.crc32(key)) % PARTITIONS
        out.append(Record(partition, None, stamp, key, line.encode(), ()))
    return out


def with_offsets(records):
    """As they must come back: per partition, numbered from 0."""
    return [
        [r._replace(offset=i) for i, r in enumerate(part)] for part in split(records, PARTITIONS)
    ]


def instants():
    days = [
        "2013-01-01T10:00:00Z",
        "2013-01-01T11:00:00Z",
        "2013-03-10T07:00:00Z",
        "2013-07-04T16:00:00Z",
        "2013-12-31T23:00:00Z",
        "2014-01-01T04:00:00Z",
    ]
    exact = [milliseconds(day) for day in days]
    return [0, *exact, exact[0] - 1, exact[3] + 1, exact[-1] + 1]


def write_and_read_back(run, clients, topic, records, writer, readers, codec):
    source = run.scratch / f"{topic}.in"
    write(source, records)
    run.create_topic(
        topic, PARTITIONS, (("retention.ms", "-1"),)
    )  # or the year 2013 would be over at once
    output, took = run.call(clients[writer], "produce", topic, codec, source)
    print(f"{topic}: {writer} wrote {len(records)} in {took:.1f} s", flush=True)
    source.unlink()
    if output is None:
        return None
    partitions = with_offsets(records)
    for reader in readers:
        output, took = run.call(clients[reader], "consume", run.scratch, topic)
        print(f"{topic}: {reader} read all in {took:.1f} s", flush=True)
        if output is not None:
            compare(run, f"{topic}: {reader}", read(run.scratch / f"{topic}.tsv"), partitions)
    for reader in readers:
        run.check_times(clients[reader], topic, partitions, instants())
    return partitions


def compare(run, what, got, partitions):
    for number, (want, have) in enumerate(zip(partitions, split(got, PARTITIONS))):
        if want == have:
            continue
        at = next(
            (i for i, (a, b) in enumerate(zip(want, have)) if a != b), min(len(want), len(have))
        )
        run.failures.check(
            False,
            f"{what}, partition {number}: {len(want)} wanted, {len(have)} read, first "
            f"difference at {at}: {want[at : at + 1]} {have[at : at + 1]}",
        )


def check_windows(run, clients, topic, partitions):
    """[from, to) of a topic in the order of time, cut out of it by offsets alone."""
    windows = [
        ("2013-02-08T14:00:00Z", "2013-02-10T00:00:00Z"),
        ("2013-07-04T05:00:00Z", "2013-07-04T06:00:00Z"),
        ("2013-12-31T12:00:00Z", "2014-06-01T00:00:00Z"),
    ]
    for start, end in ((milliseconds(a), milliseconds(b)) for a, b in windows):
        want = [[r for r in part if start <= r.timestamp < end] for part in partitions]
        for reader in ("confluent-kafka", "kcat"):
            out = run.scratch / "window.tsv"
            if run.call(clients[reader], "window", topic, out, start, end)[0] is not None:
                compare(run, f"{topic} by {reader} from {start} to {end}", read(out), want)


def flights(run):
    clients = {c.name: c for c in run.clients}
    as_filed = load()
    run.failures.check(
        len(as_filed) == FLIGHTS and sum(r.key is None for r in as_filed) == FLIGHTS_WITHOUT_TAIL,
        f"the data is not what it was: {len(as_filed)} flights",
    )
    by_hour = sorted(as_filed, key=lambda r: r.timestamp)
    topic = f"{run.prefix}-flights"
    partitions = write_and_read_back(
        run,
        clients,
        topic,
        by_hour,
        "confluent-kafka",
        ("confluent-kafka", "franz-go", "kcat"),
        "lz4",
    )
    if partitions:
        check_windows(run, clients, topic, partitions)
    write_and_read_back(
        run, clients, f"{topic}-as-filed", as_filed, "java", ("java", "confluent-kafka"), "none"
    )
