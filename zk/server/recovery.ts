import fs from 'node:fs'
import path from 'node:path'
import type { ZkLog } from '../client/types.ts'
import { decodeFrame, hasFrameAfter } from './frames.ts'
import type { LogRecord } from './protocol.ts'
import type { SnapshotHeader } from './state-machine.ts'
import type { NodeRow } from './tree.ts'

export const LOG_MAGIC = Buffer.from('SZKLOG01')
export const SNAPSHOT_MAGIC = Buffer.from('SZKSNP01')

/** First frame of a snapshot file. */
export interface SnapshotFileHeader extends SnapshotHeader {
  readonly secret: Buffer
}

/** Last frame of a snapshot file: a file without it was never finished. */
export interface SnapshotEnd {
  readonly rows: number
}

export interface Recovered {
  /** `null`: an empty directory. */
  readonly header: SnapshotFileHeader | null
  readonly rows: readonly NodeRow[]
  /** Everything after the snapshot, without a gap. */
  readonly records: readonly LogRecord[]
  /** The log file to go on with, cut to its last whole frame. */
  readonly log: { readonly file: string; readonly length: number } | null
}

export interface StoreFile {
  readonly file: string
  /** A snapshot holds everything up to it, a log everything after it. */
  readonly zxid: number
}

/** `snapshot.<hex zxid>` or `log.<hex zxid>`, oldest first. */
export function listFiles(dir: string, kind: 'snapshot' | 'log'): StoreFile[] {
  const pattern = new RegExp(`^${kind}\\.([0-9a-f]+)$`)
  const found: StoreFile[] = []
  for (const name of fs.readdirSync(dir)) {
    const match = pattern.exec(name)
    if (match !== null) found.push({ file: path.join(dir, name), zxid: Number.parseInt(match[1]!, 16) })
  }
  return found.sort((a, b) => a.zxid - b.zxid)
}

/**
 * Reads back the newest readable snapshot and the log after it. A torn end of the last log file, the mark of a crash, is cut off: it
 * was never acknowledged. Damage anywhere else throws an Error that names file and offset: going on would lose acknowledged writes.
 */
export function recover(dir: string, log: ZkLog): Recovered {
  for (const name of fs.readdirSync(dir)) if (name.endsWith('.tmp')) fs.rmSync(path.join(dir, name))
  const snapshots = listFiles(dir, 'snapshot')
  const logs = listFiles(dir, 'log')
  if (snapshots.length === 0) {
    if (logs.length > 0) throw new Error(`${dir} holds transaction logs but no snapshot: refusing to start with an empty tree`)
    if (fs.existsSync(path.join(dir, 'version-2'))) {
      throw new Error(
        `${dir} holds the data of an Apache ZooKeeper (version-2), which this server cannot read: choose another dataDir`,
      )
    }
    return { header: null, rows: [], records: [], log: null }
  }
  let snapshot: { header: SnapshotFileHeader; rows: NodeRow[] } | null = null
  for (const candidate of snapshots.reverse()) {
    snapshot = readSnapshot(candidate.file)
    if (snapshot !== null) break
    log.warn(`snapshot ${candidate.file} is damaged; trying an older one`)
  }
  if (snapshot === null) throw new Error(`no readable snapshot in ${dir}`)
  return { ...snapshot, ...readLogs(logs, snapshot.header.zxid, log) }
}

/** `null` when the file is incomplete or damaged. */
function readSnapshot(file: string): { header: SnapshotFileHeader; rows: NodeRow[] } | null {
  const bytes = fs.readFileSync(file)
  if (!bytes.subarray(0, SNAPSHOT_MAGIC.length).equals(SNAPSHOT_MAGIC)) return null
  const first = decodeFrame(bytes, SNAPSHOT_MAGIC.length)
  if (first === null) return null
  const rows: NodeRow[] = []
  for (let at = first.end; ; ) {
    const frame = decodeFrame(bytes, at)
    if (frame === null) return null
    at = frame.end
    if (Array.isArray(frame.value)) {
      for (const row of frame.value as NodeRow[]) rows.push(row)
    } else {
      const complete = (frame.value as SnapshotEnd).rows === rows.length
      return complete ? { header: first.value as SnapshotFileHeader, rows } : null
    }
  }
}

function readLogs(logs: readonly StoreFile[], after: number, log: ZkLog): Pick<Recovered, 'records' | 'log'> {
  const records: LogRecord[] = []
  let expected = after + 1
  let end: Recovered['log'] = null
  // the file before the first that starts beyond the snapshot may hold records on both sides of it
  const from = Math.max(
    0,
    logs.findLastIndex((l) => l.zxid <= after),
  )
  for (const [i, { file }] of logs.entries()) {
    if (i < from) continue
    const part = readLog(file, i === logs.length - 1, log)
    end = { file, length: part.length }
    for (const record of part.records) {
      if (record.zxid <= after) continue
      if (record.zxid !== expected)
        throw new Error(`transactions ${hex(expected)} to ${hex(record.zxid - 1)} are missing before ${file}`)
      expected++
      records.push(record)
    }
  }
  return { records, log: end }
}

function readLog(file: string, isLast: boolean, log: ZkLog): { records: LogRecord[]; length: number } {
  const bytes = fs.readFileSync(file)
  const records: LogRecord[] = []
  // a crash right after the file was made can leave it without its magic
  if (isLast && bytes.length < LOG_MAGIC.length) return { records, length: 0 }
  if (!bytes.subarray(0, LOG_MAGIC.length).equals(LOG_MAGIC)) throw new Error(`${file} is not a transaction log of this server`)
  let at = LOG_MAGIC.length
  while (at < bytes.length) {
    const frame = decodeFrame(bytes, at)
    if (frame === null) break
    for (const record of frame.value as LogRecord[]) records.push(record)
    at = frame.end
  }
  if (at < bytes.length) {
    if (!isLast || hasFrameAfter(bytes, at)) throw new Error(`transaction log ${file} is damaged at offset ${at}`)
    log.warn(`transaction log ${file}: dropping ${bytes.length - at} bytes of an unfinished write at offset ${at}`)
  }
  return { records, length: at }
}

function hex(zxid: number): string {
  return `0x${zxid.toString(16)}`
}
