import type { Acl } from '../client/types.ts'

/** ZooKeeper's operation codes as they stand in a request header. */
export const Op = {
  create: 1,
  delete: 2,
  exists: 3,
  getData: 4,
  setData: 5,
  getAcl: 6,
  setAcl: 7,
  getChildren: 8,
  sync: 9,
  ping: 11,
  getChildren2: 12,
  check: 13,
  multi: 14,
  create2: 15,
  reconfig: 16,
  checkWatches: 17,
  removeWatches: 18,
  createContainer: 19,
  createTtl: 21,
  multiRead: 22,
  auth: 100,
  setWatches: 101,
  getEphemerals: 103,
  getAllChildrenNumber: 104,
  setWatches2: 105,
  addWatch: 106,
  whoAmI: 107,
  closeSession: -11,
} as const

/** Numeric error codes of a reply header (`KeeperException.Code`). */
export const Err = {
  ok: 0,
  runtimeInconsistency: -2,
  marshalling: -5,
  unimplemented: -6,
  badArguments: -8,
  noNode: -101,
  noAuth: -102,
  badVersion: -103,
  noChildrenForEphemerals: -108,
  nodeExists: -110,
  notEmpty: -111,
  invalidAcl: -114,
  authFailed: -115,
  noWatcher: -121,
  reconfigDisabled: -123,
} as const

export const EventType = { created: 1, deleted: 2, dataChanged: 3, childrenChanged: 4 } as const
export type EventType = (typeof EventType)[keyof typeof EventType]

export const Perm = { read: 1, write: 2, create: 4, delete: 8, admin: 16 } as const

/** Owner of a container node, as kept inside: the lowest 64-bit integer. A double holds it exactly. */
export const CONTAINER_OWNER = -(2 ** 63)

/** Largest request or reply the genuine server takes (`jute.maxbuffer`). */
export const MAX_BUFFER = 0xfffff

/** Node statistics. zxids and session ids of this server stay below 2^53, so numbers hold them. */
export interface ServerStat {
  readonly czxid: number
  readonly mzxid: number
  readonly ctime: number
  readonly mtime: number
  readonly version: number
  readonly cversion: number
  readonly aversion: number
  /** Session id or 0. */
  readonly ephemeralOwner: number
  readonly dataLength: number
  readonly numChildren: number
  readonly pzxid: number
}

export interface ConnectRequest {
  readonly lastZxidSeen: number
  readonly timeoutMs: number
  /** 0 asks for a new session; ids this server never gave out (also those beyond 2^53) are simply unknown. */
  readonly sessionId: number
  readonly password: Buffer
  /** Clients before 3.4 and node-zookeeper-client leave the trailing flag out; the answer then leaves it out too. */
  readonly hasReadOnlyFlag: boolean
}

export interface ConnectResponse {
  /** All zero when the session is refused (unknown, expired or wrong password). */
  readonly timeoutMs: number
  readonly sessionId: number
  readonly password: Buffer
  readonly hasReadOnlyFlag: boolean
}

export interface CreateOp {
  readonly type: typeof Op.create | typeof Op.create2 | typeof Op.createContainer | typeof Op.createTtl
  readonly path: string
  readonly data: Buffer | null
  readonly acl: readonly Acl[]
  /** 0 persistent, 1 ephemeral, 2 sequential, 3 ephemeral sequential, 4 container, 5 TTL, 6 sequential TTL. */
  readonly flags: number
  /** -1 except for createTtl. */
  readonly ttl: number
}
export interface DeleteOp {
  readonly type: typeof Op.delete
  readonly path: string
  readonly version: number
}
export interface SetDataOp {
  readonly type: typeof Op.setData
  readonly path: string
  readonly data: Buffer | null
  readonly version: number
}
export interface SetAclOp {
  readonly type: typeof Op.setAcl
  readonly path: string
  readonly acl: readonly Acl[]
  readonly version: number
}
export interface CheckOp {
  readonly type: typeof Op.check
  readonly path: string
  readonly version: number
}
/** What may stand in a multi. */
export type MultiOp = CreateOp | DeleteOp | SetDataOp | CheckOp
export type WriteOp = MultiOp | SetAclOp

export interface WatchingReadOp {
  readonly type: typeof Op.exists | typeof Op.getData | typeof Op.getChildren | typeof Op.getChildren2
  readonly path: string
  readonly watch: boolean
}
export interface PathOp {
  readonly type: typeof Op.getAcl | typeof Op.getAllChildrenNumber | typeof Op.getEphemerals
  readonly path: string
}
export interface SyncOp {
  readonly type: typeof Op.sync
  readonly path: string | null
}
export interface MultiReadOp {
  readonly type: typeof Op.multiRead
  readonly ops: readonly { readonly type: typeof Op.getData | typeof Op.getChildren; readonly path: string }[]
}
export interface SetWatchesOp {
  readonly type: typeof Op.setWatches | typeof Op.setWatches2
  readonly relativeZxid: number
  readonly data: readonly string[]
  readonly exist: readonly string[]
  readonly child: readonly string[]
  readonly persistent: readonly string[]
  readonly recursive: readonly string[]
}
export interface AddWatchOp {
  readonly type: typeof Op.addWatch
  readonly path: string
  /** 0 persistent, 1 persistent recursive. */
  readonly mode: number
}
export interface WatcherOp {
  readonly type: typeof Op.checkWatches | typeof Op.removeWatches
  readonly path: string
  /** 1 children, 2 data, 3 any. */
  readonly watcherType: number
}
export interface AuthOp {
  readonly type: typeof Op.auth
  readonly scheme: string
  readonly auth: Buffer
}
export interface BareOp {
  readonly type: typeof Op.ping | typeof Op.whoAmI | typeof Op.closeSession | typeof Op.reconfig
}
/** The body could not be decoded. A malformed write still uses up a zxid. */
export interface MalformedOp {
  readonly type: 'malformed'
  readonly write: boolean
}
export interface UnknownOp {
  readonly type: 'unknown'
  readonly code: number
}
export interface MultiRequest {
  readonly type: typeof Op.multi
  readonly ops: readonly MultiOp[]
}

export type ServerOp =
  | WriteOp
  | MultiRequest
  | WatchingReadOp
  | PathOp
  | SyncOp
  | MultiReadOp
  | SetWatchesOp
  | AddWatchOp
  | WatcherOp
  | AuthOp
  | BareOp
  | MalformedOp
  | UnknownOp

/** One entry of a multi's answer. */
export type MultiResult =
  | { readonly kind: 'create'; readonly path: string }
  | { readonly kind: 'create2'; readonly path: string; readonly stat: ServerStat }
  | { readonly kind: 'delete' }
  | { readonly kind: 'check' }
  | { readonly kind: 'setData'; readonly stat: ServerStat }
  | { readonly kind: 'error'; readonly err: number }
  | { readonly kind: 'getData'; readonly data: Buffer | null; readonly stat: ServerStat }
  | { readonly kind: 'getChildren'; readonly children: readonly string[] }

/** What follows the reply header. */
export type ReplyBody =
  | { readonly kind: 'path'; readonly path: string | null }
  | { readonly kind: 'pathStat'; readonly path: string; readonly stat: ServerStat }
  | { readonly kind: 'stat'; readonly stat: ServerStat }
  | { readonly kind: 'dataStat'; readonly data: Buffer | null; readonly stat: ServerStat }
  | { readonly kind: 'aclStat'; readonly acl: readonly Acl[]; readonly stat: ServerStat }
  | { readonly kind: 'children'; readonly children: readonly string[]; readonly stat: ServerStat | null }
  | { readonly kind: 'int'; readonly value: number }
  | { readonly kind: 'clients'; readonly clients: readonly { readonly scheme: string; readonly user: string }[] }
  | { readonly kind: 'multi'; readonly results: readonly MultiResult[] }

/** What happened to the tree and the session table: one durable log record per write. Replaying the records in order rebuilds the state. */
export type Txn =
  | {
      readonly type: 'create'
      readonly path: string
      readonly data: Buffer | null
      readonly acl: readonly Acl[]
      readonly owner: number
    }
  | { readonly type: 'delete'; readonly path: string }
  | { readonly type: 'setData'; readonly path: string; readonly data: Buffer | null }
  | { readonly type: 'setAcl'; readonly path: string; readonly acl: readonly Acl[] }
  | { readonly type: 'createSession'; readonly sessionId: number; readonly timeoutMs: number }
  /** Deletes the session's ephemeral nodes too. */
  | { readonly type: 'closeSession'; readonly sessionId: number }
  | { readonly type: 'multi'; readonly txns: readonly Txn[] }
  /** A refused write: it only uses up its zxid. */
  | { readonly type: 'error' }

export interface LogRecord {
  readonly zxid: number
  /** Epoch milliseconds. */
  readonly time: number
  readonly txn: Txn
}

/** The other end of a connection. Calls come in the order in which they must go out. */
export interface ZkPeer {
  connected(response: ConnectResponse): void
  reply(xid: number, zxid: number, err: number, body: ReplyBody | null): void
  event(type: EventType, path: string): void
  /** Close after everything said before. Nothing is called afterwards. */
  close(): void
}
