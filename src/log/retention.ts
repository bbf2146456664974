import type { PartitionLog } from './log.ts'
import type { LogSegment } from './segment.ts'

/** Segments that one rule of retention lets go, oldest first. */
export interface Deletable {
  readonly segments: readonly LogSegment[]
  readonly reason: string
}

/** The three rules of 1.1 in their order; each sees what the ones before left, and finds at most `limit`. Yields only rules that found something. */
export function* findDeletable(log: PartitionLog, wall: number, limit: number): Generator<Deletable> {
  const { retentionMs, retentionBytes } = log.config
  if (retentionMs >= 0) {
    const segments = oldest(log, limit, (segment) => wall - segment.largestTimestamp() > retentionMs)
    if (segments.length > 0) yield { segments, reason: `retention time ${retentionMs}ms breach` }
  }
  if (retentionBytes >= 0 && log.size >= retentionBytes) {
    let excess = log.size - retentionBytes
    const segments = oldest(log, limit, (segment) => {
      if (excess - segment.size < 0) return false
      excess -= segment.size
      return true
    })
    if (segments.length > 0) yield { segments, reason: `retention size in bytes ${retentionBytes} breach` }
  }
  const segments = oldest(log, limit, (_, next) => next !== undefined && next.baseOffset <= log.logStartOffset)
  if (segments.length > 0) yield { segments, reason: `log start offset ${log.logStartOffset} breach` }
}

/** From the oldest on, while the rule holds and all of the segment is replicated. An empty active segment is never one of them. */
function oldest(
  log: PartitionLog,
  limit: number,
  rule: (segment: LogSegment, next: LogSegment | undefined) => boolean,
): LogSegment[] {
  const result: LogSegment[] = []
  for (let i = 0; i < log.segments.length; i++) {
    const segment = log.segments.at(i)!
    const next = log.segments.at(i + 1)
    if (next === undefined && segment.size === 0) break
    if (log.highWatermark < (next?.baseOffset ?? log.logEndOffset) || !rule(segment, next)) break
    if (result.push(segment) >= limit) break
  }
  return result
}
