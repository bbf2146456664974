import {
  type ChildChangeHandler,
  type NodeChangeHandler,
  OPEN_ACL,
  type SessionHandler,
  type SessionState,
  type Stat,
  type ZkClock,
  type ZkCode,
  type ZkRequest,
  type ZkRequestOptions,
  type ZkResponse,
  type ZkSession,
  type ZkWriteOp,
} from '../../zk/client/types.ts'
import { kafkaZkOn } from '../../zk/store/kafka-zk.ts'
import type { KafkaZk } from '../../zk/store/types.ts'
import type { TestTree, TreeOp, TreeResult, TreeWatcher } from './testing-tree.ts'
import type { ControllerLog } from './types.ts'

/** What a test does to a write. `lost`: not applied; `applied`: applied, and its answer lost; `expire`: the session ends before it. */
export type Fault = 'lost' | 'applied' | 'badVersion' | 'expire'

interface PlannedFault {
  /** Start of `setData /path`, `create /path`, `delete /path`. */
  readonly prefix: string
  readonly fault: Fault
  count: number
}

/** For tests: one client's session on a `TestTree`, with ZooKeeper's rules for watches, ephemerals and multi. */
export class TestSession implements ZkSession, TreeWatcher {
  state: SessionState = 'connected'
  generation = 1
  trusted = true
  readonly password = Buffer.alloc(0)
  readonly sessionTimeoutMs = 6000
  /** Watch events wait until `releaseWatches`: a client that hears late. */
  holdWatches = false
  /** Paths of all getData, in order. */
  readonly reads: string[] = []
  private readonly tree: TestTree
  private readonly name: string
  private id: number
  private readonly nodeHandlers = new Map<string, NodeChangeHandler>()
  private readonly childHandlers = new Map<string, ChildChangeHandler>()
  private readonly armedNodes = new Set<string>()
  private readonly armedChildren = new Set<string>()
  private readonly sessionHandlers: SessionHandler[] = []
  private readonly faults: PlannedFault[] = []
  private countdown: { left: number; readonly fault: Fault } | undefined
  private held: (() => void)[] = []

  constructor(tree: TestTree, name: string) {
    this.tree = tree
    this.name = name
    this.id = tree.newSession()
    tree.watchers.add(this)
  }

  get sessionId(): bigint {
    return BigInt(this.id)
  }

  failNext(prefix: string, fault: Fault, count = 1): void {
    this.faults.push({ prefix, fault, count })
  }

  /** The `n`th write from now on (0: the next), whatever it is. */
  failWrite(n: number, fault: Fault): void {
    this.countdown = { left: n, fault }
  }

  get faultIsPending(): boolean {
    return this.countdown !== undefined || this.faults.some(({ count }) => count > 0)
  }

  // ---- requests

  start(): Promise<void> {
    return Promise.resolve()
  }

  async request(one: ZkRequest, options?: ZkRequestOptions): Promise<ZkResponse> {
    return (await this.requests([one], options))[0]!
  }

  async requests(list: readonly ZkRequest[], options?: ZkRequestOptions): Promise<ZkResponse[]> {
    await Promise.resolve()
    const responses: ZkResponse[] = []
    for (const request of list) responses.push(this.answer(request, options?.generation))
    await Promise.resolve()
    return responses
  }

  async createEphemeral(path: string, data: Buffer): Promise<ZkResponse> {
    const made = await this.request({ op: 'create', path, data, mode: 'ephemeral' })
    return made.code === 'nodeExists' && this.tree.get(path)?.owner === this.id ? reply('ok', path) : made
  }

  private answer(request: ZkRequest, generation: number | undefined): ZkResponse {
    if (this.state !== 'connected' || (generation !== undefined && generation !== this.generation)) {
      return reply('sessionExpired', 'path' in request ? request.path : '')
    }
    switch (request.op) {
      case 'exists': {
        if (this.nodeHandlers.has(request.path)) this.armedNodes.add(request.path)
        return this.nodeReply(request.path)
      }
      case 'getData': {
        this.reads.push(request.path)
        // An absent node gets no watch here, unlike with exists.
        if (this.tree.get(request.path) && this.nodeHandlers.has(request.path)) this.armedNodes.add(request.path)
        return this.nodeReply(request.path)
      }
      case 'getChildren': {
        const node = this.tree.get(request.path)
        if (!node) return reply('noNode', request.path)
        if (this.childHandlers.has(request.path)) this.armedChildren.add(request.path)
        return { ...reply('ok', request.path), children: [...node.children].sort() }
      }
      case 'multi':
        return this.multi(request.ops)
      case 'getAcl':
      case 'setAcl':
        return { ...reply('ok', request.path), acl: OPEN_ACL }
      default:
        return this.write(request)
    }
  }

  /** All or nothing. A fault of one of its writes is that of the whole. */
  private multi(ops: readonly ZkWriteOp[]): ZkResponse {
    const refused = (at: ZkWriteOp, code: 'badVersion' | 'noNode' | 'nodeExists' | 'notEmpty'): ZkResponse => {
      const found = ops.indexOf(at)
      const results = ops.map(({ path }, i) => reply(i < found ? 'ok' : i === found ? code : 'runtimeInconsistency', path))
      return { ...reply(code, ''), results }
    }
    for (const op of ops) {
      if (op.op === 'check' && this.tree.get(op.path)?.version !== op.version) return refused(op, 'badVersion')
    }
    const writes = ops.filter((op) => op.op !== 'check')
    let fault: Fault | undefined
    for (const op of writes) {
      fault = this.takeFault(`${op.op} ${op.path}`)
      if (fault === 'lost') return reply('connectionLoss', '')
      if (fault === 'expire') {
        void this.expire()
        return reply('sessionExpired', '')
      }
      if (fault === 'badVersion') return refused(op, 'badVersion')
      if (fault === 'applied') break
    }
    const done = this.tree.transact(
      this.name,
      writes.map((op) => this.treeOp(op)),
    )
    if (fault === 'applied') return reply('connectionLoss', '')
    if ('refused' in done) return refused(writes[done.refused]!, done.code)
    let next = 0
    return {
      ...reply('ok', ''),
      results: ops.map((op) => (op.op === 'check' ? reply('ok', op.path) : this.writeReply(done.results[next++]!))),
    }
  }

  private write(op: Exclude<ZkWriteOp, { op: 'check' }>): ZkResponse {
    const fault = this.takeFault(`${op.op} ${op.path}`)
    if (fault === 'lost') return reply('connectionLoss', op.path)
    if (fault === 'badVersion') return reply('badVersion', op.path)
    if (fault === 'expire') {
      void this.expire()
      return reply('sessionExpired', op.path)
    }
    const result = this.tree.write(this.name, this.treeOp(op))
    return fault === 'applied' ? reply('connectionLoss', op.path) : this.writeReply(result)
  }

  private takeFault(line: string): Fault | undefined {
    const planned = this.faults.find((one) => one.count > 0 && line.startsWith(one.prefix))
    if (planned) {
      planned.count--
      return planned.fault
    }
    if (!this.countdown || this.countdown.left-- > 0) return undefined
    const { fault } = this.countdown
    this.countdown = undefined
    return fault
  }

  private treeOp(op: Exclude<ZkWriteOp, { op: 'check' }>): TreeOp {
    if (op.op !== 'create') return op
    const owner = op.mode === 'ephemeral' ? this.id : 0
    return { op: 'create', path: op.path, data: op.data, owner, sequential: op.mode === 'persistentSequential' }
  }

  private writeReply(result: TreeResult): ZkResponse {
    const stat = this.nodeReply(result.path).stat
    return { ...reply(result.code, result.path), ...(stat && { stat }) }
  }

  private nodeReply(path: string): ZkResponse {
    const node = this.tree.get(path)
    if (!node) return reply('noNode', path)
    const stat: Stat = {
      czxid: node.czxid,
      mzxid: node.czxid,
      pzxid: node.czxid,
      ctime: node.ctime,
      mtime: node.ctime,
      version: node.version,
      cversion: 0,
      aversion: 0,
      ephemeralOwner: BigInt(node.owner),
      dataLength: node.data?.length ?? 0,
      numChildren: node.children.size,
    }
    return { ...reply('ok', path), data: node.data, stat }
  }

  // ---- watches

  watchNode(handler: NodeChangeHandler): void {
    this.nodeHandlers.set(handler.path, handler)
  }
  unwatchNode(path: string): void {
    this.nodeHandlers.delete(path)
  }
  watchChildren(handler: ChildChangeHandler): void {
    this.childHandlers.set(handler.path, handler)
  }
  unwatchChildren(path: string): void {
    this.childHandlers.delete(path)
  }
  onSession(handler: SessionHandler): void {
    this.sessionHandlers.push(handler)
  }
  onState(): () => void {
    return () => {}
  }

  onNode(path: string, event: 'created' | 'deleted' | 'dataChanged'): void {
    if (this.armedNodes.delete(path)) this.deliver(() => this.nodeHandlers.get(path)?.onChange(event))
  }

  onChildren(path: string): void {
    if (this.armedChildren.delete(path)) this.deliver(() => this.childHandlers.get(path)?.onChildChange())
  }

  /** Names of the registered handlers' paths, for leaks. */
  get watchedPaths(): string[] {
    return [...this.nodeHandlers.keys(), ...this.childHandlers.keys()].sort()
  }

  releaseWatches(): void {
    this.holdWatches = false
    for (const call of this.held) call()
    this.held = []
  }

  private deliver(call: () => void): void {
    if (this.holdWatches) this.held.push(call)
    else queueMicrotask(call)
  }

  // ---- life

  /** The server ends the session; the client hears of it and begins a new one. */
  async expire(): Promise<void> {
    this.dropSession('expired')
    for (const handler of this.sessionHandlers) await handler.beforeInitializingSession?.()
    this.state = 'connected'
    this.generation++
    this.id = this.tree.newSession()
    for (const handler of this.sessionHandlers) await handler.afterInitializingSession?.()
  }

  close(): Promise<void> {
    if (this.state === 'connected') this.dropSession('closed')
    this.tree.watchers.delete(this)
    return Promise.resolve()
  }

  private dropSession(state: SessionState): void {
    this.state = state
    this.armedNodes.clear()
    this.armedChildren.clear()
    this.held = []
    this.tree.endSession(this.id, this.name)
  }
}

function reply(code: ZkCode, path: string): ZkResponse {
  return { code, rawCode: 0, path }
}

/** The genuine verbs on a test session. */
export function testKafkaZk(
  tree: TestTree,
  name: string,
  clock: ZkClock,
  log: ControllerLog,
): { session: TestSession; zk: KafkaZk } {
  const session = new TestSession(tree, name)
  return { session, zk: kafkaZkOn(session, {}, clock, log) }
}
