import { defineApi } from '../api.ts'
import { array, int16, int32, string } from '../schema.ts'

/** DeleteTopics (KIP-4). */
export const deleteTopics = defineApi({
  key: 20,
  name: 'DeleteTopics',
  versions: [0, 1],
  request: { topics: array(string), timeout: int32 },
  response: {
    throttleTimeMs: int32.since(1, 0),
    topicErrorCodes: array({ topic: string, errorCode: int16 }),
  },
})
