/** `kafka-preferred-replica-election.sh`: asks the controller to make the first replica of each partition its leader, as 1.1's tool does. */
import type { KafkaZk } from '../../zk/store/types.ts'
import type { PartitionRef } from '../../zk/znodes/types.ts'
import { parseOptions, type ToolOption } from './jopt.ts'
import {
  checkRequired,
  duplicates,
  only,
  partitionName,
  printTrace,
  readTextFile,
  runTool,
  ToolError,
  UsageError,
} from './tool.ts'
import { fieldsOf, partitionEntries } from './tool-json.ts'
import { withZooKeeper } from './tool-zookeeper.ts'

const options: readonly ToolOption[] = [
  {
    name: 'path-to-json-file',
    argument: 'String: list of partitions for which preferred replica leader election needs to be triggered',
    description:
      'The JSON file with the list of partitions for which preferred replica leader election should be done, in the following format - \n{"partitions":\n\t[{"topic": "foo", "partition": 1},\n\t {"topic": "foobar", "partition": 2}]\n}\nDefaults to all existing partitions',
  },
  {
    name: 'zookeeper',
    argument: 'String: urls',
    required: true,
    description:
      'The connection string for the zookeeper connection in the form host:port. Multiple URLS can be given to allow fail-over.',
  },
]

/** Throws `ToolError`. */
function parseFile(path: string): PartitionRef[] {
  const root = fieldsOf(readTextFile(path))
  if (root?.['partitions'] === undefined)
    throw new ToolError('kafka.admin.AdminOperationException', 'Preferred replica election data is empty')
  const partitions = partitionEntries(root).map(({ topic, partition }) => ({ topic, partition }))
  const repeated = duplicates(partitions.map(partitionName))
  if (repeated.length > 0) {
    throw new ToolError(
      'kafka.admin.AdminOperationException',
      `Preferred replica election data contains duplicate partitions: ${repeated.join(',')}`,
    )
  }
  return partitions
}

async function allPartitions(zk: KafkaZk): Promise<PartitionRef[]> {
  const assignments = await zk.getAssignments(await zk.getTopics())
  return [...assignments].flatMap(([topic, assignment]) => [...assignment.keys()].map((partition) => ({ topic, partition })))
}

async function elect(zk: KafkaZk, wanted: readonly PartitionRef[]): Promise<void> {
  const assignments = await zk.getAssignments([...new Set(wanted.map(({ topic }) => topic))])
  const isThere = ({ topic, partition }: PartitionRef): boolean => assignments.get(topic)?.has(partition) === true
  const partitions = wanted.filter(isThere)
  const outcome = await zk.createPreferredReplicaElection(partitions)
  if (outcome === 'nodeExists') {
    const running = (await zk.getPreferredReplicaElection()) ?? []
    const names = running.map(partitionName).join(', ')
    throw new ToolError(
      'kafka.admin.AdminOperationException',
      `Preferred replica leader election currently in progress for Set(${names}). Aborting operation`,
    )
  }
  if (outcome !== 'ok') throw new ToolError('kafka.admin.AdminOperationException', `ZooKeeper answered ${outcome}`)
  const names = partitions.map(partitionName)
  process.stdout.write(`Created preferred replica election path with ${names.join(',')}\n`)
  process.stdout.write(`Successfully started preferred replica election for partitions Set(${names.join(', ')})\n`)
  for (const absent of wanted.filter((partition) => !isThere(partition))) {
    process.stdout.write(
      `Skipping preferred replica leader election for partition ${partitionName(absent)} since it doesn't exist.\n`,
    )
  }
}

/** Answers the exit code: 0 also when the election could not be started, as in 1.1. */
export function main(args: readonly string[]): Promise<number> {
  return runTool(options, async () => {
    const given = parseOptions(args, options)
    if (args.length === 0) {
      throw new UsageError(
        "This tool causes leadership for each partition to be transferred back to the 'preferred replica', it can be used to balance leadership among the servers.",
      )
    }
    checkRequired(given, ['zookeeper'])
    const file = given.has('path-to-json-file') ? only(given, 'path-to-json-file') : undefined
    try {
      await withZooKeeper(only(given, 'zookeeper'), async (zk) => {
        await elect(zk, file === undefined ? await allPartitions(zk) : parseFile(file))
      })
    } catch (error) {
      process.stdout.write('Failed to start preferred replica election\n')
      printTrace(process.stdout, error)
    }
    return 0
  })
}
