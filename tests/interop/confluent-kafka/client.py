"""confluent-kafka (PyPI): librdkafka of today behind its Python API."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import records  # noqa: E402
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)  # noqa: E402
from confluent_kafka.admin import AdminClient, ConfigResource, NewPartitions, NewTopic  # noqa: E402

TIMEOUT = 60


def make_consumer(address):
    # This API demands a group id even when partitions are assigned; nothing is committed to it.
    return Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "interop",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
        }
    )


def partitions_of(consumer, topic):
    return sorted(consumer.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions)


def produce(address, topic, codec, path):
    errors = []
    producer = Producer(
        {"bootstrap.servers": address, "compression.type": codec, "linger.ms": 5, "acks": "all"}
    )
    for r in records.read(path):
        while True:
            try:
                producer.produce(
                    topic,
                    value=r.value,
                    key=r.key,
                    partition=r.partition,
                    timestamp=r.timestamp,
                    headers=list(r.headers),
                    on_delivery=lambda e, _: e and errors.append(str(e)),
                )
                break
            except BufferError:
                producer.poll(1)
    left = producer.flush(TIMEOUT)
    if errors or left:
        sys.exit(f"produce {topic}: {left} not sent, errors {errors[:3]}")


def as_record(m):
    return records.Record(
        m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), tuple(m.headers() or ())
    )


def consume_all(consumer, topic):
    consumer.assign(
        [TopicPartition(topic, p, OFFSET_BEGINNING) for p in partitions_of(consumer, topic)]
    )
    open_partitions = len(consumer.assignment())
    while open_partitions:
        m = consumer.poll(TIMEOUT)
        if m is None:
            sys.exit(f"consume {topic}: nothing came for {TIMEOUT} s")
        if m.error() is None:
            yield as_record(m)
        elif m.error().code() == KafkaError._PARTITION_EOF:
            open_partitions -= 1
        else:
            sys.exit(f"consume {topic}: {m.error()}")


def consume(address, out_dir, topics):
    consumer = make_consumer(address)
    for topic in topics:
        records.write(f"{out_dir}/{topic}.tsv", consume_all(consumer, topic))
    consumer.close()


def times(address, topic, out, instants):
    consumer = make_consumer(address)
    partitions = partitions_of(consumer, topic)
    with open(out, "w") as lines:
        for ms in instants:
            for tp in consumer.offsets_for_times(
                [TopicPartition(topic, p, int(ms)) for p in partitions], TIMEOUT
            ):
                lines.write(f"{ms}\t{tp.partition}\t{tp.offset}\n")
    consumer.close()


def window(address, topic, out, start_ms, end_ms):
    """From the first record at or after start up to the first at or after end, by offsets alone."""
    consumer = make_consumer(address)
    partitions = partitions_of(consumer, topic)

    def offsets(ms):
        found = consumer.offsets_for_times(
            [TopicPartition(topic, p, int(ms)) for p in partitions], TIMEOUT
        )
        return {tp.partition: tp.offset for tp in found}

    starts, ends = offsets(start_ms), offsets(end_ms)
    for p in partitions:  # OFFSET_END: nothing is that late, so up to the end
        if ends[p] == OFFSET_END:
            ends[p] = consumer.get_watermark_offsets(TopicPartition(topic, p), TIMEOUT)[1]
    inside = {p for p in partitions if 0 <= starts[p] < ends[p]}
    consumer.assign([TopicPartition(topic, p, starts[p]) for p in inside])

    def read():
        while inside:
            m = consumer.poll(TIMEOUT)
            if m is None:
                sys.exit(f"window {topic}: nothing came for {TIMEOUT} s")
            if m.error() is None and m.offset() < ends[m.partition()]:
                yield as_record(m)
            if m.error() is None and m.offset() + 1 >= ends[m.partition()]:
                inside.discard(m.partition())
            elif m.error() is not None and m.error().code() != KafkaError._PARTITION_EOF:
                sys.exit(f"window {topic}: {m.error()}")

    records.write(out, read())
    consumer.close()


def code_of(future):
    try:
        future.result()
        return 0
    except KafkaException as e:
        return e.args[0].code()


def admin(address, topic):
    client = AdminClient({"bootstrap.servers": address})

    def partitions():
        return len(client.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions)

    new = NewTopic(topic, 3, 1, config={"max.message.bytes": "2000000"})
    print("create", code_of(client.create_topics([new])[topic]))
    print("create-again", code_of(client.create_topics([new])[topic]))
    print("partitions", partitions())
    configs = list(client.describe_configs([ConfigResource("topic", topic)]).values())[0].result()
    print("config", configs["max.message.bytes"].value)
    print("brokers", len(client.describe_cluster().result().nodes))
    print("grow", code_of(client.create_partitions([NewPartitions(topic, 5)])[topic]))
    print("shrink", code_of(client.create_partitions([NewPartitions(topic, 2)])[topic]))
    print("partitions", partitions())
    print("delete", code_of(client.delete_topics([topic])[topic]))
    print("delete-again", code_of(client.delete_topics([topic])[topic]))


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
    elif command == "admin":
        admin(address, *args)


if __name__ == "__main__":
    main(*sys.argv[1:])
