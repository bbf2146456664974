import type { BrokerId } from '../base/ids.ts'
import type { VirtualClock } from '../ports/memory/virtual-clock.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { RestingPartitions } from './resting.ts'
import type { FetchPartition, FetchPartitionResult, PeerChannel, ReplicaManager } from './types.ts'

type PeerApi = 'Fetch' | 'OffsetForLeaderEpoch' | 'ListOffsets'

/** One running broker process, as its peers reach it. */
export interface PeerServer {
  readonly id: BrokerId
  readonly replicas: ReplicaManager
  isUp: boolean
  readonly sessions: Map<number, LeaderSession>
  /** Called when the process dies: its connections break. */
  readonly onDown: Set<() => void>
}

/** The leader's half of a fetch session, as small as the protocol allows. */
interface LeaderSession {
  epoch: number
  readonly partitions: Map<string, SessionPartition>
  readonly awake: Set<SessionPartition>
  readonly resting: RestingPartitions
}

interface SessionPartition extends FetchPartition {
  sentHighWatermark: number
  sentLogStartOffset: number
  readonly place: number
}

export interface NetworkOptions {
  readonly clock: VirtualClock
  /** Milliseconds that a message takes. */
  delay(): number
  /** The broker's process now; undefined when it is down. */
  server(id: BrokerId): PeerServer | undefined
  /** No message passes from one to the other. */
  isCut(from: BrokerId, to: BrokerId): boolean
  /** Seen by tests. */
  onRequest?(from: BrokerId, to: BrokerId, api: PeerApi, request: unknown): void
}

const LOST_AFTER_MS = 300
let nextSession = 1
let nextConnection = 1
let nextPlace = 1

/**
 * A connection: messages keep their order, the server takes one request at a time. After `close` what was sent may still arrive: that is
 * the late request of a follower that has moved on.
 */
export class FakeChannel implements PeerChannel {
  readonly #options: NetworkOptions
  readonly #from: BrokerId
  readonly #to: BrokerId
  readonly #owner: { readonly isUp: boolean }
  readonly #clientId: string
  #closed = false
  #lastArrival = 0
  /** The process that the connection was made to; a new process has a new connection. */
  #server: PeerServer | undefined
  readonly #queue: (() => void)[] = []
  #busy = false
  readonly #number = nextConnection++

  constructor(options: NetworkOptions, from: BrokerId, to: BrokerId, owner: { readonly isUp: boolean }, clientId: string) {
    this.#clientId = clientId
    this.#options = options
    this.#owner = owner
    this.#from = from
    this.#to = to
  }

  send<A extends PeerApi>(
    api: A,
    request: RequestOf<A>,
    onResponse: (error: string | undefined, response: ResponseOf<A> | undefined) => void,
  ): void {
    const { clock } = this.#options
    this.#options.onRequest?.(this.#from, this.#to, api, request)
    if (this.#server?.isUp !== true) {
      this.#server = this.#options.server(this.#to)
      this.#queue.length = 0
      this.#busy = false
    }
    const server = this.#server
    let answered = false
    const answer = (error: string | undefined, response: ResponseOf<A> | undefined) => {
      if (answered) return
      answered = true
      server?.onDown.delete(lost)
      if (this.#closed || !this.#owner.isUp) return
      onResponse(error, response)
    }
    const lost = () => clock.timer(LOST_AFTER_MS, () => answer('connection lost', undefined))
    if (server === undefined || this.#options.isCut(this.#from, this.#to)) return void lost()
    server.onDown.add(lost)
    clock.timer(this.#arrivalDelay(), () => {
      if (!server.isUp) return void lost()
      this.#queue.push(() =>
        handle(server, api, request, this.#clientId, this.#number, (response) => {
          if (server === this.#server) {
            this.#busy = false
            this.#next()
          }
          if (!server.isUp || this.#options.isCut(this.#to, this.#from)) return void lost()
          clock.timer(this.#arrivalDelay(), () => (server.isUp ? answer(undefined, response) : lost()))
        }),
      )
      this.#next()
    })
    // A server that dies with the request never answers.
    clock.timer(5000, () => answer('request timed out', undefined))
  }

  #arrivalDelay(): number {
    const now = this.#options.clock.now()
    this.#lastArrival = Math.max(this.#lastArrival, now + this.#options.delay())
    return this.#lastArrival - now
  }

  #next(): void {
    if (this.#busy) return
    const work = this.#queue.shift()
    if (work === undefined) return
    this.#busy = true
    work()
  }

  close(): void {
    this.#closed = true
  }
}

function handle<A extends PeerApi>(
  server: PeerServer,
  api: A,
  request: RequestOf<A>,
  clientId: string,
  connection: number,
  reply: (response: ResponseOf<A>) => void,
): void {
  const done = reply as (response: unknown) => void
  if (api === 'OffsetForLeaderEpoch')
    done(server.replicas.offsetsForLeaderEpoch(request as RequestOf<'OffsetForLeaderEpoch'>, clientId, connection))
  else if (api === 'ListOffsets') done(listOffsets(server.replicas, request as RequestOf<'ListOffsets'>))
  else handleFetch(server, request as RequestOf<'Fetch'>, connection, done)
}

function listOffsets(replicas: ReplicaManager, request: RequestOf<'ListOffsets'>): ResponseOf<'ListOffsets'> {
  return {
    throttleTimeMs: 0,
    responses: request.topics.map(({ topic, partitions }) => ({
      topic,
      partitionResponses: partitions.map(({ partition, timestamp }) => {
        const view = replicas.partition(topic, partition)
        const log = view?.isLeader === true ? view.log : undefined
        const offset = log === undefined ? -1 : timestamp === -1 ? log.logEndOffset : log.logStartOffset
        return {
          partition,
          errorCode: log === undefined ? ErrorCode.NOT_LEADER_FOR_PARTITION : 0,
          timestamp: -1,
          offset,
          offsets: [],
        }
      }),
    })),
  }
}

function handleFetch(
  server: PeerServer,
  request: RequestOf<'Fetch'>,
  connection: number,
  reply: (response: ResponseOf<'Fetch'>) => void,
): void {
  const asked = request.topics.flatMap(({ topic, partitions }) => partitions.map((one) => ({ topic, ...one })))
  let session = request.epoch > 0 ? server.sessions.get(request.sessionId) : undefined
  const refuse = (errorCode: number) => reply({ throttleTimeMs: 0, errorCode, sessionId: 0, responses: [] })
  if (request.epoch > 0 && session === undefined) {
    refuse(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    return
  }
  if (session !== undefined && session.epoch !== request.epoch) {
    refuse(ErrorCode.INVALID_FETCH_SESSION_EPOCH)
    return
  }
  let sessionId = request.sessionId
  const isNew = session === undefined
  if (session === undefined) {
    server.sessions.get(request.sessionId)?.resting.wakeAll()
    server.sessions.delete(request.sessionId)
    sessionId = nextSession++
    session = openSession(request.replicaId)
    server.sessions.set(sessionId, session)
  }
  changeSession(session, asked, request.forgettenTopicsData)
  session.epoch++
  const { partitions, awake, resting } = session
  const params = {
    replicaId: request.replicaId,
    maxWaitMs: request.maxWaitTime,
    minBytes: request.minBytes,
    maxBytes: request.maxBytes,
    minOneMessage: true,
    connection,
    isolation: 'readUncommitted' as const,
    partitions: [...awake].sort((a, b) => a.place - b.place),
    resting,
  }
  server.replicas.fetch(params, (results) => {
    const included = results.filter((result) => isNews(partitions.get(`${result.topic}-${result.partition}`), result) || isNew)
    reply({ throttleTimeMs: 0, errorCode: 0, sessionId, responses: included.map(encode) })
  })
}

function openSession(replicaId: BrokerId): LeaderSession {
  const awake = new Set<SessionPartition>()
  const resting = new RestingPartitions(replicaId, (moved, rests) => {
    if (rests) awake.delete(moved as SessionPartition)
    else awake.add(moved as SessionPartition)
  })
  return { epoch: 0, partitions: new Map(), awake, resting }
}

function changeSession(
  { partitions, awake, resting }: LeaderSession,
  asked: readonly FetchPartition[],
  forgotten: readonly { readonly topic: string; readonly partitions: readonly number[] }[],
): void {
  const leave = (key: string): SessionPartition | undefined => {
    const known = partitions.get(key)
    if (known === undefined) return undefined
    resting.wake(known)
    awake.delete(known)
    partitions.delete(key)
    return known
  }
  for (const one of asked) {
    const key = `${one.topic}-${one.partition}`
    const { sentHighWatermark, sentLogStartOffset } = leave(key) ?? { sentHighWatermark: -1, sentLogStartOffset: -1 }
    const named = { ...one, sentHighWatermark, sentLogStartOffset, place: nextPlace++ }
    partitions.set(key, named)
    awake.add(named)
  }
  for (const { topic, partitions: ids } of forgotten) for (const id of ids) leave(`${topic}-${id}`)
}

function isNews(known: SessionPartition | undefined, result: FetchPartitionResult): boolean {
  if (known === undefined) return true
  const { error, records, highWatermark, logStartOffset } = result
  const isSame = known.sentHighWatermark === highWatermark && known.sentLogStartOffset === logStartOffset
  known.sentHighWatermark = highWatermark
  known.sentLogStartOffset = logStartOffset
  return error !== 0 || (records?.size ?? 0) > 0 || !isSame
}

function encode(result: FetchPartitionResult): ResponseOf<'Fetch'>['responses'][number] {
  const recordSet = Buffer.alloc(result.records?.size ?? 0)
  result.records?.copyTo(recordSet, 0)
  return {
    topic: result.topic,
    partitionResponses: [
      {
        partitionHeader: {
          partition: result.partition,
          errorCode: result.error,
          highWatermark: result.highWatermark,
          lastStableOffset: result.lastStableOffset,
          logStartOffset: result.logStartOffset,
          abortedTransactions: null,
        },
        recordSet,
      },
    ],
  }
}
