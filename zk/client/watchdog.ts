import type { Socket } from 'node:net'
import { CmState, type ConnectionManager } from './package.ts'
import type { ZkClock } from './types.ts'

export interface WatchdogHooks {
  /** Send time of the newest request or ping that was answered. */
  readonly confirmedAt: () => number
  readonly ping: () => void
  /** The server accepts and says nothing (D1), or has fallen silent (D2): the connection is to be dropped. */
  readonly dead: (socket: Socket, why: string, connecting: boolean) => void
  /** Runs the check; whatever it throws is logged. */
  readonly guarded: (check: () => void) => void
}

/**
 * The deadlines that the package lacks. Looks about twenty times in a session time: a connect response has half of it (shared among
 * the servers), a connection without a byte lasts two thirds, and after a third without a confirmation there is a ping.
 */
export class Watchdog {
  readonly #cm: ConnectionManager
  readonly #clock: ZkClock
  readonly #hooks: WatchdogHooks
  #timer: { cancel(): void } | undefined
  #stopped = false
  #lastTick = 0
  /** The socket that is connecting, and since when. */
  #connecting: { socket: Socket; since: number } | undefined
  /** Bytes read from the established socket, and since when they are that many. */
  #heard = { bytes: 0, at: 0 }
  /** Send times of the pings in flight, oldest first. */
  readonly #pings: number[] = []

  constructor(cm: ConnectionManager, clock: ZkClock, hooks: WatchdogHooks) {
    this.#cm = cm
    this.#clock = clock
    this.#hooks = hooks
  }

  start(): void {
    this.#lastTick = this.#clock.now()
    this.#schedule()
  }

  stop(): void {
    this.#stopped = true
    this.#timer?.cancel()
  }

  /** The server let us in. */
  established(): void {
    this.#pings.length = 0
    this.#heard = { bytes: this.#cm.socket?.bytesRead ?? 0, at: this.#clock.now() }
  }

  /** The oldest ping in flight was answered; its send time. */
  pong(): number | undefined {
    return this.#pings.shift()
  }

  #schedule(): void {
    if (this.#stopped) return
    const period = Math.min(200, Math.max(20, this.#cm.sessionTimeout / 20))
    this.#timer = this.#clock.timer(period, () => this.#tick(period), true)
  }

  /** A late timer means that the event loop was blocked: what arrived meanwhile must be read before anybody is blamed. */
  #tick(period: number): void {
    const now = this.#clock.now()
    const blocked = now - this.#lastTick - period
    this.#lastTick = now
    if (blocked <= period + 20) {
      this.#check()
      return
    }
    // Nor did we ask anything while we were blocked, so that time is no silence of the server's.
    this.#heard.at = Math.min(now, this.#heard.at + blocked)
    // Two turns: between them the loop polls its sockets.
    this.#timer = this.#clock.timer(0, () => {
      this.#timer = this.#clock.timer(0, () => {
        this.#lastTick = this.#clock.now()
        this.#check()
      })
    })
  }

  #check(): void {
    this.#hooks.guarded(() => {
      const { socket, state } = this.#cm
      if (socket === undefined || socket.destroyed) return
      if (state === CmState.CONNECTING) this.#checkConnecting(socket)
      else if (state === CmState.CONNECTED) this.#checkConnected(socket)
    })
    this.#schedule()
  }

  #checkConnecting(socket: Socket): void {
    const now = this.#clock.now()
    if (this.#connecting?.socket !== socket) this.#connecting = { socket, since: now }
    const limit = Math.max(500, this.#cm.sessionTimeout / this.#cm.servers.length / 2)
    if (now - this.#connecting.since > limit) this.#hooks.dead(socket, `no answer within ${Math.round(limit)} ms`, true)
  }

  #checkConnected(socket: Socket): void {
    const now = this.#clock.now()
    const timeout = this.#cm.sessionTimeout
    if (socket.bytesRead !== this.#heard.bytes) this.#heard = { bytes: socket.bytesRead, at: now }
    const silence = now - this.#heard.at
    if (silence > (2 * timeout) / 3) {
      this.#hooks.dead(socket, `nothing heard for ${Math.round(silence)} ms`, false)
    } else if (now - this.#hooks.confirmedAt() > timeout / 3) {
      const last = this.#pings.at(-1)
      if (last !== undefined && now - last < timeout / 3) return
      this.#pings.push(now)
      this.#hooks.ping()
    }
  }
}
