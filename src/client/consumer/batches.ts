/** Records as poll hands them out: an index over the bytes that came, and views made when somebody looks. */
import { viewOf } from '../../base/buffer-view.ts'
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
    return new BatchIterator(
      this.#segments.map((segment) => this.#sourceOf(segment)),
      this.count,
    )
  }

  #sourceOf({ from, buffer, timestampType }: Segment): Source<K, V> {
    return {
      from,
      batch: this,
      deserializers: this.#deserializers,
      timestampType,
      buffer,
      memory: buffer.buffer,
      start: buffer.byteOffset,
      ints: this.#ints,
      doubles: this.#doubles,
    }
  }
}

/** What the records of a segment have in common. */
interface Source<K, V> {
  readonly from: number
  readonly batch: IndexedBatch<K, V>
  readonly deserializers: Deserializers<K, V>
  readonly timestampType: TimestampType
  readonly buffer: Buffer
  /** Of the buffer, and where it begins there. */
  readonly memory: ArrayBufferLike
  readonly start: number
  readonly ints: Int32Array
  readonly doubles: Float64Array
}

/** As a generator would, for a third of its price: one object per record. */
class BatchIterator<K, V> implements Iterator<ConsumerRecord<K, V>, void, undefined> {
  readonly #sources: readonly Source<K, V>[]
  readonly #count: number
  #next = 0
  #nth = -1
  #end = 0
  #source: Source<K, V> | undefined

  constructor(sources: readonly Source<K, V>[], count: number) {
    this.#sources = sources
    this.#count = count
  }

  next(): IteratorResult<ConsumerRecord<K, V>, void> {
    const i = this.#next
    if (i >= this.#end && !this.#nextSource()) return { done: true, value: undefined }
    this.#next = i + 1
    return { done: false, value: new LazyRecord(this.#source!, i) }
  }

  #nextSource(): boolean {
    const source = this.#sources[++this.#nth]
    if (source === undefined) return false
    this.#end = this.#sources[this.#nth + 1]?.from ?? this.#count
    this.#source = source
    return true
  }
}

/** Small: as many of these are made as there are records. */
class LazyRecord<K, V> implements ConsumerRecord<K, V> {
  readonly #source: Source<K, V>
  /** Its place in the batch. */
  readonly #at: number
  #key: K | undefined
  #value: V | undefined
  #headers: readonly RecordHeader[] | undefined

  constructor(source: Source<K, V>, at: number) {
    this.#source = source
    this.#at = at
  }

  get topic(): string {
    return this.#source.batch.topic
  }

  get partition(): number {
    return this.#source.batch.partition
  }

  get offset(): number {
    return this.#source.doubles[this.#at * DOUBLES]!
  }

  get timestamp(): number {
    return this.#source.doubles[this.#at * DOUBLES + 1]!
  }

  get timestampType(): TimestampType {
    return this.#source.timestampType
  }

  get key(): K {
    if (this.#key === undefined) this.#key = this.#read(this.#source.deserializers.key, 0)
    return this.#key
  }

  get value(): V {
    if (this.#value === undefined) this.#value = this.#read(this.#source.deserializers.value, 2)
    return this.#value
  }

  /** Without a deserializer the type is that of the bytes. */
  #read<T>(deserializer: Deserializer<T> | null, field: 0 | 2): T {
    const { ints, memory, start } = this.#source
    const at = this.#at * INTS + field
    const length = ints[at + 1]!
    const data = length < 0 ? null : viewOf(memory, start + ints[at]!, length)
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
    const { ints, buffer } = this.#source
    const position = ints[this.#at * INTS + 4]!
    if (position < 0) return NO_HEADERS
    return headersAt(buffer, position, ints[this.#at * INTS + 5]!)
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

  [Symbol.iterator](): Iterator<ConsumerRecord<K, V>, void, undefined> {
    return new PolledIterator(this.batches)
  }
}

class PolledIterator<K, V> implements Iterator<ConsumerRecord<K, V>, void, undefined> {
  readonly #batches: readonly RecordBatch<K, V>[]
  #nth = 0
  #records: Iterator<ConsumerRecord<K, V>, void, undefined> | undefined

  constructor(batches: readonly RecordBatch<K, V>[]) {
    this.#batches = batches
  }

  next(): IteratorResult<ConsumerRecord<K, V>, void> {
    for (;;) {
      this.#records ??= this.#batches[this.#nth]?.[Symbol.iterator]()
      if (this.#records === undefined) return { done: true, value: undefined }
      const result = this.#records.next()
      if (result.done !== true) return result
      this.#records = undefined
      this.#nth++
    }
  }
}

/** What went wrong below somebody's call, as the exception that Kafka has for it. */
export function asKafkaException(error: unknown): KafkaException {
  return error instanceof KafkaException ? error : new KafkaException(String(error), { cause: error })
}
