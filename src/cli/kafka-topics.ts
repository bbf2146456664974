/** `kafka-topics.sh`: create, list, describe, alter and delete topics through ZooKeeper, with 1.1's options, words and exit codes. */
import { openKafkaZk } from '../../zk/store/index.ts'
import type { KafkaZk } from '../../zk/store/types.ts'
import { addPartitions, createTopic, createTopicWithAssignment } from '../controller/topic-admin.ts'
import { TOPIC_CONFIG_KEYS, validateTopicConfig } from '../log/log-config.ts'
import { nodeClock } from '../ports/node/clock.ts'
import { nodeRng } from '../ports/node/rng.ts'
import { OptionSyntaxError, type ParsedOptions, parseOptions, renderHelp, type ToolOption } from './jopt.ts'
import {
  askToProceed,
  checkInvalid,
  checkRequired,
  integerOption,
  logTime,
  matchesTopicFilter,
  only,
  ToolError,
  UsageError,
} from './tool.ts'

const LOGGER = 'kafka.admin.TopicCommand$'
const SESSION_TIMEOUT_MS = 30_000
const INTERNAL_TOPICS: ReadonlySet<string> = new Set(['__consumer_offsets', '__transaction_state'])
const ACTIONS = ['create', 'list', 'alter', 'describe', 'delete'] as const

const configNames = TOPIC_CONFIG_KEYS.map(({ name }) => name).sort()
const options: readonly ToolOption[] = [
  {
    name: 'zookeeper',
    argument: 'String: hosts',
    required: true,
    description:
      'The connection string for the zookeeper connection in the form host:port. Multiple hosts can be given to allow fail-over.',
  },
  { name: 'list', description: 'List all available topics.' },
  { name: 'create', description: 'Create a new topic.' },
  { name: 'delete', description: 'Delete a topic' },
  { name: 'alter', description: 'Alter the number of partitions, replica assignment, and/or configuration for the topic.' },
  { name: 'describe', description: 'List details for the given topics.' },
  { name: 'help', description: 'Print usage information.' },
  {
    name: 'topic',
    argument: 'String: topic',
    description: 'The topic to be create, alter or describe. Can also accept a regular expression except for --create option',
  },
  {
    name: 'config',
    argument: 'String: name=value',
    description: `A topic configuration override for the topic being created or altered.The following is a list of valid configurations: \n${configNames.map((name) => `\t${name}`).join('\n')}\nSee the Kafka documentation for full details on the topic configs.`,
  },
  {
    name: 'delete-config',
    argument: 'String: name',
    description:
      'A topic configuration override to be removed for an existing topic (see the list of configurations under the --config option).',
  },
  {
    name: 'partitions',
    argument: 'Integer: # of partitions',
    description:
      'The number of partitions for the topic being created or altered (WARNING: If partitions are increased for a topic that has a key, the partition logic or ordering of the messages will be affected',
  },
  {
    name: 'replication-factor',
    argument: 'Integer: replication factor',
    description: 'The replication factor for each partition in the topic being created.',
  },
  {
    name: 'replica-assignment',
    argument:
      'String: broker_id_for_part1_replica1 : broker_id_for_part1_replica2 , broker_id_for_part2_replica1 : broker_id_for_part2_replica2 , ...',
    description: 'A list of manual partition-to-broker assignments for the topic being created or altered.',
  },
  { name: 'under-replicated-partitions', description: 'if set when describing topics, only show under replicated partitions' },
  {
    name: 'unavailable-partitions',
    description: 'if set when describing topics, only show partitions whose leader is not available',
  },
  { name: 'topics-with-overrides', description: 'if set when describing topics, only show topics that have overridden configs' },
  { name: 'if-exists', description: 'if set when altering or deleting topics, the action will only execute if the topic exists' },
  {
    name: 'if-not-exists',
    description: 'if set when creating topics, the action will only execute if the topic does not already exist',
  },
  { name: 'disable-rack-aware', description: 'Disable rack aware replica assignment' },
  { name: 'force', description: 'Suppress console prompts' },
]

/** Which options do not go with which actions or with each other. Throws `UsageError` in 1.1's order. */
function checkOptions(given: ParsedOptions): void {
  checkRequired(given, ['zookeeper'])
  if (!given.has('list') && !given.has('describe')) checkRequired(given, ['topic'])
  const except = (...allowed: string[]): string[] => ACTIONS.filter((action) => !allowed.includes(action))
  const reports = ['under-replicated-partitions', 'unavailable-partitions', 'topics-with-overrides']
  checkInvalid(given, 'config', except('alter', 'create'))
  checkInvalid(given, 'delete-config', except('alter'))
  checkInvalid(given, 'partitions', except('alter', 'create'))
  checkInvalid(given, 'replication-factor', except('create'))
  checkInvalid(given, 'replica-assignment', except('create', 'alter'))
  if (given.has('create')) checkInvalid(given, 'replica-assignment', ['partitions', 'replication-factor'])
  for (const report of reports) {
    checkInvalid(given, report, [...except('describe'), ...reports.filter((other) => other !== report)])
  }
  checkInvalid(given, 'if-exists', except('alter', 'delete'))
  checkInvalid(given, 'if-not-exists', except('create'))
}

function configsToAdd(given: ParsedOptions): Record<string, string> {
  const pairs = (given.get('config') ?? []).map((text) => text.split(/\s*=\s*/))
  if (pairs.some((pair) => pair.length !== 2)) {
    throw new ToolError(
      'java.lang.IllegalArgumentException',
      'requirement failed: Invalid topic config: all configs to be added must be in the format "key=val".',
    )
  }
  const config = Object.fromEntries(pairs.map(([name = '', value = '']) => [name.trim(), value.trim()]))
  validateTopicConfig(config)
  if (config['message.format.version'] !== undefined) {
    process.stdout.write(
      `WARNING: The configuration message.format.version=${config['message.format.version']} is specified. This configuration will be ignored if the version is newer than the inter.broker.protocol.version specified in the broker.\n`,
    )
  }
  return config
}

function brokerId(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new ToolError('java.lang.NumberFormatException', `For input string: "${text}"`)
  return Number(text)
}

/** `0:1,1:0` -> partition -> replicas; the first `from` entries are dropped. */
function parseAssignment(text: string, from: number): Map<number, number[]> {
  const assignment = new Map<number, number[]>()
  const lists = text.split(',').slice(from)
  for (const [i, list] of (lists.length === 0 ? [''] : lists).entries()) {
    const replicas = list.split(':').map((id) => brokerId(id.trim()))
    const duplicates = replicas.filter((id, at) => replicas.indexOf(id) !== at)
    if (duplicates.length > 0) {
      throw new ToolError(
        'kafka.common.AdminCommandFailedException',
        `Partition replica lists may not contain duplicate entries: ${[...new Set(duplicates)].join(',')}`,
      )
    }
    assignment.set(from + i, replicas)
    if (replicas.length !== assignment.get(from)?.length) {
      throw new ToolError(
        'kafka.admin.AdminOperationException',
        `Partition ${from + i} has different replication factor: [${replicas.join(',')}]`,
      )
    }
  }
  return assignment
}

/** A topic above 1.1's default message size needs consumers and replicas that can take it. */
async function warnOfLargeMessages(given: ParsedOptions, config: Record<string, string>, replicas: number): Promise<void> {
  const size = Number(config['max.message.bytes'] ?? 0)
  const usual = Number(TOPIC_CONFIG_KEYS.find(({ name }) => name === 'max.message.bytes')?.default)
  if (size <= usual) return
  process.stderr.write(
    `WARNING: max.message.bytes=${size} is above the default of ${usual}: consumers need a fetch size of at least that${replicas > 1 ? ', and so does replica.fetch.max.bytes of the brokers' : ''}\n`,
  )
  if (replicas > 1 && !given.has('force')) await askToProceed()
}

async function create(zk: KafkaZk, given: ParsedOptions): Promise<void> {
  const topic = only(given, 'topic')
  const config = configsToAdd(given)
  if (/[._]/.test(topic)) {
    process.stdout.write(
      "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.\n",
    )
  }
  try {
    if (given.has('replica-assignment')) {
      const assignment = parseAssignment(only(given, 'replica-assignment'), 0)
      await warnOfLargeMessages(given, config, assignment.get(0)?.length ?? 0)
      await createTopicWithAssignment(zk, { topic, assignment, config })
    } else {
      checkRequired(given, ['partitions', 'replication-factor'])
      const partitions = integerOption(given, 'partitions')
      const replicationFactor = integerOption(given, 'replication-factor')
      await warnOfLargeMessages(given, config, replicationFactor)
      const rackAware = given.has('disable-rack-aware') ? 'disabled' : 'enforced'
      await createTopic(zk, { topic, partitions, replicationFactor, config, rackAware, rng: nodeRng })
    }
    process.stdout.write(`Created topic "${topic}".\n`)
  } catch (error) {
    if ((error as Error).name.endsWith('.TopicExistsException') && given.has('if-not-exists')) return
    throw error
  }
}

/** Topics that `--topic` (a pattern) names, sorted; all without it. */
async function selected(zk: KafkaZk, given: ParsedOptions): Promise<string[]> {
  const all = (await zk.getTopics()).sort()
  const filter = given.get('topic')?.at(-1)
  return filter === undefined ? all : all.filter((topic) => matchesTopicFilter(filter, topic))
}

function demandSome(topics: readonly string[], given: ParsedOptions): void {
  if (topics.length > 0 || given.has('if-exists')) return
  throw new ToolError(
    'java.lang.IllegalArgumentException',
    `Topic ${only(given, 'topic')} does not exist on ZK path ${only(given, 'zookeeper')}`,
  )
}

async function alterConfig(zk: KafkaZk, topic: string, given: ParsedOptions): Promise<void> {
  process.stdout.write(
    'WARNING: Altering topic configuration from this script has been deprecated and may be removed in future releases.\n         Going forward, please use kafka-configs.sh for this functionality\n',
  )
  const added = configsToAdd(given)
  const removed = (given.get('delete-config') ?? []).map((name) => name.trim())
  validateTopicConfig(
    Object.fromEntries(removed.map((name) => [name, TOPIC_CONFIG_KEYS.find((key) => key.name === name)?.default ?? ''])),
  )
  const now = (await zk.getConfigs('topics', [topic])).get(topic) ?? {}
  const config = Object.fromEntries(Object.entries({ ...now, ...added }).filter(([name]) => !removed.includes(name)))
  validateTopicConfig(config)
  await zk.setConfig('topics', topic, config)
  await zk.createConfigChangeNotification(`topics/${topic}`)
  process.stdout.write(`Updated config for topic "${topic}".\n`)
}

async function alterPartitions(zk: KafkaZk, topic: string, given: ParsedOptions): Promise<void> {
  if (topic === '__consumer_offsets') {
    throw new ToolError('java.lang.IllegalArgumentException', 'The number of partitions for the offsets topic cannot be changed.')
  }
  process.stdout.write(
    'WARNING: If partitions are increased for a topic that has a key, the partition logic or ordering of the messages will be affected\n',
  )
  const existing = (await zk.getAssignments([topic])).get(topic)
  if (existing === undefined || existing.size === 0)
    throw new ToolError('java.lang.IllegalArgumentException', `The topic ${topic} does not exist`)
  const partitions = integerOption(given, 'partitions')
  const text = given.get('replica-assignment')?.at(-1)
  const assignment = text === undefined ? undefined : parseAssignment(text, existing.size)
  const rackAware = given.has('disable-rack-aware') ? 'disabled' : 'enforced'
  await addPartitions(zk, { topic, partitions, rackAware, rng: nodeRng, ...(assignment && { assignment }) })
  process.stdout.write('Adding partitions succeeded!\n')
}

async function alter(zk: KafkaZk, given: ParsedOptions): Promise<void> {
  const topics = await selected(zk, given)
  demandSome(topics, given)
  for (const topic of topics) {
    if (given.has('config') || given.has('delete-config')) await alterConfig(zk, topic, given)
    if (given.has('partitions')) await alterPartitions(zk, topic, given)
  }
}

async function list(zk: KafkaZk, given: ParsedOptions): Promise<void> {
  const marked = new Set(await zk.getTopicDeletions())
  for (const topic of await selected(zk, given)) {
    process.stdout.write(marked.has(topic) ? `${topic} - marked for deletion\n` : `${topic}\n`)
  }
}

async function remove(zk: KafkaZk, given: ParsedOptions): Promise<void> {
  const topics = await selected(zk, given)
  demandSome(topics, given)
  for (const topic of topics) {
    if (INTERNAL_TOPICS.has(topic)) {
      throw new ToolError(
        'kafka.admin.AdminOperationException',
        `Topic ${topic} is a kafka internal topic and is not allowed to be marked for deletion.`,
      )
    }
    const outcome = await zk.createDeleteTopic(topic)
    if (outcome === 'nodeExists') process.stdout.write(`Topic ${topic} is already marked for deletion.\n`)
    else if (outcome !== 'ok')
      throw new ToolError('kafka.admin.AdminOperationException', `Error while deleting topic ${topic}: ${outcome}`)
    else
      process.stdout.write(
        `Topic ${topic} is marked for deletion.\nNote: This will have no impact if delete.topic.enable is not set to true.\n`,
      )
  }
}

async function describe(zk: KafkaZk, given: ParsedOptions): Promise<void> {
  const topics = await selected(zk, given)
  const onlyUnder = given.has('under-replicated-partitions')
  const onlyUnavailable = given.has('unavailable-partitions')
  const onlyOverrides = given.has('topics-with-overrides')
  const [assignments, configs, deletions, brokers] = await Promise.all([
    zk.getAssignments(topics),
    zk.getConfigs('topics', topics),
    zk.getTopicDeletions(),
    zk.getBrokerIds(),
  ])
  const wanted = topics.flatMap((topic) => [...(assignments.get(topic)?.keys() ?? [])].map((partition) => ({ topic, partition })))
  const states = await zk.getPartitionStates(wanted)
  for (const topic of topics) {
    const assignment = [...(assignments.get(topic) ?? [])].sort(([a], [b]) => a - b)
    const overrides = Object.entries(configs.get(topic) ?? {}).sort(([a], [b]) => (a < b ? -1 : 1))
    const marked = deletions.includes(topic)
    const withConfigs = !onlyUnder && !onlyUnavailable
    if (withConfigs && (!onlyOverrides || overrides.length > 0)) {
      const text = overrides.map(([name, value]) => `${name}=${value}`).join(',')
      const count = assignment[0]?.[1].length ?? 0
      process.stdout.write(
        `Topic:${topic}\tPartitionCount:${assignment.length}\tReplicationFactor:${count}\tConfigs:${text}${marked ? '\tMarkedForDeletion:true' : ''}\n`,
      )
    }
    if (onlyOverrides) continue
    for (const [partition, replicas] of assignment) {
      const state = states.get(`${topic}-${partition}`)
      const isr = state?.isr ?? []
      const shown =
        (!onlyUnder && !onlyUnavailable) ||
        (onlyUnder && isr.length < replicas.length) ||
        (onlyUnavailable && (state === undefined || !brokers.includes(state.leader)))
      if (!shown) continue
      const mark = marked && !withConfigs ? '\tMarkedForDeletion: true' : ''
      process.stdout.write(
        `\tTopic: ${topic}\tPartition: ${partition}\tLeader: ${state?.leader ?? 'none'}\tReplicas: ${replicas.join(',')}\tIsr: ${isr.join(',')}${mark}\n`,
      )
    }
  }
}

const actions: Record<(typeof ACTIONS)[number], (zk: KafkaZk, given: ParsedOptions) => Promise<void>> = {
  create,
  list,
  alter,
  describe,
  delete: remove,
}

async function execute(given: ParsedOptions): Promise<number> {
  const action = ACTIONS.find((name) => given.has(name)) ?? 'list'
  const silent = { debug() {}, info() {}, warn() {}, error() {} }
  const zk = openKafkaZk(
    { connect: only(given, 'zookeeper'), sessionTimeoutMs: SESSION_TIMEOUT_MS, connectionTimeoutMs: SESSION_TIMEOUT_MS },
    nodeClock,
    silent,
  )
  try {
    await zk.session.start()
  } catch (error) {
    process.stderr.write(
      `Exception in thread "main" kafka.zookeeper.ZooKeeperClientTimeoutException: ${(error as Error).message}\n`,
    )
    return 1
  }
  try {
    await actions[action](zk, given)
    return 0
  } catch (error) {
    if (error instanceof UsageError) throw error
    const { name, message } = error as Error
    process.stdout.write(`Error while executing topic command : ${message}\n`)
    process.stderr.write(`[${logTime()}] ERROR ${name.includes('.') ? name : (error as Error).stack}: ${message}\n (${LOGGER})\n`)
    return 1
  } finally {
    await zk.session.close()
  }
}

/** Answers the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    const given = parseOptions(args, options)
    if (args.length === 0) throw new UsageError('Create, delete, describe, or change a topic.')
    if (ACTIONS.filter((action) => given.has(action)).length !== 1) {
      throw new UsageError('Command must include exactly one action: --list, --describe, --create, --alter or --delete')
    }
    checkOptions(given)
    return await execute(given)
  } catch (error) {
    if (error instanceof OptionSyntaxError) {
      process.stderr.write(`Exception in thread "main" ${error.javaClass}: ${error.message}\n`)
      return 1
    }
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(`${error.message}\n${renderHelp(options)}`)
    return 1
  }
}
