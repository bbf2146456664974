/** Keys and values to bytes and back. Text is written as UTF-8 straight into the batch, so strings need no serializer of their own. */
import { getInt16, getInt32, getInt64, putInt16, putInt32, putInt64 } from '../base/bytes.ts'
import { hasMethods } from './config/object-checks.ts'
import { ConfigException, SerializationException } from './errors.ts'
import type { Partitioner } from './partitioning.ts'
import { LegacyPartitioner } from './partitioning.ts'

/** What goes into a record. Text is UTF-8. */
export type Bytes = Uint8Array | string | null

export interface Serializer<T> {
  /** Null stays null on the wire. Throws to refuse the record. */
  serialize(topic: string, data: T): Bytes
  close?(): void
}

export interface Deserializer<T> {
  /** `data` is a view that stays valid as long as it is referenced. Throws to refuse the record. */
  deserialize(topic: string, data: Buffer | null): T
  close?(): void
}

/** Without a serializer: what is bytes already goes as it is. */
export function bytesOf(data: unknown, what: 'key' | 'value'): Bytes {
  if (data === null || typeof data === 'string') return data
  if (data === undefined) return null
  // Who has looked at its length knows what it is: the prototypes are not walked then.
  if ((data as { length?: unknown }).length !== undefined && data instanceof Uint8Array) return data
  throw new SerializationException(
    `Can't convert ${what} of type ${typeof data} to bytes: give bytes, a string or null, or set ${what}.serializer`,
  )
}

interface Serde<T> {
  readonly serializer: Serializer<T>
  readonly deserializer: Deserializer<T>
}

/** Numbers of a fixed size, big-endian as Java writes them. */
function fixed(
  size: number,
  put: (buffer: Buffer, value: number) => void,
  get: (buffer: Buffer) => number,
): Serde<number | null> {
  return {
    serializer: {
      serialize(_topic, data) {
        if (data === null || data === undefined) return null
        const buffer = Buffer.allocUnsafe(size)
        put(buffer, data)
        return buffer
      },
    },
    deserializer: {
      deserialize(_topic, data) {
        if (data === null) return null
        if (data.length !== size) throw new SerializationException(`Size of data received is ${data.length}, not ${size}`)
        return get(data)
      },
    },
  }
}

const bytes: Serde<Bytes> = {
  serializer: { serialize: (_topic, data) => data },
  deserializer: { deserialize: (_topic, data) => data },
}

const serdes = {
  String: {
    serializer: { serialize: (_topic, data) => data },
    deserializer: { deserialize: (_topic, data) => (data === null ? null : data.toString('utf8')) },
  } satisfies Serde<string | null>,
  ByteArray: bytes,
  Bytes: bytes,
  ByteBuffer: bytes,
  Short: fixed(
    2,
    (buffer, value) => putInt16(buffer, 0, value),
    (buffer) => getInt16(buffer, 0),
  ),
  Integer: fixed(
    4,
    (buffer, value) => putInt32(buffer, 0, value),
    (buffer) => getInt32(buffer, 0),
  ),
  Long: fixed(
    8,
    (buffer, value) => putInt64(buffer, 0, value),
    (buffer) => getInt64(buffer, 0),
  ),
  Float: fixed(
    4,
    (buffer, value) => void buffer.writeFloatBE(value, 0),
    (buffer) => buffer.readFloatBE(0),
  ),
  Double: fixed(
    8,
    (buffer, value) => void buffer.writeDoubleBE(value, 0),
    (buffer) => buffer.readDoubleBE(0),
  ),
}

type SerdeName = keyof typeof serdes

/** `org.apache.kafka.common.serialization.LongSerializer`, `LongSerializer` and `Long` are the same. */
function serdeNamed(name: string, suffix: 'Serializer' | 'Deserializer'): Serde<never> | undefined {
  const simple = name.slice(name.lastIndexOf('.') + 1)
  const short = simple.endsWith(suffix) ? simple.slice(0, -suffix.length) : simple
  return Object.hasOwn(serdes, short) ? (serdes[short as SerdeName] as unknown as Serde<never>) : undefined
}

/** The value of key.serializer or value.serializer to what is called; null: none, `bytesOf` is used. */
export function serializerOf(given: Serializer<never> | string | null): Serializer<never> | null {
  if (typeof given !== 'string') return given
  const serde = serdeNamed(given, 'Serializer')
  if (serde === undefined) throw new ConfigException(`Class ${given} could not be found.`)
  return serde.serializer
}

export function deserializerOf(given: Deserializer<unknown> | string | null): Deserializer<unknown> | null {
  if (typeof given !== 'string') return given
  const serde = serdeNamed(given, 'Deserializer')
  if (serde === undefined) throw new ConfigException(`Class ${given} could not be found.`)
  return serde.deserializer
}

const known = Object.keys(serdes).join(', ')

export function serializerFault(value: unknown): string | undefined {
  if (typeof value === 'string')
    return serdeNamed(value, 'Serializer') ? undefined : `no such serializer; known by name are those of ${known}`
  return hasMethods(value, 'serialize') ? undefined : 'not an object with a serialize method'
}

export function deserializerFault(value: unknown): string | undefined {
  if (typeof value === 'string')
    return serdeNamed(value, 'Deserializer') ? undefined : `no such deserializer; known by name are those of ${known}`
  return hasMethods(value, 'deserialize') ? undefined : 'not an object with a deserialize method'
}

const LEGACY_NAMES = ['kafka.producer.DefaultPartitioner', 'kafka.producer.ByteArrayPartitioner', 'legacy']
const DEFAULT_NAMES = ['org.apache.kafka.clients.producer.internals.DefaultPartitioner', 'DefaultPartitioner', 'default']

export function partitionerFault(value: unknown): string | undefined {
  if (typeof value === 'string')
    return [...LEGACY_NAMES, ...DEFAULT_NAMES].includes(value)
      ? undefined
      : 'no such partitioner; known by name are default and legacy'
  return hasMethods(value, 'partition') ? undefined : 'not an object with a partition method'
}

/** The value of partitioner.class to a partitioner; null: the default one, which the producer calls with its own scratch memory. */
export function partitionerOf(given: Partitioner | string | null, random: () => number): Partitioner | null {
  if (typeof given !== 'string') return given
  return LEGACY_NAMES.includes(given) ? new LegacyPartitioner(random) : null
}
