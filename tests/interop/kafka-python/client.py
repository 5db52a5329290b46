"""kafka-python (PyPI), run with 2.0.2, which many hold on to, and with the newest release."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import records  # noqa: E402

if sys.version_info >= (3, 12) and any("kafka-python-2.0.2" in p for p in sys.path):
    # 2.0.2 carries a copy of six that Python 3.12 cannot import from; its users do this.
    import http.client
    import types

    moves = types.ModuleType("kafka.vendor.six.moves")
    moves.range, moves.http_client = range, http.client
    sys.modules["kafka.vendor.six.moves"] = moves

import kafka  # noqa: E402
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition  # noqa: E402
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic  # noqa: E402
from kafka.errors import KafkaError  # noqa: E402

OLD = kafka.__version__.startswith("2.0")
TIMEOUT = 60


def make_consumer(address):
    return KafkaConsumer(
        bootstrap_servers=address,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        consumer_timeout_ms=TIMEOUT * 1000,
    )


def partitions_of(consumer, topic):
    return [TopicPartition(topic, p) for p in sorted(consumer.partitions_for_topic(topic))]


def produce(address, topic, codec, path):
    options = {} if OLD else {"enable_idempotence": False}
    producer = KafkaProducer(
        bootstrap_servers=address,
        acks="all",
        linger_ms=5,
        compression_type=None if codec == "none" else codec,
        **options,
    )
    sent = [
        producer.send(
            topic,
            key=r.key,
            value=r.value,
            partition=r.partition,
            timestamp_ms=r.timestamp,
            headers=list(r.headers),
        )
        for r in records.read(path)
    ]
    for future in sent:
        future.get(TIMEOUT)
    producer.close()


def consume_all(consumer, topic):
    partitions = partitions_of(consumer, topic)
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    ends = consumer.end_offsets(partitions)
    waiting = {tp for tp in partitions if ends[tp] > 0}
    while waiting:
        batches = consumer.poll(timeout_ms=TIMEOUT * 1000)
        if not batches:
            sys.exit(f"consume {topic}: nothing came for {TIMEOUT} s")
        for tp, messages in batches.items():
            for m in messages:
                yield records.Record(
                    m.partition, m.offset, m.timestamp, m.key, m.value, tuple(m.headers)
                )
            if messages[-1].offset + 1 >= ends[tp]:
                waiting.discard(tp)


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
            for tp, found in consumer.offsets_for_times({tp: int(ms) for tp in partitions}).items():
                lines.write(f"{ms}\t{tp.partition}\t{found.offset if found else -1}\n")
    consumer.close()


def code_of(call, *args):
    try:
        call(*args)
        return 0
    except KafkaError as e:
        return e.errno


def config_value(client, topic, name):
    resource = ConfigResource(ConfigResourceType.TOPIC, topic)
    if not OLD:
        return client.describe_configs([resource])["topic"][topic][name]["value"]
    ((_, _, _, _, entries),) = client.describe_configs([resource])[0].resources
    return {entry[0]: entry[1] for entry in entries}[name]


def admin(address, topic):
    client = KafkaAdminClient(bootstrap_servers=address)

    def partitions():
        return len(client.describe_topics([topic])[0]["partitions"])

    new = NewTopic(topic, 3, 1, topic_configs={"max.message.bytes": "2000000"})
    print("create", code_of(client.create_topics, [new]))
    print("create-again", code_of(client.create_topics, [new]))
    print("partitions", partitions())
    print("config", config_value(client, topic, "max.message.bytes"))
    print("brokers", len(client.describe_cluster()["brokers"]))
    print("grow", code_of(client.create_partitions, {topic: NewPartitions(5)}))
    print("shrink", code_of(client.create_partitions, {topic: NewPartitions(2)}))
    print("partitions", partitions())
    print("delete", code_of(client.delete_topics, [topic]))
    print("delete-again", code_of(client.delete_topics, [topic]))


def main(address, command, *args):
    if command == "produce":
        for at in range(0, len(args), 3):
            produce(address, *args[at : at + 3])
    elif command == "consume":
        consume(address, args[0], args[1:])
    elif command == "times":
        times(address, args[0], args[1], args[2:])
    elif command == "admin":
        admin(address, *args)


if __name__ == "__main__":
    main(*sys.argv[1:])
