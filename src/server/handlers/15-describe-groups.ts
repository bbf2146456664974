import { answerInSlices } from '../answer-slices.ts'
import type { BrokerServices, HandlerEntry, ResponseInput } from '../request-types.ts'

type Description = ResponseInput<'DescribeGroups'>['groups'][number]

/** In steps: the groups may be many, and large. */
function* describeInSteps(broker: BrokerServices, groupIds: readonly string[]): Generator<void, Description[]> {
  const groups: Description[] = []
  for (const groupId of groupIds) {
    const { error, state, protocolType, protocol, members } = broker.groups.describe(groupId)
    groups.push({
      errorCode: error,
      groupId,
      state,
      protocolType,
      protocol,
      members: members.map(({ memberId, clientId, clientHost, metadata, assignment }) => {
        return { memberId, clientId, clientHost, memberMetadata: metadata, memberAssignment: assignment }
      }),
    })
    yield
  }
  return groups
}

function* answerInSteps(broker: BrokerServices, groupIds: readonly string[]): Generator<void, ResponseInput<'DescribeGroups'>> {
  return { throttleTimeMs: 0, groups: yield* describeInSteps(broker, groupIds) }
}

/** DescribeGroups: state and members of groups that this broker coordinates. */
export const describeGroups: HandlerEntry<'DescribeGroups'> = {
  handle: (broker, _ctx, { groupIds }) => answerInSlices(broker, answerInSteps(broker, groupIds)),
  fail: ({ groupIds }, errorCode) => ({
    throttleTimeMs: 0,
    groups: groupIds.map((groupId) => ({ errorCode, groupId, state: '', protocolType: '', protocol: '', members: [] })),
  }),
}
