import type { LeaderEpoch, Offset } from '../base/ids.ts'
import type { Log } from '../log/types.ts'

/**
 * Where `epoch` ends in a leader's log (KIP-101); -1: not known, so a follower cuts to its high watermark. Who is no follower hears what 1.1.1 says,
 * which does not know it of any epoch below the first one of its log. Later versions (1.1's branch after 1.1.1, 2.0) answer with the start of that
 * one. We tell followers so where the log, too, begins with it, and unclean election is allowed, or it does not begin at 0:
 * - A log that goes on below its first epoch has records there from before there were epochs, which nobody can compare.
 * - Without unclean elections what a follower knows to be committed is in the leader's log or was deleted. A leader that lacks it
 *   has lost its disk (H11), and must not be the reason to drop it elsewhere. One whose log begins later has deleted what was there.
 *
 * A genuine follower gets the same answer: it cuts to that offset, below which the leader has nothing, instead of to a high watermark that says
 * nothing after an unclean election, and that may lie within a batch of the leader's, which it would then be sent for ever; or that a broker
 * which was killed does not know: a member of the ISR would be left with an empty log, and might lead with it.
 *
 * After DeleteRecords a log may start within a batch. A follower of ours takes that batch when its own log ends there; a genuine one dies of it
 * (its fetcher thread), so it is told nothing of a start that is not that of a segment.
 */
export function epochEnd(log: Log, epoch: LeaderEpoch, asker: 'client' | 'genuine' | 'ours'): Offset {
  if (epoch < 0) return -1
  const end = log.endOffsetForEpoch(epoch, asker !== 'client')
  if (end >= 0 || asker === 'client') return end
  const { epochs, logStartOffset, segments } = log
  if (asker === 'genuine' && segments.first.baseOffset !== logStartOffset) return end
  if (logStartOffset === 0 && !log.config.uncleanLeaderElectionEnable) return end
  // Of an empty log it may be the one that has just begun.
  const first = epochs.firstEpoch < 0 && logStartOffset > 0 ? log.latestEpoch : epochs.firstEpoch
  return first > epoch && epochs.startOf(first) === logStartOffset ? logStartOffset : end
}
