import { defineApi } from '../api.ts'
import { array, int16, int32, string } from '../schema.ts'

/** ListGroups: groups this broker coordinates. */
export const listGroups = defineApi({
  key: 16,
  name: 'ListGroups',
  versions: [0, 1],
  request: {},
  response: {
    throttleTimeMs: int32.since(1, 0),
    errorCode: int16,
    groups: array({ groupId: string, protocolType: string }),
  },
})
