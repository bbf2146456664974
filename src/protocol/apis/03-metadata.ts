import { defineApi } from '../api.ts'
import { array, boolean, int16, int32, nullableString, string } from '../schema.ts'

/**
 * Metadata: brokers, controller, topics with leaders and replicas.
 * v0 takes an empty list for all topics, v1 takes null; v2 cluster id (KIP-78), v4 auto-creation flag, v5 offline replicas (KIP-112).
 */
export const metadata = defineApi({
  key: 3,
  name: 'Metadata',
  versions: [0, 5],
  request: { topics: array(string).nullable(1), allowAutoTopicCreation: boolean.since(4, true) },
  response: {
    throttleTimeMs: int32.since(3, 0),
    brokers: array({ nodeId: int32, host: string, port: int32, rack: nullableString.since(1, null) }),
    clusterId: nullableString.since(2, null),
    controllerId: int32.since(1, -1),
    topicMetadata: array({
      errorCode: int16,
      topic: string,
      isInternal: boolean.since(1, false),
      partitionMetadata: array({
        errorCode: int16,
        partition: int32,
        leader: int32,
        replicas: array(int32),
        isr: array(int32),
        offlineReplicas: array(int32).since(5, []),
      }),
    }),
  },
})
