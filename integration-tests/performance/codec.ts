/**
 * `node build/integration-tests/performance/codec.js`: what it costs to decode and encode requests and responses, next to kafkajs' protocol
 * code on the same bytes in the same run. Prints nanoseconds and bytes allocated per call, and the ratio.
 */
import { createRequire } from 'node:module'
import { ByteReader, ByteWriter } from '../../src/base/bytes.ts'
import { apis } from '../../src/protocol/apis/index.ts'
import { BatchBuilder } from '../../src/protocol/records/builder.ts'

const require = createRequire(import.meta.url)

interface KafkajsResponse {
  decode(buffer: Buffer): Promise<unknown>
}
interface KafkajsRequest {
  encode(): Promise<{ buffer: Buffer }>
}

function allocatedBytes(): number {
  return process.memoryUsage().heapUsed
}

interface Cost {
  readonly nanoseconds: number
  readonly bytes: number
}

/** Best of five rounds; allocation over a stretch without collection. */
async function measure(calls: number, work: () => unknown): Promise<Cost> {
  let nanoseconds = Number.POSITIVE_INFINITY
  let bytes = Number.POSITIVE_INFINITY
  for (let round = 0; round < 5; round++) {
    globalThis.gc?.()
    const heap = allocatedBytes()
    const began = process.hrtime.bigint()
    for (let i = 0; i < calls; i++) {
      const result = work()
      if (result instanceof Promise) await result
    }
    nanoseconds = Math.min(nanoseconds, Number(process.hrtime.bigint() - began) / calls)
    const grown = allocatedBytes() - heap
    if (grown >= 0) bytes = Math.min(bytes, grown / calls)
  }
  return { nanoseconds, bytes }
}

function metadataAnswer(topics: number): Buffer {
  const writer = new ByteWriter()
  apis.Metadata.encodeResponse(writer, 5, {
    throttleTimeMs: 0,
    brokers: [0, 1, 2].map((nodeId) => ({ nodeId, host: 'localhost', port: 9092 + nodeId, rack: null })),
    clusterId: 'MDEyMzQ1Njc4OUFCQ0RFRg',
    controllerId: 0,
    topicMetadata: Array.from({ length: topics }, (_, t) => ({
      errorCode: 0,
      topic: `topic-${t}`,
      isInternal: false,
      partitionMetadata: [0, 1, 2].map((partitionId) => ({
        errorCode: 0,
        partition: partitionId,
        leader: partitionId,
        replicas: [0, 1, 2],
        isr: [0, 1, 2],
        offlineReplicas: [],
      })),
    })),
  })
  return Buffer.from(writer.view())
}

function fetchAnswer(partitions: number): Buffer {
  const batch = new BatchBuilder({})
  for (let i = 0; i < 10; i++) batch.append(1_500_000_000_000 + i, null, Buffer.alloc(100, 65))
  const recordSet = batch.build()
  const writer = new ByteWriter()
  apis.Fetch.encodeResponse(writer, 4, {
    throttleTimeMs: 0,
    responses: [
      {
        topic: 'topic',
        partitionResponses: Array.from({ length: partitions }, (_, partition) => ({
          partitionHeader: { partition, errorCode: 0, highWatermark: 10, lastStableOffset: 10, abortedTransactions: null },
          recordSet,
        })),
      },
    ],
  })
  return Buffer.from(writer.view())
}

function show(what: string, ours: Cost, theirs: Cost): void {
  const cell = ({ nanoseconds, bytes }: Cost): string => `${Math.round(nanoseconds)} ns ${Math.round(bytes)} B`
  const ratio = (theirs.nanoseconds / ours.nanoseconds).toFixed(1)
  process.stdout.write(`${what.padEnd(44)} ours ${cell(ours).padEnd(20)} kafkajs ${cell(theirs).padEnd(22)} ${ratio}x\n`)
}

async function main(): Promise<void> {
  const metadata = metadataAnswer(10)
  const reader = new ByteReader(metadata)
  const kafkajsMetadata = require('kafkajs/src/protocol/requests/metadata/v5/response.js') as KafkajsResponse
  show(
    'decode Metadata v5, 10 topics x 3',
    await measure(20_000, () => apis.Metadata.decodeResponse(reader.reset(metadata, 0, metadata.length), 5)),
    await measure(20_000, () => kafkajsMetadata.decode(metadata)),
  )
  const fetched = fetchAnswer(3)
  const kafkajsFetch = require('kafkajs/src/protocol/requests/fetch/v4/response.js') as KafkajsResponse
  show(
    'decode Fetch v4, 3 partitions (ours: lazily)',
    await measure(20_000, () => apis.Fetch.decodeResponse(reader.reset(fetched, 0, fetched.length), 4)),
    await measure(2_000, () => kafkajsFetch.decode(fetched)),
  )
  const writer = new ByteWriter()
  const fetchRequest = require('kafkajs/src/protocol/requests/fetch/v4/request.js') as (options: object) => KafkajsRequest
  const topics = [
    { topic: 'topic', partitions: [0, 1, 2].map((partition) => ({ partition, fetchOffset: 5, maxBytes: 1_048_576 })) },
  ]
  const asked = { maxWaitTime: 500, minBytes: 1, maxBytes: 10_485_760, isolationLevel: 0 }
  const theirs = fetchRequest({ ...asked, topics })
  const ours = { ...asked, replicaId: -1, topics }
  show(
    'encode Fetch v4 request, 3 partitions',
    await measure(20_000, () => {
      writer.position = 0
      apis.Fetch.encodeRequest(writer, 4, ours)
    }),
    await measure(20_000, () => theirs.encode()),
  )
}

await main()
