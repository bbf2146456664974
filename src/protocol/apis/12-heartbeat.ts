import { defineApi } from '../api.ts'
import { int16, int32, string } from '../schema.ts'

/** Heartbeat of a group member. */
export const heartbeat = defineApi({
  key: 12,
  name: 'Heartbeat',
  versions: [0, 1],
  request: { groupId: string, generationId: int32, memberId: string },
  response: { throttleTimeMs: int32.since(1, 0), errorCode: int16 },
})
