/** Records as poll hands them out: where they lie in what came, and views made when somebody looks. */
import { viewOf } from '../../base/buffer-view.ts'
import { readVarint } from '../../base/varint.ts'
import {
  afterRecord,
  dataAt,
  keyFieldAt,
  lengthAt,
  offsetAt,
  placeOf,
  RecordCursor,
  type RecordHeader,
  type RecordRun,
  timestampAt,
  valueFieldAt,
  visitRun,
} from '../../protocol/records/index.ts'
import { IllegalStateException, KafkaException, SerializationException } from '../errors.ts'
import type { RecordSetReader } from '../record-reader.ts'
import type { Deserializer } from '../serialization.ts'
import type { ConsumerRecord, ConsumerRecords, RawVisitor, RecordBatch } from './types.ts'

type TimestampType = ConsumerRecord['timestampType']

const NO_HEADERS: readonly RecordHeader[] = []

export interface Deserializers<K, V> {
  readonly key: Deserializer<K> | null
  readonly value: Deserializer<V> | null
}

/** How a batch was read so far. */
type Reading = 'not yet' | 'raw' | 'as records' | 'retired'

/** Consecutive records, with what they have in common. */
class Segment<K, V> {
  readonly run: RecordRun
  readonly buffer: Buffer
  /** Of the buffer, and where it begins there. */
  readonly memory: ArrayBufferLike
  readonly shift: number
  readonly batch: IndexedBatch<K, V>
  readonly timestampType: TimestampType

  constructor(run: RecordRun, batch: IndexedBatch<K, V>, timestampType: TimestampType) {
    this.run = run
    this.buffer = run.buffer
    this.memory = run.buffer.buffer
    this.shift = run.buffer.byteOffset
    this.batch = batch
    this.timestampType = timestampType
  }
}

export class IndexedBatch<K, V> implements RecordBatch<K, V> {
  readonly topic: string
  readonly partition: number
  count = 0
  firstOffset = -1
  nextOffset = -1
  readonly highWatermark: number
  /** Bytes of keys and values. */
  bytes = 0
  readonly deserializers: Deserializers<K, V>
  #segments: Segment<K, V>[] = []
  #reading: Reading = 'not yet'

  constructor(topic: string, partition: number, highWatermark: number, deserializers: Deserializers<K, V>) {
    this.topic = topic
    this.partition = partition
    this.highWatermark = highWatermark
    this.deserializers = deserializers
  }

  /**
   * Takes at most `max` records. False: the reader is at its end. Throws what the reader throws when there is nothing before it; else
   * that comes with the next call.
   */
  fill(reader: RecordSetReader, max: number): boolean {
    while (this.count < max) {
      let run: RecordRun | undefined
      try {
        run = reader.nextRun(max - this.count)
      } catch (error) {
        if (this.count === 0) throw error
        return true
      }
      if (run === undefined) return false
      this.#add(run, reader.timestampType)
    }
    return true
  }

  #add(run: RecordRun, timestampType: TimestampType): void {
    if (this.count === 0) this.firstOffset = run.firstOffset
    this.count += run.count
    this.bytes += run.bytes
    const last = this.#segments.at(-1)
    if (last?.timestampType === timestampType && last.run.absorb(run)) return
    this.#segments.push(new Segment(run, this, timestampType))
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
    for (const { run } of this.#segments) visitRun(run, visit)
  }

  [Symbol.iterator](): Iterator<ConsumerRecord<K, V>, void, undefined> {
    this.#read('as records')
    return new BatchIterator(this.#segments)
  }
}

/** As a generator would, for a third of its price: one object per record. */
class BatchIterator<K, V> implements Iterator<ConsumerRecord<K, V>, void, undefined> {
  readonly #segments: readonly Segment<K, V>[]
  #nth = 0
  #segment: Segment<K, V> | undefined
  /** Where the next record begins, and how many there are from there on in the segment. */
  #next = 0
  #left = 0

  constructor(segments: readonly Segment<K, V>[]) {
    this.#segments = segments
  }

  next(): IteratorResult<ConsumerRecord<K, V>, void> {
    if (this.#left === 0 && !this.#nextSegment()) return { done: true, value: undefined }
    this.#left--
    const segment = this.#segment!
    const start = this.#next
    const place = placeOf(segment.run, start)
    this.#next = afterRecord(segment.run, start, place)
    return { done: false, value: new LazyRecord(segment, place) }
  }

  #nextSegment(): boolean {
    const segment = this.#segments[this.#nth]
    if (segment === undefined) return false
    this.#nth++
    this.#segment = segment
    this.#next = segment.run.start
    this.#left = segment.run.count
    return true
  }
}

/** Small: as many of these are made as there are records. */
class LazyRecord<K, V> implements ConsumerRecord<K, V> {
  readonly #segment: Segment<K, V>
  /** In the run. */
  readonly #place: number
  #key: K | undefined
  #value: V | undefined
  #headers: readonly RecordHeader[] | undefined

  constructor(segment: Segment<K, V>, place: number) {
    this.#segment = segment
    this.#place = place
  }

  get topic(): string {
    return this.#segment.batch.topic
  }

  get partition(): number {
    return this.#segment.batch.partition
  }

  get offset(): number {
    return offsetAt(this.#segment.run, this.#place)
  }

  get timestamp(): number {
    return timestampAt(this.#segment.run, this.#place)
  }

  get timestampType(): TimestampType {
    return this.#segment.timestampType
  }

  get key(): K {
    if (this.#key === undefined) {
      const { run, batch } = this.#segment
      this.#key = this.#read(batch.deserializers.key, keyFieldAt(run, this.#place))
    }
    return this.#key
  }

  get value(): V {
    if (this.#value === undefined) {
      const { run, batch } = this.#segment
      this.#value = this.#read(batch.deserializers.value, valueFieldAt(run, this.#place))
    }
    return this.#value
  }

  /** Without a deserializer the type is that of the bytes. */
  #read<T>(deserializer: Deserializer<T> | null, field: number): T {
    const { run, memory, shift } = this.#segment
    const length = lengthAt(run, field)
    const data = length < 0 ? null : viewOf(memory, shift + dataAt(run, field), length)
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
    const { run, buffer } = this.#segment
    if (run.magic < 2) return NO_HEADERS
    const valueField = valueFieldAt(run, this.#place)
    const position = dataAt(run, valueField) + Math.max(0, lengthAt(run, valueField))
    return buffer[position] === 0 ? NO_HEADERS : headersAt(buffer, position)
  }
}

function headersAt(buffer: Buffer, position: number): readonly RecordHeader[] {
  const cursor = new RecordCursor()
  cursor.buffer = buffer
  cursor.headersPosition = position
  cursor.recordEnd = buffer.length
  cursor.headerCount = readVarint({ buffer, position, end: buffer.length })
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
