import type { SeededRng } from '../ports/memory/seeded-rng.ts'
import type { Admin } from './admin.ts'
import type { BrokerNode } from './broker-node.ts'
import { LOG_DIRS } from './broker-node.ts'
import type { Cluster } from './cluster.ts'
import { FaultSequences } from './fault-sequences.ts'
import type { ZnodeChecker } from './znode-checker.ts'
import type { CutDirection } from './zookeeper.ts'

export type FaultKind =
  | 'kill'
  | 'powerLoss'
  | 'killAtDiskCall'
  | 'stop'
  | 'pause'
  | 'expire'
  | 'cut'
  | 'isolate'
  | 'reset'
  | 'cutZooKeeper'
  | 'zooKeeperDown'
  | 'slowZooKeeper'
  | 'jepsen'
  | 'diskError'
  | 'diskFull'
  | 'slowDisk'
  | 'clockJump'
  | 'cutClient'
  | 'killAll'
  | 'preferredElection'
  | 'createTopic'
  | 'deleteTopic'
  | 'addPartitions'
  | 'reassign'
  | 'moveLeader'
  | 'moveController'
  | 'cutData'
  | 'cutControl'
  | 'flap'
  | 'zombieController'
  | 'touchState'
  | 'wipe'
  | 'wipeLeader'
  | 'changeFormat'
  | 'deleteRecords'
  | 'stall'
  | 'staleLeader'
  | 'lateEnd'
  | 'expireSegments'

/** One thing that is done to the cluster, with its end. Plain data, so that a list of them can be cut down and stored. */
export interface Fault {
  readonly kind: FaultKind
  /** Milliseconds after the workload began. */
  readonly at: number
  readonly forMs: number
  readonly broker: number
  readonly other: number
  /** A draw in 0 .. 999 for whatever the kind needs. */
  readonly draw: number
}

/** How often which kind is drawn. */
export type FaultWeights = Readonly<Partial<Record<FaultKind, number>>>

export interface NemesisOptions {
  readonly weights: FaultWeights
  readonly durationMs: number
  /** Mean pause between faults. */
  readonly pauseMs: number
  readonly brokers: number
}

/** Draws the faults of a run. */
export function planFaults(rng: SeededRng, { weights, durationMs, pauseMs, brokers }: NemesisOptions): Fault[] {
  const kinds = Object.entries(weights) as [FaultKind, number][]
  const total = kinds.reduce((sum, [, weight]) => sum + weight, 0)
  const faults: Fault[] = []
  const longShare = 0.05 + rng.next() * 0.35
  if (total === 0) return faults
  for (let at = rng.next() * pauseMs; at < durationMs; at += rng.next() * 2 * pauseMs) {
    let pick = rng.next() * total
    const kind = kinds.find(([, weight]) => (pick -= weight) < 0)?.[0] ?? kinds[0]![0]
    const broker = rng.int(0, brokers)
    const other = (broker + rng.int(1, Math.max(2, brokers))) % brokers
    const long = rng.next() < longShare
    const forMs = Math.round(long ? 1500 + rng.next() * 6000 : 20 + rng.next() * 1500)
    faults.push({ kind, at: Math.round(at), forMs, broker, other, draw: rng.int(0, 1000) })
  }
  return faults
}

const DIRECTIONS: readonly CutDirection[] = ['both', 'toServer', 'toClient']

/** Does what a plan says, and undoes it. */
export class Nemesis {
  readonly #cluster: Cluster
  readonly #admin: Admin
  readonly #clients: readonly string[]
  readonly #sequences: FaultSequences
  #isOver = false

  constructor(cluster: Cluster, admin: Admin, znodes: ZnodeChecker, clients: readonly string[]) {
    this.#cluster = cluster
    this.#admin = admin
    this.#clients = clients
    this.#sequences = new FaultSequences(cluster, admin, znodes, () => this.#isOver)
  }

  schedule(faults: readonly Fault[]): void {
    const { clock } = this.#cluster.world
    for (const fault of faults) {
      clock.timer(fault.at, () => {
        if (!this.#isOver) this.#apply(fault)
      })
    }
  }

  #later(ms: number, undo: () => void): void {
    this.#cluster.world.clock.timer(ms, () => {
      if (!this.#isOver) undo()
    })
  }

  #apply(fault: Fault): void {
    const { world } = this.#cluster
    const { kind, broker, other, forMs } = fault
    world.trace.add('nemesis', kind, { broker, other, forMs, draw: fault.draw })
    world.reached(`fault ${kind}`)
    const node = this.#cluster.brokers[broker]!
    if (this.#applyToProcess(fault, node)) return
    if (this.#applyToZooKeeper(fault, node)) return
    if (this.#applyToNetwork(fault, node)) return
    if (this.#sequences.apply(fault, node)) return
    if (kind === 'diskError') this.#diskError(fault, node)
    else if (kind === 'diskFull') {
      node.hadDiskTrouble = true
      node.disk.capacityBytes = node.disk.usedBytes + fault.draw
      this.#later(forMs, () => {
        node.disk.capacityBytes = Number.POSITIVE_INFINITY
        this.#restart(node)
      })
    } else if (kind === 'slowDisk') {
      node.disk.jitterMs = 5 + fault.draw / 2
      this.#later(forMs + 1000, () => {
        node.disk.jitterMs = 0
      })
    } else if (kind === 'expireSegments') node.expireSegments()
    else if (kind === 'clockJump') node.setWallSkew((fault.draw - 500) * 20_000)
    else this.#admin.apply(fault)
  }

  #applyToProcess({ kind, forMs, draw }: Fault, node: BrokerNode): boolean {
    switch (kind) {
      case 'kill':
      case 'powerLoss':
        node.crash(kind === 'powerLoss')
        this.#later(forMs, () => node.start())
        return true
      case 'killAtDiskCall':
        node.crashAtDiskCall(1 + (draw % 40), false)
        this.#later(forMs + 3000, () => node.start())
        return true
      case 'killAll':
        for (const one of this.#cluster.brokers) {
          one.crash(false)
          this.#later(forMs * (0.5 + one.id / 4), () => one.start())
        }
        return true
      case 'stop':
        node.stop()
        this.#later(forMs + 5000, () => this.#restart(node))
        return true
      case 'pause':
        node.pause()
        this.#later(forMs, () => node.resume())
        return true
      default:
        return false
    }
  }

  /** Starts it, killing what hangs. */
  #restart(node: BrokerNode): void {
    if (node.process !== undefined) node.crash(false)
    this.#later(50, () => node.start())
  }

  #applyToZooKeeper({ kind, forMs, draw }: Fault, node: BrokerNode): boolean {
    const { zooKeeper } = this.#cluster
    switch (kind) {
      case 'expire':
        zooKeeper.expire(node.host)
        return true
      case 'cutZooKeeper':
        zooKeeper.cut(node.host, DIRECTIONS[draw % 3])
        this.#later(forMs, () => zooKeeper.heal(node.host))
        return true
      case 'zooKeeperDown':
        if (!zooKeeper.isUp) return true
        zooKeeper.stop()
        this.#later(forMs, () => zooKeeper.start())
        return true
      case 'slowZooKeeper':
        zooKeeper.slowMs = 20 + draw / 4
        this.#later(forMs, () => {
          zooKeeper.slowMs = 2
        })
        return true
      default:
        return false
    }
  }

  #applyToNetwork({ kind, forMs, draw, other }: Fault, node: BrokerNode): boolean {
    const isData = kind === 'cutData'
    const { network } = this.#cluster.world
    const { brokers, zooKeeper } = this.#cluster
    const others = brokers.filter((one) => one !== node)
    const peer = brokers[other]!.host
    switch (kind) {
      case 'cut': {
        const ways = draw % 3
        if (ways !== 1) network.block(node.host, peer)
        if (ways !== 2) network.block(peer, node.host)
        this.#later(forMs, () => {
          network.unblock(node.host, peer)
          network.unblock(peer, node.host)
        })
        return true
      }
      case 'cutData':
      case 'cutControl': {
        const { classCuts } = this.#cluster.world
        const kind = isData ? 'data' : 'control'
        for (const one of draw % 2 === 0 ? [brokers[other]!] : others) classCuts.cut(node.host, one.host, kind)
        this.#later(forMs, () => {
          for (const one of others) classCuts.heal(node.host, one.host)
        })
        return true
      }
      case 'isolate':
        for (const { host } of others) network.cut(node.host, host)
        if (draw % 2 === 0) zooKeeper.cut(node.host)
        this.#later(forMs, () => {
          for (const { host } of others) {
            network.unblock(node.host, host)
            network.unblock(host, node.host)
          }
          zooKeeper.heal(node.host)
        })
        return true
      case 'reset':
        network.reset(node.host, peer)
        return true
      case 'stall': {
        const from = draw % 3 === 0 ? peer : (this.#clients[draw % Math.max(1, this.#clients.length)] ?? peer)
        const release = network.stall(from, node.host)
        this.#later(forMs + 2000, release)
        return true
      }
      case 'jepsen':
        this.#jepsen(node, others, forMs)
        return true
      case 'cutClient': {
        const client = this.#clients[draw % Math.max(1, this.#clients.length)]
        if (client === undefined) return true
        network.cut(client, node.host)
        this.#later(forMs, () => {
          network.unblock(client, node.host)
          network.unblock(node.host, client)
        })
        return true
      }
      default:
        return false
    }
  }

  /** 2013: the followers of one broker cannot fetch, so it acknowledges alone if it may; then it loses its session too. */
  #jepsen(node: BrokerNode, others: readonly BrokerNode[], forMs: number): void {
    const { network } = this.#cluster.world
    const { zooKeeper } = this.#cluster
    for (const { host } of others) network.block(host, node.host)
    this.#later(3000, () => zooKeeper.cut(node.host))
    this.#later(6000 + forMs, () => {
      for (const { host } of others) network.unblock(host, node.host)
      zooKeeper.heal(node.host)
    })
  }

  /** A directory fails; the machine is repaired and the broker started again later. */
  #diskError({ draw, forMs }: Fault, node: BrokerNode): void {
    const path = LOG_DIRS[draw % LOG_DIRS.length]!
    node.hadDiskTrouble = true
    const operation = (['write', 'sync', 'read', 'truncate', undefined] as const)[draw % 5]
    node.disk.fail({
      code: 'EIO',
      path,
      times: 1 + (draw % 7),
      torn: draw % 2 === 0,
      ...(operation === undefined ? {} : { operation }),
    })
    this.#later(forMs + 4000, () => {
      node.disk.clearFailures()
      this.#restart(node)
    })
  }

  /** Everything works again from now on; whoever is down is started, whoever has lost a directory too. */
  heal(): void {
    this.#isOver = true
    const { world, zooKeeper, brokers } = this.#cluster
    world.trace.add('nemesis', 'heal')
    world.network.heal()
    world.classCuts.heal()
    zooKeeper.heal()
    zooKeeper.slowMs = 2
    if (!zooKeeper.isUp) zooKeeper.start()
    for (const node of brokers) {
      node.disk.clearFailures()
      node.disk.onOperation = undefined
      node.disk.capacityBytes = Number.POSITIVE_INFINITY
      node.disk.jitterMs = 0
      node.resume()
      node.setWallSkew(0)
      if (node.hadDiskTrouble) node.crash(false)
      this.#keepUp(node)
    }
  }

  #keepUp(node: BrokerNode): void {
    if (node.process === undefined) node.start()
    this.#cluster.world.clock.timer(500, () => this.#keepUp(node))
  }
}
