import { type ControllerFence, type KafkaZk, type WriteOutcome, ZkError } from '../../zk/store/types.ts'
import type { Clock } from '../ports/clock.ts'
import type { ControllerContext } from './context.ts'
import type { ControllerEvent } from './events.ts'
import type { Pace } from './pace.ts'
import type { ReadAhead } from './read-ahead.ts'
import type { RequestBatch } from './request-batch.ts'
import type { ControllerStats } from './stats.ts'
import type { BrokerRpc, ControllerConfig, ControllerLog } from './types.ts'
import type { TermWatches } from './watches.ts'

/**
 * One period of being controller: from a won election to the resignation. Everything that belongs to it hangs here and is dropped
 * with it, so nothing of an earlier period can leak into a later one. `fence` proves the election in every write.
 */
export interface Term {
  readonly ctx: ControllerContext
  readonly zk: KafkaZk
  readonly fence: ControllerFence
  readonly rpc: BrokerRpc
  readonly clock: Clock
  readonly pace: Pace
  readonly batch: RequestBatch
  readonly watches: TermWatches
  readonly readAhead: ReadAhead
  readonly config: ControllerConfig
  readonly log: ControllerLog
  /** Lines of `kafka.controller.TopicDeletionManager`. */
  readonly deletionLog: ControllerLog
  /** Lines of `state.change.logger`. */
  readonly stateLog: ControllerLog
  readonly stats: ControllerStats
  /** Ignored once the term is over. */
  enqueue(event: ControllerEvent): void
  /** For the live view. */
  note(kind: string, detail: string): void
}

/** A write was fenced: another controller was elected. The event is abandoned, the controller resigns. */
export class ControllerMovedError extends Error {
  override readonly name = 'ControllerMovedError'
}

/** Our session is gone. The event is abandoned; the session's own handler resigns. */
export class ControllerSessionExpiredError extends Error {
  override readonly name = 'ControllerSessionExpiredError'
}

/** Throws for the outcomes that end the term; answers the others. */
export function throwIfOver(outcome: WriteOutcome, what: string): WriteOutcome {
  if (outcome === 'fenced') throw new ControllerMovedError(`${what}: the controller epoch was raised by another controller`)
  if (outcome === 'expired') throw new ControllerSessionExpiredError(`${what}: the ZooKeeper session expired`)
  return outcome
}

const MAX_ATTEMPTS = 100

/**
 * Repeats a write that may be repeated (unconditional, same content) until its outcome is known. The session waits for the connection
 * inside each attempt, so this does not spin.
 */
export async function untilKnown(what: string, write: () => Promise<WriteOutcome>): Promise<WriteOutcome> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const outcome = throwIfOver(await write(), what)
    if (outcome !== 'unknown') return outcome
  }
  throw new Error(`${what}: outcome still unknown after ${MAX_ATTEMPTS} attempts`)
}

/** As `untilKnown`, for a write that has to succeed (or that finds its node gone, when `missingOk`). */
export async function mustWrite(what: string, write: () => Promise<WriteOutcome>, missingOk = false): Promise<void> {
  const outcome = await untilKnown(what, write)
  if (outcome !== 'ok' && !(missingOk && outcome === 'noNode')) throw new Error(`${what}: ${outcome}`)
}

/** For deletions, which answer nothing and throw the outcome: repeated until it is known (what they delete may be gone already). */
export function mustDelete(what: string, remove: () => Promise<void>): Promise<void> {
  return mustWrite(what, async () => {
    try {
      await remove()
      return 'ok'
    } catch (error) {
      if (!(error instanceof ZkError)) throw error
      if (error.code === 'unknown' || error.code === 'fenced' || error.code === 'expired') return error.code
      if (error.code === 'sessionExpired') return 'expired'
      throw error
    }
  })
}
