import { defineApi } from '../api.ts'
import { array, boolean, int16, int32, string } from '../schema.ts'

/** StopReplica: the controller tells a broker to stop, and perhaps delete, replicas. */
export const stopReplica = defineApi({
  key: 5,
  name: 'StopReplica',
  versions: [0, 0],
  clusterAction: true,
  request: {
    controllerId: int32,
    controllerEpoch: int32,
    deletePartitions: boolean,
    partitions: array({ topic: string, partition: int32 }),
  },
  response: {
    errorCode: int16,
    partitions: array({ topic: string, partition: int32, errorCode: int16 }),
  },
})
