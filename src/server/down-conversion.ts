import type { RecordsSource } from '../base/bytes.ts'
import { nextSlice } from '../base/loop-slice.ts'
import type { Clock } from '../ports/clock.ts'
import {
  downConvertSteps,
  lastOffset,
  magicOf,
  needsDownConversion,
  nextBatch,
  recordsCount,
  type Steps,
} from '../protocol/records/index.ts'

/** Newest message format that a reader of a Fetch version knows. */
export function magicForFetch(apiVersion: number): 0 | 1 | 2 {
  if (apiVersion <= 1) return 0
  return apiVersion <= 3 ? 1 : 2
}

/** Messages in a record set that was read from `fetchOffset` on. Old compressed sets count the offsets that they reach beyond what is before. */
export function messagesIn(records: Buffer, fetchOffset: number): number {
  let messages = 0
  let reached = fetchOffset - 1
  for (let at = 0, size = 0; (size = nextBatch(records, at, records.length)) > 0; at += size) {
    const last = lastOffset(records, at)
    if (magicOf(records, at) >= 2) messages += recordsCount(records, at)
    else messages += last - reached
    reached = last
  }
  return messages
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
): RecordsSource | undefined | Promise<RecordsSource | undefined> {
  if (!needsDownConversion(records, toMagic)) return undefined
  const steps = conversion(records, toMagic, fetchOffset)
  const turn = takeTurn(steps, clock)
  return 'converted' in turn ? turn.converted : goOn(steps, clock, turn)
}

/** Pauses within big batches and after every one; returns the converted record set. */
function* conversion(records: Buffer, toMagic: 0 | 1 | 2, fetchOffset: number): Steps<Parts> {
  const parts = new Parts()
  for (let at = 0, size = 0; (size = nextBatch(records, at, records.length)) > 0; at += size) {
    if (magicOf(records, at) <= toMagic) parts.add(records.subarray(at, at + size))
    else parts.add(yield* downConvertSteps(records, at, size, toMagic, fetchOffset))
    yield
  }
  return parts
}

/** Put together only in the outgoing buffer. */
class Parts implements RecordsSource {
  size = 0
  readonly #parts: Buffer[] = []

  add(part: Buffer): void {
    this.#parts.push(part)
    this.size += part.length
  }

  copyTo(target: Buffer, offset: number): void {
    let at = offset
    for (const part of this.#parts) at += part.copy(target, at)
  }
}

/** What became of a turn: done, or what another thread does meanwhile (undefined: the time was over). */
type Turn = { readonly converted: RecordsSource | undefined } | { readonly elsewhere: Promise<Buffer> | undefined }

/** `result` is what the other thread made of the last turn. */
function takeTurn(steps: Steps<Parts>, clock: Pick<Clock, 'now'>, result?: Buffer): Turn {
  const deadline = clock.now() + SLICE_MS
  for (let given = result; ; given = undefined) {
    const step = steps.next(given)
    if (step.done === true) return { converted: step.value.size === 0 ? undefined : step.value }
    if (step.value !== undefined) return { elsewhere: step.value }
    if (clock.now() >= deadline) return { elsewhere: undefined }
  }
}

async function goOn(steps: Steps<Parts>, clock: Pick<Clock, 'now' | 'soon'>, first: Turn): Promise<RecordsSource | undefined> {
  let turn = first
  while ('elsewhere' in turn) {
    const result = await turn.elsewhere
    await new Promise<void>((resolve) => nextSlice(clock, resolve))
    turn = takeTurn(steps, clock, result)
  }
  return turn.converted
}
