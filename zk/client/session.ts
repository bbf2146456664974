import { CONNECTION_LOSS, isSequential, pathOf, refusal, SESSION_EXPIRED } from './codec.ts'
import { parseConnectString, pathProblem } from './connect-string.ts'
import { createPath } from './create-path.ts'
import { type GuardEvent, GuardedConnection, type OpenZkConnection, type ZkConnection } from './guard.ts'
import { findSequential, isWrite, type LostWrite, settleRepeated } from './retry.ts'
import type {
  ChildChangeHandler,
  NodeChangeHandler,
  SessionHandler,
  SessionState,
  ZkClock,
  ZkLog,
  ZkRequest,
  ZkRequestOptions,
  ZkResponse,
  ZkSession,
  ZkSessionOptions,
} from './types.ts'
import { WatchRegistry } from './watches.ts'

const DEFAULT_IN_FLIGHT = 100
/** The server's default `jute.maxbuffer`. */
const DEFAULT_MAX_PACKET_BYTES = 0xfffff
const DEFAULT_REFUSED_FOR_EVER_MS = 10_000
const AUTH_RETRY_MS = 1000
/** Reads in one packet. A server's work for one of them alone is some ten times as much. */
const READS_AT_A_TIME = 50
/** A server before 3.6 drops the connection when it is asked so: not for a few. */
const READS_WORTH_ASKING = 32

interface Entry {
  readonly request: ZkRequest
  readonly retry: 'untilConnected' | 'none'
  readonly generation: number
  readonly answer: (response: ZkResponse) => void
  /** Sent at least once on a connection that broke before the answer. */
  lost: boolean
  zxidBefore: bigint
}

const openGuarded: OpenZkConnection = (options, clock, log) => new GuardedConnection(options, clock, log)

/** Connects nothing yet: `start()` does. A simulation puts its own connections below. */
export function openZkSession(
  options: ZkSessionOptions,
  clock: ZkClock,
  log: ZkLog,
  openConnection: OpenZkConnection = openGuarded,
): ZkSession {
  return new Session(options, clock, log, openConnection)
}

class Session implements ZkSession {
  readonly #options: ZkSessionOptions
  readonly #clock: ZkClock
  readonly #log: ZkLog
  readonly #watches: WatchRegistry
  readonly #maxInFlight: number
  readonly #openConnection: OpenZkConnection
  #guard: ZkConnection | undefined
  #state: SessionState = 'disconnected'
  #generation = 0
  #closing = false
  /** Waiting to be sent, oldest first; `#head` is the next one. */
  #queue: Entry[] = []
  #head = 0
  #lost: Entry[] = []
  #inFlight = 0
  /** Whether servers take many reads in one packet. While that is being found out, nothing is sent behind the question. */
  #readsTogether: 'unknown' | 'asking' | 'yes' | 'no' = 'unknown'
  readonly #formerSessions = new Set<bigint>()
  readonly #handlers: SessionHandler[] = []
  readonly #listeners = new Set<(state: SessionState) => void>()
  #renewal: Promise<void> = Promise.resolve()

  constructor(options: ZkSessionOptions, clock: ZkClock, log: ZkLog, openConnection: OpenZkConnection) {
    parseConnectString(options.connect)
    this.#openConnection = openConnection
    this.#options = options
    this.#clock = clock
    this.#log = log
    this.#watches = new WatchRegistry(log)
    this.#maxInFlight = options.maxInFlightRequests ?? DEFAULT_IN_FLIGHT
  }

  get state(): SessionState {
    return this.#state
  }
  get generation(): number {
    return this.#generation
  }
  get sessionId(): bigint {
    return this.#guard?.sessionId ?? 0n
  }
  get password(): Buffer {
    return this.#guard?.password ?? Buffer.alloc(16)
  }
  get sessionTimeoutMs(): number {
    return this.#guard?.sessionTimeoutMs ?? this.#options.sessionTimeoutMs
  }
  get trusted(): boolean {
    return this.#guard !== undefined && this.#clock.now() - this.#guard.confirmedAt <= this.sessionTimeoutMs
  }

  // ---- life

  async start(): Promise<void> {
    if (this.#guard !== undefined || this.#closing) throw new Error('a ZooKeeper session can be started once')
    if (this.#options.createChroot === true) await this.#createChroot()
    await new Promise<void>((resolve, reject) => {
      const stop = this.onState((state) => {
        if (state === 'connecting' || state === 'disconnected') return
        stop()
        timer.cancel()
        if (state === 'connected') return resolve()
        reject(new Error(`ZooKeeper at ${this.#options.connect}: ${this.#startProblem ?? `the session is ${state}`}`))
        this.#dispose()
      })
      const timer = this.#clock.timer(this.#options.connectionTimeoutMs, () => {
        stop()
        const last = this.#guard?.lastError ?? ''
        const why = last === '' ? '' : ` (${last})`
        this.#dispose()
        reject(
          new Error(
            `Timed out waiting for connection to ZooKeeper at ${this.#options.connect} for ${this.#options.connectionTimeoutMs} ms${why}`,
          ),
        )
      })
      this.#open()
    })
  }
  #startProblem: string | undefined

  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    this.#failWaiting()
    await this.#guard?.close()
    this.#dispose()
  }

  #dispose(): void {
    this.#closing = true
    this.#guard?.dispose()
    this.#guard = undefined
    this.#failWaiting()
    this.#setState('closed')
  }

  /** A missing chroot is made with a session of its own, outside of it, as Kafka does. */
  async #createChroot(): Promise<void> {
    const { chroot, hosts } = parseConnectString(this.#options.connect)
    if (chroot === '') return
    const options = { ...this.#options, connect: hosts, createChroot: false }
    const outside = new Session(options, this.#clock, this.#log, this.#openConnection)
    await outside.start()
    try {
      const made = await createPath(outside, chroot, null)
      if (made.code !== 'ok' && made.code !== 'nodeExists')
        throw new Error(`ZooKeeper at ${hosts}: cannot create the chroot ${chroot}: ${made.code} (${made.rawCode})`)
    } finally {
      await outside.close()
    }
  }

  /** Begins a new session. */
  #open(): void {
    this.#generation++
    const generation = this.#generation
    const guard: ZkConnection = this.#openConnection(
      {
        connect: this.#options.connect,
        sessionTimeoutMs: this.#options.sessionTimeoutMs,
        auth: this.#options.auth ?? [],
        maxPacketBytes: this.#options.maxPacketBytes ?? DEFAULT_MAX_PACKET_BYTES,
        refusedForEverMs: this.#options.refusedForEverMs ?? DEFAULT_REFUSED_FOR_EVER_MS,
        ...(this.#options.resume !== undefined && generation === 1 ? { resume: this.#options.resume } : {}),
        onEvent: (event) => {
          if (this.#guard === guard) this.#onGuardEvent(event)
        },
        onWatchEvent: (type, path) => {
          if (this.#guard === guard) this.#watches.dispatch(type, path)
        },
        watchPaths: () => this.#watches.paths(),
      },
      this.#clock,
      this.#log,
    )
    this.#guard = guard
    this.#setState('connecting')
    guard.start()
  }

  #onGuardEvent(event: GuardEvent): void {
    if (event === 'connected') {
      this.#log.debug(`Connected to ZooKeeper at ${this.#options.connect}, session 0x${this.sessionId.toString(16)}`)
      this.#setState('connected')
      this.#pump()
    } else if (event === 'lost') {
      this.#requeueLost()
      this.#setState('disconnected')
    } else if (event === 'authFailed') {
      this.#startProblem = 'authentication failed'
      this.#log.error(`ZooKeeper at ${this.#options.connect} refused our authentication`)
      this.#endSession(AUTH_RETRY_MS)
    } else {
      if (event === 'expired') this.#log.info(`ZooKeeper session 0x${this.sessionId.toString(16)} has expired`)
      this.#endSession(0)
    }
  }

  // ---- end of a session, beginning of the next

  #endSession(delayMs: number): void {
    const guard = this.#guard
    if (guard === undefined || this.#closing) return
    if (guard.sessionId !== 0n) this.#formerSessions.add(guard.sessionId)
    this.#guard = undefined
    this.#watches.disarm()
    this.#setState('expired')
    guard.dispose()
    this.#failWaiting()
    this.#renewal = this.#renewal.then(() => this.#renew(delayMs))
  }

  /** One after another: everybody lets go, the new session begins, everybody takes hold again. Handlers that fail are logged. */
  async #renew(delayMs: number): Promise<void> {
    if (this.#closing) return
    for (const handler of this.#handlers) await this.#tell(handler, 'beforeInitializingSession')
    if (delayMs > 0) await new Promise<void>((resolve) => this.#clock.timer(delayMs, resolve))
    if (this.#closing) return
    this.#open()
    for (const handler of this.#handlers) {
      if (!this.#closing) await this.#tell(handler, 'afterInitializingSession')
    }
  }

  async #tell(handler: SessionHandler, what: 'beforeInitializingSession' | 'afterInitializingSession'): Promise<void> {
    try {
      await handler[what]?.()
    } catch (error) {
      this.#log.error(
        `Session handler ${handler.name}, ${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      )
    }
  }

  #setState(state: SessionState): void {
    if (this.#state === state) return
    this.#state = state
    for (const listener of [...this.#listeners]) {
      try {
        listener(state)
      } catch (error) {
        this.#log.error(`State listener failed: ${String(error)}`)
      }
    }
  }

  // ---- requests

  request(one: ZkRequest, options?: ZkRequestOptions): Promise<ZkResponse> {
    return new Promise((resolve) => {
      this.#submit(one, options, resolve)
      this.#pump()
    })
  }

  requests(list: readonly ZkRequest[], options?: ZkRequestOptions): Promise<ZkResponse[]> {
    if (list.length === 0) return Promise.resolve([])
    return new Promise((resolve) => {
      const answers: ZkResponse[] = new Array(list.length)
      let missing = list.length
      for (let i = 0; i < list.length; i++) {
        this.#submit(list[i]!, options, (response) => {
          answers[i] = response
          if (--missing === 0) resolve(answers)
        })
      }
      this.#pump()
    })
  }

  #submit(request: ZkRequest, options: ZkRequestOptions | undefined, answer: (response: ZkResponse) => void): void {
    const generation = options?.generation ?? this.#generation
    if (this.#closing || this.#guard === undefined || generation !== this.#generation) {
      answer(refusal(pathOf(request), SESSION_EXPIRED))
      return
    }
    const bad = badPath(request)
    if (bad !== undefined) {
      this.#log.error(`Request ${request.op}: path ${JSON.stringify(bad.path)} ${bad.problem}`)
      answer(refusal(bad.path, -8))
      return
    }
    this.#queue.push({ request, retry: options?.retry ?? 'untilConnected', generation, answer, lost: false, zxidBefore: 0n })
  }

  #pump(): void {
    const guard = this.#guard
    if (guard === undefined) return
    while (guard.connected && this.#inFlight < this.#maxInFlight && this.#head < this.#queue.length) {
      if (this.#readsTogether === 'asking') return
      const reads = this.#readsAhead(guard)
      const from = this.#head
      this.#head += Math.max(reads, 1)
      const entries = this.#queue.slice(from, this.#head)
      if (this.#head === this.#queue.length || this.#head >= 1024) {
        this.#queue = this.#queue.slice(this.#head)
        this.#head = 0
      }
      if (reads > 0) this.#sendReads(guard, entries)
      else this.#send(guard, entries[0]!)
    }
  }

  /** How many of the next requests are reads that can go in one packet; 0: not worth it. */
  #readsAhead(guard: ZkConnection): number {
    if (guard.readMany === undefined || this.#readsTogether === 'no') return 0
    const end = Math.min(this.#queue.length, this.#head + READS_AT_A_TIME)
    let at = this.#head
    for (; at < end; at++) {
      const { request, retry } = this.#queue[at]!
      if (request.op !== 'getData' || retry === 'none' || this.#watches.wanted(request)) break
    }
    const count = at - this.#head
    return count >= (this.#readsTogether === 'yes' ? 2 : READS_WORTH_ASKING) ? count : 0
  }

  #sendReads(guard: ZkConnection, entries: readonly Entry[]): void {
    this.#inFlight++
    const sentAt = this.#clock.now()
    if (this.#readsTogether === 'unknown') this.#readsTogether = 'asking'
    guard.readMany!(
      entries.map(({ request }) => pathOf(request)),
      (responses) => {
        this.#inFlight--
        if (responses === undefined) {
          this.#log.info('ZooKeeper does not take many reads in one packet: connecting again to read one by one')
          this.#readsTogether = 'no'
          for (const entry of entries) this.#onLost(guard, entry)
          return
        }
        const isLost = responses[0]!.code === 'connectionLoss'
        if (this.#readsTogether === 'asking') this.#readsTogether = isLost ? 'unknown' : 'yes'
        if (!isLost) this.#options.onLatency?.(this.#clock.now() - sentAt)
        for (const [i, entry] of entries.entries()) {
          if (isLost) this.#onLost(guard, entry)
          else entry.answer(responses[i]!)
        }
        this.#pump()
      },
    )
  }

  #send(guard: ZkConnection, entry: Entry): void {
    const watch = this.#watches.wanted(entry.request)
    if (!entry.lost) entry.zxidBefore = guard.lastZxid
    this.#inFlight++
    const sentAt = this.#clock.now()
    guard.send(entry.request, watch, (response) => {
      this.#inFlight--
      if (response.code === 'connectionLoss') return this.#onLost(guard, entry)
      this.#options.onLatency?.(this.#clock.now() - sentAt)
      if (watch && this.#guard === guard) this.#watches.armed(entry.request, response)
      if (!entry.lost) entry.answer(response)
      else if (response.code === 'ok' || response.code === 'sessionExpired') entry.answer({ ...response, retried: true })
      else void settleRepeated(entry.request, response, this.#lostWrite(entry)).then(entry.answer)
      this.#pump()
    })
  }

  #onLost(guard: ZkConnection, entry: Entry): void {
    const path = pathOf(entry.request)
    if (entry.retry === 'none' && this.#guard === guard) entry.answer(refusal(path, CONNECTION_LOSS))
    else if (this.#guard !== guard || this.#closing) entry.answer(refusal(path, SESSION_EXPIRED))
    else {
      entry.lost = entry.lost || isWrite(entry.request)
      this.#lost.push(entry)
    }
  }

  /** What was lost goes out again, before what was never sent and in its old order. */
  #requeueLost(): void {
    const lost = this.#lost
    this.#lost = []
    const again = lost.filter((entry) => entry.request.op !== 'create' || !isSequential(entry.request.mode))
    this.#queue = [...again, ...this.#queue.slice(this.#head)]
    this.#head = 0
    for (const entry of lost) {
      if (!again.includes(entry)) void this.#recoverSequential(entry)
    }
  }

  /** A sequential create that is sent again would make a second node. */
  async #recoverSequential(entry: Entry): Promise<void> {
    const found = await findSequential(entry.request, this.#lostWrite(entry))
    if (found !== undefined) return entry.answer(found)
    if (this.#generation !== entry.generation || this.#guard === undefined)
      return entry.answer(refusal(pathOf(entry.request), SESSION_EXPIRED))
    this.#queue.push(entry)
    this.#pump()
  }

  #lostWrite(entry: Entry): LostWrite {
    return {
      zxidBefore: entry.zxidBefore,
      sessionId: this.sessionId,
      read: (request) => this.request(request, { generation: entry.generation }),
    }
  }

  #failWaiting(): void {
    const waiting = [...this.#lost, ...this.#queue.slice(this.#head)]
    this.#lost = []
    this.#queue = []
    this.#head = 0
    for (const entry of waiting) entry.answer(refusal(pathOf(entry.request), SESSION_EXPIRED))
  }

  async createEphemeral(path: string, data: Buffer): Promise<ZkResponse> {
    const pinned = { generation: this.#generation }
    for (;;) {
      const created = await this.request({ op: 'create', path, data, mode: 'ephemeral' }, pinned)
      if (created.code !== 'nodeExists') return created
      const found = await this.request({ op: 'getData', path }, pinned)
      if (found.code === 'noNode') continue
      if (found.stat === undefined) return found
      const owner = found.stat.ephemeralOwner
      if (owner === this.sessionId) return { code: 'ok', rawCode: 0, path, stat: found.stat, retried: true }
      if (!this.#formerSessions.has(owner)) {
        this.#log.error(
          `Error while creating ephemeral at ${path}, node already exists and owner '${owner}' does not match current session '${this.sessionId}'`,
        )
        return created
      }
      // KAFKA-7165: left over from a session of ours that the server has not buried yet.
      this.#log.info(`Removing ${path} of our former session 0x${owner.toString(16)}`)
      const removed = await this.request({ op: 'delete', path, version: found.stat.version }, pinned)
      if (removed.code !== 'ok' && removed.code !== 'noNode' && removed.code !== 'badVersion') return removed
    }
  }

  // ---- watches and listeners

  watchNode(handler: NodeChangeHandler): void {
    this.#watches.watchNode(handler)
  }
  unwatchNode(path: string): void {
    this.#watches.unwatchNode(path)
  }
  watchChildren(handler: ChildChangeHandler): void {
    this.#watches.watchChildren(handler)
  }
  unwatchChildren(path: string): void {
    this.#watches.unwatchChildren(path)
  }
  onSession(handler: SessionHandler): void {
    this.#handlers.push(handler)
  }
  onState(listener: (state: SessionState) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}

function badPath(request: ZkRequest): { path: string; problem: string } | undefined {
  const targets = request.op === 'multi' ? request.ops : [request]
  for (const target of targets) {
    const sequential = target.op === 'create' && isSequential(target.mode)
    const path = sequential && target.path.endsWith('/') ? `${target.path}0` : target.path
    const problem = pathProblem(path)
    if (problem !== undefined) return { path: target.path, problem }
  }
  return undefined
}
