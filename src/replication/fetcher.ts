import type { BrokerId, Millis, Offset, PartitionKey } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import type { Logger } from '../base/logger.ts'
import type { WheelTimer } from '../base/timer-wheel.ts'
import { DiskError } from '../ports/disk.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode, errorName } from '../protocol/errors.ts'
import { Alignment } from './alignment.ts'
import type { FetcherFigures, ReplicationEnvironment } from './environment.ts'
import { FollowerFetchSession } from './fetch-session.ts'
import { fetcherClientId } from './fetcher-names.ts'
import { Followed } from './followed.ts'
import type { Partition } from './partition.ts'
import type { PeerChannel, PeerRpc } from './types.ts'

type FetchAnswer = ResponseOf<'Fetch'>['responses'][number]['partitionResponses'][number]

/** How long a parked fetch may hold up partitions that were added since, before the connection is changed for a new one. */
const HELD_UP_MS = 20
/** Partitions of one epoch question: thousands at once are more than a turn's work, here and at the leader. */
const QUESTIONS_AT_ONCE = 500
/** Wait after a refused epoch question; doubles up to `replica.fetch.backoff.ms`. */
const FIRST_RETRY_MS = 10
/** Refused more often (for 1.3 s), a partition may be refused for ever (an old order to follow): it waits for the fetches of others. */
const HURRIED_RETRIES = 7
const LATEST = -1
const EARLIEST = -2

/** What a fetcher tells its manager. */
export interface FetcherOwner {
  /** H11: the leader lost records that this replica has. It no longer follows anybody. */
  halted(replica: Partition, reason: string): void
}

/**
 * Follows one leader broker for many partitions over one connection, one request at a time: epoch questions of new partitions, then offset
 * questions of those out of range, then a fetch of all others.
 *
 * A fetch offset tells the leader what is safe here, so the next fetch goes out after the received records were appended and
 * before anything else is done with them; nothing waits in between, and the request leaves in the same turn.
 */
export class Fetcher implements FetcherFigures {
  readonly threadName: string
  requests = 0
  bytes = 0
  readonly #env: ReplicationEnvironment
  readonly #peers: PeerRpc
  readonly #leader: BrokerId
  readonly #clientId: string
  readonly #owner: FetcherOwner
  readonly #logger: Logger
  readonly #alignmentOptions: { readonly probes: boolean; readonly asksTwice: boolean }
  /** In order of preference for a full fetch: who delivered goes to the end. */
  readonly #followed = new Map<PartitionKey, Followed>()
  readonly #aligning = new Set<Followed>()
  readonly #outOfRange = new Set<Followed>()
  #session: FollowerFetchSession<Followed>
  #channel: PeerChannel
  #inFlight: 'none' | 'fetch' | 'question' = 'none'
  #pause: WheelTimer | undefined
  #heldUp: WheelTimer | undefined
  #throttled: WheelTimer | undefined
  #someThrottled = false
  #closed = false

  constructor(env: ReplicationEnvironment, peers: PeerRpc, leader: BrokerId, index: number, owner: FetcherOwner) {
    this.#env = env
    this.#peers = peers
    this.#leader = leader
    this.#owner = owner
    this.#clientId = fetcherClientId(env.brokerId, index)
    this.threadName = `ReplicaFetcherThread-${index}-${leader}`
    const prefix = `[ReplicaFetcher replicaId=${env.brokerId}, leaderId=${leader}, fetcherId=${index}]`
    this.#logger = env.logger.child(prefix, 'kafka.server.ReplicaFetcherThread')
    this.#alignmentOptions = { probes: !env.config.faithful.has('H5'), asksTwice: !env.config.faithful.has('H4') }
    this.#session = new FollowerFetchSession(env.config.replicaFetchMaxBytes)
    this.#channel = peers.open(leader, this.#clientId)
    this.#logger.info('Starting')
  }

  get leader(): BrokerId {
    return this.#leader
  }

  lags(): Iterable<Followed> {
    return this.#followed.values()
  }

  get size(): number {
    return this.#followed.size
  }

  has(key: PartitionKey): boolean {
    return this.#followed.has(key)
  }

  /** `run` afterwards. */
  add(replica: Partition): void {
    this.remove(replica.key)
    const followed = new Followed(replica)
    this.#followed.set(replica.key, followed)
    this.#aligning.add(followed)
    // A leader that failed may be back: that is perhaps why we are told.
    this.#pause?.cancel()
    this.#pause = undefined
  }

  remove(key: PartitionKey): void {
    const followed = this.#followed.get(key)
    if (followed === undefined) return
    this.#followed.delete(key)
    this.#aligning.delete(followed)
    this.#outOfRange.delete(followed)
    followed.delayed?.cancel()
    this.#session.remove(followed)
  }

  /** Sends whatever is due unless a request is under way. */
  run(): void {
    if (this.#closed || this.#pause !== undefined) return
    if (this.#inFlight !== 'none') {
      this.#watchHeldUp()
      return
    }
    if (this.#askEpochs() || this.#askOffsets(LATEST)) return
    this.#fetch()
  }

  close(): void {
    this.#closed = true
    this.#pause?.cancel()
    this.#heldUp?.cancel()
    this.#throttled?.cancel()
    for (const followed of this.#followed.values()) followed.delayed?.cancel()
    this.#followed.clear()
    this.#aligning.clear()
    this.#outOfRange.clear()
    this.#channel.close()
    this.#logger.info('Shutdown completed')
  }

  // ---------------------------------------------------------------- one request at a time

  #send<A extends 'Fetch' | 'OffsetForLeaderEpoch' | 'ListOffsets'>(
    api: A,
    request: RequestOf<A>,
    onAnswer: (response: ResponseOf<A>) => void,
  ): void {
    this.#inFlight = api === 'Fetch' ? 'fetch' : 'question'
    const channel = this.#channel
    channel.send(api, request, (error, response) => {
      if (this.#closed || channel !== this.#channel) return
      this.#inFlight = 'none'
      this.#heldUp?.cancel()
      this.#heldUp = undefined
      if (error !== undefined || response === undefined) this.#failed(api, error ?? 'no answer')
      else onAnswer(response)
    })
  }

  /** Everything waits for the backoff; the session may be out of step, so it starts anew. */
  #failed(api: string, error: string): void {
    this.#logger.warn(`Error when sending ${api} to broker ${this.#leader}: ${error}`)
    this.#session.lost()
    this.#askAnew()
    this.#pauseAll()
  }

  /** What was answered over a connection that is gone may be from before the leader was deposed and came back. */
  #askAnew(): void {
    for (const followed of this.#aligning) followed.alignment = undefined
  }

  #pauseAll(): void {
    this.#pause?.cancel()
    this.#pause = this.#env.timers.add(this.#env.config.replicaFetchBackoffMs, () => {
      this.#pause = undefined
      this.run()
    })
  }

  /** A fetch without data is parked at the leader for up to `replica.fetch.wait.max.ms`; new partitions shall not wait for that. */
  #watchHeldUp(): void {
    if (this.#inFlight !== 'fetch' || this.#heldUp !== undefined || !this.#isHurried()) return
    this.#heldUp = this.#env.timers.add(HELD_UP_MS, () => {
      this.#heldUp = undefined
      if (this.#closed || this.#inFlight !== 'fetch' || !this.#isHurried()) return
      this.#channel.close()
      this.#channel = this.#peers.open(this.#leader, this.#clientId)
      this.#inFlight = 'none'
      this.#session.lost()
      this.#askAnew()
      this.run()
    })
  }

  #isHurried(): boolean {
    for (const { delayed, retries } of this.#aligning) if (delayed === undefined && retries < HURRIED_RETRIES) return true
    return false
  }

  #delay(followed: Followed, delayMs: Millis = this.#env.config.replicaFetchBackoffMs): void {
    this.#session.touch(followed)
    followed.delayed?.cancel()
    followed.delayed = this.#env.timers.add(delayMs, () => {
      followed.delayed = undefined
      this.#session.touch(followed)
      this.run()
    })
  }

  #fetchFromNowOn(followed: Followed): void {
    this.#aligning.delete(followed)
    this.#outOfRange.delete(followed)
    followed.phase = 'fetch'
    followed.alignment = undefined
    this.#session.touch(followed)
  }

  /** A failed log directory takes its partitions away by itself; what stays tries again later. */
  #guardDisk(followed: Followed, work: () => void): void {
    try {
      work()
    } catch (error) {
      this.#onThrown(followed, error)
    }
  }

  #onThrown(followed: Followed, error: unknown): void {
    if (!(error instanceof DiskError)) throw error
    followed.replica.logger.error(`Storage error while following broker ${this.#leader}`, error)
    if (this.#followed.get(followed.replica.key) === followed) this.#delay(followed)
  }

  // ---------------------------------------------------------------- alignment by leader epoch

  #askEpochs(): boolean {
    if (this.#aligning.size === 0) return false
    const asked = new Map<PartitionKey, Followed>()
    const topics: RequestOf<'OffsetForLeaderEpoch'>['topics'] = []
    const starts = new Set<Followed>()
    for (const followed of this.#aligning) {
      if (followed.delayed !== undefined) continue
      if (asked.size === QUESTIONS_AT_ONCE) break
      this.#guardDisk(followed, () => {
        if (!this.#peers.asksLeaderEpochs) return this.#startAtHighWatermark(followed)
        followed.alignment ??= new Alignment(followed.replica, this.#alignmentOptions)
        if (followed.alignment.isDone) return this.#fetchFromNowOn(followed)
        if (followed.alignment.asksLogStart) return void starts.add(followed)
        asked.set(followed.replica.key, followed)
        partitionsOf(topics, followed.topic).push({ partition: followed.partition, leaderEpoch: followed.alignment.question })
      })
    }
    if (asked.size === 0) return this.#askOffsets(EARLIEST, starts)
    this.#send('OffsetForLeaderEpoch', { topics }, (response) => {
      for (const { topic, partitions } of response.topics) {
        for (const answer of partitions) {
          const followed = this.#current(asked, topic, answer.partition)
          if (followed !== undefined) this.#onEpochEnd(followed, answer.errorCode, answer.endOffset)
        }
      }
      this.run()
    })
    return true
  }

  /** As before KIP-101. */
  #startAtHighWatermark(followed: Followed): void {
    followed.replica.truncateTo(followed.replica.highWatermark)
    this.#fetchFromNowOn(followed)
  }

  /** Who was asked and is still the same assignment. */
  #current(asked: ReadonlyMap<PartitionKey, Followed>, topic: string, partition: number): Followed | undefined {
    const key = partitionKey(topic, partition)
    const followed = asked.get(key)
    return followed !== undefined && this.#followed.get(key) === followed ? followed : undefined
  }

  #onEpochEnd(followed: Followed, error: number, endOffset: Offset): void {
    const alignment = followed.alignment
    if (followed.phase !== 'align' || alignment === undefined) return
    if (error !== ErrorCode.NONE) {
      // Most often the controller's word has not reached it yet: it will within milliseconds.
      const delayMs = Math.min(this.#env.config.replicaFetchBackoffMs, FIRST_RETRY_MS * 2 ** followed.retries++)
      this.#logger.debug(`${followed.replica.key}: ${errorName(error)} to OffsetForLeaderEpoch, again in ${delayMs} ms`)
      followed.alignment = undefined
      this.#delay(followed, delayMs)
      return
    }
    followed.retries = 0
    this.#guardDisk(followed, () => {
      alignment.answer(endOffset)
      if (alignment.isDone) this.#fetchFromNowOn(followed)
    })
  }

  // ---------------------------------------------------------------- out of range

  /** Where the leader's log ends, and for those not beyond it where it starts. Also where it starts for an alignment. */
  #askOffsets(timestamp: typeof LATEST | typeof EARLIEST, only?: ReadonlySet<Followed>): boolean {
    const wanted = only ?? this.#outOfRange
    if (wanted.size === 0) return false
    const asked = new Map<PartitionKey, Followed>()
    const topics: RequestOf<'ListOffsets'>['topics'] = []
    for (const followed of wanted) {
      if (followed.delayed !== undefined || this.#followed.get(followed.replica.key) !== followed) continue
      asked.set(followed.replica.key, followed)
      partitionsOf(topics, followed.topic).push({ partition: followed.partition, timestamp, maxNumOffsets: 1 })
    }
    if (asked.size === 0) return false
    this.#send('ListOffsets', { replicaId: this.#env.brokerId, isolationLevel: 0, topics }, (response) => {
      const inside = new Set<Followed>()
      for (const { topic, partitionResponses } of response.responses) {
        for (const answer of partitionResponses) {
          const followed = this.#current(asked, topic, answer.partition)
          if (followed === undefined) continue
          if (answer.errorCode !== ErrorCode.NONE) this.#onNoOffset(followed)
          else if (timestamp === EARLIEST) this.#onLeaderStart(followed, answer.offset)
          else if (this.#onLeaderEnd(followed, answer.offset)) inside.add(followed)
        }
      }
      if (inside.size === 0 || !this.#askOffsets(EARLIEST, inside)) this.run()
    })
    return true
  }

  #onNoOffset(followed: Followed): void {
    // It may be answered in another leadership: the questions begin again.
    followed.alignment = undefined
    this.#delay(followed)
  }

  /** True: we are not beyond it, so its start has to be asked for. */
  #onLeaderEnd(followed: Followed, leaderEnd: Offset): boolean {
    const replica = followed.replica
    const end = replica.requireLog().logEndOffset
    if (leaderEnd >= end) return true
    const config = replica.requireLog().config
    if (!config.uncleanLeaderElectionEnable && !this.#env.config.faithful.has('H11')) {
      const reason = `leader ${this.#leader} ends at ${leaderEnd}, this replica at ${end}, and unclean leader election is not allowed`
      this.remove(replica.key)
      this.#owner.halted(replica, reason)
      return false
    }
    this.#guardDisk(followed, () => {
      replica.truncateTo(leaderEnd)
      this.#fetchFromNowOn(followed)
    })
    return false
  }

  #onLeaderStart(followed: Followed, leaderStart: Offset): void {
    this.#guardDisk(followed, () => {
      const { alignment } = followed
      if (alignment !== undefined) alignment.answerLogStart(leaderStart)
      else if (leaderStart > followed.fetchOffset) followed.replica.truncateFullyAndStartAt(leaderStart)
      if (alignment?.isDone !== false) this.#fetchFromNowOn(followed)
    })
  }

  // ---------------------------------------------------------------- fetch

  #fetch(): void {
    const someThrottled = this.#throttle()
    const next = this.#session.next(this.#followed.values())
    if (next === undefined) {
      if (someThrottled) this.#retryThrottled()
      return
    }
    this.requests++
    const config = this.#env.config
    const request = {
      replicaId: this.#env.brokerId,
      maxWaitTime: next.isPartial ? 0 : config.replicaFetchWaitMaxMs,
      minBytes: config.replicaFetchMinBytes,
      maxBytes: config.replicaFetchResponseMaxBytes,
      isolationLevel: 0,
      sessionId: next.sessionId,
      epoch: next.epoch,
      topics: next.topics,
      forgettenTopicsData: next.forgotten,
    }
    this.#send('Fetch', request, (response) => this.#onFetched(response))
  }

  /** Who is listed and lags is left out while the quota is used up. True: somebody is. */
  #throttle(): boolean {
    const isExceeded = this.#env.quotas.follower.isExceeded
    if (!isExceeded && !this.#someThrottled) return false
    this.#someThrottled = false
    for (const followed of this.#followed.values()) {
      const isThrottled = isExceeded && followed.lag !== 0 && followed.replica.isThrottledAsFollower
      if (isThrottled) this.#someThrottled = true
      if (isThrottled === followed.isThrottled) continue
      followed.isThrottled = isThrottled
      this.#session.touch(followed)
    }
    return this.#someThrottled
  }

  #retryThrottled(): void {
    this.#throttled ??= this.#env.timers.add(this.#env.config.replicaFetchBackoffMs, () => {
      this.#throttled = undefined
      this.run()
    })
  }

  #onFetched(response: ResponseOf<'Fetch'>): void {
    const error = response.errorCode
    if (!this.#session.accept(error, response.sessionId)) {
      this.#logger.info(`Node ${this.#leader} was unable to process the fetch request: ${errorName(error)}`)
      if (error === ErrorCode.FETCH_SESSION_ID_NOT_FOUND || error === ErrorCode.INVALID_FETCH_SESSION_EPOCH) this.run()
      else this.#pauseAll()
      return
    }
    for (const { topic, partitionResponses } of response.responses) {
      for (const answer of partitionResponses) this.#onPartition(topic, answer)
    }
    this.run()
  }

  #onPartition(topic: string, answer: FetchAnswer): void {
    const header = answer.partitionHeader
    const followed = this.#followed.get(partitionKey(topic, header.partition))
    if (followed === undefined || !followed.inSession || !followed.isReady) return
    if (followed.sentOffset !== followed.fetchOffset) return
    switch (header.errorCode) {
      case ErrorCode.NONE:
        this.#take(followed, answer)
        return
      case ErrorCode.OFFSET_OUT_OF_RANGE:
        followed.phase = 'range'
        this.#outOfRange.add(followed)
        this.#session.touch(followed)
        return
      case ErrorCode.NOT_LEADER_FOR_PARTITION:
        // Or it is, and we have not asked it for epochs since.
        followed.replica.logger.info(`Broker ${this.#leader} is not the leader (any more)`)
        followed.phase = 'align'
        followed.alignment = undefined
        this.#aligning.add(followed)
        this.#delay(followed)
        return
      default:
        followed.replica.logger.error(`Leader ${this.#leader} answers ${errorName(header.errorCode)}`)
        this.#delay(followed)
    }
  }

  #take(followed: Followed, answer: FetchAnswer): void {
    const replica = followed.replica
    const before = followed.fetchOffset
    const records = answer.recordSet
    try {
      if (records.length > 0) {
        const appended = replica.appendAsFollower(records, answer.partitionHeader.logStartOffset)
        if (appended.error !== ErrorCode.NONE || replica.requireLog().logEndOffset === before) {
          const why =
            appended.error === ErrorCode.NONE ? 'no whole batch' : `${errorName(appended.error)} ${appended.message ?? ''}`
          if (appended.error === ErrorCode.NOT_LEADER_FOR_PARTITION)
            replica.logger.info(`Not fetching from leader ${this.#leader}: ${why}`)
          else replica.logger.error(`Found invalid records from leader ${this.#leader} at offset ${before}: ${why}`)
          this.#delay(followed)
          return
        }
        this.bytes += records.length
        this.#env.traffic.replicationBytesIn += records.length
        if (replica.isThrottledAsFollower) this.#env.quotas.follower.record(records.length)
        this.#toTheEnd(followed)
      }
      replica.followLeader(answer.partitionHeader.highWatermark, answer.partitionHeader.logStartOffset)
      followed.lag = Math.max(0, answer.partitionHeader.highWatermark - followed.fetchOffset)
      this.#session.touch(followed)
    } catch (error) {
      this.#onThrown(followed, error)
    }
  }

  /** Fairness of full fetches; a session keeps its own order at the leader. */
  #toTheEnd(followed: Followed): void {
    if (!this.#session.isFull) return
    this.#followed.delete(followed.replica.key)
    this.#followed.set(followed.replica.key, followed)
  }
}

interface ByTopic<P> {
  topic: string
  partitions: P[]
}

/** The list of a topic in a request under construction. */
function partitionsOf<P>(topics: ByTopic<P>[], topic: string): P[] {
  let last = topics.at(-1)
  if (last === undefined || last.topic !== topic) topics.push((last = { topic, partitions: [] }))
  return last.partitions
}
