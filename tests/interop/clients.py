"""The client programs of the interop tests: how each is started, what it can do, where it differs.

Every program has the same command line, `PROGRAM ADDRESS COMMAND …`:
  produce TOPIC CODEC FILE [TOPIC CODEC FILE …]   send the records of FILE (see records.py)
  consume DIRECTORY TOPIC…                        read TOPIC whole into DIRECTORY/TOPIC.tsv
  times TOPIC FILE MS…     first offset at or after each instant: lines `ms partition offset`
  window TOPIC FILE FROM TO        (kcat, confluent-kafka) what lies between two instants
  admin TOPIC              create, describe, grow and delete TOPIC: lines `step result`
"""

import pathlib
import shutil
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
BUILD = (
    HERE.parent.parent / "build"
)  # where tests/interop/prepare puts what it fetches and compiles
OUT = BUILD / "interop"
PYTHON = BUILD / "venv" / "bin" / "python"

ALL_CODECS = ("none", "gzip", "snappy", "lz4", "zstd")


class Client(NamedTuple):
    name: str
    command: list
    needs: tuple  # files without which it cannot run here
    env: dict = {}
    codecs: tuple = ALL_CODECS
    admin: bool = True
    nulls_everywhere: bool = True  # can send a null in a header, and nulls as both key and value
    own_timestamps: bool = False  # stamps records itself, whatever it is told
    joins_headers: bool = False  # reads headers as one text
    past_end: str = "-1"  # what it makes of "no record is that late": -1, or the end offset


def python_client(name, script, **more):
    return Client(name, [str(PYTHON), str(HERE / script)], (PYTHON,), **more)


def compiled(name, path, **more):
    return Client(name, [str(path)], (path,), **more)


def clients(librdkafka_program):
    """All of them; librdkafka's program is compiled by meson, which passes its path."""
    old_kafka_python = OUT / "kafka-python-2.0.2"
    java, kafkajs = OUT / "java", OUT / "kafkajs" / "node_modules"
    kcat = shutil.which("kcat") or "/usr/bin/kcat"
    return [
        Client(
            "kcat",
            ["python3", str(HERE / "kcat" / "client.py")],
            (pathlib.Path(kcat),),
            admin=False,
            own_timestamps=True,
            joins_headers=True,
        ),
        compiled(
            "librdkafka",
            pathlib.Path(librdkafka_program or OUT / "librdkafka" / "client"),
            admin=False,
        ),
        python_client("confluent-kafka", "confluent-kafka/client.py"),
        python_client(
            "kafka-python-2.0.2",
            "kafka-python/client.py",
            env={"PYTHONPATH": str(old_kafka_python)},
            nulls_everywhere=False,
        )._replace(needs=(PYTHON, old_kafka_python)),
        python_client("kafka-python", "kafka-python/client.py", nulls_everywhere=False),
        Client(
            "kafkajs",
            ["node", str(HERE / "kafkajs" / "client.js")],
            (kafkajs,),
            env={"NODE_PATH": str(kafkajs)},
            nulls_everywhere=False,
            past_end="end",
        ),
        compiled("franz-go", OUT / "franz-go" / "client", past_end="end"),
        compiled("sarama", OUT / "sarama" / "client"),
        Client(
            "java",
            [
                "java",
                "-Xmx512m",
                "-XX:TieredStopAtLevel=1",
                "-cp",
                f"{java}/classes:{java}/libs/*",
                "Client",
            ],
            (java / "classes", java / "libs"),
        ),
    ]
