import { stringHash } from '../../base/murmur2.ts'
import { IllegalArgumentException } from '../errors.ts'
import { arrayHash } from '../partitioning.ts'

/**
 * The absolute value of a key's `hashCode` in Java, as the old producer's default partitioner takes it: text, integers (Integer, or Long beyond
 * 32 bits), booleans; bytes by their content, as `ByteArrayPartitioner`. That of -2^31 counts as 0. Throws IllegalArgumentException for the rest.
 */
export function javaHashCode(key: unknown): number {
  const hash = hashOf(key)
  return hash === -2147483648 ? 0 : Math.abs(hash)
}

function hashOf(key: unknown): number {
  if (typeof key === 'string') return stringHash(key)
  if (key instanceof Uint8Array) return arrayHash(key)
  if (typeof key === 'boolean') return key ? 1231 : 1237
  if (typeof key === 'number' && Number.isSafeInteger(key)) {
    if ((key | 0) === key) return key
    return (key | 0) ^ Math.floor(key / 2 ** 32)
  }
  throw new IllegalArgumentException(
    `a key of type ${typeof key} has no hash code of Java's: give text, bytes, an integer or a boolean, or set partitioner.class`,
  )
}
