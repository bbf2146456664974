import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DiskError } from '../ports/disk.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import type { Rng } from '../ports/rng.ts'
import { batchSize, nextBatch } from '../protocol/records/batch.ts'
import { BatchBuilder } from '../protocol/records/builder.ts'
import type { PartitionLog } from './log.ts'
import { LogStartError } from './log-directory.ts'
import type { TestBroker } from './testing-logs.ts'
import { finish, logConfig, openManager, T0 } from './testing-logs.ts'

const CONFIG = logConfig({ segmentBytes: 700, indexIntervalBytes: 150, segmentIndexBytes: 120, fileDeleteDelayMs: 1000 })
const STEPS = 14
/** Crash points tried per seed; with more seeds (SAMSA_LOG_SEEDS) all of them are visited. */
const CRASHES_PER_SEED = 30

/** One batch as it lies in the log. */
interface Stored {
  readonly offset: number
  readonly count: number
  readonly bytes: string
}

/** What the log should hold, and what it may hold after a crash. */
class Model {
  batches: Stored[] = []
  start = 0
  /** Contents the log went through since all of it was last flushed, the present one last. */
  history: Stored[][] = [[]]
  /** Everything below it must survive a power loss. */
  durable = 0

  get end(): number {
    const last = this.batches.at(-1)
    return last === undefined ? this.start : last.offset + last.count
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
  const builder = new BatchBuilder({ magic: 2, codec: 0, leaderEpoch: epoch, baseOffset: 0 })
  for (let i = rng.int(1, 4); i > 0; i--) builder.append(T0 + counter++, null, Buffer.alloc(rng.int(1, 60), counter & 0xff))
  return builder.build()
}

/** A run of random operations; `crashAt` makes that disk operation, and all later ones, fail. */
class Run {
  readonly disk: MemoryDisk
  readonly model = new Model()
  readonly #rng: Rng
  #broker: TestBroker | undefined
  #epoch = 0
  #isDown = false

  constructor(seed: string, crashAt: number) {
    this.#rng = new SeededRng(seed)
    this.disk = new MemoryDisk({ rng: this.#rng.fork('disk') })
    counter = 0
    this.disk.onOperation = (operation, path, number) => {
      if (number < crashAt) return
      this.#isDown = true
      throw new DiskError('EIO', path, `crash at ${operation} ${path}`)
    }
  }

  get log(): PartitionLog {
    return this.#broker!.manager.get('t', 0) as PartitionLog
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
    this.#broker = openManager(this.disk, { defaultConfig: CONFIG })
    await finish(this.#broker.clock, this.#broker.manager.start(new Map()))
    this.#broker.manager.getOrCreate('t', 0, CONFIG, true)
  }

  async #close(): Promise<void> {
    await finish(this.#broker!.clock, this.#broker!.manager.shutdown())
    if (!this.#isDown) this.model.flushed()
  }

  async #step(): Promise<void> {
    const { log, model } = this
    switch (this.#rng.int(0, 10)) {
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
        log.highWatermark = model.end
        await this.#broker!.clock.advance(this.#rng.int(0, 3000))
        return
      default:
        this.#append(this.#rng.int(1, 5))
    }
  }

  #append(sets: number): void {
    const batches = Array.from({ length: sets }, () => makeBatch(this.#rng, -1))
    const before = this.model.batches
    // Allowed from the moment the call begins: any first part of them.
    const stamped: Stored[] = []
    let offset = this.model.end
    for (const batch of batches) {
      const count = batch.readInt32BE(57)
      const copy = Buffer.from(batch)
      copy.writeBigInt64BE(BigInt(offset), 0)
      copy.writeInt32BE(this.#epoch, 12)
      stamped.push({ offset, count, bytes: copy.toString('latin1') })
      offset += count
    }
    this.model.history.push([...before, ...stamped])
    this.log.appendAllAsLeader(batches, this.#epoch, true)
    this.model.set([...before, ...stamped])
  }

  #truncate(offset: number): void {
    const target = Math.max(this.model.start, offset)
    const kept = this.model.batches.filter((batch) => batch.offset + batch.count <= target)
    const last = kept.at(-1)
    const boundary = last === undefined ? this.model.start : last.offset + last.count
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
    this.log.truncateFullyAndStartAt(offset)
    this.model.start = offset
    this.model.set([])
    this.model.history = [[]]
    this.#epoch++
  }

  async #flush(): Promise<void> {
    const done = this.log.flush()
    // A write during the flush is not part of it.
    await finish(this.#broker!.clock, done)
    this.model.flushed()
  }
}

/** What a log holds, and its end. */
function contents(log: PartitionLog): Stored[] {
  const result: Stored[] = []
  for (let offset = log.logStartOffset; offset < log.logEndOffset; ) {
    const { records, error } = log.read(offset, 1_000_000, log.logEndOffset, true)
    assert.equal(error, 0)
    if (records === undefined) break
    const buffer = Buffer.alloc(records.size)
    records.copyTo(buffer, 0)
    for (let at = 0; nextBatch(buffer, at, buffer.length) > 0; at += batchSize(buffer, at)) {
      const [base, count] = [Number(buffer.readBigInt64BE(at)), buffer.readInt32BE(at + 57)]
      result.push({ offset: base, count, bytes: buffer.toString('latin1', at, at + batchSize(buffer, at)) })
      offset = base + count
    }
  }
  return result
}

function isPrefix(short: readonly Stored[], long: readonly Stored[]): boolean {
  return short.length <= long.length && short.every((batch, i) => batch.bytes === long[i]!.bytes)
}

function crash(disk: MemoryDisk, kind: 'process' | 'power'): void {
  if (kind === 'process') disk.processCrash()
  else disk.powerLoss()
}

/** The start after a crash crashes too, after some disk operations. */
async function crashInRecovery(disk: MemoryDisk, kind: 'process' | 'power', operations: number): Promise<void> {
  const last = disk.operations + operations
  disk.onOperation = (operation, path, number) => {
    if (number > last) throw new DiskError('EIO', path, `crash at ${operation} ${path}`)
  }
  try {
    const { manager, clock } = openManager(disk, { defaultConfig: CONFIG })
    await finish(clock, manager.start(new Map()))
    await clock.advance(100)
  } catch (error) {
    if (!(error instanceof DiskError) && !(error instanceof LogStartError)) throw error
  }
  disk.onOperation = undefined
  crash(disk, kind)
}

async function checkRecovered(run: Run, kind: 'process' | 'power', about: string): Promise<void> {
  const { disk, model } = run
  disk.onOperation = undefined
  crash(disk, kind)
  await crashInRecovery(disk, kind, new SeededRng(about).int(5, 120))
  const { manager, clock } = openManager(disk, { defaultConfig: CONFIG })
  await finish(clock, manager.start(new Map()))
  const log = manager.getOrCreate('t', 0, CONFIG, true)
  const got = contents(log)
  const wanted = kind === 'process' ? model.history.slice(-2) : model.history
  assert.ok(
    wanted.some((state) => isPrefix(got, state)),
    `${about}: [${got.map((batch) => batch.offset)}] is no prefix of any of ${wanted.map((state) => `[${state.map((batch) => batch.offset)}]`).join(' ')}`,
  )
  const least = kind === 'process' ? Math.min(...wanted.map((state) => state.length)) : 0
  assert.ok(got.length >= least, `${about}: ${got.length} batches of at least ${least}`)
  const end = got.length === 0 ? 0 : got.at(-1)!.offset + got.at(-1)!.count
  assert.ok(end >= model.durable || model.start > end, `${about}: ends at ${end}, flushed up to ${model.durable}`)
  // It works as a log: what is appended now is found after the next, clean, start.
  const added = makeBatch(new SeededRng(about), -1)
  assert.equal(log.appendAsLeader(added, 99, true).error, 0)
  const now = contents(log)
  assert.equal(now.length, got.length + 1)
  await finish(clock, manager.shutdown())
  const again = openManager(disk, { defaultConfig: CONFIG })
  await finish(again.clock, again.manager.start(new Map()))
  assert.deepEqual(contents(again.manager.getOrCreate('t', 0, CONFIG, false)), now, about)
  await finish(again.clock, again.manager.shutdown())
}

describe('after a crash at any disk operation the log is a prefix of what was written', () => {
  for (const kind of ['process', 'power'] as const) {
    for (const seed of (process.env['SAMSA_LOG_SEEDS'] ?? 'a b c').split(' ')) {
      it(`${kind} crash, operations of seed ${seed}`, async () => {
        const whole = new Run(seed, Number.POSITIVE_INFINITY)
        assert.ok(await whole.go())
        const { operations } = whole.disk
        assert.ok(operations > 50, `only ${operations} disk operations`)
        await checkRecovered(whole, kind, `${kind} ${seed} end`)
        const step = Math.max(1, Math.round(operations / CRASHES_PER_SEED))
        for (let crashAt = 1 + (seed.charCodeAt(0) % step); crashAt <= operations; crashAt += step) {
          const run = new Run(seed, crashAt)
          assert.equal(await run.go(), false)
          await checkRecovered(run, kind, `${kind} ${seed} at ${crashAt}`)
        }
      })
    }
  }
})
