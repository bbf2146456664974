import type { ByteWriter } from '../base/bytes.ts'
import type { Millis } from '../base/ids.ts'
import type { Clock } from '../ports/clock.ts'
import type { Connection, Net } from '../ports/net.ts'
import type { ApiName, ApiSchema, RequestInput, ResponseOf } from '../protocol/apis/index.ts'
import type { VersionTable } from './versions.ts'

/**
 * Why a request has no response. `unknownAddress`: nobody knows where the peer listens. `refused`, `connectTimeout`: no
 * connection. `disconnected`: it broke, the request may or may not have been carried out. `timeout`: no response in time,
 * the connection was closed. `unsupportedVersion`: the peer does not speak this API; nothing was sent. `badRequest`: the request
 * cannot be encoded. `badResponse`: the peer answered something else. `closed`: the channel was closed with an error for its callers.
 */
export type ChannelErrorKind =
  | 'unknownAddress'
  | 'refused'
  | 'connectTimeout'
  | 'disconnected'
  | 'timeout'
  | 'unsupportedVersion'
  | 'badRequest'
  | 'badResponse'
  | 'closed'

export class ChannelError extends Error {
  override readonly name = 'ChannelError'
  readonly kind: ChannelErrorKind
  constructor(kind: ChannelErrorKind, message: string) {
    super(message)
    this.kind = kind
  }
}

export type ResponseCallback<A extends ApiName> = (error: ChannelError | undefined, response: ResponseOf<A> | undefined) => void

export interface ChannelOptions {
  readonly net: Net
  readonly clock: Clock
  /** Asked before each connect: the peer may have moved. Undefined: not known now. */
  readonly address: () => { readonly host: string; readonly port: number } | undefined
  readonly clientId: string
  /** Versions to use; with `negotiate`, the highest to use. */
  readonly versions: VersionTable
  /** Ask ApiVersions first and use the highest version that both sides know. Not between brokers. Default false. */
  readonly negotiate?: boolean
  /**
   * With `negotiate`: versions for peers that know no ApiVersions (before 0.10) and close the connection instead. Tried on the following
   * connections, newest first; one with a `probe` is taken when the peer answers that request. The connection after that
   * asks ApiVersions again.
   */
  readonly fallbacks?: readonly VersionFallback[]
  /** Requests sent and not answered at most; others wait in the channel. Default: no limit. */
  readonly maxInFlight?: number
  /** A connection on which nothing was sent or received for so long is closed; made again when needed. Default, or negative: never. */
  readonly maxIdleMs?: Millis
  /** Uniform in [0, 1): spreads the pauses between connects by a fifth either way. Default: exact pauses. */
  readonly random?: () => number
  readonly connectTimeoutMs: Millis
  /** From `send` to the response (`request.timeout.ms`); a late response closes the connection. */
  readonly requestTimeoutMs: Millis
  /** Pause before the next connect after a failed one or a broken connection; doubled up to the maximum while it fails. */
  readonly reconnectBackoffMs: Millis
  readonly reconnectBackoffMaxMs?: Millis
  /** Largest acceptable response; default 2^31 - 1. */
  readonly maxResponseBytes?: number
  /** Connected (and versions are known). */
  readonly onReady?: () => void
  /** A connection or the attempt at one ended, other than by `close`. */
  readonly onDisconnect?: (error: ChannelError) => void
}

export interface VersionFallback {
  readonly versions: VersionTable
  readonly probe?: ApiName
}

export interface SendOptions {
  /** Replaces `requestTimeoutMs`. */
  readonly timeoutMs?: Millis | undefined
  /** This version and no other, if the peer has it (ranges begin at the schema's first version). */
  readonly version?: number | undefined
}

/** The body of a request, encoded before it is sent; to be sent in this version. */
export class EncodedRequest {
  readonly version: number
  readonly body: Uint8Array

  constructor(version: number, body: Uint8Array) {
    this.version = version
    this.body = body
  }
}

/** A request, or what makes it when it is sent and the version is known. */
export type RequestOrMaker<A extends ApiName> = RequestInput<A> | ((version: number) => RequestInput<A>)

/** `request`: what a caller of the channel gave. Throws `EncodeError` for a value that does not fit its field, and what a maker throws. */
export function writeBody(writer: ByteWriter, api: ApiSchema, version: number, request: unknown): void {
  if (request instanceof EncodedRequest) writer.raw(request.body)
  else api.encodeRequest(writer, version, (typeof request === 'function' ? request(version) : request) as never)
}

/** Writes what the writer holds to the connection, if there is one still; the writer begins anew. */
export function writeMessage(writer: ByteWriter, connection: Connection | undefined): void {
  const { tail } = writer
  if (tail === undefined) {
    const { bytes, owner } = writer.take(512)
    connection?.write(bytes, () => writer.pool.release(owner))
  } else connection?.write(tail.frame(writer.view()), () => tail.letGo())
}
