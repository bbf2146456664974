import { defineApi } from '../api.ts'
import { int16, int32, string } from '../schema.ts'

/** LeaveGroup: a member goes. */
export const leaveGroup = defineApi({
  key: 13,
  name: 'LeaveGroup',
  versions: [0, 1],
  request: { groupId: string, memberId: string },
  response: { throttleTimeMs: int32.since(1, 0), errorCode: int16 },
})
