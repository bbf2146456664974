import type { BrokerId, TopicPartition } from '../base/ids.ts'
import type { VirtualClock } from '../ports/memory/virtual-clock.ts'
import type { IsrStore, StoredState } from './types.ts'

/** What happens to one ISR write. `late`: the client gives up first, the write arrives afterwards. */
export type WriteFate = 'ok' | 'requestLost' | 'replyLost' | 'late'

export interface FakeZooKeeperOptions {
  readonly clock: VirtualClock
  delay(): number
  fate(): WriteFate
}

const GIVE_UP_MS = 400

/** The partition state znodes, versioned, with conditional writes that can get lost on either way. */
export class FakeZooKeeper {
  readonly states = new Map<string, StoredState>()
  /** All states a partition ever had. */
  readonly history = new Map<string, StoredState[]>()
  readonly notifications: (readonly TopicPartition[])[] = []
  /** Brokers that know their session to be over. */
  readonly untrusted = new Set<BrokerId>()
  /** Brokers whose requests do not arrive. */
  readonly cut = new Set<BrokerId>()
  readonly #options: FakeZooKeeperOptions
  /** Promises settled in this step: who drives the clock lets their reactions run. */
  settled = 0

  constructor(options: FakeZooKeeperOptions) {
    this.#options = options
  }

  get(topic: string, partition: number): StoredState {
    return this.states.get(`${topic}-${partition}`)!
  }

  /** Unconditional; the version rises. */
  put(topic: string, partition: number, state: Omit<StoredState, 'zkVersion'>): StoredState {
    const key = `${topic}-${partition}`
    const stored = { ...state, zkVersion: (this.states.get(key)?.zkVersion ?? -1) + 1 }
    this.states.set(key, stored)
    this.history.set(key, [...(this.history.get(key) ?? []), stored])
    return stored
  }

  /** As one process sees it: no answer reaches a dead one. */
  storeOf(broker: BrokerId, owner: { readonly isUp: boolean }): IsrStore {
    const untrusted = this.untrusted
    return {
      get trusted() {
        return !untrusted.has(broker)
      },
      updateIsr: (change) => this.#update(change, owner),
      readState: ({ topic, partition }) => {
        if (this.cut.has(broker)) return Promise.reject(new Error('connection lost'))
        return this.#later(owner, this.#options.delay() * 2, () => this.states.get(`${topic}-${partition}`))
      },
      notifyIsrChange: (partitions) =>
        this.#later(owner, this.#options.delay() * 2, () => {
          this.notifications.push(partitions)
          return true
        }),
    }
  }

  #update(
    change: Parameters<IsrStore['updateIsr']>[0],
    owner: { readonly isUp: boolean },
  ): Promise<{ outcome: string; zkVersion: number }> {
    const { clock } = this.#options
    const fate = this.cut.has(change.leader) ? 'requestLost' : this.#options.fate()
    if (fate !== 'ok') {
      if (fate === 'replyLost') clock.timer(this.#options.delay(), () => void this.#apply(change))
      if (fate === 'late') clock.timer(GIVE_UP_MS * 2, () => void this.#apply(change))
      return this.#later(owner, GIVE_UP_MS, () => ({ outcome: 'unknown', zkVersion: -1 }))
    }
    return new Promise((resolve) => {
      clock.timer(this.#options.delay(), () => {
        const written = this.#apply(change)
        void this.#later(owner, this.#options.delay(), () => written).then(resolve)
      })
    })
  }

  #apply(change: Parameters<IsrStore['updateIsr']>[0]): { outcome: string; zkVersion: number } {
    const current = this.states.get(`${change.topic}-${change.partition}`)
    if (current === undefined) return { outcome: 'noNode', zkVersion: -1 }
    if (current.zkVersion !== change.expectedVersion) return { outcome: 'badVersion', zkVersion: -1 }
    const { leader, leaderEpoch, isr, controllerEpoch } = change
    return {
      outcome: 'ok',
      zkVersion: this.put(change.topic, change.partition, { leader, leaderEpoch, isr, controllerEpoch }).zkVersion,
    }
  }

  #later<T>(owner: { readonly isUp: boolean }, ms: number, value: () => T): Promise<T> {
    return new Promise((resolve) => {
      this.#options.clock.timer(ms, () => {
        if (!owner.isUp) return
        this.settled++
        resolve(value())
      })
    })
  }
}
