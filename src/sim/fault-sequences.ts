import type { Admin } from './admin.ts'
import type { BrokerNode } from './broker-node.ts'
import { REQUEST_TIMEOUT_MS } from './client.ts'
import type { Cluster } from './cluster.ts'
import { SESSION_TIMEOUT_MS } from './cluster.ts'
import type { Fault } from './nemesis.ts'
import type { PartitionZnode, ZnodeChecker } from './znode-checker.ts'

/** What takes long begins early: healing in its middle would be another story. */
const WIPE_UNTIL_MS = 8000
const STALE_UNTIL_MS = 10_000

/** Faults in an order that single ones rarely fall into: each brings one historic hole about where it is open. */
export class FaultSequences {
  readonly #cluster: Cluster
  readonly #admin: Admin
  readonly #znodes: ZnodeChecker
  readonly #isOver: () => boolean

  constructor(cluster: Cluster, admin: Admin, znodes: ZnodeChecker, isOver: () => boolean) {
    this.#cluster = cluster
    this.#admin = admin
    this.#znodes = znodes
    this.#isOver = isOver
  }

  /** False: not one of ours. */
  apply(fault: Fault, node: BrokerNode): boolean {
    const run = this.#of(fault, node)
    if (run === undefined) return false
    run.catch((error: unknown) => this.#cluster.world.trace.add('nemesis', fault.kind, `failed: ${(error as Error).message}`))
    return true
  }

  #of(fault: Fault, node: BrokerNode): Promise<void> | undefined {
    switch (fault.kind) {
      case 'flap':
        return this.#flap(fault)
      case 'zombieController':
        return this.#zombieController(fault)
      case 'wipeLeader':
        return this.#wipeLeader(fault)
      case 'staleLeader':
        return this.#staleLeader(fault)
      case 'lateEnd':
        return this.#lateEnd(fault)
      case 'touchState':
        return this.#touch(fault)
      case 'wipe':
        return this.#wipe(fault, node)
      default:
        return undefined
    }
  }

  #partition(draw: number): PartitionZnode | undefined {
    const all = [...this.#znodes.partitions.values()].filter(({ topic }) => !topic.startsWith('__'))
    return all[draw % Math.max(1, all.length)]
  }

  /** Its state now: `ZnodeChecker` makes a new one at every write. */
  #present(one: PartitionZnode): PartitionZnode {
    return this.#znodes.partitions.get(`${one.topic}-${one.partition}`) ?? one
  }

  async #pause(ms: number): Promise<boolean> {
    await this.#cluster.world.sleep(ms)
    return !this.#isOver()
  }

  /**
   * The leader writes what another replica cannot fetch, that one leads for a moment, and the first one leads again. When `draw` is odd the
   * third replica keeps what it asked in the first epoch on its way until then (H5); else the two logs meet with different ends (H4).
   */
  async #flap({ draw, forMs }: Fault): Promise<void> {
    const one = this.#partition(draw)
    if (one === undefined || one.leader < 0 || one.isr.length < 2) return
    const { topic, partition, leader } = one
    const others = one.isr.filter((id) => id !== leader)
    const next = others[draw % others.length]!
    const third = others.find((id) => id !== next)
    const { network } = this.#cluster.world
    const host = (id: number) => this.#cluster.brokers[id]!.host
    const isLate = draw % 2 === 1 && third !== undefined
    network.cut(host(leader), host(next))
    try {
      if (!(await this.#pause(60 + forMs / 8))) return
      if (isLate) network.block(host(third), host(leader))
      if (!(await this.#pause(30))) return
      await this.#admin.moveLeaderTo(topic, partition, next)
      if (isLate) this.#uncut(host(leader), host(next))
      if (!(await this.#pause(150 + (draw % 400)))) return
      await this.#admin.moveLeaderTo(topic, partition, leader)
      await this.#pause(50 + (draw % 200))
      if (this.#present(one).leader === leader) this.#cluster.world.reached('leadership went and came back')
    } finally {
      if (!this.#isOver()) {
        this.#uncut(host(leader), host(next))
        if (isLate) this.#uncut(host(third), host(leader))
      }
    }
  }

  #uncut(a: string, b: string): void {
    this.#cluster.world.network.unblock(a, b)
    this.#cluster.world.network.unblock(b, a)
  }

  /**
   * A replica falls out of the ISR; then everybody dies at once. The leader is back with a high watermark of long ago, and the other member of
   * the ISR cannot fetch from it yet when the one that lags comes to what the leader believes to be committed (H6).
   */
  async #staleLeader({ draw, forMs, at }: Fault): Promise<void> {
    const one = this.#partition(draw)
    if (one === undefined || one.isr.length < 3 || at > STALE_UNTIL_MS) return
    const { brokers, world } = this.#cluster
    const { leader } = one
    const isr = () => this.#present(one).isr
    const [member, lagging] = one.isr.filter((id) => id !== leader) as [number, number]
    const other = brokers.find(({ id }) => !one.isr.includes(id))
    if (other === undefined) return
    const host = (id: number) => brokers[id]!.host
    world.classCuts.cut(host(lagging), host(leader), 'data')
    for (let tries = 0; tries < 80 && isr().includes(lagging); tries++) if (!(await this.#pause(50))) return
    if (this.#present(one).leader !== leader || isr().length !== 2 || !(await this.#pause(forMs / 4 + 200))) return
    for (const node of brokers) node.crash(false)
    world.classCuts.heal()
    world.classCuts.cut(host(member), host(leader), 'data')
    if (!(await this.#pause(SESSION_TIMEOUT_MS + 500))) return
    other.start()
    // It is not to see them come one by one: whoever is missing then is taken out of the ISR.
    for (let tries = 0; tries < 100 && this.#cluster.controller !== other; tries++) if (!(await this.#pause(20))) return
    other.pause()
    for (const id of [leader, member]) brokers[id]!.start()
    await this.#pause(400 + (draw % 200))
    other.resume()
    if (!(await this.#pause(draw % 300))) return
    brokers[lagging]!.start()
    if (isr().length === 2) world.reached('leader with a stale high watermark')
    if (await this.#pause(1500 + forMs / 4)) world.classCuts.heal()
  }

  /** The controller's way to ZooKeeper is slow, and it has work to write while another one is elected. */
  async #zombieController({ draw, forMs }: Fault): Promise<void> {
    const { controller, zooKeeper } = this.#cluster
    if (controller === undefined) return
    const delay = 30 + (draw % 100)
    zooKeeper.slow(controller.host, delay)
    await this.#admin.preferAnother()
    if (await this.#pause(delay * (3 + (forMs % 50) / 10))) await this.#admin.deleteController()
    if (await this.#pause(600)) zooKeeper.slow(controller.host, 0)
  }

  /** What a transactional producer asks its coordinator stays on its way until it has asked again over another connection (H9). */
  async #lateEnd({ draw, forMs }: Fault): Promise<void> {
    const coordinator = this.#znodes.partitions.get('__transaction_state-0')?.leader ?? -1
    const node = this.#cluster.brokers[coordinator]
    if (node === undefined) return
    const release = this.#cluster.world.network.stall(`transactional-${draw % 2}`, node.host)
    await this.#pause(REQUEST_TIMEOUT_MS + 200 + forMs / 2)
    release()
  }

  /**
   * An operator writes a partition's state back as he read it: only the version changes (H12). When `draw` is even a follower is out of the ISR
   * then, and wants to come back afterwards.
   */
  async #touch({ draw }: Fault): Promise<void> {
    const one = this.#partition(draw)
    if (one === undefined) return
    const follower = one.isr.find((id) => id !== one.leader)
    if (draw % 2 === 1 || one.leader < 0 || follower === undefined) return this.#admin.touchState(one.topic, one.partition)
    const { brokers, world } = this.#cluster
    const [from, to] = [brokers[follower]!.host, brokers[one.leader]!.host]
    world.classCuts.cut(from, to, 'data')
    try {
      for (let tries = 0; tries < 100 && this.#present(one).isr.includes(follower); tries++) if (!(await this.#pause(50))) return
      await this.#admin.touchState(one.topic, one.partition)
    } finally {
      if (!this.#isOver()) world.classCuts.heal(from, to)
    }
  }

  /** The disk is replaced by an empty one. */
  async #wipe({ forMs }: Fault, node: BrokerNode): Promise<void> {
    node.crash(false)
    node.wipe()
    if (await this.#pause(forMs)) node.start()
  }

  /** All followers of a leader stop; its disk is replaced; it leads with nothing, and a follower comes back (H11). */
  async #wipeLeader({ at, draw, forMs }: Fault): Promise<void> {
    const one = this.#partition(draw)
    if (one === undefined || one.leader < 0 || at > WIPE_UNTIL_MS) return
    const key = `${one.topic}-${one.partition}`
    const { brokers } = this.#cluster
    const leader = brokers[one.leader]!
    const assigned = this.#cluster.assignment(one.topic, one.partition)
    const followers = brokers.filter(({ id }) => id !== one.leader && assigned.includes(id))
    for (const node of followers) node.crash(false)
    for (let tries = 0; tries < 80 && this.#znodes.partitions.get(key)!.isr.length > 1; tries++)
      if (!(await this.#pause(50))) return
    leader.crash(false)
    leader.wipe()
    // It comes back in a later epoch. In the same one followers of 1.1 and of ours ask where that ends, and truncate to the answer.
    for (let tries = 0; tries < 80 && this.#znodes.partitions.get(key)!.leader >= 0; tries++) if (!(await this.#pause(50))) return
    if (this.#znodes.partitions.get(key)!.leader >= 0 || !(await this.#pause(forMs))) return
    leader.start()
    await this.#pause(1500)
    for (const node of followers) if (!this.#isOver()) node.start()
  }
}
