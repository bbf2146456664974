import type { KafkaZk } from '../../zk/store/types.ts'
import type { ConfigChange } from '../../zk/znodes/config-changes.ts'
import { CONFIG_CHANGE_PREFIX, CONFIG_CHANGES_PATH, decodeConfigChange } from '../../zk/znodes/config-changes.ts'
import type { Logger } from '../base/logger.ts'
import type { Clock, Timer } from '../ports/clock.ts'

/** Notifications older than this are deleted, by every broker. */
const EXPIRY_MS = 15 * 60 * 1000
const RETRY_MS = 1000

/**
 * Follows `/config/changes`: every change since the last pass is handed on in order, old ones are deleted. A notification that cannot be
 * read is passed over with a warning (in 1.1 it blocks all later ones).
 */
export class ConfigChangeListener {
  readonly #zk: KafkaZk
  readonly #clock: Clock
  readonly #log: Logger
  readonly #apply: (change: ConfigChange) => Promise<void>
  #lastSequence = -1
  #running: Promise<void> | undefined
  #isWanted = false
  #isStopped = false
  #retry: Timer | undefined

  constructor(options: { zk: KafkaZk; clock: Clock; log: Logger; apply: (change: ConfigChange) => Promise<void> }) {
    this.#zk = options.zk
    this.#clock = options.clock
    this.#log = options.log
    this.#apply = options.apply
  }

  /** Resolves after the first pass, which handles every notification that is still there. */
  async start(): Promise<void> {
    this.#zk.watchChildren({ path: CONFIG_CHANGES_PATH, onChildChange: () => this.#request() })
    this.#zk.onSession({ name: 'config-changes', afterInitializingSession: () => this.#request() })
    this.#request()
    await this.#running
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#retry?.cancel()
    this.#zk.unwatchChildren(CONFIG_CHANGES_PATH)
    await this.#running
  }

  /** One pass at a time; what comes during a pass makes one more. */
  #request(): void {
    if (this.#isStopped) return
    this.#isWanted = true
    this.#running ??= this.#passes().finally(() => {
      this.#running = undefined
    })
  }

  async #passes(): Promise<void> {
    while (this.#isWanted && !this.#isStopped) {
      this.#isWanted = false
      try {
        await this.#pass()
      } catch (error) {
        this.#log.warn(`Cannot read configuration changes, trying again: ${(error as Error).message}`)
        this.#retry = this.#clock.timer(RETRY_MS, () => this.#request(), true)
      }
    }
  }

  async #pass(): Promise<void> {
    const names = await this.#zk.getConfigChangeNotifications()
    const fresh = names.filter((name) => sequenceOf(name) > this.#lastSequence).sort((a, b) => sequenceOf(a) - sequenceOf(b))
    for (const name of fresh) {
      const notification = await this.#zk.readConfigChangeNotification(name)
      const change = notification && this.#decode(name, notification.data)
      if (change) await this.#apply(change)
      this.#lastSequence = sequenceOf(name)
    }
    await this.#purge(names)
  }

  #decode(name: string, data: Buffer | null): ConfigChange | undefined {
    try {
      return decodeConfigChange(name, data)
    } catch (error) {
      this.#log.warn(`Ignoring configuration change: ${(error as Error).message}`)
      return undefined
    }
  }

  /** Creation times are ZooKeeper's; as in 1.1 they are compared with the broker's wall clock. */
  async #purge(names: readonly string[]): Promise<void> {
    const now = this.#clock.wall()
    for (const name of names) {
      const notification = await this.#zk.readConfigChangeNotification(name)
      if (notification && now - notification.ctime > EXPIRY_MS) await this.#zk.deleteConfigChangeNotification(name)
    }
  }
}

function sequenceOf(name: string): number {
  const digits = name.startsWith(CONFIG_CHANGE_PREFIX) ? name.slice(CONFIG_CHANGE_PREFIX.length) : ''
  return /^-?\d+$/.test(digits) ? Number(digits) : -1
}
