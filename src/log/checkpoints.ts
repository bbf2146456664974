import type { PartitionKey } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import { runToEnd } from '../base/loop-slice.ts'
import type { Disk } from '../ports/disk.ts'
import { DiskError } from '../ports/disk.ts'

export const RECOVERY_POINT_CHECKPOINT = 'recovery-point-offset-checkpoint'
export const REPLICATION_OFFSET_CHECKPOINT = 'replication-offset-checkpoint'
export const LOG_START_OFFSET_CHECKPOINT = 'log-start-offset-checkpoint'
export const CLEANER_OFFSET_CHECKPOINT = 'cleaner-offset-checkpoint'

/** `DiskError.code` of a file whose content is not what its format says. */
export const MALFORMED = 'EBADMSG'

const VERSION = 0
/** Lines between two steps of reading. */
const LINES_A_STEP = 256

/**
 * The text format of every `*-checkpoint` file: version, number of entries, then one entry a line. A missing or empty file has no
 * entries. Throws `DiskError` (`EBADMSG`, 1.1's message) when it is malformed: 1.1 takes the log directory offline then.
 */
export function readCheckpoint<T>(disk: Disk, path: string, parse: (fields: readonly string[]) => T | undefined): T[] {
  return runToEnd(checkpointSteps(disk, path, parse))
}

/** `readCheckpoint` step by step: ten thousand lines are more than a turn's work for code that runs for the first time. */
function* checkpointSteps<T>(
  disk: Disk,
  path: string,
  parse: (fields: readonly string[]) => T | undefined,
): Generator<void, T[]> {
  if (!disk.exists(path)) return []
  const lines = disk.readFile(path).toString('utf8').split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  const malformed = (line: string) => new DiskError(MALFORMED, path, `Malformed line in checkpoint file (${path}): ${line}'`)
  const [version, count] = lines
  if (version === undefined) return []
  if (!isInt(version)) throw malformed(version)
  if (Number(version) !== VERSION) {
    throw new DiskError(MALFORMED, path, `Unrecognized version of the checkpoint file (${path}): ${VERSION}`)
  }
  if (count === undefined) return []
  if (!isInt(count)) throw malformed(count)
  const entries: T[] = []
  for (let i = 2; i < lines.length; i++) {
    if (i % LINES_A_STEP === 0) yield
    const line = lines[i]!
    // Single spaces, as Kafka writes them: of ten thousand lines the other way takes milliseconds.
    const entry = parse(line.split(/\s\s|[^\S ]/.test(line) ? /\s+/ : ' '))
    if (entry === undefined) throw malformed(line)
    entries.push(entry)
  }
  if (entries.length !== Number(count)) {
    throw new DiskError(
      MALFORMED,
      path,
      `Expected ${count} entries in checkpoint file (${path}), but found only ${entries.length}`,
    )
  }
  return entries
}

/** The file's text; each entry is a line without its newline. */
export function formatCheckpoint(entries: readonly string[]): string {
  return [VERSION, entries.length, ...entries, ''].join('\n')
}

/** Replaces the file atomically. */
export function writeCheckpoint(disk: Disk, path: string, entries: readonly string[]): void {
  disk.writeFileAtomic(path, formatCheckpoint(entries))
}

/** Creates it empty, as 1.1 does when it opens a checkpoint that is not there. */
export function ensureCheckpoint(disk: Disk, path: string): void {
  if (!disk.exists(path)) disk.open(path, 'create').close()
}

function isInt(text: string): boolean {
  return /^[+-]?\d+$/.test(text)
}

/** An entry of the four offset checkpoints: `topic partition offset`. */
export interface OffsetEntry {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

function parseOffset(fields: readonly string[]): OffsetEntry | undefined {
  const [topic, partition, offset] = fields
  if (fields.length !== 3 || !isInt(partition!) || !isInt(offset!)) return undefined
  return { topic: topic!, partition: Number(partition), offset: Number(offset) }
}

export function readOffsetCheckpoint(disk: Disk, path: string): OffsetEntry[] {
  return readCheckpoint(disk, path, parseOffset)
}

/** The same as a map, step by step. */
export function* offsetSteps(disk: Disk, path: string): Generator<void, Map<PartitionKey, number>> {
  const entries = yield* checkpointSteps(disk, path, parseOffset)
  const offsets = new Map<PartitionKey, number>()
  for (let i = 0; i < entries.length; i++) {
    if (i % LINES_A_STEP === LINES_A_STEP - 1) yield
    const { topic, partition, offset } = entries[i]!
    offsets.set(partitionKey(topic, partition), offset)
  }
  return offsets
}

export function writeOffsetCheckpoint(disk: Disk, path: string, entries: Iterable<OffsetEntry>): void {
  const lines: string[] = []
  for (const entry of entries) lines.push(`${entry.topic} ${entry.partition} ${entry.offset}`)
  writeCheckpoint(disk, path, lines)
}
