import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import type { ZkLog } from '../client/types.ts'
import { encodeFrame } from './frames.ts'
import type { LogRecord } from './protocol.ts'
import {
  LOG_MAGIC,
  listFiles,
  type Recovered,
  recover,
  SNAPSHOT_MAGIC,
  type SnapshotEnd,
  type SnapshotFileHeader,
} from './recovery.ts'
import type { NodeRow, RowIterator } from './tree.ts'

const write = promisify(fs.write)
const fdatasync = promisify(fs.fdatasync)

export interface StorageOptions {
  readonly dir: string
  /** `false`: records are written, not synced; a crash of the process loses nothing, a crash of the machine may. */
  readonly fsync: boolean
  readonly log: ZkLog
  /** Records between two snapshots. */
  readonly snapCount?: number
  /** Log bytes between two snapshots. */
  readonly snapBytes?: number
}

/** What a snapshot is made of; taken at one moment, read while the server goes on. */
export interface SnapshotSource {
  readonly header: SnapshotFileHeader
  readonly rows: RowIterator
}

interface Batch {
  readonly records: LogRecord[]
  /** The batch begins this log file. */
  readonly newLog: string | null
}

const ROWS_PER_FRAME = 1000

/**
 * The durable transaction log and its snapshots. Records are collected while a write and sync are under way and go together in the
 * next one (group commit), off the event loop.
 */
export class Storage {
  /** Called when records became durable. */
  onDurable: () => void = () => {}
  /** Called once when the disk failed: nothing can be acknowledged any more. */
  onFailure: (error: Error) => void = () => {}
  private readonly options: StorageOptions
  private readonly queue: Batch[] = []
  private fd = -1
  private appendedCount = 0
  private durableCount = 0
  private sinceSnapshot = { records: 0, bytes: 0 }
  private running: Promise<void> | null = null
  private snapshotting: Promise<void> | null = null
  private failed = false

  private constructor(options: StorageOptions) {
    this.options = options
  }

  /** Reads back what is there. The caller must then write a first snapshot if there is none. Errors name the file. */
  static open(options: StorageOptions): { storage: Storage; recovered: Recovered } {
    fs.mkdirSync(options.dir, { recursive: true })
    const recovered = recover(options.dir, options.log)
    const storage = new Storage(options)
    if (recovered.log !== null) storage.reopenLog(recovered.log)
    storage.sinceSnapshot.records = recovered.records.length
    return { storage, recovered }
  }

  private reopenLog(log: { file: string; length: number }): void {
    this.fd = fs.openSync(log.file, 'r+')
    fs.ftruncateSync(this.fd, log.length)
    fs.closeSync(this.fd)
    this.fd = fs.openSync(log.file, 'a')
    if (log.length === 0) fs.writeSync(this.fd, LOG_MAGIC)
    if (this.options.fsync) fs.fsyncSync(this.fd)
  }

  /** Number of records given to {@link append} so far; with {@link durable} it tells what may be acknowledged. */
  get appended(): number {
    return this.appendedCount
  }

  get durable(): number {
    return this.durableCount
  }

  /** Queues one record. Nothing is written before {@link flush}. */
  append(record: LogRecord): void {
    this.appendedCount++
    const last = this.queue.at(-1)
    if (last === undefined) this.queue.push({ records: [record], newLog: null })
    else last.records.push(record)
  }

  /** Writes what is queued, unless a write is under way, which then takes it along. Without fsync this is done when it returns. */
  flush(): void {
    if (this.running !== null || this.failed || this.queue.length === 0) return
    if (!this.options.fsync) {
      this.attempt(() => {
        for (let batch = this.queue.shift(); batch !== undefined; batch = this.queue.shift()) this.writeNow(batch)
      })
      return
    }
    this.running = this.drain().then(
      () => {
        this.running = null
        this.flush()
      },
      (error: Error) => this.fail(error),
    )
  }

  private attempt(work: () => void): void {
    try {
      work()
    } catch (error) {
      this.fail(error as Error)
    }
  }

  private fail(error: Error): void {
    if (this.failed) return
    this.failed = true
    this.options.log.error(`transaction log in ${this.options.dir} cannot be written: ${error.message}`)
    this.onFailure(error)
  }

  private writeNow(batch: Batch): void {
    const frame = this.begin(batch)
    if (frame !== null) fs.writeSync(this.fd, frame)
    this.done(batch, frame)
  }

  private async drain(): Promise<void> {
    for (let batch = this.queue.shift(); batch !== undefined; batch = this.queue.shift()) {
      const frame = this.begin(batch)
      if (frame !== null) {
        for (let at = 0; at < frame.length; ) at += (await write(this.fd, frame, at, frame.length - at)).bytesWritten
      }
      await fdatasync(this.fd)
      this.done(batch, frame)
    }
  }

  private begin(batch: Batch): Buffer | null {
    if (batch.newLog !== null) {
      const fd = fs.openSync(batch.newLog, 'a')
      if (this.fd !== -1) fs.closeSync(this.fd)
      this.fd = fd
      if (fs.fstatSync(this.fd).size === 0) fs.writeSync(this.fd, LOG_MAGIC)
      this.syncDirectory()
    }
    return batch.records.length === 0 ? null : encodeFrame(batch.records)
  }

  private done(batch: Batch, frame: Buffer | null): void {
    this.durableCount += batch.records.length
    this.sinceSnapshot.records += batch.records.length
    this.sinceSnapshot.bytes += frame === null ? 0 : frame.length
    this.onDurable()
  }

  /** Whether the log has grown enough to be replaced by a snapshot. */
  get wantsSnapshot(): boolean {
    const { snapCount = 100_000, snapBytes = 64 * 1024 * 1024 } = this.options
    const { records, bytes } = this.sinceSnapshot
    return this.snapshotting === null && !this.failed && (records >= snapCount || bytes >= snapBytes)
  }

  get recordsSinceSnapshot(): number {
    return this.sinceSnapshot.records
  }

  /**
   * Writes a snapshot; records appended from now on go to a new log file. The state the source stands for must be that of all records
   * appended so far. Resolves when it is durable and older files are gone.
   */
  snapshot(source: SnapshotSource): Promise<void> {
    if (this.snapshotting !== null) throw new Error('a snapshot is already being written')
    const { zxid } = source.header
    this.queue.push({ records: [], newLog: path.join(this.options.dir, `log.${zxid.toString(16)}`) })
    this.sinceSnapshot = { records: 0, bytes: 0 }
    this.flush()
    const work = this.writeSnapshot(source).then(
      () => this.removeOld(),
      (error: Error) => this.options.log.error(`snapshot in ${this.options.dir} failed: ${error.message}`),
    )
    this.snapshotting = work.then(() => {
      this.snapshotting = null
    })
    return this.snapshotting
  }

  /** As {@link snapshot}, after one that may be under way. */
  async finalSnapshot(source: () => SnapshotSource): Promise<void> {
    if (this.snapshotting !== null) await this.snapshotting
    if (!this.failed) await this.snapshot(source())
  }

  /** Writes the first snapshot of an empty directory before the server serves. */
  initialize(source: SnapshotSource): void {
    const { file, tmp } = this.snapshotNames(source.header.zxid)
    const fd = fs.openSync(tmp, 'w')
    for (const frame of framesOf(source)) fs.writeSync(fd, frame)
    if (this.options.fsync) fs.fsyncSync(fd)
    fs.closeSync(fd)
    fs.renameSync(tmp, file)
    this.begin({ records: [], newLog: path.join(this.options.dir, `log.${source.header.zxid.toString(16)}`) })
  }

  private snapshotNames(zxid: number): { file: string; tmp: string } {
    const file = path.join(this.options.dir, `snapshot.${zxid.toString(16)}`)
    return { file, tmp: `${file}.tmp` }
  }

  private async writeSnapshot(source: SnapshotSource): Promise<void> {
    const { file, tmp } = this.snapshotNames(source.header.zxid)
    try {
      const handle = await fs.promises.open(tmp, 'w')
      try {
        for (const frame of framesOf(source)) await handle.writeFile(frame)
        if (this.options.fsync) await handle.sync()
      } finally {
        await handle.close()
      }
    } finally {
      // ends the copying of changed nodes also when the disk refused
      source.rows.return()
    }
    await fs.promises.rename(tmp, file)
    this.syncDirectory()
  }

  private syncDirectory(): void {
    if (!this.options.fsync) return
    const fd = fs.openSync(this.options.dir, 'r')
    fs.fsyncSync(fd)
    fs.closeSync(fd)
  }

  /** Keeps the two newest snapshots and the logs that continue the older of them. */
  private removeOld(): void {
    const snapshots = listFiles(this.options.dir, 'snapshot')
    for (const { file } of snapshots.slice(0, -2)) fs.rmSync(file)
    const oldest = snapshots.at(-2)?.zxid ?? 0
    const logs = listFiles(this.options.dir, 'log')
    const needed = logs.findLastIndex((l) => l.zxid <= oldest)
    for (const { file } of logs.slice(0, Math.max(0, needed))) fs.rmSync(file)
  }

  /** Bytes on disk of the log, and of snapshots. */
  sizes(): { log: number; snapshot: number } {
    const sum = (kind: 'log' | 'snapshot') => listFiles(this.options.dir, kind).reduce((n, f) => n + fs.statSync(f.file).size, 0)
    return { log: sum('log'), snapshot: sum('snapshot') }
  }

  /** Waits for everything queued, then lets go of the files. */
  async close(): Promise<void> {
    this.flush()
    while (this.running !== null && !this.failed) await this.running
    if (this.snapshotting !== null) await this.snapshotting
    if (this.fd !== -1) fs.closeSync(this.fd)
    this.fd = -1
  }
}

function* framesOf(source: SnapshotSource): Generator<Buffer, void, void> {
  yield Buffer.concat([SNAPSHOT_MAGIC, encodeFrame(source.header)])
  let count = 0
  let rows: NodeRow[] = []
  for (let next = source.rows.next(); next.done !== true; next = source.rows.next()) {
    rows.push(next.value)
    count++
    if (rows.length === ROWS_PER_FRAME) {
      yield encodeFrame(rows)
      rows = []
    }
  }
  if (rows.length > 0) yield encodeFrame(rows)
  const end: SnapshotEnd = { rows: count }
  yield encodeFrame(end)
}
