/** What the tool prints about groups, in 1.1's columns. */
import type { TopicPartition } from '../../base/ids.ts'
import type { GroupDescription, GroupMember } from '../../client/admin/types.ts'
import { trieOrder } from '../../controller/partition-order.ts'
import { groupBy, partitionName } from '../tool.ts'

/** Stands for what there is not. */
export const MISSING = '-'
const COLUMN = 15

export interface OffsetRow {
  readonly topic: string
  readonly partition: number | typeof MISSING
  /** undefined: none was committed. */
  readonly current: number | undefined
  readonly end: number | undefined
  readonly consumerId: string
  readonly host: string
  readonly clientId: string
}

/** Widest text of a column, and the classic width at least. */
function widthOf(texts: readonly string[], least = COLUMN): number {
  return texts.reduce((width, text) => Math.max(width, text.length), least)
}

function lagOf({ current, end }: OffsetRow): number | undefined {
  return current === undefined || current === -1 || end === undefined ? undefined : end - current
}

/** `withClients`: groups of ZooKeeper have no hosts and client ids. */
export function offsetTable(rows: readonly OffsetRow[], withClients: boolean): string {
  const topicWidth = widthOf(rows.map(({ topic }) => topic))
  const consumerWidth = widthOf(rows.map(({ consumerId }) => consumerId))
  const hostWidth = widthOf(rows.map(({ host }) => host))
  const cell = (value: number | string | undefined): string => String(value ?? MISSING).padEnd(COLUMN)
  const line = (
    topic: string,
    partition: number | string,
    figures: readonly (number | string | undefined)[],
    [consumerId = '', host = '', clientId = '']: readonly string[],
  ): string => {
    const clients = withClients ? `${host.padEnd(hostWidth)} ${clientId}` : ''
    return `${topic.padEnd(topicWidth)} ${String(partition).padEnd(10)} ${figures.map(cell).join(' ')} ${consumerId.padEnd(consumerWidth)} ${clients}\n`
  }
  const head = line('TOPIC', 'PARTITION', ['CURRENT-OFFSET', 'LOG-END-OFFSET', 'LAG'], ['CONSUMER-ID', 'HOST', 'CLIENT-ID'])
  const lines = rows.map((row) =>
    line(row.topic, row.partition, [row.current, row.end, lagOf(row)], [row.consumerId, row.host, row.clientId]),
  )
  return `\n${head}${lines.join('')}`
}

/** `t1(0,1), t2(3)` */
function assignmentText({ assignment }: GroupMember): string {
  if (assignment.length === 0) return MISSING
  return [...groupBy(assignment, ({ topic }) => topic)]
    .map(([topic, list]) => `${topic}(${list.map(({ partition }) => partition).sort((a, b) => a - b)})`)
    .join(', ')
}

export function memberTable(members: readonly GroupMember[], isVerbose: boolean): string {
  const idWidth = widthOf(members.map(({ memberId }) => memberId))
  const hostWidth = widthOf(members.map(({ host }) => host))
  const clientWidth = widthOf(members.map(({ clientId }) => clientId))
  const line = (id: string, host: string, client: string, count: number | string, assignment: string): string =>
    `${id.padEnd(idWidth)} ${host.padEnd(hostWidth)} ${client.padEnd(clientWidth)} ${String(count).padEnd(COLUMN)} ${isVerbose ? assignment : ''}\n`
  const lines = members.map((member) =>
    line(member.memberId, member.host, member.clientId, member.assignment.length, assignmentText(member)),
  )
  return `\n${line('CONSUMER-ID', 'HOST', 'CLIENT-ID', '#PARTITIONS', 'ASSIGNMENT')}${lines.join('')}`
}

export function stateTable({ coordinator, protocol, state, members }: GroupDescription): string {
  const where = `${coordinator.host}:${coordinator.port} (${coordinator.id})`
  const width = widthOf([where], 25)
  const line = (a: string, b: string, c: string, d: number | string): string =>
    `${a.padEnd(width)} ${b.padEnd(25)} ${c.padEnd(20)} ${d}\n`
  return `\n${line('COORDINATOR (ID)', 'ASSIGNMENT-STRATEGY', 'STATE', '#MEMBERS')}${line(where, protocol, state, members.length)}`
}

export interface NewOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: number
}

/** In the order of Scala's maps, which 1.1 prints: up to four as they came, more by their hashes. The last of equal ones counts. */
export function inMapOrder<T extends TopicPartition>(items: readonly T[]): T[] {
  const byName = [...new Map(items.map((one) => [partitionName(one), one])).values()]
  if (byName.length <= 4) return byName
  return byName.toSorted((a, b) => trieOrder(a.topic, a.partition) - trieOrder(b.topic, b.partition))
}

export function resetTable(offsets: readonly NewOffset[]): string {
  const line = (topic: string, partition: number | string, offset: number | string): string =>
    `${topic.padEnd(30)} ${String(partition).padEnd(10)} ${String(offset).padEnd(COLUMN)}\n`
  return `\n${line('TOPIC', 'PARTITION', 'NEW-OFFSET')}${offsets.map((one) => line(one.topic, one.partition, one.offset)).join('')}`
}
