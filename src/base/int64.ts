/**
 * int64 in JavaScript numbers. An int64 is a plain `number` when it is exact, that is within +-(2^53 - 1), and for the two extremes that
 * protocols use as sentinels: `INT64_MAX` (2^63 - 1, carried as the double 2^63) and `INT64_MIN` (-2^63). Every other value is
 * carried as a `WideInt64`, a boxed number that knows its exact value: it compares correctly with numbers, prints and encodes
 * exactly, and fails `Number.isSafeInteger`. Arithmetic on it gives a plain number that is not exact, which the writer refuses.
 * So no wrong number is ever sent or stored, and the common path never sees a BigInt.
 */

/** A value that its field cannot carry: a bug of the caller, or arithmetic on an int64 beyond the exact range. */
export class EncodeError extends Error {
  override readonly name = 'EncodeError'
}

const TWO_32 = 4294967296
/** First high word beyond the exact range; exact is -SAFE_HIGH <= high < SAFE_HIGH, except -2^53 itself. */
const SAFE_HIGH = 0x200000

/** int64 2^63 - 1 as the codec carries it. */
export const INT64_MAX = 2 ** 63
/** int64 -2^63. */
export const INT64_MIN = -(2 ** 63)

const BIG_MAX = 2n ** 63n - 1n
const BIG_MIN = -(2n ** 63n)

/** An int64 beyond +-(2^53 - 1) that is no sentinel. Typed as `number` where it is decoded; see the file comment. */
export class WideInt64 extends Number {
  readonly exact: bigint

  constructor(exact: bigint) {
    super(Number(exact))
    this.exact = exact
  }

  override toString(): string {
    return this.exact.toString()
  }
}

/** The carrier of an exact value; values beyond 64 bits wrap, as in two's complement. */
export function int64FromBigInt(value: bigint): number {
  const wrapped = BigInt.asIntN(64, value)
  if (wrapped === BIG_MAX) return INT64_MAX
  const approximate = Number(wrapped)
  if (wrapped === BIG_MIN || Number.isSafeInteger(approximate)) return approximate
  return new WideInt64(wrapped) as unknown as number
}

/** The exact value of a carrier. Throws `EncodeError` for a number that is not exact. */
export function int64ToBigInt(value: number): bigint {
  if (Number.isSafeInteger(value) || value === INT64_MIN) return BigInt(value)
  if (value === INT64_MAX) return BIG_MAX
  if ((value as unknown) instanceof WideInt64) return (value as unknown as WideInt64).exact
  throw new EncodeError(`not an exact int64: ${value}`)
}

/** a + b with 64-bit wrap-around; BigInt only beyond the exact range. */
export function int64Add(a: number, b: number): number {
  const sum = a + b
  if (Number.isSafeInteger(sum) && Number.isSafeInteger(a) && Number.isSafeInteger(b)) return sum
  return int64FromBigInt(int64ToBigInt(a) + int64ToBigInt(b))
}

/** a - b with 64-bit wrap-around; BigInt only beyond the exact range. */
export function int64Subtract(a: number, b: number): number {
  const difference = a - b
  if (Number.isSafeInteger(difference) && Number.isSafeInteger(a) && Number.isSafeInteger(b)) return difference
  return int64FromBigInt(int64ToBigInt(a) - int64ToBigInt(b))
}

/** Exact equality of two carriers. */
export function int64Equals(a: number, b: number): boolean {
  return a === b || (typeof a === 'object' && typeof b === 'object' && int64ToBigInt(a) === int64ToBigInt(b))
}

/** Exact order of two carriers: negative, 0 or positive. */
export function int64Compare(a: number, b: number): number {
  if (Number.isSafeInteger(a) || Number.isSafeInteger(b)) return a < b ? -1 : a > b ? 1 : 0
  const left = int64ToBigInt(a)
  const right = int64ToBigInt(b)
  return left < right ? -1 : left > right ? 1 : 0
}

function wideAt(buffer: Uint8Array, position: number, high: number, low: number): number {
  if (high === -SAFE_HIGH && low > 0) return high * TWO_32 + low
  let value = 0n
  for (let i = 0; i < 8; i++) value = (value << 8n) | BigInt(buffer[position + i]!)
  return int64FromBigInt(value)
}

/** int32 at `position`; the caller has checked the bounds. */
export function getInt32(buffer: Uint8Array, position: number): number {
  return (buffer[position]! << 24) | (buffer[position + 1]! << 16) | (buffer[position + 2]! << 8) | buffer[position + 3]!
}

/** int16 at `position`; the caller has checked the bounds. */
export function getInt16(buffer: Uint8Array, position: number): number {
  return ((buffer[position]! << 24) >> 16) | buffer[position + 1]!
}

/** uint32 at `position`; the caller has checked the bounds. */
export function getUint32(buffer: Uint8Array, position: number): number {
  return getInt32(buffer, position) >>> 0
}

/** int64 carrier at `position`; the caller has checked the bounds. */
export function getInt64(buffer: Uint8Array, position: number): number {
  const high = getInt32(buffer, position)
  const low = getInt32(buffer, position + 4) >>> 0
  if (high < SAFE_HIGH && high > -SAFE_HIGH) return high * TWO_32 + low
  return wideAt(buffer, position, high, low)
}

export function putInt32(buffer: Uint8Array, position: number, value: number): void {
  buffer[position] = value >>> 24
  buffer[position + 1] = value >>> 16
  buffer[position + 2] = value >>> 8
  buffer[position + 3] = value
}

export function putInt16(buffer: Uint8Array, position: number, value: number): void {
  buffer[position] = value >>> 8
  buffer[position + 1] = value
}

/** Writes an int64 carrier. Throws `EncodeError` for a number that is not exact. */
export function putInt64(buffer: Uint8Array, position: number, value: number): void {
  if (Number.isSafeInteger(value)) {
    const high = Math.floor(value / TWO_32)
    putInt32(buffer, position, high)
    putInt32(buffer, position + 4, value - high * TWO_32)
    return
  }
  const exact = BigInt.asUintN(64, int64ToBigInt(value))
  putInt32(buffer, position, Number(exact >> 32n))
  putInt32(buffer, position + 4, Number(exact & 0xffffffffn))
}
