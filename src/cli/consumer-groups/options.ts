/** Options of `kafka-consumer-groups.sh`, and which of them go together, as in 1.1. */
import type { ParsedOptions, ToolOption } from '../jopt.ts'
import { checkInvalid, checkRequired, ToolError, UsageError } from '../tool.ts'

export const options: readonly ToolOption[] = [
  { name: 'all-topics', description: 'Consider all topics assigned to a group in the `reset-offsets` process.' },
  {
    name: 'bootstrap-server',
    argument: 'String: server to connect to',
    description: 'REQUIRED (for consumer groups based on the new consumer): The server to connect to.',
  },
  {
    name: 'by-duration',
    argument: 'String: duration',
    description: "Reset offsets to offset by duration from current timestamp. Format: 'PnDTnHnMnS'",
  },
  {
    name: 'command-config',
    argument: 'String: command config property file',
    description: 'Property file containing configs to be passed to Admin Client and Consumer.',
  },
  {
    name: 'delete',
    description:
      "Pass in groups to delete topic partition offsets and ownership information over the entire consumer group. For instance --group g1 --group g2\nPass in groups with a single topic to just delete the given topic's partition offsets and ownership information for the given consumer groups. For instance --group g1 --group g2 --topic t1\nPass in just a topic to delete the given topic's partition offsets and ownership information for every consumer group. For instance --topic t1\nWARNING: Group deletion only works for old ZK-based consumer groups, and one has to use it carefully to only delete groups that are not active.",
  },
  {
    name: 'describe',
    description: 'Describe consumer group and list offset lag (number of messages not yet processed) related to given group.',
  },
  {
    name: 'dry-run',
    description: 'Only show results without executing changes on Consumer Groups. Supported operations: reset-offsets.',
  },
  { name: 'execute', description: 'Execute operation. Supported operations: reset-offsets.' },
  { name: 'export', description: 'Export operation execution to a CSV file. Supported operations: reset-offsets.' },
  { name: 'from-file', argument: 'String: path to CSV file', description: 'Reset offsets to values defined in CSV file.' },
  { name: 'group', argument: 'String: consumer group', description: 'The consumer group we wish to act on.' },
  { name: 'list', description: 'List all consumer groups.' },
  {
    name: 'members',
    description:
      "Describe members of the group. This option may be used with '--describe' and '--bootstrap-server' options only.\nExample: --bootstrap-server localhost:9092 --describe --group group1 --members",
  },
  {
    name: 'new-consumer',
    description:
      'Use the new consumer implementation. This is the default, so this option is deprecated and will be removed in a future release.',
  },
  {
    name: 'offsets',
    description:
      "Describe the group and list all topic partitions in the group along with their offset lag. This is the default sub-action of and may be used with '--describe' and '--bootstrap-server' options only.\nExample: --bootstrap-server localhost:9092 --describe --group group1 --offsets",
  },
  {
    name: 'reset-offsets',
    description:
      "Reset offsets of consumer group. Supports one consumer group at the time, and instances should be inactive\nHas 2 execution options: --dry-run (the default) to plan which offsets to reset, and --execute to update the offsets. Additionally, the --export option is used to export the results to a CSV format.\nYou must choose one of the following reset specifications: --to-datetime, --by-period, --to-earliest, --to-latest, --shift-by, --from-file, --to-current.\nTo define the scope use --all-topics or --topic. One scope must be specified unless you use '--from-file'.",
  },
  {
    name: 'shift-by',
    argument: 'Long: number-of-offsets',
    description: "Reset offsets shifting current offset by 'n', where 'n' can be positive or negative.",
  },
  {
    name: 'state',
    description:
      "Describe the group state. This option may be used with '--describe' and '--bootstrap-server' options only.\nExample: --bootstrap-server localhost:9092 --describe --group group1 --state",
  },
  {
    name: 'timeout',
    argument: 'Long: timeout (ms)',
    description:
      'The timeout that can be set for some use cases. For example, it can be used when describing the group to specify the maximum amount of time in milliseconds to wait before the group stabilizes (when the group is just created, or is going through some changes).',
    default: 5000,
  },
  { name: 'to-current', description: 'Reset offsets to current offset.' },
  {
    name: 'to-datetime',
    argument: 'String: datetime',
    description: "Reset offsets to offset from datetime. Format: 'YYYY-MM-DDTHH:mm:SS.sss'",
  },
  { name: 'to-earliest', description: 'Reset offsets to earliest offset.' },
  { name: 'to-latest', description: 'Reset offsets to latest offset.' },
  { name: 'to-offset', argument: 'Long: offset', description: 'Reset offsets to a specific offset.' },
  {
    name: 'topic',
    argument: 'String: topic',
    description:
      'The topic whose consumer group information should be deleted or topic whose should be included in the reset offset process. In `reset-offsets` case, partitions can be specified using this format: `topic1:0,1,2`, where 0,1,2 are the partition to be included in the process. Reset-offsets also supports multiple topic inputs.',
  },
  {
    name: 'verbose',
    description:
      "Provide additional information, if any, when describing the group. This option may be used with '--offsets'/'--members'/'--state' and '--bootstrap-server' options only.\nExample: --bootstrap-server localhost:9092 --describe --group group1 --members --verbose",
  },
  {
    name: 'zookeeper',
    argument: 'String: urls',
    description:
      'REQUIRED (for consumer groups based on the old consumer): The connection string for the zookeeper connection in the form host:port. Multiple URLS can be given to allow fail-over.',
  },
]

/** Exactly one of these says from what the new offsets are made. */
const SCENARIOS = [
  'to-offset',
  'to-datetime',
  'by-duration',
  'to-earliest',
  'to-latest',
  'shift-by',
  'from-file',
  'to-current',
] as const

export type Scenario = (typeof SCENARIOS)[number]

const ACTIONS = ['list', 'describe', 'delete', 'reset-offsets'] as const
const VIEWS = ['members', 'offsets', 'state'] as const

const DRY_RUN_WARNING =
  'WARN: In a future major release, the default behavior of this command will be to prompt the user before executing the reset rather than doing a dry run. You should add the --dry-run option explicitly if you are scripting this command and want to keep the current default behavior without prompting.\n'

export function scenarioOf(given: ParsedOptions): Scenario | undefined {
  return SCENARIOS.find((name) => given.has(name))
}

/** Throws `ToolError` for options that need another one, or exclude each other. */
export function checkAvailable(given: ParsedOptions): void {
  const views = VIEWS.filter((name) => given.has(name))
  const isUsable = given.has('describe') && !given.has('zookeeper')
  const names: string[] = views.length > 1 || !isUsable ? [...views] : []
  if (given.has('verbose') && !isUsable) names.push('verbose')
  if (names.length === 0) return
  throw new ToolError(
    'joptsimple.UnavailableOptionException',
    `Option(s) [${names.join(', ')}] are unavailable given other options on the command line`,
  )
}

/** Throws `UsageError`. */
export function checkOptions(given: ParsedOptions, stderr: NodeJS.WritableStream): void {
  if (ACTIONS.filter((name) => given.has(name)).length !== 1) {
    throw new UsageError('Command must include exactly one action: --list, --describe, --delete, --reset-offsets')
  }
  if (given.has('zookeeper')) {
    for (const name of ['bootstrap-server', 'new-consumer']) {
      if (given.has(name)) throw new UsageError(`Option [${name}] is not valid with [zookeeper].`)
    }
  } else {
    checkRequired(given, ['bootstrap-server'])
    if (given.has('new-consumer')) {
      stderr.write(
        'The [new-consumer] option is deprecated and will be removed in a future major release.The new consumer is used by default if the [bootstrap-server] option is provided.\n',
      )
    }
  }
  if (given.has('describe')) checkRequired(given, ['group'])
  if (given.has('delete')) checkDelete(given)
  if (given.has('reset-offsets')) checkReset(given, stderr)
  if (given.has('list')) checkInvalid(given, 'group', ['list'])
  checkInvalid(given, 'topic', ['list', 'describe'])
}

function checkDelete(given: ParsedOptions): void {
  if (!given.has('group') && !given.has('topic')) {
    throw new UsageError('Option [delete] either takes [group], [topic], or both')
  }
  if (given.has('topic') && !given.has('zookeeper')) {
    throw new UsageError(
      'When deleting a consumer group the option [topic] is only valid with [zookeeper]. The new consumer does not support topic-specific offset deletion from a consumer group.',
    )
  }
}

function checkReset(given: ParsedOptions, stderr: NodeJS.WritableStream): void {
  if (given.has('dry-run') && given.has('execute')) {
    throw new UsageError('Option [reset-offsets] only accepts one of [execute] and [dry-run]')
  }
  if (!given.has('dry-run') && !given.has('execute')) stderr.write(DRY_RUN_WARNING)
  checkRequired(given, ['group'])
  for (const name of SCENARIOS) {
    checkInvalid(
      given,
      name,
      SCENARIOS.filter((other) => other !== name),
    )
  }
}
