import type { PartitionLog } from '../log.ts'
import type { LogSegment } from '../segment.ts'
import type { AbortedTxnEntry } from '../transaction-index.ts'

/** A log with something to compact. */
export interface Cleanable {
  readonly log: PartitionLog
  readonly firstDirtyOffset: number
  /** Base offset of a segment; it and what follows stay as they are. */
  readonly firstUncleanableOffset: number
  /** Part of the bytes that is dirty, 0 to 1. */
  readonly ratio: number
  readonly bytes: number
}

/**
 * What of the log may be compacted; `checkpoint` is where the last cleaning ended, if there was one. The active segment never is, nor
 * what is younger than `min.compaction.lag.ms`, nor what belongs to a transaction that is open. And, other than in 1.1, nothing above the
 * high watermark: a record would make way for one that a new leader may not have.
 */
export function cleanableOf(
  log: PartitionLog,
  checkpoint: number | undefined,
  wall: number,
): Cleanable & { readonly wasReset: boolean } {
  const { segments, config } = log
  const start = segments.first.baseOffset
  const wasReset = checkpoint !== undefined && checkpoint < start
  const firstDirtyOffset = Math.max(start, checkpoint ?? start)
  const active = segments.active.baseOffset
  let limit = Math.min(log.lastStableOffset, active)
  if (config.minCompactionLagMs > 0) {
    const young = segments
      .between(firstDirtyOffset, active)
      .find((one) => one.largestTimestamp() > wall - config.minCompactionLagMs)
    if (young !== undefined) limit = Math.min(limit, young.baseOffset)
  }
  // Between two bounds that do not ascend there is nothing, whatever the floor of the lower one is.
  const firstUncleanableOffset = (limit < active ? segments.between(limit, active)[0] : undefined)?.baseOffset ?? active
  const cleanBytes = bytesOf(segments.between(-1, firstDirtyOffset))
  const dirtyBytes =
    firstUncleanableOffset > firstDirtyOffset ? bytesOf(segments.between(firstDirtyOffset, firstUncleanableOffset)) : 0
  const bytes = cleanBytes + dirtyBytes
  const ratio = bytes === 0 ? 0 : dirtyBytes / bytes
  return { log, firstDirtyOffset, firstUncleanableOffset, ratio, bytes, wasReset }
}

function bytesOf(segments: readonly LogSegment[]): number {
  let bytes = 0
  for (const { size } of segments) bytes += size
  return bytes
}

/**
 * Neighbours that become one segment: together not larger than a segment may be, nor their indexes, nor their span of offsets than an
 * index entry can say.
 */
export function groupSegments(
  segments: readonly LogSegment[],
  maxBytes: number,
  maxIndexBytes: number,
  firstUncleanableOffset: number,
): LogSegment[][] {
  const groups: LogSegment[][] = []
  let [bytes, indexBytes, timeIndexBytes] = [0, 0, 0]
  for (const [i, segment] of segments.entries()) {
    const { size, offsetIndex, timeIndex } = segment
    const group = groups.at(-1)
    const lastOffset = (segments[i + 1]?.baseOffset ?? firstUncleanableOffset) - 1
    const fits =
      bytes + size <= maxBytes &&
      indexBytes + offsetIndex.sizeInBytes <= maxIndexBytes &&
      timeIndexBytes + timeIndex.sizeInBytes <= maxIndexBytes
    if (group !== undefined && fits && lastOffset - group[0]!.baseOffset <= 2147483647) group.push(segment)
    else {
      groups.push([segment])
      bytes = indexBytes = timeIndexBytes = 0
    }
    bytes += size
    indexBytes += offsetIndex.sizeInBytes
    timeIndexBytes += timeIndex.sizeInBytes
  }
  return groups
}

/** Aborted transactions that touch [from, to), `from` being a segment's base offset. */
export function abortedBetween(log: PartitionLog, from: number, to: number): AbortedTxnEntry[] {
  const result: AbortedTxnEntry[] = []
  for (const segment of log.segments.between(from, Number.POSITIVE_INFINITY)) {
    for (const entry of segment.txnIndex.entries) {
      if (entry.lastOffset >= from && entry.firstOffset < to) result.push(entry)
      if (entry.lastStableOffset >= to) return result
    }
  }
  return result
}
