import type { PartitionId } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import type { AppendResult, Log } from '../log/types.ts'
import { DiskError } from '../ports/disk.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { ACKS_ALL, AppendOutcome, carriesLogStart, DelayedProduce } from './delayed-produce.ts'
import type { ReplicationEnvironment } from './environment.ts'
import type { Partition } from './partition.ts'
import type { AppendEntry, PartitionAppendResult } from './types.ts'

export interface AppendsHost {
  readonly env: Pick<ReplicationEnvironment, 'timers' | 'clock' | 'traffic' | 'counters'>
  find(topic: string, partition: PartitionId): Partition | undefined
  isStopped(): boolean
  /** To be settled. */
  touch(partition: Partition): void
}

type Done = (results: readonly PartitionAppendResult[]) => void

/** Produce, from the entries of a request to its results. */
export class Appends {
  readonly #host: AppendsHost
  readonly #writes = new TurnWrites()

  constructor(host: AppendsHost) {
    this.#host = host
  }

  /**
   * The held turn ends: the bytes of its appends are written, then `beforeAnswers` serves those whom they wake, then who appended is
   * answered.
   */
  finishTurn(beforeAnswers: () => void): void {
    this.#writes.finish(beforeAnswers)
  }

  /** `isInTurn`: `finishTurn` follows, and what came from a client may wait for it. */
  append(
    acks: number,
    timeoutMs: number,
    entries: readonly AppendEntry[],
    isFromClient: boolean,
    isInTurn: boolean,
    done: Done,
  ): void {
    const { env } = this.#host
    const outcomes = new Array<AppendOutcome>(entries.length)
    const badAcks = acks !== 1 && acks !== 0 && acks !== ACKS_ALL
    // Other writers' bytes may not live to the end of the turn.
    const isStaged = isInTurn && isFromClient
    let produce: DelayedProduce | undefined
    let undecided = 0
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i]!
      const outcome = new AppendOutcome(entry.topic, entry.partition, badAcks ? ErrorCode.INVALID_REQUIRED_ACKS : ErrorCode.NONE)
      outcomes[i] = outcome
      if (badAcks) continue
      const partition = this.#appendOne(entry, acks, isFromClient, isStaged, outcome)
      if (partition === undefined || acks !== ACKS_ALL) continue
      if (partition.highWatermark >= outcome.requiredOffset) {
        outcome.error = partition.acknowledgeError()
        continue
      }
      produce ??= new DelayedProduce(outcomes, done)
      outcome.waiter = produce
      undecided++
      partition.awaitAck(outcome)
    }
    produce?.start(undecided, env.timers, timeoutMs, env.clock, this.#countExpired)
    const answer = produce === undefined ? done : undefined
    if (isStaged) this.#writes.add(outcomes, answer)
    else answer?.(outcomes)
  }

  /** The partition when it was appended, else undefined and the outcome says why. */
  #appendOne(
    entry: AppendEntry,
    acks: number,
    isFromClient: boolean,
    isStaged: boolean,
    outcome: AppendOutcome,
  ): Partition | undefined {
    const partition = this.#host.find(entry.topic, entry.partition)
    const refusal = this.#host.isStopped()
      ? ErrorCode.NOT_LEADER_FOR_PARTITION
      : partition === undefined
        ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
        : partition.admitAppend(acks)
    if (partition === undefined || refusal !== ErrorCode.NONE) {
      outcome.error = refusal
      this.#host.env.traffic.refused(entry.topic, refusal, entry.records.length)
      if (partition?.log !== undefined && carriesLogStart(refusal)) outcome.logStartOffset = partition.log.logStartOffset
      return undefined
    }
    const result = tryAppend(partition, entry.records, isFromClient, isStaged)
    if (result === undefined || result.error !== ErrorCode.NONE) {
      outcome.error = result === undefined ? ErrorCode.KAFKA_STORAGE_ERROR : result.error
      this.#host.env.traffic.refused(entry.topic, outcome.error, entry.records.length)
      if (result !== undefined && carriesLogStart(result.error)) outcome.logStartOffset = result.logStartOffset
      return undefined
    }
    outcome.baseOffset = result.firstOffset
    outcome.logAppendTime = result.logAppendTime
    outcome.logStartOffset = result.logStartOffset
    outcome.requiredOffset = result.lastOffset + 1
    const messages = result.lastOffset - result.firstOffset + 1
    this.#host.env.traffic.appended(partition.traffic, result.bytes, messages)
    if (result.isConverted === true) this.#host.env.traffic.converted('produceConversions', entry.topic, messages)
    if (isStaged) this.#writes.staged(partition.requireLog())
    this.#host.touch(partition)
    return partition
  }

  readonly #countExpired = ({ topic, partition }: AppendOutcome): void => {
    const { counters } = this.#host.env
    const key = partitionKey(topic, partition)
    counters.expiredProduces++
    counters.expiredProducesByPartition.set(key, (counters.expiredProducesByPartition.get(key) ?? 0) + 1)
  }
}

interface Unwritten {
  readonly outcomes: readonly AppendOutcome[]
  /** Undefined: an acks=all produce answers by itself. */
  readonly done: ((results: readonly PartitionAppendResult[]) => void) | undefined
}

/**
 * The client appends of one turn: staged in their logs, and written with one gathered write per partition when the turn ends. Nobody is
 * answered before that.
 */
class TurnWrites {
  readonly #logs = new Set<Log>()
  #produces: Unwritten[] = []

  staged(log: Log): void {
    this.#logs.add(log)
  }

  add(outcomes: readonly AppendOutcome[], done: Unwritten['done']): void {
    this.#produces.push({ outcomes, done })
  }

  /** The end of the turn: writes, then answers in the order of the appends. Answers may not append in the same way. */
  finish(beforeAnswers: () => void): void {
    const produces = this.#produces
    if (produces.length > 0) {
      const failed = this.#write()
      this.#produces = []
      if (failed !== undefined) for (const { outcomes } of produces) failWritten(outcomes, failed)
    }
    beforeAnswers()
    for (const { outcomes, done } of produces) done?.(outcomes)
  }

  /** The partitions whose disk failed; their log directories are marked already. */
  #write(): Set<string> | undefined {
    let failed: Set<string> | undefined
    for (const log of this.#logs) {
      try {
        log.writeStaged()
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
        failed ??= new Set()
        failed.add(keyOf(log))
      }
    }
    this.#logs.clear()
    return failed
  }
}

function keyOf({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}-${partition}`
}

function failWritten(outcomes: readonly AppendOutcome[], failed: ReadonlySet<string>): void {
  for (const outcome of outcomes) if (failed.has(keyOf(outcome))) fail(outcome)
}

/** As if the append had failed at once. */
function fail(outcome: AppendOutcome): void {
  if (outcome.error !== ErrorCode.NONE) return
  outcome.baseOffset = outcome.logAppendTime = outcome.logStartOffset = -1
  if (outcome.waiter !== undefined) outcome.waiter.decide(outcome, ErrorCode.KAFKA_STORAGE_ERROR)
  else outcome.error = ErrorCode.KAFKA_STORAGE_ERROR
}

/** Undefined: the disk failed; the log directory is marked already. */
function tryAppend(partition: Partition, records: Buffer, isFromClient: boolean, isStaged: boolean): AppendResult | undefined {
  try {
    return partition.appendAsLeader(records, isFromClient, isStaged)
  } catch (error) {
    if (error instanceof DiskError) return undefined
    throw error
  }
}
