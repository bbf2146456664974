import { openZkSession, type ZkRequest, type ZkResponse, type ZkSession } from '../../../zk/client/index.ts'
import { nodeClock } from '../../ports/node/clock.ts'
import { ToolError } from '../tool.ts'

const TIMEOUT_MS = 30_000
const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** `connect`'s session, begun at once; requests wait for it. */
export class ShellConnection {
  readonly #session: ZkSession
  readonly #started: Promise<Error | undefined>
  readonly #say: (event: string) => void

  /** `say` is told of the connection and of the events of watches. */
  constructor(connect: string, auth: readonly { scheme: string; credentials: string }[], say: (event: string) => void) {
    this.#say = say
    const options = { connect, auth, sessionTimeoutMs: TIMEOUT_MS, connectionTimeoutMs: TIMEOUT_MS }
    this.#session = openZkSession(options, nodeClock, silent)
    this.#started = this.#session.start().then(
      () => {
        this.#say('state:SyncConnected type:None path:null')
        return undefined
      },
      (error: Error) => error,
    )
  }

  /** Throws `ToolError` when there is no connection. */
  async request(request: ZkRequest): Promise<ZkResponse> {
    if ((await this.#started) !== undefined) {
      const path = 'path' in request ? ` for ${request.path}` : ''
      const name = 'org.apache.zookeeper.KeeperException$ConnectionLossException'
      throw new ToolError(name, `KeeperErrorCode = ConnectionLoss${path}`)
    }
    return this.#session.request(request)
  }

  /** The next read of the node arms the watch; it fires once. */
  watchNode(path: string): void {
    const types = { created: 'NodeCreated', deleted: 'NodeDeleted', dataChanged: 'NodeDataChanged' }
    const onChange = (event: keyof typeof types): void => {
      this.#session.unwatchNode(path)
      this.#say(`state:SyncConnected type:${types[event]} path:${path}`)
    }
    this.#session.watchNode({ path, onChange })
  }

  /** The next reading of the children arms the watch; it fires once. */
  watchChildren(path: string): void {
    const onChildChange = (): void => {
      this.#session.unwatchChildren(path)
      this.#say(`state:SyncConnected type:NodeChildrenChanged path:${path}`)
    }
    this.#session.watchChildren({ path, onChildChange })
  }

  close(): Promise<void> {
    return this.#session.close()
  }
}
