import assert from 'node:assert/strict'
import type { BrokerId } from '../base/ids.ts'
import { memoryLogger } from '../base/logger.ts'
import { makeLogConfig } from '../log/log-config.ts'
import { createLogManager } from '../log/log-manager.ts'
import type { LogConfig, LogManager } from '../log/types.ts'
import type { Clock } from '../ports/clock.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import type { ResponseOf } from '../protocol/apis/index.ts'
import { BatchBuilder, recordsOf } from '../protocol/records/index.ts'
import type { ReplicationFigures } from './environment.ts'
import { createReplicaManager } from './replica-manager.ts'
import type { NetworkOptions, PeerServer } from './testing-network.ts'
import { FakeChannel } from './testing-network.ts'
import type { WriteFate } from './testing-zookeeper.ts'
import { FakeZooKeeper } from './testing-zookeeper.ts'
import type {
  FetchParams,
  FetchPartitionResult,
  PartitionAppendResult,
  ReplicaManager,
  ReplicationConfig,
  StoredState,
} from './types.ts'

export const TOPIC = 't'
export const LOG_DIR = '/logs'

export interface BenchOptions {
  readonly seed?: number | string
  readonly brokers?: number
  readonly faithful?: readonly string[]
  readonly topicConfig?: Readonly<Record<string, string>>
  readonly config?: Partial<ReplicationConfig>
  /** Settings that change while brokers run: its getters stay getters. */
  readonly liveConfig?: Partial<ReplicationConfig>
  /** Default one, `LOG_DIR`. */
  readonly logDirs?: readonly string[]
  /** False: as with an old inter-broker protocol. */
  readonly asksLeaderEpochs?: boolean
  /** One-way delay of a message, milliseconds; default 1. */
  readonly delay?: (rng: SeededRng) => number
}

interface Process extends PeerServer {
  readonly logs: LogManager
  readonly logLines: string[]
}

class BenchBroker {
  readonly id: BrokerId
  readonly disk: MemoryDisk
  process: Process | undefined
  /** By the last UpdateMetadata. */
  alive: readonly BrokerId[] = []

  constructor(id: BrokerId, clock: Clock, logDirs: readonly string[]) {
    this.id = id
    this.disk = new MemoryDisk({ clock })
    for (const logDir of logDirs) this.disk.makeDirectory(logDir)
  }
}

/** A process's view of time: its timers die with it. */
function mortalClock(clock: Clock, owner: { readonly isUp: boolean }): Clock {
  return {
    now: () => clock.now(),
    wall: () => clock.wall(),
    timer: (delayMs, fn) => clock.timer(delayMs, () => owner.isUp && fn()),
    soon: (fn) => clock.soon(() => owner.isUp && fn()),
  }
}

/**
 * Brokers 1 to n of one process on a virtual clock: real replica managers and logs, a network and a ZooKeeper that do as they are told, and
 * no controller: tests play it with `elect`, `announce` and `control`.
 */
export class Bench {
  readonly clock = new VirtualClock({ now: 1000 })
  readonly rng: SeededRng
  readonly zk: FakeZooKeeper
  readonly brokers = new Map<BrokerId, BenchBroker>()
  /** Pairs `from>to` without connection. */
  readonly cuts = new Set<string>()
  /** Fates of the next ISR writes; `ok` when empty. */
  readonly fates: WriteFate[] = []
  readonly requests: { from: BrokerId; to: BrokerId; api: string; request: unknown }[] = []
  recordRequests = false
  controllerEpoch = 1
  topicConfig: LogConfig
  readonly #options: BenchOptions
  readonly #delay: () => number
  readonly #replicas: readonly BrokerId[]

  static async start(options: BenchOptions = {}): Promise<Bench> {
    const bench = new Bench(options)
    for (const id of bench.brokers.keys()) await bench.startBroker(id)
    return bench
  }

  private constructor(options: BenchOptions) {
    this.#options = options
    this.rng = new SeededRng(options.seed ?? 1)
    const network = this.rng.fork('network')
    this.#delay = () => (options.delay === undefined ? 1 : options.delay(network))
    this.topicConfig = makeLogConfig({}, { 'min.insync.replicas': '2', ...options.topicConfig })
    this.zk = new FakeZooKeeper({ clock: this.clock, delay: this.#delay, fate: () => this.fates.shift() ?? 'ok' })
    this.#replicas = Array.from({ length: options.brokers ?? 3 }, (_, i) => i + 1)
    for (const id of this.#replicas) this.brokers.set(id, new BenchBroker(id, this.clock, options.logDirs ?? [LOG_DIR]))
  }

  // ---------------------------------------------------------------- processes

  async startBroker(id: BrokerId): Promise<ReplicaManager> {
    const broker = this.brokers.get(id)!
    assert(broker.process === undefined, `broker ${id} runs`)
    const { logger, lines } = memoryLogger('info', () => this.clock.now())
    const owner = { isUp: true }
    const clock = mortalClock(this.clock, owner)
    const rng = this.rng.fork(`broker ${id}`)
    const logs = createLogManager(
      { disk: broker.disk, clock, rng, logger },
      { ...LOG_MANAGER_OPTIONS, logDirs: this.#options.logDirs ?? [LOG_DIR], defaultConfig: this.topicConfig },
    )
    await logs.start(new Map())
    const replicas = createReplicaManager({
      config: this.#config(id),
      clock,
      logs,
      isrStore: this.zk.storeOf(id, owner),
      peers: {
        asksLeaderEpochs: this.#options.asksLeaderEpochs ?? true,
        open: (leader, clientId) => new FakeChannel(this.#network(), id, leader, owner, clientId),
        isAlive: (one) => broker.alive.includes(one),
      },
      logger,
      topicConfig: () => this.topicConfig,
    })
    broker.process = Object.assign(owner, {
      id,
      replicas,
      logs,
      sessions: new Map(),
      onDown: new Set<() => void>(),
      logLines: lines,
    })
    replicas.start()
    return replicas
  }

  /** kill -9: what was written stays, nothing else does. */
  kill(id: BrokerId): void {
    const broker = this.brokers.get(id)!
    if (broker.process === undefined) return
    const { onDown } = broker.process
    broker.process.isUp = false
    broker.process = undefined
    broker.disk.processCrash()
    for (const breakConnection of [...onDown]) breakConnection()
  }

  #config(brokerId: BrokerId): ReplicationConfig {
    const config = {
      brokerId,
      replicaLagTimeMaxMs: 10_000,
      replicaFetchWaitMaxMs: 500,
      replicaFetchMinBytes: 1,
      replicaFetchMaxBytes: 1_048_576,
      replicaFetchResponseMaxBytes: 10_485_760,
      replicaFetchBackoffMs: 1000,
      leaderReplicationThrottledRate: Number.POSITIVE_INFINITY,
      followerReplicationThrottledRate: Number.POSITIVE_INFINITY,
      replicaAlterLogDirsMaxBytesPerSecond: Number.POSITIVE_INFINITY,
      replicationQuotaWindow: { number: 11, seconds: 1 },
      alterLogDirsQuotaWindow: { number: 11, seconds: 1 },
      numReplicaFetchers: 1,
      replicaHighWatermarkCheckpointIntervalMs: 5000,
      ...this.#options.config,
      faithful: new Set(this.#options.faithful ?? []),
    }
    return Object.defineProperties(config, Object.getOwnPropertyDescriptors(this.#options.liveConfig ?? {}))
  }

  #network(): NetworkOptions {
    return {
      clock: this.clock,
      delay: this.#delay,
      server: (id) => this.brokers.get(id)?.process,
      isCut: (from, to) => this.cuts.has(`${from}>${to}`),
      onRequest: (from, to, api, request) => {
        if (this.recordRequests) this.requests.push({ from, to, api, request })
      },
    }
  }

  replicas(id: BrokerId): ReplicaManager {
    const process = this.brokers.get(id)?.process
    assert(process !== undefined, `broker ${id} is down`)
    return process.replicas
  }

  figures(id: BrokerId): ReplicationFigures {
    const process = this.brokers.get(id)?.process
    assert(process !== undefined, `broker ${id} is down`)
    return process.replicas.figures
  }

  logLines(id: BrokerId): readonly string[] {
    return this.brokers.get(id)?.process?.logLines ?? []
  }

  cut(a: BrokerId, b: BrokerId): void {
    this.cuts.add(`${a}>${b}`)
    this.cuts.add(`${b}>${a}`)
  }

  heal(): void {
    this.cuts.clear()
  }

  // ---------------------------------------------------------------- the controller, by hand

  /** Writes the partition's state and tells all its replicas; the first replica leads. */
  create(partition = 0, replicas: readonly BrokerId[] = this.#replicas): void {
    this.zk.put(TOPIC, partition, { leader: replicas[0]!, leaderEpoch: 0, isr: replicas, controllerEpoch: this.controllerEpoch })
    this.announce(replicas, partition)
  }

  /** A new leader with the next epoch in ZooKeeper; nobody is told. */
  elect(leader: BrokerId, isr: readonly BrokerId[], partition = 0): StoredState {
    const { leaderEpoch } = this.zk.get(TOPIC, partition)
    return this.zk.put(TOPIC, partition, { leader, leaderEpoch: leaderEpoch + 1, isr, controllerEpoch: this.controllerEpoch })
  }

  /** UpdateMetadata and LeaderAndIsr with what ZooKeeper (or `state`) says, at once. Answers by broker. */
  announce(
    to: readonly BrokerId[] = this.#replicas,
    partition = 0,
    state = this.zk.get(TOPIC, partition),
  ): Map<BrokerId, number> {
    const errors = new Map<BrokerId, number>()
    const alive = this.#replicas.filter((id) => this.brokers.get(id)!.process !== undefined)
    for (const id of to) {
      const broker = this.brokers.get(id)!
      if (broker.process === undefined) continue
      broker.alive = alive
      errors.set(id, this.leaderAndIsr(id, partition, state).partitions[0]!.errorCode)
    }
    return errors
  }

  leaderAndIsr(
    to: BrokerId,
    partition: number,
    state: StoredState,
    overrides: { controllerEpoch?: number; replicas?: readonly BrokerId[]; liveLeaders?: readonly BrokerId[] } = {},
  ): ResponseOf<'LeaderAndIsr'> {
    const { leader, leaderEpoch, isr, zkVersion } = state
    return this.replicas(to).becomeLeaderOrFollower({
      controllerId: 1,
      controllerEpoch: overrides.controllerEpoch ?? this.controllerEpoch,
      partitionStates: [
        {
          topic: TOPIC,
          partition,
          controllerEpoch: state.controllerEpoch,
          leader,
          leaderEpoch,
          isr: [...isr],
          zkVersion,
          replicas: [...(overrides.replicas ?? this.#replicas)],
          isNew: true,
        },
      ],
      liveLeaders: (overrides.liveLeaders ?? []).map((id) => ({ id, host: 'h', port: 9092 })),
    })
  }

  // ---------------------------------------------------------------- clients

  /** One batch with one record per value. */
  produce(
    broker: BrokerId,
    values: readonly string[],
    acks = -1,
    options: { timeoutMs?: number; partition?: number } = {},
  ): Produced {
    const produced: Produced = { values, results: undefined, at: undefined }
    this.replicas(broker).append(
      acks,
      options.timeoutMs ?? 30_000,
      [{ topic: TOPIC, partition: options.partition ?? 0, records: batchOf(values) }],
      true,
      (results) => {
        assert(produced.results === undefined, 'answered twice')
        produced.results = results
        produced.at = this.clock.now()
      },
    )
    return produced
  }

  consume(broker: BrokerId, offset: number, options: Partial<FetchParams> = {}): Consumed {
    const consumed: Consumed = { results: undefined, values: [], at: undefined, cancel: () => {} }
    const params: FetchParams = {
      replicaId: -1,
      maxWaitMs: 0,
      minBytes: 1,
      maxBytes: 52_428_800,
      minOneMessage: true,
      isolation: 'readUncommitted',
      partitions: [{ topic: TOPIC, partition: 0, fetchOffset: offset, logStartOffset: -1, maxBytes: 1_048_576 }],
      ...options,
    }
    const handle = this.replicas(broker).fetch(params, (results) => {
      assert(consumed.results === undefined, 'answered twice')
      consumed.results = results
      consumed.at = this.clock.now()
      for (const { records } of results) if (records !== undefined) consumed.values.push(...valuesOf(copyOf(records)))
    })
    if (handle !== undefined) consumed.cancel = () => handle.cancel()
    return consumed
  }

  // ---------------------------------------------------------------- time

  /** Runs the next thing that is due, with the promises that it settled. */
  async step(): Promise<boolean> {
    const more = this.clock.step()
    if (this.zk.settled > 0) {
      this.zk.settled = 0
      for (let i = 0; i < 6; i++) await Promise.resolve()
    }
    return more
  }

  async run(ms: number): Promise<void> {
    const end = this.clock.now() + ms
    while ((this.clock.nextAt ?? Number.POSITIVE_INFINITY) <= end) await this.step()
    this.clock.advanceSync(end - this.clock.now())
  }

  async until(condition: () => boolean, limitMs = 60_000, what = 'condition'): Promise<void> {
    const end = this.clock.now() + limitMs
    while (!condition()) {
      assert(this.clock.now() <= end, `${what}: not reached within ${limitMs} ms`)
      assert(await this.step(), `${what}: nothing left to happen`)
    }
  }

  // ---------------------------------------------------------------- what is there

  end(id: BrokerId, partition = 0): number {
    return this.replicas(id).partition(TOPIC, partition)?.log?.logEndOffset ?? -1
  }

  highWatermark(id: BrokerId, partition = 0): number {
    return this.replicas(id).partition(TOPIC, partition)?.highWatermark ?? -1
  }

  isr(id: BrokerId, partition = 0): readonly BrokerId[] {
    return this.replicas(id).partition(TOPIC, partition)?.inSyncReplicas ?? []
  }

  /** Bytes of a replica's log below `upTo`. */
  bytes(id: BrokerId, partition = 0, upTo = Number.POSITIVE_INFINITY): Buffer {
    const log = this.replicas(id).partition(TOPIC, partition)?.log
    assert(log !== undefined, `broker ${id} has no log`)
    const end = Math.min(upTo, log.logEndOffset)
    if (end === log.logStartOffset) return Buffer.alloc(0)
    const read = log.read(log.logStartOffset, 1 << 30, end, true)
    assert.equal(read.error, 0)
    return read.records === undefined ? Buffer.alloc(0) : copyOf(read.records)
  }

  values(id: BrokerId, partition = 0, upTo = Number.POSITIVE_INFINITY): string[] {
    return valuesOf(this.bytes(id, partition, upTo))
  }
}

const NEVER = Number.POSITIVE_INFINITY

const LOG_MANAGER_OPTIONS = {
  producerIdExpirationMs: NEVER,
  retentionCheckMs: 300_000,
  flushCheckMs: NEVER,
  flushRecoveryOffsetCheckpointMs: 60_000,
  flushStartOffsetCheckpointMs: 60_000,
  initialTaskDelayMs: 30_000,
  cleanerEnable: false,
}

export interface Produced {
  readonly values: readonly string[]
  results: readonly PartitionAppendResult[] | undefined
  at: number | undefined
}

export interface Consumed {
  results: readonly FetchPartitionResult[] | undefined
  readonly values: string[]
  at: number | undefined
  cancel(): void
}

export function batchOf(values: readonly string[]): Buffer {
  const builder = new BatchBuilder({ magic: 2 })
  for (const value of values) builder.append(1_500_000_000_000, null, Buffer.from(value))
  return builder.build()
}

function copyOf(records: { readonly size: number; copyTo(target: Buffer, offset: number): void }): Buffer {
  const bytes = Buffer.alloc(records.size)
  records.copyTo(bytes, 0)
  return bytes
}

export function valuesOf(bytes: Buffer): string[] {
  const values: string[] = []
  for (let at = 0; at < bytes.length; at += bytes.readInt32BE(at + 8) + 12) {
    for (const record of recordsOf(bytes, at)) values.push(record.value?.toString() ?? '')
  }
  return values
}

/** The error of a produce's only entry; undefined while it waits. */
export function errorOf(produced: Produced): number | undefined {
  return produced.results?.[0]?.error
}
