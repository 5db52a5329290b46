// kafkajs (npm) with the codec packages that its users add. kafkajs itself reads only as a member
// of a group; until there are groups its own cluster and broker objects fetch the partitions: the
// same requests, decoders and codecs.
'use strict'
const fs = require('fs')
const kafkajs = require('kafkajs')
const Batch = require('kafkajs/src/consumer/batch')
const lz4 = require('lz4js')
const xxh32 = require('lz4js/xxh32')
const zstd = require('@bokuweb/zstd-wasm')

const { Kafka, CompressionTypes, CompressionCodecs, ConfigResourceTypes } = kafkajs
const SEND_BYTES = 900 * 1000 // one send() is one batch per partition, and a batch is at most 1 MB
const ZSTD_ROOM = 16 << 20 // for frames that do not say how large they are

CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async (encoder) => lz4Frame(encoder.buffer),
  decompress: async (data) => Buffer.from(lz4.decompress(data)),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer, 3)),
  decompress: async (data) => Buffer.from(zstd.decompress(data, { defaultHeapSize: ZSTD_ROOM })),
})

// lz4js does not set "blocks are independent", without which Kafka refuses a frame; with one block
// (of up to 4 MB) they always are.
function lz4Frame(data) {
  const frame = Buffer.from(lz4.compress(data))
  frame[4] |= 0x20
  frame[6] = (xxh32.hash(0, frame, 4, 2) >> 8) & 0xff
  return frame
}

const CODECS = { none: 'None', gzip: 'GZIP', snappy: 'Snappy', lz4: 'LZ4', zstd: 'ZSTD' }

const fromHex = (text) => (text === '-' ? null : Buffer.from(text, 'hex'))
const toHex = (data) => (data == null ? '-' : Buffer.from(data).toString('hex'))

function headersFromText(text) {
  const headers = {}
  for (const item of text.split(',').filter(Boolean)) {
    const [name, value] = item.split(':')
    ;(headers[Buffer.from(name, 'hex').toString()] ||= []).push(fromHex(value))
  }
  return headers
}

function headersToText(headers) {
  return Object.entries(headers || {})
    .flatMap(([name, values]) =>
      [values].flat().map((v) => `${Buffer.from(name).toString('hex')}:${toHex(v)}`),
    )
    .join(',')
}

function* readRecords(path) {
  for (const line of fs.readFileSync(path, 'utf8').split('\n').filter(Boolean)) {
    const [partition, , timestamp, key, value, headers] = line.split('\t')
    yield {
      partition: Number(partition),
      timestamp,
      key: fromHex(key),
      value: fromHex(value),
      headers: headersFromText(headers),
    }
  }
}

async function produce(kafka, files) {
  const producer = kafka.producer({
    idempotent: false,
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  for (let i = 0; i < files.length; i += 3) {
    const [topic, codec, path] = files.slice(i, i + 3)
    let messages = []
    let bytes = 0
    const send = async () => {
      if (messages.length)
        await producer.send({
          topic,
          messages,
          acks: -1,
          compression: CompressionTypes[CODECS[codec]],
        })
      messages = []
      bytes = 0
    }
    for (const record of readRecords(path)) {
      const size = 1000 + (record.value ? record.value.length : 0)
      if (bytes + size > SEND_BYTES || messages.length === 50) await send()
      messages.push(record)
      bytes += size
    }
    await send()
  }
  await producer.disconnect()
}

// The objects below Producer and Consumer, made by the Kafka object as for a consumer of its own.
async function openCluster(kafka) {
  const symbol = Object.getOwnPropertySymbols(kafka).find((s) =>
    String(s).includes('createCluster'),
  )
  const cluster = kafka[symbol]({
    metadataMaxAge: 300000,
    allowAutoTopicCreation: false,
    maxInFlightRequests: null,
    isolationLevel: 1,
  })
  await cluster.connect()
  return cluster
}

async function* fetchPartition(cluster, topic, partition, end) {
  const leaders = cluster.findLeaderForPartitions(topic, [partition])
  const broker = await cluster.findBroker({ nodeId: Object.keys(leaders)[0] })
  for (let offset = 0n; offset < end;) {
    const answer = await broker.fetch({
      maxWaitTime: 1000,
      minBytes: 1,
      maxBytes: 10 << 20,
      isolationLevel: 1,
      topics: [
        { topic, partitions: [{ partition, fetchOffset: offset.toString(), maxBytes: 1 << 20 }] },
      ],
    })
    const batch = new Batch(topic, offset.toString(), answer.responses[0].partitions[0])
    for (const message of batch.messages) yield message
    if (batch.messages.length) offset = BigInt(batch.lastOffset()) + 1n
  }
}

async function consume(kafka, [outDir, ...topics]) {
  const admin = kafka.admin()
  await admin.connect()
  const cluster = await openCluster(kafka)
  for (const topic of topics) {
    await cluster.addTargetTopic(topic)
    const out = fs.openSync(`${outDir}/${topic}.tsv`, 'w')
    for (const { partition, high } of await admin.fetchTopicOffsets(topic)) {
      for await (const m of fetchPartition(cluster, topic, partition, BigInt(high))) {
        fs.writeSync(
          out,
          [
            partition,
            m.offset,
            m.timestamp,
            toHex(m.key),
            toHex(m.value),
            headersToText(m.headers),
          ].join('\t') + '\n',
        )
      }
    }
    fs.closeSync(out)
  }
  await cluster.disconnect()
  await admin.disconnect()
}

async function times(kafka, [topic, outFile, ...instants]) {
  const admin = kafka.admin()
  await admin.connect()
  const lines = []
  for (const ms of instants) {
    for (const { partition, offset } of await admin.fetchTopicOffsetsByTimestamp(
      topic,
      Number(ms),
    )) {
      lines.push(`${ms}\t${partition}\t${offset}\n`)
    }
  }
  fs.writeFileSync(outFile, lines.join(''))
  await admin.disconnect()
}

// The code may lie in one error per topic, or under "retries exceeded".
async function codeOf(call) {
  try {
    await call
    return 0
  } catch (e) {
    const first = e.errors ? e.errors[0] : e
    return first.code ?? first.cause?.code ?? String(first)
  }
}

async function administer(kafka, [topic]) {
  const admin = kafka.admin()
  await admin.connect()
  const partitions = async () =>
    (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
  const create = () =>
    admin.createTopics({
      validateOnly: false,
      waitForLeaders: true,
      topics: [
        {
          topic,
          numPartitions: 3,
          replicationFactor: 1,
          configEntries: [{ name: 'max.message.bytes', value: '2000000' }],
        },
      ],
    })
  console.log('create', (await create()) ? 0 : 36)
  console.log('create-again', (await create()) ? 0 : 36) // "already exists" is false
  console.log('partitions', await partitions())
  const configs = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
  })
  console.log(
    'config',
    configs.resources[0].configEntries.find((e) => e.configName === 'max.message.bytes')
      .configValue,
  )
  console.log('brokers', (await admin.describeCluster()).brokers.length)
  const grow = (count) => admin.createPartitions({ topicPartitions: [{ topic, count }] })
  console.log('grow', await codeOf(grow(5)))
  console.log('shrink', await codeOf(grow(2)))
  console.log('partitions', await partitions())
  console.log('delete', await codeOf(admin.deleteTopics({ topics: [topic] })))
  console.log('delete-again', await codeOf(admin.deleteTopics({ topics: [topic] })))
  await admin.disconnect()
}

async function main([address, command, ...args]) {
  await zstd.init()
  const kafka = new Kafka({
    clientId: 'interop-kafkajs',
    brokers: [address],
    logLevel: kafkajs.logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 5 },
  })
  await { produce, consume, times, admin: administer }[command](kafka, args)
}

main(process.argv.slice(2)).catch((e) => {
  console.error(e)
  process.exit(1)
})
