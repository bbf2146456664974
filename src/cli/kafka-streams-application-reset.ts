/** `kafka-streams-application-reset.sh`: lets a Kafka Streams application begin anew, as 1.1's tool does. */
import type { TopicPartition } from '../base/ids.ts'
import { javaOrder, topicPartitionHash } from '../client/consumer/assignors/java-order.ts'
import { type Admin, type Consumer, createAdmin, createConsumer } from '../client/index.ts'
import { javaTrace } from './console/java-errors.ts'
import { BrokerGroups } from './consumer-groups/broker-groups.ts'
import { OptionSyntaxError, type ParsedOptions, parseOptions, renderHelp, type ToolOption } from './jopt.ts'
import { seekInputs } from './streams-reset/input-offsets.ts'
import { only, ToolError, UsageError } from './tool.ts'
import { knownOptions, readProperties } from './tool-clients.ts'

const BOOTSTRAP = 'localhost:9092'
const COORDINATOR_TIMEOUT_MS = 5000

const DESCRIPTION = `The Streams Reset Tool allows you to quickly reset an application in order to reprocess its data from scratch.
* This tool resets offsets of input topics to the earliest available offset and it skips to the end of intermediate topics (topics used in the through() method).
* This tool deletes the internal topics that were created by Kafka Streams (topics starting with "<application.id>-").
You do not need to specify internal topics because the tool finds them automatically.
* This tool will not delete output topics (if you want to delete them, you need to do it yourself with the bin/kafka-topics.sh command).
* This tool will not clean up the local state on the stream application instances (the persisted stores used to cache aggregation results).
You need to call KafkaStreams#cleanUp() in your application or manually delete them from the directory specified by "state.dir" configuration (/tmp/kafka-streams/<application.id> by default).

*** Important! You will get wrong output if you don't clean up the local stores after running the reset tool!


`

const options: readonly ToolOption[] = [
  {
    name: 'application-id',
    argument: 'String: id',
    isStarred: true,
    description: 'The Kafka Streams application ID (application.id).',
  },
  {
    name: 'bootstrap-servers',
    argument: 'String: urls',
    description: 'Comma-separated list of broker urls with format: HOST1:PORT1,HOST2:PORT2',
    default: 'localhost:9092',
  },
  {
    name: 'by-duration',
    argument: 'String',
    description: "Reset offsets to offset by duration from current timestamp. Format: 'PnDTnHnMnS'",
  },
  {
    name: 'config-file',
    argument: 'String: file name',
    description: 'Property file containing configs to be passed to admin clients and embedded consumer.',
  },
  { name: 'dry-run', description: 'Display the actions that would be performed without executing the reset commands.' },
  { name: 'execute', description: 'Execute the command.' },
  { name: 'from-file', argument: 'String', description: 'Reset offsets to values defined in CSV file.' },
  {
    name: 'input-topics',
    argument: 'String: list',
    description:
      'Comma-separated list of user input topics. For these topics, the tool will reset the offset to the earliest available offset.',
  },
  {
    name: 'intermediate-topics',
    argument: 'String: list',
    description:
      'Comma-separated list of intermediate user topics (topics used in the through() method). For these topics, the tool will skip to the end.',
  },
  {
    name: 'shift-by',
    argument: 'Long: number-of-offsets',
    description: "Reset offsets shifting current offset by 'n', where 'n' can be positive or negative",
  },
  {
    name: 'to-datetime',
    argument: 'String',
    description: "Reset offsets to offset from datetime. Format: 'YYYY-MM-DDTHH:mm:SS.sss'",
  },
  { name: 'to-earliest', description: 'Reset offsets to earliest offset.' },
  { name: 'to-latest', description: 'Reset offsets to latest offset.' },
  { name: 'to-offset', argument: 'Long', description: 'Reset offsets to a specific offset.' },
  {
    name: 'zookeeper',
    description:
      'Zookeeper option is deprecated by bootstrap.servers, as the reset tool would no longer access Zookeeper directly.',
  },
]

const print = (line: string): void => void process.stdout.write(`${line}\n`)

/** Of an option that may be given often, with commas. */
function listOf(given: ParsedOptions, name: string): string[] {
  return (given.get(name) ?? []).flatMap((text) => text.split(','))
}

class StreamsReset {
  readonly #given: ParsedOptions
  readonly #application: string
  readonly #properties: Readonly<Record<string, string>>
  readonly #isDryRun: boolean

  /** Throws `ToolError`. */
  constructor(given: ParsedOptions) {
    this.#given = given
    this.#application = only(given, 'application-id')
    const bootstrap = given.has('bootstrap-servers') ? only(given, 'bootstrap-servers') : BOOTSTRAP
    const file = given.has('config-file') ? readProperties(only(given, 'config-file')) : {}
    this.#properties = { ...file, 'bootstrap.servers': bootstrap }
    this.#isDryRun = given.has('dry-run')
  }

  /** The exit code. Throws `ToolError`, `KafkaException`. */
  async run(): Promise<number> {
    await this.#refuseActiveGroup()
    const admin = createAdmin(knownOptions('admin', this.#properties))
    try {
      const topics = new Set((await admin.listTopics()).map(({ topic }) => topic))
      if (this.#isDryRun) print('----Dry run displays the actions which will be performed when running Streams Reset Tool----')
      const code = await this.#resetOffsets(admin, topics)
      await this.#deleteInternal(admin, topics)
      return code
    } finally {
      await admin.close()
    }
  }

  async #refuseActiveGroup(): Promise<void> {
    const bootstrap = this.#properties['bootstrap.servers'] ?? ''
    const groups = BrokerGroups.create({ bootstrap, timeoutMs: () => COORDINATOR_TIMEOUT_MS, properties: {} })
    try {
      await groups.reach().catch(() => {})
      const { members } = await groups.describe(this.#application)
      if (members.length === 0) return
    } finally {
      await groups.close()
    }
    throw new ToolError(
      'java.lang.IllegalStateException',
      `Consumer group '${this.#application}' is still active. Make sure to stop all running application instances before running the reset tool.`,
    )
  }

  async #resetOffsets(admin: Admin, topics: ReadonlySet<string>): Promise<number> {
    const inputs = listOf(this.#given, 'input-topics')
    const intermediates = listOf(this.#given, 'intermediate-topics')
    if (inputs.length === 0 && intermediates.length === 0) {
      print('No input or intermediate topics specified. Skipping seek.')
      return 0
    }
    if (inputs.length > 0) print(`Reset-offsets for input topics [${inputs.join(', ')}]`)
    if (intermediates.length > 0) print(`Seek-to-end for intermediate topics [${intermediates.join(', ')}]`)
    const missing = tellMissing(inputs, topics, 'input', 'Topic: ') + tellMissing(intermediates, topics, 'intermediate', 'Topic:')
    const code = missing > 0 ? 1 : 0
    const there = [...inputs, ...intermediates].filter((topic) => topics.has(topic))
    if (there.length === 0) return code
    try {
      await this.#seek(await partitionsOf(admin, there), inputs)
    } catch (error) {
      process.stderr.write('ERROR: Resetting offsets failed.\n')
      throw error
    }
    print('Done.')
    return code
  }

  async #seek(partitions: readonly TopicPartition[], inputs: readonly string[]): Promise<void> {
    const consumer: Consumer = createConsumer({
      ...knownOptions('consumer', this.#properties),
      'group.id': this.#application,
      'enable.auto.commit': false,
    })
    const isInput = ({ topic }: TopicPartition): boolean => inputs.includes(topic)
    try {
      consumer.assign(partitions)
      await this.#seekInputs(consumer, partitions.filter(isInput))
      this.#seekToEnd(
        consumer,
        partitions.filter((one) => !isInput(one)),
      )
      if (this.#isDryRun) return
      for (const one of partitions) await consumer.position(one)
      await consumer.commitSync()
    } finally {
      await consumer.close()
    }
  }

  async #seekInputs(consumer: Consumer, partitions: readonly TopicPartition[]): Promise<void> {
    if (partitions.length === 0) return
    print(`Following input topics offsets will be reset to (for consumer group ${this.#application})`)
    await seekInputs(consumer, partitions, this.#given, print)
    for (const one of partitions) {
      print(`Topic: ${one.topic} Partition: ${one.partition} Offset: ${await consumer.position(one)}`)
    }
  }

  #seekToEnd(consumer: Consumer, partitions: readonly TopicPartition[]): void {
    if (partitions.length === 0) return
    print(`Following intermediate topics offsets will be reset to end (for consumer group ${this.#application})`)
    for (const { topic } of partitions) print(`Topic: ${topic}`)
    consumer.seekToEnd(partitions)
  }

  async #deleteInternal(admin: Admin, topics: ReadonlySet<string>): Promise<void> {
    print(`Deleting all internal/auto-created topics for application ${this.#application}`)
    const internal = [...topics].filter(
      (topic) => topic.startsWith(`${this.#application}-`) && /-(?:changelog|repartition)$/.test(topic),
    )
    if (this.#isDryRun) for (const topic of internal) print(`Topic: ${topic}`)
    else if (internal.length > 0) {
      const failed = (await admin.deleteTopics(internal)).entries.filter(([, error]) => error !== null)
      for (const [topic, error] of failed) process.stderr.write(`ERROR: deleting topic ${topic}\n${javaTrace(error)}`)
      if (failed.length > 0) {
        throw new ToolError('java.lang.RuntimeException', 'Encountered an error deleting one or more topics')
      }
    }
    print('Done.')
  }
}

/** How many of `wanted` there are not. */
function tellMissing(wanted: readonly string[], topics: ReadonlySet<string>, kind: string, prefix: string): number {
  const missing = wanted.filter((topic) => !topics.has(topic))
  if (missing.length > 0) print(`Following ${kind} topics are not found, skipping them`)
  for (const topic of missing) print(`${prefix}${topic}`)
  return missing.length
}

/** In the order of Java's hash sets, which 1.1 prints. */
async function partitionsOf(admin: Admin, topics: readonly string[]): Promise<TopicPartition[]> {
  const described = await (await admin.describeTopics([...new Set(topics)])).all()
  const partitions = [...described].flatMap(([topic, { partitions }]) =>
    partitions.map(({ partition }) => ({ topic, partition })),
  )
  return javaOrder(partitions, ({ topic, partition }) => topicPartitionHash(topic, partition))
}

/** Throws `OptionSyntaxError`, `UsageError`. */
function parse(args: readonly string[]): ParsedOptions {
  const given = parseOptions(args, options)
  if (!given.has('application-id')) {
    throw new OptionSyntaxError('joptsimple.MissingRequiredOptionsException', 'Missing required option(s) [application-id]')
  }
  if (given.has('dry-run') && given.has('execute')) {
    throw new UsageError('Only one of --dry-run and --execute can be specified')
  }
  return given
}

/** Answers the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    return await new StreamsReset(parse(args)).run()
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n${renderHelp(options)}`)
      return 1
    }
    const isSyntax = error instanceof OptionSyntaxError
    if (isSyntax) process.stderr.write(`${DESCRIPTION}${renderHelp(options)}`)
    const trace = javaTrace(isSyntax ? new ToolError(error.javaClass, error.message) : error)
    process.stderr.write(`ERROR: ${trace.split('\n')[0]}\n${trace}`)
    return 1
  }
}
