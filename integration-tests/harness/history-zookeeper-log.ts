/** What a genuine ZooKeeper wrote, in its order, read from its transaction log, in the form in which the simulator's checkers take it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ByteReader } from '../../src/base/bytes.ts'
import type { LogRecord, Txn } from '../../zk/server/protocol.ts'

const HEADER_BYTES = 16
const MAGIC = 0x5a4b4c47

/** Session ids of ZooKeeper have 64 bits; here they are counted. */
class Sessions {
  readonly #known = new Map<bigint, number>()

  number(id: bigint): number {
    let number = this.#known.get(id)
    if (number === undefined) this.#known.set(id, (number = this.#known.size + 1))
    return number
  }
}

function text(reader: ByteReader): string {
  return reader.bytes().toString()
}

function copied(reader: ByteReader): Buffer | null {
  const bytes = reader.nullableBytes()
  return bytes === null ? null : Buffer.from(bytes)
}

function created(reader: ByteReader, session: number): Txn {
  const path = text(reader)
  const data = copied(reader)
  for (let acls = reader.int32(); acls > 0; acls--) {
    reader.int32()
    text(reader)
    text(reader)
  }
  return { type: 'create', path, data, acl: [], owner: reader.int8() !== 0 ? session : 0 }
}

/** Record types of `ZooDefs.OpCode`. */
function transaction(type: number, reader: ByteReader, session: number): Txn {
  switch (type) {
    case 1:
    case 15:
      return created(reader, session)
    case 2:
      return { type: 'delete', path: text(reader) }
    case 5:
      return { type: 'setData', path: text(reader), data: copied(reader) }
    case 14: {
      const txns = Array.from({ length: reader.int32() }, () => {
        const inner = reader.int32()
        return transaction(inner, new ByteReader(reader.bytes()), session)
      })
      return { type: 'multi', txns }
    }
    case -10:
      return { type: 'createSession', sessionId: session, timeoutMs: reader.int32() }
    case -11:
      return { type: 'closeSession', sessionId: session }
    default:
      return { type: 'error' }
  }
}

function recordsOfFile(bytes: Buffer, sessions: Sessions): LogRecord[] {
  if (bytes.length < HEADER_BYTES) return []
  if (bytes.readInt32BE(0) !== MAGIC)
    throw new Error(`not a transaction log of ZooKeeper: it begins with ${bytes.readInt32BE(0)}`)
  const records: LogRecord[] = []
  // Adler32, length, record, one byte; the rest of a file is zeros.
  for (let at = HEADER_BYTES; at + 12 <= bytes.length; ) {
    const length = bytes.readInt32BE(at + 8)
    if (length === 0 || at + 12 + length > bytes.length) break
    // After the session's id (8 bytes) and the request's number (4).
    const reader = new ByteReader(bytes, at + 12 + 12, at + 12 + length)
    const session = sessions.number(bytes.readBigInt64BE(at + 12))
    const zxid = reader.int64()
    const time = reader.int64()
    records.push({ zxid, time, txn: transaction(reader.int32(), reader, session) })
    at += 12 + length + 1
  }
  return records
}

/** `directory`: the server's `dataDir`. Written by one server without a snapshot in between, so that it begins at the first transaction. */
export function readZooKeeperLog(directory: string): LogRecord[] {
  const folder = join(directory, 'version-2')
  const sessions = new Sessions()
  return readdirSync(folder)
    .filter((name) => name.startsWith('log.'))
    .sort((a, b) => Number.parseInt(a.slice(4), 16) - Number.parseInt(b.slice(4), 16))
    .flatMap((name) => recordsOfFile(readFileSync(join(folder, name)), sessions))
}

type Listener = (record: LogRecord) => void

/** Replays a log for a checker that wants to know whose nodes go with a session. */
export class ZooKeeperReplay {
  readonly onWrite: Listener[] = []
  readonly #owned = new Map<number, Set<string>>()
  readonly machine: { readonly tree: { ephemeralsOf(session: number): ReadonlySet<string> } } = {
    tree: { ephemeralsOf: (session) => this.#owned.get(session) ?? new Set() },
  }

  run(records: readonly LogRecord[]): void {
    for (const record of records) {
      for (const listener of this.onWrite) listener(record)
      this.#apply(record.txn)
    }
  }

  #apply(txn: Txn): void {
    if (txn.type === 'multi') for (const inner of txn.txns) this.#apply(inner)
    else if (txn.type === 'create' && txn.owner !== 0) {
      const owned = this.#owned.get(txn.owner) ?? new Set()
      this.#owned.set(txn.owner, owned.add(txn.path))
    } else if (txn.type === 'delete') for (const owned of this.#owned.values()) owned.delete(txn.path)
    else if (txn.type === 'closeSession') this.#owned.delete(txn.sessionId)
  }
}
