import { GuardedConnection, type OpenZkConnection, type ZkConnection } from '../../zk/client/guard.ts'
import type { Life } from './life.ts'

/** Connections to ZooKeeper that end with the life; the session stays on the server until somebody ends it or it lapses. */
export function zooKeeperOf(life: Life, onOpened: (connection: ZkConnection) => void): OpenZkConnection {
  return (options, clock, log) => {
    const connection = new GuardedConnection(
      { ...options, onEvent: life.guard(options.onEvent), onWatchEvent: life.guard(options.onWatchEvent) },
      clock,
      log,
    )
    const forget = life.onCut(() => connection.dispose())
    onOpened(connection)
    return new LifeConnection(life, connection, forget)
  }
}

class LifeConnection implements ZkConnection {
  readonly #life: Life
  readonly #connection: ZkConnection
  readonly #forget: () => void

  constructor(life: Life, connection: ZkConnection, forget: () => void) {
    this.#life = life
    this.#connection = connection
    this.#forget = forget
  }

  get connected(): boolean {
    return this.#connection.connected
  }
  get sessionId(): bigint {
    return this.#connection.sessionId
  }
  get password(): Buffer {
    return this.#connection.password
  }
  get sessionTimeoutMs(): number {
    return this.#connection.sessionTimeoutMs
  }
  get lastZxid(): bigint {
    return this.#connection.lastZxid
  }
  get confirmedAt(): number {
    return this.#connection.confirmedAt
  }
  get lastError(): string {
    return this.#connection.lastError
  }

  start(): void {
    if (this.#life.isAlive) this.#connection.start()
  }

  send(...[request, watch, done]: Parameters<ZkConnection['send']>): void {
    if (this.#life.isAlive) this.#connection.send(request, watch, this.#life.guard(done))
  }

  async close(): Promise<void> {
    await this.#life.settle(this.#connection.close())
    this.#forget()
  }

  dispose(): void {
    this.#forget()
    this.#connection.dispose()
  }
}
