import type { Acl } from '../client/types.ts'
import { WORLD_ALL, WORLD_READ } from './acl.ts'
import { CONTAINER_OWNER, type ServerStat, type Txn } from './protocol.ts'

/** A node as it stands. Only {@link Tree} changes its fields. */
export interface ZNode {
  data: Buffer | null
  acl: readonly Acl[]
  czxid: number
  mzxid: number
  pzxid: number
  ctime: number
  mtime: number
  version: number
  /** How many children were ever created here: the sequence counter, and the source of the visible cversion. */
  creates: number
  aversion: number
  /** Session id, 0 for persistent, {@link CONTAINER_OWNER}. */
  owner: number
  /** Names, in order of creation. */
  children: Set<string> | null
}

/** What a change means to watchers. The ACLs are those at the time of the change. */
export type Effect =
  | {
      readonly kind: 'created' | 'deleted'
      readonly path: string
      readonly parent: string
      readonly acl: Acls
      readonly parentAcl: Acls
    }
  | { readonly kind: 'dataChanged'; readonly path: string; readonly acl: Acls }
type Acls = readonly Acl[]

/** The changes to nodes; the others concern sessions. */
export type TreeTxn = Extract<Txn, { type: 'create' | 'delete' | 'setData' | 'setAcl' }>

/** Node fields in the order of a snapshot row, after the path. */
export type NodeRow = [
  path: string,
  data: Buffer | null,
  acl: readonly Acl[],
  czxid: number,
  mzxid: number,
  pzxid: number,
  ctime: number,
  mtime: number,
  version: number,
  creates: number,
  aversion: number,
  owner: number,
]

/** Rows of one moment; see {@link Tree.snapshotRows}. */
export interface RowIterator {
  next(): IteratorResult<NodeRow, void>
  return(): IteratorResult<NodeRow, void>
}

/**
 * The nodes. Knows no rule about who may do what: it applies changes that were found right before. The root stands under the empty
 * name; as in the genuine server both '' and '/' reach it.
 */
export class Tree {
  private nodes = new Map<string, ZNode>()
  private readonly ephemeralsByOwner = new Map<number, Set<string>>()
  readonly containers = new Set<string>()
  /** While a snapshot is being written: nodes changed since it began, as they were then. */
  private before: Map<ZNode, ZNode> | null = null
  private dataBytes = 0
  private readonly naiveCversion: boolean

  /** `naiveCversion` breaks one rule on purpose (deletions do not count): a canary for the tests that compare with a genuine server. */
  constructor(options: { readonly naiveCversion?: boolean } = {}) {
    this.naiveCversion = options.naiveCversion === true
    this.insert('', newNode(null, WORLD_ALL, 0, 0, 0), Buffer.alloc(0))
    for (const path of ['/zookeeper', '/zookeeper/config', '/zookeeper/quota']) {
      this.insert(path, newNode(null, WORLD_ALL, 0, 0, 0), Buffer.alloc(0))
    }
    const config = this.get('/zookeeper/config')!
    config.acl = WORLD_READ
    config.aversion = -1
  }

  get(path: string): ZNode | undefined {
    return this.nodes.get(path === '/' ? '' : path)
  }

  /** As the genuine server counts: the root once. */
  get size(): number {
    return this.nodes.size
  }

  get approximateBytes(): number {
    return this.dataBytes
  }

  get ephemeralCount(): number {
    let count = 0
    for (const paths of this.ephemeralsByOwner.values()) count += paths.size
    return count
  }

  /** Paths of the session's ephemeral nodes, in order of creation. */
  ephemeralsOf(session: number): ReadonlySet<string> {
    return this.ephemeralsByOwner.get(session) ?? NO_PATHS
  }

  ephemeralOwners(): IterableIterator<number> {
    return this.ephemeralsByOwner.keys()
  }

  /** Number of nodes below `path`; the root's count leaves out the root itself, the empty path's does not. */
  countBelow(path: string): number {
    if (path === '/') return this.nodes.size - 1
    if (path === '') return this.nodes.size
    const prefix = `${path}/`
    let count = 0
    for (const key of this.nodes.keys()) if (key.startsWith(prefix)) count++
    return count
  }

  statOf(node: ZNode): ServerStat {
    const numChildren = node.children === null ? 0 : node.children.size
    return {
      czxid: node.czxid,
      mzxid: node.mzxid,
      ctime: node.ctime,
      mtime: node.mtime,
      version: node.version,
      cversion: this.naiveCversion ? node.creates : (node.creates * 2 - numChildren) | 0,
      aversion: node.aversion,
      // clients are not told what is a container
      ephemeralOwner: node.owner === CONTAINER_OWNER ? 0 : node.owner,
      dataLength: node.data === null ? 0 : node.data.length,
      numChildren,
      pzxid: node.pzxid,
    }
  }

  /**
   * Applies one change. `undo`, when given, collects what reverts it (run backwards). Answers the effect for watchers, `null` for ACL
   * changes.
   */
  apply(txn: TreeTxn, zxid: number, time: number, undo?: (() => void)[]): Effect | null {
    switch (txn.type) {
      case 'create':
        return this.create(txn, zxid, time, undo)
      case 'delete':
        return this.delete(txn.path, zxid, undo)
      case 'setData': {
        const node = this.change(txn.path, undo)
        this.dataBytes += sizeOf(txn.data) - sizeOf(node.data)
        node.data = txn.data
        node.mzxid = zxid
        node.mtime = time
        node.version = (node.version + 1) | 0
        return { kind: 'dataChanged', path: txn.path, acl: node.acl }
      }
      case 'setAcl': {
        const node = this.change(txn.path, undo)
        node.acl = shared(txn.acl)
        node.aversion = (node.aversion + 1) | 0
        return null
      }
    }
  }

  private create(txn: Extract<Txn, { type: 'create' }>, zxid: number, time: number, undo?: (() => void)[]): Effect {
    const { path } = txn
    const parentPath = path.slice(0, path.lastIndexOf('/'))
    const parent = this.change(parentPath, undo)
    // at the end of the 32-bit range the counter stays, as the genuine server's does
    if (parent.creates < 2147483647) {
      parent.creates++
      parent.pzxid = zxid
    }
    const node = newNode(null, shared(txn.acl), zxid, time, txn.owner)
    this.insert(path, node, txn.data)
    undo?.push(() => this.remove(path, node))
    return { kind: 'created', path, parent: parentPath === '' ? '/' : parentPath, acl: node.acl, parentAcl: parent.acl }
  }

  private delete(path: string, zxid: number, undo?: (() => void)[]): Effect {
    const node = this.mustGet(path)
    const parentPath = path.slice(0, path.lastIndexOf('/'))
    const parent = this.change(parentPath, undo)
    parent.pzxid = zxid
    this.remove(path, node)
    undo?.push(() => this.insert(path, node, node.data))
    return { kind: 'deleted', path, parent: parentPath === '' ? '/' : parentPath, acl: node.acl, parentAcl: parent.acl }
  }

  private insert(path: string, node: ZNode, data: Buffer | null): void {
    node.data = data
    this.dataBytes += path.length + sizeOf(data)
    this.nodes.set(path, node)
    if (path === '') return
    const slash = path.lastIndexOf('/')
    const parent = this.mustGet(path.slice(0, slash))
    parent.children ??= new Set()
    parent.children.add(path.slice(slash + 1))
    if (node.owner === CONTAINER_OWNER) this.containers.add(path)
    else if (node.owner !== 0) {
      const paths = this.ephemeralsByOwner.get(node.owner)
      if (paths === undefined) this.ephemeralsByOwner.set(node.owner, new Set([path]))
      else paths.add(path)
    }
  }

  private remove(path: string, node: ZNode): void {
    const slash = path.lastIndexOf('/')
    this.mustGet(path.slice(0, slash)).children!.delete(path.slice(slash + 1))
    this.nodes.delete(path)
    this.dataBytes -= path.length + sizeOf(node.data)
    if (node.owner === CONTAINER_OWNER) this.containers.delete(path)
    else if (node.owner !== 0) {
      const paths = this.ephemeralsByOwner.get(node.owner)!
      paths.delete(path)
      if (paths.size === 0) this.ephemeralsByOwner.delete(node.owner)
    }
  }

  /** The node, with its present state kept for undo and for a snapshot in progress. */
  private change(path: string, undo?: (() => void)[]): ZNode {
    const node = this.mustGet(path)
    if (this.before !== null && !this.before.has(node)) this.before.set(node, { ...node })
    if (undo !== undefined) {
      const { data, acl, mzxid, pzxid, mtime, version, creates, aversion } = node
      undo.push(() => {
        this.dataBytes += sizeOf(data) - sizeOf(node.data)
        Object.assign(node, { data, acl, mzxid, pzxid, mtime, version, creates, aversion })
      })
    }
    return node
  }

  private mustGet(path: string): ZNode {
    const node = this.get(path)
    if (node === undefined) throw new Error(`no node ${path}: a change was applied that was never checked`)
    return node
  }

  /**
   * The tree of this moment, row by row and parents first, while changes go on: rows are read when the consumer asks for them, changed
   * nodes from the copies kept aside. One at a time; the iterator must be run to its end or returned.
   */
  snapshotRows(): RowIterator {
    if (this.before !== null) throw new Error('a snapshot of the tree is already being taken')
    const before = new Map<ZNode, ZNode>()
    this.before = before
    const list = Array.from(this.nodes)
    let at = 0
    const finish = (): IteratorReturnResult<void> => {
      at = list.length
      if (this.before === before) this.before = null
      return { done: true, value: undefined }
    }
    const next = (): IteratorResult<NodeRow, void> => {
      const entry = list[at++]
      if (entry === undefined) return finish()
      const [path, node] = entry
      const n = before.get(node) ?? node
      const times = [n.czxid, n.mzxid, n.pzxid, n.ctime, n.mtime] as const
      return { done: false, value: [path, n.data, n.acl, ...times, n.version, n.creates, n.aversion, n.owner] }
    }
    return { next, return: finish }
  }

  /** Replaces everything by the rows of a snapshot. */
  restore(rows: Iterable<NodeRow>): void {
    this.nodes = new Map()
    this.ephemeralsByOwner.clear()
    this.containers.clear()
    this.dataBytes = 0
    for (const [path, data, acl, czxid, mzxid, pzxid, ctime, mtime, version, creates, aversion, owner] of rows) {
      const node = {
        data,
        acl: shared(acl),
        czxid,
        mzxid,
        pzxid,
        ctime,
        mtime,
        version,
        creates,
        aversion,
        owner,
        children: null,
      }
      this.insert(path, node, data)
    }
  }
}

const NO_PATHS: ReadonlySet<string> = new Set()

function newNode(data: Buffer | null, acl: readonly Acl[], zxid: number, time: number, owner: number): ZNode {
  return {
    data,
    acl,
    czxid: zxid,
    mzxid: zxid,
    pzxid: zxid,
    ctime: time,
    mtime: time,
    version: 0,
    creates: 0,
    aversion: 0,
    owner,
    children: null,
  }
}

function sizeOf(data: Buffer | null): number {
  return data === null ? 0 : data.length
}

/** Nearly every node is open to the world: let them share one object, also after a restart. */
function shared(acl: readonly Acl[]): readonly Acl[] {
  const first = acl[0]
  const open = acl.length === 1 && first !== undefined && first.perms === 31 && first.scheme === 'world' && first.id === 'anyone'
  return open ? WORLD_ALL : acl
}
