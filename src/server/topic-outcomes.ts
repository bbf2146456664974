import { ErrorCode } from '../protocol/errors.ts'
import type { ApiError } from './admin-errors.ts'
import type { BrokerServices } from './request-types.ts'

const TIMED_OUT: ApiError = { code: ErrorCode.REQUEST_TIMED_OUT, message: null }

/** What became of one topic of a CreateTopics or CreatePartitions request. */
export interface TopicOutcome {
  readonly topic: string
  readonly error: ApiError
  /** Partitions that must have a leader before the request is answered. */
  readonly partitions: readonly number[]
}

/** The list of topics in both answers. */
export function topicErrors(
  outcomes: readonly TopicOutcome[],
): { topic: string; errorCode: number; errorMessage: string | null }[] {
  return outcomes.map(({ topic, error }) => ({ topic, errorCode: error.code, errorMessage: error.message }))
}

/** Calls `finish` when every partition of what succeeded has a leader, or after `timeout` ms, with REQUEST_TIMED_OUT for topics that lack one. */
export function whenLed(
  { metadataCache, topicPurgatory }: Pick<BrokerServices, 'metadataCache' | 'topicPurgatory'>,
  outcomes: readonly TopicOutcome[],
  timeout: number,
  finish: (settled: readonly TopicOutcome[]) => void,
): void {
  const isDone = ({ error }: TopicOutcome): boolean => error.code === ErrorCode.NONE
  const isLed = ({ topic, partitions }: TopicOutcome): boolean =>
    partitions.every((partition) => (metadataCache.partition(topic, partition)?.leader ?? -1) >= 0)
  const settle = (isReady: (outcome: TopicOutcome) => boolean): void =>
    finish(outcomes.map((outcome) => (isDone(outcome) && !isReady(outcome) ? { ...outcome, error: TIMED_OUT } : outcome)))
  // 1.1 does not look when it must not wait: all that succeeded is told as timed out.
  if (timeout <= 0) settle(() => false)
  else
    topicPurgatory.wait(
      timeout,
      () => outcomes.every((outcome) => !isDone(outcome) || isLed(outcome)),
      () => settle(isLed),
    )
}
