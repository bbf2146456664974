/** Groups of the old consumer, which live in ZooKeeper: `/consumers/<group>`. */
import type { KafkaZk } from '../../../zk/store/types.ts'
import {
  CONSUMERS_PATH,
  consumerIdsPath,
  groupOffsetsPath,
  groupOwnersPath,
  groupPath,
  ownerPath,
} from '../../../zk/znodes/consumers.ts'
import type { TopicPartition } from '../../base/ids.ts'
import { type Admin, createAdmin } from '../../client/index.ts'
import { partitionName, ToolError } from '../tool.ts'
import { MISSING, type OffsetRow, offsetTable } from './tables.ts'

const ANY_VERSION = -1
const TOPIC_NAME = /^[a-zA-Z0-9._-]+$/

type Print = (text: string) => void

/** Throws `ToolError` for a node that is not there. */
async function childrenOf(zk: KafkaZk, path: string): Promise<string[]> {
  const { code, children } = await zk.session.request({ op: 'getChildren', path })
  if (code === 'ok') return [...(children ?? [])]
  if (code === 'noNode') {
    throw new ToolError(
      'org.I0Itec.zkclient.exception.ZkNoNodeException',
      `org.apache.zookeeper.KeeperException$NoNodeException: KeeperErrorCode = NoNode for ${path}`,
    )
  }
  throw new ToolError('org.I0Itec.zkclient.exception.ZkException', `getChildren ${path}: ${code}`)
}

const isMissing = (error: unknown): boolean => error instanceof ToolError && error.name.endsWith('NoNodeException')

async function childrenIfAny(zk: KafkaZk, path: string): Promise<string[]> {
  try {
    return await childrenOf(zk, path)
  } catch (error) {
    if (isMissing(error)) return []
    throw error
  }
}

/** Children first; what is gone meanwhile is fine. */
async function deleteTree(zk: KafkaZk, path: string): Promise<void> {
  for (const child of await childrenIfAny(zk, path)) await deleteTree(zk, `${path}/${child}`)
  await zk.session.request({ op: 'delete', path, version: ANY_VERSION })
}

export class ZooKeeperGroups {
  readonly #zk: KafkaZk
  readonly #connect: string
  readonly #out: Print

  constructor(zk: KafkaZk, connect: string, out: Print) {
    this.#zk = zk
    this.#connect = connect
    this.#out = out
  }

  list(): Promise<string[]> {
    return childrenIfAny(this.#zk, CONSUMERS_PATH)
  }

  /** Throws `ToolError`. */
  async describe(group: string): Promise<void> {
    if (!(await this.list()).includes(group)) {
      this.#out(`Error: The consumer group '${group}' does not exist.\n`)
      return
    }
    const partitions = await this.#partitionsOf(group)
    const idle = new Set(await childrenOf(this.#zk, consumerIdsPath(group)))
    const owners = await this.#ownersOf(group, partitions)
    const rows: OffsetRow[] = []
    const admin = createAdmin({ 'zookeeper.connect': this.#connect })
    try {
      const committed = await this.#committed(admin, group, partitions)
      const { entries } = await admin.listOffsets(partitions.map((one) => ({ ...one, at: 'latest' })))
      const ends = new Map(entries.map(([one, , end]) => [partitionName(one), end?.offset]))
      for (const one of partitions) {
        const name = partitionName(one)
        const consumerId = owners.get(name) ?? MISSING
        idle.delete(consumerId)
        rows.push({ ...one, current: committed.get(name), end: ends.get(name), consumerId, host: '', clientId: '' })
      }
    } finally {
      await admin.close()
    }
    const idleRows = [...idle].map(
      (consumerId): OffsetRow => ({
        topic: MISSING,
        partition: MISSING,
        current: undefined,
        end: undefined,
        consumerId,
        host: '',
        clientId: '',
      }),
    )
    const all = [...rows, ...idleRows]
    if (all.length > 0) this.#out(offsetTable(all, false))
  }

  /** Of all topics that the group has ever owned partitions of. */
  async #partitionsOf(group: string): Promise<TopicPartition[]> {
    const topics = await childrenIfAny(this.#zk, groupOwnersPath(group))
    const assignments = await this.#zk.getAssignments(topics)
    return [...assignments].flatMap(([topic, assignment]) =>
      [...assignment.keys()].sort((a, b) => a - b).map((partition) => ({ topic, partition })),
    )
  }

  /** Consumer by partition: the owner's name without its thread. */
  async #ownersOf(group: string, partitions: readonly TopicPartition[]): Promise<Map<string, string>> {
    const paths = partitions.map(({ topic, partition }) => ownerPath(group, topic, partition))
    const answers = await this.#zk.session.requests(paths.map((path) => ({ op: 'getData', path }) as const))
    const owners = new Map<string, string>()
    answers.forEach(({ code, data }, i) => {
      const owner = data?.toString() ?? ''
      const one = partitions[i]
      if (code === 'ok' && one !== undefined) owners.set(partitionName(one), owner.slice(0, owner.lastIndexOf('-')))
    })
    return owners
  }

  /** Committed to the brokers, or else in ZooKeeper. */
  async #committed(admin: Admin, group: string, partitions: readonly TopicPartition[]): Promise<Map<string, number>> {
    const found = await admin.listGroupOffsets(group, { partitions })
    const offsets = new Map([...found].map(([name, { offset }]) => [name, offset]))
    const missing = partitions.filter((one) => !offsets.has(partitionName(one)))
    const kept = await this.#zk.getConsumerOffsets(group, missing)
    for (const one of missing) {
      const offset = kept.get(partitionName(one))
      if (offset !== undefined) offsets.set(partitionName(one), offset)
      else {
        const what = `group '${group}' partition '${partitionName(one)}'`
        this.#out(`Error: Could not fetch offset from zookeeper for ${what} due to missing offset data in zookeeper.\n`)
      }
    }
    return offsets
  }

  /** Throws `ToolError`. */
  async delete(groups: readonly string[], topic: string | undefined): Promise<void> {
    if (topic !== undefined) checkTopic(topic)
    if (groups.length > 0) {
      for (const group of groups) await this.#deleteOne(group, topic)
      return
    }
    const having: string[] = []
    for (const group of await this.list()) {
      if (topic !== undefined && (await childrenOf(this.#zk, groupOffsetsPath(group))).includes(topic)) having.push(group)
    }
    for (const group of having) await this.#deleteTopic(group, topic ?? '')
    this.#out(`Deleted consumer group information for all inactive consumer groups for topic '${topic}' in zookeeper.\n`)
  }

  async #deleteOne(group: string, topic: string | undefined): Promise<void> {
    const what = topic === undefined ? `group '${group}'` : `group '${group}' topic '${topic}'`
    try {
      const isDeleted = await (topic === undefined ? this.#deleteGroup(group) : this.#deleteTopic(group, topic))
      const all = topic === undefined ? 'all ' : ''
      if (isDeleted) this.#out(`Deleted ${all}consumer group information for ${what} in zookeeper.\n`)
      else this.#out(`Error: Delete for ${what} failed because its consumers are still active.\n`)
    } catch (error) {
      if (!isMissing(error)) throw error
      this.#out(`Error: Delete for ${what} failed because group does not exist.\n`)
    }
  }

  /** False when it has members. Throws `ToolError` when it is not there. */
  async #deleteGroup(group: string): Promise<boolean> {
    if ((await childrenOf(this.#zk, consumerIdsPath(group))).length > 0) return false
    await deleteTree(this.#zk, groupPath(group))
    return true
  }

  /** The whole group when it has no other topic. */
  async #deleteTopic(group: string, topic: string): Promise<boolean> {
    const topics = await childrenIfAny(this.#zk, groupOwnersPath(group))
    if (topics.length === 1 && topics[0] === topic) return this.#deleteGroup(group)
    if ((await childrenOf(this.#zk, consumerIdsPath(group))).length > 0) return false
    await deleteTree(this.#zk, `${groupOwnersPath(group)}/${topic}`)
    await deleteTree(this.#zk, `${groupOffsetsPath(group)}/${topic}`)
    return true
  }
}

/** Throws `ToolError`. */
function checkTopic(topic: string): void {
  if (TOPIC_NAME.test(topic)) return
  throw new ToolError(
    'org.apache.kafka.common.errors.InvalidTopicException',
    `Topic name "${topic}" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'`,
  )
}
