import type { Clock } from '../ports/clock.ts'
import { downConvertSteps, magicOf, needsDownConversion, nextBatch } from '../protocol/records/index.ts'

/** Newest message format that a reader of a Fetch version knows. */
export function magicForFetch(apiVersion: number): 0 | 1 | 2 {
  if (apiVersion <= 1) return 0
  return apiVersion <= 3 ? 1 : 2
}

/** How long one conversion may hold the loop before others get their turn. */
const SLICE_MS = 5

/**
 * The records in the format of an older reader; undefined when they can go out as they are. `records` must stay valid until
 * the end: what takes longer goes on in later turns of the loop. A slice of which nothing remains (only markers) is sent unchanged, so that
 * the reader notices. Throws `RecordsError` (or rejects) for records that cannot be read.
 */
export function convertForFetch(
  records: Buffer,
  toMagic: 0 | 1 | 2,
  fetchOffset: number,
  clock: Pick<Clock, 'now' | 'soon'>,
): Buffer | undefined | Promise<Buffer | undefined> {
  if (!needsDownConversion(records, toMagic)) return undefined
  const steps = conversion(records, toMagic, fetchOffset)
  const done = runSteps(steps, clock)
  return done ? done.bytes : runOn(steps, clock)
}

/** Yields within big batches and after every one; returns the converted record set. */
function* conversion(records: Buffer, toMagic: 0 | 1 | 2, fetchOffset: number): Generator<void, Converted> {
  const parts: Buffer[] = []
  for (let at = 0, size = 0; (size = nextBatch(records, at, records.length)) > 0; at += size) {
    if (magicOf(records, at) <= toMagic) parts.push(records.subarray(at, at + size))
    else parts.push(yield* downConvertSteps(records, at, size, toMagic, fetchOffset))
    yield
  }
  const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
  return { bytes: bytes.length === 0 ? undefined : bytes }
}

interface Converted {
  readonly bytes: Buffer | undefined
}

/** undefined: not done within its time. */
function runSteps(steps: Generator<void, Converted>, clock: Pick<Clock, 'now'>): Converted | undefined {
  const deadline = clock.now() + SLICE_MS
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
    if (clock.now() >= deadline) return undefined
  }
}

async function runOn(steps: Generator<void, Converted>, clock: Pick<Clock, 'now' | 'soon'>): Promise<Buffer | undefined> {
  for (;;) {
    await new Promise<void>((resolve) => clock.soon(resolve))
    const done = runSteps(steps, clock)
    if (done) return done.bytes
  }
}
