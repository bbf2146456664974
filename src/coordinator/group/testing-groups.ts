/** Helpers of this folder's tests: a coordinator on a state topic that exists in memory only, and on virtual time. */
import { memoryLogger } from '../../base/logger.ts'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { baseOffset, lastOffset, putBaseOffset, recordsCount } from '../../protocol/records/index.ts'
import type { AppendDone, StateTopic } from '../types.ts'
import { GroupCoordinator } from './coordinator.ts'
import type { GroupConfig, JoinAnswer, JoinGroup } from './types.ts'

export const SECOND = 1000
export const HOUR = 3_600_000

export function groupConfig(overrides: Partial<GroupConfig> = {}): GroupConfig {
  return {
    minSessionTimeoutMs: 6 * SECOND,
    maxSessionTimeoutMs: 300 * SECOND,
    initialRebalanceDelayMs: 0,
    offsetMetadataMaxLength: 4096,
    loadBufferBytes: 5 * 1024 * 1024,
    compressionCodec: 0,
    offsetsRetentionMs: 24 * HOUR,
    retentionCheckIntervalMs: 600 * SECOND,
    commitTimeoutMs: 5 * SECOND,
    commitRequiredAcks: -1,
    groupValueVersion: 1,
    ...overrides,
  }
}

interface Held {
  readonly done: AppendDone
  readonly baseOffset: number
}

/** Partitions of batches. Appends are acknowledged at once unless `hold` is set; `error` refuses them. */
export class MemoryStateTopic implements StateTopic {
  readonly name = '__consumer_offsets'
  readonly partitionCount: number
  readonly logs: Buffer[][]
  magic = 2
  error = 0
  hold = false
  /** `__consumer_offsets-0: 1 record(s), acks -1`, as the golden steps show appends. */
  appended: string[] = []
  readonly #ends: number[]
  #held: Held[] = []
  #loads: (() => void)[] = []
  holdLoads = false

  constructor(partitionCount = 4) {
    this.partitionCount = partitionCount
    this.logs = Array.from({ length: partitionCount }, () => [])
    this.#ends = this.logs.map(() => 0)
  }

  magicOf(): number {
    return this.magic
  }

  append(partition: number, records: Buffer, acks: number, _timeoutMs: number, done: AppendDone): void {
    this.appended.push(`${this.name}-${partition}: ${recordsCount(records, 0)} record(s), acks ${acks}`)
    if (this.error !== 0) {
      done(this.error, -1)
      return
    }
    const first = this.put(partition, records)
    if (this.hold && acks !== 0) this.#held.push({ done, baseOffset: first })
    else done(0, first)
  }

  /** One batch, behind the end of a partition; returns its offset. */
  put(partition: number, records: Buffer): number {
    putBaseOffset(records, 0, this.#ends[partition]!)
    this.#ends[partition] = lastOffset(records, 0) + 1
    this.logs[partition]!.push(records)
    return baseOffset(records, 0)
  }

  /** Decides what waits for replication, oldest first. */
  release(error = 0, count = this.#held.length): void {
    for (const { done, baseOffset } of this.#held.splice(0, count)) done(error, baseOffset)
  }

  get waiting(): number {
    return this.#held.length
  }

  async readAll(
    partition: number,
    _chunkBytes: number,
    visit: (batches: Buffer) => void,
    stale: () => boolean,
  ): Promise<'done' | 'stale'> {
    if (this.holdLoads) await new Promise<void>((resolve) => this.#loads.push(resolve))
    if (stale()) return 'stale'
    for (const batches of this.logs[partition]!) visit(batches)
    return 'done'
  }

  releaseLoads(): void {
    for (const resolve of this.#loads.splice(0)) resolve()
  }
}

export class TestCoordinator {
  readonly clock: VirtualClock
  readonly topic: MemoryStateTopic
  readonly coordinator: GroupCoordinator
  readonly lines: string[]

  /** Without a `topic` it owns all partitions of a new one. */
  constructor(config: Partial<GroupConfig> = {}, topic?: MemoryStateTopic, clock = new VirtualClock(), seed = 1) {
    this.clock = clock
    this.topic = topic ?? new MemoryStateTopic()
    const { logger, lines } = memoryLogger()
    this.lines = lines
    this.coordinator = new GroupCoordinator({
      topic: this.topic,
      config: groupConfig(config),
      clock,
      rng: new SeededRng(seed),
      log: logger,
    })
  }

  /** Started and elected for these partitions (default: all). */
  async start(partitions = this.topic.logs.map((_, partition) => partition)): Promise<this> {
    this.coordinator.startup()
    for (const partition of partitions) this.coordinator.onElection(partition, 0)
    await this.clock.advance(0)
    return this
  }

  /** Joins; the answer is filled in when it comes. */
  join(request: Partial<JoinGroup> = {}): { answer: JoinAnswer | undefined } {
    const box: { answer: JoinAnswer | undefined } = { answer: undefined }
    this.coordinator.join(joinRequest(request), (answer) => {
      box.answer = answer
    })
    return box
  }

  sync(
    memberId: string,
    generationId: number,
    assignments: Record<string, string> = {},
    groupId = 'g',
  ): { answer: string | undefined } {
    const box: { answer: string | undefined } = { answer: undefined }
    const map = new Map(Object.entries(assignments).map(([member, bytes]) => [member, Buffer.from(bytes)]))
    this.coordinator.sync({ groupId, generationId, memberId, assignments: map }, (error, assignment) => {
      box.answer = `${error} ${assignment.toString()}`
    })
    return box
  }

  /** Commits offset `offset` of topic t, partition 0; the error, or undefined while it waits. */
  commit(
    offset: number,
    options: { groupId?: string; memberId?: string; generationId?: number; expireTimestamp?: number } = {},
  ): {
    error: number | undefined
  } {
    const { groupId = 'g', memberId = '', generationId = -1 } = options
    const now = this.clock.wall()
    const box: { error: number | undefined } = { error: undefined }
    const expireTimestamp = options.expireTimestamp ?? now + 24 * HOUR
    const offsets = [{ topic: 't', partition: 0, offset, metadata: '', commitTimestamp: now, expireTimestamp }]
    this.coordinator.commitOffsets({ groupId, generationId, memberId, offsets }, ([error]) => {
      box.error = error
    })
    return box
  }

  commitInTransaction(offset: number, producerId: number, groupId = 'g'): { error: number | undefined } {
    const box: { error: number | undefined } = { error: undefined }
    const offsets = [{ topic: 't', partition: 0, offset, metadata: null }]
    this.coordinator.commitTransactionalOffsets(groupId, producerId, 0, offsets, ([error]) => {
      box.error = error
    })
    return box
  }

  fetch(groupId = 'g'): number {
    return this.coordinator.fetchOffsets(groupId, [{ topic: 't', partition: 0 }]).offsets[0]!.offset
  }
}

export function joinRequest(request: Partial<JoinGroup> = {}): JoinGroup {
  return {
    groupId: 'g',
    memberId: '',
    clientId: 'c',
    clientHost: '/127.0.0.1',
    rebalanceTimeoutMs: 20 * SECOND,
    sessionTimeoutMs: 10 * SECOND,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Buffer.from('M') }],
    ...request,
  }
}
