import type { Offset } from '../base/ids.ts'
import type { WheelTimer } from '../base/timer-wheel.ts'
import type { Alignment } from './alignment.ts'
import type { SessionPartition } from './fetch-session.ts'
import type { Partition } from './partition.ts'

/** A partition that follows the fetcher's leader. A new object per assignment, so answers to an older one find nobody. */
export class Followed implements SessionPartition {
  readonly replica: Partition
  readonly topic: string
  readonly partition: number
  /** `align`: epoch questions first. `range`: the leader refused the offset. */
  phase: 'align' | 'range' | 'fetch' = 'align'
  alignment: Alignment | undefined
  delayed: WheelTimer | undefined
  /** Refused epoch questions in a row. */
  retries = 0
  inSession = false
  sentOffset: Offset = -1
  sentLogStart: Offset = -1
  /** Messages that it lacks up to the leader's high watermark; -1: not known yet. */
  lag = -1
  /** Left out until the follower's quota has room again (KIP-73). */
  isThrottled = false

  constructor(replica: Partition) {
    this.replica = replica
    this.topic = replica.topic
    this.partition = replica.partition
  }

  /** Always the true end of the log: the leader counts what we ask for as replicated. */
  get fetchOffset(): Offset {
    return this.replica.requireLog().logEndOffset
  }

  get logStartOffset(): Offset {
    return this.replica.requireLog().logStartOffset
  }

  get isReady(): boolean {
    return this.phase === 'fetch' && this.delayed === undefined && !this.isThrottled && this.replica.log !== undefined
  }
}
