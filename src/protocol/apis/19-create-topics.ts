import { defineApi } from '../api.ts'
import { array, boolean, int16, int32, nullableString, string } from '../schema.ts'

/**
 * CreateTopics (KIP-4).
 * v1 `validateOnly` and error messages.
 */
export const createTopics = defineApi({
  key: 19,
  name: 'CreateTopics',
  versions: [0, 2],
  request: {
    createTopicRequests: array({
      topic: string,
      numPartitions: int32,
      replicationFactor: int16,
      replicaAssignment: array({ partition: int32, replicas: array(int32) }),
      configEntries: array({ configName: string, configValue: nullableString }),
    }),
    timeout: int32,
    validateOnly: boolean.since(1, false),
  },
  response: {
    throttleTimeMs: int32.since(2, 0),
    topicErrors: array({ topic: string, errorCode: int16, errorMessage: nullableString.since(1, null) }),
  },
})
