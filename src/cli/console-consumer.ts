/** `kafka-console-consumer.sh`: records to standard output, as 1.1's tool prints them. */
import { type ConsumerOptions, createConsumer } from '../client/index.ts'
import { ByteOutput } from './console/byte-output.ts'
import { clientLog } from './console/client-log.ts'
import { type ConsumerSettings, consumerSettings, offsetReset, Refused } from './console/consumer-config.ts'
import { options } from './console/consumer-options.ts'
import { construct, javaTrace } from './console/java-errors.ts'
import { InvalidPropertiesError } from './console/key-values.ts'
import { type MessageSource, NewConsumerSource, startReading } from './console/message-source.ts'
import { openOldConsumer } from './console/old-consumer.ts'
import { endOnSignals } from './console/signals.ts'
import { only, runTool } from './tool.ts'
import { knownOptions, warning } from './tool-clients.ts'

const CATEGORY = 'kafka.tools.ConsoleConsumer$'

function openNewConsumer(settings: ConsumerSettings): MessageSource {
  const { given, properties, timeoutMs } = settings
  const known = knownOptions('consumer', {
    ...properties,
    'auto.offset.reset': offsetReset(settings, 'earliest', 'latest'),
    'bootstrap.servers': only(given, 'bootstrap-server'),
    'key.deserializer': 'org.apache.kafka.common.serialization.ByteArrayDeserializer',
    'value.deserializer': 'org.apache.kafka.common.serialization.ByteArrayDeserializer',
    'isolation.level': given.has('isolation-level') ? only(given, 'isolation-level') : 'read_uncommitted',
  }) as ConsumerOptions
  const consumer = construct('consumer', () => createConsumer(known, { log: clientLog() }))
  startReading(consumer, settings)
  return new NewConsumerSource(consumer, timeoutMs)
}

class Processor {
  readonly #settings: ConsumerSettings
  readonly #source: MessageSource
  readonly #output: ByteOutput
  #count = 0

  constructor(settings: ConsumerSettings, source: MessageSource) {
    this.#settings = settings
    this.#source = source
    this.#output = new ByteOutput(process.stdout, () => source.stop())
  }

  /** Prints until there is enough, or nothing comes any more. Rejects with what the formatter throws. */
  async run(): Promise<void> {
    const { maxMessages } = this.#settings
    while (this.#count < maxMessages) {
      let records: Awaited<ReturnType<MessageSource['receive']>>
      try {
        records = await this.#source.receive()
      } catch (error) {
        log('Error processing message, terminating consumer process: ', error)
        return
      }
      if (records === undefined) break
      try {
        for (let next = records.next(); !next.done; next = records.next()) {
          this.#print(next.value)
          if (this.#output.isFull) await this.#output.flush()
          if (this.#output.isBroken || this.#count >= maxMessages) break
        }
      } finally {
        await this.#output.flush()
      }
      if (this.#output.isBroken) break
    }
    if (this.#output.isBroken) process.stderr.write('Unable to write to standard out, closing consumer.\n')
  }

  #print(record: Parameters<ConsumerSettings['formatter']>[0]): void {
    this.#count++
    try {
      this.#settings.formatter(record, this.#output)
    } catch (error) {
      if (!this.#settings.given.has('skip-message-on-error')) throw error
      log('Error processing message, skipping this message: ', error)
    }
  }

  report(): void {
    process.stderr.write(`Processed a total of ${this.#count} messages\n`)
  }
}

function log(text: string, error: unknown): void {
  process.stderr.write(warning(text, CATEGORY, 'ERROR') + javaTrace(error))
}

/** Answers the exit code. */
async function consume(settings: ConsumerSettings): Promise<number> {
  const source = settings.zookeeper === undefined ? openNewConsumer(settings) : await openOldConsumer(settings)
  const ending = endOnSignals(() => source.stop())
  const processor = new Processor(settings, source)
  try {
    await processor.run()
  } finally {
    await source.close()
    processor.report()
    ending.forget()
  }
  return ending.exitCode ?? 0
}

async function consumeAll(settings: ConsumerSettings): Promise<number> {
  try {
    return await consume(settings)
  } catch (error) {
    if (error instanceof Refused) process.stderr.write(`${error.message}\n`)
    else log('Unknown error when running consumer: ', error)
    return 1
  } finally {
    if (settings.given.has('enable-systest-events')) process.stdout.write('shutdown_complete\n')
  }
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runTool(options, async () => {
    try {
      return await consumeAll(consumerSettings(args))
    } catch (error) {
      if (!(error instanceof InvalidPropertiesError)) throw error
      process.stderr.write(`${error.message}\n`)
      return 1
    }
  })
}
