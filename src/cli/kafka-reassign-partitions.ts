/** `kafka-reassign-partitions.sh`: proposes, starts and checks moves of partitions between brokers and log directories, as 1.1's tool does. */
import type { KafkaZk } from '../../zk/store/types.ts'
import type { TopicAssignment } from '../../zk/znodes/types.ts'
import { assignReplicas, brokersForAssignment } from '../controller/assignment.ts'
import { nodeRng } from '../ports/node/rng.ts'
import { type ParsedOptions, parseOptions } from './jopt.ts'
import type { ReassignmentStatus } from './reassign/log-dirs.ts'
import { reassignOptions as options } from './reassign/options.ts'
import { checkPlan, failed, type Move, type Plan, planText, readPlan, replicaName } from './reassign/plan.ts'
import { limit, removeThrottle, type Throttle, throttleReplicas } from './reassign/throttle.ts'
import {
  checkInvalid,
  checkRequired,
  duplicates,
  longOption,
  only,
  partitionName,
  printTrace,
  readTextFile,
  runTool,
  ToolError,
  UsageError,
} from './tool.ts'
import type { BrokerCluster } from './tool-brokers.ts'
import { fieldsOf, objectsIn, textField } from './tool-json.ts'
import { withZooKeeper } from './tool-zookeeper.ts'

const NO_BROKERS = 'bootstrap-server needs to be provided in order to reassign replica to the specified log directory'
const DEFAULT_TIMEOUT_MS = 10_000

/** Throws `UsageError` in 1.1's order. */
function checkOptions(given: ParsedOptions): void {
  if (['generate', 'execute', 'verify'].filter((action) => given.has(action)).length !== 1) {
    throw new UsageError('Command must include exactly one action: --generate, --execute or --verify')
  }
  checkRequired(given, ['zookeeper'])
  const demand = (names: readonly string[], message: string): void => {
    if (!names.every((name) => given.has(name))) throw new UsageError(message)
  }
  if (given.has('verify')) {
    demand(
      ['reassignment-json-file'],
      'If --verify option is used, command must include --reassignment-json-file that was used during the --execute option',
    )
    const others = [
      'throttle',
      'replica-alter-log-dirs-throttle',
      'topics-to-move-json-file',
      'disable-rack-aware',
      'broker-list',
    ]
    checkInvalid(given, 'verify', others)
  } else if (given.has('generate')) {
    demand(
      ['topics-to-move-json-file', 'broker-list'],
      'If --generate option is used, command must include both --topics-to-move-json-file and --broker-list options',
    )
    checkInvalid(given, 'generate', ['throttle', 'replica-alter-log-dirs-throttle', 'reassignment-json-file'])
  } else {
    demand(
      ['reassignment-json-file'],
      'If --execute option is used, command must include --reassignment-json-file that was output during the --generate option',
    )
    checkInvalid(given, 'execute', ['topics-to-move-json-file', 'disable-rack-aware', 'broker-list'])
  }
}

function brokerList(given: ParsedOptions): number[] {
  const ids = only(given, 'broker-list')
    .split(',')
    .map((text) => {
      if (!/^[+-]?\d+$/.test(text)) throw new ToolError('java.lang.NumberFormatException', `For input string: "${text}"`)
      return Number(text)
    })
  const repeated = duplicates(ids)
  if (repeated.length > 0) throw failed(`Broker list contains duplicate entries: ${repeated.join(',')}`)
  return ids
}

async function generate(zk: KafkaZk, given: ParsedOptions): Promise<void> {
  const ids = brokerList(given)
  const root = fieldsOf(readTextFile(only(given, 'topics-to-move-json-file'))) ?? {}
  const topics = objectsIn(root, 'topics').map((entry) => textField(entry, 'topic'))
  const repeated = duplicates(topics)
  if (repeated.length > 0) throw failed(`List of topics to reassign contains duplicate entries: ${repeated.join(',')}`)
  const current = await zk.getAssignments(topics)
  const registered = (await zk.getAllBrokers()).filter(({ brokerId }) => ids.includes(brokerId))
  const brokers = brokersForAssignment(registered, given.has('disable-rack-aware') ? 'disabled' : 'enforced')
  const random = (): number => (brokers.length > 0 ? nodeRng.int(0, brokers.length) : 0)
  const proposed = new Map<string, TopicAssignment>()
  for (const [topic, assignment] of current) {
    const replicationFactor = [...assignment.values()][0]?.length ?? 0
    const request = { partitions: assignment.size, replicationFactor, start: { startIndex: random(), shift: random() } }
    proposed.set(topic, assignReplicas(brokers, request))
  }
  process.stdout.write(
    `Current partition replica assignment\n${planText(current)}\n\nProposed partition reassignment configuration\n${planText(proposed)}\n`,
  )
}

/** What the cluster knows must hold for the plan. Throws `ToolError`. */
async function checkAgainstCluster(
  zk: KafkaZk,
  moves: readonly Move[],
  existing: ReadonlyMap<string, TopicAssignment>,
): Promise<void> {
  const absent = moves.filter(({ topic, partition }) => existing.get(topic)?.has(partition) !== true).map(partitionName)
  if (absent.length > 0) {
    throw failed(`The proposed assignment contains non-existent partitions: ListBuffer(${absent.join(', ')})`)
  }
  const known = await zk.getBrokerIds()
  const unknown = new Set(moves.flatMap(({ replicas }) => replicas).filter((id) => !known.includes(id)))
  if (unknown.size > 0) throw failed(`The proposed assignment contains non-existent brokerIDs: ${[...unknown].join(',')}`)
}

async function throttleAll(
  zk: KafkaZk,
  plan: Plan,
  existing: ReadonlyMap<string, TopicAssignment>,
  throttle: Throttle,
): Promise<void> {
  if (throttle.interBroker >= 0) await throttleReplicas(zk, plan.moves, existing)
  await limit(zk, plan, existing, throttle)
  if (throttle.interBroker >= 0) {
    process.stdout.write(`The inter-broker throttle limit was set to ${throttle.interBroker} B/s\n`)
  }
  if (throttle.logDirs >= 0) process.stdout.write(`The replica-alter-dir throttle limit was set to ${throttle.logDirs} B/s\n`)
}

async function start(zk: KafkaZk, plan: Plan, cluster: BrokerCluster | undefined, timeoutMs: number): Promise<boolean> {
  const { moves, replicaMoves } = plan
  if (replicaMoves.length > 0 && cluster === undefined) throw failed(NO_BROKERS)
  const deadline = performance.now() + timeoutMs
  const logDirs = cluster === undefined ? undefined : await import('./reassign/log-dirs.ts')
  if (cluster !== undefined) await logDirs?.announceLogDirs(cluster, replicaMoves)
  const outcome = await zk.createReassignments(new Map(moves.map((move) => [partitionName(move), move.replicas])))
  if (outcome === 'nodeExists') {
    const running = [...((await zk.getReassignments()) ?? new Map<string, readonly number[]>())]
    const text = running.map(([name, replicas]) => `${name} -> List(${replicas.join(', ')})`).join(', ')
    throw failed(`Partition reassignment currently in progress for Map(${text}). Aborting operation`)
  }
  if (outcome !== 'ok') throw failed(`ZooKeeper answered ${outcome}`)
  if (cluster === undefined || logDirs === undefined) return true
  return logDirs.moveLogDirs(cluster, replicaMoves, deadline - performance.now())
}

async function execute(zk: KafkaZk, given: ParsedOptions, cluster: BrokerCluster | undefined): Promise<void> {
  const plan = readPlan(only(given, 'reassignment-json-file'))
  const throttle = {
    interBroker: longOption(given, 'throttle', -1),
    logDirs: longOption(given, 'replica-alter-log-dirs-throttle', -1),
  }
  const timeoutMs = longOption(given, 'timeout', DEFAULT_TIMEOUT_MS)
  checkPlan(plan)
  const existing = await zk.getAssignments([...new Set(plan.moves.map(({ topic }) => topic))])
  await checkAgainstCluster(zk, plan.moves, existing)
  if ((await zk.getReassignments()) !== undefined) {
    process.stdout.write('There is an existing assignment running.\n')
    return limit(zk, plan, existing, throttle)
  }
  process.stdout.write(
    `Current partition replica assignment\n\n${planText(existing)}\n\nSave this to use as the --reassignment-json-file option during rollback\n`,
  )
  if (throttle.interBroker >= 0 || throttle.logDirs >= 0) {
    process.stdout.write(
      'Warning: You must run Verify periodically, until the reassignment completes, to ensure the throttle is removed. You can also alter the throttle by rerunning the Execute command passing a new value.\n',
    )
  }
  await throttleAll(zk, plan, existing, throttle)
  if (await start(zk, plan, cluster, timeoutMs)) process.stdout.write('Successfully started reassignment of partitions.\n')
  else {
    const text = plan.moves.map((move) => `(${partitionName(move)},List(${move.replicas.join(', ')}))`).join(', ')
    process.stdout.write(`Failed to reassign partitions ListBuffer(${text})\n`)
  }
}

const STATUS_TEXT: Record<ReassignmentStatus, string> = {
  completed: 'completed successfully',
  failed: 'failed',
  'in progress': 'is still in progress',
}

function moveStatus(
  move: Move,
  running: ReadonlyMap<string, unknown>,
  existing: ReadonlyMap<string, TopicAssignment>,
): ReassignmentStatus {
  if (running.has(partitionName(move))) return 'in progress'
  const assigned = existing.get(move.topic)?.get(move.partition) ?? []
  if (assigned.join() === move.replicas.join()) return 'completed'
  process.stdout.write(
    `ERROR: Assigned replicas (${assigned.join(',')}) don't match the list of replicas for reassignment (${move.replicas.join(',')}) for partition ${partitionName(move)}\n`,
  )
  return 'failed'
}

async function verify(zk: KafkaZk, given: ParsedOptions, cluster: BrokerCluster | undefined): Promise<void> {
  const { moves, replicaMoves } = readPlan(only(given, 'reassignment-json-file'))
  process.stdout.write('Status of partition reassignment: \n')
  const running = (await zk.getReassignments()) ?? new Map<string, readonly number[]>()
  const topics = new Set(moves.map(({ topic }) => topic))
  const existing = await zk.getAssignments([...topics])
  const statuses = moves.map((move) => ({
    name: `partition ${partitionName(move)}`,
    status: moveStatus(move, running, existing),
  }))
  if (replicaMoves.length > 0) {
    if (cluster === undefined) throw failed(NO_BROKERS)
    const { logDirStatus } = await import('./reassign/log-dirs.ts')
    for (const [move, status] of await logDirStatus(cluster, replicaMoves)) {
      statuses.push({ name: `replica ${replicaName(move)}`, status })
    }
  }
  for (const { name, status } of statuses) process.stdout.write(`Reassignment of ${name} ${STATUS_TEXT[status]}\n`)
  const isDone = statuses.every(({ status }) => status === 'completed')
  if (isDone && (await removeThrottle(zk, topics))) process.stdout.write('Throttle was removed.\n')
}

async function connect(given: ParsedOptions): Promise<BrokerCluster | undefined> {
  if (!given.has('bootstrap-server')) return undefined
  const { BrokerCluster } = await import('./tool-brokers.ts')
  return BrokerCluster.connect(only(given, 'bootstrap-server'))
}

/** Answers the exit code: 0 also when the reassignment failed, as in 1.1. */
export function main(args: readonly string[]): Promise<number> {
  return runTool(options, async () => {
    const given = parseOptions(args, options)
    if (args.length === 0) throw new UsageError('This command moves topic partitions between replicas.')
    checkOptions(given)
    try {
      await withZooKeeper(only(given, 'zookeeper'), async (zk) => {
        if (given.has('generate')) return generate(zk, given)
        const cluster = await connect(given)
        return given.has('verify') ? verify(zk, given, cluster) : execute(zk, given, cluster)
      })
    } catch (error) {
      process.stdout.write(`Partitions reassignment failed due to ${(error as Error).message}\n`)
      printTrace(process.stdout, error)
    }
    return 0
  })
}
