import { defineApi } from '../api.ts'
import { array, bytes, int16, int32, string } from '../schema.ts'

/** SyncGroup: the leader hands in the assignment, every member gets its own. */
export const syncGroup = defineApi({
  key: 14,
  name: 'SyncGroup',
  versions: [0, 1],
  request: {
    groupId: string,
    generationId: int32,
    memberId: string,
    groupAssignment: array({ memberId: string, memberAssignment: bytes }),
  },
  response: { throttleTimeMs: int32.since(1, 0), errorCode: int16, memberAssignment: bytes },
})
