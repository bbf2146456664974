/** `kafka-simple-consumer-shell.sh`: one partition from one replica, as 1.1's tool reads and prints it. */
import { nextBatch, RecordCursor } from '../protocol/records/index.ts'
import { askBroker, type BrokerAddress } from './ask.ts'
import { classicMetadata, parseBrokerList } from './classic-metadata.ts'
import { type ParsedOptions, parseOptions, type ToolOption } from './jopt.ts'
import { checkRequired, integerOption, logTime, longOption, only, runTool, ToolError, UsageError } from './tool.ts'
import { brokerError } from './tool-brokers.ts'

const EARLIEST = -2
const LATEST = -1
/** In a request: any replica answers, not the leader only. */
const DEBUGGING_CONSUMER = -2
const ANSWER_TIMEOUT_MS = 10_000
const DEFAULT_FORMATTER = 'kafka.tools.DefaultMessageFormatter'

const options: readonly ToolOption[] = [
  {
    name: 'broker-list',
    argument: 'String: hostname:port,...,hostname:port',
    required: true,
    description: 'The list of hostname and port of the server to connect to.',
  },
  { name: 'topic', argument: 'String: topic', required: true, description: 'The topic to consume from.' },
  { name: 'partition', argument: 'Integer: partition', description: 'The partition to consume from.', default: 0 },
  {
    name: 'replica',
    argument: 'Integer: replica id',
    description: 'The replica id to consume from, default -1 means leader broker.',
    default: -1,
  },
  {
    name: 'offset',
    argument: 'Long: consume offset',
    description: 'The offset id to consume from, default to -2 which means from beginning; while value -1 means from end',
    default: EARLIEST,
  },
  {
    name: 'clientId',
    argument: 'String: clientId',
    description: 'The ID of this client.',
    default: 'SimpleConsumerShell',
  },
  { name: 'fetchsize', argument: 'Integer: fetchsize', description: 'The fetch size of each request.', default: 1024 * 1024 },
  {
    name: 'formatter',
    argument: 'String: class',
    description: 'The name of a class to use for formatting kafka messages for display.',
    default: DEFAULT_FORMATTER,
  },
  { name: 'property', argument: 'String: prop', description: '' },
  { name: 'print-offsets', description: 'Print the offsets returned by the iterator' },
  {
    name: 'max-wait-ms',
    argument: 'Integer: ms',
    description: 'The max amount of time each fetch request waits.',
    default: 1000,
  },
  {
    name: 'max-messages',
    argument: 'Integer: max-messages',
    description: 'The number of messages to consume',
    default: 2147483647,
  },
  {
    name: 'skip-message-on-error',
    description: 'If there is an error when processing a message, skip it instead of halt.',
  },
  {
    name: 'no-wait-at-logend',
    description:
      'If set, when the simple consumer reaches the end of the Log, it will stop, not waiting for new produced messages',
  },
]

type Formatter = (cursor: RecordCursor, isLogAppendTime: boolean) => string

/** Text for a key or value that is null. */
const shown = (bytes: Buffer | null): string => bytes?.toString('utf8') ?? 'null'

/** 1.1's formatters of consoles. Throws `ToolError` for another class. */
function formatterOf(given: ParsedOptions): Formatter {
  const name = given.has('formatter') ? only(given, 'formatter') : DEFAULT_FORMATTER
  const properties = new Map(
    (given.get('property') ?? []).map((text) => {
      const at = text.indexOf('=')
      return at < 0 ? ([text, ''] as const) : ([text.slice(0, at), text.slice(at + 1)] as const)
    }),
  )
  const isSet = (key: string, absent: boolean): boolean =>
    (properties.get(key)?.trim().toLowerCase() ?? String(absent)) === 'true'
  if (name === 'kafka.tools.NoOpMessageFormatter') return () => ''
  if (name !== DEFAULT_FORMATTER) throw new ToolError('java.lang.ClassNotFoundException', name)
  const separator = properties.get('key.separator') ?? '\t'
  const end = properties.get('line.separator') ?? '\n'
  return (cursor, isLogAppendTime) => {
    const parts: string[] = []
    const type =
      cursor.magic === 0 ? 'NO_TIMESTAMP_TYPE' : `${isLogAppendTime ? 'LogAppendTime' : 'CreateTime'}:${cursor.timestamp}`
    if (isSet('print.timestamp', false)) parts.push(type)
    if (isSet('print.key', false)) parts.push(shown(cursor.key()))
    if (isSet('print.value', true)) parts.push(shown(cursor.value()))
    return parts.join(separator) + end
  }
}

interface Target {
  readonly broker: BrokerAddress
  readonly topic: string
  readonly partition: number
  /** A certain replica, which need not be the leader. */
  readonly anyReplica: boolean
}

class Refused extends Error {}

/** Throws `Refused` with 1.1's words. */
async function findTarget(given: ParsedOptions): Promise<Target> {
  const topic = only(given, 'topic')
  const partition = given.has('partition') ? integerOption(given, 'partition') : 0
  const replica = given.has('replica') ? integerOption(given, 'replica') : -1
  const metadata = await classicMetadata(parseBrokerList(only(given, 'broker-list')), topic)
  const found = metadata.topicMetadata.find((one) => one.topic === topic)
  if (found === undefined) {
    throw new Refused(`Error: no valid topic metadata for topic: ${topic}, what we get from server is only: ArrayBuffer()`)
  }
  const one = found.partitionMetadata.find((candidate) => candidate.partition === partition)
  if (one === undefined) throw new Refused(`Error: partition ${partition} does not exist for topic ${topic}`)
  const wanted = replica === -1 ? one.leader : replica
  const broker = metadata.brokers.find(({ nodeId }) => nodeId === wanted)
  if (replica !== -1 && (broker === undefined || !one.replicas.includes(replica))) {
    throw new Refused(`Error: replica ${replica} does not exist for partition (${topic}, ${partition})`)
  }
  if (broker === undefined) {
    throw new Refused(
      `Error: user specifies to fetch from leader for partition (${topic}, ${partition}) which has not been elected yet`,
    )
  }
  return { broker, topic, partition, anyReplica: replica !== -1 }
}

async function startOffset({ broker, topic, partition }: Target, offset: number): Promise<number> {
  if (offset >= 0) return offset
  const topics = [{ topic, partitions: [{ partition, timestamp: offset === EARLIEST ? EARLIEST : LATEST, maxNumOffsets: 1 }] }]
  const answer = await askBroker(broker, 'ListOffsets', 1, { replicaId: DEBUGGING_CONSUMER, topics }, ANSWER_TIMEOUT_MS)
  const result = answer.responses[0]?.partitionResponses[0]
  if (result === undefined || result.errorCode !== 0) throw brokerError(result?.errorCode ?? -1)
  return result.offset
}

interface FetchRules {
  readonly maxWaitMs: number
  readonly fetchBytes: number
}

/** Whole messages and perhaps a cut one, in a format not above 1 as the classic consumers understand. Throws `ToolError`. */
async function fetchOnce(target: Target, offset: number, { maxWaitMs, fetchBytes }: FetchRules): Promise<Buffer> {
  const { broker, topic, partition, anyReplica } = target
  const request = {
    replicaId: anyReplica ? DEBUGGING_CONSUMER : -1,
    maxWaitTime: maxWaitMs,
    minBytes: 1,
    topics: [{ topic, partitions: [{ partition, fetchOffset: offset, maxBytes: fetchBytes }] }],
  }
  const answer = await askBroker(broker, 'Fetch', 3, request, ANSWER_TIMEOUT_MS + maxWaitMs)
  const result = answer.responses[0]?.partitionResponses[0]
  const code = result?.partitionHeader.errorCode ?? -1
  if (code !== 0) throw brokerError(code)
  return result?.recordSet ?? Buffer.alloc(0)
}

async function consume(given: ParsedOptions, target: Target): Promise<void> {
  const { topic, partition } = target
  const rules = {
    maxWaitMs: given.has('max-wait-ms') ? integerOption(given, 'max-wait-ms') : 1000,
    fetchBytes: given.has('fetchsize') ? integerOption(given, 'fetchsize') : 1024 * 1024,
  }
  const most = given.has('max-messages') ? integerOption(given, 'max-messages') : 2147483647
  const format = formatterOf(given)
  let offset = await startOffset(target, longOption(given, 'offset', EARLIEST))
  const cursor = new RecordCursor()
  for (let consumed = 0; consumed < most; ) {
    const records = await fetchOnce(target, offset, rules)
    if (nextBatch(records, 0, records.length) <= 0 && given.has('no-wait-at-logend')) {
      process.stdout.write(`Terminating. Reached the end of partition (${topic}, ${partition}) at offset ${offset}\n`)
      return
    }
    for (let at = 0, size = 0; (size = nextBatch(records, at, records.length)) > 0 && consumed < most; at += size) {
      cursor.open(records, at)
      while (consumed < most && cursor.next()) {
        // A compressed set may begin before what was asked for.
        if (cursor.offset < offset) continue
        offset = cursor.offset + 1
        if (given.has('print-offsets')) process.stdout.write(`next offset = ${offset}\n`)
        process.stdout.write(format(cursor, (records[at + 17] ?? 0) >= 8))
        consumed++
      }
    }
  }
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  process.stderr.write(
    `[${logTime()}] WARN WARNING: SimpleConsumerShell is deprecated and will be dropped in a future release following 0.11.0.0. (kafka.tools.SimpleConsumerShell$)\n`,
  )
  return runTool(options, async () => {
    const given = parseOptions(args, options)
    if (args.length === 0) {
      throw new UsageError('A low-level tool for fetching data directly from a particular replica.')
    }
    checkRequired(given, ['topic', 'broker-list'])
    try {
      const offset = longOption(given, 'offset', EARLIEST)
      if (offset < EARLIEST) throw new Refused(`Invalid starting offset: ${offset}`)
      await consume(given, await findTarget(given))
      return 0
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      process.stderr.write(`${error.message}\n`)
      return 1
    }
  })
}
