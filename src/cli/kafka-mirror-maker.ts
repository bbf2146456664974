/** `kafka-mirror-maker.sh`: copies topics of one cluster to another, at least once, as 1.1's tool does. */
import {
  blacklist,
  type Consumer,
  createConsumer,
  createConsumerConnector,
  createProducer,
  type Producer,
  whitelist,
} from '../client/index.ts'
import { nodeClock } from '../ports/node/clock.ts'
import { clientLog } from './console/client-log.ts'
import { construct, javaTrace } from './console/java-errors.ts'
import { oldConsumerOptions } from './console/old-options.ts'
import { endOnSignals } from './console/signals.ts'
import { OptionSyntaxError, type ParsedOptions, parseOptions, renderHelp, type ToolOption } from './jopt.ts'
import { MirrorStream } from './mirror-maker/mirror-stream.ts'
import { type MirrorSource, NewConsumerSource, OldConsumerSource } from './mirror-maker/source.ts'
import { checkRequired, integerOption, only, runTool, ToolError, topicFilter, UsageError } from './tool.ts'
import { knownOptions, readProperties, warning } from './tool-clients.ts'

const LOGGER = 'kafka.tools.MirrorMaker$'
const THREAD_LOGGER = 'kafka.tools.MirrorMaker$MirrorMakerThread'
const COMMIT_INTERVAL_MS = 60_000
const ABNORMAL_EXIT = 255
/** So that offsets are committed when no record comes. */
const OLD_CONSUMER_TIMEOUT_MS = '1000'

const options: readonly ToolOption[] = [
  {
    name: 'abort.on.send.failure',
    argument: 'String: Stop the entire mirror maker when a send failure occurs',
    description: 'Configure the mirror maker to exit on a failed send.',
    default: 'true',
  },
  {
    name: 'blacklist',
    argument: 'String: Java regex (String)',
    description: 'Blacklist of topics to mirror. Only old consumer supports blacklist.',
  },
  {
    name: 'consumer.config',
    argument: 'String: config file',
    description: 'Embedded consumer config for consuming from the source cluster.',
  },
  {
    name: 'consumer.rebalance.listener',
    argument: 'String: A custom rebalance listener of type ConsumerRebalanceListener',
    description: 'The consumer rebalance listener to use for mirror maker consumer.',
  },
  { name: 'help', description: 'Print this message.' },
  {
    name: 'message.handler',
    argument: 'String: A custom message handler of type MirrorMakerMessageHandler',
    description: 'Message handler which will process every record in-between consumer and producer.',
  },
  {
    name: 'message.handler.args',
    argument: 'String: Arguments passed to message handler constructor.',
    description: 'Arguments used by custom message handler for mirror maker.',
  },
  { name: 'new.consumer', description: 'Use new consumer in mirror maker (this is the default).' },
  { name: 'num.streams', argument: 'Integer: Number of threads', description: 'Number of consumption streams.', default: 1 },
  {
    name: 'offset.commit.interval.ms',
    argument: 'Integer: offset commit interval in millisecond',
    description: 'Offset commit interval in ms.',
    default: 60000,
  },
  { name: 'producer.config', argument: 'String: config file', description: 'Embedded producer config.' },
  {
    name: 'rebalance.listener.args',
    argument: 'String: Arguments passed to custom rebalance listener constructor as a string.',
    description: 'Arguments used by custom rebalance listener for mirror maker consumer.',
  },
  { name: 'whitelist', argument: 'String: Java regex (String)', description: 'Whitelist of topics to mirror.' },
]

const STRATEGY_WARNING =
  "WARNING: The default partition assignment strategy of the new-consumer-based mirror maker will change from 'range' to 'roundrobin' in an upcoming release (so that better load balancing can be achieved). If you prefer to make this switch in advance of that release add the following to the corresponding new-consumer config: 'partition.assignment.strategy=org.apache.kafka.clients.consumer.RoundRobinAssignor'\n"

/** What cannot be done: said, exit 1. */
class Refusal extends Error {}

interface Plan {
  readonly sources: readonly MirrorSource[]
  readonly producer: Producer
  readonly isSync: boolean
  readonly commitIntervalMs: number
  readonly abortOnSendFailure: boolean
}

/** Throws `UsageError`, `ToolError`, `KafkaException`, `Refusal`. */
function planOf(given: ParsedOptions): Plan {
  checkRequired(given, ['consumer.config', 'producer.config'])
  const consumerProperties = readProperties(only(given, 'consumer.config'))
  checkConsumer(given, consumerProperties)
  for (const name of ['message.handler', 'consumer.rebalance.listener']) {
    if (given.has(name)) {
      throw new ToolError(
        'java.lang.ClassNotFoundException',
        `${only(given, name)} (--${name} names a Java class; there is no JVM here)`,
      )
    }
  }
  const abort = given.has('abort.on.send.failure') ? only(given, 'abort.on.send.failure') : 'true'
  if (!/^(true|false)$/i.test(abort)) throw new ToolError('java.lang.IllegalArgumentException', `For input string: "${abort}"`)
  const commitIntervalMs = given.has('offset.commit.interval.ms')
    ? integerOption(given, 'offset.commit.interval.ms')
    : COMMIT_INTERVAL_MS
  const streams = given.has('num.streams') ? integerOption(given, 'num.streams') : 1
  const { 'producer.type': type = 'async', ...producerProperties } = readProperties(only(given, 'producer.config'))
  return {
    isSync: type === 'sync',
    producer: construct('producer', () => producerOf(producerProperties)),
    sources: Array.from({ length: streams }, (_, i) => sourceOf(given, consumerProperties, i)),
    commitIntervalMs,
    abortOnSendFailure: abort.toLowerCase() === 'true',
  }
}

function checkConsumer(given: ParsedOptions, properties: Readonly<Record<string, string>>): void {
  if (properties['zookeeper.connect'] !== undefined) {
    if (given.has('new.consumer')) {
      throw new Refusal('The consumer configuration parameter `zookeeper.connect` is not valid when using --new.consumer')
    }
    if (properties['bootstrap.servers'] !== undefined) {
      throw new Refusal(
        'The consumer configuration parameters `bootstrap.servers` and `zookeeper.connect` can not be used together',
      )
    }
    if (given.has('whitelist') === given.has('blacklist')) throw new Refusal('Exactly one of whitelist or blacklist is required.')
    return
  }
  if (given.has('blacklist')) {
    throw new Refusal('blacklist can not be used when using new consumer in mirror maker. Use whitelist instead.')
  }
  if (!given.has('whitelist')) throw new Refusal('whitelist must be specified when using new consumer in mirror maker.')
  if (properties['partition.assignment.strategy'] === undefined) process.stderr.write(STRATEGY_WARNING)
}

/** A member of the group for one stream. Throws `KafkaException`. */
function sourceOf(given: ParsedOptions, properties: Readonly<Record<string, string>>, stream: number): MirrorSource {
  const clientId = `${properties['group.id'] ?? null}-${stream}`
  if (properties['zookeeper.connect'] === undefined) {
    const consumer = construct('consumer', () => consumerOf(properties, clientId))
    return new NewConsumerSource(consumer, () => patternOf(only(given, 'whitelist')))
  }
  const options = oldConsumerOptions({
    'auto.commit.enable': 'false',
    'consumer.timeout.ms': OLD_CONSUMER_TIMEOUT_MS,
    ...properties,
    'client.id': clientId,
  })
  const filter = given.has('blacklist') ? blacklist(only(given, 'blacklist')) : whitelist(only(given, 'whitelist'))
  return new OldConsumerSource(createConsumerConnector(options, { log: clientLog() }), filter)
}

/** Nothing is lost and nothing overtaken unless the properties say so. */
function producerOf(properties: Readonly<Record<string, string>>): Producer {
  return createProducer(
    {
      retries: 2_147_483_647,
      'max.block.ms': Number.POSITIVE_INFINITY,
      acks: 'all',
      'max.in.flight.requests.per.connection': 1,
      ...knownOptions('producer', properties),
      'key.serializer': null,
      'value.serializer': null,
    },
    { log: clientLog() },
  )
}

function consumerOf(properties: Readonly<Record<string, string>>, clientId: string): Consumer {
  return createConsumer(
    {
      'enable.auto.commit': false,
      ...knownOptions('consumer', properties),
      'client.id': clientId,
      'key.deserializer': null,
      'value.deserializer': null,
    },
    { log: clientLog() },
  )
}

/** Mirrors until a signal comes or a stream fails; true: because of the signal. */
async function mirror(plan: Plan, onSignal: (stop: () => void) => void): Promise<boolean> {
  const { producer, isSync, commitIntervalMs, abortOnSendFailure } = plan
  let hasFailed = false
  let isStopping = false
  const onFailure = ({ name, message }: Error): void => {
    process.stderr.write(
      warning(`Error when sending message: ${name}: ${message}`, 'kafka.tools.MirrorMaker$MirrorMakerProducer', 'ERROR'),
    )
    if (!abortOnSendFailure || hasFailed) return
    hasFailed = true
    // What waits must not be sent after what has failed.
    void producer.close(0)
    wakeAll()
  }
  const state = {
    producer,
    isSync,
    commitIntervalMs,
    onFailure,
    hasFailed: () => hasFailed,
    isStopping: () => isStopping,
    now: () => nodeClock.now(),
  }
  const streams = plan.sources.map((source) => new MirrorStream(source, state))
  const wakeAll = (): void => streams.forEach((stream) => void stream.wakeup())
  const stop = (): void => {
    isStopping = true
    wakeAll()
  }
  onSignal(stop)
  let isAbnormal = false
  await Promise.all(
    streams.map(async (stream, i) => {
      try {
        await stream.run()
      } catch (error) {
        process.stderr.write(
          warning(`[mirrormaker-thread-${i}] Mirror maker thread failure due to `, THREAD_LOGGER, 'ERROR') + javaTrace(error),
        )
      }
      if (isStopping) return
      if (!isAbnormal) {
        const text = `[mirrormaker-thread-${i}] Mirror maker thread exited abnormally, stopping the whole mirror maker.`
        process.stderr.write(warning(text, THREAD_LOGGER, 'ERROR'))
      }
      isAbnormal = true
      isStopping = true
      wakeAll()
    }),
  )
  await producer.close()
  return !isAbnormal
}

/** Throws `ToolError`. */
function patternOf(regex: string): RegExp {
  try {
    return topicFilter(regex)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    process.stderr.write(warning(`Invalid expression syntax: ${regex}`, LOGGER, 'ERROR'))
    throw new ToolError('java.lang.RuntimeException', `${regex} is an invalid regex.`)
  }
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runTool(options, async () => {
    if (args.length === 0) throw new UsageError('Continuously copy data between two Kafka clusters.')
    let plan: Plan
    let stop = (): void => {}
    const ending = endOnSignals(() => stop())
    try {
      const given = parseOptions(args, options)
      if (given.has('help')) {
        process.stdout.write(renderHelp(options))
        return 0
      }
      plan = planOf(given)
    } catch (error) {
      if (error instanceof UsageError) throw error
      if (error instanceof Refusal) process.stderr.write(warning(error.message, LOGGER, 'ERROR'))
      else process.stderr.write(warning('Exception when starting mirror maker.', LOGGER, 'ERROR') + startTrace(error))
      return 1
    }
    const isStopped = await mirror(plan, (listener) => {
      stop = listener
      if (ending.exitCode !== undefined) stop()
    })
    ending.forget()
    return isStopped ? (ending.exitCode ?? 0) : ABNORMAL_EXIT
  })
}

function startTrace(error: unknown): string {
  return javaTrace(error instanceof OptionSyntaxError ? new ToolError(error.javaClass, error.message) : error)
}
