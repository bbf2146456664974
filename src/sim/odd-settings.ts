import type { SeededRng } from '../ports/memory/seeded-rng.ts'

/** Draws the value of a setting. */
type Draw = (rng: SeededRng) => string

const between =
  (low: number, high: number): Draw =>
  (rng) =>
    String(rng.int(low, high))
const oneOf =
  (...values: readonly string[]): Draw =>
  (rng) =>
    values[rng.int(0, values.length)]!

/**
 * Settings that are legal and that nobody has: each makes a rare path of the product the common one (an index that is full at once, fetches that
 * bring one batch, sessions that are forgotten, connections that are closed when they have said nothing for a second). What they promise is the
 * same.
 */
const ODD: Readonly<Record<string, Draw>> = {
  'max.incremental.fetch.session.cache.slots': oneOf('0', '1', '3'),
  'replica.fetch.response.max.bytes': between(1, 1000),
  'replica.fetch.backoff.ms': between(1, 1000),
  'log.index.size.max.bytes': between(24, 200),
  'log.index.interval.bytes': oneOf('0', '1', '1000000'),
  'log.roll.ms': between(300, 5000),
  'log.segment.delete.delay.ms': oneOf('0', '1', '10000'),
  'log.flush.interval.messages': between(1, 20),
  'log.flush.offset.checkpoint.interval.ms': between(20, 1000),
  'log.flush.start.offset.checkpoint.interval.ms': between(20, 1000),
  'log.message.timestamp.type': oneOf('LogAppendTime'),
  'num.recovery.threads.per.data.dir': oneOf('2', '4'),
  'num.replica.fetchers': oneOf('2', '3', '5'),
  // Longer than any fetch waits: one that is cut off while it waits is never told the high watermark.
  'connections.max.idle.ms': between(700, 4000),
  'queued.max.requests': oneOf('1', '2', '5'),
  'offsets.load.buffer.size': between(1, 300),
  'offsets.topic.segment.bytes': between(300, 3000),
  'offsets.retention.check.interval.ms': between(100, 2000),
  'transaction.state.log.load.buffer.size': between(1, 300),
  'transaction.state.log.segment.bytes': between(300, 3000),
  'transaction.abort.timed.out.transaction.cleanup.interval.ms': between(50, 3000),
  'group.initial.rebalance.delay.ms': oneOf('0', '1500'),
  'leader.imbalance.check.interval.seconds': oneOf('1', '2', '60'),
  'auto.leader.rebalance.enable': oneOf('false'),
  'producer.purgatory.purge.interval.requests': oneOf('1', '10'),
  'fetch.purgatory.purge.interval.requests': oneOf('1', '10'),
}
/** Of the seeds that have any; and of the settings in such a seed. */
const SHARE = 0.4
const SHARE_OF_EACH = 0.12

/** None in most seeds, else a few at a time. */
export function oddSettings(rng: SeededRng): Record<string, string> {
  const drawn: Record<string, string> = {}
  if (rng.next() >= SHARE) return drawn
  for (const [key, draw] of Object.entries(ODD)) if (rng.next() < SHARE_OF_EACH) drawn[key] = draw(rng)
  return drawn
}
