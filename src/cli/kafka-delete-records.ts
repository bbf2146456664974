/** `kafka-delete-records.sh`: moves the starts of partitions up to given offsets, as 1.1's tool does. */
import { demandPlaintext } from './command-config.ts'
import { parseOptions, type ToolOption } from './jopt.ts'
import { checkRequired, duplicates, groupBy, only, partitionName, readTextFile, runTool, ToolError } from './tool.ts'
import { BrokerCluster, brokerError, fetchMetadata, parseBootstrap } from './tool-brokers.ts'
import { fieldsOf, integerField, partitionEntries } from './tool-json.ts'

const TIMEOUT_MS = 5000
const NO_LEADER = 5
const UNKNOWN_TOPIC_OR_PARTITION = 3

const options: readonly ToolOption[] = [
  {
    name: 'bootstrap-server',
    argument: 'String: server(s) to use for bootstrapping',
    required: true,
    description: 'The server to connect to.',
  },
  {
    name: 'offset-json-file',
    argument: 'String: Offset json file path',
    required: true,
    description:
      'The JSON file with offset per partition. The format to use is:\n{"partitions":\n  [{"topic": "foo", "partition": 1, "offset": 1}],\n "version":1\n}',
  },
  {
    name: 'command-config',
    argument: 'String: command config property file path',
    description: 'A property file containing configs to be passed to Admin Client.',
  },
]

interface Deletion {
  readonly topic: string
  readonly partition: number
  /** -1: all that there is. */
  readonly offset: number
}

/** Throws `ToolError`. Text that is no JSON holds nothing. */
function readDeletions(path: string): Deletion[] {
  const deletions = partitionEntries(fieldsOf(readTextFile(path)) ?? {}).map(({ topic, partition, fields }) => ({
    topic,
    partition,
    offset: integerField(fields, 'offset'),
  }))
  const repeated = duplicates(deletions.map(partitionName))
  if (repeated.length > 0) {
    throw new ToolError(
      'kafka.common.AdminCommandFailedException',
      `Offset json file contains duplicate topic partitions: ${repeated.join(',')}`,
    )
  }
  return deletions
}

type Outcome = { readonly lowWatermark: number } | { readonly errorCode: number }

async function deleteAll(bootstrap: string, deletions: readonly Deletion[]): Promise<Map<Deletion, Outcome>> {
  const outcomes = new Map<Deletion, Outcome>()
  if (deletions.length === 0) return outcomes
  const topics = [...new Set(deletions.map(({ topic }) => topic))]
  const metadata = await fetchMetadata(parseBootstrap(bootstrap), topics)
  const cluster = await BrokerCluster.connect(bootstrap)
  const byLeader = groupBy(deletions, ({ topic, partition }) => {
    const partitions = metadata.topicMetadata.find((one) => one.topic === topic)?.partitionMetadata ?? []
    return partitions.find((one) => one.partition === partition)?.leader
  })
  for (const [leader, ofLeader] of byLeader) {
    if (leader === undefined || leader < 0) {
      const errorCode = leader === undefined ? UNKNOWN_TOPIC_OR_PARTITION : NO_LEADER
      for (const deletion of ofLeader) outcomes.set(deletion, { errorCode })
      continue
    }
    const request = {
      topics: [...groupBy(ofLeader, ({ topic }) => topic)].map(([topic, partitions]) => ({ topic, partitions })),
      timeout: TIMEOUT_MS,
    }
    const answer = await cluster.ask(leader, 'deleteRecords', 'DeleteRecords', 0, request)
    for (const deletion of ofLeader) {
      const partitions = answer.topics.find(({ topic }) => topic === deletion.topic)?.partitions ?? []
      const result = partitions.find(({ partition }) => partition === deletion.partition)
      outcomes.set(deletion, result === undefined || result.errorCode !== 0 ? { errorCode: result?.errorCode ?? -1 } : result)
    }
  }
  return outcomes
}

/** Answers the exit code: 0 also when partitions refused, as in 1.1. */
export function main(args: readonly string[]): Promise<number> {
  return runTool(options, async () => {
    const given = parseOptions(args, options)
    checkRequired(given, ['bootstrap-server', 'offset-json-file'])
    if (given.has('command-config')) demandPlaintext(only(given, 'command-config'))
    const deletions = readDeletions(only(given, 'offset-json-file'))
    process.stdout.write('Executing records delete operation\n')
    const outcomes = await deleteAll(only(given, 'bootstrap-server'), deletions)
    process.stdout.write('Records delete operation completed:\n')
    for (const deletion of deletions) {
      const outcome = outcomes.get(deletion) ?? { errorCode: -1 }
      const name = partitionName(deletion)
      if ('errorCode' in outcome && outcome.errorCode !== 0) {
        const { name: exception, message } = brokerError(outcome.errorCode)
        process.stdout.write(`partition: ${name}\terror: ${exception}: ${message}\n`)
      } else if ('lowWatermark' in outcome) {
        process.stdout.write(`partition: ${name}\tlow_watermark: ${outcome.lowWatermark}\n`)
      }
    }
    return 0
  })
}
