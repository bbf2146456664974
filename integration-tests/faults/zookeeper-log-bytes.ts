/** Transaction logs as ZooKeeper writes them, made by hand: what checkers of a real one must notice in them. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ByteWriter } from '../../src/base/bytes.ts'

/** Session, type of `ZooDefs.OpCode`, and the transaction's own bytes. */
export interface Write {
  readonly session: number
  readonly type: number
  readonly txn: Buffer
}

const CHECK = 13

function write(session: number, type: number, fill: (writer: ByteWriter) => void): Write {
  const writer = new ByteWriter()
  fill(writer)
  return { session, type, txn: writer.copy() }
}

export function create(session: number, path: string, data: string | Buffer, isEphemeral = false): Write {
  return write(session, 1, (writer) => {
    writer.bytes(Buffer.from(path))
    writer.bytes(Buffer.from(data))
    writer.int32(0)
    writer.boolean(isEphemeral)
    writer.int32(0)
  })
}

export function setData(session: number, path: string, data: string | Buffer): Write {
  return write(session, 5, (writer) => {
    writer.bytes(Buffer.from(path))
    writer.bytes(Buffer.from(data))
    writer.int32(1)
  })
}

export function remove(session: number, path: string): Write {
  return write(session, 2, (writer) => writer.bytes(Buffer.from(path)))
}

export function closeSession(session: number): Write {
  return write(session, -11, () => {})
}

/** As a controller writes: a check of `/controller_epoch` and the write in one transaction. */
export function fenced({ session, type, txn }: Write): Write {
  return write(session, 14, (writer) => {
    writer.int32(2)
    writer.int32(CHECK)
    writer.bytes(Buffer.alloc(0))
    writer.int32(type)
    writer.bytes(txn)
  })
}

/** One file in `directory`, a server's `dataDir`. */
export function writeZooKeeperLog(directory: string, writes: readonly Write[]): void {
  const writer = new ByteWriter()
  writer.raw(Buffer.from('ZKLG'))
  writer.int32(2)
  writer.int64(0)
  for (const [i, { session, type, txn }] of writes.entries()) {
    const record = new ByteWriter()
    record.int64(session)
    record.int32(i)
    record.int64(i + 1)
    record.int64(1_500_000_000_000 + i)
    record.int32(type)
    record.raw(txn)
    // The reader does not look at the checksum.
    writer.int64(0)
    writer.bytes(record.view())
    writer.raw(Buffer.from('B'))
  }
  // Files are made longer than what they hold.
  writer.raw(Buffer.alloc(64))
  mkdirSync(join(directory, 'version-2'), { recursive: true })
  writeFileSync(join(directory, 'version-2', 'log.1'), writer.view())
}
