import { type PartitionKey, partitionKey, type TopicPartition } from '../../base/ids.ts'
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { assignedPartitions } from '../../protocol/embedded/group-protocols.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { byTopic } from '../by-topic.ts'
import { coordinatorNode } from '../cluster-client.ts'
import { exceptionOf, IllegalArgumentException, NetworkException } from '../errors.ts'
import type { Node } from '../metadata/types.ts'
import type { OffsetAndMetadata } from '../producer/types.ts'
import { type AdminContext, each, throwRetriable } from './context.ts'
import type { AdminCallOptions, GroupDescription, GroupListing, GroupMember, Results } from './types.ts'

/** Every broker knows the groups that it coordinates. */
export async function listGroups(context: AdminContext, options?: AdminCallOptions): Promise<readonly GroupListing[]> {
  return context.call('list groups', options, async (leftMs) => {
    const { cluster } = context
    await cluster.metadata.update(leftMs)
    const brokers = [...cluster.metadata.brokers.keys()]
    if (brokers.length === 0) throw new NetworkException('no broker is known')
    const answers = await Promise.all(brokers.map((broker) => cluster.request(broker, 'ListGroups', {})))
    const groups: GroupListing[] = []
    for (const { errorCode, groups: some } of answers) {
      throwRetriable(errorCode)
      if (errorCode !== ErrorCode.NONE) throw exceptionOf(errorCode)
      groups.push(...some)
    }
    return groups
  })
}

export function describeGroups(
  context: AdminContext,
  groupIds: readonly string[],
  options?: AdminCallOptions,
): Promise<Results<string, GroupDescription>> {
  return each(groupIds, (groupId) =>
    context.call('describe groups', options, async () => {
      const coordinator = await context.cluster.findCoordinator('group', groupId)
      const { groups } = await context.cluster.request(coordinator.id, 'DescribeGroups', { groupIds: [groupId] })
      const group = groups.find((one) => one.groupId === groupId)
      if (group === undefined) throw exceptionOf(ErrorCode.UNKNOWN_SERVER_ERROR)
      if (group.errorCode !== ErrorCode.NONE) throw exceptionOf(group.errorCode)
      return descriptionOf(group, brokerAt(context, coordinator))
    }),
  )
}

/** Coordinators are asked over connections of their own, whose node ids are not the brokers'. */
function brokerAt({ cluster }: AdminContext, coordinator: Node): Node {
  const id = coordinatorNode(coordinator.id)
  return cluster.metadata.brokers.get(id) ?? { ...coordinator, id }
}

function descriptionOf(group: ResponseOf<'DescribeGroups'>['groups'][number], coordinator: Node): GroupDescription {
  const { groupId, state, protocolType, protocol } = group
  const members = group.members.map(
    ({ memberId, clientId, clientHost, memberAssignment }): GroupMember => ({
      memberId,
      clientId,
      host: clientHost,
      assignment: protocolType === 'consumer' ? assignedPartitions(memberAssignment) : [],
    }),
  )
  return { groupId, state, protocolType, protocol, coordinator, members }
}

export function deleteGroups(
  context: AdminContext,
  groupIds: readonly string[],
  options?: AdminCallOptions,
): Promise<Results<string, void>> {
  return each(groupIds, async (groupId) => {
    const request = { groups: [groupId] }
    const codeOf = ({ groupErrorCodes }: ResponseOf<'DeleteGroups'>): number =>
      groupErrorCodes[0]?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
    const answer = await context.askCoordinator('delete groups', options, groupId, 'DeleteGroups', request, codeOf)
    const code = codeOf(answer)
    if (code !== ErrorCode.NONE) throw exceptionOf(code)
  })
}

export async function listGroupOffsets(
  context: AdminContext,
  groupId: string,
  options: AdminCallOptions & { readonly partitions?: readonly TopicPartition[] } = {},
): Promise<Map<PartitionKey, OffsetAndMetadata>> {
  const { partitions } = options
  const wanted = partitions && byTopic(partitions, ({ partition }) => ({ partition }))
  const answer = await context.askCoordinator(
    'list the offsets of a group',
    options,
    groupId,
    'OffsetFetch',
    // From version 2 on all offsets can be asked for.
    { groupId, topics: wanted ?? null },
    ({ errorCode, responses }) => errorCode || (responses[0]?.partitionResponses[0]?.errorCode ?? ErrorCode.NONE),
  )
  if (answer.errorCode !== ErrorCode.NONE) throw exceptionOf(answer.errorCode)
  const offsets = new Map<PartitionKey, OffsetAndMetadata>()
  for (const { topic, partitionResponses } of answer.responses) {
    for (const { partition, offset, metadata, errorCode } of partitionResponses) {
      if (errorCode !== ErrorCode.NONE) throw exceptionOf(errorCode)
      if (offset >= 0) offsets.set(partitionKey(topic, partition), { offset, metadata: metadata ?? '' })
    }
  }
  return offsets
}

/** A commit from outside of the group, which brokers take only while it has no members. */
export async function alterGroupOffsets(
  context: AdminContext,
  groupId: string,
  offsets: readonly (TopicPartition & OffsetAndMetadata)[],
  options?: AdminCallOptions,
): Promise<void> {
  for (const { topic, partition, offset } of offsets)
    if (!(offset >= 0)) throw new IllegalArgumentException(`Invalid offset ${offset} for ${topic}-${partition}`)
  const topics = byTopic(offsets, ({ partition, offset, metadata }) => ({ partition, offset, metadata: metadata ?? '' }))
  const request = { groupId, topics }
  const codesOf = ({ responses }: ResponseOf<'OffsetCommit'>): number[] =>
    responses.flatMap(({ partitionResponses }) => partitionResponses.map(({ errorCode }) => errorCode))
  const codeOf = (answer: ResponseOf<'OffsetCommit'>): number => codesOf(answer).find((code) => code !== ErrorCode.NONE) ?? 0
  const answer = await context.askCoordinator('alter the offsets of a group', options, groupId, 'OffsetCommit', request, codeOf)
  const code = codeOf(answer)
  if (code !== ErrorCode.NONE) throw exceptionOf(code)
}
