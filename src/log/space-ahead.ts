import type { Clock } from '../ports/clock.ts'
import type { LogSegment } from './segment.ts'

/** Set aside at a time. */
export const STEP_BYTES = 4 * 1024 * 1024
/** Who writes a step within this time gets the next one. */
export const FAST_MS = 1000

/**
 * Has the file system set space aside for the active segment of a log that is written fast: the next 4 MiB, so all logs together hold no more than
 * what was written in a second or two. What is left of it goes back when the segment is rolled or closed, and when the log rests (else 4 MiB would
 * stay with every log that was ever busy). The size of the file is not touched by it.
 */
export class SpaceAhead {
  readonly #clock: Clock
  /** The segment, by base offset. */
  #segment = -1
  /** Bytes of the largest write so far. */
  #largest = 0
  /** Appends up to this size of the segment need no look. */
  #mark = 0
  /** When the last look was; monotonic milliseconds. */
  #since = Number.NEGATIVE_INFINITY
  #isFast = false
  /** The segment may have more than it uses. */
  #holds = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Before `bytes` are written that the segment's size counts already. `segmentBytes`: a segment gets no larger. */
  prepare(segment: LogSegment, bytes: number, segmentBytes: number): void {
    if (bytes > this.#largest) this.#largest = bytes
    if (segment.size > this.#mark || segment.baseOffset !== this.#segment) this.#look(segment, segmentBytes)
  }

  #look(segment: LogSegment, segmentBytes: number): void {
    const now = this.#clock.now()
    const isSame = segment.baseOffset === this.#segment
    // The step was written meanwhile; a new segment goes on as the one before.
    this.#isFast = (isSame || this.#isFast) && now - this.#since <= FAST_MS
    this.#since = now
    this.#segment = segment.baseOffset
    this.#mark = segment.size + STEP_BYTES
    // What the last write of a segment has no room for would have to be given back, which can take milliseconds (10, where freed blocks are discarded).
    this.#holds = this.#isFast && segment.reserve(Math.min(this.#mark, segmentBytes - this.#largest))
  }

  /** To be called now and then: what a log that is still written fast was given is used up by now; another's goes back. */
  rest(segment: LogSegment): void {
    if (!this.#holds || this.#clock.now() - this.#since <= FAST_MS) return
    this.#holds = false
    segment.giveBack()
  }
}
