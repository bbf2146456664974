import { partitionKey } from '../base/ids.ts'
import type { Rng } from '../ports/rng.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { RestingPartitions } from '../replication/resting.ts'
import { uniquePartitions } from './unique-partitions.ts'

/** What a session needs to know of a partition in a request. */
export interface RequestedPartition {
  readonly topic: string
  readonly partition: number
  readonly fetchOffset: number
  /** -1 from consumers. */
  readonly logStartOffset: number
  readonly maxBytes: number
}

/** What a session needs to know of a partition in an answer. */
export interface AnsweredPartition {
  readonly topic: string
  readonly partition: number
  readonly error: number
  readonly highWatermark: number
  readonly logStartOffset: number
  readonly records: { readonly size: number } | undefined
}

/** A Fetch request seen through its session: which partitions to read, and what of the results to send. */
export interface FetchContext {
  /** FETCH_SESSION_ID_NOT_FOUND or INVALID_FETCH_SESSION_EPOCH: answer this with session id 0 and nothing else. */
  readonly error: number
  /** To read, in this order; those that rest are not among them. */
  readonly partitions: readonly RequestedPartition[]
  readonly resting?: RestingPartitions | undefined
  /** Called once with the results; creates or advances the session and picks what is sent. */
  finish<R extends AnsweredPartition>(results: readonly R[]): { error: number; sessionId: number; included: readonly R[] }
}

export const FINAL_EPOCH = -1
const INITIAL_EPOCH = 0
const MAX_INT = 2147483647
/** A session not older than this is only evicted by a follower, and only when it is a consumer's. */
export const SESSION_EVICTION_MS = 120_000

function nextEpoch(epoch: number): number {
  if (epoch < 0) return FINAL_EPOCH
  return epoch === MAX_INT ? 1 : epoch + 1
}

/** A partition of a session, as last requested and as last answered. */
interface CachedPartition {
  readonly key: string
  readonly topic: string
  readonly partition: number
  fetchOffset: number
  logStartOffset: number
  maxBytes: number
  sentHighWatermark: number
  sentLogStartOffset: number
  sentRecords: boolean
  /** Those with lower ones are read first. */
  place: number
}

interface Session {
  readonly id: number
  /** A follower's. */
  readonly privileged: boolean
  readonly createdMs: number
  readonly partitions: Map<string, CachedPartition>
  /** Those that do not rest. Insertion order is the order of reading, unless `isUnsorted`. */
  readonly awake: Map<string, CachedPartition>
  isUnsorted: boolean
  /** The same as a list, until they change. */
  list: readonly CachedPartition[] | undefined
  lastPlace: number
  readonly resting: RestingPartitions
  epoch: number
  /** Size when the age classes were computed. 1.1 recomputes them only when the number of partitions changes. */
  cachedSize: number
  evictableByFollowers: boolean
  evictableByAll: boolean
}

function add(session: Session, requested: RequestedPartition): void {
  const { topic, partition, fetchOffset, logStartOffset, maxBytes } = requested
  const key = partitionKey(topic, partition)
  const sent = { sentHighWatermark: -1, sentLogStartOffset: -1, sentRecords: false }
  const added = { key, topic, partition, fetchOffset, logStartOffset, maxBytes, ...sent, place: ++session.lastPlace }
  session.partitions.set(key, added)
  session.awake.set(key, added)
  session.list = undefined
}

/** Who is to be read again is so at its old place. */
function move(session: Session, moved: CachedPartition, rests: boolean): void {
  session.list = undefined
  if (rests) {
    session.awake.delete(moved.key)
    return
  }
  session.awake.set(moved.key, moved)
  session.isUnsorted = true
}

/** To be read, in order. */
function listOf(session: Session): readonly CachedPartition[] {
  if (session.list !== undefined) return session.list
  const list = [...session.awake.values()]
  if (session.isUnsorted) {
    list.sort((a, b) => a.place - b.place)
    session.awake.clear()
    for (const one of list) session.awake.set(one.key, one)
    session.isUnsorted = false
  }
  session.list = list
  return list
}

/** Must the result be sent, given what was sent before? Remembers what is sent. An error makes the partition new again. */
function noteAnswer(partition: CachedPartition, result: AnsweredPartition): boolean {
  partition.sentRecords = result.records !== undefined && result.records.size > 0
  let mustSend = result.error !== ErrorCode.NONE || partition.sentRecords
  if (partition.sentHighWatermark !== result.highWatermark || partition.sentLogStartOffset !== result.logStartOffset)
    mustSend = true
  partition.sentHighWatermark = result.error === ErrorCode.NONE ? result.highWatermark : -1
  partition.sentLogStartOffset = result.logStartOffset
  return mustSend
}

/**
 * Incremental fetch sessions (KIP-227) with 1.1.1's rules of eviction: the age of a session counts from its creation, use does not make it
 * younger. Linear scans happen only when the cache is full and a newcomer wants a place.
 */
export class FetchSessionCache {
  readonly #sessions = new Map<number, Session>()
  readonly #slots: number
  readonly #evictionMs: number
  readonly #now: () => number
  readonly #rng: Rng
  #evictions = 0

  constructor(options: { slots: number; now: () => number; rng: Rng; evictionMs?: number }) {
    this.#slots = options.slots
    this.#now = options.now
    this.#rng = options.rng
    this.#evictionMs = options.evictionMs ?? SESSION_EVICTION_MS
  }

  get size(): number {
    return this.#sessions.size
  }

  /** Sessions that had to make room for others. */
  get evictions(): number {
    return this.#evictions
  }

  /** Partitions in all sessions. */
  get partitionCount(): number {
    let count = 0
    for (const session of this.#sessions.values()) count += session.partitions.size
    return count
  }

  /** Every partition of every session is looked at by its next fetch. */
  wakeAll(): void {
    for (const { resting } of this.#sessions.values()) resting.wakeAll()
  }

  /** `epoch` and `sessionId` as the request says; requests before v7 have -1 and 0. `replicaId`: negative from consumers. */
  context(
    sessionId: number,
    epoch: number,
    requested: readonly RequestedPartition[],
    forgotten: readonly { readonly topic: string; readonly partition: number }[],
    replicaId: number,
  ): FetchContext {
    if (epoch === FINAL_EPOCH || epoch === INITIAL_EPOCH) {
      this.#drop(sessionId)
      const partitions = uniquePartitions(requested)
      return epoch === FINAL_EPOCH ? sessionless(partitions) : this.#full(partitions, replicaId)
    }
    const session = this.#sessions.get(sessionId)
    if (!session) return refused(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    if (session.epoch !== epoch) return refused(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
    return this.#incremental(session, requested, forgotten, replicaId)
  }

  #full(partitions: readonly RequestedPartition[], replicaId: number): FetchContext {
    return {
      error: ErrorCode.NONE,
      partitions,
      finish: (results) => {
        const session = this.#create(replicaId, partitions.length)
        if (session) fill(session, partitions, results)
        return { error: ErrorCode.NONE, sessionId: session?.id ?? 0, included: results }
      },
    }
  }

  #incremental(
    session: Session,
    requested: readonly RequestedPartition[],
    forgotten: readonly { readonly topic: string; readonly partition: number }[],
    replicaId: number,
  ): FetchContext {
    // What rests does so by the word of the reader that opened the session.
    const resting = session.resting.replicaId === replicaId ? session.resting : undefined
    if (resting === undefined) session.resting.wakeAll()
    change(session, requested, forgotten)
    if (session.partitions.size === 0) {
      this.#drop(session.id)
      return sessionless(uniquePartitions(requested))
    }
    if (session.partitions.size !== session.cachedSize) this.#classify(session)
    const expected = nextEpoch(session.epoch)
    session.epoch = expected
    const partitions = listOf(session)
    return {
      error: ErrorCode.NONE,
      partitions,
      resting,
      finish: (results) =>
        session.epoch === expected
          ? { error: ErrorCode.NONE, sessionId: session.id, included: pickChanged(session, partitions, results) }
          : { error: ErrorCode.INVALID_FETCH_SESSION_EPOCH, sessionId: session.id, included: [] },
    }
  }

  #classify(session: Session): void {
    const old = this.#now() - session.createdMs > this.#evictionMs
    session.cachedSize = session.partitions.size
    session.evictableByFollowers = !session.privileged || old
    session.evictableByAll = old
  }

  #drop(sessionId: number): void {
    const session = this.#sessions.get(sessionId)
    this.#sessions.delete(sessionId)
    session?.resting.wakeAll()
  }

  #create(replicaId: number, size: number): Session | undefined {
    const privileged = replicaId >= 0
    if (this.#sessions.size >= this.#slots && !this.#evictFor(privileged, size)) return undefined
    let id = this.#rng.int(1, MAX_INT)
    while (this.#sessions.has(id)) id = this.#rng.int(1, MAX_INT)
    const session: Session = {
      id,
      privileged,
      createdMs: this.#now(),
      partitions: new Map(),
      awake: new Map(),
      isUnsorted: false,
      list: undefined,
      lastPlace: 0,
      resting: new RestingPartitions(replicaId, (moved, rests) => move(session, moved as CachedPartition, rests)),
      epoch: nextEpoch(INITIAL_EPOCH),
      cachedSize: size,
      evictableByFollowers: !privileged,
      evictableByAll: false,
    }
    this.#sessions.set(id, session)
    return session
  }

  /** Makes a place for a newcomer; false when nothing may go. */
  #evictFor(privileged: boolean, size: number): boolean {
    if (this.#slots === 0) return false
    let oldest: Session | undefined
    let least: Session | undefined
    for (const session of this.#sessions.values()) {
      if (!oldest || isOlder(session, oldest)) oldest = session
      const evictable = privileged ? session.evictableByFollowers : session.evictableByAll
      if (evictable && (!least || compareEvictable(session, least) < 0)) least = session
    }
    if (oldest && this.#now() - oldest.createdMs > this.#evictionMs) return this.#evict(oldest)
    if (!least || compareEvictable(least, { privileged, cachedSize: size, id: 0 }) > 0) return false
    return this.#evict(least)
  }

  #evict(session: Session): boolean {
    this.#evictions++
    this.#drop(session.id)
    return true
  }
}

function isOlder(a: Session, b: Session): boolean {
  return a.createdMs < b.createdMs || (a.createdMs === b.createdMs && a.id < b.id)
}

type EvictionKey = Pick<Session, 'privileged' | 'cachedSize' | 'id'>

function compareEvictable(a: EvictionKey, b: EvictionKey): number {
  return Number(a.privileged) - Number(b.privileged) || a.cachedSize - b.cachedSize || a.id - b.id
}

function sessionless(partitions: readonly RequestedPartition[]): FetchContext {
  return {
    error: ErrorCode.NONE,
    partitions,
    finish: (results) => ({ error: ErrorCode.NONE, sessionId: 0, included: results }),
  }
}

function refused(error: number): FetchContext {
  return { error, partitions: [], finish: () => ({ error, sessionId: 0, included: [] }) }
}

/** What an incremental request says of its session. */
function change(
  session: Session,
  requested: readonly RequestedPartition[],
  forgotten: readonly { readonly topic: string; readonly partition: number }[],
): void {
  for (const one of requested) {
    const known = session.partitions.get(partitionKey(one.topic, one.partition))
    if (known === undefined) {
      add(session, one)
      continue
    }
    session.resting.wake(known)
    Object.assign(known, { fetchOffset: one.fetchOffset, logStartOffset: one.logStartOffset, maxBytes: one.maxBytes })
  }
  for (const { topic, partition } of forgotten) {
    const key = partitionKey(topic, partition)
    const known = session.partitions.get(key)
    if (known === undefined) continue
    session.resting.wake(known)
    session.partitions.delete(key)
    session.awake.delete(key)
    session.list = undefined
  }
}

function fill(session: Session, partitions: readonly RequestedPartition[], results: readonly AnsweredPartition[]): void {
  for (const one of partitions) add(session, one)
  for (const result of results) {
    const partition = session.partitions.get(partitionKey(result.topic, result.partition))
    if (partition) noteAnswer(partition, result)
  }
}

/** What changed since the last answer; those partitions move to the end of the session's order. `read`: in the order of most of the results. */
function pickChanged<R extends AnsweredPartition>(
  session: Session,
  read: readonly CachedPartition[],
  results: readonly R[],
): R[] {
  const included: R[] = []
  for (let i = 0; i < results.length; i++) {
    const result = results[i]!
    const same = read[i]
    const isSame = same !== undefined && same.partition === result.partition && same.topic === result.topic
    const partition = isSame ? same : session.partitions.get(partitionKey(result.topic, result.partition))
    if (!partition || !noteAnswer(partition, result)) continue
    session.awake.delete(partition.key)
    session.awake.set(partition.key, partition)
    partition.place = ++session.lastPlace
    session.list = undefined
    included.push(result)
  }
  return included
}
