/** Where the console consumer's records come from. */
import { type Consumer, type ConsumerRecord, WakeupException } from '../../client/index.ts'
import { ToolError } from '../tool.ts'
import { EARLIEST, LATEST } from './consumer-config.ts'

/** A timer cannot be longer. */
const LONGEST_WAIT_MS = 2 ** 31 - 1

export interface MessageSource {
  /**
   * The records that came, at least one; undefined after `stop`. Rejects with what ends the tool: ConsumerTimeoutException, or an error of
   * the client.
   */
  receive(): Promise<Iterator<ConsumerRecord> | undefined>
  /** Ends the waiting. */
  stop(): void
  /** Commits what was taken from the iterators, and leaves. */
  close(): Promise<void>
}

export function consumerTimeout(): ToolError {
  return new ToolError('kafka.consumer.ConsumerTimeoutException', '')
}

/** One partition, or what the group assigns. */
export function startReading(
  consumer: Consumer,
  {
    topic,
    whitelist,
    partition,
    offset,
  }: {
    readonly topic: string | undefined
    readonly whitelist: string | undefined
    readonly partition: number | undefined
    readonly offset: number
  },
): void {
  if (topic === undefined) consumer.subscribe(javaPattern(whitelist ?? ''))
  else if (partition === undefined) consumer.subscribe([topic])
  else {
    const one = { topic, partition }
    consumer.assign([one])
    if (offset === EARLIEST) consumer.seekToBeginning([one])
    else if (offset === LATEST) consumer.seekToEnd([one])
    else consumer.seek(one, offset)
  }
}

/** Throws `ToolError` as Java's `Pattern.compile`. */
function javaPattern(text: string): RegExp {
  try {
    return new RegExp(`^(?:${text})$`)
  } catch (error) {
    throw new ToolError('java.util.regex.PatternSyntaxException', (error as Error).message)
  }
}

export class NewConsumerSource implements MessageSource {
  readonly #consumer: Consumer
  readonly #timeoutMs: number | undefined
  #rest: Iterator<ConsumerRecord> | undefined

  constructor(consumer: Consumer, timeoutMs: number | undefined) {
    this.#consumer = consumer
    this.#timeoutMs = timeoutMs
  }

  async receive(): Promise<Iterator<ConsumerRecord> | undefined> {
    try {
      for (;;) {
        const records = await this.#consumer.poll(this.#timeoutMs ?? LONGEST_WAIT_MS)
        if (!records.isEmpty) {
          this.#rest = records[Symbol.iterator]()
          return this.#rest
        }
        if (this.#timeoutMs !== undefined) throw consumerTimeout()
      }
    } catch (error) {
      if (error instanceof WakeupException) return undefined
      throw error
    }
  }

  stop(): void {
    this.#consumer.wakeup()
  }

  async close(): Promise<void> {
    this.#putBack()
    await this.#consumer.close()
  }

  /** What nobody has seen is not committed. */
  #putBack(): void {
    const assigned = new Set(this.#consumer.assignment().map(({ topic, partition }) => `${topic}-${partition}`))
    for (let next = this.#rest?.next(); next !== undefined && !next.done; next = this.#rest?.next()) {
      const { topic, partition, offset } = next.value
      if (assigned.delete(`${topic}-${partition}`)) this.#consumer.seek({ topic, partition }, offset)
    }
  }
}
