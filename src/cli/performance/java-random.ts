/** `java.util.Random`, so that payloads are byte for byte those of the Java tool. 48 bits in two halves of 24. */

const HALF = 2 ** 24
const MULTIPLIER_HIGH = 0x5de
const MULTIPLIER_LOW = 0xece66d
const INCREMENT = 0xb
const MAX_INT = 2 ** 31 - 1

export class JavaRandom {
  #high: number
  #low: number

  /** `seed`: not negative and below 2^24. */
  constructor(seed: number) {
    this.#high = MULTIPLIER_HIGH
    this.#low = (MULTIPLIER_LOW ^ seed) >>> 0
  }

  /** The upper 31 of the next 48 bits. */
  #next31(): number {
    const low = this.#low * MULTIPLIER_LOW + INCREMENT
    const high = this.#high * MULTIPLIER_LOW + this.#low * MULTIPLIER_HIGH + Math.floor(low / HALF)
    this.#low = low % HALF
    this.#high = high % HALF
    return this.#high * 2 ** 7 + (this.#low >>> 17)
  }

  /** Uniform in [0, bound). `bound` positive, below 2^31. */
  nextInt(bound: number): number {
    const bits = this.#next31()
    if ((bound & (bound - 1)) === 0) return Math.floor((bound * bits) / 2 ** 31)
    for (let candidate = bits; ; candidate = this.#next31()) {
      const value = candidate % bound
      if (candidate - value + (bound - 1) <= MAX_INT) return value
    }
  }
}
