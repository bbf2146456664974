import { defineApi } from '../api.ts'
import { array, boolean, int16, int32, string } from '../schema.ts'

/**
 * LeaderAndIsr: the controller tells a broker which replicas it leads or follows.
 * v1 `isNew` (KIP-112).
 */
export const leaderAndIsr = defineApi({
  key: 4,
  name: 'LeaderAndIsr',
  versions: [0, 1],
  clusterAction: true,
  request: {
    controllerId: int32,
    controllerEpoch: int32,
    partitionStates: array({
      topic: string,
      partition: int32,
      controllerEpoch: int32,
      leader: int32,
      leaderEpoch: int32,
      isr: array(int32),
      zkVersion: int32,
      replicas: array(int32),
      isNew: boolean.since(1, false),
    }),
    liveLeaders: array({ id: int32, host: string, port: int32 }),
  },
  response: {
    errorCode: int16,
    partitions: array({ topic: string, partition: int32, errorCode: int16 }),
  },
})
