import type { HandlerEntry, ResponseInput } from '../request-types.ts'

type Description = ResponseInput<'DescribeGroups'>['groups'][number]

/** DescribeGroups: state and members of groups that this broker coordinates. */
export const describeGroups: HandlerEntry<'DescribeGroups'> = {
  handle: (broker, _ctx, { groupIds }) => ({
    throttleTimeMs: 0,
    groups: groupIds.map((groupId): Description => {
      const { error, state, protocolType, protocol, members } = broker.groups.describe(groupId)
      return {
        errorCode: error,
        groupId,
        state,
        protocolType,
        protocol,
        members: members.map(({ memberId, clientId, clientHost, metadata, assignment }) => {
          return { memberId, clientId, clientHost, memberMetadata: metadata, memberAssignment: assignment }
        }),
      }
    }),
  }),
  fail: ({ groupIds }, errorCode) => ({
    throttleTimeMs: 0,
    groups: groupIds.map((groupId) => ({ errorCode, groupId, state: '', protocolType: '', protocol: '', members: [] })),
  }),
}
