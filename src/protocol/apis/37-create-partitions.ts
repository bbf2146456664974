import { defineApi } from '../api.ts'
import { array, boolean, int16, int32, nullableString, string, struct } from '../schema.ts'

/** CreatePartitions (KIP-195). */
export const createPartitions = defineApi({
  key: 37,
  name: 'CreatePartitions',
  versions: [0, 0],
  request: {
    topicPartitions: array({
      topic: string,
      newPartitions: struct({ count: int32, assignment: array(array(int32)).nullable() }),
    }),
    timeout: int32,
    validateOnly: boolean,
  },
  response: {
    throttleTimeMs: int32,
    topicErrors: array({ topic: string, errorCode: int16, errorMessage: nullableString }),
  },
})
