import type { Socket } from 'node:net'
import clientModule from 'node-zookeeper-client'
import exceptions from 'node-zookeeper-client/lib/Exception.js'
import juteModule from 'node-zookeeper-client/lib/jute/index.js'

/**
 * The only door to node-zookeeper-client. The package comes without types and its public surface hides what we need, so this
 * file describes the internals that `guard.ts` relies on and checks with each client that they are what they were in 1.1.3.
 */

export const PACKAGE_VERSION = '1.1.3'

/** `ConnectionManager.STATES` of the package. */
export const CmState = {
  DISCONNECTED: 0,
  CONNECTING: 1,
  CONNECTED: 2,
  CONNECTED_READ_ONLY: 3,
  CLOSING: -1,
  CLOSED: -2,
  SESSION_EXPIRED: -3,
  AUTHENTICATION_FAILED: -4,
} as const

/** A jute record: its fields are plain properties; a long is an 8-byte Buffer. */
export interface JuteRecord {
  setChrootPath(path: string | undefined): void
  byteLength(): number
  [field: string]: unknown
}

/** As `jute.Request`, or anything that has its shape. */
export interface JuteRequest {
  readonly header: { xid: number; type: number }
  readonly payload: JuteRecord | null
  toBuffer(): Buffer
}

/** `frame`: the whole reply, given by `guard.ts` to requests that decode their own. */
export type PacketCallback = (error: { code: number } | null, frame?: Buffer) => void

export interface Packet {
  readonly request: JuteRequest
  readonly callback: PacketCallback
}

export interface Server {
  readonly host: string
  readonly port: number
}

export interface ConnectionManager {
  servers: Server[]
  chrootPath: string | undefined
  nextServerIndex: number
  serverAttempts: number
  state: number
  sessionTimeout: number
  connectTimeout: number
  connectTimeoutHandler: NodeJS.Timeout | null
  xid: number
  sessionId: Buffer
  sessionPassword: Buffer
  zxid: Buffer
  pendingBuffer: Buffer | null
  socket?: Socket
  watcherManager: { isEmpty(): boolean; emit(event: { type: number; path: string }): void }
  readonly packetQueue: { queue: Packet[] }
  pendingQueue: Packet[]
  findNextServer(callback: (server: Server) => void): void
  connect(): void
  close(): void
  queue(request: JuteRequest, callback?: PacketCallback): void
  updateTimeout(timeoutMs: number): void
  onSocketConnected(): void
  onSocketClosed(hadError: boolean): void
  onSocketData(chunk: Buffer): void
  onSocketTimeout(): void
  on(event: 'state', listener: (state: number) => void): void
  removeAllListeners(event: 'state'): void
}

export interface PackageClient {
  readonly connectionManager: ConnectionManager
  connect(): void
}

export interface PackageClientOptions {
  readonly sessionTimeout: number
  readonly spinDelay: number
  readonly retries: number
  /** Not in the package's documentation: continues this session. */
  readonly sessionId?: Buffer
  readonly sessionPassword?: Buffer
}

export interface Jute {
  readonly OP_CODES: Readonly<Record<string, number>>
  readonly XID_PING: number
  readonly XID_AUTHENTICATION: number
  readonly protocol: Readonly<Record<string, new (...args: unknown[]) => JuteRecord>>
  readonly Request: new (header: unknown, payload: JuteRecord | null) => JuteRequest
}

export const jute: Jute = juteModule

/**
 * D4: the package throws inside its socket handler for a code that it has not heard of (quota exceeded, session moved, ...). It looks
 * `create` up at each use, so replacing it is enough; ours makes a plain value, which also spares a stack trace per refused read.
 */
exceptions.create = (code: number) => ({ code })

/** Throws an Error naming what is missing when the package is not the one we know. */
export function createPackageClient(connectionString: string, options: PackageClientOptions): PackageClient {
  const client = clientModule.createClient(connectionString, options)
  verifyInternals(client.connectionManager)
  return client
}

function verifyInternals(cm: ConnectionManager): void {
  const missing = [
    Array.isArray(cm.packetQueue?.queue) ? '' : 'packetQueue.queue',
    Array.isArray(cm.pendingQueue) ? '' : 'pendingQueue',
    typeof cm.watcherManager?.emit === 'function' ? '' : 'watcherManager.emit',
    ...(
      [
        'findNextServer',
        'connect',
        'close',
        'queue',
        'onSocketConnected',
        'onSocketClosed',
        'onSocketData',
        'onSocketTimeout',
      ] as const
    ).map((name) => (typeof cm[name] === 'function' ? '' : name)),
    ...(['xid', 'state', 'sessionTimeout'] as const).map((name) => (typeof cm[name] === 'number' ? '' : name)),
    ...(['zxid', 'sessionId', 'sessionPassword'] as const).map((name) => (Buffer.isBuffer(cm[name]) ? '' : name)),
  ].filter((name) => name !== '')
  if (missing.length > 0) throw new Error(`node-zookeeper-client lacks the internals ${missing.join(', ')}`)
}
