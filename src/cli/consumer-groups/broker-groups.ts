/** Groups that brokers coordinate: looked at and deleted through the admin client. */

import { javaOrder, topicPartitionHash } from '../../client/consumer/assignors/java-order.ts'
import {
  type Admin,
  createAdmin,
  type GroupDescription,
  KafkaException,
  NetworkException,
  TimeoutException,
} from '../../client/index.ts'
import { partitionName, ToolError } from '../tool.ts'
import { parseBootstrap, reachCluster } from '../tool-brokers.ts'
import { knownOptions } from '../tool-clients.ts'
import { inMapOrder, MISSING, memberTable, type NewOffset, type OffsetRow, offsetTable, stateTable } from './tables.ts'

const REQUEST_TIMEOUT_MS = 5000

export interface BrokerGroupsOptions {
  readonly bootstrap: string
  /** How long to wait for a group's coordinator; throws `ToolError`. */
  readonly timeoutMs: () => number
  readonly properties: Readonly<Record<string, string>>
}

type Print = (text: string) => void

export class BrokerGroups {
  readonly #options: BrokerGroupsOptions
  readonly #admin: Admin

  private constructor(options: BrokerGroupsOptions) {
    const { bootstrap, properties } = options
    this.#options = options
    this.#admin = createAdmin({
      'bootstrap.servers': bootstrap,
      'request.timeout.ms': REQUEST_TIMEOUT_MS,
      ...knownOptions('admin', properties),
    })
  }

  /** Throws `ToolError` for servers that are no addresses. */
  static create(options: BrokerGroupsOptions): BrokerGroups {
    parseBootstrap(options.bootstrap)
    return new BrokerGroups(options)
  }

  /** Warns of servers that do not answer. Throws `ToolError` when none does. */
  async reach(): Promise<void> {
    await reachCluster(parseBootstrap(this.#options.bootstrap))
  }

  close(): Promise<void> {
    return this.#admin.close()
  }

  async list(): Promise<string[]> {
    const groups = await this.#admin.listGroups()
    // Groups that only ever committed have no protocol.
    return groups.filter(({ protocolType }) => ['consumer', ''].includes(protocolType)).map(({ groupId }) => groupId)
  }

  /** Members of a group that is about to change have no partitions. Throws `ToolError` for a group of another kind. */
  async describe(group: string): Promise<GroupDescription> {
    const timeoutMs = this.#options.timeoutMs()
    const { entries } = await this.#admin.describeGroups([group], { timeoutMs })
    const [, error, found] = entries[0] ?? [group, null, undefined]
    if (error?.retriable === true) {
      throw new ToolError(
        'org.apache.kafka.common.errors.TimeoutException',
        'The consumer group command timed out while waiting for group to initialize: ',
      )
    }
    if (error !== null || found === undefined) throw error ?? new KafkaException(`no answer for group ${group}`)
    const { state, protocolType, members } = found
    if (!['Dead', 'Empty'].includes(state) && protocolType !== 'consumer') {
      throw new ToolError(
        'java.lang.IllegalArgumentException',
        `Consumer Group ${group} with protocol type '${protocolType}' is not a valid consumer group`,
      )
    }
    return state === 'Stable' ? found : { ...found, members: members.map((member) => ({ ...member, assignment: [] })) }
  }

  /** What the group has committed. */
  async offsets(group: string): Promise<NewOffset[]> {
    const found = await this.#admin.listGroupOffsets(group)
    const offsets = [...found].map(([key, { offset }]) => {
      const dash = key.lastIndexOf('-')
      return { topic: key.slice(0, dash), partition: Number(key.slice(dash + 1)), offset }
    })
    return inMapOrder(javaOrder(offsets, ({ topic, partition }) => topicPartitionHash(topic, partition)))
  }

  /** Throws `KafkaException`, `ToolError`. */
  async printOffsets(group: string, out: Print): Promise<void> {
    const found = await this.describe(group)
    const rows = found.state === 'Dead' ? [] : await this.#rowsOf(found)
    if (announce(found, out) && rows.length > 0) out(offsetTable(rows, true))
  }

  /** Throws `KafkaException`, `ToolError`. */
  async printMembers(group: string, isVerbose: boolean, out: Print): Promise<void> {
    const found = await this.describe(group)
    if (announce(found, out) && found.members.length > 0) out(memberTable(found.members, isVerbose))
  }

  /** Throws `KafkaException`, `ToolError`. */
  async printState(group: string, out: Print): Promise<void> {
    const found = await this.describe(group)
    if (announce(found, out)) out(stateTable(found))
  }

  /** Members with many partitions first; then what is committed and belongs to nobody. */
  async #rowsOf({ groupId, members }: GroupDescription): Promise<OffsetRow[]> {
    const committed = new Map((await this.offsets(groupId)).map((one) => [partitionName(one), one]))
    if (committed.size === 0) return []
    const owners = members
      .filter(({ assignment }) => assignment.length > 0)
      .toSorted((a, b) => b.assignment.length - a.assignment.length)
    const owned = owners.flatMap(({ assignment, memberId, host, clientId }) =>
      inMapOrder(assignment.toSorted((a, b) => a.partition - b.partition)).map(({ topic, partition }) => ({
        topic,
        partition,
        consumerId: memberId,
        host,
        clientId,
      })),
    )
    const isOwned = new Set(owned.map(partitionName))
    const free = [...committed.values()]
      .filter((one) => !isOwned.has(partitionName(one)))
      .map(({ topic, partition }) => ({ topic, partition, consumerId: MISSING, host: MISSING, clientId: MISSING }))
    const all = [...owned, ...free]
    const { entries } = await this.#admin.listOffsets(all.map(({ topic, partition }) => ({ topic, partition, at: 'latest' })))
    const ends = new Map(entries.map(([one, , end]) => [partitionName(one), end?.offset]))
    return all.map((one) => ({ ...one, current: committed.get(partitionName(one))?.offset, end: ends.get(partitionName(one)) }))
  }

  /** Throws `KafkaException` when it is not the groups that failed. */
  async delete(groups: readonly string[], out: Print): Promise<void> {
    const { entries } = await this.#admin.deleteGroups([...new Set(groups)])
    const quoted = (names: readonly string[]): string => `'${names.join("', '")}'`
    const deleted = entries.filter(([, error]) => error === null).map(([group]) => group)
    if (deleted.length === entries.length) {
      out(`Deletion of requested consumer groups (${quoted(deleted)}) was successful.\n`)
      return
    }
    out('Error: Deletion of some consumer groups failed:\n')
    for (const [group, error] of entries) {
      const name =
        error instanceof TimeoutException || error instanceof NetworkException ? 'COORDINATOR_NOT_AVAILABLE' : error?.errorName
      if (name !== undefined) out(`* Group '${group}' could not be deleted due to: ${name}\n`)
    }
    if (deleted.length > 0) out(`\nThese consumer groups were deleted successfully: ${quoted(deleted)}\n`)
  }
}

/** Says what is remarkable about the group's state; false when there is no such group. */
function announce({ groupId, state }: GroupDescription, out: Print): boolean {
  if (state === 'Dead') {
    out(`Error: Consumer group '${groupId}' does not exist.\n`)
    return false
  }
  if (state === 'Empty') process.stderr.write(`Consumer group '${groupId}' has no active members.\n`)
  else if (state !== 'Stable') process.stderr.write(`Warning: Consumer group '${groupId}' is rebalancing.\n`)
  return true
}
