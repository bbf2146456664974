import type { LogRecord, Txn } from '../../zk/server/protocol.ts'
import { decodePartitionState } from '../../zk/znodes/index.ts'
import type { ClientWorld } from './client.ts'

export interface PartitionZnode {
  readonly topic: string
  readonly partition: number
  leader: number
  leaderEpoch: number
  isr: readonly number[]
  controllerEpoch: number
}

/** Tells each write in ZooKeeper's order, before a session's end has taken its nodes away. */
export interface WriteSource {
  readonly onWrite: ((record: LogRecord) => void)[]
  readonly machine: { readonly tree: { ephemeralsOf(session: number): ReadonlySet<string> } }
}

type Judged = Pick<ClientWorld, 'reached' | 'trace' | 'violation'>

const STATE = /^\/brokers\/topics\/([^/]+)\/partitions\/(\d+)\/state$/
const BROKER = /^\/brokers\/ids\/(\d+)$/

/**
 * Judges every write to ZooKeeper as it happens: epochs rise, a new leader comes out of the ISR, a deposed controller writes nothing. What it
 * knows is the truth that brokers are measured against.
 */
export class ZnodeChecker {
  readonly partitions = new Map<string, PartitionZnode>()
  readonly liveBrokers = new Set<number>()
  /** Told of each state of a partition as it is written. */
  readonly onState: ((key: string, state: PartitionZnode) => void)[] = []
  readonly #world: Judged
  readonly #allowsUnclean: boolean
  #controllerEpoch = 0

  constructor(world: Judged, zooKeeper: WriteSource, allowsUnclean: boolean) {
    this.#world = world
    this.#allowsUnclean = allowsUnclean
    zooKeeper.onWrite.push((record) => this.#judge(record.txn, zooKeeper, record))
  }

  get controllerEpoch(): number {
    return this.#controllerEpoch
  }

  #judge(txn: Txn, zooKeeper: WriteSource, record: LogRecord): void {
    switch (txn.type) {
      case 'multi':
        for (const inner of txn.txns) this.#judge(inner, zooKeeper, record)
        return
      case 'create':
      case 'setData':
        this.#written(txn.path, txn.data)
        return
      case 'delete':
        this.#deleted(txn.path)
        return
      case 'closeSession':
        this.#world.trace.add('zookeeper', 'session ends', txn.sessionId)
        for (const path of zooKeeper.machine.tree.ephemeralsOf(txn.sessionId)) this.#deleted(path)
        return
      default:
    }
  }

  #written(path: string, data: Buffer | null): void {
    const broker = BROKER.exec(path)
    if (broker !== null) {
      this.liveBrokers.add(Number(broker[1]))
      this.#world.trace.add('zookeeper', 'registered', path)
    } else if (path === '/controller_epoch') this.#controllerEpochWritten(Number(data?.toString()))
    else if (path === '/controller') this.#world.trace.add('zookeeper', 'controller', data?.toString())
    const state = STATE.exec(path)
    if (state !== null) this.#stateWritten(state[1]!, Number(state[2]), data)
  }

  #deleted(path: string): void {
    const broker = BROKER.exec(path)
    if (broker !== null) {
      this.liveBrokers.delete(Number(broker[1]))
      this.#world.trace.add('zookeeper', 'gone', path)
    }
    const state = STATE.exec(path)
    if (state !== null) this.partitions.delete(`${state[1]}-${state[2]}`)
  }

  #controllerEpochWritten(epoch: number): void {
    if (this.#controllerEpoch !== 0 && epoch !== this.#controllerEpoch + 1)
      this.#world.violation('controller-epoch', `/controller_epoch ${this.#controllerEpoch} -> ${epoch}`)
    this.#controllerEpoch = epoch
  }

  #stateWritten(topic: string, partition: number, data: Buffer | null): void {
    const key = `${topic}-${partition}`
    const { leader, leaderEpoch, isr, controllerEpoch } = decodePartitionState(topic, partition, data, 0)
    const before = this.partitions.get(key)
    this.#world.trace.add('zookeeper', key, { leader, epoch: leaderEpoch, isr })
    const state = { topic, partition, leader, leaderEpoch, isr, controllerEpoch }
    this.partitions.set(key, state)
    for (const listener of this.onState) listener(key, state)
    const wrong = (what: string) => this.#world.violation('partition-state', `${key}: ${what}`)
    if (leader >= 0 && !isr.includes(leader)) wrong(`leader ${leader} is not in ISR ${isr.join(',')}`)
    if (controllerEpoch > this.#controllerEpoch) wrong(`controller epoch ${controllerEpoch} > ${this.#controllerEpoch}`)
    if (before === undefined) return
    if (leaderEpoch < before.leaderEpoch) wrong(`leader epoch ${before.leaderEpoch} -> ${leaderEpoch}`)
    if (controllerEpoch < before.controllerEpoch) wrong(`controller epoch ${before.controllerEpoch} -> ${controllerEpoch}`)
    if (leader !== before.leader && leaderEpoch === before.leaderEpoch) wrong(`two leaders of epoch ${leaderEpoch}`)
    // A change of epoch is a controller's work; only the present one may do it (G6, H7).
    if (leaderEpoch > before.leaderEpoch && controllerEpoch !== this.#controllerEpoch)
      this.#world.violation(
        'fenced-controller',
        `${key}: controller of epoch ${controllerEpoch} wrote in ${this.#controllerEpoch}`,
      )
    if (leader !== before.leader && leader >= 0 && !before.isr.includes(leader)) {
      this.#world.reached('unclean election')
      if (!this.#allowsUnclean) wrong(`leader ${leader} elected from outside ISR ${before.isr.join(',')}`)
    }
    if (isr.length < before.isr.length) this.#world.reached('isr shrinks')
    if (isr.length > before.isr.length) this.#world.reached('isr grows')
    if (leader !== before.leader) this.#world.reached('leader changes')
    if (leader === -1) this.#world.reached('no leader')
  }
}
