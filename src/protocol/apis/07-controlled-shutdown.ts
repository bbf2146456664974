import { defineApi } from '../api.ts'
import { array, int16, int32, string } from '../schema.ts'

/**
 * ControlledShutdown: a broker asks the controller to move its leaders away.
 * The header of v0 has no client id (framing.ts).
 */
export const controlledShutdown = defineApi({
  key: 7,
  name: 'ControlledShutdown',
  versions: [0, 1],
  clusterAction: true,
  request: { brokerId: int32 },
  response: { errorCode: int16, partitionsRemaining: array({ topic: string, partition: int32 }) },
})
