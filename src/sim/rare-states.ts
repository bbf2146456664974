import type { World } from './world.ts'

/** What a broker says when it comes to a state that few runs reach. */
const LINES: readonly (readonly [text: string, state: string])[] = [
  ['has failed; telling the controller', 'log directory fails'],
  ['skip updating ISR', 'ISR write refused'],
  ['found in ZooKeeper', 'ISR adopted from ZooKeeper'],
  [': stepping down', 'leader learns from ZooKeeper that it is none'],
  ['below the high watermark', 'truncation below the high watermark'],
  ['Truncating to offset', 'follower truncates'],
  ['Corruption found in segment', 'torn batch at recovery'],
  ['ignored: the current one is', 'LeaderAndIsr twice'],
  ['has made a newer connection since', 'request over an older connection of the controller'],
  ['asking ZooKeeper', 'order to lead in doubt'],
  ['session 0x', 'session expires'],
  ['] Resigned', 'controller resigns'],
  ['was abandoned', 'controller event abandoned'],
  ['epoch was raised by another controller', 'controller write fenced'],
  ['no replica may lead', 'no replica may lead'],
  ['Preparing to rebalance', 'group rebalances'],
  ['on heartbeat expiration', 'member expires'],
  ['Unloading group metadata', 'group coordinator moves'],
  ['Completion of', 'completion of a transaction written again'],
  ['are sent again', 'transaction markers sent again'],
  ['due to timeout', 'transaction timed out'],
  [', discarding deletes.', 'tombstones discarded'],
  ['Cleaning log ', 'log cleaned'],
  ['due to retention size', 'retention takes segments'],
  ['due to retention time', 'age takes segments'],
  ['Incrementing log start offset', 'log start moves'],
]

/** Counts the rare states that a log line tells of. */
export function noteRareStates(world: World, line: string): void {
  for (const [text, state] of LINES) if (line.includes(text)) world.reached(state)
}
