import type { ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { ProducerConfig } from '../config/index.ts'
import type { ProducerBatch } from './batch.ts'

/** Answer of one partition of a Produce request. */
export interface PartitionAnswer {
  readonly errorCode: number
  readonly baseOffset: number
  readonly logAppendTime: number
  /** -1: the broker does not say. */
  readonly logStartOffset: number
}

/** Where no broker has answered. */
export const NO_ANSWER: PartitionAnswer = {
  errorCode: ErrorCode.UNKNOWN_SERVER_ERROR,
  baseOffset: -1,
  logAppendTime: -1,
  logStartOffset: -1,
}

export function answerFor(response: ResponseOf<'Produce'>, batch: ProducerBatch): PartitionAnswer {
  for (const { topic, partitionResponses } of response.responses) {
    if (topic !== batch.queue.topic) continue
    for (const answer of partitionResponses) if (answer.partition === batch.queue.partition) return answer
  }
  return NO_ANSWER
}

/** -1 for `all`. */
export function acksOf(config: ProducerConfig): number {
  return config.acks === 'all' ? -1 : Number(config.acks)
}
