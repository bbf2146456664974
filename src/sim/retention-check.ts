/** What is left of a log whose old segments go. */
export interface RetainedLog {
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** Bytes of its segments. */
  readonly size: number
}

export interface RetentionRule {
  readonly retentionBytes: number
  readonly segmentBytes: number
  /** Up to here somebody asked for records to be deleted. */
  readonly deletedUpTo: number
}

/** A leader's size counts a tail that may be truncated later: by so much less may be left. */
const TAIL_BYTES = 2500

/**
 * G24: size retention leaves what it has to leave and takes the rest, after a round that every replica has had. Undefined: all is well.
 */
export function judgeRetention(
  log: RetainedLog,
  { retentionBytes, segmentBytes, deletedUpTo }: RetentionRule,
): string | undefined {
  if (log.logStartOffset > log.logEndOffset) return `starts at ${log.logStartOffset}, ends at ${log.logEndOffset}`
  if (log.logStartOffset > deletedUpTo && log.size < retentionBytes - TAIL_BYTES)
    return `${log.size} bytes are left from ${log.logStartOffset} on, of ${retentionBytes} that were to stay`
  // The active segment stays, and so does one that would leave too little.
  const most = retentionBytes + 2 * segmentBytes + TAIL_BYTES
  return log.size > most ? `${log.size} bytes are there, more than ${most}` : undefined
}
