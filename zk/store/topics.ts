import { createPath } from '../client/create-path.ts'
import type { ZkResponse, ZkWriteOp } from '../client/types.ts'
import {
  BROKER_IDS_PATH,
  brokerIdPath,
  decodeBrokerId,
  decodePartitionState,
  decodeTopic,
  encodePartitionState,
  encodeTopic,
  type PartitionRef,
  type PartitionState,
  partitionPath,
  partitionStatePath,
  partitionsPath,
  sameState,
  TOPICS_PATH,
  topicPath,
} from '../znodes/index.ts'
import {
  ANY_VERSION,
  childrenOf,
  expectCode,
  fencedGroups,
  fencedWrites,
  inGroups,
  outcomeOf,
  read,
  readAll,
  type StoreContext,
  tolerant,
  write,
} from './context.ts'
import type { ControllerFence, KafkaZk, PartitionStateWrite, PartitionStateWritten, WriteOutcome } from './types.ts'

type TopicVerbs = Pick<
  KafkaZk,
  | 'getBrokerIds'
  | 'getBroker'
  | 'getAllBrokers'
  | 'getTopics'
  | 'getAssignments'
  | 'topicExists'
  | 'createTopicAssignment'
  | 'setTopicAssignment'
  | 'getPartitionStates'
  | 'createPartitionStates'
  | 'setPartitionStates'
  | 'updateIsr'
  | 'deleteTopicZnodes'
>

export function topicVerbs(context: StoreContext): TopicVerbs {
  const { session } = context
  const brokerOf = (brokerId: number, node: ZkResponse | undefined) =>
    node === undefined
      ? undefined
      : tolerant(context, () => ({ ...decodeBrokerId(brokerId, node.data ?? null), czxid: node.stat!.czxid }))
  const getBrokerIds = async () => {
    const names = await childrenOf(context, BROKER_IDS_PATH)
    const strangers = names.filter((name) => !/^\d{1,10}$/.test(name))
    if (strangers.length > 0) context.log.error(`${BROKER_IDS_PATH} has children that are no broker ids: ${strangers.join(', ')}`)
    return names
      .filter((name) => !strangers.includes(name))
      .map(Number)
      .sort((a, b) => a - b)
  }
  return {
    getBrokerIds,

    async getBroker(brokerId) {
      return brokerOf(brokerId, await read(context, brokerIdPath(brokerId)))
    },

    async getAllBrokers() {
      const ids = await getBrokerIds()
      const nodes = await readAll(context, ids.map(brokerIdPath))
      return ids.map((id, i) => brokerOf(id, nodes[i])).filter((broker) => broker !== undefined)
    },

    getTopics: () => childrenOf(context, TOPICS_PATH),

    async getAssignments(topics) {
      const nodes = await readAll(context, topics.map(topicPath))
      const assignments = new Map<string, ReturnType<typeof decodeTopic>>()
      topics.forEach((topic, i) => {
        const node = nodes[i]
        if (node !== undefined)
          assignments.set(topic, tolerant(context, () => decodeTopic(topic, node.data ?? null)) ?? new Map())
      })
      return assignments
    },

    async topicExists(topic) {
      return pathExists(context, topicPath(topic))
    },

    async createTopicAssignment(topic, assignment) {
      return outcomeOf(await createPath(session, topicPath(topic), encodeTopic(assignment), context.acl))
    },

    setTopicAssignment(topic, assignment, fence) {
      return write(context, { op: 'setData', path: topicPath(topic), data: encodeTopic(assignment), version: ANY_VERSION }, fence)
    },

    getPartitionStates: (partitions) => partitionStates(context, partitions),
    createPartitionStates: (states, fence) => createStates(context, states, fence),
    setPartitionStates: (states, fence) => setStates(context, states, fence),
    updateIsr: (state) => updateIsr(context, state),
    deleteTopicZnodes: (topic, fence) => deleteTree(context, topicPath(topic), fence),
  }
}

export async function pathExists({ session }: StoreContext, path: string): Promise<boolean> {
  return expectCode(await session.request({ op: 'exists', path }), 'exists', 'noNode').code === 'ok'
}

async function partitionStates(context: StoreContext, partitions: readonly PartitionRef[]): Promise<Map<string, PartitionState>> {
  const nodes = await readAll(
    context,
    partitions.map(({ topic, partition }) => partitionStatePath(topic, partition)),
  )
  const states = new Map<string, PartitionState>()
  partitions.forEach(({ topic, partition }, i) => {
    const node = nodes[i]
    if (node === undefined) return
    const state = tolerant(context, () => decodePartitionState(topic, partition, node.data ?? null, node.stat!.version))
    if (state !== undefined) states.set(`${topic}-${partition}`, state)
  })
  return states
}

/** All `partitions` nodes, then all `<p>`, then all `state`; in one go, since ZooKeeper keeps the order of a session. */
async function createStates(
  context: StoreContext,
  states: readonly Omit<PartitionStateWrite, 'expectedVersion'>[],
  fence: ControllerFence,
): Promise<PartitionStateWritten[]> {
  const parents = [...new Set(states.map(({ topic }) => topic))].map(partitionsPath)
  const folders = states.map(({ topic, partition }) => partitionPath(topic, partition))
  const create = (path: string, data: Buffer | null): ZkWriteOp => ({
    op: 'create',
    path,
    data,
    mode: 'persistent',
    acl: context.acl(path),
  })
  const answers = await fencedGroups(context, fence, [
    ...inGroups(parents, (path) => create(path, null)),
    ...inGroups(folders, (path) => create(path, null)),
    ...inGroups(states, (state) => create(partitionStatePath(state.topic, state.partition), encodePartitionState(state))),
  ])
  const own = answers.slice(parents.length + folders.length)
  return Promise.all(
    own.map(({ outcome, doubtful }, i) => {
      const state = states[i]!
      if (outcome === 'nodeExists' && doubtful) return readBack(context, state, outcome)
      return { topic: state.topic, partition: state.partition, outcome, zkVersion: 0 }
    }),
  )
}

async function setStates(
  context: StoreContext,
  states: readonly PartitionStateWrite[],
  fence: ControllerFence,
): Promise<PartitionStateWritten[]> {
  const write = (state: PartitionStateWrite): ZkWriteOp => ({
    op: 'setData',
    path: partitionStatePath(state.topic, state.partition),
    data: encodePartitionState(state),
    version: state.expectedVersion,
  })
  const answers = await fencedGroups(context, fence, inGroups(states, write))
  return Promise.all(
    answers.map(({ outcome, inner, doubtful }, i) => {
      const state = states[i]!
      if (outcome === 'unknown' || (outcome === 'badVersion' && doubtful)) return readBack(context, state, outcome)
      const zkVersion = inner?.stat?.version ?? state.expectedVersion
      return { topic: state.topic, partition: state.partition, outcome, zkVersion }
    }),
  )
}

async function updateIsr(context: StoreContext, state: PartitionStateWrite): Promise<PartitionStateWritten> {
  const { topic, partition } = state
  const path = partitionStatePath(topic, partition)
  const data = encodePartitionState(state)
  const response = await context.session.request({ op: 'setData', path, data, version: state.expectedVersion })
  const outcome = outcomeOf(response)
  if (outcome === 'ok') return { topic, partition, outcome, zkVersion: response.stat!.version }
  if (outcome === 'badVersion' || outcome === 'unknown') return readBack(context, state, outcome)
  return { topic, partition, outcome, zkVersion: state.expectedVersion }
}

/**
 * 1.1's rule (KAFKA-1382): what is stored says the same as what we wanted to write, so it is our write and its answer was lost.
 * Otherwise the outcome stays what it was; the version is that of the stored state.
 */
async function readBack(
  context: StoreContext,
  wanted: Omit<PartitionStateWrite, 'expectedVersion'>,
  refused: WriteOutcome,
): Promise<PartitionStateWritten> {
  const { topic, partition } = wanted
  const node = await context.session.request({ op: 'getData', path: partitionStatePath(topic, partition) })
  const zkVersion = node.stat?.version ?? -1
  if (node.code !== 'ok') return { topic, partition, outcome: outcomeOf(node), zkVersion }
  const stored = tolerant(context, () => decodePartitionState(topic, partition, node.data ?? null, zkVersion))
  if (stored !== undefined && sameState(stored, wanted)) return { topic, partition, outcome: 'ok', zkVersion }
  return { topic, partition, outcome: refused, zkVersion }
}

/** Children first, in the order in which ZooKeeper names them, as 1.1; but the tree is read before and the deletions are pipelined. */
async function deleteTree(context: StoreContext, path: string, fence: ControllerFence): Promise<WriteOutcome> {
  const doomed = await subtree(context, path)
  const answers = await fencedWrites(
    context,
    fence,
    doomed.map((target) => ({ op: 'delete', path: target, version: ANY_VERSION })),
  )
  return answers.map(({ outcome }) => (outcome === 'noNode' ? 'ok' : outcome)).find((outcome) => outcome !== 'ok') ?? 'ok'
}

/** `path` and all below it, every node after its children. Level by level, each level pipelined. */
async function subtree(context: StoreContext, path: string): Promise<string[]> {
  const children = new Map<string, string[]>()
  let level = [path]
  while (level.length > 0) {
    const names = await Promise.all(level.map((node) => childrenOf(context, node)))
    const next = level.flatMap((node, i) => {
      const below = names[i]!.map((name) => `${node}/${name}`)
      children.set(node, below)
      return below
    })
    level = next
  }
  const ordered: string[] = []
  const visit = (node: string): void => {
    for (const child of children.get(node) ?? []) visit(child)
    ordered.push(node)
  }
  visit(path)
  return ordered
}
