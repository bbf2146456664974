import type { Clock } from '../ports/clock.ts'
import { ErrorCode } from '../protocol/errors.ts'
import {
  baseOffset,
  batchSize,
  lastOffset,
  magicOf,
  maxTimestamp,
  partitionLeaderEpoch,
  producerId,
} from '../protocol/records/batch.ts'
import type { FollowerCheck } from '../protocol/records/check-follower.ts'
import { checkFollowerAppend } from '../protocol/records/check-follower.ts'
import type { AppendRules, ValidatedAppend } from '../protocol/records/types.ts'
import { validateAndAssign } from '../protocol/records/validate-append.ts'
import type { PartitionLog } from './log.ts'
import type { ProducerValidation } from './producer-state.ts'
import { DUPLICATE } from './producer-state.ts'
import { SpaceAhead } from './space-ahead.ts'
import type { AppendResult, LogConfig } from './types.ts'

const INT32_MAX = 2147483647
const GROUP_METADATA_TOPIC = '__consumer_offsets'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * The way of record bytes into a log: checked, offsets assigned in place, accounted for, then written with one call per `write`. Between
 * the two steps the log's memory is ahead of its file, so nothing else may happen to it; a failing write makes the log unusable.
 */
export class LogAppender {
  readonly #log: PartitionLog
  readonly #clock: Clock
  readonly #validation: ProducerValidation
  readonly #rules: Mutable<AppendRules>
  /** Buffers for one gathered write, at `#stagedAt` of the active segment. */
  readonly #staged: Uint8Array[] = []
  readonly #space: SpaceAhead
  #stagedAt = 0

  constructor(log: PartitionLog, clock: Clock) {
    this.#log = log
    this.#clock = clock
    this.#space = new SpaceAhead(clock)
    this.#validation = log.topic === GROUP_METADATA_TOPIC ? 'epochOnly' : 'full'
    this.#rules = rulesOf(log.config)
  }

  configure(config: LogConfig): void {
    Object.assign(this.#rules, rulesOf(config))
  }

  /** Stages what a leader appends; see `Log.appendAsLeader`. */
  leader(records: Buffer, leaderEpoch: number, isFromClient: boolean): AppendResult {
    const rules = this.#rules
    const first = this.#log.logEndOffset
    rules.firstOffset = first
    rules.leaderEpoch = leaderEpoch
    rules.isFromClient = isFromClient
    rules.now = this.#clock.wall()
    const checked = validateAndAssign(records, rules)
    if (checked.error !== 0) return this.#refused(checked.error, checked.message)
    const { buffer } = checked
    if (checked.batches === 0) return this.#appended(-1, -1, -1, 0)
    if (buffer.length > this.#log.config.segmentBytes) return this.#refusedBySize(buffer.length)
    const hasProducers = hasProducerIds(buffer, checked.batches)
    if (hasProducers) {
      const problem = this.#checkProducers(checked, isFromClient)
      if (problem === DUPLICATE) return this.#duplicate(buffer.length)
      if (problem !== 0) return this.#refused(problem, this.#log.producers.state.refusal)
    }
    const last = checked.nextOffset - 1
    const { epochs } = this.#log
    if (magicOf(buffer, 0) >= 2 && (epochs.isPending || epochs.latestEpoch !== leaderEpoch)) epochs.assign(leaderEpoch, first)
    this.#stage(buffer, first, last, checked.maxTimestamp, checked.offsetOfMaxTimestamp, hasProducers)
    const time = rules.timestampType === 'LogAppendTime' ? rules.now : -1
    return this.#appended(first, last, time, buffer.length, buffer !== records)
  }

  /** 0, DUPLICATE or an error code for the whole record set; the state is as before. */
  #checkProducers({ buffer, batches }: ValidatedAppend, isFromClient: boolean): number {
    const { state } = this.#log.producers
    const validation = isFromClient ? this.#validation : 'none'
    if (batches === 1) return state.check(buffer, 0, validation, isFromClient)
    state.begin()
    let outcome = 0
    for (let at = 0; at < buffer.length && outcome === 0; at += batchSize(buffer, at)) {
      if (producerId(buffer, at) < 0) continue
      outcome = state.check(buffer, at, validation, isFromClient)
      if (outcome === 0) state.apply(buffer, at)
    }
    state.rollback()
    return outcome
  }

  /** Stages what a follower fetched; see `Log.appendAsFollower`. */
  follower(records: Buffer): AppendResult {
    const checked = checkFollowerAppend(records, this.#log.logEndOffset)
    if (checked.error !== 0) {
      const rescued = this.#restartBelow(records, checked)
      if (rescued !== undefined) return rescued
      return this.#refused(checked.error, checked.message)
    }
    if (checked.batches === 0) return this.#appended(-1, -1, -1, 0)
    const valid = checked.validBytes === records.length ? records : records.subarray(0, checked.validBytes)
    this.#assignEpochs(valid)
    const hasProducers = hasProducerIds(valid, checked.batches)
    if (valid.length <= this.#log.config.segmentBytes) {
      const { firstOffset, lastOffset: last, maxTimestamp: timestamp, offsetOfMaxTimestamp } = checked
      this.#stage(valid, firstOffset, last, timestamp, offsetOfMaxTimestamp, hasProducers)
    } else this.#stageEach(valid, hasProducers)
    return this.#appended(checked.firstOffset, checked.lastOffset, -1, valid.length)
  }

  /** More than a segment holds: a roll is possible before every batch. */
  #stageEach(records: Buffer, hasProducers: boolean): void {
    for (let at = 0, size = 0; at < records.length; at += size) {
      size = batchSize(records, at)
      const batch = records.subarray(at, at + size)
      const last = lastOffset(batch, 0)
      this.#stage(batch, baseOffset(batch, 0), last, maxTimestamp(batch, 0), last, hasProducers)
    }
  }

  /**
   * KAFKA-6361: an empty log may be told to start in the middle of a batch (the leader's log start moved there). Then it starts at that
   * batch's base instead.
   */
  #restartBelow(records: Buffer, checked: FollowerCheck): AppendResult | undefined {
    const end = this.#log.logEndOffset
    if (checked.error !== ErrorCode.OFFSET_OUT_OF_RANGE || end !== this.#log.logStartOffset || records.length < 61)
      return undefined
    const first = baseOffset(records, 0)
    if (checked.firstOffset !== first || magicOf(records, 0) < 2 || first >= end || end > lastOffset(records, 0)) return undefined
    this.#log.logger.warn(
      `Unexpected offset in append: first offset ${first} is less than the log end ${end}. Truncating fully and starting at ${first}`,
    )
    this.#log.restartAt(first)
    return this.follower(records)
  }

  #assignEpochs(records: Buffer): void {
    let latest = this.#log.epochs.isPending ? -1 : this.#log.epochs.latestEpoch
    for (let at = 0; at < records.length; at += batchSize(records, at)) {
      const epoch = partitionLeaderEpoch(records, at)
      if (epoch < 0 || epoch === latest) continue
      this.#log.epochs.assign(epoch, baseOffset(records, at))
      latest = this.#log.epochs.latestEpoch
    }
  }

  /** Accounts for validated bytes at the log end: rolls, index entries, producer state. `#writeStaged` follows. */
  #stage(buffer: Buffer, first: number, last: number, timestamp: number, offsetOfMax: number, hasProducers: boolean): void {
    const config = this.#log.config
    let segment = this.#log.segments.active
    if (segment.shouldRoll(buffer.length, timestamp, last, config, this.#clock.wall())) {
      this.write()
      segment = this.#log.roll(last - INT32_MAX)
    }
    if (this.#staged.length === 0) this.#stagedAt = segment.size
    segment.stage(buffer.length, first, timestamp, offsetOfMax, config.indexIntervalBytes)
    this.#staged.push(buffer)
    this.#log.advanceTo(last + 1)
    if (!hasProducers) return
    const { state } = this.#log.producers
    for (let at = 0; at < buffer.length; at += batchSize(buffer, at)) if (producerId(buffer, at) >= 0) state.apply(buffer, at)
    if (!state.hasCompleted) return
    state.takeCompleted((completed, lastStableOffset) => {
      const { producerId: id, firstOffset, lastOffset: marker, aborted } = completed
      if (aborted) segment.txnIndex.append({ producerId: id, firstOffset, lastOffset: marker, lastStableOffset })
    })
  }

  get hasStaged(): boolean {
    return this.#staged.length > 0
  }

  /** Writes what was staged. */
  write(): void {
    const staged = this.#staged
    if (staged.length === 0) return
    const { active } = this.#log.segments
    this.#space.prepare(active, active.size - this.#stagedAt, this.#log.config.segmentBytes)
    if (staged.length === 1) active.write(staged[0]!, this.#stagedAt)
    else active.writeAll(staged, this.#stagedAt)
    staged.length = 0
    this.#log.wrote()
  }

  /** Called now and then. */
  rest(): void {
    this.#space.rest(this.#log.segments.active)
  }

  #appended(firstOffset: number, lastOffset: number, logAppendTime: number, bytes: number, isConverted = false): AppendResult {
    return { error: 0, firstOffset, lastOffset, logAppendTime, logStartOffset: this.#log.logStartOffset, bytes, isConverted }
  }

  #duplicate(bytes: number): AppendResult {
    const {
      duplicateFirstOffset: firstOffset,
      duplicateLastOffset: lastOffset,
      duplicateTimestamp: logAppendTime,
    } = this.#log.producers.state
    return { error: 0, firstOffset, lastOffset, logAppendTime, logStartOffset: this.#log.logStartOffset, bytes, duplicate: true }
  }

  #refusedBySize(bytes: number): AppendResult {
    const why = `Message batch size is ${bytes} bytes which exceeds the maximum configured segment size of ${this.#log.config.segmentBytes}.`
    return this.#refused(ErrorCode.RECORD_LIST_TOO_LARGE, why)
  }

  #refused(error: number, message: string | undefined): AppendResult {
    const nothing = { firstOffset: -1, lastOffset: -1, logAppendTime: -1, logStartOffset: this.#log.logStartOffset, bytes: 0 }
    return message === undefined ? { error, ...nothing } : { error, message, ...nothing }
  }
}

function rulesOf(config: LogConfig): Mutable<AppendRules> {
  return {
    firstOffset: 0,
    leaderEpoch: 0,
    now: 0,
    compressionType: config.compressionType,
    topicMagic: config.messageFormatMagic,
    timestampType: config.messageTimestampType,
    timestampDifferenceMaxMs: config.messageTimestampDifferenceMaxMs,
    compacted: config.compact,
    isFromClient: true,
    maxMessageBytes: config.maxMessageBytes,
  }
}

function hasProducerIds(buffer: Buffer, batches: number): boolean {
  if (batches === 1) return producerId(buffer, 0) >= 0
  for (let at = 0; at < buffer.length; at += batchSize(buffer, at)) if (producerId(buffer, at) >= 0) return true
  return false
}
