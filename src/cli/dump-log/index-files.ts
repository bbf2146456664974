/** Lines of `.index`, `.timeindex`, `.txnindex` and `.snapshot` files, and what is wrong with the entries of the first two. */
import { resolve } from 'node:path'
import { CorruptIndexError } from '../../log/index-file.ts'
import { OFFSET_INDEX_ENTRY_BYTES, OffsetIndex } from '../../log/offset-index.ts'
import { CorruptSnapshotError, decodeSnapshot } from '../../log/producer-snapshots.ts'
import { TIME_INDEX_ENTRY_BYTES, TimeIndex } from '../../log/time-index.ts'
import { TXN_INDEX_ENTRY_BYTES } from '../../log/transaction-index.ts'
import { nodeDisk } from '../../ports/node/disk.ts'
import { lastOffset } from '../../protocol/records/index.ts'
import { fileError, ToolError } from '../tool.ts'
import { type Batch, batchesOf, firstRecordOffset, greatestTimestamp } from './log-file.ts'

/** Pairs by file, in the order in which they were found. */
export type Findings = Map<string, [number, number][]>

export function addFinding(findings: Findings, path: string, a: number, b: number): void {
  const pairs = findings.get(path)
  if (pairs === undefined) findings.set(path, [[a, b]])
  else pairs.push([a, b])
}

export interface IndexRules {
  /** Only the check that a broker makes at its start. */
  readonly sanityOnly: boolean
  /** Compare with the log, print no entries. */
  readonly verifyOnly: boolean
  /** Bytes of the log looked at behind an entry of `.index`; a longer batch counts as absent. */
  readonly maxMessageBytes: number
}

export interface TimeIndexFindings {
  readonly mismatches: Findings
  readonly outOfOrder: Findings
  readonly notFound: Findings
}

function open(path: string): ReturnType<typeof nodeDisk.open> {
  try {
    return nodeDisk.open(path, 'read')
  } catch (error) {
    throw fileError(path, error)
  }
}

function readAll(path: string): Buffer {
  const file = open(path)
  file.close()
  return nodeDisk.readFile(path)
}

/** The same file name with another ending, in its absolute folder. */
const sibling = (path: string, suffix: string): string => resolve(path).replace(/[^/]*$/, (name) => name.split('.')[0] + suffix)

function checkSanity(index: { sanityCheck(): void }, path: string): string {
  try {
    index.sanityCheck()
  } catch (error) {
    if (error instanceof CorruptIndexError) throw new ToolError('kafka.log.CorruptIndexException', error.message)
    throw error
  }
  return `${path} passed sanity check.\n`
}

/** `base`: the offset in the file's name. */
export function* dumpOffsetIndex(path: string, base: number, rules: IndexRules, mismatches: Findings): Generator<string> {
  const log = open(sibling(path, '.log'))
  try {
    const bytes = readAll(path)
    if (rules.sanityOnly) {
      // The genuine message names the absolute path.
      yield checkSanity(new OffsetIndex(nodeDisk, resolve(path), base, bytes.length, bytes.length), path)
      return
    }
    for (let at = 0; at + OFFSET_INDEX_ENTRY_BYTES <= bytes.length; at += OFFSET_INDEX_ENTRY_BYTES) {
      const relative = bytes.readInt32BE(at)
      const position = bytes.readInt32BE(at + 4)
      const offset = base + relative
      const found = firstOffsetAt(log, position, rules.maxMessageBytes)
      if (found !== offset) addFinding(mismatches, resolve(path), offset, found)
      // The file of an active segment is full of zeros behind its last entry.
      if (relative === 0 && at > 0) return
      if (!rules.verifyOnly) yield `offset: ${offset} position: ${position}\n`
    }
  } finally {
    log.close()
  }
}

/** First record offset at or behind a position of the log; throws `ToolError` when there is none within `maxBytes`. */
function firstOffsetAt(log: ReturnType<typeof open>, position: number, maxBytes: number): number {
  const { value: batch } = batchesOf(log, position).next()
  const isBatch = (it: Batch | number): it is Batch => typeof it !== 'number'
  const offset = isBatch(batch) && batch.bytes.length <= maxBytes ? firstRecordOffset(batch) : undefined
  if (offset === undefined) throw new ToolError('java.util.NoSuchElementException', '')
  return offset
}

/** `base`: the offset in the file's name. The `.index` beside it is needed too. */
export function* dumpTimeIndex(path: string, base: number, rules: IndexRules, found: TimeIndexFindings): Generator<string> {
  const log = open(sibling(path, '.log'))
  try {
    const bytes = readAll(path)
    const offsets = openOffsetIndex(sibling(path, '.index'), base)
    if (rules.sanityOnly) {
      yield checkSanity(new TimeIndex(nodeDisk, resolve(path), base, bytes.length, bytes.length), path)
      return
    }
    let previous = -1
    const batches = new BatchFinder(log)
    for (let at = 0; at + TIME_INDEX_ENTRY_BYTES <= bytes.length; at += TIME_INDEX_ENTRY_BYTES) {
      const timestamp = Number(bytes.readBigInt64BE(at))
      const relative = bytes.readInt32BE(at + 8)
      const offset = base + relative
      const batch = batches.find(offsets.positionFor(offset), offset)
      const last = batch === undefined ? -1 : lastOffset(batch.bytes, 0)
      if (batch === undefined || last !== offset) addFinding(found.notFound, resolve(path), offset, last)
      else {
        const greatest = greatestTimestamp(batch)
        if (greatest !== timestamp) addFinding(found.mismatches, resolve(path), timestamp, greatest)
        if (previous >= timestamp) addFinding(found.outOfOrder, resolve(path), timestamp, previous)
        if (relative === 0 && at > 0) return
      }
      if (!rules.verifyOnly) yield `timestamp: ${timestamp} offset: ${offset}\n`
      previous = timestamp
    }
  } finally {
    log.close()
  }
}

/** Remembers the last answer: the zeros behind the entries of an active segment all ask the same. */
class BatchFinder {
  readonly #log: ReturnType<typeof open>
  #asked = ''
  #answer: Batch | undefined

  constructor(log: ReturnType<typeof open>) {
    this.#log = log
  }

  /** The first batch from `position` on whose last offset is at least `offset`. */
  find(position: number, offset: number): Batch | undefined {
    const asked = `${position} ${offset}`
    if (asked === this.#asked) return this.#answer
    this.#asked = asked
    this.#answer = undefined
    for (const batch of batchesOf(this.#log, position)) {
      if (lastOffset(batch.bytes, 0) >= offset) {
        this.#answer = batch
        break
      }
    }
    return this.#answer
  }
}

function openOffsetIndex(path: string, base: number): OffsetIndex {
  // 1.1 opens an absent one for writing, and fails on the size that it was not given.
  if (!nodeDisk.exists(path)) throw new ToolError('java.lang.IllegalArgumentException', 'Invalid max index size: -1')
  const bytes = nodeDisk.fileSize(path)
  return new OffsetIndex(nodeDisk, path, base, bytes, bytes)
}

/** An absent file has no entries. */
export function* dumpTransactionIndex(path: string): Generator<string> {
  if (!nodeDisk.exists(path)) return
  const bytes = readAll(path)
  for (let at = 0; at + TXN_INDEX_ENTRY_BYTES <= bytes.length; at += TXN_INDEX_ENTRY_BYTES) {
    // Of the two bytes of the version 1.1 looks at the first.
    const version = bytes.readInt8(at)
    if (version > 0) {
      throw new ToolError(
        'kafka.common.KafkaException',
        `Unexpected aborted transaction version ${version}, current version is 0`,
      )
    }
    const [id, first, last, stable] = [2, 10, 18, 26].map((field) => bytes.readBigInt64BE(at + field))
    yield `version: ${version} producerId: ${id} firstOffset: ${first} lastOffset: ${last} lastStableOffset: ${stable}\n`
  }
}

/** `onCorrupt` is told what is wrong with a snapshot that no broker would load. */
export function* dumpSnapshot(path: string, onCorrupt: (problem: string) => void): Generator<string> {
  if (!nodeDisk.exists(path)) throw new ToolError('java.nio.file.NoSuchFileException', path)
  const bytes = readAll(path)
  try {
    for (const entry of decodeSnapshot(bytes)) {
      const first = entry.lastSequence - entry.offsetDelta
      const firstSequence = entry.lastSequence < 0 ? entry.lastSequence : first < 0 ? first + 2 ** 31 : first
      const txn = entry.currentTxnFirstOffset < 0 ? 'None' : `Some(${entry.currentTxnFirstOffset})`
      yield `producerId: ${entry.producerId} producerEpoch: ${entry.producerEpoch} coordinatorEpoch: ${entry.coordinatorEpoch} currentTxnFirstOffset: ${txn} firstSequence: ${firstSequence} lastSequence: ${entry.lastSequence} lastOffset: ${entry.lastOffset} offsetDelta: ${entry.offsetDelta} timestamp: ${entry.timestamp}\n`
    }
  } catch (error) {
    if (!(error instanceof CorruptSnapshotError)) throw error
    onCorrupt(error.message)
  }
}
