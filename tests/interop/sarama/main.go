// sarama as an interop client; clients.py describes the command line, records.py the file format.
package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

const timeout = 60 * time.Second

var codecs = map[string]sarama.CompressionCodec{
	"none": sarama.CompressionNone, "gzip": sarama.CompressionGZIP, "snappy": sarama.CompressionSnappy,
	"lz4": sarama.CompressionLZ4, "zstd": sarama.CompressionZSTD,
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	check(err)
	return n
}

func fromHex(text string) []byte {
	if text == "-" {
		return nil
	}
	data, err := hex.DecodeString(text)
	check(err)
	return data // not nil, even when empty
}

func toHex(data []byte) string {
	if data == nil {
		return "-"
	}
	return hex.EncodeToString(data)
}

// A nil Encoder is a null; an empty ByteEncoder is empty.
func encoder(text string) sarama.Encoder {
	if text == "-" {
		return nil
	}
	return sarama.ByteEncoder(fromHex(text))
}

func parse(topic, line string) *sarama.ProducerMessage {
	f := strings.Split(line, "\t")
	m := &sarama.ProducerMessage{Topic: topic, Partition: int32(number(f[0])),
		Timestamp: time.UnixMilli(number(f[2])), Key: encoder(f[3]), Value: encoder(f[4])}
	for _, item := range strings.Split(f[5], ",") {
		if name, value, ok := strings.Cut(item, ":"); ok {
			m.Headers = append(m.Headers, sarama.RecordHeader{Key: fromHex(name), Value: fromHex(value)})
		}
	}
	return m
}

func format(m *sarama.ConsumerMessage) string {
	var headers []string
	for _, h := range m.Headers {
		headers = append(headers, hex.EncodeToString(h.Key)+":"+toHex(h.Value))
	}
	return fmt.Sprintf("%d\t%d\t%d\t%s\t%s\t%s\n", m.Partition, m.Offset, m.Timestamp.UnixMilli(),
		toHex(m.Key), toHex(m.Value), strings.Join(headers, ","))
}

func newConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.ClientID = "interop-sarama"
	config.Consumer.MaxWaitTime = 50 * time.Millisecond
	return config
}

func produce(address, topic, codec, path string) {
	config := newConfig()
	config.Producer.Compression = codecs[codec]
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Partitioner = sarama.NewManualPartitioner
	config.Producer.Return.Successes = true
	producer, err := sarama.NewSyncProducer([]string{address}, config)
	check(err)
	file, err := os.Open(path)
	check(err)
	defer file.Close()
	var messages []*sarama.ProducerMessage
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		messages = append(messages, parse(topic, lines.Text()))
	}
	check(lines.Err())
	check(producer.SendMessages(messages))
	check(producer.Close())
}

func drain(reader sarama.PartitionConsumer, end int64, out *bufio.Writer) {
	for next := int64(0); next < end; {
		select {
		case m := <-reader.Messages():
			_, err := out.WriteString(format(m))
			check(err)
			next = m.Offset + 1
		case <-time.After(timeout):
			check(fmt.Errorf("nothing came for %s", timeout))
		}
	}
	reader.AsyncClose()
}

// All partitions are opened before the first is read: sarama subscribes in rounds.
func consumeTopic(client sarama.Client, consumer sarama.Consumer, topic, path string) {
	file, err := os.Create(path)
	check(err)
	out := bufio.NewWriter(file)
	partitions, err := client.Partitions(topic)
	check(err)
	readers := make([]sarama.PartitionConsumer, len(partitions))
	for i, partition := range partitions {
		readers[i], err = consumer.ConsumePartition(topic, partition, sarama.OffsetOldest)
		check(err)
	}
	for i, partition := range partitions {
		end, err := client.GetOffset(topic, partition, sarama.OffsetNewest)
		check(err)
		drain(readers[i], end, out)
	}
	check(out.Flush())
	check(file.Close())
}

func consume(address, directory string, topics []string) {
	client, err := sarama.NewClient([]string{address}, newConfig())
	check(err)
	consumer, err := sarama.NewConsumerFromClient(client)
	check(err)
	for _, topic := range topics {
		consumeTopic(client, consumer, topic, directory+"/"+topic+".tsv")
	}
	check(client.Close())
}

func times(address, topic, path string, instants []string) {
	client, err := sarama.NewClient([]string{address}, newConfig())
	check(err)
	partitions, err := client.Partitions(topic)
	check(err)
	out, err := os.Create(path)
	check(err)
	for _, ms := range instants {
		for _, partition := range partitions {
			offset, err := client.GetOffset(topic, partition, number(ms))
			check(err)
			fmt.Fprintf(out, "%s\t%d\t%d\n", ms, partition, offset)
		}
	}
	check(out.Close())
	check(client.Close())
}

func code(err error) sarama.KError {
	var known sarama.KError
	if err != nil && !errors.As(err, &known) {
		check(err)
	}
	return known
}

func administer(address, topic string) {
	admin, err := sarama.NewClusterAdmin([]string{address}, newConfig())
	check(err)
	limit := "2000000"
	detail := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1,
		ConfigEntries: map[string]*string{"max.message.bytes": &limit}}
	partitions := func() int {
		topics, err := admin.DescribeTopics([]string{topic})
		check(err)
		return len(topics[0].Partitions)
	}
	show := func(step string, err error) { fmt.Printf("%s %d\n", step, int16(code(err))) }
	show("create", admin.CreateTopic(topic, detail, false))
	show("create-again", admin.CreateTopic(topic, detail, false))
	fmt.Println("partitions", partitions())
	resource := sarama.ConfigResource{Type: sarama.TopicResource, Name: topic}
	entries, err := admin.DescribeConfig(resource)
	check(err)
	for _, entry := range entries {
		if entry.Name == "max.message.bytes" {
			fmt.Println("config", entry.Value)
		}
	}
	brokers, _, err := admin.DescribeCluster()
	check(err)
	fmt.Println("brokers", len(brokers))
	show("grow", admin.CreatePartitions(topic, 5, nil, false))
	show("shrink", admin.CreatePartitions(topic, 2, nil, false))
	fmt.Println("partitions", partitions())
	show("delete", admin.DeleteTopic(topic))
	show("delete-again", admin.DeleteTopic(topic))
	check(admin.Close())
}

func main() {
	address, command, args := os.Args[1], os.Args[2], os.Args[3:]
	switch command {
	case "produce":
		for ; len(args) >= 3; args = args[3:] {
			produce(address, args[0], args[1], args[2])
		}
	case "consume":
		consume(address, args[0], args[1:])
	case "times":
		times(address, args[0], args[1], args[2:])
	case "admin":
		administer(address, args[0])
	default:
		check(errors.New("no such command: " + command))
	}
}
