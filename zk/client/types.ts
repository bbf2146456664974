/** Node statistics. zxids and session ids are bigint (64 bit); times in epoch milliseconds. */
export interface Stat {
  readonly czxid: bigint
  readonly mzxid: bigint
  readonly ctime: number
  readonly mtime: number
  readonly version: number
  readonly cversion: number
  readonly aversion: number
  /** Session that owns the ephemeral node, 0n for persistent nodes. */
  readonly ephemeralOwner: bigint
  readonly dataLength: number
  readonly numChildren: number
  readonly pzxid: bigint
}

/** `perms`: read 1, write 2, create 4, delete 8, admin 16. */
export interface Acl {
  readonly perms: number
  readonly scheme: string
  readonly id: string
}

export const OPEN_ACL: readonly Acl[] = [{ perms: 31, scheme: 'world', id: 'anyone' }]

export type CreateMode = 'persistent' | 'ephemeral' | 'persistentSequential' | 'ephemeralSequential'

export type ZkWriteOp =
  | {
      readonly op: 'create'
      readonly path: string
      readonly data: Buffer | null
      readonly acl?: readonly Acl[]
      readonly mode: CreateMode
    }
  | { readonly op: 'delete'; readonly path: string; readonly version: number }
  | { readonly op: 'setData'; readonly path: string; readonly data: Buffer | null; readonly version: number }
  | { readonly op: 'check'; readonly path: string; readonly version: number }

export type ZkRequest =
  | Exclude<ZkWriteOp, { op: 'check' }>
  | { readonly op: 'exists'; readonly path: string }
  | { readonly op: 'getData'; readonly path: string }
  | { readonly op: 'getChildren'; readonly path: string }
  | { readonly op: 'getAcl'; readonly path: string }
  | { readonly op: 'setAcl'; readonly path: string; readonly acl: readonly Acl[]; readonly version: number }
  /** All or nothing. `results[i].code` tells which op was refused; the others then say `runtimeInconsistency` or `ok` (not applied). */
  | { readonly op: 'multi'; readonly ops: readonly ZkWriteOp[] }

export type ZkCode =
  | 'ok'
  | 'noNode'
  | 'nodeExists'
  | 'badVersion'
  | 'notEmpty'
  | 'noChildrenForEphemerals'
  | 'noAuth'
  | 'invalidAcl'
  | 'authFailed'
  | 'badArguments'
  | 'runtimeInconsistency'
  | 'marshallingError'
  | 'unimplemented'
  | 'quotaExceeded'
  /** The connection broke with the request in flight: a write may or may not have happened. Surfaces only with `retry: 'none'`. */
  | 'connectionLoss'
  /** The session the request was issued in is gone (expired, replaced or closed). */
  | 'sessionExpired'
  | 'timeout'
  | 'other'

export interface ZkResponse {
  readonly code: ZkCode
  /** ZooKeeper's own number, e.g. -101. */
  readonly rawCode: number
  /** Path as asked; of a sequential create the path as created. */
  readonly path: string
  readonly data?: Buffer | null
  readonly stat?: Stat
  readonly children?: readonly string[]
  readonly acl?: readonly Acl[]
  /** Of a multi: one per op, in order. */
  readonly results?: readonly ZkResponse[]
  /** True when a write answered after at least one connection loss and retry, so its code may be about its own first attempt. */
  readonly retried?: boolean
}

export type NodeEvent = 'created' | 'deleted' | 'dataChanged'

/** A watch is armed by the next exists/getData (node) or getChildren (child) of a registered path. Handlers only enqueue. */
export interface NodeChangeHandler {
  readonly path: string
  onChange(event: NodeEvent): void
}
export interface ChildChangeHandler {
  readonly path: string
  onChildChange(): void
}

/** Runs around the replacement of an expired session, in order of registration; each is awaited, a failing one is logged. */
export interface SessionHandler {
  readonly name: string
  beforeInitializingSession?(): void | Promise<void>
  afterInitializingSession?(): void | Promise<void>
}

export type SessionState = 'connecting' | 'connected' | 'disconnected' | 'expired' | 'closed'

export interface ZkRequestOptions {
  /** `untilConnected` (default): connection loss is retried, lost requests only, with the rule of each operation. `none`: surfaces. */
  readonly retry?: 'untilConnected' | 'none'
  /** The request is refused with `sessionExpired` when the session's generation is no longer this one. */
  readonly generation?: number
}

/** One logical ZooKeeper client: a chain of sessions. Requests never reject for ZooKeeper codes; they answer them. */
export interface ZkSession {
  readonly state: SessionState
  /** +1 with each new session. */
  readonly generation: number
  /** 0n before the first connection. */
  readonly sessionId: bigint
  /** With the session id it allows to take the session over. */
  readonly password: Buffer
  /** As granted by the server. */
  readonly sessionTimeoutMs: number
  /**
   * False when nothing was heard for a full session timeout: act as expired (no controller work, no ISR write) although the server
   * has not said so.
   */
  readonly trusted: boolean
  /** Connects; rejects with an Error naming the address after `zookeeper.connection.timeout.ms`. */
  start(): Promise<void>
  /** Pipelined; answers in request order. */
  requests(list: readonly ZkRequest[], options?: ZkRequestOptions): Promise<ZkResponse[]>
  request(one: ZkRequest, options?: ZkRequestOptions): Promise<ZkResponse>
  /**
   * Creates an ephemeral node owned by this session. `nodeExists` only when another living session owns it; a node of one of our own
   * former sessions is removed first.
   */
  createEphemeral(path: string, data: Buffer): Promise<ZkResponse>
  watchNode(handler: NodeChangeHandler): void
  unwatchNode(path: string): void
  watchChildren(handler: ChildChangeHandler): void
  unwatchChildren(path: string): void
  onSession(handler: SessionHandler): void
  onState(listener: (state: SessionState) => void): () => void
  /** Closes the session on the server, so that its ephemerals go at once. */
  close(): Promise<void>
}

export interface ZkSessionOptions {
  /** `host:port[,host:port...][/chroot]` */
  readonly connect: string
  readonly sessionTimeoutMs: number
  readonly connectionTimeoutMs: number
  /** Default 100. */
  readonly maxInFlightRequests?: number
  readonly auth?: readonly { readonly scheme: string; readonly credentials: string }[]
  /** Is told how many milliseconds each answered request was under way. */
  readonly onLatency?: (ms: number) => void
  /** Create a missing chroot (brokers do, tools do not). */
  readonly createChroot?: boolean
  /** Largest request packet in bytes, default 1048575 as the server's `jute.maxbuffer`; a larger one is answered `marshallingError`. */
  readonly maxPacketBytes?: number
  /**
   * Default 10000, and at least two session times: refused without an answer for so long, while others are let in, the session is
   * given up (the server lost its data).
   */
  readonly refusedForEverMs?: number
  /** Take an existing session over instead of beginning one (its former connection is closed by the server). */
  readonly resume?: { readonly sessionId: Buffer; readonly password: Buffer }
}

/** What this folder needs of its host; the broker's ports fit structurally. */
export interface ZkClock {
  now(): number
  wall(): number
  timer(delayMs: number, fn: () => void, background?: boolean): { cancel(): void }
}
export interface ZkLog {
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}
