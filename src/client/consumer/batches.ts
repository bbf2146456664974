/** Records as poll hands them out: an index over the bytes that came, and views made when somebody looks. */
import { readVarint } from '../../base/varint.ts'
import { RecordCursor, type RecordHeader } from '../../protocol/records/index.ts'
import { IllegalStateException, KafkaException, SerializationException } from '../errors.ts'
import type { RecordSetReader } from '../record-reader.ts'
import type { Deserializer } from '../serialization.ts'
import type { ConsumerRecord, ConsumerRecords, RawVisitor, RecordBatch } from './types.ts'

type TimestampType = ConsumerRecord['timestampType']

/** Per record: positions and lengths of key and value, position and end of the headers (-1: none). */
const INTS = 6
/** Per record: offset, timestamp. */
const DOUBLES = 2
const LEAST_CAPACITY = 16
const NO_HEADERS: readonly RecordHeader[] = []

/** Records from `from` on lie in this buffer: what came, or what was in a compressed batch. */
interface Segment {
  readonly from: number
  readonly buffer: Buffer
  readonly timestampType: TimestampType
}

export interface Deserializers<K, V> {
  readonly key: Deserializer<K> | null
  readonly value: Deserializer<V> | null
}

/** How a batch was read so far. */
type Reading = 'not yet' | 'raw' | 'as records' | 'retired'

export class IndexedBatch<K, V> implements RecordBatch<K, V> {
  readonly topic: string
  readonly partition: number
  count = 0
  firstOffset = -1
  nextOffset = -1
  readonly highWatermark: number
  /** Bytes of keys and values. */
  bytes = 0
  #ints: Int32Array
  #doubles: Float64Array
  #segments: Segment[] = []
  #reading: Reading = 'not yet'
  readonly #deserializers: Deserializers<K, V>

  /** `expected`: about how many records there will be. */
  constructor(topic: string, partition: number, highWatermark: number, deserializers: Deserializers<K, V>, expected: number) {
    this.topic = topic
    this.partition = partition
    this.highWatermark = highWatermark
    this.#deserializers = deserializers
    const capacity = Math.max(LEAST_CAPACITY, expected)
    this.#ints = new Int32Array(capacity * INTS)
    this.#doubles = new Float64Array(capacity * DOUBLES)
  }

  /**
   * Takes at most `max` records. False: the reader is at its end. Throws what the reader throws when there is nothing before it; else
   * that comes with the next call.
   */
  fill(reader: RecordSetReader, max: number): boolean {
    let buffer: Buffer | undefined
    let timestampType: TimestampType | undefined
    while (this.count < max) {
      let more: boolean
      try {
        more = reader.next()
      } catch (error) {
        if (this.count === 0) throw error
        return true
      }
      if (!more) return false
      const { record } = reader
      if (record.buffer !== buffer || reader.timestampType !== timestampType) {
        buffer = record.buffer
        timestampType = reader.timestampType
        this.#segments.push({ from: this.count, buffer, timestampType })
      }
      this.#add(record)
    }
    return true
  }

  #add(record: RecordCursor): void {
    const at = this.count * INTS
    if (at === this.#ints.length) this.#grow()
    const ints = this.#ints
    ints[at] = record.keyPosition
    ints[at + 1] = record.keyLength
    ints[at + 2] = record.valuePosition
    ints[at + 3] = record.valueLength
    ints[at + 4] = record.headerCount === 0 ? -1 : record.headersPosition
    ints[at + 5] = record.recordEnd
    this.#doubles[this.count * DOUBLES] = record.offset
    this.#doubles[this.count * DOUBLES + 1] = record.timestamp
    this.bytes += (record.keyLength > 0 ? record.keyLength : 0) + (record.valueLength > 0 ? record.valueLength : 0)
    if (this.count === 0) this.firstOffset = record.offset
    this.count++
  }

  #grow(): void {
    const ints = new Int32Array(this.#ints.length * 2)
    ints.set(this.#ints)
    this.#ints = ints
    const doubles = new Float64Array(this.#doubles.length * 2)
    doubles.set(this.#doubles)
    this.#doubles = doubles
  }

  /** True when nobody can hold a view of its bytes: it was read raw, and cannot be read any more. */
  retire(): boolean {
    if (this.#reading !== 'raw') return false
    this.#reading = 'retired'
    this.#segments = []
    return true
  }

  #read(how: 'raw' | 'as records'): void {
    if (this.#reading === 'retired')
      throw new IllegalStateException('A batch that was read with forEachRaw cannot be read again after the next poll.')
    if (this.#reading !== 'as records') this.#reading = how
  }

  forEachRaw(visit: RawVisitor): void {
    this.#read('raw')
    const ints = this.#ints
    const doubles = this.#doubles
    for (const [nth, { from, buffer }] of this.#segments.entries()) {
      const end = this.#segments[nth + 1]?.from ?? this.count
      for (let i = from; i < end; i++) {
        const at = i * INTS
        const keyLength = ints[at + 1]!
        const valueLength = ints[at + 3]!
        const key = keyLength < 0 ? -1 : ints[at]!
        const value = valueLength < 0 ? -1 : ints[at + 2]!
        visit(
          buffer,
          key,
          keyLength < 0 ? -1 : key + keyLength,
          value,
          valueLength < 0 ? -1 : value + valueLength,
          doubles[i * DOUBLES]!,
          doubles[i * DOUBLES + 1]!,
        )
      }
    }
  }

  [Symbol.iterator](): Iterator<ConsumerRecord<K, V>, void, undefined> {
    this.#read('as records')
    return new BatchIterator(this, this.#segments, this.#ints, this.#doubles, this.#deserializers)
  }
}

/** As a generator would, for a third of its price: one object per record. */
class BatchIterator<K, V> implements Iterator<ConsumerRecord<K, V>, void, undefined> {
  readonly #batch: IndexedBatch<K, V>
  readonly #segments: readonly Segment[]
  readonly #ints: Int32Array
  readonly #doubles: Float64Array
  readonly #deserializers: Deserializers<K, V>
  #next = 0
  #nth = -1
  #end = 0
  #buffer: Buffer | undefined
  #timestampType: TimestampType = 'CreateTime'

  constructor(
    batch: IndexedBatch<K, V>,
    segments: readonly Segment[],
    ints: Int32Array,
    doubles: Float64Array,
    deserializers: Deserializers<K, V>,
  ) {
    this.#batch = batch
    this.#segments = segments
    this.#ints = ints
    this.#doubles = doubles
    this.#deserializers = deserializers
  }

  next(): IteratorResult<ConsumerRecord<K, V>, void> {
    const i = this.#next
    if (i >= this.#end && !this.#nextSegment()) return { done: true, value: undefined }
    this.#next = i + 1
    const doubles = this.#doubles
    const offset = doubles[i * DOUBLES]!
    const timestamp = doubles[i * DOUBLES + 1]!
    const at = i * INTS
    const value = new LazyRecord(
      this.#batch,
      this.#deserializers,
      this.#timestampType,
      offset,
      timestamp,
      this.#buffer!,
      this.#ints,
      at,
    )
    return { done: false, value }
  }

  #nextSegment(): boolean {
    const segment = this.#segments[++this.#nth]
    if (segment === undefined) return false
    this.#end = this.#segments[this.#nth + 1]?.from ?? this.#batch.count
    this.#buffer = segment.buffer
    this.#timestampType = segment.timestampType
    return true
  }
}

class LazyRecord<K, V> implements ConsumerRecord<K, V> {
  readonly offset: number
  readonly timestamp: number
  readonly timestampType: TimestampType
  readonly #batch: IndexedBatch<K, V>
  readonly #deserializers: Deserializers<K, V>
  readonly #buffer: Buffer
  readonly #ints: Int32Array
  /** Where the record's positions begin in `#ints`. */
  readonly #at: number
  #key: K | undefined
  #value: V | undefined
  #headers: readonly RecordHeader[] | undefined

  constructor(
    batch: IndexedBatch<K, V>,
    deserializers: Deserializers<K, V>,
    timestampType: TimestampType,
    offset: number,
    timestamp: number,
    buffer: Buffer,
    ints: Int32Array,
    at: number,
  ) {
    this.offset = offset
    this.timestamp = timestamp
    this.timestampType = timestampType
    this.#batch = batch
    this.#deserializers = deserializers
    this.#buffer = buffer
    this.#ints = ints
    this.#at = at
  }

  get topic(): string {
    return this.#batch.topic
  }

  get partition(): number {
    return this.#batch.partition
  }

  get key(): K {
    if (this.#key === undefined) this.#key = this.#read(this.#deserializers.key, 0)
    return this.#key
  }

  get value(): V {
    if (this.#value === undefined) this.#value = this.#read(this.#deserializers.value, 2)
    return this.#value
  }

  /** Without a deserializer the type is that of the bytes. */
  #read<T>(deserializer: Deserializer<T> | null, field: 0 | 2): T {
    const position = this.#ints[this.#at + field]!
    const length = this.#ints[this.#at + field + 1]!
    const data = length < 0 ? null : this.#buffer.subarray(position, position + length)
    if (deserializer === null) return data as T
    try {
      return deserializer.deserialize(this.topic, data)
    } catch (error) {
      const where = `${this.topic}-${this.partition} at offset ${this.offset}`
      throw new SerializationException(
        `Error deserializing key/value for partition ${where}. If needed, please seek past the record to continue consumption.`,
        { cause: error },
      )
    }
  }

  get headers(): readonly RecordHeader[] {
    this.#headers ??= this.#readHeaders()
    return this.#headers
  }

  #readHeaders(): readonly RecordHeader[] {
    const position = this.#ints[this.#at + 4]!
    if (position < 0) return NO_HEADERS
    return headersAt(this.#buffer, position, this.#ints[this.#at + 5]!)
  }
}

function headersAt(buffer: Buffer, position: number, end: number): readonly RecordHeader[] {
  const cursor = new RecordCursor()
  cursor.buffer = buffer
  cursor.headersPosition = position
  cursor.recordEnd = end
  cursor.headerCount = readVarint({ buffer, position, end })
  return cursor.headers()
}

export class PolledRecords<K, V> implements ConsumerRecords<K, V> {
  readonly batches: readonly RecordBatch<K, V>[]
  readonly count: number

  constructor(batches: readonly RecordBatch<K, V>[]) {
    this.batches = batches
    this.count = batches.reduce((sum, batch) => sum + batch.count, 0)
  }

  get isEmpty(): boolean {
    return this.count === 0
  }

  *[Symbol.iterator](): Generator<ConsumerRecord<K, V>, void, undefined> {
    for (const batch of this.batches) yield* batch
  }
}

/** What went wrong below somebody's call, as the exception that Kafka has for it. */
export function asKafkaException(error: unknown): KafkaException {
  return error instanceof KafkaException ? error : new KafkaException(String(error), { cause: error })
}
