import { assert } from '../base/assert.ts'
import type { LogSegment } from './segment.ts'

/** Segments of one log, ascending by base offset. Mostly asked for the last one, so that is looked at first. */
export class SegmentList {
  readonly #segments: LogSegment[] = []

  get length(): number {
    return this.#segments.length
  }

  /** The one that is appended to. */
  get active(): LogSegment {
    const last = this.#segments.at(-1)
    assert(last !== undefined, 'a log without segments')
    return last
  }

  get first(): LogSegment {
    const first = this.#segments[0]
    assert(first !== undefined, 'a log without segments')
    return first
  }

  at(index: number): LogSegment | undefined {
    return this.#segments[index]
  }

  [Symbol.iterator](): IterableIterator<LogSegment> {
    return this.#segments[Symbol.iterator]()
  }

  /** Index of the last segment that begins at or below `offset`, -1 when all begin above it. */
  floorIndex(offset: number): number {
    const segments = this.#segments
    const last = segments.length - 1
    if (last >= 0 && segments[last]!.baseOffset <= offset) return last
    let [low, high] = [0, segments.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      if (segments[middle]!.baseOffset <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** Segments that may hold offsets of [from, to): from the floor of `from`, or the first one when there is no floor. */
  between(from: number, to: number): LogSegment[] {
    const start = Math.max(0, this.floorIndex(from))
    const result: LogSegment[] = []
    for (let i = start; i < this.#segments.length && this.#segments[i]!.baseOffset < to; i++) result.push(this.#segments[i]!)
    return result
  }

  /** The segment before the one that begins at or above `offset`. */
  lower(offset: number): LogSegment | undefined {
    return this.#segments[this.floorIndex(offset - 1)]
  }

  add(segment: LogSegment): void {
    const at = this.floorIndex(segment.baseOffset) + 1
    assert(this.#segments[at - 1]?.baseOffset !== segment.baseOffset, `two segments begin at ${segment.baseOffset}`)
    this.#segments.splice(at, 0, segment)
  }

  remove(segment: LogSegment): void {
    const at = this.#segments.indexOf(segment)
    if (at >= 0) this.#segments.splice(at, 1)
  }
}
