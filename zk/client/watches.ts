import type { ChildChangeHandler, NodeChangeHandler, NodeEvent, ZkLog, ZkRequest, ZkResponse } from './types.ts'

export interface WatchPaths {
  readonly data: Iterable<string>
  readonly exist: Iterable<string>
  readonly child: Iterable<string>
}

const NODE_EVENTS: Readonly<Record<number, NodeEvent>> = { 1: 'created', 2: 'deleted', 3: 'dataChanged' }
const CHILDREN_CHANGED = 4

/**
 * Who wants to know about which path, and which watches the server holds for us. A read asks for a watch when a handler is registered
 * for its path (Kafka's rule); the server holds it from the reply on; an event takes it away. What is armed is set again on a
 * reconnect with the last zxid, so that a change in the gap comes as an event. A new session begins with nothing armed.
 */
export class WatchRegistry {
  readonly #log: ZkLog
  readonly #nodeHandlers = new Map<string, NodeChangeHandler>()
  readonly #childHandlers = new Map<string, ChildChangeHandler>()
  readonly #data = new Set<string>()
  readonly #exist = new Set<string>()
  readonly #child = new Set<string>()

  constructor(log: ZkLog) {
    this.#log = log
  }

  watchNode(handler: NodeChangeHandler): void {
    this.#nodeHandlers.set(handler.path, handler)
  }

  /** The server may still tell us once; nobody will listen, and a reconnect does not ask again. */
  unwatchNode(path: string): void {
    this.#nodeHandlers.delete(path)
    this.#data.delete(path)
    this.#exist.delete(path)
  }

  watchChildren(handler: ChildChangeHandler): void {
    this.#childHandlers.set(handler.path, handler)
  }

  unwatchChildren(path: string): void {
    this.#childHandlers.delete(path)
    this.#child.delete(path)
  }

  /** Whether this read is to set a watch. */
  wanted(request: ZkRequest): boolean {
    if (request.op === 'exists' || request.op === 'getData') return this.#nodeHandlers.has(request.path)
    return request.op === 'getChildren' && this.#childHandlers.has(request.path)
  }

  /** A read that asked for a watch was answered. On a missing node only `exists` sets one. */
  armed(request: ZkRequest, response: ZkResponse): void {
    if (request.op === 'getChildren') {
      if (response.code === 'ok' && this.#childHandlers.has(request.path)) this.#child.add(request.path)
    } else if ((request.op === 'exists' || request.op === 'getData') && this.#nodeHandlers.has(request.path)) {
      if (response.code === 'ok') this.#data.add(request.path)
      else if (response.code === 'noNode' && request.op === 'exists') this.#exist.add(request.path)
    }
  }

  /** The paths whose watches the server should hold. */
  paths(): WatchPaths {
    return { data: this.#data, exist: this.#exist, child: this.#child }
  }

  /** Forgets what is armed: the session is new. */
  disarm(): void {
    this.#data.clear()
    this.#exist.clear()
    this.#child.clear()
  }

  /** Delivers one event, in order of arrival and before the reply of any later request. A throwing handler harms nobody else. */
  dispatch(type: number, path: string): void {
    const event = NODE_EVENTS[type]
    if (event !== undefined) {
      this.#data.delete(path)
      this.#exist.delete(path)
      this.#call(path, () => this.#nodeHandlers.get(path)?.onChange(event))
    }
    if (type === CHILDREN_CHANGED || event === 'deleted') {
      this.#child.delete(path)
      this.#call(path, () => this.#childHandlers.get(path)?.onChildChange())
    }
  }

  #call(path: string, run: () => void): void {
    try {
      run()
    } catch (error) {
      this.#log.error(
        `Watch handler of ${path} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      )
    }
  }
}
