/** The work of `bench.ts`: a closed loop of requests over some connections. */
import type { ByteReader } from '../../src/base/bytes.ts'
import { apis } from '../../src/protocol/apis/index.ts'
import { BatchBuilder } from '../../src/protocol/records/builder.ts'
import type { BenchCluster } from './bench-cluster.ts'
import type { BenchConnection } from './bench-connection.ts'
import { frameOf } from './bench-connection.ts'

export interface Workload {
  readonly name: string
  readonly kind: 'produce' | 'consume'
  readonly connections: number
  /** Requests without an answer, per connection. */
  readonly inFlight: number
  readonly batchBytes: number
  readonly recordBytes: number
  readonly acks: number
  readonly fetchBytes: number
}

export interface Sample {
  readonly requests: number
  /** Of records. */
  readonly bytes: number
  readonly seconds: number
  readonly cpuSeconds: number
  readonly p50: number
  readonly p99: number
}

const PRODUCE_VERSION = 5
const FETCH_VERSION = 6

export function batchOf(bytes: number, recordBytes: number): Buffer {
  const builder = new BatchBuilder({})
  const value = Buffer.alloc(recordBytes, 'x')
  const now = Date.now()
  do builder.append(now, null, value)
  while ((builder.count + 1) * (recordBytes + 12) < bytes)
  return builder.build()
}

export function produceFrame(topic: string, partition: number, acks: number, records: Buffer): Buffer {
  const topicData = [{ topic, data: [{ partition, recordSet: records }] }]
  return frameOf('Produce', PRODUCE_VERSION, { transactionalId: null, acks, timeout: 30_000, topicData })
}

function checkProduced(answer: ByteReader): void {
  const { responses } = apis.Produce.decodeResponse(answer, PRODUCE_VERSION)
  const error = responses[0]?.partitionResponses[0]?.errorCode
  if (error !== 0) throw new Error(`Produce was answered with error ${error}`)
}

function fetchFrame(partition: number, fetchOffset: number, maxBytes: number): Buffer {
  const partitions = [{ partition, fetchOffset, logStartOffset: -1, maxBytes }]
  const rest = { replicaId: -1, maxWaitTime: 500, minBytes: 1, maxBytes: 52_428_800, isolationLevel: 0 }
  return frameOf('Fetch', FETCH_VERSION, {
    ...rest,
    sessionId: 0,
    epoch: -1,
    topics: [{ topic: 'kept', partitions }],
    forgettenTopicsData: [],
  })
}

/** The offset to go on with, and the bytes of records. */
function readFetched(answer: ByteReader): { next: number; bytes: number } {
  const partition = apis.Fetch.decodeResponse(answer, FETCH_VERSION).responses[0]?.partitionResponses[0]
  if (partition?.partitionHeader.errorCode !== 0)
    throw new Error(`Fetch was answered with error ${partition?.partitionHeader.errorCode}`)
  const records = partition.recordSet
  let next = -1
  for (let at = 0; at + 61 <= records.length; ) {
    const size = records.readInt32BE(at + 8) + 12
    if (at + size > records.length) break
    next = Number(records.readBigInt64BE(at)) + records.readInt32BE(at + 23) + 1
    at += size
  }
  // From the end to the start again.
  return { next: next < partition.partitionHeader.highWatermark ? Math.max(0, next) : 0, bytes: records.length }
}

/** One connection's loop: sends, counts, sends again. */
interface Loop {
  /** Takes an answer, sends the next request; bytes of records that came or went. */
  step(answer: ByteReader): number
  begin(): void
}

function produceLoop(connection: BenchConnection, workload: Workload, partition: number): Loop {
  const records = batchOf(workload.batchBytes, workload.recordBytes)
  const frame = produceFrame('bench', partition, workload.acks, records)
  return {
    begin: () => {
      for (let i = 0; i < workload.inFlight; i++) connection.send(frame)
    },
    step: (answer) => {
      checkProduced(answer)
      connection.send(frame)
      return records.length
    },
  }
}

/** From the start of the partition to its end, again and again. */
function consumeLoop(connection: BenchConnection, workload: Workload, partition: number): Loop {
  const ask = (offset: number): void => connection.send(fetchFrame(partition, offset, workload.fetchBytes))
  return {
    begin: () => ask(0),
    step: (answer) => {
      const { next, bytes } = readFetched(answer)
      ask(next)
      return bytes
    },
  }
}

/** Writes `bytes` to each of the first partitions of `kept`. */
export async function fill(cluster: BenchCluster, partitions: number, bytes: number): Promise<void> {
  const records = batchOf(16_384, 1000)
  for (let partition = 0; partition < partitions; partition++) {
    const connection = await cluster.connectToLeader('kept', partition)
    const frame = produceFrame('kept', partition, 1, records)
    const wanted = Math.ceil(bytes / records.length)
    await new Promise<void>((resolve) => {
      let answers = 0
      let sent = 0
      connection.onAnswer = (answer) => {
        checkProduced(answer)
        if (++answers === wanted) resolve()
        else if (sent < wanted) {
          sent++
          connection.send(frame)
        }
      }
      for (; sent < Math.min(10, wanted); sent++) connection.send(frame)
    })
    connection.close()
  }
}

export interface RunningLoop {
  /** Microseconds, of each request so far. */
  readonly latencies: number[]
  bytes: number
  /** Rejects with the first wrong answer. */
  readonly failure: Promise<never>
  begin(): void
  close(): void
}

/** One connection's closed loop on a partition, to be begun. Requests are answered in order, so a queue of their times tells the latency of each. */
export async function prepareLoop(cluster: BenchCluster, workload: Workload, partition: number): Promise<RunningLoop> {
  const isProduce = workload.kind === 'produce'
  const connection = await cluster.connectToLeader(isProduce ? 'bench' : 'kept', partition)
  const loop = (isProduce ? produceLoop : consumeLoop)(connection, workload, partition)
  let failed: (error: unknown) => void = () => {}
  const failure = new Promise<never>((_resolve, reject) => {
    failed = reject
  })
  const sent: number[] = []
  const begin = (): void => {
    for (let i = 0; i < workload.inFlight; i++) sent.push(performance.now())
    loop.begin()
  }
  const running: RunningLoop = { latencies: [], bytes: 0, failure, begin, close: () => connection.close() }
  connection.onAnswer = (answer) => {
    try {
      const now = performance.now()
      running.latencies.push((now - sent.shift()!) * 1000)
      sent.push(now)
      running.bytes += loop.step(answer)
    } catch (error) {
      failed(error)
    }
  }
  return running
}

export async function measure(cluster: BenchCluster, workload: Workload, seconds: number): Promise<Sample> {
  const loops: RunningLoop[] = []
  for (let i = 0; i < workload.connections; i++) loops.push(await prepareLoop(cluster, workload, i))
  const began = performance.now()
  const cpuBefore = cluster.cpuSeconds()
  for (const loop of loops) loop.begin()
  const failures = loops.map(({ failure }) => failure)
  await Promise.race([...failures, new Promise((resolve) => void setTimeout(resolve, seconds * 1000))])
  const took = (performance.now() - began) / 1000
  const cpuSeconds = cluster.cpuSeconds() - cpuBefore
  for (const loop of loops) loop.close()
  const latencies = loops.flatMap((loop) => loop.latencies).sort((a, b) => a - b)
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? 0
  const bytes = loops.reduce((sum, loop) => sum + loop.bytes, 0)
  return { requests: latencies.length, bytes, seconds: took, cpuSeconds, p50: at(0.5), p99: at(0.99) }
}
