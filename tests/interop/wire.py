"""The Kafka protocol by hand, as little as the driver needs: old fixed layouts, no negotiation.

It creates the topics of the tests and looks at them, and it is itself the client that negotiates
nothing.
"""

import itertools
import socket
import struct

METADATA, PRODUCE, CREATE_TOPICS = 3, 0, 19
TIMEOUT = 30


class Reader:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, layout):
        values = struct.unpack_from(">" + layout, self.data, self.at)
        self.at += struct.calcsize(">" + layout)
        return values[0] if len(values) == 1 else values

    def string(self):
        length = self.take("h")
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode()

    def array(self, element):
        return [element() for _ in range(self.take("i"))]

    def done(self):
        if self.at != len(self.data):
            raise ValueError(f"{len(self.data) - self.at} bytes left over in an answer")


def string(text):
    data = text.encode()
    return struct.pack(">h", len(data)) + data


class Connection:
    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=TIMEOUT)
        self.stream = self.socket.makefile("rb")
        self.correlation = itertools.count(1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stream.close()
        self.socket.close()

    def call(self, key, version, body):
        correlation = next(self.correlation)
        header = struct.pack(">hhi", key, version, correlation) + string("varve-interop")
        self.socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        size = self.stream.read(4)
        if len(size) < 4:
            raise ConnectionError(
                f"the server closed the connection on API {key} version {version}"
            )
        answer = Reader(self.stream.read(struct.unpack(">i", size)[0]))
        if answer.take("i") != correlation:
            raise ValueError("an answer to another request")
        return answer

    def metadata(self, topic, create=True):
        """(brokers, error of the topic, its partitions as (error, index, leader)).

        Metadata v1 always asks for a missing topic to be created; v4 is the first that need not."""
        body = struct.pack(">i", 1) + string(topic)
        answer = self.call(METADATA, 1, body) if create else self.call(METADATA, 4, body + b"\0")
        if not create:
            answer.take("i")  # throttle time
        brokers = answer.array(
            lambda: (answer.take("i"), answer.string(), answer.take("i"), answer.string())
        )
        if not create:
            answer.string()  # cluster id
        answer.take("i")  # controller

        def partition():
            head = answer.take("hii")
            answer.array(lambda: answer.take("i"))
            answer.array(lambda: answer.take("i"))
            return head

        ((error, name, _, partitions),) = answer.array(
            lambda: (answer.take("h"), answer.string(), answer.take("?"), answer.array(partition))
        )
        answer.done()
        if name != topic:
            raise ValueError(f"metadata of {name!r} where {topic!r} was asked for")
        return len(brokers), error, partitions

    def create_topic(self, topic, partitions, configs=(), version=2):
        """CreateTopics v0 or v2: the error code."""
        settings = b"".join(string(name) + string(value) for name, value in configs)
        body = (
            struct.pack(">i", 1)
            + string(topic)
            + struct.pack(">ihi", partitions, 1, 0)
            + struct.pack(">i", len(configs))
            + settings
            + struct.pack(">i", TIMEOUT * 1000)
        )
        if version >= 1:
            body += b"\0"  # not only a validation
        answer = self.call(CREATE_TOPICS, version, body)
        if version >= 2:
            answer.take("i")  # throttle time
        ((name, error),) = answer.array(
            lambda: (answer.string(), (answer.take("h"), version >= 1 and answer.string())[0])
        )
        answer.done()
        if name != topic:
            raise ValueError(f"an answer about {name!r}, not {topic!r}")
        return error

    def produce(self, topic, partition, batch):
        """Produce v3, acks=all: (error code, base offset)."""
        body = (
            struct.pack(">hhii", -1, -1, TIMEOUT * 1000, 1)
            + string(topic)
            + struct.pack(">iii", 1, partition, len(batch))
            + batch
        )
        answer = self.call(PRODUCE, 3, body)

        def part():
            _, error, base, _ = answer.take("ihqq")
            return error, base

        (((_, (result,)),)) = answer.array(lambda: (answer.string(), answer.array(part)))
        answer.take("i")  # throttle time
        answer.done()
        return result


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def varint(number):
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def batch(values, timestamp):
    """One uncompressed RecordBatch v2 of records without keys."""
    encoded = b""
    for i, value in enumerate(values):
        body = b"\0" + varint(0) + varint(i) + varint(-1) + varint(len(value)) + value + varint(0)
        encoded += varint(len(body)) + body
    rest = (
        struct.pack(">hiqqqhii", 0, len(values) - 1, timestamp, timestamp, -1, -1, -1, len(values))
        + encoded
    )
    return struct.pack(">qiibI", 0, len(rest) + 9, -1, 2, crc32c(rest)) + rest
