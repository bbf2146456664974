/** `kafka-run-class.sh kafka.tools.GetOffsetShell`: offsets of a topic's partitions before a time, as 1.1's tool prints them. */
import { askBroker } from './ask.ts'
import { classicMetadata, parseBrokerList } from './classic-metadata.ts'
import { parseOptions, type ToolOption } from './jopt.ts'
import { checkRequired, integerOption, longOption, only, runTool, ToolError, UsageError } from './tool.ts'

const TIMEOUT_MS = 10_000
const LATEST = -1

const options: readonly ToolOption[] = [
  {
    name: 'broker-list',
    argument: 'String: hostname:port,...,hostname:port',
    required: true,
    description: 'The list of hostname and port of the server to connect to.',
  },
  { name: 'topic', argument: 'String: topic', required: true, description: 'The topic to get offset from.' },
  {
    name: 'partitions',
    argument: 'String: partition ids',
    description: 'comma separated list of partition ids. If not specified, it will find offsets for all partitions',
    default: '',
  },
  {
    name: 'time',
    argument: 'Long: timestamp/-1(latest)/-2(earliest)',
    description: 'timestamp of the offsets before that',
    default: LATEST,
  },
  { name: 'offsets', argument: 'Integer: count', description: 'number of offsets returned', default: 1 },
  {
    name: 'max-wait-ms',
    argument: 'Integer: ms',
    description: 'The max amount of time each fetch request waits.',
    default: 1000,
  },
]

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runTool(options, async () => {
    const given = parseOptions(args, options)
    if (args.length === 0) throw new UsageError('An interactive shell for getting consumer offsets.')
    checkRequired(given, ['broker-list', 'topic'])
    const topic = only(given, 'topic')
    const time = longOption(given, 'time', LATEST)
    const count = given.has('offsets') ? integerOption(given, 'offsets') : 1
    const metadata = await classicMetadata(parseBrokerList(only(given, 'broker-list')), topic)
    const found = metadata.topicMetadata.find((one) => one.topic === topic)
    if (metadata.topicMetadata.length !== 1 || found === undefined) {
      process.stderr.write(
        `Error: no valid topic metadata for topic: ${topic},  probably the topic does not exist, run kafka-list-topic.sh to verify\n`,
      )
      return 1
    }
    const known = new Map(found.partitionMetadata.map(({ partition, leader }) => [partition, leader]))
    for (const partition of wantedPartitions(only(given, 'partitions')) ?? known.keys()) {
      const leader = metadata.brokers.find(({ nodeId }) => nodeId === known.get(partition))
      if (!known.has(partition)) process.stderr.write(`Error: partition ${partition} does not exist\n`)
      else if (leader === undefined) {
        process.stderr.write(`Error: partition ${partition} does not have a leader. Skip getting offsets\n`)
      } else {
        const request = {
          replicaId: -1,
          topics: [{ topic, partitions: [{ partition, timestamp: time, maxNumOffsets: count }] }],
        }
        const answer = await askBroker(leader, 'ListOffsets', 0, request, TIMEOUT_MS)
        const offsets = answer.responses[0]?.partitionResponses[0]?.offsets ?? []
        process.stdout.write(`${topic}:${partition}:${offsets.join(',')}\n`)
      }
    }
    return 0
  })
}

/** undefined: all. Throws `ToolError`. */
function wantedPartitions(text: string): number[] | undefined {
  if (text === '') return undefined
  return text.split(',').map((id) => {
    if (!/^[+-]?\d+$/.test(id)) throw new ToolError('java.lang.NumberFormatException', `For input string: "${id}"`)
    return Number(id)
  })
}
