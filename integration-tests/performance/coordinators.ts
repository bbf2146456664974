/**
 * The coordinators of running clusters, side by side: offset commits, joins of a group of 100, transactions.
 *
 *     node build/integration-tests/performance/coordinators.js [-s SECONDS] [-r ROUNDS] [-w SECONDS] [-o WORKLOAD] NAME=HOST:PORT[,HOST:PORT...]@PID[,PID...] ...
 *
 * `-w`: warm-up of each workload; `-o`: only workloads whose name contains this.
 * PIDs are those of the cluster's brokers, for their CPU. The clusters take turns (A B, B A, ...) after a warm-up of all workloads; a line of
 * the table is the median of the rounds. Every answer is checked: an error ends the run, but for "not in time" (a busy cluster takes longer
 * than `offsets.commit.timeout.ms` now and then), which is asked again and told on stderr. The brokers need a
 * `group.initial.rebalance.delay.ms` of a second or more, so that all members are in the first generation.
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { ByteReader, ByteWriter } from '../../src/base/bytes.ts'
import type { ApiName, RequestInput, ResponseOf } from '../../src/protocol/apis/index.ts'
import { apis } from '../../src/protocol/apis/index.ts'
import { ErrorCode, errorName } from '../../src/protocol/errors.ts'
import { BatchBuilder } from '../../src/protocol/records/builder.ts'
import { cpuSeconds } from '../harness/process-figures.ts'

const TOPIC = 'coordinators'
const PARTITIONS = 6
const CONCURRENT_PAUSE_MS = 20
const PASSING: readonly number[] = [
  ErrorCode.CONCURRENT_TRANSACTIONS,
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCode.NOT_COORDINATOR,
]

/** A connection with any number of requests in flight. */
class Connection {
  private readonly socket: Socket
  private readonly waiting = new Map<number, (frame: Buffer) => void>()
  private correlation = 0
  private unread: Buffer = Buffer.alloc(0)

  constructor(address: string) {
    const at = address.lastIndexOf(':')
    this.socket = connect({ host: address.slice(0, at), port: Number(address.slice(at + 1)), noDelay: true })
    this.socket.on('data', (chunk) => this.read(chunk))
    this.socket.on('error', (error) => {
      throw error
    })
  }

  private read(chunk: Buffer): void {
    let data = this.unread.length === 0 ? chunk : Buffer.concat([this.unread, chunk])
    while (data.length >= 4 && data.length >= data.readInt32BE(0) + 4) {
      const end = data.readInt32BE(0) + 4
      const id = data.readInt32BE(4)
      this.waiting.get(id)?.(data.subarray(8, end))
      this.waiting.delete(id)
      data = data.subarray(end)
    }
    this.unread = data
  }

  ask<A extends ApiName>(name: A, version: number, request: RequestInput<A>): Promise<ResponseOf<A>> {
    const api = apis[name]
    const id = ++this.correlation
    const writer = new ByteWriter()
    writer.int32(0)
    writer.int16(api.key)
    writer.int16(version)
    writer.int32(id)
    writer.nullableString('benchmark')
    api.encodeRequest(writer, version, request as never)
    writer.patchInt32(0, writer.position - 4)
    const frame = writer.copy()
    writer.close()
    this.socket.write(frame)
    return new Promise((resolve) => {
      this.waiting.set(id, (answer) => resolve(api.decodeResponse(new ByteReader(answer), version) as ResponseOf<A>))
    })
  }

  close(): void {
    this.socket.destroy()
  }
}

function must(what: string, ...errors: readonly number[]): void {
  for (const error of errors) if (error !== 0) throw new Error(`${what}: ${errorName(error)}`)
}

/** Answers of the workload under way that say "not in time, ask again", by request: they count as no work done. */
const late = new Map<string, number>()

/** Whether the answer is one that the work goes on after; such are told of once per workload. */
function isLate(what: string, error: number): boolean {
  if (error !== ErrorCode.REQUEST_TIMED_OUT && error !== ErrorCode.REBALANCE_IN_PROGRESS) return false
  const line = `${what}: ${errorName(error)}`
  late.set(line, (late.get(line) ?? 0) + 1)
  return true
}

function tellLate(workload: string, system: string): void {
  for (const [line, count] of late) process.stderr.write(`${workload}, ${system}: ${line} ${count} times; asked again\n`)
  late.clear()
}

async function retried<T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> {
  for (let i = 0; i < 600; i++) {
    const result = await attempt()
    if (result !== undefined) return result
    await sleep(50)
  }
  throw new Error(`${what}: not within 30 s`)
}

/** A cluster under test, and who leads what in it. */
class System {
  readonly name: string
  readonly bootstrap: string
  readonly pids: readonly number[]
  leaders: string[] = []

  constructor(text: string) {
    const [, name, addresses, pids] = /^([^=]+)=([^@]+)@([\d,]+)$/.exec(text) ?? []
    if (name === undefined || addresses === undefined || pids === undefined)
      throw new Error(`not NAME=HOST:PORT,...@PID,...: ${text}`)
    this.name = name
    this.bootstrap = addresses.split(',')[0]!
    this.pids = pids.split(',').map(Number)
  }

  async prepare(): Promise<void> {
    const connection = new Connection(this.bootstrap)
    const about = await connection.ask('Metadata', 5, { topics: [], allowAutoTopicCreation: false })
    const brokers = new Map(about.brokers.map(({ nodeId, host, port }) => [nodeId, `${host}:${port}`]))
    const controller = new Connection(brokers.get(about.controllerId)!)
    const shape = { numPartitions: PARTITIONS, replicationFactor: brokers.size, replicaAssignment: [], configEntries: [] }
    const created = await controller.ask('CreateTopics', 2, {
      createTopicRequests: [{ topic: TOPIC, ...shape }],
      timeout: 30_000,
      validateOnly: false,
    })
    controller.close()
    const { errorCode } = created.topicErrors[0]!
    if (errorCode !== ErrorCode.TOPIC_ALREADY_EXISTS) must('CreateTopics', errorCode)
    this.leaders = await retried('leaders', async () => {
      const { topicMetadata } = await connection.ask('Metadata', 5, { topics: [TOPIC], allowAutoTopicCreation: false })
      const partitions = [...topicMetadata[0]!.partitionMetadata].sort((a, b) => a.partition - b.partition)
      const isReady =
        partitions.length === PARTITIONS && partitions.every(({ leader, isr }) => leader >= 0 && isr.length === brokers.size)
      return isReady ? partitions.map(({ leader }) => brokers.get(leader)!) : undefined
    })
    connection.close()
  }

  /** Address of the coordinator; the topic behind it is created on demand. */
  async coordinator(key: string, type: 'group' | 'transaction'): Promise<string> {
    const connection = new Connection(this.bootstrap)
    const found = await retried(`coordinator of ${key}`, async () => {
      const request = { coordinatorKey: key, coordinatorType: type === 'group' ? 0 : 1 }
      const { errorCode, coordinator } = await connection.ask('FindCoordinator', 1, request)
      return errorCode === 0 ? `${coordinator.host}:${coordinator.port}` : undefined
    })
    connection.close()
    return found
  }

  /** What the brokers have used so far. */
  get cpuSeconds(): number {
    return this.pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  }
}

/** Does one unit of work; returns how many units it counts for. */
interface Worker {
  step(): Promise<number>
  close(): void
}

interface Workload {
  readonly name: string
  readonly unit: string
  workers(system: System): Promise<Worker[]>
}

/** Simple consumers: no generation. `partitions` offsets in each request. */
function commits(groups: number, partitions: number): Workload {
  return {
    name: `commits of ${partitions} offset${partitions > 1 ? 's' : ''}, ${groups} groups`,
    unit: 'commits',
    workers: (system) =>
      Promise.all(
        Array.from({ length: groups }, async (_, n) => {
          const groupId = `commits-${partitions}-${n}`
          const connection = new Connection(await system.coordinator(groupId, 'group'))
          const send = async (offset: number): Promise<number> => {
            const topics = [
              {
                topic: TOPIC,
                partitions: Array.from({ length: partitions }, (_, partition) => ({ partition, offset, metadata: '' })),
              },
            ]
            const request = { groupId, generationId: -1, memberId: '', retentionTime: -1, topics }
            const { responses } = await connection.ask('OffsetCommit', 3, request)
            const [error = 0] = responses.flatMap(({ partitionResponses }) =>
              partitionResponses.map(({ errorCode }) => errorCode),
            )
            const isOver = isLate('OffsetCommit', error)
            const isLoading = isOver || error === ErrorCode.NOT_COORDINATOR || error === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
            if (!isLoading) must('OffsetCommit', error)
            return isLoading ? 0 : 1
          }
          await retried('OffsetCommit', async () => ((await send(0)) === 1 ? true : undefined))
          let offset = 0
          return { step: () => send(++offset), close: () => connection.close() }
        }),
      ),
  }
}

/** All members of a group join again, with other metadata each time, and sync. One worker: a step is a rebalance. */
function joins(members: number): Workload {
  return {
    name: `rebalances of a group of ${members}`,
    unit: 'joins',
    workers: async (system) => {
      const groupId = `joins-${members}-${process.pid}-${Math.random()}`
      const address = await system.coordinator(groupId, 'group')
      const connections = Array.from({ length: members }, () => new Connection(address))
      const ids = connections.map(() => '')
      let round = 0
      const step = async (): Promise<number> => {
        const metadata = Buffer.alloc(64, ++round)
        const joined = await Promise.all(
          connections.map((connection, i) =>
            connection.ask('JoinGroup', 2, {
              groupId,
              sessionTimeout: 30_000,
              rebalanceTimeout: 30_000,
              memberId: ids[i]!,
              protocolType: 'consumer',
              groupProtocols: [{ protocolName: 'range', protocolMetadata: metadata }],
            }),
          ),
        )
        must('JoinGroup', ...joined.map(({ errorCode }) => errorCode))
        for (const [i, { memberId }] of joined.entries()) ids[i] = memberId
        const { leaderId, generationId } = joined[0]!
        const assignment = ids.map((memberId) => ({ memberId, memberAssignment: Buffer.alloc(100, round) }))
        const synced = await Promise.all(
          connections.map((connection, i) => {
            const groupAssignment = ids[i] === leaderId ? assignment : []
            return connection.ask('SyncGroup', 1, { groupId, generationId, memberId: ids[i]!, groupAssignment })
          }),
        )
        // Apache's coordinator says so when the group could not be stored in time; everybody joins again.
        if (synced.some(({ errorCode }) => isLate('SyncGroup', errorCode))) return 0
        must('SyncGroup', ...synced.map(({ errorCode }) => errorCode))
        if (synced.some(({ memberAssignment }) => memberAssignment.length !== 100))
          throw new Error('SyncGroup without assignment')
        return members
      }
      await step()
      const close = (): void => {
        for (const connection of connections) connection.close()
      }
      return [{ step, close }]
    },
  }
}

/** One transactional id: a record of 100 bytes and an offset per transaction. */
class Producer implements Worker {
  private readonly id: string
  private readonly partition: number
  private readonly system: System
  private readonly connections = new Map<string, Connection>()
  private coordinator!: Connection
  private groups!: Connection
  private leader!: Connection
  private identity = { producerId: -1, producerEpoch: -1 }
  private sequence = 0

  constructor(system: System, n: number) {
    this.system = system
    this.id = `transactions-${n}`
    this.partition = n % PARTITIONS
  }

  private at(address: string): Connection {
    const known = this.connections.get(address) ?? new Connection(address)
    this.connections.set(address, known)
    return known
  }

  async start(): Promise<this> {
    this.coordinator = this.at(await this.system.coordinator(this.id, 'transaction'))
    this.groups = this.at(await this.system.coordinator(this.id, 'group'))
    this.leader = this.at(this.system.leaders[this.partition]!)
    this.identity = await retried('InitProducerId', async () => {
      const request = { transactionalId: this.id, transactionTimeoutMs: 60_000 }
      const { errorCode, producerId, producerEpoch } = await this.coordinator.ask('InitProducerId', 0, request)
      return errorCode === 0 ? { producerId, producerEpoch } : undefined
    })
    return this
  }

  /** Again while the transaction before is being completed, at the pace of Java's producer. */
  private async unlessConcurrent(what: string, attempt: () => Promise<number>): Promise<void> {
    for (;;) {
      const error = await attempt()
      if (!PASSING.includes(error) && !isLate(what, error)) return must(what, error)
      await sleep(CONCURRENT_PAUSE_MS)
    }
  }

  async step(): Promise<number> {
    const { id: transactionalId, partition, identity } = this
    const transaction = { transactionalId, ...identity }
    await this.unlessConcurrent('AddPartitionsToTxn', async () => {
      const topics = [{ topic: TOPIC, partitions: [partition] }]
      const { errors } = await this.coordinator.ask('AddPartitionsToTxn', 0, { ...transaction, topics })
      return errors[0]!.partitionErrors[0]!.errorCode
    })
    const batch = new BatchBuilder({ ...identity, baseSequence: this.sequence++, transactional: true })
    batch.append(Date.now(), null, Buffer.alloc(100, 'x'))
    const topicData = [{ topic: TOPIC, data: [{ partition, recordSet: batch.build() }] }]
    await this.unlessConcurrent('Produce', async () => {
      const { responses } = await this.leader.ask('Produce', 5, { transactionalId, acks: -1, timeout: 30_000, topicData })
      return responses[0]!.partitionResponses[0]!.errorCode
    })
    await this.unlessConcurrent('AddOffsetsToTxn', async () => {
      return (await this.coordinator.ask('AddOffsetsToTxn', 0, { ...transaction, groupId: transactionalId })).errorCode
    })
    await this.unlessConcurrent('TxnOffsetCommit', async () => {
      const topics = [{ topic: TOPIC, partitions: [{ partition, offset: this.sequence, metadata: '' }] }]
      const answer = await this.groups.ask('TxnOffsetCommit', 0, { ...transaction, groupId: transactionalId, topics })
      return answer.topics[0]!.partitions[0]!.errorCode
    })
    await this.unlessConcurrent('EndTxn', async () => {
      return (await this.coordinator.ask('EndTxn', 0, { ...transaction, transactionResult: true })).errorCode
    })
    return 1
  }

  close(): void {
    for (const connection of this.connections.values()) connection.close()
  }
}

function transactions(producers: number): Workload {
  return {
    name: `transactions (a record, an offset), ${producers} id${producers > 1 ? 's' : ''}`,
    unit: 'transactions',
    workers: (system) => Promise.all(Array.from({ length: producers }, (_, n) => new Producer(system, n).start())),
  }
}

const WORKLOADS: readonly Workload[] = [
  commits(8, 1),
  commits(32, 1),
  commits(8, 6),
  joins(100),
  transactions(1),
  transactions(8),
  transactions(32),
]

interface Sample {
  readonly rate: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** Of all brokers, per unit of work. */
  readonly cpuMicros: number
}

async function sample(system: System, workload: Workload, seconds: number): Promise<Sample> {
  try {
    return await measure(system, workload, seconds)
  } catch (error) {
    throw new Error(`${workload.name} on ${system.name}: ${error}`)
  } finally {
    tellLate(workload.name, system.name)
  }
}

async function measure(system: System, workload: Workload, seconds: number): Promise<Sample> {
  const workers = await workload.workers(system)
  const latencies: number[] = []
  let count = 0
  const [cpu, began] = [system.cpuSeconds, performance.now()]
  const until = began + seconds * 1000
  await Promise.all(
    workers.map(async (worker) => {
      for (let now = performance.now(); now < until; ) {
        const done = await worker.step()
        count += done
        const then = performance.now()
        latencies.push(then - now)
        now = then
      }
    }),
  )
  const elapsed = (performance.now() - began) / 1000
  const used = system.cpuSeconds - cpu
  for (const worker of workers) worker.close()
  latencies.sort((a, b) => a - b)
  const at = (share: number): number => latencies[Math.floor(latencies.length * share)] ?? Number.NaN
  return { rate: count / elapsed, p50Ms: at(0.5), p99Ms: at(0.99), cpuMicros: (used * 1e6) / count }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

const figure = (value: number): string => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2))

/** `a → b (times better)`: of the first system and the last. */
function compared(samples: readonly (readonly Sample[])[], key: keyof Sample): string {
  const values = samples.map((of) => median(of.map((one) => one[key])))
  const [first, last] = [values[0]!, values.at(-1)!]
  const better = key === 'rate' ? last / first : first / last
  return values.length === 1 ? figure(first) : `${values.map(figure).join(' → ')} (${better.toFixed(1)}x)`
}

function option(words: string[], flag: string): string | undefined {
  const at = words.indexOf(flag)
  return at < 0 ? undefined : words.splice(at, 2)[1]
}

const words = process.argv.slice(2)
const seconds = Number(option(words, '-s') ?? 4)
const rounds = Number(option(words, '-r') ?? 3)
const warmUp = Number(option(words, '-w') ?? 8)
const only = option(words, '-o') ?? ''
const workloads = WORKLOADS.filter(({ name }) => name.includes(only))
const systems = words.map((word) => new System(word))
if (systems.length === 0) {
  process.stderr.write(
    'usage: coordinators.js [-s SECONDS] [-r ROUNDS] [-w SECONDS] [-o WORKLOAD] NAME=HOST:PORT[,...]@PID[,...] ...\n',
  )
  process.exit(2)
}
for (const system of systems) await system.prepare()
for (const workload of workloads) for (const system of systems) await sample(system, workload, warmUp)
process.stdout.write(
  `| ${systems.map(({ name }) => name).join(' → ')} | rate | p50 ms | p99 ms | CPU µs of all brokers |\n|---|---|---|---|---|\n`,
)
for (const workload of workloads) {
  const samples: Sample[][] = systems.map(() => [])
  for (let round = 0; round < rounds; round++) {
    const order = [...systems.keys()]
    for (const i of round % 2 === 0 ? order : order.reverse()) samples[i]!.push(await sample(systems[i]!, workload, seconds))
  }
  const columns = (['rate', 'p50Ms', 'p99Ms', 'cpuMicros'] as const).map((key) => compared(samples, key))
  columns[0] += ` ${workload.unit}/s`
  process.stdout.write(`| ${workload.name} | ${columns.join(' | ')} |\n`)
}
process.exit(0)
