// franz-go as an interop client; clients.py describes the command line, records.py the file format.
package main

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const timeout = 60 * time.Second

var codecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
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

func parse(topic, line string) *kgo.Record {
	f := strings.Split(line, "\t")
	r := &kgo.Record{Topic: topic, Partition: int32(number(f[0])),
		Timestamp: time.UnixMilli(number(f[2])), Key: fromHex(f[3]), Value: fromHex(f[4])}
	for _, item := range strings.Split(f[5], ",") {
		if name, value, ok := strings.Cut(item, ":"); ok {
			r.Headers = append(r.Headers,
				kgo.RecordHeader{Key: string(fromHex(name)), Value: fromHex(value)})
		}
	}
	return r
}

func format(r *kgo.Record) string {
	var headers []string
	for _, h := range r.Headers {
		headers = append(headers, hex.EncodeToString([]byte(h.Key))+":"+toHex(h.Value))
	}
	return fmt.Sprintf("%d\t%d\t%d\t%s\t%s\t%s\n", r.Partition, r.Offset, r.Timestamp.UnixMilli(),
		toHex(r.Key), toHex(r.Value), strings.Join(headers, ","))
}

func produce(ctx context.Context, address, topic, codec, path string) {
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.DisableIdempotentWrite(),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(codecs[codec]),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.AllowAutoTopicCreation())
	check(err)
	defer client.Close()
	file, err := os.Open(path)
	check(err)
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		client.Produce(ctx, parse(topic, lines.Text()), func(_ *kgo.Record, err error) { check(err) })
	}
	check(lines.Err())
	check(client.Flush(ctx))
}

func newAdmin(address string) *kadm.Client {
	admin, err := kadm.NewOptClient(kgo.SeedBrokers(address))
	check(err)
	return admin
}

func consume(ctx context.Context, address, directory, topic string) {
	admin := newAdmin(address)
	defer admin.Close()
	ends, err := admin.ListEndOffsets(ctx, topic)
	check(err)
	check(ends.Error())
	start, left := map[int32]kgo.Offset{}, int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		start[o.Partition] = kgo.NewOffset().AtStart()
		left += o.Offset
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(address),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: start}))
	check(err)
	defer client.Close()
	out, err := os.Create(directory + "/" + topic + ".tsv")
	check(err)
	writer := bufio.NewWriter(out)
	for left > 0 {
		fetches := client.PollFetches(ctx)
		check(fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			_, err := writer.WriteString(format(r))
			check(err)
			left--
		})
	}
	check(writer.Flush())
	check(out.Close())
}

// kadm turns "none that late" into the end offset, so the client says past_end="end" in clients.py.
func times(ctx context.Context, address, topic, path string, instants []string) {
	admin := newAdmin(address)
	defer admin.Close()
	out, err := os.Create(path)
	check(err)
	for _, ms := range instants {
		offsets, err := admin.ListOffsetsAfterMilli(ctx, number(ms), topic)
		check(err)
		check(offsets.Error())
		offsets.Each(func(o kadm.ListedOffset) {
			fmt.Fprintf(out, "%s\t%d\t%d\n", ms, o.Partition, o.Offset)
		})
	}
	check(out.Close())
}

func code(err error) int16 {
	var known *kerr.Error
	if err != nil && !errors.As(err, &known) {
		check(err)
	}
	if known == nil {
		return 0
	}
	return known.Code
}

func administer(ctx context.Context, address, topic string) {
	admin := newAdmin(address)
	defer admin.Close()
	limit := "2000000"
	create := func() int16 {
		_, err := admin.CreateTopic(ctx, 3, 1, map[string]*string{"max.message.bytes": &limit}, topic)
		return code(err)
	}
	partitions := func() int {
		details, err := admin.ListTopics(ctx, topic)
		check(err)
		return len(details[topic].Partitions)
	}
	grow := func(count int) int16 {
		answer, err := admin.UpdatePartitions(ctx, count, topic)
		check(err)
		return code(answer[topic].Err)
	}
	remove := func() int16 {
		answer, err := admin.DeleteTopics(ctx, topic)
		check(err)
		return code(answer[topic].Err)
	}
	fmt.Println("create", create())
	fmt.Println("create-again", create())
	fmt.Println("partitions", partitions())
	configs, err := admin.DescribeTopicConfigs(ctx, topic)
	check(err)
	for _, c := range configs[0].Configs {
		if c.Key == "max.message.bytes" {
			fmt.Println("config", c.MaybeValue())
		}
	}
	metadata, err := admin.BrokerMetadata(ctx)
	check(err)
	fmt.Println("brokers", len(metadata.Brokers))
	fmt.Println("grow", grow(5))
	fmt.Println("shrink", grow(2))
	fmt.Println("partitions", partitions())
	fmt.Println("delete", remove())
	fmt.Println("delete-again", remove())
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 4*timeout)
	defer cancel()
	address, command, args := os.Args[1], os.Args[2], os.Args[3:]
	switch command {
	case "produce":
		for ; len(args) >= 3; args = args[3:] {
			produce(ctx, address, args[0], args[1], args[2])
		}
	case "consume":
		for _, topic := range args[1:] {
			consume(ctx, address, args[0], topic)
		}
	case "times":
		times(ctx, address, args[0], args[1], args[2:])
	case "admin":
		administer(ctx, address, args[0])
	default:
		check(errors.New("no such command: " + command))
	}
}
