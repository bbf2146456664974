/** One connection per broker, by node id. */
import type { Millis } from '../../base/ids.ts'
import type { Clock } from '../../ports/clock.ts'
import type { FrameMemory, Net } from '../../ports/net.ts'
import type { ApiName, ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { Channel, ChannelError, type RequestOrMaker, type SendOptions } from '../../rpc/channel.ts'
import type { HostPort } from '../config/index.ts'
import { ApiException, KafkaException, NetworkException, TimeoutException, UnsupportedVersionException } from '../errors.ts'
import { clientVersions, versionFallbacks } from './versions.ts'

export interface NetworkOptions {
  readonly net: Net
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly clientId: string
  readonly requestTimeoutMs: Millis
  readonly reconnectBackoffMs: Millis
  readonly reconnectBackoffMaxMs: Millis
  readonly maxIdleMs: Millis
  /** Default: no limit. */
  readonly maxInFlight?: number
  /** Where a node listens now; undefined when nobody knows. Asked before each connect. */
  readonly addressOf: (nodeId: number) => HostPort | undefined
  /** A connection broke or could not be made. */
  readonly onDisconnect?: (nodeId: number, error: KafkaException) => void
  /** A connection is made and its versions are known: `canSend` has become true. */
  readonly onReady?: (nodeId: number) => void
}

export type Callback<T> = (error: KafkaException | undefined, value: T | undefined) => void

/** A connection attempt that gets no answer is given up after this. */
const CONNECT_TIMEOUT_MS = 10_000

/**
 * Connections are made when first needed and again after they broke (`reconnect.backoff.ms`); requests to a node leave in the order of
 * `send`. Every callback is called exactly once, never within `send`, with the response while its bytes still lie in the receive buffer:
 * record sets are slices of it that must be copied to be kept, or taken over with all of it (`takeFrame`).
 *
 * Errors: NetworkException (not connected, or the connection broke: may have been carried out), TimeoutException (no response within
 * `request.timeout.ms`; the connection was closed), UnsupportedVersionException (the broker does not know the API or version; nothing was
 * sent), ApiException INVALID_REQUEST (cannot be encoded) or CORRUPT_MESSAGE (cannot be decoded).
 */
export class Network {
  readonly #options: NetworkOptions
  readonly #channels = new Map<number, Channel>()
  #closed = false

  constructor(options: NetworkOptions) {
    this.#options = options
  }

  /** `request` may be a function of the version, called when it is sent. */
  send<A extends ApiName>(
    nodeId: number,
    api: A,
    request: RequestOrMaker<A>,
    callback: Callback<ResponseOf<A>>,
    options?: SendOptions,
  ): void {
    if (this.#closed) {
      this.#options.clock.soon(() => callback(closedError(), undefined))
      return
    }
    this.#channel(nodeId).send(
      api,
      request,
      (error, response) => callback(error === undefined ? undefined : exceptionOfChannel(error), response),
      options,
    )
  }

  /** Sends a request without a response (Produce with acks=0). `callback` hears that it left. */
  sendOneWay<A extends ApiName>(nodeId: number, api: A, request: RequestOrMaker<A>, callback: Callback<undefined>): void {
    if (this.#closed) {
      this.#options.clock.soon(() => callback(closedError(), undefined))
      return
    }
    this.#channel(nodeId).sendOneWay(api, request, (error) => callback(error && exceptionOfChannel(error), undefined))
  }

  /** As `send`, for callers that are not hot. The response is decoded; record sets in it are valid in the same turn only. */
  request<A extends ApiName>(nodeId: number, api: A, request: RequestOrMaker<A>, options?: SendOptions): Promise<ResponseOf<A>> {
    return new Promise((resolve, reject) => {
      const settle: Callback<ResponseOf<A>> = (error, response) => {
        if (response === undefined) reject(error ?? new KafkaException('no response'))
        else resolve(response)
      }
      this.send(nodeId, api, request, settle, options)
    })
  }

  /** Whether a request would go out now: connected, and fewer than `max.in.flight.requests.per.connection` under way. */
  canSend(nodeId: number): boolean {
    return this.#channels.get(nodeId)?.canSend ?? false
  }

  /** Whether the connection stands and its versions are known. */
  isReady(nodeId: number): boolean {
    return this.#channels.get(nodeId)?.isReady ?? false
  }

  /** Requests sent or waiting. */
  pending(nodeId: number): number {
    return this.#channels.get(nodeId)?.pending ?? 0
  }

  /** Within a callback of `send` to that node: takes over the memory of its response. Undefined: what is to be kept must be copied. */
  takeFrame(nodeId: number): FrameMemory | undefined {
    return this.#channels.get(nodeId)?.takeFrame()
  }

  /** Connects, unless that was done or a backoff runs; `onReady` follows. */
  connect(nodeId: number): void {
    if (!this.#closed) this.#channel(nodeId).connect()
  }

  /** The version that a request would have; undefined when the broker has none in common, or is not connected. */
  versionOf(nodeId: number, api: ApiName): number | undefined {
    const channel = this.#channels.get(nodeId)
    return channel?.isReady ? channel.versionOf(api) : undefined
  }

  /** Nodes with a connection that stands. */
  readyNodes(): number[] {
    return [...this.#channels].filter(([, channel]) => channel.isReady).map(([id]) => id)
  }

  /** Ends the connection to a node; what waits for it fails with a NetworkException. */
  disconnect(nodeId: number): void {
    const channel = this.#channels.get(nodeId)
    this.#channels.delete(nodeId)
    channel?.close(new ChannelError('closed', 'the connection was closed by the client'))
  }

  /** Fails what is under way. Idempotent. */
  close(): void {
    this.#closed = true
    for (const nodeId of [...this.#channels.keys()]) this.disconnect(nodeId)
  }

  #channel(nodeId: number): Channel {
    let channel = this.#channels.get(nodeId)
    if (channel === undefined) {
      channel = this.#open(nodeId)
      this.#channels.set(nodeId, channel)
    }
    return channel
  }

  #open(nodeId: number): Channel {
    const { net, clock, random, clientId, requestTimeoutMs, maxInFlight, addressOf } = this.#options
    return new Channel({
      net,
      clock,
      random,
      address: () => addressOf(nodeId),
      clientId,
      versions: clientVersions,
      negotiate: true,
      fallbacks: versionFallbacks,
      ...(maxInFlight === undefined ? {} : { maxInFlight }),
      maxIdleMs: this.#options.maxIdleMs,
      connectTimeoutMs: Math.min(CONNECT_TIMEOUT_MS, Math.max(1, requestTimeoutMs)),
      requestTimeoutMs,
      reconnectBackoffMs: this.#options.reconnectBackoffMs,
      reconnectBackoffMaxMs: this.#options.reconnectBackoffMaxMs,
      onReady: () => this.#options.onReady?.(nodeId),
      onDisconnect: (error) => this.#options.onDisconnect?.(nodeId, exceptionOfChannel(error)),
    })
  }
}

function closedError(): KafkaException {
  return new NetworkException('the client is closed')
}

export function exceptionOfChannel(error: ChannelError): KafkaException {
  switch (error.kind) {
    case 'timeout':
      return new TimeoutException(error.message, error)
    case 'unsupportedVersion':
      return new UnsupportedVersionException(error.message)
    case 'badRequest':
      return new ApiException(ErrorCode.INVALID_REQUEST, error.message, error)
    case 'badResponse':
      return new ApiException(ErrorCode.CORRUPT_MESSAGE, error.message, error)
    default:
      return new NetworkException(error.message, error)
  }
}
