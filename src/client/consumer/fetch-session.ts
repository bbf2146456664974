/** The consumer's side of a fetch session (KIP-227): only what differs from the previous fetch goes to the broker. */
import type { RequestInput } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { byTopic } from '../by-topic.ts'

export type FetchTopics = RequestInput<'Fetch'>['topics']

/** A partition to fetch, from where. */
export interface Wanted {
  readonly key: string
  readonly topic: string
  readonly partition: number
  readonly fetchOffset: number
}

export interface SessionPart {
  readonly sessionId: number
  /** 0: a full fetch that asks for a session; -1: a full one without. */
  readonly epoch: number
  readonly topics: FetchTopics
  readonly forgettenTopicsData: readonly { readonly topic: string; readonly partitions: readonly number[] }[]
}

/** First version with sessions. */
const SESSIONS_SINCE = 7
const NO_SESSION = -1
const MAX_EPOCH = 0x7fffffff

interface Sent {
  readonly topic: string
  readonly partition: number
  fetchOffset: number
}

const NOBODY: readonly Sent[] = []

export class FetchSession {
  #id = 0
  #epoch = 0
  /** What the broker knows of the session. */
  #sent = new Map<string, Sent>()

  /** The parts of the next request that fetch these partitions. */
  next(version: number, wanted: readonly Wanted[], maxBytes: number): SessionPart {
    if (version < SESSIONS_SINCE || this.#id === 0 || this.#epoch === 0) return this.#full(version, wanted, maxBytes)
    const changed: Wanted[] = []
    let known = 0
    for (const partition of wanted) {
      const before = this.#sent.get(partition.key)
      if (before !== undefined) known++
      if (before?.fetchOffset !== partition.fetchOffset) changed.push(partition)
    }
    const gone = known === this.#sent.size ? NOBODY : this.#forgetAllBut(wanted)
    for (const partition of changed) this.#remember(partition)
    return {
      sessionId: this.#id,
      epoch: this.#epoch,
      topics: byTopic(changed, (one) => requested(one, maxBytes)),
      forgettenTopicsData: byTopic(gone, ({ partition }) => partition),
    }
  }

  #forgetAllBut(wanted: readonly Wanted[]): Sent[] {
    const gone = new Map(this.#sent)
    for (const { key } of wanted) gone.delete(key)
    for (const key of gone.keys()) this.#sent.delete(key)
    return [...gone.values()]
  }

  #full(version: number, wanted: readonly Wanted[], maxBytes: number): SessionPart {
    this.#sent = new Map()
    for (const partition of wanted) this.#remember(partition)
    return {
      sessionId: this.#id,
      epoch: version < SESSIONS_SINCE ? NO_SESSION : 0,
      topics: byTopic(wanted, (one) => requested(one, maxBytes)),
      forgettenTopicsData: [],
    }
  }

  #remember({ key, topic, partition, fetchOffset }: Wanted): void {
    const before = this.#sent.get(key)
    if (before === undefined) this.#sent.set(key, { topic, partition, fetchOffset })
    else before.fetchOffset = fetchOffset
  }

  /** Whether the answer has partitions to look at; the next request is a full one otherwise. */
  answered(errorCode: number, sessionId: number): boolean {
    if (errorCode !== ErrorCode.NONE) {
      if (errorCode === ErrorCode.FETCH_SESSION_ID_NOT_FOUND) this.#id = 0
      this.#epoch = 0
      return false
    }
    if (sessionId === 0) {
      this.#id = 0
      this.#epoch = 0
    } else {
      this.#epoch = sessionId !== this.#id || this.#epoch === MAX_EPOCH ? 1 : this.#epoch + 1
      this.#id = sessionId
    }
    return true
  }

  /** The connection broke: nobody knows whether the broker has seen the request. The next one closes the session and begins anew. */
  failed(): void {
    this.#epoch = 0
  }
}

function requested({ partition, fetchOffset }: Wanted, maxBytes: number) {
  return { partition, fetchOffset, maxBytes }
}
