import type { KafkaZk, WriteOutcome } from '../../zk/store/types.ts'
import type { ConfigProperties, TopicAssignment } from '../../zk/znodes/types.ts'
import type { BrokerId } from '../base/ids.ts'
import { validateTopicConfig } from '../log/log-config.ts'
import type { Rng } from '../ports/rng.ts'
import { type AssignmentStart, assignReplicas, brokersForAssignment, inScalaOrder, type RackAwareMode } from './assignment.ts'
import { TopicAdminError } from './topic-errors.ts'

/** What the administration of topics needs of ZooKeeper; no controller has to be here, nor alive. */
export type TopicAdminZk = Pick<
  KafkaZk,
  'getAllBrokers' | 'getTopics' | 'topicExists' | 'getAssignments' | 'createTopicAssignment' | 'setTopicAssignment' | 'setConfig'
>

interface NewTopic {
  readonly topic: string
  /** Overrides; validated here. */
  readonly config: ConfigProperties
  /** Only the checks. */
  readonly validateOnly?: boolean
}

const MAX_NAME_LENGTH = 249

/** 1.1's rules and words. Throws `TopicAdminError` (InvalidTopicException). */
export function validateTopicName(topic: string): void {
  const refuse = (message: string): never => {
    throw new TopicAdminError('InvalidTopicException', message)
  }
  if (topic === '') refuse("Topic name is illegal, it can't be empty")
  if (topic === '.' || topic === '..') refuse('Topic name cannot be "." or ".."')
  if (topic.length > MAX_NAME_LENGTH) {
    refuse(`Topic name is illegal, it can't be longer than ${MAX_NAME_LENGTH} characters, topic name: ${topic}`)
  }
  if (!/^[a-zA-Z0-9._-]+$/.test(topic)) {
    refuse(`Topic name "${topic}" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'`)
  }
}

/** Names that differ only in `.` and `_` would share their metrics. */
export function collidingTopics(topic: string, existing: readonly string[]): string[] {
  if (!/[._]/.test(topic)) return []
  const unified = topic.replaceAll('.', '_')
  return existing.filter((other) => other !== topic && other.replaceAll('.', '_') === unified)
}

/**
 * Creates a topic with replicas assigned automatically and answers the assignment. `start` instead of `rng`: for tests. Throws
 * `TopicAdminError`, or what `validateTopicConfig` throws; nothing is written then.
 */
export async function createTopic(
  zk: TopicAdminZk,
  request: NewTopic & {
    readonly partitions: number
    readonly replicationFactor: number
    readonly rackAware: RackAwareMode
    readonly rng: Rng
    readonly start?: AssignmentStart
  },
): Promise<TopicAssignment> {
  const { partitions, replicationFactor, rackAware, rng } = request
  const brokers = brokersForAssignment(await zk.getAllBrokers(), rackAware)
  const random = (): number => (brokers.length > 0 ? rng.int(0, brokers.length) : 0)
  const start = request.start ?? { startIndex: random(), shift: random() }
  const assignment = assignReplicas(brokers, { partitions, replicationFactor, start })
  return createTopicWithAssignment(zk, { ...request, assignment })
}

/** Creates a topic with given replicas. As in 1.1 nobody checks that the brokers exist, or that partition ids have no gaps. */
export async function createTopicWithAssignment(
  zk: TopicAdminZk,
  request: NewTopic & { readonly assignment: TopicAssignment },
): Promise<TopicAssignment> {
  const { topic, config } = request
  const assignment = inScalaOrder(request.assignment)
  validateTopicName(topic)
  if (await zk.topicExists(topic)) throw topicExists(topic)
  if (/[._]/.test(topic)) refuseCollision(topic, await zk.getTopics())
  validateAssignment(assignment)
  validateTopicConfig(config)
  if (request.validateOnly) return assignment
  // The configuration first: brokers read it when the controller tells them of the topic.
  await zk.setConfig('topics', topic, config)
  await writeAssignment(zk, topic, assignment)
  return assignment
}

/**
 * Adds partitions until there are `partitions`, assigned automatically or as given for the new ones only. Answers the whole assignment.
 * Throws `TopicAdminError`.
 */
export async function addPartitions(
  zk: TopicAdminZk,
  request: {
    readonly topic: string
    readonly partitions: number
    readonly assignment?: TopicAssignment
    readonly rackAware: RackAwareMode
    readonly rng: Rng
    readonly validateOnly?: boolean
  },
): Promise<TopicAssignment> {
  const { topic, partitions, rackAware } = request
  const existing = (await zk.getAssignments([topic])).get(topic)
  if (!existing) throw new TopicAdminError('UnknownTopicOrPartitionException', `The topic '${topic}' does not exist.`)
  const first = existing.get(0)
  if (!first) {
    throw new TopicAdminError(
      'AdminOperationException',
      `Unexpected existing replica assignment for topic '${topic}', partition id 0 is missing. Assignment: ${scalaMap(existing)}`,
    )
  }
  if (partitions <= existing.size) {
    throw new TopicAdminError(
      'InvalidPartitionsException',
      `The number of partitions for a topic can only be increased. Topic ${topic} currently has ${existing.size} partitions, ${partitions} would not be an increase.`,
    )
  }
  const brokers = brokersForAssignment(await zk.getAllBrokers(), rackAware)
  if (request.assignment) validateAddedAssignment(request.assignment, first.length, new Set(brokers.map(({ id }) => id)))
  // Goes on where the topic began: not random, the new partitions continue the old pattern.
  const startIndex = Math.max(
    0,
    brokers.findIndex(({ id }) => id >= (first[0] ?? 0)),
  )
  const added =
    request.assignment ??
    assignReplicas(brokers, {
      partitions: partitions - existing.size,
      replicationFactor: first.length,
      firstPartition: existing.size,
      start: { startIndex, shift: startIndex },
    })
  const assignment = new Map([...existing, ...added])
  validateTopicName(topic)
  validateAssignment(assignment)
  if (request.validateOnly) return assignment
  await demandOk(zk.setTopicAssignment(topic, assignment), `changing the assignment of topic ${topic}`)
  return assignment
}

/** Same number of replicas everywhere, nobody twice. An empty list is accepted, as in 1.1: such a partition never gets a leader. */
export function validateAssignment(assignment: TopicAssignment): void {
  if (new Set([...assignment.values()].map((replicas) => replicas.length)).size !== 1) {
    throw new TopicAdminError('InvalidReplicaAssignmentException', 'All partitions should have the same number of replicas')
  }
  for (const replicas of assignment.values()) {
    if (new Set(replicas).size === replicas.length) continue
    throw new TopicAdminError('InvalidReplicaAssignmentException', `Duplicate replica assignment found: ${scalaMap(assignment)}`)
  }
}

function validateAddedAssignment(added: TopicAssignment, replicationFactor: number, brokers: ReadonlySet<BrokerId>): void {
  const refuse = (message: string): never => {
    throw new TopicAdminError('InvalidReplicaAssignmentException', message)
  }
  const byId = [...added].sort(([a], [b]) => a - b)
  for (const [partition, replicas] of byId) {
    if (replicas.length === 0) refuse(`Cannot have replication factor of 0 for partition id ${partition}.`)
    if (new Set(replicas).size !== replicas.length) {
      refuse(`Duplicate brokers not allowed in replica assignment: ${replicas.join(', ')} for partition id ${partition}.`)
    }
    const unknown = replicas.filter((id) => !brokers.has(id))
    if (unknown.length > 0) {
      throw new TopicAdminError(
        'BrokerNotAvailableException',
        `Some brokers specified for partition id ${partition} are not available: ${unknown.join(', ')}.`,
      )
    }
  }
  const bad = byId.filter(([, replicas]) => replicas.length !== replicationFactor)
  if (bad.length === 0) return
  const ids = bad.map(([partition]) => partition).join(', ')
  const factors = bad.map(([, replicas]) => replicas.length).join(', ')
  refuse(
    `Inconsistent replication factor between partitions, partition 0 has ${replicationFactor} while partitions [${ids}] have replication factors [${factors}], respectively.`,
  )
}

/** A creator that lost the race has overwritten the configuration already, as in 1.1. */
async function writeAssignment(zk: TopicAdminZk, topic: string, assignment: TopicAssignment): Promise<void> {
  for (;;) {
    const outcome = await zk.createTopicAssignment(topic, assignment)
    if (outcome === 'nodeExists') throw topicExists(topic)
    if (outcome !== 'unknown') return demandOk(Promise.resolve(outcome), `creating topic ${topic}`)
    // The answer was lost: the node is ours, somebody's, or still to be made.
    const found = (await zk.getAssignments([topic])).get(topic)
    if (!found) continue
    if (scalaMap(found) === scalaMap(assignment)) return
    throw topicExists(topic)
  }
}

async function demandOk(write: Promise<WriteOutcome>, what: string): Promise<void> {
  const outcome = await write
  if (outcome !== 'ok') throw new Error(`${what}: ${outcome}`)
}

function refuseCollision(topic: string, existing: readonly string[]): void {
  const colliding = collidingTopics(topic, existing)
  if (colliding.length === 0) return
  throw new TopicAdminError('InvalidTopicException', `Topic '${topic}' collides with existing topics: ${colliding.join(', ')}`)
}

function topicExists(topic: string): TopicAdminError {
  return new TopicAdminError('TopicExistsException', `Topic '${topic}' already exists.`)
}

/** As 1.1's messages show it. */
function scalaMap(assignment: TopicAssignment): string {
  const entries = [...assignment].sort(([a], [b]) => a - b)
  return `Map(${entries.map(([partition, replicas]) => `${partition} -> ArrayBuffer(${replicas.join(', ')})`).join(', ')})`
}
