import { Group } from '../coordinator/group/group.ts'
import { Membership } from '../coordinator/group/membership.ts'
import { OffsetMap } from '../log/cleaner/offset-map.ts'
import { PartitionLog } from '../log/log.ts'
import { DUPLICATE, ProducerState } from '../log/producer-state.ts'
import { LogSegment } from '../log/segment.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { batchSize, isControlBatch, lastSequence, nextBatch, producerId } from '../protocol/records/index.ts'
import { highWatermarkCandidate, RemoteReplica } from '../replication/isr.ts'
import { Partition } from '../replication/partition.ts'
import { RETENTION_MS } from './age-checker.ts'
import { REPLICA_LAG_MS } from './cluster.ts'

type Undo = () => void

/** Puts another method in the place of a class's own; `make` gets the original. */
function replace<T extends object, K extends keyof T & string>(prototype: T, name: K, make: (original: T[K]) => T[K]): Undo {
  const before = Object.getOwnPropertyDescriptor(prototype, name)!
  Object.defineProperty(prototype, name, { ...before, value: make(before.value as T[K]) })
  return () => void Object.defineProperty(prototype, name, before)
}

function replaceGetter<T extends object>(
  prototype: T,
  name: keyof T & string,
  make: (original: (this: T) => number) => (this: T) => number,
) {
  const before = Object.getOwnPropertyDescriptor(prototype, name)!
  Object.defineProperty(prototype, name, { ...before, get: make(before.get as (this: T) => number) })
  return () => void Object.defineProperty(prototype, name, before)
}

/** True once in `times` calls. */
function everyNth(times: number): () => boolean {
  let calls = 0
  return () => ++calls % times === 0
}

/** A follower believes the leader's high watermark, whatever it has itself. */
function followerAboveEnd(): Undo {
  const claimed = new WeakMap<Partition, number>()
  const undo = replace(
    Partition.prototype,
    'followLeader',
    (original) =>
      function (this: Partition, highWatermark, logStart) {
        claimed.set(this, highWatermark)
        original.call(this, highWatermark, logStart)
      },
  )
  const undoGetter = replaceGetter(
    Partition.prototype,
    'highWatermark',
    (original) =>
      function (this: Partition) {
        return Math.max(original.call(this), this.role === 'follower' ? (claimed.get(this) ?? -1) : -1)
      },
  )
  return () => {
    undo()
    undoGetter()
  }
}

/** A new leader takes what its followers have for the high watermark, also when it was higher. */
function highWatermarkFalls(): Undo {
  return replace(
    Partition.prototype,
    'advanceHighWatermark',
    (original) =>
      function (this: Partition, now) {
        original.call(this, now)
        const log = this.requireLog()
        const candidate = highWatermarkCandidate(log.logEndOffset, this.remotes, now, REPLICA_LAG_MS)
        log.highWatermark = Math.max(log.logStartOffset, candidate)
      },
  )
}

/** What a leader has is committed, whoever else has it. */
function eagerHighWatermark(): Undo {
  return replace(
    Partition.prototype,
    'advanceHighWatermark',
    () =>
      function (this: Partition) {
        const log = this.requireLog()
        log.highWatermark = log.logEndOffset
      },
  )
}

/** Who is told to follow goes on leading. */
function deposedLeads(): Undo {
  return replace(
    Partition.prototype,
    'becomeFollower',
    (original) =>
      function (this: Partition, assignment) {
        const { isLeader, leaderId } = this
        original.call(this, assignment)
        if (!isLeader) return
        this.role = 'leader'
        this.leaderId = leaderId
      },
  )
}

/** A follower leaves out one batch of many. */
function skipsBatch(): Undo {
  const isDue = everyNth(3)
  return replace(
    PartitionLog.prototype,
    'appendAsFollower',
    (original) =>
      function (this: PartitionLog, records) {
        const first = batchSize(records, 0)
        const holdsTwo = nextBatch(records, first, records.length) > 0
        return original.call(this, holdsTwo && isDue() ? records.subarray(first) : records)
      },
  )
}

/** A log is cut one record too deep: in the middle of a batch, which goes as a whole, and the log goes on behind the hole. */
function cutsWithin(): Undo {
  return replace(
    PartitionLog.prototype,
    'truncateTo',
    (original) =>
      function (this: PartitionLog, offset) {
        original.call(this, Math.max(this.logStartOffset, this.highWatermark, offset - 1))
      },
  )
}

/** Consumers are given what is not committed. */
function dirtyReads(): Undo {
  return replace(
    PartitionLog.prototype,
    'read',
    (original) =>
      function (this: PartitionLog, from, maxBytes, upTo, ...rest) {
        return original.call(this, from, maxBytes, upTo === this.highWatermark ? this.logEndOffset : upTo, ...rest)
      },
  )
}

/** A gap in a producer's sequence numbers does not matter. */
function anySequence(): Undo {
  return replace(
    ProducerState.prototype,
    'check',
    (original) =>
      function (this: ProducerState, ...args) {
        const error = original.apply(this, args)
        return error === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER ? 0 : error
      },
  )
}

/** A leader remembers the last batch of a producer only, while it goes on leading. */
function remembersOne(): Undo {
  return replace(
    ProducerState.prototype,
    'check',
    (original) =>
      function (this: ProducerState, buffer, position, ...args) {
        const error = original.call(this, buffer, position, ...args)
        const isLast = this.get(producerId(buffer, position))?.lastSequence === lastSequence(buffer, position)
        return error === DUPLICATE && !isLast ? ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER : error
      },
  )
}

/** What a leader remembered of producers is gone when it starts again. */
function forgetsProducers(): Undo {
  return replace(ProducerState.prototype, 'load', () => function (this: ProducerState) {})
}

/** One produce in some lands in another partition that the broker leads. */
function strayAppend(): Undo {
  const isDue = everyNth(20)
  const lastOf = new Map<number, Partition>()
  return replace(
    Partition.prototype,
    'appendAsLeader',
    (original) =>
      function (this: Partition, records, isFromClient) {
        const other = lastOf.get(this.leaderId)
        if (isFromClient && !this.topic.startsWith('__')) lastOf.set(this.leaderId, this)
        if (!isFromClient || other === undefined || other === this || !other.isLeader || !isDue())
          return original.call(this, records, isFromClient)
        return original.call(other, records, isFromClient)
      },
  )
}

/** One transaction marker in some is acknowledged and not written. */
function lostMarker(): Undo {
  const isDue = everyNth(5)
  return replace(
    Partition.prototype,
    'appendAsLeader',
    (original) =>
      function (this: Partition, records, isFromClient) {
        if (this.topic.startsWith('__') || !isControlBatch(records, 0) || !isDue())
          return original.call(this, records, isFromClient)
        const { logEndOffset, logStartOffset } = this.requireLog()
        const last = Math.max(0, this.highWatermark - 1)
        return {
          error: 0,
          firstOffset: last,
          lastOffset: Math.min(last, logEndOffset),
          logAppendTime: -1,
          logStartOffset,
          bytes: 0,
        }
      },
  )
}

/** A read_committed consumer is not told which transactions were aborted. */
function abortedShown(): Undo {
  return replace(
    PartitionLog.prototype,
    'read',
    (original) =>
      function (this: PartitionLog, ...args) {
        const result = original.apply(this, args)
        return result.abortedTransactions === undefined ? result : { ...result, abortedTransactions: [] }
      },
  )
}

/** Every member is given what the leader meant for one. */
function oneAssignment(): Undo {
  return replace(
    Membership.prototype,
    'sync',
    (original) =>
      function (this: Membership, group, request, done) {
        const [first] = request.assignments.values()
        const assignments = new Map([...request.assignments.keys()].map((member) => [member, first ?? Buffer.alloc(0)]))
        original.call(this, group, { ...request, assignments }, done)
      },
  )
}

/** Generations begin again at 1 after the third. */
function generationFalls(): Undo {
  return replace(
    Group.prototype,
    'beginGeneration',
    (original) =>
      function (this: Group) {
        original.call(this)
        if (this.generationId > 3) this.generationId = 1
      },
  )
}

/** Whoever has left the ISR never comes back. */
function neverJoins(): Undo {
  return replace(
    RemoteReplica.prototype,
    'noteFetch',
    (original) =>
      function (this: RemoteReplica, ...args) {
        original.apply(this, args)
        if (!this.counted) this.logEndOffset = -1
      },
  )
}

/** A mistake of programming on a path that is taken now and then. */
function throws(): Undo {
  return replace(
    Partition.prototype,
    'maybeShrinkIsr',
    (original) =>
      function (this: Partition, now) {
        if (this.isrState.isr.length === 1 && this.remotes.length > 0) throw new TypeError('a canary')
        original.call(this, now)
      },
  )
}

/** The cleaner takes the newest record of a key, now and then. */
function cleansNewest(): Undo {
  const isDue = everyNth(7)
  return replace(
    OffsetMap.prototype,
    'get',
    (original) =>
      function (this: OffsetMap, ...args) {
        const offset = original.apply(this, args)
        return offset >= 0 && isDue() ? offset + 1 : offset
      },
  )
}

/** Retention takes everything that is committed. */
function greedyRetention(): Undo {
  return replace(
    PartitionLog.prototype,
    'deleteOldSegments',
    (original) =>
      function (this: PartitionLog) {
        const deleted = original.call(this)
        if (deleted > 0) this.maybeIncrementLogStartOffset(this.highWatermark)
        return deleted + original.call(this)
      },
  )
}

/** A segment passes for older than it is. */
function agesEarly(): Undo {
  return replace(
    LogSegment.prototype,
    'largestTimestamp',
    (original) =>
      function (this: LogSegment) {
        return original.call(this) - RETENTION_MS / 2
      },
  )
}

/** No segment is ever old enough. */
function neverAges(): Undo {
  return replace(LogSegment.prototype, 'largestTimestamp', () => () => Number.MAX_SAFE_INTEGER)
}

const MUTATIONS = {
  followerAboveEnd,
  highWatermarkFalls,
  eagerHighWatermark,
  deposedLeads,
  skipsBatch,
  cutsWithin,
  dirtyReads,
  anySequence,
  remembersOne,
  forgetsProducers,
  strayAppend,
  lostMarker,
  abortedShown,
  oneAssignment,
  generationFalls,
  neverJoins,
  throws,
  cleansNewest,
  greedyRetention,
  agesEarly,
  neverAges,
} as const satisfies Readonly<Record<string, () => Undo>>

/** A rule of the product's own code that is broken while a run lasts. */
export type Mutation = keyof typeof MUTATIONS

/** Breaks what is named here, for all brokers of the process; the answer puts it back. */
export function mutate(names: Iterable<string>): Undo {
  const undos = [...names].map((name) => (MUTATIONS as Readonly<Record<string, (() => Undo) | undefined>>)[name]?.())
  return () => {
    for (const undo of undos.reverse()) undo?.()
  }
}
