/** One ZooKeeper session for two users: the members' part of a consumer, and the metadata of its cluster client. */
import type { ChildChangeHandler, NodeChangeHandler, ZkRequest, ZkRequestOptions, ZkSession } from '../../../zk/client/types.ts'

/** Handlers of all users by path: the session knows one per path. */
class Listeners<H extends { readonly path: string }> {
  readonly #byPath = new Map<string, Map<ZkSession, H>>()

  /** True for the first one of a path. */
  add(user: ZkSession, handler: H): boolean {
    const same = this.#byPath.get(handler.path)
    if (same !== undefined) {
      same.set(user, handler)
      return false
    }
    this.#byPath.set(handler.path, new Map([[user, handler]]))
    return true
  }

  /** True when nobody is left. */
  remove(user: ZkSession, path: string): boolean {
    const same = this.#byPath.get(path)
    if (same === undefined || !same.delete(user) || same.size > 0) return false
    this.#byPath.delete(path)
    return true
  }

  of(path: string): H[] {
    return [...(this.#byPath.get(path)?.values() ?? [])]
  }
}

/**
 * Gives out views of a session that somebody else starts and closes: `start` and `close` of a view do nothing. An event of a path goes to all
 * who watch it; whoever reads arms the watch again for all.
 */
export class SharedSession {
  readonly session: ZkSession
  readonly nodes = new Listeners<NodeChangeHandler>()
  readonly children = new Listeners<ChildChangeHandler>()

  constructor(session: ZkSession) {
    this.session = session
  }

  view(): ZkSession {
    return new SessionView(this)
  }
}

class SessionView implements ZkSession {
  readonly #shared: SharedSession
  readonly #session: ZkSession

  constructor(shared: SharedSession) {
    this.#shared = shared
    this.#session = shared.session
  }

  get state() {
    return this.#session.state
  }
  get generation() {
    return this.#session.generation
  }
  get sessionId() {
    return this.#session.sessionId
  }
  get password() {
    return this.#session.password
  }
  get sessionTimeoutMs() {
    return this.#session.sessionTimeoutMs
  }
  get trusted() {
    return this.#session.trusted
  }

  async start(): Promise<void> {}
  async close(): Promise<void> {}

  requests(list: readonly ZkRequest[], options?: ZkRequestOptions) {
    return this.#session.requests(list, options)
  }
  request(one: ZkRequest, options?: ZkRequestOptions) {
    return this.#session.request(one, options)
  }
  createEphemeral(path: string, data: Buffer) {
    return this.#session.createEphemeral(path, data)
  }

  watchNode(handler: NodeChangeHandler): void {
    const { path } = handler
    const { nodes } = this.#shared
    if (!nodes.add(this, handler)) return
    this.#session.watchNode({
      path,
      onChange: (event) => {
        for (const one of nodes.of(path)) one.onChange(event)
      },
    })
  }
  unwatchNode(path: string): void {
    if (this.#shared.nodes.remove(this, path)) this.#session.unwatchNode(path)
  }
  watchChildren(handler: ChildChangeHandler): void {
    const { path } = handler
    const { children } = this.#shared
    if (!children.add(this, handler)) return
    this.#session.watchChildren({
      path,
      onChildChange: () => {
        for (const one of children.of(path)) one.onChildChange()
      },
    })
  }
  unwatchChildren(path: string): void {
    if (this.#shared.children.remove(this, path)) this.#session.unwatchChildren(path)
  }

  onSession(handler: Parameters<ZkSession['onSession']>[0]): void {
    this.#session.onSession(handler)
  }
  onState(listener: Parameters<ZkSession['onState']>[0]): () => void {
    return this.#session.onState(listener)
  }
}
