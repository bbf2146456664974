import { assert } from '../base/assert.ts'
import { ByteReader, ByteWriter } from '../base/bytes.ts'
import type { Millis } from '../base/ids.ts'
import type { Timer } from '../ports/clock.ts'
import type { CloseReason, Connection, FrameMemory, FrameReceiver } from '../ports/net.ts'
import type { ApiName, ApiSchema, ResponseOf } from '../protocol/apis/index.ts'
import { apis } from '../protocol/apis/index.ts'
import { ErrorCode, errorName } from '../protocol/errors.ts'
import { beginFrame, decodeResponseHeader, encodeRequestHeader, endFrame } from '../protocol/framing.ts'
import type { ChannelOptions, RequestOrMaker, ResponseCallback, SendOptions, VersionFallback } from './channel-types.ts'
import { ChannelError, type EncodedRequest, writeBody, writeMessage } from './channel-types.ts'
import type { VersionTable } from './versions.ts'

export * from './channel-types.ts'

interface Call {
  readonly api: ApiSchema
  readonly request: unknown
  readonly deadline: Millis
  /** No response comes (Produce with acks=0): `onResponse` hears that it was sent, or why not. */
  readonly oneWay: boolean
  readonly onResponse: ((error: ChannelError | undefined, response: unknown) => void) | undefined
  correlationId: number
  version: number
}

/** A peer that has not answered ApiVersions by then is taken for one that does not know it, where there are `fallbacks`. */
const NEGOTIATION_TIMEOUT_MS = 10_000
// 0.9 passes over ApiVersions without a word. After so long it gets another question: an answer to that alone is proof, since they come in order.
const DOUBT_MS = 500

type State = 'idle' | 'backoff' | 'connecting' | 'negotiating' | 'ready' | 'closed'

/**
 * One outbound connection to a broker, made when first needed and again after it broke. Requests go out in the order of
 * `send` and are answered in that order; a callback gets its response while its bytes are still in the receive buffer
 * (record sets are slices of it) and may send at once. A request that failed is not sent again: that is the caller's decision.
 * Callbacks never come within `send`, and never after `close`.
 */
export class Channel {
  readonly #options: ChannelOptions
  readonly #maxInFlight: number
  readonly #writer = new ByteWriter(512)
  #state: State = 'idle'
  #link: Link | undefined
  #versions: VersionTable
  #correlationId = 0
  /** Sent, in order. */
  #inFlight: Call[] = []
  /** Not sent, because there is no ready connection. */
  #waiting: Call[] = []
  #failures = 0
  #retryAt: Millis = 0
  #retryTimer: Timer | undefined
  #deadlineTimer: Timer | undefined
  #deadlineAt = Number.POSITIVE_INFINITY
  /** Next of `fallbacks` to try; -1: ask ApiVersions. */
  #fallback = -1
  #idleTimer: Timer | undefined
  #doubtTimer: Timer | undefined
  #usedAt: Millis = 0

  constructor(options: ChannelOptions) {
    this.#options = options
    this.#maxInFlight = options.maxInFlight ?? Number.POSITIVE_INFINITY
    this.#versions = options.versions
    this.#writer.takesTail = true
  }

  get isReady(): boolean {
    return this.#state === 'ready'
  }

  /** Requests sent or waiting that have no answer yet. */
  get pending(): number {
    return this.#inFlight.length + this.#waiting.length
  }

  /** Whether a request would go out now, rather than wait for a connection or for answers. */
  get canSend(): boolean {
    return this.#state === 'ready' && this.#waiting.length === 0 && this.#inFlight.length < this.#maxInFlight
  }

  /** Version in use for an API; undefined when the peer (or the table) has none. Certain only when ready. */
  versionOf(api: ApiName): number | undefined {
    return this.#versions[api]
  }

  /** Sends a request, connecting first if need be. A number as options is the time-out. */
  send<A extends ApiName>(
    api: A,
    request: RequestOrMaker<A> | EncodedRequest,
    onResponse: ResponseCallback<A>,
    options?: Millis | SendOptions,
  ): void {
    const { timeoutMs, version } = typeof options === 'object' ? options : { timeoutMs: options }
    this.#submit(api, request, onResponse as Call['onResponse'], false, timeoutMs, version)
  }

  /**
   * Sends a request that has no response (Produce with acks=0). Nobody learns whether it arrives; `onSent` that it left, or why
   * it did not.
   */
  sendOneWay<A extends ApiName>(api: A, request: RequestOrMaker<A>, onSent?: (error: ChannelError | undefined) => void): void {
    this.#submit(api, request, onSent as Call['onResponse'], true)
  }

  /** Connects without a request, unless that was done or a backoff runs. */
  connect(): void {
    if (this.#state === 'idle') this.#openOrWait()
  }

  /** Ends the connection and forgets all requests; with an error, their callbacks get it, in a later turn. Idempotent. */
  close(error?: ChannelError): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#dropTimers()
    if (error !== undefined) {
      const failed = [...this.#inFlight, ...this.#waiting]
      this.#options.clock.soon(() => {
        for (const call of failed) call.onResponse?.(error, undefined)
      })
    }
    this.#inFlight = []
    this.#waiting = []
    this.#detach()?.destroy()
    this.#writer.close()
  }

  #submit(
    api: ApiName,
    request: unknown,
    onResponse: Call['onResponse'],
    oneWay: boolean,
    timeoutMs?: Millis,
    version?: number,
  ): void {
    if (this.#state === 'closed') return
    const deadline = this.#options.clock.now() + (timeoutMs ?? this.#options.requestTimeoutMs)
    const schema = apis[api] as unknown as ApiSchema
    const call: Call = { api: schema, request, deadline, oneWay, onResponse, correlationId: -1, version: version ?? -1 }
    if (!oneWay) this.#watchDeadline(deadline)
    if (this.canSend) {
      this.#transmit(call)
      return
    }
    this.#waiting.push(call)
    // The first one that waits keeps the process alive through the pause.
    if (this.#state === 'backoff' && this.#waiting.length === 1) this.#retryTimer?.cancel()
    else if (this.#state !== 'idle') return
    this.#openOrWait()
  }

  /** Within a callback of `send`: takes over the memory that the response lies in, see `Connection.takeFrame`. */
  takeFrame(): FrameMemory | undefined {
    return this.#link?.connection?.takeFrame?.()
  }

  // ------------------------------------------------------------------ connection

  #openOrWait(): void {
    const { clock } = this.#options
    const pause = this.#retryAt - clock.now()
    if (pause <= 0) {
      this.#open()
      return
    }
    this.#state = 'backoff'
    this.#retryTimer = clock.timer(pause, () => this.#open(), this.#waiting.length === 0)
  }

  #open(): void {
    const { net, address, connectTimeoutMs, clock } = this.#options
    this.#retryTimer = undefined
    this.#state = 'connecting'
    const link = new Link(this)
    this.#link = link
    const where = address()
    if (where === undefined) {
      clock.soon(() => this.lost(link, new ChannelError('unknownAddress', 'the address of the peer is not known')))
      return
    }
    link.peer = `${where.host}:${where.port}`
    link.connection = net.connect({ host: where.host, port: where.port, timeoutMs: connectTimeoutMs }, link)
  }

  /** @internal */
  connected(link: Link): void {
    if (link !== this.#link) return
    if (!this.#options.negotiate) {
      this.#becomeReady()
      return
    }
    const fallback = this.#options.fallbacks?.[this.#fallback]
    if (fallback !== undefined && fallback.probe === undefined) {
      this.#fallBack(fallback)
      return
    }
    this.#state = 'negotiating'
    const patience = this.#options.fallbacks === undefined ? Number.POSITIVE_INFINITY : NEGOTIATION_TIMEOUT_MS
    const deadline = this.#options.clock.now() + Math.min(this.#options.requestTimeoutMs, patience)
    this.#watchDeadline(deadline)
    if (fallback !== undefined) return this.#probe(link, fallback, deadline)
    this.#ask('ApiVersions', deadline, (response) => this.#negotiated(link, response as ResponseOf<'ApiVersions'>))
    const older = this.#options.fallbacks?.[0]
    if (older?.probe === undefined) return
    this.#doubtTimer = this.#options.clock.timer(DOUBT_MS, () => this.#probe(link, older, deadline), true)
  }

  /** An answer means that the peer is of that age, unless it has told its versions meanwhile. */
  #probe(link: Link, fallback: VersionFallback, deadline: Millis): void {
    if (link !== this.#link || this.#state !== 'negotiating') return
    this.#ask(fallback.probe!, deadline, () => {
      if (link === this.#link && this.#state === 'negotiating') this.#fallBack(fallback)
    })
  }

  #ask(api: ApiName, deadline: Millis, onAnswer: (response: unknown) => void): void {
    this.#transmit({
      api: apis[api] as unknown as ApiSchema,
      request: {},
      deadline,
      oneWay: false,
      onResponse: (_error, response) => void (response !== undefined && onAnswer(response)),
      correlationId: -1,
      version: 0,
    })
  }

  #fallBack({ versions }: VersionFallback): void {
    this.#fallback = -1
    this.#versions = versions
    this.#becomeReady()
  }

  /** The peer closed the connection instead of answering, or said nothing: the next one tries an older protocol at once. True when there is one. */
  #tryOlder(error: ChannelError): boolean {
    const { fallbacks, clock } = this.#options
    const isSilent = error.kind === 'timeout' && this.#fallback < 0
    if (this.#state !== 'negotiating' || (error.kind !== 'disconnected' && !isSilent)) {
      if (error.kind !== 'disconnected') this.#fallback = -1
      return false
    }
    this.#fallback = this.#fallback + 1 < (fallbacks?.length ?? 0) ? this.#fallback + 1 : -1
    if (this.#fallback < 0) return false
    this.#detach()
    this.#inFlight = []
    this.#state = 'backoff'
    this.#retryTimer = clock.timer(0, () => this.#open(), this.#waiting.length === 0)
    return true
  }

  #negotiated(link: Link, response: ResponseOf<'ApiVersions'>): void {
    if (response.errorCode !== ErrorCode.NONE) {
      this.#abandon(link, new ChannelError('badResponse', `ApiVersions was answered with ${errorName(response.errorCode)}`))
      return
    }
    const table: Partial<Record<ApiName, number>> = {}
    for (const [name, wanted] of Object.entries(this.#options.versions)) {
      const api = apis[name as ApiName]
      const theirs = response.apiVersions.find((range) => range.apiKey === api.key)
      const version = Math.min(wanted, theirs?.maxVersion ?? -1)
      if (theirs !== undefined && version >= Math.max(theirs.minVersion, api.minVersion)) table[name as ApiName] = version
    }
    this.#versions = table
    this.#becomeReady()
  }

  #becomeReady(): void {
    this.#state = 'ready'
    this.#failures = 0
    this.#usedAt = this.#options.clock.now()
    this.#watchIdle(this.#options.maxIdleMs ?? -1)
    this.#options.onReady?.()
    this.#transmitWaiting()
  }

  #transmitWaiting(): void {
    const room = Math.min(this.#waiting.length, this.#maxInFlight - this.#inFlight.length)
    if (room <= 0 || this.#state !== 'ready') return
    const batch = this.#waiting.splice(0, room)
    for (const call of batch) this.#transmit(call)
  }

  #watchIdle(delayMs: Millis): void {
    const { clock, maxIdleMs } = this.#options
    if (maxIdleMs === undefined || maxIdleMs < 0 || delayMs < 0) return
    this.#idleTimer?.cancel()
    this.#idleTimer = clock.timer(
      delayMs,
      () => {
        this.#idleTimer = undefined
        if (this.#state !== 'ready') return
        const left = this.#usedAt + maxIdleMs - clock.now()
        if (left > 0 || this.pending > 0) this.#watchIdle(Math.max(left, maxIdleMs / 4, 1))
        else this.#closeIdle()
      },
      true,
    )
  }

  #closeIdle(): void {
    this.#dropTimers()
    this.#state = 'idle'
    this.#detach()?.end()
  }

  /** @internal The connection of `link` is gone, or was never made. */
  lost(link: Link, error: ChannelError): void {
    if (link !== this.#link || this.#state === 'closed') return
    if (this.#tryOlder(error)) return
    const { clock, reconnectBackoffMs, reconnectBackoffMaxMs, random } = this.#options
    this.#detach()
    const exact = Math.min(reconnectBackoffMs * 2 ** Math.min(this.#failures, 20), reconnectBackoffMaxMs ?? reconnectBackoffMs)
    const pause = random === undefined ? exact : exact * (0.8 + 0.4 * random())
    this.#failures++
    this.#retryAt = clock.now() + pause
    this.#state = 'idle'
    this.#dropTimers()
    const failed = [...this.#inFlight, ...this.#waiting]
    this.#inFlight = []
    this.#waiting = []
    this.#options.onDisconnect?.(error)
    for (const call of failed) {
      // A callback may have closed the channel: then the others are not told.
      if ((this.#state as State) === 'closed') return
      call.onResponse?.(error, undefined)
    }
  }

  /** Closes a connection that still stands and treats it as lost. */
  #abandon(link: Link, error: ChannelError): void {
    if (link !== this.#link) return
    link.connection?.destroy()
    this.lost(link, error)
  }

  #detach(): Connection | undefined {
    const connection = this.#link?.connection
    this.#link = undefined
    return connection
  }

  // ------------------------------------------------------------------ requests

  #transmit(call: Call): void {
    const highest = this.#versions[call.api.name]
    const version = call.version >= 0 ? call.version : highest
    // What is asked while negotiating is not in the table.
    if (version === undefined || (this.#state === 'ready' && !(version <= (highest ?? -1)))) {
      const which = call.version < 0 ? '' : ` version ${call.version}`
      this.#fail(call, new ChannelError('unsupportedVersion', `the peer does not support ${call.api.name}${which}`))
      return
    }
    call.version = version
    this.#usedAt = this.#options.clock.now()
    this.#correlationId = (this.#correlationId + 1) & 0x7fffffff
    call.correlationId = this.#correlationId
    const writer = this.#writer.reset()
    try {
      const frame = beginFrame(writer)
      const { clientId } = this.#options
      encodeRequestHeader(writer, { apiKey: call.api.key, apiVersion: version, correlationId: call.correlationId, clientId })
      writeBody(writer, call.api, version, call.request)
      endFrame(writer, frame)
    } catch (error) {
      this.#fail(call, new ChannelError('badRequest', `${call.api.name} request cannot be encoded: ${(error as Error).message}`))
      return
    }
    if (!call.oneWay) this.#inFlight.push(call)
    else if (call.onResponse !== undefined) this.#options.clock.soon(() => call.onResponse?.(undefined, undefined))
    writeMessage(writer, this.#link?.connection)
  }

  #fail(call: Call, error: ChannelError): void {
    this.#options.clock.soon(() => {
      if (this.#state !== 'closed') call.onResponse?.(error, undefined)
    })
  }

  /** @internal */
  received(link: Link, reader: ByteReader): void {
    if (link !== this.#link) return
    let call = this.#inFlight.shift()
    let response: unknown
    try {
      const correlationId = decodeResponseHeader(reader)
      // What was asked first is passed over by a peer that does not know it.
      if (this.#state === 'negotiating' && this.#inFlight[0]?.correlationId === correlationId) call = this.#inFlight.shift()
      if (call === undefined) throw new Error(`a response ${correlationId} nobody asked for`)
      if (correlationId !== call.correlationId)
        throw new Error(`correlation id ${correlationId} instead of ${call.correlationId}`)
      response = call.api.decodeResponse(reader, call.version)
    } catch (error) {
      if (call !== undefined) this.#inFlight.unshift(call)
      const what = call === undefined ? 'response' : `${call.api.name} response`
      this.#abandon(link, new ChannelError('badResponse', `bad ${what} from ${link.peer}: ${(error as Error).message}`))
      return
    }
    call.onResponse?.(undefined, response)
    if (this.#waiting.length > 0) this.#transmitWaiting()
  }

  // ------------------------------------------------------------------ deadlines

  /** One timer for all requests: set for the earliest deadline, and when it comes too early, set anew. */
  #watchDeadline(deadline: Millis): void {
    if (deadline >= this.#deadlineAt) return
    this.#deadlineTimer?.cancel()
    this.#deadlineAt = deadline
    const { clock } = this.#options
    this.#deadlineTimer = clock.timer(Math.max(0, deadline - clock.now()), () => this.#checkDeadlines(), true)
  }

  #checkDeadlines(): void {
    this.#deadlineTimer = undefined
    this.#deadlineAt = Number.POSITIVE_INFINITY
    const now = this.#options.clock.now()
    let earliest = Number.POSITIVE_INFINITY
    for (const calls of [this.#inFlight, this.#waiting]) {
      for (const call of calls) {
        if (!call.oneWay) earliest = Math.min(earliest, call.deadline)
      }
    }
    if (earliest > now) {
      if (earliest !== Number.POSITIVE_INFINITY) this.#watchDeadline(earliest)
      return
    }
    this.#expire(now)
  }

  /** The order of answers is all that tells them apart: with one missing, the connection is of no more use. */
  #expire(now: Millis): void {
    const late = [...this.#inFlight, ...this.#waiting].find((call) => !call.oneWay && call.deadline <= now)
    assert(late !== undefined, 'no request is late')
    const error = new ChannelError('timeout', `no response to ${late.api.name} from ${this.#link?.peer ?? 'the peer'} in time`)
    if (this.#link === undefined) this.#link = new Link(this)
    this.#abandon(this.#link, error)
  }

  #dropTimers(): void {
    this.#retryTimer?.cancel()
    this.#deadlineTimer?.cancel()
    this.#idleTimer?.cancel()
    this.#doubtTimer?.cancel()
    this.#retryTimer = this.#deadlineTimer = this.#idleTimer = this.#doubtTimer = undefined
    this.#deadlineAt = Number.POSITIVE_INFINITY
  }

  /** @internal */
  get maxResponseBytes(): number {
    return this.#options.maxResponseBytes ?? 0x7fffffff
  }
}

/** One attempt at a connection. Events of an older one than the channel's present are ignored there. */
class Link implements FrameReceiver {
  readonly #channel: Channel
  readonly #reader = new ByteReader(Buffer.alloc(0))
  connection: Connection | undefined
  /** `host:port`, for messages. */
  peer = 'the peer'
  #connected = false
  #badLength: number | undefined

  constructor(channel: Channel) {
    this.#channel = channel
  }

  onConnect(): void {
    this.#connected = true
    this.#channel.connected(this)
  }

  onFrame(buffer: Buffer, start: number, end: number): void {
    this.#channel.received(this, this.#reader.reset(buffer, start, end))
  }

  maxFrameBytes(): number {
    return this.#channel.maxResponseBytes
  }

  onBadFrame(length: number): void {
    this.#badLength = length
  }

  onClose(reason: CloseReason, error?: Error): void {
    this.#channel.lost(this, this.#describe(reason, error))
  }

  #describe(reason: CloseReason, error: Error | undefined): ChannelError {
    if (this.#badLength !== undefined)
      return new ChannelError('badResponse', `response of ${this.#badLength} bytes from ${this.peer}`)
    if (this.#connected)
      return new ChannelError('disconnected', `connection to ${this.peer} broke${error ? `: ${error.message}` : ''}`)
    if (reason === 'timeout') return new ChannelError('connectTimeout', `connecting to ${this.peer} took too long`)
    return new ChannelError('refused', `cannot connect to ${this.peer}${error ? `: ${error.message}` : ''}`)
  }
}
