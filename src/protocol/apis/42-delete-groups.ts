import { defineApi } from '../api.ts'
import { array, int16, int32, string } from '../schema.ts'

/** DeleteGroups (KIP-229). */
export const deleteGroups = defineApi({
  key: 42,
  name: 'DeleteGroups',
  versions: [0, 0],
  request: { groups: array(string) },
  response: { throttleTimeMs: int32, groupErrorCodes: array({ groupId: string, errorCode: int16 }) },
})
