import { AssertionError } from '../../base/assert.ts'
import { ByteReader, type ByteWriter, DecodeError } from '../../base/bytes.ts'
import type { Logger } from '../../base/logger.ts'
import type { Clock } from '../../ports/clock.ts'
import type { CloseReason, Connection, FrameReceiver } from '../../ports/net.ts'
import type { ApiName } from '../../protocol/apis/index.ts'
import { ApiKey } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { BrokerServices, RequestContext, ServedApi } from '../request-types.ts'
import { EncodedResponse, LATER } from '../request-types.ts'
import { decodeInSlices, encodeInSlices, isLongAnswer, isLongRequest } from './long-messages.ts'
import type { RequestMeter, RequestMetrics, RequestTimes } from './request-metrics.ts'
import type { WriterPool } from './writer-pool.ts'

/** What all connections of a socket server share. */
export interface ConnectionHost {
  readonly services: BrokerServices
  /** By API key; undefined: not served, treated as unknown. */
  readonly served: readonly (ServedApi | undefined)[]
  readonly log: Logger
  readonly writers: WriterPool
  readonly metrics: RequestMetrics
  readonly maxRequestBytes: number
  /** Reads requests only when true (between start and shutdown). */
  readonly processing: boolean
  readonly clock: Clock
  now(): number
  /** The connection has bytes to write or reading to resume: `flush` is called at the end of the read callback or of the turn. */
  scheduleFlush(connection: RequestConnection): void
  /** A read callback begins: until `flushNow`, appends do not wake waiting fetches one by one. */
  beginTurn(): void
  flushNow(): void
  closed(connection: RequestConnection): void
}

/** Most produce requests of one connection that wait for their followers; then reading pauses. */
const MAX_PIPELINED = 500

const EXCLUSIVE = 1
const PIPELINE_FULL = 2
const OUTPUT_FULL = 4

type AnyResponse = object

/** One request of a connection, in the order of arrival. */
class Slot implements RequestContext<ApiName>, RequestTimes {
  readonly connection: RequestConnection
  readonly served: ServedApi | undefined
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string
  response: AnyResponse | undefined
  /** The body of a long response, encoded before its time to be sent. */
  encoded: Buffer | undefined
  isDone = false
  meter: RequestMeter | undefined
  queueMs = 0
  startedMs = 0
  /** When its handler returned; before that 0. */
  handledMs = 0
  doneMs = 0
  encodedMs = 0
  localMs = 0
  remoteMs = 0
  responseQueueMs = 0
  sendMs = 0
  abortListener: (() => void) | undefined

  constructor(
    connection: RequestConnection,
    served: ServedApi | undefined,
    apiVersion: number,
    correlationId: number,
    clientId: string,
  ) {
    this.connection = connection
    this.served = served
    this.apiVersion = apiVersion
    this.correlationId = correlationId
    this.clientId = clientId
  }

  get clientAddress(): string {
    return this.connection.remoteAddress
  }

  get listenerName(): string {
    return this.connection.listenerName
  }

  get connectionNumber(): number {
    return this.connection.number
  }

  respond(response: AnyResponse): void {
    this.connection.complete(this, response)
  }

  respondNothing(): void {
    this.connection.complete(this, undefined)
  }

  close(reason: string): void {
    this.connection.refuse(reason)
  }

  onAbort(listener: () => void): void {
    this.abortListener = listener
  }
}

/**
 * One accepted connection: cuts requests out of frames, runs their handlers, writes the answers in the order of the requests.
 *
 * Produce requests are pipelined: the next one starts while an earlier one waits for its followers. Any other request has the
 * connection for itself, as in 1.1: it starts when everything before it is answered, and nothing is read until it is answered itself.
 */
export class RequestConnection implements FrameReceiver {
  readonly id: string
  readonly listenerName: string
  /** In the order of acceptance. */
  readonly number: number
  lastActiveMs: number
  /** Kept by the host: whether `flush` is due. */
  isFlushScheduled = false
  readonly #host: ConnectionHost
  readonly #socket: Connection
  readonly #reader = new ByteReader(Buffer.alloc(0))
  readonly #slots: Slot[] = []
  /** Answered and not measured yet. */
  #unmeasured: Slot[] = []
  /** When the last write was. */
  #sentMs = 0
  /** A request that came while produce requests before it were unanswered. */
  #deferred: Buffer | undefined
  #deferredSince = 0
  #writer: ByteWriter | undefined
  /** A request that has the connection for itself waits. */
  #isTaken = false
  #pauseReasons = 0
  #isPaused = false
  #isClosed = false

  constructor(host: ConnectionHost, socket: Connection, listenerName: string, number: number) {
    this.#host = host
    this.#socket = socket
    this.listenerName = listenerName
    this.number = number
    this.id = `${socket.localAddress}:${socket.localPort}-${socket.remoteAddress}:${socket.remotePort}-${number}`
    this.lastActiveMs = host.now()
  }

  get remoteAddress(): string {
    return this.#socket.remoteAddress
  }

  // ---- what the port tells

  maxFrameBytes(): number {
    return this.#host.maxRequestBytes
  }

  onBadFrame(length: number): void {
    this.#host.log.warn(
      `[SocketServer] ${this.id}: invalid receive (size = ${length}${length < 0 ? '' : ` larger than ${this.#host.maxRequestBytes}`}), closing connection`,
    )
  }

  onFrame(buffer: Buffer, start: number, end: number): void {
    if (this.#isClosed) return
    this.#host.beginTurn()
    this.#dispatch(buffer, start, end)
  }

  onReadEnd(): void {
    this.lastActiveMs = this.#host.now()
    this.#host.flushNow()
  }

  onDrain(): void {
    this.#unpause(OUTPUT_FULL)
    this.#host.scheduleFlush(this)
  }

  onClose(_reason: CloseReason, error?: Error): void {
    if (error) this.#host.log.debug(`[SocketServer] connection ${this.id} ended: ${error.message}`)
    this.#isClosed = true
    this.#deferred = undefined
    const slots = this.#slots.splice(0)
    if (this.#writer) this.#host.writers.release(this.#writer)
    this.#writer = undefined
    this.#host.closed(this)
    for (const slot of slots) slot.abortListener?.()
  }

  // ---- requests

  /** Reads the header, then either starts the request or keeps its bytes for later. */
  #dispatch(buffer: Buffer, start: number, end: number): void {
    const reader = this.#reader.reset(buffer, start, end)
    let slot: Slot | string
    try {
      slot = this.#readHeader(reader)
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      this.refuse(`cannot parse the request header: ${error.message}`)
      return
    }
    if (typeof slot === 'string') {
      this.refuse(slot)
      return
    }
    const pipelined = slot.served?.api.key === ApiKey.Produce
    if (this.#slots.length > 0 && (!pipelined || this.#isTaken)) {
      this.#deferred = Buffer.from(buffer.subarray(start, end))
      this.#deferredSince = this.#host.now()
      this.#pause(EXCLUSIVE)
      return
    }
    this.#start(slot, reader, pipelined)
  }

  #readHeader(reader: ByteReader): Slot | string {
    const apiKey = reader.int16()
    const served = this.#host.served[apiKey]
    if (!served) return `unknown API key ${apiKey}`
    const apiVersion = reader.int16()
    const isSupported = served.api.supports(apiVersion)
    if (!isSupported && apiKey !== ApiKey.ApiVersions) return `${served.api.name} has no version ${apiVersion}`
    const correlationId = reader.int32()
    const clientId = apiKey === ApiKey.ControlledShutdown && apiVersion === 0 ? '' : (reader.nullableString() ?? '')
    return new Slot(this, isSupported ? served : undefined, apiVersion, correlationId, clientId)
  }

  #start(slot: Slot, reader: ByteReader, pipelined: boolean): void {
    this.#slots.push(slot)
    const bytes = reader.remaining
    // ApiVersions of a version that we do not have: layout of v0, the error, an empty list.
    if (!slot.served) {
      this.complete(slot, new EncodedResponse(UNSUPPORTED_API_VERSIONS))
      return
    }
    const { api } = slot.served
    if (isLongRequest(api.key, bytes)) {
      this.#isTaken = true
      this.#pause(EXCLUSIVE)
      void this.#startInSlices(slot, Buffer.from(reader.buffer.subarray(reader.position, reader.end)))
      return
    }
    let request: object
    try {
      request = api.decodeRequest(reader, slot.apiVersion) as object
    } catch (error) {
      this.#cannotParse(slot, error)
      return
    }
    this.#begin(slot, request, bytes, pipelined)
  }

  /** Nothing else of this connection is looked at meanwhile. */
  async #startInSlices(slot: Slot, body: Buffer): Promise<void> {
    let request: object
    try {
      request = await decodeInSlices(slot.served!.api, slot.apiVersion, body, this.#host.clock)
    } catch (error) {
      this.#cannotParse(slot, error)
      return
    }
    if (this.#isClosed) return
    this.#host.beginTurn()
    this.#begin(slot, request, body.length, false)
    this.#host.flushNow()
  }

  #cannotParse({ served, apiVersion, clientId }: Slot, error: unknown): void {
    if (!(error instanceof DecodeError)) throw error
    this.refuse(`cannot parse ${served?.api.name} v${apiVersion} from client ${clientId}: ${error.message}`)
  }

  #begin(slot: Slot, request: object, bytes: number, pipelined: boolean): void {
    const { api, entry } = slot.served!
    const refusal = entry.check?.(request, slot.apiVersion)
    if (refusal !== undefined) {
      this.refuse(`${api.name} v${slot.apiVersion} from client ${slot.clientId}: ${refusal}`)
      return
    }
    slot.startedMs = this.#host.now()
    if (this.#deferredSince > 0) slot.queueMs = slot.startedMs - this.#deferredSince
    this.#deferredSince = 0
    slot.meter = this.#host.metrics.meterOf(api.key, request)
    slot.meter.came(bytes, slot.startedMs)
    this.#handle(slot, request)
    if (!slot.isDone) slot.handledMs = this.#host.now()
    if (this.#isClosed || slot.isDone) return
    if (!pipelined) {
      this.#isTaken = true
      if (entry.keepsReading !== true) this.#pause(EXCLUSIVE)
    } else if (this.#slots.length >= MAX_PIPELINED) this.#pause(PIPELINE_FULL)
  }

  #handle(slot: Slot, request: object): void {
    const { entry } = slot.served!
    try {
      const result = entry.handle(this.#host.services, slot, request)
      if (result === LATER) return
      if (result instanceof Promise) {
        result.then(
          (response) => {
            if (response !== LATER) this.complete(slot, response as object)
          },
          (error: unknown) => this.#failed(slot, request, error),
        )
        return
      }
      this.complete(slot, result as object)
    } catch (error) {
      this.#failed(slot, request, error)
    }
  }

  /** A handler threw. A broken invariant ends the process; anything else fails this request alone. */
  #failed(slot: Slot, request: object, error: unknown): void {
    if (error instanceof AssertionError) throw error
    const { api, entry } = slot.served!
    this.#host.log.error(
      `[KafkaApi-${this.#host.services.brokerId}] Error when handling request ${api.name} v${slot.apiVersion}`,
      error,
    )
    if (slot.response !== undefined || slot.isDone || this.#isClosed) return
    const response = entry.fail(request, ErrorCode.UNKNOWN_SERVER_ERROR, slot.apiVersion) as object | undefined
    if (response) this.complete(slot, response)
    else this.refuse(`${api.name} failed and has no answer`)
  }

  // ---- answers

  /** `response` undefined: nothing is sent for this request. */
  complete(slot: Slot, response: AnyResponse | undefined): void {
    if (this.#isClosed) return
    if (slot.response !== undefined || slot.isDone) throw new AssertionError(`${slot.served?.api.name} was answered twice`)
    slot.response = response
    slot.doneMs = this.#host.now()
    const isLong =
      response !== undefined && !(response instanceof EncodedResponse) && isLongAnswer(slot.served!.api.key, response)
    if (isLong) void this.#encodeInSlices(slot, response)
    else this.#completed(slot)
  }

  async #encodeInSlices(slot: Slot, response: AnyResponse): Promise<void> {
    try {
      slot.encoded = await encodeInSlices(slot.served!.api, slot.apiVersion, response, this.#host.clock)
    } catch (error) {
      if (error instanceof AssertionError) throw error
      this.#cannotSend(slot, error)
      return
    }
    if (!this.#isClosed) this.#completed(slot)
  }

  #completed(slot: Slot): void {
    slot.isDone = true
    if (this.#slots[0] !== slot) return
    while (this.#slots.length > 0 && this.#slots[0]!.isDone) {
      const answered = this.#slots.shift()!
      answered.encodedMs = slot.doneMs
      if (answered.meter !== undefined) this.#unmeasured.push(answered)
      this.#encode(answered)
    }
    if (this.#slots.length < MAX_PIPELINED / 2) this.#unpause(PIPELINE_FULL)
    if (this.#slots.length === 0) this.#isTaken = false
    if (this.#slots.length === 0 && !this.#deferred) this.#unpause(EXCLUSIVE)
    this.#host.scheduleFlush(this)
  }

  /** What was answered since the last time: for the host to call when everybody has their bytes. */
  measure(): void {
    const answered = this.#unmeasured
    if (answered.length === 0) return
    this.#unmeasured = []
    const { metrics } = this.#host
    const now = this.#sentMs
    for (let i = 0; i < answered.length; i++) {
      const slot = answered[i]!
      const handledMs = slot.handledMs === 0 ? slot.doneMs : slot.handledMs
      slot.localMs = handledMs - slot.startedMs
      slot.remoteMs = slot.doneMs - handledMs
      slot.responseQueueMs = slot.encodedMs - slot.doneMs
      slot.sendMs = now - slot.encodedMs
      slot.meter!.answered(slot, now)
      if (slot.response !== undefined) metrics.errorsOf(slot.served!.api.key).add(slot.response)
    }
  }

  #encode(slot: Slot): void {
    const { response } = slot
    if (response === undefined || this.#isClosed) return
    const writer = (this.#writer ??= this.#acquireWriter())
    const start = writer.position
    const deferred = writer.deferredBytes
    try {
      writer.int32(0)
      writer.int32(slot.correlationId)
      if (slot.encoded !== undefined) writer.raw(slot.encoded)
      else if (response instanceof EncodedResponse) writer.raw(response.body)
      else slot.served!.api.encodeResponse(writer, slot.apiVersion, response as never)
      writer.patchInt32(start, writer.position - start - 4 + writer.deferredBytes - deferred)
    } catch (error) {
      if (error instanceof AssertionError) throw error
      writer.rewind(start)
      this.#cannotSend(slot, error)
    }
  }

  #cannotSend({ served, apiVersion }: Slot, error: unknown): void {
    if (this.#isClosed) return
    this.#host.log.error(`[SocketServer] ${this.id}: cannot send the answer of ${served?.api.name} v${apiVersion}`, error)
    this.close()
  }

  #acquireWriter(): ByteWriter {
    const writer = this.#host.writers.acquire()
    writer.defers = this.#socket.writeParts !== undefined
    return writer
  }

  /** Writes what was answered, starts a deferred request, resumes reading. Only the host calls it. */
  flush(): void {
    if (this.#isClosed) return
    this.#write()
    const deferred = this.#deferred
    if (deferred && this.#slots.length === 0) {
      this.measure()
      this.#deferred = undefined
      this.#unpause(EXCLUSIVE)
      this.#dispatch(deferred, 0, deferred.length)
      this.#write()
    }
    if (this.#isPaused && this.#pauseReasons === 0 && !this.#isClosed) {
      this.#isPaused = false
      this.#socket.resume()
    }
  }

  #write(): void {
    const writer = this.#writer
    if (this.#isClosed) return
    const now = this.#host.now()
    this.#sentMs = now
    if (!writer) return
    this.#writer = undefined
    if (writer.position === 0) {
      this.#host.writers.release(writer)
      return
    }
    this.lastActiveMs = now
    this.#host.metrics.bytesOut.add(writer.position + writer.deferredBytes)
    const released = () => this.#host.writers.release(writer)
    const goesOn =
      writer.deferredBytes > 0 ? this.#socket.writeParts!(writer.parts(), released) : this.#socket.write(writer.view(), released)
    if (!goesOn) this.#pause(OUTPUT_FULL)
  }

  #pause(reason: number): void {
    this.#pauseReasons |= reason
    if (this.#isPaused) return
    this.#isPaused = true
    this.#socket.pause()
  }

  /** Reading resumes at the next flush, never from inside a handler. */
  #unpause(reason: number): void {
    this.#pauseReasons &= ~reason
  }

  /** Closes without an answer to this request; earlier answers are still sent. One log line. */
  refuse(reason: string): void {
    if (this.#isClosed) return
    this.#host.log.warn(`[SocketServer] Closing socket for ${this.id} because of error: ${reason}`)
    this.close()
  }

  close(): void {
    if (this.#isClosed) return
    this.#write()
    this.measure()
    this.#isClosed = true
    this.#deferred = undefined
    this.#socket.end()
  }
}

const UNSUPPORTED_API_VERSIONS: Buffer = Buffer.from([0, ErrorCode.UNSUPPORTED_VERSION, 0, 0, 0, 0])
