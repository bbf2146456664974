/** A cluster around the transaction coordinator, on virtual time: its state topic, partitions with producer state, a network that fails on demand. */
import assert from 'node:assert/strict'
import type { BrokerId, PartitionId, PartitionKey, TopicPartition } from '../../base/ids.ts'
import { partitionKey } from '../../base/ids.ts'
import { silentLogger } from '../../base/logger.ts'
import { ProducerState } from '../../log/producer-state.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { BatchBuilder, endTransactionMarker } from '../../protocol/records/index.ts'
import type { AppendDone, StateTopic } from '../types.ts'
import { TransactionCoordinator } from './coordinator.ts'
import type { TransactionSnapshot } from './metadata.ts'
import { readChanges } from './records.ts'
import type { MarkerResults, MarkerTransport, TransactionConfig, TransactionMarker } from './types.ts'

/** What a step of the protocol meets: nothing; it does not happen; it happens and nobody hears of it. */
export type Fault = 'none' | 'lost' | 'unheard'

/** One partition of user data, or of `__consumer_offsets`. */
export class DataPartition {
  readonly state = new ProducerState()
  readonly decisions: { readonly producerId: number; readonly commit: boolean; readonly from: number; readonly to: number }[] = []
  end = 0
  #sequences = new Map<string, number>()

  /** 0 or the error; the sequence goes on by itself. */
  produce(producerId: number, producerEpoch: number): number {
    const session = `${producerId}/${producerEpoch}`
    const sequence = this.#sequences.get(session) ?? 0
    const options = { producerId, producerEpoch, baseSequence: sequence, transactional: true, baseOffset: this.end }
    const batch = new BatchBuilder(options).append(1, null, Buffer.from('v')).build()
    const error = this.state.check(batch, 0, 'full', true)
    if (error !== 0) return error
    this.#sequences.set(session, sequence + 1)
    this.state.apply(batch, 0)
    this.end++
    return 0
  }

  mark({ producerId, producerEpoch, coordinatorEpoch, transactionResult: commit }: TransactionMarker): number {
    const marker = endTransactionMarker({ commit, producerId, producerEpoch, coordinatorEpoch, timestamp: 1, offset: this.end })
    const error = this.state.check(marker, 0, 'none', false)
    if (error !== 0) return error
    const from = this.state.get(producerId)?.currentTxnFirstOffset ?? -1
    this.state.apply(marker, 0)
    this.state.takeCompleted(() => {})
    this.state.onHighWatermark(this.end + 1)
    this.decisions.push({ producerId, commit, from: from < 0 ? this.end : from, to: this.end })
    this.end++
    return 0
  }

  get hasOpenTransaction(): boolean {
    return this.state.firstUnstableOffset >= 0
  }
}

export const testConfig: TransactionConfig = {
  maxTimeoutMs: 900_000,
  idExpirationMs: 604_800_000,
  abortTimedOutIntervalMs: 60_000,
  removeExpiredIntervalMs: 3_600_000,
  loadBufferBytes: 1000,
  requestTimeoutMs: 30_000,
}

/** A broker's coordinator while it lives; the ports of a dead one do nothing. */
interface Incarnation {
  readonly epoch: number
  readonly coordinator: TransactionCoordinator
  isDead: boolean
}

export class World {
  readonly clock = new VirtualClock()
  readonly config: TransactionConfig
  /** `__transaction_state`-0, as replicated. */
  readonly log: Buffer[] = []
  readonly partitions = new Map<PartitionKey, DataPartition>()
  readonly leaders = new Map<PartitionKey, BrokerId>()
  readonly deleted = new Set<string>()
  /** Decides what a step meets; a test may also end the coordinator in it. */
  onStep: (step: string) => Fault = () => 'none'
  /** Answers of appends to the state topic in place of success; the records are kept unless `losesRecords`. */
  appendError: number = ErrorCode.NONE
  losesRecords = false
  /** Milliseconds that reading the state topic takes. */
  loadMs = 0
  readonly steps: string[] = []
  producerId = 1000
  current!: Incarnation
  #epoch = -1

  constructor(config: Partial<TransactionConfig> = {}) {
    this.config = { ...testConfig, ...config }
    this.elect()
  }

  get coordinator(): TransactionCoordinator {
    return this.current.coordinator
  }

  get epoch(): number {
    return this.#epoch
  }

  /** The next coordinator takes over. The one before is gone, or (`isZombie`) has not heard of it. */
  elect(isZombie = false): void {
    const before = this.current as Incarnation | undefined
    if (before !== undefined && !isZombie) {
      before.isDead = true
      before.coordinator.stop()
    }
    const epoch = ++this.#epoch
    const self: { -readonly [K in keyof Incarnation]: Incarnation[K] } = { epoch, isDead: false, coordinator: undefined as never }
    self.coordinator = new TransactionCoordinator({
      config: this.config,
      topic: this.#topicOf(self),
      clock: this.clock,
      logger: silentLogger(),
      producerIds: { take: async () => this.producerId++ },
      markers: this.#transportOf(self),
    })
    this.current = self
    self.coordinator.start()
    self.coordinator.onElection(0, epoch)
  }

  addPartition(topic: string, partition: PartitionId, leader: BrokerId): DataPartition {
    const data = new DataPartition()
    this.partitions.set(partitionKey(topic, partition), data)
    this.leaders.set(partitionKey(topic, partition), leader)
    return data
  }

  #step(step: string): Fault {
    this.steps.push(step)
    return this.onStep(step)
  }

  // ---------------------------------------------------------------- ports

  #topicOf(self: Incarnation): StateTopic {
    return {
      name: '__transaction_state',
      partitionCount: 1,
      magicOf: () => 2,
      append: (_partition, records, acks, _timeoutMs, done) => {
        assert.equal(acks, -1)
        this.#append(self, Buffer.from(records), done)
      },
      readAll: async (_partition, _bytes, visit, stale) => {
        await new Promise<void>((resolve) => void this.clock.timer(this.loadMs, resolve))
        for (const records of this.log) visit(records)
        return stale() ? 'stale' : 'done'
      },
    }
  }

  #append(self: Incarnation, records: Buffer, done: AppendDone): void {
    if (self.isDead) return
    const answer = (error: number): void => {
      this.clock.timer(1, () => {
        if (self.isDead || this.#step(`append answered ${error}`) !== 'none' || self.isDead) return
        done(error, error === 0 ? 0 : -1)
      })
    }
    const fault = this.#step(`append ${stateOf(records)}`)
    if (self.epoch !== this.#epoch && !self.isDead) {
      answer(ErrorCode.NOT_LEADER_FOR_PARTITION)
      return
    }
    if (fault === 'lost') return
    if (this.appendError === ErrorCode.NONE || !this.losesRecords) this.log.push(records)
    if (fault === 'none') answer(this.appendError)
  }

  #transportOf(self: Incarnation): MarkerTransport {
    return {
      leaderOf: ({ topic, partition }) => this.leaders.get(partitionKey(topic, partition)),
      isDeleted: async ({ topic }) => this.deleted.has(topic),
      send: (broker, markers, done) => {
        if (self.isDead) return
        const fault = this.#step(`send to ${broker}`)
        if (fault === 'lost') {
          this.clock.timer(1000, () => self.isDead || done('disconnected', undefined))
          return
        }
        this.clock.timer(1, () => {
          const results = this.deliver(broker, markers)
          const isHeard = fault === 'none' && !self.isDead && this.#step(`marker answered by ${broker}`) === 'none'
          if (self.isDead) return
          if (isHeard) done(undefined, results)
          else this.clock.timer(1000, () => self.isDead || done('timeout', undefined))
        })
      },
    }
  }

  /** WriteTxnMarkers as the broker carries it out. */
  deliver(broker: BrokerId, markers: readonly TransactionMarker[]): MarkerResults {
    const errorOf = (marker: TransactionMarker, key: PartitionKey): number => {
      const data = this.partitions.get(key)
      if (data === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
      return this.leaders.get(key) === broker ? data.mark(marker) : ErrorCode.NOT_LEADER_FOR_PARTITION
    }
    return {
      transactionMarkers: markers.map((marker) => ({
        producerId: marker.producerId,
        topics: marker.topics.map(({ topic, partitions }) => ({
          topic,
          partitions: partitions.map((partition) => ({ partition, errorCode: errorOf(marker, partitionKey(topic, partition)) })),
        })),
      })),
    }
  }

  // ---------------------------------------------------------------- what a test asks

  /** All changes in the log, in order; undefined: a tombstone. */
  changes(): { readonly id: string; readonly snapshot: TransactionSnapshot | undefined }[] {
    const changes: { id: string; snapshot: TransactionSnapshot | undefined }[] = []
    for (const records of this.log) {
      readChanges(
        records,
        (id, snapshot) => changes.push({ id, snapshot }),
        (offset, error) => assert.fail(`${offset}: ${error}`),
      )
    }
    return changes
  }

  statesOf(id: string): string[] {
    return this.changes().flatMap((change) => (change.id === id ? [change.snapshot?.state ?? 'tombstone'] : []))
  }

  /** Lets virtual time pass until the promise is settled. */
  async result<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    let outcome: { value: T } | undefined
    void promise.then((value) => (outcome = { value }))
    await this.clock.advanceUntil(() => outcome !== undefined, limitMs)
    return outcome!.value
  }
}

function stateOf(records: Buffer): string {
  const states: string[] = []
  readChanges(
    records,
    (_id, snapshot) => states.push(snapshot?.state ?? 'tombstone'),
    () => states.push('?'),
  )
  return states.join(' ')
}

const RETRIABLE: ReadonlySet<number> = new Set([
  ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
  ErrorCode.COORDINATOR_NOT_AVAILABLE,
  ErrorCode.NOT_COORDINATOR,
  ErrorCode.CONCURRENT_TRANSACTIONS,
])

/** A transactional producer as the Java client behaves: it asks the present coordinator, and asks again until the answer says something. */
export class TestProducer {
  producerId = -1
  producerEpoch = -1
  readonly #world: World
  readonly #id: string

  constructor(world: World, transactionalId: string) {
    this.#world = world
    this.#id = transactionalId
  }

  async init(timeoutMs = 60_000): Promise<number> {
    let granted = { producerId: -1, producerEpoch: -1 }
    const error = await this.#retry(async (coordinator) => {
      const { error, ...identity } = await coordinator.initProducerId(this.#id, timeoutMs)
      granted = identity
      return error
    })
    if (error === ErrorCode.NONE) Object.assign(this, granted)
    return error
  }

  add(partitions: readonly TopicPartition[]): Promise<number> {
    return this.#retry((coordinator) => coordinator.addPartitions(this.#id, this.#identity, partitions))
  }

  end(isCommit: boolean): Promise<number> {
    return this.#retry((coordinator) => coordinator.endTransaction(this.#id, this.#identity, isCommit))
  }

  get #identity(): { producerId: number; producerEpoch: number } {
    return { producerId: this.producerId, producerEpoch: this.producerEpoch }
  }

  async #retry(ask: (coordinator: TransactionCoordinator) => Promise<number>): Promise<number> {
    for (;;) {
      const { clock } = this.#world
      const answer = await Promise.race([
        ask(this.#world.coordinator),
        new Promise<undefined>((resolve) => void clock.timer(500, () => resolve(undefined))),
      ])
      if (answer !== undefined && !RETRIABLE.has(answer)) return answer
      await new Promise<void>((resolve) => void clock.timer(20, resolve))
    }
  }
}
