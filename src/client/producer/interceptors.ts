import type { Logger } from '../../base/logger.ts'
import type { ProducerInterceptor, ProducerRecord, SendCallback } from './types.ts'

/** The producer's interceptors in their order. What they throw is logged. */
export class Interceptors {
  readonly #all: readonly ProducerInterceptor[]
  readonly #log: Logger

  constructor(all: readonly ProducerInterceptor[], log: Logger) {
    this.#all = all
    this.#log = log
  }

  onSend<K, V>(given: ProducerRecord<K, V>): ProducerRecord<K, V> {
    let record: ProducerRecord<unknown, unknown> = given
    for (const interceptor of this.#all) {
      try {
        record = interceptor.onSend?.(record) ?? record
      } catch (error) {
        this.#log.warn(`Error executing interceptor onSend callback for topic: ${record.topic}`, error)
      }
    }
    return record as ProducerRecord<K, V>
  }

  /** Tells them, then `callback`. */
  acknowledging(topic: string, callback: SendCallback | undefined): SendCallback {
    return (error, partition, offset, timestamp) => {
      for (const interceptor of this.#all) {
        try {
          interceptor.onAcknowledgement?.({ topic, partition, offset, timestamp }, error)
        } catch (thrown) {
          this.#log.warn('Error executing interceptor onAcknowledgement callback', thrown)
        }
      }
      callback?.(error, partition, offset, timestamp)
    }
  }

  close(): void {
    for (const interceptor of this.#all) interceptor.close?.()
  }
}
