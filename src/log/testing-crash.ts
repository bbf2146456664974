/** For the crash tests: a model of a log, random operations on both, faults at any disk operation, and what must be true afterwards. */
import assert from 'node:assert/strict'
import { DiskError } from '../ports/disk.ts'
import type { DiskOperation } from '../ports/memory/memory-disk.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import type { Rng } from '../ports/rng.ts'
import { baseOffset, batchSize, lastOffset, nextBatch } from '../protocol/records/batch.ts'
import { BatchBuilder } from '../protocol/records/builder.ts'
import { recordsOf } from '../protocol/records/record.ts'
import { DEFAULT_CLEANER_OPTIONS } from './cleaner/cleaner-options.ts'
import type { PartitionLog } from './log.ts'
import { LogStartError } from './log-directory.ts'
import type { TestBroker } from './testing-logs.ts'
import { finish, GOLDEN_WALL, logConfig, openManager, T0 } from './testing-logs.ts'
import type { LogConfig } from './types.ts'

const SMALL = { segmentBytes: 700, indexIntervalBytes: 150, segmentIndexBytes: 120, fileDeleteDelayMs: 1000 }
export const PLAIN = logConfig(SMALL)
export const COMPACTED = logConfig({ ...SMALL, compact: true, minCleanableDirtyRatio: 0.01 })
const CLEANER = { ...DEFAULT_CLEANER_OPTIONS, backoffMs: 400, ioBufferBytes: 1200 }
const STEPS = 18
const KEYS = 6

/** What happens at the chosen disk operation: the process ends there, or the next write or sync fails and it ends a little later. */
export type Fault = 'crash' | 'full' | 'torn' | 'sync'
/** What is left after the end: all that was written, or what was synced and some of the rest. */
export type End = 'process' | 'power'

/** One batch as it lies in the log. */
interface Stored {
  readonly offset: number
  readonly end: number
  readonly bytes: string
}

/** What the log should hold, and what it may hold after a crash. */
class Model {
  batches: Stored[] = []
  /** Where the log begins since it was last emptied, and where deleted records end. */
  start = 0
  deletedTo = 0
  /** The log begins nowhere behind it. */
  startLimit = 0
  /** Contents the log went through since all of it was last flushed, the present one last. */
  history: Stored[][] = [[]]
  /** The greatest high watermark. */
  replicated = 0
  /** Everything below it must survive a power loss. */
  durable = 0

  get end(): number {
    return this.batches.at(-1)?.end ?? this.start
  }

  set(batches: Stored[]): void {
    this.batches = batches
    this.history.push(batches)
  }

  flushed(): void {
    this.durable = this.end
    this.history = [this.batches]
  }
}

let counter = 0

function makeBatch(rng: Rng, epoch: number): Buffer {
  const builder = new BatchBuilder({ magic: 2, codec: rng.int(0, 8) === 0 ? 2 : 0, leaderEpoch: epoch, baseOffset: 0 })
  for (let i = rng.int(1, 4); i > 0; i--) {
    const key = Buffer.from(`k${rng.int(0, KEYS)}`)
    const value = rng.int(0, 6) === 0 ? null : Buffer.alloc(rng.int(1, 60), counter & 0xff)
    builder.append(T0 + counter++, key, value)
  }
  return builder.build()
}

function open(disk: MemoryDisk, config: LogConfig): TestBroker {
  const clock = new VirtualClock({ wall: GOLDEN_WALL })
  return openManager(disk, { defaultConfig: config, cleanerEnable: config.compact, cleaner: CLEANER, recoveryThreads: 2 }, clock)
}

/** A run of random operations; at disk operation `faultAt` the fault begins. */
export class Run {
  readonly disk: MemoryDisk
  readonly model = new Model()
  readonly config: LogConfig
  /** Cleanings that ended well. */
  cleanings = 0
  readonly #rng: Rng
  #broker: TestBroker | undefined
  #epoch = 0
  #isDown = false

  constructor(seed: string, config: LogConfig, faultAt: number, fault: Fault) {
    this.config = config
    this.#rng = new SeededRng(seed)
    this.disk = new MemoryDisk({ rng: this.#rng.fork('disk') })
    counter = 0
    this.disk.onOperation = (operation, path, number) => this.#onOperation(operation, path, number - faultAt, fault)
  }

  #onOperation(operation: DiskOperation, path: string, late: number, fault: Fault): void {
    if (late < 0) return
    const hit = fault === 'crash' || (fault === 'sync' ? operation === 'sync' : operation === 'write')
    if (!hit || (this.#isDown && fault !== 'crash' && fault !== 'full')) return
    this.#isDown = true
    // Half of what is to be written arrives; a full disk takes nothing from then on.
    if (fault === 'torn') this.disk.fail({ code: 'EIO', operation: 'write', torn: true })
    else throw new DiskError(fault === 'full' ? 'ENOSPC' : 'EIO', path, `${fault} at ${operation} ${path}`)
  }

  get log(): PartitionLog {
    return this.#broker!.manager.get('t', 0) as PartitionLog
  }

  lines(): readonly string[] {
    return this.#broker?.lines ?? []
  }

  /** True when it ran to the end. */
  async go(): Promise<boolean> {
    try {
      await this.#open()
      for (let i = 0; i < STEPS && !this.#isDown; i++) await this.#step()
      await this.#close()
    } catch (error) {
      if (!(error instanceof DiskError) && !this.#isDown) throw error
    }
    return !this.#isDown
  }

  async #open(): Promise<void> {
    this.#broker = open(this.disk, this.config)
    await finish(this.#broker.clock, this.#broker.manager.start(new Map()))
    this.#broker.manager.getOrCreate('t', 0, this.config, true)
  }

  async #close(): Promise<void> {
    this.#countCleanings()
    await finish(this.#broker!.clock, this.#broker!.manager.shutdown())
    if (!this.#isDown) this.model.flushed()
  }

  #countCleanings(): void {
    this.cleanings += this.#broker!.lines.filter((line) => line.includes('cleaned log t-0')).length
  }

  async #step(): Promise<void> {
    const { log, model } = this
    switch (this.#rng.int(0, 16)) {
      case 0:
        return this.#flush()
      case 1:
        return this.#truncate(model.end - this.#rng.int(0, 8))
      case 2:
        await this.#close()
        if (!this.#isDown) await this.#open()
        return
      case 3:
        this.#restart()
        return
      case 4:
        this.#broker!.manager.checkpointRecoveryPoints()
        return
      case 5:
      case 6:
        // Retention, removal of files, and the cleaner, which may be anywhere in its work when the time is over.
        this.#replicate()
        await this.#broker!.clock.advance(this.#rng.int(0, 3000))
        return
      case 7:
        log.roll(0)
        return
      case 8:
        this.#deleteRecords()
        return
      case 9:
      case 10:
      case 11:
        if (this.config.compact) return this.#clean()
        return this.#append(this.#rng.int(1, 5))
      default:
        this.#append(this.#rng.int(1, 5))
    }
  }

  #replicate(): void {
    this.log.highWatermark = this.model.replicated = this.model.end
  }

  /** Lets the cleaner find something, and mostly end. */
  async #clean(): Promise<void> {
    this.#append(this.#rng.int(1, 5))
    this.log.roll(0)
    this.#replicate()
    await this.#broker!.clock.advance(this.#rng.int(300, 900))
  }

  #append(sets: number): void {
    const batches = Array.from({ length: sets }, () => makeBatch(this.#rng, -1))
    const before = this.model.batches
    // Allowed from the moment the call begins: any first part of them.
    const stamped: Stored[] = []
    let offset = this.model.end
    for (const batch of batches) {
      const copy = Buffer.from(batch)
      copy.writeBigInt64BE(BigInt(offset), 0)
      copy.writeInt32BE(this.#epoch, 12)
      const end = lastOffset(copy, 0) + 1
      stamped.push({ offset, end, bytes: copy.toString('latin1') })
      offset = end
    }
    this.model.history.push([...before, ...stamped])
    for (const batch of batches) assert.equal(this.log.stageAsLeader(batch, this.#epoch, true).error, 0)
    this.log.writeStaged()
    this.model.set([...before, ...stamped])
  }

  #truncate(offset: number): void {
    // What is replicated is not taken back; what was compacted is.
    const target = Math.max(this.model.start, this.model.deletedTo, offset, this.config.compact ? this.model.replicated : 0)
    const kept = this.model.batches.filter((batch) => batch.end <= target)
    const boundary = kept.at(-1)?.end ?? this.model.start
    this.model.durable = Math.min(this.model.durable, boundary)
    this.model.history.push(kept)
    this.log.truncateTo(boundary)
    this.model.set(kept)
    this.#epoch++
  }

  #restart(): void {
    if (this.#rng.int(0, 4) > 0) return
    const offset = this.model.end + this.#rng.int(0, 5)
    this.model.durable = 0
    this.model.history.push([])
    this.model.startLimit = offset
    this.log.truncateFullyAndStartAt(offset)
    this.model.start = this.model.deletedTo = this.model.replicated = offset
    this.model.set([])
    this.model.history = [[]]
    this.#epoch++
  }

  #deleteRecords(): void {
    const { log, model } = this
    const batch = model.batches[this.#rng.int(0, Math.max(1, model.batches.length))]
    if (batch === undefined || batch.offset <= model.deletedTo) return
    model.deletedTo = model.startLimit = batch.offset
    this.#replicate()
    log.maybeIncrementLogStartOffset(batch.offset)
  }

  async #flush(): Promise<void> {
    // A write during the flush is not part of it.
    await finish(this.#broker!.clock, this.log.flush())
    this.model.flushed()
  }
}

/** What a log holds, from its start. */
function contents(log: PartitionLog): Stored[] {
  const result: Stored[] = []
  for (let from = log.logStartOffset; from < log.logEndOffset; ) {
    const { records, error } = log.read(from, 1_000_000, log.logEndOffset, true)
    assert.equal(error, 0)
    if (records === undefined) break
    const buffer = Buffer.alloc(records.size)
    records.copyTo(buffer, 0)
    for (let at = 0; nextBatch(buffer, at, buffer.length) > 0; at += batchSize(buffer, at)) {
      const end = lastOffset(buffer, at) + 1
      assert.ok(end > from, `the batch at ${baseOffset(buffer, at)} ends at ${end}, below ${from}`)
      result.push({ offset: baseOffset(buffer, at), end, bytes: buffer.toString('latin1', at, at + batchSize(buffer, at)) })
      from = end
    }
  }
  return result
}

function isPrefix(short: readonly Stored[], long: readonly Stored[]): boolean {
  return short.length <= long.length && short.every((batch, i) => batch.bytes === long[i]!.bytes)
}

/** Records as text by offset, and the last value of every key that has one, of [from, to). */
function digest(
  batches: readonly Stored[],
  from: number,
  to: number,
): { records: Map<number, string>; values: Map<string, string> } {
  const records = new Map<number, string>()
  const values = new Map<string, string>()
  for (const { bytes } of batches) {
    for (const { offset, key, value } of recordsOf(Buffer.from(bytes, 'latin1'), 0)) {
      if (offset < from || offset >= to) continue
      assert.ok(!records.has(offset), `offset ${offset} is there twice`)
      records.set(offset, `${key} ${value?.toString('latin1')}`)
      if (value === null) values.delete(String(key))
      else values.set(String(key), value.toString('latin1'))
    }
  }
  return { records, values }
}

/** Is `got` a first part of `state`, compacted: the same last values, and no record that was not written? */
function isCompactionOf(got: readonly Stored[], state: readonly Stored[], start: number, logEnd: number): boolean {
  const stateEnd = state.at(-1)?.end ?? start
  if (logEnd > stateEnd) return false
  const [mine, wanted] = [digest(got, start, logEnd), digest(state, start, logEnd)]
  for (const [offset, text] of mine.records) if (wanted.records.get(offset) !== text) return false
  if (mine.values.size !== wanted.values.size) return false
  for (const [key, value] of wanted.values) if (mine.values.get(key) !== value) return false
  return true
}

function endOf(disk: MemoryDisk, end: End): void {
  disk.onOperation = undefined
  disk.clearFailures()
  if (end === 'process') disk.processCrash()
  else disk.powerLoss()
}

/** The start after a crash crashes too, after some disk operations. */
async function crashInRecovery(disk: MemoryDisk, config: LogConfig, end: End, operations: number): Promise<void> {
  const last = disk.operations + operations
  disk.onOperation = (operation, path, number) => {
    if (number > last) throw new DiskError('EIO', path, `crash at ${operation} ${path}`)
  }
  try {
    const { manager, clock } = open(disk, config)
    await finish(clock, manager.start(new Map()))
    await clock.advance(100)
  } catch (error) {
    if (!(error instanceof DiskError) && !(error instanceof LogStartError)) throw error
  }
  endOf(disk, end)
}

/** Ends the run's process, and maybe the power, and checks what a start finds: twice, the first one crashes too. */
export async function checkRecovered(run: Run, end: End, about: string): Promise<void> {
  const { disk, model, config } = run
  endOf(disk, end)
  await crashInRecovery(disk, config, end, new SeededRng(about).int(5, 120))
  const { manager, clock } = open(disk, config)
  await finish(clock, manager.start(new Map()))
  const log = manager.getOrCreate('t', 0, config, true)
  checkContents(log, model, end, about)
  // It works as a log: what is appended now is found after the next, clean, start.
  const before = contents(log)
  assert.equal(log.appendAsLeader(makeBatch(new SeededRng(about), -1), 99, true).error, 0)
  const now = contents(log)
  assert.equal(now.length, before.length + 1, about)
  await finish(clock, manager.shutdown())
  const again = open(disk, config)
  await finish(again.clock, again.manager.start(new Map()))
  assert.deepEqual(contents(again.manager.getOrCreate('t', 0, config, false)), now, about)
  await finish(again.clock, again.manager.shutdown())
}

function checkContents(log: PartitionLog, model: Model, end: End, about: string): void {
  const got = contents(log)
  const { logStartOffset: start, logEndOffset } = log
  const states = end === 'process' ? model.history.slice(-2) : model.history
  const shown = () => states.map((state) => `[${state.map((batch) => batch.offset)}]`).join(' ')
  const matches = (state: readonly Stored[]) => {
    const rest = state.filter((batch) => batch.offset >= start)
    return log.config.compact ? isCompactionOf(got, rest, start, logEndOffset) : isPrefix(got, rest)
  }
  assert.ok(states.some(matches), `${about}: from ${start} [${got.map((batch) => batch.offset)}] fits none of ${shown()}`)
  assert.ok(start <= model.startLimit, `${about}: starts at ${start}, not before ${model.startLimit}`)
  const ends = states.map((state) => state.at(-1)?.end ?? 0)
  const least = end === 'process' ? Math.min(...ends) : model.durable
  assert.ok(logEndOffset >= least || model.start > logEndOffset, `${about}: ends at ${logEndOffset}, not ${least}`)
}
