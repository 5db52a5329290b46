"""kcat (Debian) behind the common command line: all that is sent or read goes through kcat."""

import itertools
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import records  # noqa: E402

# Longer than anything random data repeats, since kcat parts records by delimiters when it produces.
KEY_END, RECORD_END = "<key-ends-here>", "<record-ends-here>"
FORMAT = "%p %o %T %K %S\n%k%s%h" + RECORD_END


def kcat(address, *args, data=None):
    done = subprocess.run(
        ["kcat", "-b", address, *args], input=data, capture_output=True, timeout=120
    )
    if done.returncode != 0:
        sys.exit(f"kcat {' '.join(args)}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def produce(address, topic, codec, path):
    """One kcat per run of records with the same partition and headers; kcat stamps them itself."""
    for (partition, headers), group in itertools.groupby(
        records.read(path), lambda r: (r.partition, r.headers)
    ):
        options = [
            o
            for name, value in headers
            for o in ("-H", name if value is None else f"{name}={value.decode()}")
        ]
        data = b"".join(
            (r.key or b"") + KEY_END.encode() + (r.value or b"") + RECORD_END.encode()
            for r in group
        )
        kcat(
            address,
            "-P",
            "-t",
            topic,
            "-p",
            str(partition),
            "-z",
            codec,
            "-Z",
            "-K",
            KEY_END,
            "-D",
            RECORD_END,
            "-X",
            "acks=all",
            *options,
            data=data,
        )


def partitions_of(address, topic):
    listing = kcat(address, "-L", "-t", topic).decode()
    return sorted(int(p) for p in re.findall(r"^ +partition (\d+),", listing, re.MULTILINE))


def take(data, at, length):
    return (None, at) if length < 0 else (data[at : at + length], at + length)


def parse(data):
    at, end = 0, RECORD_END.encode()
    while at < len(data):
        line_end = data.index(b"\n", at)
        partition, offset, timestamp, key_length, value_length = (
            int(n) for n in data[at:line_end].split()
        )
        key, at = take(data, line_end + 1, key_length)
        value, at = take(data, at, value_length)
        header_end = data.index(end, at)
        headers = data[at:header_end].decode(errors="surrogateescape")
        at = header_end + len(end)
        # kcat prints the headers joined and without lengths: passed on so, under one name.
        yield records.Record(
            partition,
            offset,
            timestamp,
            key,
            value,
            (("kcat", headers.encode(errors="surrogateescape")),) if headers else (),
        )


def consume(address, out_dir, topics):
    for topic in topics:
        output = kcat(
            address,
            "-C",
            "-q",
            "-t",
            topic,
            "-o",
            "beginning",
            "-e",
            "-f",
            FORMAT,
            "-X",
            "fetch.wait.max.ms=50",
        )
        records.write(f"{out_dir}/{topic}.tsv", parse(output))


def window(address, topic, out, start_ms, end_ms):
    output = kcat(
        address,
        "-C",
        "-q",
        "-t",
        topic,
        "-o",
        f"s@{start_ms}",
        "-o",
        f"e@{end_ms}",
        "-e",
        "-f",
        FORMAT,
        "-X",
        "fetch.wait.max.ms=50",
    )
    records.write(out, parse(output))


def times(address, topic, out, instants):
    partitions = partitions_of(address, topic)
    with open(out, "w") as lines:
        for ms in instants:
            queries = [o for p in partitions for o in ("-t", f"{topic}:{p}:{ms}")]
            answer = kcat(address, "-Q", *queries).decode()
            for partition, offset in re.findall(r"\[(\d+)\] offset (-?\d+)", answer):
                lines.write(f"{ms}\t{partition}\t{offset}\n")


def main(address, command, *args):
    if command == "produce":
        for at in range(0, len(args), 3):
            produce(address, *args[at : at + 3])
    elif command == "consume":
        consume(address, args[0], args[1:])
    elif command == "times":
        times(address, args[0], args[1], args[2:])
    elif command == "window":
        window(address, *args)


if __name__ == "__main__":
    main(*sys.argv[1:])
