import { defineApi } from '../api.ts'
import { array, int16, int32, int64, string } from '../schema.ts'

/** DeleteRecords: raises log start offsets (KIP-107). */
export const deleteRecords = defineApi({
  key: 21,
  name: 'DeleteRecords',
  versions: [0, 0],
  request: {
    topics: array({ topic: string, partitions: array({ partition: int32, offset: int64 }) }),
    timeout: int32,
  },
  response: {
    throttleTimeMs: int32,
    topics: array({
      topic: string,
      partitions: array({ partition: int32, lowWatermark: int64, errorCode: int16 }),
    }),
  },
})
