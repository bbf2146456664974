/** `kafka-verifiable-consumer.sh`: consumes a topic and tells of records, commits and rebalances, as 1.1's tool does. */
import type { TopicPartition } from '../base/ids.ts'
import {
  type Consumer,
  type ConsumerConfig,
  type ConsumerRecords,
  createConsumer,
  KafkaException,
  type TopicPartitionOffset,
  WakeupException,
} from '../client/index.ts'
import { ArgumentError, type Arguments, type Program, readProgramProperties, runProgram } from './argparse.ts'
import { clientLog } from './console/client-log.ts'
import { construct, javaTrace } from './console/java-errors.ts'
import { endOnSignals } from './console/signals.ts'
import { printUncaught } from './tool.ts'
import { knownOptions } from './tool-clients.ts'
import { printEvent } from './verifiable/events.ts'

/** One wait for records; then it waits on. */
const POLL_MS = 60_000
const STRING = 'org.apache.kafka.common.serialization.StringDeserializer'

const program: Program = {
  name: 'verifiable-consumer',
  description:
    'This tool consumes messages from a specific topic and emits consumer events (e.g. group rebalances, received messages, and offsets committed) as JSON objects to STDOUT.',
  arguments: [
    {
      flag: '--broker-list',
      metavar: 'HOST1:PORT1[,HOST2:PORT2[...]]',
      required: true,
      help: 'Comma-separated list of Kafka brokers in the form HOST1:PORT1,HOST2:PORT2,...',
    },
    { flag: '--topic', metavar: 'TOPIC', required: true, help: 'Consumes messages from this topic.' },
    {
      flag: '--group-id',
      metavar: 'GROUP_ID',
      required: true,
      help: 'The groupId shared among members of the consumer group',
    },
    {
      flag: '--max-messages',
      metavar: 'MAX-MESSAGES',
      type: 'Integer',
      default: -1,
      help: 'Consume this many messages. If -1 (the default), the consumer will consume until the process is killed externally',
    },
    {
      flag: '--session-timeout',
      metavar: 'TIMEOUT_MS',
      type: 'Integer',
      default: 30_000,
      help: "Set the consumer's session timeout",
    },
    { flag: '--verbose', default: false, help: 'Enable to log individual consumed records' },
    { flag: '--enable-autocommit', default: false, help: 'Enable offset auto-commit on consumer' },
    {
      flag: '--reset-policy',
      metavar: 'RESETPOLICY',
      default: 'earliest',
      help: "Set reset policy (must be either 'earliest', 'latest', or 'none'",
    },
    {
      flag: '--assignment-strategy',
      metavar: 'ASSIGNMENTSTRATEGY',
      default: 'org.apache.kafka.clients.consumer.RangeAssignor',
      help: 'Set assignment strategy (e.g. org.apache.kafka.clients.consumer.RoundRobinAssignor)',
    },
    {
      flag: '--consumer.config',
      metavar: 'CONFIG_FILE',
      help: 'Consumer config properties file (config options shared with command line parameters will be overridden).',
    },
  ],
}

function textOf(given: Arguments, flag: string): string {
  const fallback = program.arguments.find((one) => one.flag === flag)?.default
  return given.get(flag)?.[0] ?? String(fallback ?? '')
}

/** Throws `KafkaException`, `ToolError`. */
function consumerOf(given: Arguments): Consumer<string | null, string | null> {
  const config = given.get('--consumer.config')?.[0]
  return createConsumer(
    {
      ...(config === undefined ? {} : knownOptions('consumer', readProgramProperties(config))),
      'bootstrap.servers': textOf(given, '--broker-list'),
      'group.id': textOf(given, '--group-id'),
      'enable.auto.commit': given.has('--enable-autocommit'),
      // What it cannot be is refused with the name of the key.
      'auto.offset.reset': textOf(given, '--reset-policy') as ConsumerConfig['auto.offset.reset'],
      'session.timeout.ms': Number(textOf(given, '--session-timeout')),
      'partition.assignment.strategy': textOf(given, '--assignment-strategy'),
      'key.deserializer': STRING,
      'value.deserializer': STRING,
    },
    { log: clientLog() },
  )
}

class VerifiableConsumer {
  readonly #consumer: Consumer<string | null, string | null>
  readonly #given: Arguments
  readonly #limit: number
  #consumed = 0
  #isClosing = false

  constructor(consumer: Consumer<string | null, string | null>, given: Arguments) {
    const limit = Number(textOf(given, '--max-messages'))
    this.#consumer = consumer
    this.#given = given
    this.#limit = limit < 0 ? Number.POSITIVE_INFINITY : limit
  }

  /** Until it has enough, or is woken up. */
  async run(): Promise<void> {
    printEvent('startup_complete')
    try {
      this.#consumer.subscribe([textOf(this.#given, '--topic')], {
        onPartitionsRevoked: (partitions) => {
          // 1.1's consumer says nothing of it when it closes.
          if (!this.#isClosing) printEvent('partitions_revoked', { partitions: plain(partitions) })
        },
        onPartitionsAssigned: (partitions) => printEvent('partitions_assigned', { partitions: plain(partitions) }),
      })
      while (this.#consumed < this.#limit) {
        const records = await this.#consumer.poll(POLL_MS)
        if (records.isEmpty) continue
        const offsets = this.#take(records)
        if (!this.#given.has('--enable-autocommit')) await this.#commit(offsets)
      }
    } catch (error) {
      if (!(error instanceof WakeupException)) throw error
    } finally {
      this.#isClosing = true
      await this.#consumer.close()
      printEvent('shutdown_complete')
    }
  }

  #take(records: ConsumerRecords<string | null, string | null>): TopicPartitionOffset[] {
    const summaries: (TopicPartition & { count: number; minOffset: number; maxOffset: number })[] = []
    for (const batch of records.batches) {
      const { topic, partition } = batch
      const taken = [...batch].slice(0, this.#limit - this.#consumed)
      const [first, last] = [taken[0], taken.at(-1)]
      if (first === undefined || last === undefined) break
      summaries.push({ topic, partition, count: taken.length, minOffset: first.offset, maxOffset: last.offset })
      this.#consumed += taken.length
      if (!this.#given.has('--verbose')) continue
      for (const { key, value, offset } of taken) printEvent('record_data', { key, value, topic, partition, offset })
    }
    printEvent('records_consumed', { count: records.count, partitions: summaries })
    return summaries.map(({ topic, partition, maxOffset }) => ({ topic, partition, offset: maxOffset + 1 }))
  }

  /** Throws `WakeupException`, after the commit. */
  async #commit(offsets: readonly TopicPartitionOffset[]): Promise<void> {
    try {
      await this.#consumer.commitSync(offsets)
      printEvent('offsets_committed', { offsets, success: true })
    } catch (error) {
      if (error instanceof WakeupException) {
        await this.#commit(offsets)
        throw error
      }
      if (!(error instanceof KafkaException)) throw error
      printEvent('offsets_committed', { offsets, success: false, error: error.message })
    }
  }
}

function plain(partitions: readonly TopicPartition[]): TopicPartition[] {
  return partitions.map(({ topic, partition }) => ({ topic, partition }))
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runProgram(program, args, async (given) => {
    try {
      const consumer = construct('consumer', () => consumerOf(given))
      const ending = endOnSignals(() => consumer.wakeup())
      await new VerifiableConsumer(consumer, given).run()
      ending.forget()
      return ending.exitCode ?? 0
    } catch (error) {
      if (error instanceof ArgumentError) throw error
      return printUncaught(javaTrace(error).trimEnd(), '')
    }
  })
}
