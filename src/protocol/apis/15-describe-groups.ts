import { defineApi } from '../api.ts'
import { array, bytes, int16, int32, string } from '../schema.ts'

/** DescribeGroups: state and members of groups. */
export const describeGroups = defineApi({
  key: 15,
  name: 'DescribeGroups',
  versions: [0, 1],
  request: { groupIds: array(string) },
  response: {
    throttleTimeMs: int32.since(1, 0),
    groups: array({
      errorCode: int16,
      groupId: string,
      state: string,
      protocolType: string,
      protocol: string,
      members: array({
        memberId: string,
        clientId: string,
        clientHost: string,
        memberMetadata: bytes,
        memberAssignment: bytes,
      }),
    }),
  },
})
