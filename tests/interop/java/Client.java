// Apache Kafka's own Java client as an interop client; clients.py describes the command line,
// records.py the file format.
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.protocol.Errors;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public final class Client {
    private static final Duration TIMEOUT = Duration.ofSeconds(60);
    private static final HexFormat HEX = HexFormat.of();

    private Client() {}

    private static byte[] fromHex(String text) {
        return text.equals("-") ? null : HEX.parseHex(text);
    }

    private static String toHex(byte[] data) {
        return data == null ? "-" : HEX.formatHex(data);
    }

    private static ProducerRecord<byte[], byte[]> parse(String topic, String line) {
        String[] f = line.split("\t", -1);
        List<Header> headers = new ArrayList<>();
        for (String item : f[5].split(",")) {
            if (!item.isEmpty()) {
                String[] pair = item.split(":", -1);
                headers.add(
                        new RecordHeader(new String(fromHex(pair[0]), UTF_8), fromHex(pair[1])));
            }
        }
        return new ProducerRecord<>(topic, Integer.valueOf(f[0]), Long.valueOf(f[2]), fromHex(f[3]),
                fromHex(f[4]), headers);
    }

    private static String format(ConsumerRecord<byte[], byte[]> r) {
        String headers = Arrays.stream(r.headers().toArray())
                                 .map(h -> toHex(h.key().getBytes(UTF_8)) + ":" + toHex(h.value()))
                                 .collect(Collectors.joining(","));
        return r.partition() + "\t" + r.offset() + "\t" + r.timestamp() + "\t" + toHex(r.key())
                + "\t" + toHex(r.value()) + "\t" + headers + "\n";
    }

    private static void produce(Map<String, Object> common, String topic, String codec, String path)
            throws Exception {
        Map<String, Object> config = new HashMap<>(common);
        config.putAll(Map.of("compression.type", codec, "acks", "all", "enable.idempotence", false,
                "linger.ms", 5));
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(
                     config, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (String line : Files.readAllLines(Path.of(path))) {
                sent.add(producer.send(parse(topic, line)));
            }
            for (Future<RecordMetadata> one : sent) {
                one.get();
            }
        }
    }

    private static List<TopicPartition> partitionsOf(
            KafkaConsumer<byte[], byte[]> consumer, String topic) {
        return consumer.partitionsFor(topic)
                .stream()
                .map(p -> new TopicPartition(topic, p.partition()))
                .toList();
    }

    private static KafkaConsumer<byte[], byte[]> newConsumer(Map<String, Object> common) {
        Map<String, Object> config = new HashMap<>(common);
        config.putAll(Map.of(
                "enable.auto.commit", false, "auto.offset.reset", "none", "fetch.max.wait.ms", 50));
        return new KafkaConsumer<>(
                config, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static void consume(KafkaConsumer<byte[], byte[]> consumer, String topic, String path)
            throws IOException {
        List<TopicPartition> partitions = partitionsOf(consumer, topic);
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        long left =
                consumer.endOffsets(partitions).values().stream().mapToLong(Long::longValue).sum();
        try (BufferedWriter out = Files.newBufferedWriter(Path.of(path))) {
            while (left > 0) {
                var records = consumer.poll(TIMEOUT);
                if (records.isEmpty()) {
                    throw new IOException(topic + ": nothing came for " + TIMEOUT);
                }
                for (var r : records) {
                    out.write(format(r));
                    left--;
                }
            }
        }
    }

    private static void times(KafkaConsumer<byte[], byte[]> consumer, String topic, String path,
            List<String> instants) throws IOException {
        List<TopicPartition> partitions = partitionsOf(consumer, topic);
        try (BufferedWriter out = Files.newBufferedWriter(Path.of(path))) {
            for (String ms : instants) {
                Map<TopicPartition, Long> query = partitions.stream().collect(
                        Collectors.toMap(tp -> tp, tp -> Long.valueOf(ms)));
                for (Map.Entry<TopicPartition, OffsetAndTimestamp> e :
                        consumer.offsetsForTimes(query).entrySet()) {
                    long offset = e.getValue() == null ? -1 : e.getValue().offset();
                    out.write(ms + "\t" + e.getKey().partition() + "\t" + offset + "\n");
                }
            }
        }
    }

    private static int codeOf(Future<?> call) throws InterruptedException {
        try {
            call.get();
            return 0;
        } catch (ExecutionException e) {
            return Errors.forException(e.getCause()).code();
        }
    }

    private static int partitions(Admin admin, String topic) throws Exception {
        return admin.describeTopics(List.of(topic))
                .allTopicNames()
                .get()
                .get(topic)
                .partitions()
                .size();
    }

    private static void administer(Admin admin, String topic) throws Exception {
        NewTopic fresh =
                new NewTopic(topic, 3, (short) 1).configs(Map.of("max.message.bytes", "2000000"));
        System.out.println("create " + codeOf(admin.createTopics(List.of(fresh)).all()));
        System.out.println("create-again " + codeOf(admin.createTopics(List.of(fresh)).all()));
        System.out.println("partitions " + partitions(admin, topic));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        System.out.println("config "
                + admin.describeConfigs(List.of(resource))
                          .all()
                          .get()
                          .get(resource)
                          .get("max.message.bytes")
                          .value());
        System.out.println("brokers " + admin.describeCluster().nodes().get().size());
        System.out.println("grow "
                + codeOf(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all()));
        System.out.println("shrink "
                + codeOf(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(2))).all()));
        System.out.println("partitions " + partitions(admin, topic));
        System.out.println("delete " + codeOf(admin.deleteTopics(List.of(topic)).all()));
        System.out.println("delete-again " + codeOf(admin.deleteTopics(List.of(topic)).all()));
    }

    public static void main(String[] args) throws Exception {
        Map<String, Object> common =
                Map.of("bootstrap.servers", args[0], "client.id", "interop-java");
        switch (args[1]) {
            case "produce" -> {
                for (int i = 2; i < args.length; i += 3) {
                    produce(common, args[i], args[i + 1], args[i + 2]);
                }
            }
            case "consume" -> {
                try (var consumer = newConsumer(common)) {
                    for (int i = 3; i < args.length; i++) {
                        consume(consumer, args[i], args[2] + "/" + args[i] + ".tsv");
                    }
                }
            }
            case "times" -> {
                try (var consumer = newConsumer(common)) {
                    times(consumer, args[2], args[3], Arrays.asList(args).subList(4, args.length));
                }
            }
            case "admin" -> {
                try (Admin admin = Admin.create(common)) {
                    administer(admin, args[2]);
                }
            }
            default -> throw new IllegalArgumentException("no such command: " + args[1]);
        }
    }
}
