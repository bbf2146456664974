import { defineApi } from '../api.ts'
import { array, boolean, int16, int32, int64, string } from '../schema.ts'

/** DescribeLogDirs: log directories with the replicas in them (KIP-113). */
export const describeLogDirs = defineApi({
  key: 35,
  name: 'DescribeLogDirs',
  versions: [0, 0],
  request: { topics: array({ topic: string, partitions: array(int32) }).nullable() },
  response: {
    throttleTimeMs: int32,
    logDirs: array({
      errorCode: int16,
      logDir: string,
      topics: array({
        topic: string,
        partitions: array({ partition: int32, size: int64, offsetLag: int64, isFuture: boolean }),
      }),
    }),
  },
})
