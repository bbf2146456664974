import type { LeaderEpoch, Offset } from '../base/ids.ts'
import type { Log } from '../log/types.ts'

/**
 * Where `epoch` ends in a leader's log (KIP-101); -1: not known, so a follower cuts to its high watermark. Who is no follower hears what 1.1.1 says,
 * which does not know it of any epoch below the first one of its log. Later versions (1.1's branch after 1.1.1, 2.0) answer with the start of that
 * one. We tell followers so where the log, too, begins with it, and unclean election is allowed:
 * - A log that goes on below its first epoch has records there from before there were epochs, which nobody can compare.
 * - Without unclean elections what a follower knows to be committed is in the leader's log or was deleted. A leader that lacks it
 *   has lost its disk (H11), and must not be the reason to drop it elsewhere.
 *
 * A genuine follower gets the same answer: it cuts to that offset, below which the leader has nothing, instead of to a high watermark that says
 * nothing after an unclean election, and that may lie within a batch of the leader's, which it would then be sent for ever.
 */
export function epochEnd(log: Log, epoch: LeaderEpoch, isForFollower: boolean): Offset {
  if (epoch < 0) return -1
  const end = log.endOffsetForEpoch(epoch, isForFollower)
  if (end >= 0 || !isForFollower || !log.config.uncleanLeaderElectionEnable) return end
  const { firstEpoch } = log.epochs
  return firstEpoch > epoch && log.epochs.startOf(firstEpoch) === log.logStartOffset ? log.logStartOffset : end
}
