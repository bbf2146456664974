import { defineApi } from '../api.ts'
import { array, int16, int32, string } from '../schema.ts'

/** AlterReplicaLogDirs: moves replicas between log directories (KIP-113). */
export const alterReplicaLogDirs = defineApi({
  key: 34,
  name: 'AlterReplicaLogDirs',
  versions: [0, 0],
  request: {
    logDirs: array({ logDir: string, topics: array({ topic: string, partitions: array(int32) }) }),
  },
  response: {
    throttleTimeMs: int32,
    topics: array({ topic: string, partitions: array({ partition: int32, errorCode: int16 }) }),
  },
})
