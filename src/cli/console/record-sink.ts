/** Where the console producer sends its records. */
import type { Millis } from '../../base/ids.ts'
import type { KafkaException, OldProducer, Producer } from '../../client/index.ts'
import { warning } from '../tool-clients.ts'
import { javaTrace } from './java-errors.ts'
import type { LineRecord } from './line-reader.ts'

export interface RecordSink {
  /** A promise: wait before the next record. It rejects when the record could not be sent and 1.1 ends then. */
  send(record: LineRecord): Promise<void> | undefined
  /** Sends what there is; `timeoutMs`: what is not acknowledged by then has failed. */
  close(timeoutMs?: Millis): Promise<void>
}

/** The new producer: failures are logged, and the tool goes on. */
export class NewProducer implements RecordSink {
  readonly #producer: Producer
  readonly #isSync: boolean

  constructor(producer: Producer, isSync: boolean) {
    this.#producer = producer
    this.#isSync = isSync
  }

  send(record: LineRecord): Promise<void> | undefined {
    if (this.#isSync) return this.#producer.send(record).then(() => {})
    const hasRoom = this.#producer.produce(record, (error) => {
      if (error !== null) logFailure(record, error)
    })
    if (hasRoom) return undefined
    return new Promise((resolve) => {
      const forget = this.#producer.onDrain(() => {
        forget()
        resolve()
      })
    })
  }

  close(timeoutMs?: Millis): Promise<void> {
    return this.#producer.close(timeoutMs)
  }
}

/** The old producer: `sync` failures end the tool, `async` ones the client logs. */
export class ClassicSink implements RecordSink {
  readonly #producer: OldProducer

  constructor(producer: OldProducer) {
    this.#producer = producer
  }

  send({ topic, key, value }: LineRecord): Promise<void> {
    return this.#producer.send({ topic, key, message: value })
  }

  close(): Promise<void> {
    return this.#producer.close()
  }
}

function logFailure({ topic, key, value }: LineRecord, error: KafkaException): void {
  const sizeOf = (text: string | null): string => (text === null ? 'null' : `${Buffer.byteLength(text)} bytes`)
  const text = `Error when sending message to topic ${topic} with key: ${sizeOf(key)}, value: ${sizeOf(value)} with error:`
  const category = 'org.apache.kafka.clients.producer.internals.ErrorLoggingCallback'
  process.stderr.write(warning(text, category, 'ERROR') + javaTrace(error))
}
