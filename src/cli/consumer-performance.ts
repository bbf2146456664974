/** `kafka-consumer-perf-test.sh`: reads as fast as records come, with 1.1's figures. */
import {
  type Consumer,
  type ConsumerConnector,
  type ConsumerOptions,
  ConsumerTimeoutException,
  createConsumer,
  createConsumerConnector,
  type KafkaStream,
} from '../client/index.ts'
import { nodeClock } from '../ports/node/clock.ts'
import { clientLog } from './console/client-log.ts'
import { construct, javaTrace } from './console/java-errors.ts'
import { oldConsumerOptions } from './console/old-options.ts'
import { endOnSignals } from './console/signals.ts'
import { type ParsedOptions, parseOptions } from './jopt.ts'
import { consumerOptions } from './performance/consumer-options.ts'
import { ConsumerStats } from './performance/consumer-stats.ts'
import { dateFormat } from './performance/date-format.ts'
import { metricsTable } from './performance/print-metrics.ts'
import { checkRequired, integerOption, longOption, only, runTool, ToolError, UsageError } from './tool.ts'
import { knownOptions, readProperties } from './tool-clients.ts'

const POLL_MS = 100
/** Without a record for so long it ends. */
const IDLE_MS = 1000
const SOCKET_BUFFER_BYTES = 2 * 1024 * 1024
const FETCH_BYTES = 1024 * 1024
const DEFAULT_THREADS = 10
const DEFAULT_DATE_FORMAT = 'yyyy-MM-dd HH:mm:ss:SSS'

interface Settings {
  readonly given: ParsedOptions
  readonly topic: string
  readonly messages: number
  readonly properties: Readonly<Record<string, string>>
  readonly reportingMs: number
  readonly format: (wall: number) => string
}

/** Checks in 1.1's order. Throws `UsageError`, `ToolError`. */
function settingsOf(args: readonly string[], options: ReturnType<typeof consumerOptions>): Settings {
  const given = parseOptions(args, options)
  checkRequired(given, ['topic', 'messages'])
  const base = given.has('consumer.config') ? readProperties(only(given, 'consumer.config')) : {}
  const group = given.has('group') ? only(given, 'group') : String(options.find(({ name }) => name === 'group')?.default)
  const properties = { ...base, ...(given.has('zookeeper') ? oldProperties(given, group) : newProperties(given, group)) }
  const messages = longOption(given, 'messages', 0)
  const reportingMs = given.has('reporting-interval') ? integerOption(given, 'reporting-interval') : 5000
  if (reportingMs <= 0) throw new ToolError('java.lang.IllegalArgumentException', 'Reporting interval must be greater than 0.')
  const format = dateFormat(given.has('date-format') ? only(given, 'date-format') : DEFAULT_DATE_FORMAT)
  return { given, topic: only(given, 'topic'), messages, properties, reportingMs, format }
}

function integerOf(given: ParsedOptions, name: string, absent: number): string {
  return String(given.has(name) ? integerOption(given, name) : absent)
}

function oldProperties(given: ParsedOptions, group: string): Record<string, string> {
  for (const name of ['broker-list', 'new-consumer']) {
    if (given.has(name)) throw new UsageError(`Option [${name}] is not valid with [zookeeper].`)
  }
  return {
    'group.id': group,
    'socket.receive.buffer.bytes': integerOf(given, 'socket-buffer-size', SOCKET_BUFFER_BYTES),
    'fetch.message.max.bytes': integerOf(given, 'fetch-size', FETCH_BYTES),
    'auto.offset.reset': given.has('from-latest') ? 'largest' : 'smallest',
    'zookeeper.connect': only(given, 'zookeeper'),
    'consumer.timeout.ms': String(IDLE_MS),
    'num.consumer.fetchers': integerOf(given, 'num-fetch-threads', 1),
  }
}

function newProperties(given: ParsedOptions, group: string): Record<string, string> {
  checkRequired(given, ['broker-list'])
  if (given.has('new-consumer')) {
    process.stderr.write(
      'The --new-consumer option is deprecated and will be removed in a future major release.The new consumer is used by default if the --bootstrap-server option is provided.\n',
    )
  }
  return {
    'bootstrap.servers': only(given, 'broker-list'),
    'group.id': group,
    'receive.buffer.bytes': integerOf(given, 'socket-buffer-size', SOCKET_BUFFER_BYTES),
    'max.partition.fetch.bytes': integerOf(given, 'fetch-size', FETCH_BYTES),
    'auto.offset.reset': given.has('from-latest') ? 'latest' : 'earliest',
    'key.deserializer': 'org.apache.kafka.common.serialization.ByteArrayDeserializer',
    'value.deserializer': 'org.apache.kafka.common.serialization.ByteArrayDeserializer',
    'check.crcs': 'false',
  }
}

/** Polls until there are enough, nothing came for a second, or a signal came. */
async function readNew(consumer: Consumer, settings: Settings, stats: ConsumerStats, isEnding: () => boolean): Promise<void> {
  let rebalanceStart = nodeClock.wall()
  consumer.subscribe([settings.topic], {
    onPartitionsRevoked: () => {
      rebalanceStart = nodeClock.wall()
    },
    onPartitionsAssigned: () => stats.joined(nodeClock.wall() - rebalanceStart),
  })
  let now = nodeClock.wall()
  let consumedAt = now
  while (stats.messages < settings.messages && now - consumedAt <= IDLE_MS && !isEnding()) {
    const records = await consumer.poll(POLL_MS)
    now = nodeClock.wall()
    if (!records.isEmpty) consumedAt = now
    for (const batch of records.batches) {
      batch.forEachRaw((_buffer, keyStart, keyEnd, valueStart, valueEnd) =>
        stats.add(keyEnd - keyStart + valueEnd - valueStart, now),
      )
    }
  }
}

async function performNew(settings: Settings): Promise<number> {
  const { given } = settings
  const stats = new ConsumerStats(settings, nodeClock.wall())
  if (!given.has('hide-header')) stats.printHeader()
  const known = knownOptions('consumer', settings.properties) as ConsumerOptions
  const consumer = construct('consumer', () => createConsumer(known, { log: clientLog() }))
  const ending = endOnSignals()
  stats.begin(nodeClock.wall())
  try {
    await readNew(consumer, settings, stats, () => ending.exitCode !== undefined)
    const end = nodeClock.wall()
    const metrics = consumer.metrics()
    await consumer.close()
    stats.printTotal(end)
    if (given.has('print-metrics')) process.stdout.write(metricsTable(metrics))
  } finally {
    await consumer.close()
    ending.forget()
  }
  return ending.exitCode ?? 0
}

/** One thread of 1.1's: its own count, to its own end. True: it ended because nothing came. */
async function readStream(stream: KafkaStream, messages: number, stats: ConsumerStats): Promise<boolean> {
  try {
    while (stats.messages < messages) {
      const next = stream.poll() ?? (await stream.next())
      if (next === undefined) return false
      stats.add(next.value?.length ?? 0, nodeClock.wall())
    }
    return false
  } catch (error) {
    if (!(error instanceof ConsumerTimeoutException)) process.stderr.write(javaTrace(error))
    return error instanceof ConsumerTimeoutException
  }
}

async function performOld(settings: Settings): Promise<number> {
  const { given } = settings
  const stats = new ConsumerStats(settings, nodeClock.wall())
  if (!given.has('hide-header')) stats.printHeader()
  const connector = createConsumerConnector(oldConsumerOptions(settings.properties), { log: clientLog() })
  const ending = endOnSignals(() => void connector.shutdown())
  try {
    await readStreams(connector, settings, stats)
  } finally {
    await connector.shutdown()
    ending.forget()
  }
  return ending.exitCode ?? 0
}

/** All threads to their ends, then the figures of the whole. */
async function readStreams(connector: ConsumerConnector, settings: Settings, stats: ConsumerStats): Promise<void> {
  const { given, topic, messages } = settings
  const threads = Number(integerOf(given, 'threads', DEFAULT_THREADS))
  const streams = (await connector.createMessageStreams({ [topic]: threads })).get(topic) ?? []
  const begin = nodeClock.wall()
  stats.begin(begin)
  const timedOut = await Promise.all(
    streams.map(async (stream, i) => {
      const thread = new ConsumerStats(settings, begin, i)
      const isTimeout = await readStream(stream, messages, thread)
      stats.addThread(thread, nodeClock.wall())
      return isTimeout
    }),
  )
  const end = nodeClock.wall() - (timedOut.includes(true) ? IDLE_MS : 0)
  stats.printTotal(end)
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  const options = consumerOptions()
  return runTool(options, async () => {
    try {
      const settings = settingsOf(args, options)
      return await (settings.given.has('zookeeper') ? performOld(settings) : performNew(settings))
    } catch (error) {
      if (error instanceof UsageError) throw error
      process.stderr.write(`Exception in thread "main" ${javaTrace(error)}`)
      return 1
    }
  })
}
