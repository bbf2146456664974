/** Values from 0.001 on, in steps of 10 percent; with milliseconds that is a microsecond to eleven days. */
const SMALLEST = 0.001
const GROWTH = Math.log(1.1)
const BUCKETS = 220
/** Values below this many multiples of the smallest one find their bucket without a logarithm: up to four milliseconds. */
const TABLE_SIZE = 4096
/** Quantiles are those of the last five to ten minutes. */
const WINDOW_MS = 5 * 60 * 1000
/** Of a histogram that was never told anything but zeros: a broker has hundreds of those. */
const NOTHING = new Uint32Array(BUCKETS)

/** A distribution: count and sum of everything, quantiles (within 5 percent) and the largest value of the recent past. */
export class Histogram {
  count = 0
  sum = 0
  /** Memory of their own from the first value on that is not 0. */
  #recent = NOTHING
  #before = NOTHING
  /** Zeros, which belong to the first bucket. */
  #recentZeros = 0
  #zerosBefore = 0
  #recentMax = 0
  #maxBefore = 0
  #rotatedAt = Number.NEGATIVE_INFINITY

  /** `now`: milliseconds of a clock that never steps back. */
  record(value: number, now: number): void {
    if (now - this.#rotatedAt >= WINDOW_MS) this.#rotate(now)
    this.count++
    this.sum += value
    if (value > this.#recentMax) this.#recentMax = value
    if (this.#recent === NOTHING) this.#recent = new Uint32Array(BUCKETS)
    this.#recent[bucketOf(value)]!++
  }

  /** The same for a value of 0, which costs no more than to count it, and no memory. */
  recordZero(now: number): void {
    if (now - this.#rotatedAt >= WINDOW_MS) this.#rotate(now)
    this.count++
    this.#recentZeros++
  }

  max(now: number): number {
    if (this.count === 0) return 0
    this.#rotate(now)
    return Math.max(this.#recentMax, this.#maxBefore)
  }

  /** Value below which the share `quantile` (0 to 1) of the recent values lies; 0 when there are none. */
  quantile(quantile: number, now: number): number {
    if (this.count === 0) return 0
    this.#rotate(now)
    const zeros = this.#recentZeros + this.#zerosBefore
    let total = zeros
    for (let i = 0; i < BUCKETS; i++) total += this.#recent[i]! + this.#before[i]!
    if (total === 0) return 0
    let left = quantile * total - zeros
    if (left <= 0) return Math.min(middleOf(0), this.max(now))
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.#recent[i]! + this.#before[i]!
      if (left <= 0) return Math.min(middleOf(i), this.max(now))
    }
    return this.max(now)
  }

  #rotate(now: number): void {
    const age = now - this.#rotatedAt
    if (age < WINDOW_MS) return
    const oldest = this.#before
    this.#before = this.#recent
    this.#zerosBefore = this.#recentZeros
    this.#maxBefore = this.#recentMax
    if (age >= 2 * WINDOW_MS) {
      if (this.#before !== NOTHING) this.#before.fill(0)
      this.#zerosBefore = 0
      this.#maxBefore = 0
    }
    this.#recent = oldest === NOTHING ? NOTHING : oldest.fill(0)
    this.#recentZeros = 0
    this.#recentMax = 0
    this.#rotatedAt = now
  }
}

const TABLE = Uint8Array.from({ length: TABLE_SIZE }, (_, i) => (i === 0 ? 0 : bucketByLogarithm((i + 0.5) * SMALLEST)))
/** Steps of the table are narrower than the buckets from here on. */
const TABLE_FROM = 32 * SMALLEST

function bucketOf(value: number): number {
  if (value <= SMALLEST) return 0
  const steps = value / SMALLEST
  return value >= TABLE_FROM && steps < TABLE_SIZE ? TABLE[steps | 0]! : bucketByLogarithm(value)
}

function bucketByLogarithm(value: number): number {
  return Math.min(BUCKETS - 1, 1 + Math.floor(Math.log(value / SMALLEST) / GROWTH))
}

function middleOf(bucket: number): number {
  return bucket === 0 ? 0 : SMALLEST * Math.exp((bucket - 0.5) * GROWTH)
}
