import type { Breakage } from './breakages.ts'

export type { Breakage } from './breakages.ts'

/** A rule that is broken on purpose, and the checker that must notice it by itself, whatever the others say. */
export interface Canary {
  readonly name: string
  readonly about: string
  readonly check: string
  readonly preset: string
  readonly breaks?: readonly Breakage[]
  readonly properties?: Readonly<Record<string, string>>
  /** The first seed that notices it; none when that is too rare for a sweep of 40 and only a scenario shows it. */
  readonly seed?: number
}

const faithful = (hole: string) => ({ properties: { 'samsa.faithful': hole } })

/** `npm run sim -- --canaries` looks for the first seeds anew and prints the table of the README. */
export const CANARIES: readonly Canary[] = [
  {
    name: 'H1',
    about: 'unclean election',
    check: 'partition-state',
    preset: 'core',
    properties: { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' },
    seed: 15,
  },
  {
    name: 'H4',
    about: 'one question about the epoch, as 1.1',
    check: 'committed-stays',
    preset: 'flap',
    ...faithful('H4'),
    seed: 1,
  },
  { name: 'H5', about: 'fetches not fenced by epoch', check: 'strong-isr', preset: 'flap', ...faithful('H5'), seed: 11 },
  { name: 'H6', about: 'joins the ISR before the epoch start', check: 'strong-isr', preset: 'core', ...faithful('H6') },
  {
    name: 'H7',
    about: 'controller writes without their fence',
    check: 'fenced-controller',
    preset: 'zombies',
    breaks: ['noFence'],
    seed: 5,
  },
  {
    name: 'H11',
    about: 'out of range: truncates what was committed',
    check: 'keeps-committed',
    preset: 'wipe',
    ...faithful('H11'),
    seed: 1,
  },
  {
    name: 'H12',
    about: 'a refused ISR write is tried for ever',
    check: 'liveness',
    preset: 'zombies',
    ...faithful('H12'),
    seed: 35,
  },
  {
    name: 'eager commit',
    about: 'the high watermark is the log end',
    check: 'acked-survives',
    preset: 'core',
    breaks: ['eagerHighWatermark'],
    seed: 1,
  },
  { name: 'eager commit', about: 'the same', check: 'committed-stays', preset: 'core', breaks: ['eagerHighWatermark'], seed: 1 },
  { name: 'eager commit', about: 'the same', check: 'read-stays', preset: 'core', breaks: ['eagerHighWatermark'], seed: 1 },
  { name: 'eager commit', about: 'the same', check: 'offset-function', preset: 'core', breaks: ['eagerHighWatermark'], seed: 1 },
  {
    name: 'dirty reads',
    about: 'consumers get what is not committed',
    check: 'committed-reads',
    preset: 'core',
    breaks: ['dirtyReads'],
    seed: 1,
  },
  {
    name: 'falling high watermark',
    about: 'a new leader forgets what was committed',
    check: 'hw-monotone',
    preset: 'core',
    breaks: ['highWatermarkFalls'],
    seed: 1,
  },
  {
    name: 'high watermark by hearsay',
    about: 'a follower takes the leader’s',
    check: 'hw-bounds',
    preset: 'crash',
    breaks: ['followerAboveEnd'],
    seed: 3,
  },
  {
    name: 'optimistic ISR',
    about: 'an ISR counts before ZooKeeper has it',
    check: 'strong-isr',
    preset: 'core',
    breaks: ['optimisticIsr'],
    seed: 7,
  },
  {
    name: 'deposed leader',
    about: 'who is told to follow goes on leading',
    check: 'leader-unique',
    preset: 'core',
    breaks: ['deposedLeads'],
    seed: 1,
  },
  {
    name: 'controller epochs',
    about: 'raised by two',
    check: 'controller-epoch',
    preset: 'core',
    breaks: ['skipsEpoch'],
    seed: 1,
  },
  {
    name: 'gap in a follower',
    about: 'it leaves out a batch',
    check: 'replicas-equal',
    preset: 'crash',
    breaks: ['skipsBatch'],
    seed: 1,
  },
  {
    name: 'weak acks',
    about: 'acks=1 taken for acks=all',
    check: 'acked-survives',
    preset: 'core',
    breaks: ['weakAcks'],
    seed: 1,
  },
  {
    name: 'lying fsync',
    about: 'fsync does nothing, and the power goes',
    check: 'acked-survives',
    preset: 'power',
    breaks: ['lyingSync'],
    seed: 2,
  },
  {
    name: 'plain retries',
    about: 'an idempotent batch retried as a plain one',
    check: 'no-duplicates',
    preset: 'core',
    breaks: ['plainRetries'],
    seed: 8,
  },
  {
    name: 'forgotten producers',
    about: 'their state is not loaded',
    check: 'idempotence',
    preset: 'crash',
    breaks: ['forgetsProducers'],
    seed: 1,
  },
  { name: 'gaps in sequences', about: 'a leader takes them', check: 'order', preset: 'core', breaks: ['anySequence'], seed: 14 },
  {
    name: 'stray append',
    about: 'records land in another partition',
    check: 'no-phantoms',
    preset: 'crash',
    breaks: ['strayAppend'],
    seed: 1,
  },
  {
    name: 'lost marker',
    about: 'acknowledged and not written',
    check: 'transactions',
    preset: 'transactions',
    breaks: ['lostMarker'],
    seed: 1,
  },
  {
    name: 'H9',
    about: 'a producer goes on after an unclear EndTxn',
    check: 'transactions',
    preset: 'transactions',
    breaks: ['naiveTransactions'],
  },
  {
    name: 'offsets apart',
    about: 'a copier commits offsets outside of its transactions',
    check: 'exactly-once',
    preset: 'copy',
    breaks: ['offsetsApart'],
    seed: 2,
  },
  {
    name: 'aborted shown',
    about: 'nobody is told what was aborted',
    check: 'read-committed',
    preset: 'transactions',
    breaks: ['abortedShown'],
    seed: 1,
  },
  {
    name: 'one assignment',
    about: 'the same for every member',
    check: 'one-owner',
    preset: 'groups',
    breaks: ['oneAssignment'],
    seed: 1,
  },
  {
    name: 'generations',
    about: 'begin again at 1',
    check: 'generation-rises',
    preset: 'groups',
    breaks: ['generationFalls'],
    seed: 3,
  },
  {
    name: 'commits',
    about: 'acknowledged by one',
    check: 'offsets-stay',
    preset: 'groups',
    properties: { 'offsets.commit.required.acks': '1' },
    seed: 7,
  },
  { name: 'never back', about: 'nobody rejoins an ISR', check: 'liveness', preset: 'crash', breaks: ['neverJoins'], seed: 1 },
  {
    name: 'a mistake',
    about: 'an exception where an ISR is one broker',
    check: 'no-bug',
    preset: 'crash',
    breaks: ['throws'],
    seed: 2,
  },
]
