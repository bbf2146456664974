import { defineApi } from '../api.ts'
import { batchSize, CORRUPT, INCOMPLETE, magicOf, nextBatch } from '../records/batch.ts'
import { array, int16, int32, int64, nullableString, records, string } from '../schema.ts'

/**
 * Produce: record sets for partitions. With acks 0 no answer is ever sent.
 * v1 throttle time, v2 message format 1 and log append time, v3 one batch of format 2 per partition and transactions (KIP-98),
 * v4 error 56 known (KIP-112), v5 log start offset.
 */
export const produce = defineApi({
  key: 0,
  name: 'Produce',
  versions: [0, 5],
  request: {
    transactionalId: nullableString.since(3, null),
    acks: int16,
    timeout: int32,
    topicData: array({ topic: string, data: array({ partition: int32, recordSet: records }) }),
  },
  response: {
    responses: array({
      topic: string,
      partitionResponses: array({
        partition: int32,
        errorCode: int16,
        baseOffset: int64,
        logAppendTime: int64.since(2, -1),
        logStartOffset: int64.since(5, -1),
      }),
    }),
    throttleTimeMs: int32.since(1, 0),
  },
  checkRequest: ({ topicData }, version) => {
    if (version < 3) return undefined
    for (let i = 0; i < topicData.length; i++) {
      const { topic, data } = topicData[i]!
      for (let k = 0; k < data.length; k++) {
        const reason = checkSingleBatch(data[k]!.recordSet)
        if (reason !== undefined) return `recordSet of ${topic}-${data[k]!.partition}: ${reason}`
      }
    }
    return undefined
  },
})

/** From v3 on a record set is one batch of format 2; a cut second one is not looked at. */
function checkSingleBatch(set: Buffer): string | undefined {
  const size = nextBatch(set, 0, set.length)
  if (size === CORRUPT) return 'bad size or format of the first entry'
  if (size === INCOMPLETE) return 'no complete batch'
  if (magicOf(set, 0) !== 2) return `format ${magicOf(set, 0)}`
  const next = nextBatch(set, size, set.length)
  if (next === INCOMPLETE) return undefined
  return next === CORRUPT ? 'bad size or format of a second entry' : `a second batch of ${batchSize(set, size)} bytes`
}
