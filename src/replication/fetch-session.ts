import type { Offset, PartitionKey } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import type { RequestOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'

type FetchTopics = RequestOf<'Fetch'>['topics']
type ForgottenTopics = RequestOf<'Fetch'>['forgettenTopicsData']

const INITIAL_EPOCH = 0
const MAX_EPOCH = 2147483647
/** Partitions that one request adds to a session: thousands at once are more than a turn's work, here and at the leader. */
const ADDED_AT_ONCE = 500

/** A partition as the follower's side of a session sees it. */
export interface SessionPartition {
  readonly topic: string
  readonly partition: number
  readonly fetchOffset: Offset
  readonly logStartOffset: Offset
  /** May it be fetched now? */
  readonly isReady: boolean
  /** Known to the leader's session, with the values below. */
  inSession: boolean
  sentOffset: Offset
  sentLogStart: Offset
}

export interface SessionRequest {
  readonly sessionId: number
  readonly epoch: number
  readonly topics: FetchTopics
  readonly forgotten: ForgottenTopics
  /** More partitions are to be added by the next request: this one should not wait for data. */
  readonly isPartial: boolean
}

/**
 * The follower's half of an incremental fetch session (KIP-227): a full request opens one, later ones name only what changed since the
 * request before, and what is to be left out. Whoever is changed, added or no longer ready has to be reported by `touch`; partitions
 * nobody touched cost nothing. After an error the next request is a full one. A session of many partitions is built up by several requests.
 */
export class FollowerFetchSession<P extends SessionPartition> {
  readonly #maxBytes: number
  #id = 0
  #epoch = INITIAL_EPOCH
  /** The leader kept no session for the last request: what a request does not name is not fetched. */
  #isRefused = false
  /** In the leader's session after the request last built. */
  #size = 0
  readonly #touched = new Set<P>()
  /** Removed here, still in the leader's session; one of a partition, by its key. */
  readonly #gone = new Map<PartitionKey, P>()

  /** `maxBytes`: `replica.fetch.max.bytes`. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** The next request names everything. */
  get isFull(): boolean {
    return this.#epoch === INITIAL_EPOCH
  }

  /** 0: none. */
  get id(): number {
    return this.#id
  }

  touch(partition: P): void {
    this.#touched.add(partition)
  }

  remove(partition: P): void {
    this.#touched.delete(partition)
    if (!partition.inSession) return
    partition.inSession = false
    this.#size--
    this.#gone.set(partitionKey(partition.topic, partition.partition), partition)
  }

  /** `all` in order of preference. Undefined: nothing to fetch. */
  next(all: Iterable<P>): SessionRequest | undefined {
    return this.isFull ? this.#fullRequest(all) : this.#incrementalRequest()
  }

  #fullRequest(all: Iterable<P>): SessionRequest | undefined {
    const topics: FetchTopics = []
    this.#touched.clear()
    this.#gone.clear()
    this.#size = 0
    for (const partition of all) {
      partition.inSession = partition.isReady && (this.#isRefused || this.#size < ADDED_AT_ONCE)
      if (partition.inSession) this.#name(topics, partition)
      else if (partition.isReady) this.#touched.add(partition)
    }
    if (this.#size === 0) return undefined
    return { sessionId: this.#id, epoch: INITIAL_EPOCH, topics, forgotten: [], isPartial: this.#touched.size > 0 }
  }

  #incrementalRequest(): SessionRequest | undefined {
    const topics: FetchTopics = []
    const forgotten: ForgottenTopics = []
    const left: P[] = []
    let added = 0
    for (const partition of this.#touched) {
      if (!partition.isReady) this.remove(partition)
      else if (!partition.inSession && ++added > ADDED_AT_ONCE) left.push(partition)
      else this.#nameIfChanged(topics, partition)
    }
    this.#touched.clear()
    for (const partition of left) this.#touched.add(partition)
    for (const partition of this.#gone.values()) forget(forgotten, partition)
    // Left for the next request if there is none now.
    if (this.#size === 0) return undefined
    this.#gone.clear()
    return { sessionId: this.#id, epoch: this.#epoch, topics, forgotten, isPartial: left.length > 0 }
  }

  #nameIfChanged(topics: FetchTopics, partition: P): void {
    if (partition.inSession) {
      if (partition.sentOffset === partition.fetchOffset && partition.sentLogStart === partition.logStartOffset) return
      this.#size--
    }
    // Removed and added again since: naming it replaces what the leader has, forgetting it too would drop it.
    if (this.#gone.size > 0) this.#gone.delete(partitionKey(partition.topic, partition.partition))
    this.#name(topics, partition)
  }

  #name(topics: FetchTopics, partition: P): void {
    this.#size++
    partition.inSession = true
    partition.sentOffset = partition.fetchOffset
    partition.sentLogStart = partition.logStartOffset
    let topic = topics.at(-1)
    if (topic === undefined || topic.topic !== partition.topic) topics.push((topic = { topic: partition.topic, partitions: [] }))
    topic.partitions.push({
      partition: partition.partition,
      fetchOffset: partition.fetchOffset,
      logStartOffset: partition.logStartOffset,
      maxBytes: this.#maxBytes,
    })
  }

  /** An answer came. False: it is to be ignored. */
  accept(error: number, sessionId: number): boolean {
    if (error !== ErrorCode.NONE) {
      // Unknown there: start afresh. Otherwise close it and open a new one with the same request.
      if (error === ErrorCode.FETCH_SESSION_ID_NOT_FOUND) this.#id = 0
      this.#epoch = INITIAL_EPOCH
      return false
    }
    this.#isRefused = sessionId === 0
    if (this.#isRefused) {
      // The leader has no place for a session, or ended it.
      this.#id = 0
      this.#epoch = INITIAL_EPOCH
      return true
    }
    this.#id = sessionId
    this.#epoch = this.#epoch === MAX_EPOCH ? 1 : this.#epoch + 1
    return true
  }

  /** The request or its answer was lost: the leader may or may not have counted it. */
  lost(): void {
    this.#epoch = INITIAL_EPOCH
  }
}

function forget(forgotten: ForgottenTopics, partition: SessionPartition): void {
  let topic = forgotten.at(-1)
  if (topic?.topic !== partition.topic) topic = forgotten.find((one) => one.topic === partition.topic)
  if (topic === undefined) forgotten.push((topic = { topic: partition.topic, partitions: [] }))
  topic.partitions.push(partition.partition)
}
