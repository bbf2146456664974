/** For tests: the znodes, versions, ephemerals and watches of one ZooKeeper server, in memory, with a readable log of its writes. */

export interface TestNode {
  data: Buffer | null
  version: number
  readonly czxid: bigint
  readonly ctime: number
  readonly owner: number
  readonly children: Set<string>
  sequence: number
}

export type TreeCode = 'ok' | 'noNode' | 'nodeExists' | 'badVersion' | 'notEmpty'

export type TreeOp =
  | {
      readonly op: 'create'
      readonly path: string
      readonly data: Buffer | null
      readonly owner?: number
      readonly sequential?: boolean
    }
  | { readonly op: 'setData'; readonly path: string; readonly data: Buffer | null; readonly version: number }
  | { readonly op: 'delete'; readonly path: string; readonly version: number }

export interface TreeResult {
  readonly code: TreeCode
  readonly version: number
  readonly path: string
}

export interface TreeWatcher {
  onNode(path: string, event: 'created' | 'deleted' | 'dataChanged'): void
  onChildren(path: string): void
}

export class TestTree {
  /** One line per write, refused ones included, as `broker 0: setData /path data v3`. */
  readonly log: string[] = []
  readonly nodes = new Map<string, TestNode>()
  readonly watchers = new Set<TreeWatcher>()
  private zxid = 0n
  private sessions = 0

  constructor() {
    this.nodes.set('', { data: null, version: 0, czxid: 0n, ctime: 0, owner: 0, children: new Set(), sequence: 0 })
  }

  newSession(): number {
    return ++this.sessions
  }

  get(path: string): TestNode | undefined {
    return this.nodes.get(path)
  }

  text(path: string): string | undefined {
    return this.nodes.get(path)?.data?.toString()
  }

  write(by: string, op: TreeOp): TreeResult {
    const result = this.apply(op)
    const data =
      op.op === 'delete' || op.data === null ? '' : ` ${op.data.toString().replace(/"timestamp":"\d+"/, '"timestamp":"T"')}`
    const version = op.op === 'setData' && result.code === 'ok' ? ` v${result.version}` : ''
    this.log.push(`${by}: ${op.op} ${result.path}${data}${version}${result.code === 'ok' ? '' : ` ${result.code.toUpperCase()}`}`)
    return result
  }

  /** All of them or none; a refused one is the only one in the log. */
  transact(
    by: string,
    ops: readonly TreeOp[],
  ): { readonly results: readonly TreeResult[] } | { readonly refused: number; readonly code: Exclude<TreeCode, 'ok'> } {
    const made = new Set<string>()
    for (const [i, op] of ops.entries()) {
      const code = this.refusal(op, made)
      if (code !== undefined) {
        this.write(by, op)
        return { refused: i, code }
      }
      if (op.op === 'create') made.add(op.path)
    }
    return { results: ops.map((op) => this.write(by, op)) }
  }

  /** `made`: what the same transaction has created already. */
  private refusal(op: TreeOp, made: ReadonlySet<string>): Exclude<TreeCode, 'ok'> | undefined {
    const node = this.nodes.get(op.path)
    if (op.op === 'create') {
      const [parent] = split(op.path)
      if (!this.nodes.has(parent) && !made.has(parent)) return 'noNode'
      return node !== undefined ? 'nodeExists' : undefined
    }
    if (node === undefined) return 'noNode'
    if (op.version !== -1 && op.version !== node.version) return 'badVersion'
    return op.op === 'delete' && node.children.size > 0 ? 'notEmpty' : undefined
  }

  /** With parents, outside of any client and of the log. */
  put(path: string, data: string | null): void {
    const parent = path.slice(0, path.lastIndexOf('/'))
    if (!this.nodes.has(parent)) this.put(parent, null)
    const buffer = data === null ? null : Buffer.from(data)
    if (this.nodes.has(path)) this.apply({ op: 'setData', path, data: buffer, version: -1 })
    else this.apply({ op: 'create', path, data: buffer })
  }

  /** The tree below goes too. */
  remove(path: string): void {
    for (const child of [...(this.nodes.get(path)?.children ?? [])]) this.remove(`${path}/${child}`)
    this.apply({ op: 'delete', path, version: -1 })
  }

  endSession(session: number, by: string): void {
    const owned = [...this.nodes].filter(([, node]) => node.owner === session).map(([path]) => path)
    this.log.push(`${by}: closeSession ${owned.sort().join(' ')}`.trimEnd())
    for (const path of owned) this.apply({ op: 'delete', path, version: -1 })
  }

  private apply(op: TreeOp): TreeResult {
    this.zxid++
    switch (op.op) {
      case 'create':
        return this.create(op.path, op.data, op.owner ?? 0, op.sequential ?? false)
      case 'setData': {
        const node = this.nodes.get(op.path)
        if (!node) return { code: 'noNode', version: -1, path: op.path }
        if (op.version !== -1 && op.version !== node.version) return { code: 'badVersion', version: -1, path: op.path }
        node.data = op.data
        node.version++
        for (const watcher of this.watchers) watcher.onNode(op.path, 'dataChanged')
        return { code: 'ok', version: node.version, path: op.path }
      }
      case 'delete': {
        const node = this.nodes.get(op.path)
        if (!node) return { code: 'noNode', version: -1, path: op.path }
        if (op.version !== -1 && op.version !== node.version) return { code: 'badVersion', version: -1, path: op.path }
        if (node.children.size > 0) return { code: 'notEmpty', version: -1, path: op.path }
        this.nodes.delete(op.path)
        const [parent, name] = split(op.path)
        this.nodes.get(parent)?.children.delete(name)
        this.changed(op.path, parent, 'deleted')
        return { code: 'ok', version: -1, path: op.path }
      }
    }
  }

  private create(asked: string, data: Buffer | null, owner: number, sequential: boolean): TreeResult {
    const [parentPath] = split(asked)
    const parent = this.nodes.get(parentPath)
    if (!parent) return { code: 'noNode', version: -1, path: asked }
    const path = sequential ? asked + String(parent.sequence++).padStart(10, '0') : asked
    if (this.nodes.has(path)) return { code: 'nodeExists', version: -1, path }
    this.nodes.set(path, { data, version: 0, czxid: this.zxid, ctime: 0, owner, children: new Set(), sequence: 0 })
    parent.children.add(split(path)[1])
    this.changed(path, parentPath, 'created')
    return { code: 'ok', version: 0, path }
  }

  private changed(path: string, parent: string, event: 'created' | 'deleted'): void {
    for (const watcher of this.watchers) {
      watcher.onNode(path, event)
      watcher.onChildren(parent)
    }
  }
}

function split(path: string): [string, string] {
  const slash = path.lastIndexOf('/')
  return [path.slice(0, slash), path.slice(slash + 1)]
}
