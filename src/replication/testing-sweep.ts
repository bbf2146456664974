import assert from 'node:assert/strict'
import type { BrokerId } from '../base/ids.ts'
import type { Produced } from './testing-bench.ts'
import { Bench, errorOf, TOPIC, valuesOf } from './testing-bench.ts'
import type { WriteFate } from './testing-zookeeper.ts'

const SESSION_MS = 1500
const CHAOS_MS = 40_000
const FATES: readonly WriteFate[] = ['ok', 'ok', 'ok', 'replyLost', 'requestLost', 'late']

export interface SweepResult {
  /** What went wrong; empty: nothing. */
  readonly violations: readonly string[]
  readonly acked: number
  readonly leaderChanges: number
  readonly kills: number
}

/**
 * One seed: three brokers, two partitions, a controller that does as 1.1's (clean elections only, slow and uneven in telling), clients with
 * acks=all and min.insync.replicas=2, processes that die, links and ZooKeeper sessions that break, ISR writes that get lost. Then all heals.
 */
export async function sweep(seed: number, faithful: readonly string[] = [], partitions = 2): Promise<SweepResult> {
  const run = new Sweep(
    await Bench.start({ seed, faithful, delay: (rng) => 0.5 + rng.next() * (rng.next() < 0.02 ? 300 : 3) }),
    partitions,
  )
  return run.run()
}

class Sweep {
  readonly #bench: Bench
  readonly #partitions: number
  readonly #ids: readonly BrokerId[]
  /** As the controller sees it. */
  readonly #live = new Set<BrokerId>()
  readonly #violations: string[] = []
  readonly #acked: { partition: number; offset: number; values: readonly string[] }[] = []
  /** First value seen below the high watermark of a leader, per partition and offset. */
  readonly #canonical = new Map<string, string>()
  /** Last high watermark per process, partition and leader epoch. */
  readonly #seen = new Map<unknown, Map<number, { epoch: number; highWatermark: number; checked: number }>>()
  readonly #leaders = new Map<string, BrokerId>()
  /** When the last announcement to a broker arrives: they keep their order. */
  readonly #arrival = new Map<BrokerId, number>()
  #values = 0
  #leaderChanges = 0
  #kills = 0

  constructor(bench: Bench, partitions: number) {
    this.#bench = bench
    this.#partitions = partitions
    this.#ids = [...bench.brokers.keys()]
  }

  async run(): Promise<SweepResult> {
    const bench = this.#bench
    for (const id of this.#ids) this.#live.add(id)
    for (let p = 0; p < this.#partitions; p++) bench.create(p, rotate(this.#ids, p))
    const rng = bench.rng.fork('chaos')
    const end = bench.clock.now() + CHAOS_MS
    let nextFault = bench.clock.now() + 1000
    let nextProduce = bench.clock.now()
    while (bench.clock.now() < end && this.#violations.length === 0) {
      const now = bench.clock.now()
      if (now >= nextFault) {
        await this.#fault(rng.int(0, 12))
        nextFault = now + rng.int(100, 1500)
      }
      if (now >= nextProduce) {
        this.#produce(rng.int(0, this.#ids.length), rng.int(0, this.#partitions))
        nextProduce = now + rng.int(5, 60)
      }
      await bench.run(5)
      this.#check()
    }
    await this.#healAndCompare()
    return { violations: this.#violations, acked: this.#acked.length, leaderChanges: this.#leaderChanges, kills: this.#kills }
  }

  // ---------------------------------------------------------------- clients

  #produce(broker: number, partition: number): void {
    const id = this.#ids[broker]!
    const view = this.#bench.brokers.get(id)!.process?.replicas.partition(TOPIC, partition)
    if (view?.isLeader !== true) return
    const values = [`v${this.#values++}`, `v${this.#values++}`]
    const produced: Produced = this.#bench.produce(id, values, -1, { partition, timeoutMs: 3000 })
    const note = () => {
      if (errorOf(produced) === 0) this.#acked.push({ partition, offset: produced.results![0]!.baseOffset, values })
      else if (produced.results === undefined) this.#bench.clock.timer(20, note)
    }
    note()
  }

  // ---------------------------------------------------------------- faults

  async #fault(kind: number): Promise<void> {
    const bench = this.#bench
    const rng = bench.rng.fork(`fault ${bench.clock.now()}`)
    const id = this.#ids[rng.int(0, this.#ids.length)]!
    const other = this.#ids[(this.#ids.indexOf(id) + 1) % this.#ids.length]!
    if (kind <= 1) this.#kill(id)
    else if (kind <= 4) await this.#restartOne()
    else if (kind === 5) bench.cut(id, other)
    else if (kind === 6) bench.heal()
    else if (kind === 7) bench.fates.push(...Array.from({ length: 3 }, () => FATES[rng.int(0, FATES.length)]!))
    else if (kind === 8) this.#cutZooKeeper(id)
    else if (kind <= 10) this.#moveLeader(rng.int(0, this.#partitions), id)
    else this.#announceAll(this.#ids)
  }

  #kill(id: BrokerId): void {
    if (this.#bench.brokers.get(id)!.process === undefined) return
    this.#kills++
    this.#bench.kill(id)
    this.#bench.clock.timer(SESSION_MS, () => {
      if (this.#bench.brokers.get(id)!.process === undefined) this.#onBrokerGone(id)
    })
  }

  async #restartOne(): Promise<void> {
    const id = this.#ids.find((one) => this.#bench.brokers.get(one)!.process === undefined)
    if (id === undefined) return
    // A session outlives its process; the new one registers when the old is gone.
    this.#onBrokerGone(id)
    await this.#bench.startBroker(id)
    this.#onBrokerBack(id)
  }

  #cutZooKeeper(id: BrokerId): void {
    const { zk, clock, brokers } = this.#bench
    if (zk.cut.has(id) || brokers.get(id)!.process === undefined) return
    zk.cut.add(id)
    clock.timer(SESSION_MS * 0.9, () => zk.untrusted.add(id))
    clock.timer(SESSION_MS, () => this.#onBrokerGone(id))
    clock.timer(SESSION_MS * 2, () => {
      zk.cut.delete(id)
      zk.untrusted.delete(id)
      if (brokers.get(id)!.process !== undefined) this.#onBrokerBack(id)
    })
  }

  // ---------------------------------------------------------------- the controller

  #onBrokerGone(id: BrokerId): void {
    if (!this.#live.delete(id)) return
    for (let p = 0; p < this.#partitions; p++) {
      const { leader, isr } = this.#bench.zk.get(TOPIC, p)
      if (leader === id) this.#elect(p)
      else if (isr.includes(id) && isr.length > 1)
        this.#put(
          p,
          leader,
          isr.filter((one) => one !== id),
        )
    }
    this.#announceAll(this.#ids)
  }

  #onBrokerBack(id: BrokerId): void {
    this.#live.add(id)
    for (let p = 0; p < this.#partitions; p++) if (this.#bench.zk.get(TOPIC, p).leader === -1) this.#elect(p)
    this.#announceAll(this.#ids)
  }

  /** First live replica of the ISR in assignment order; nobody else, ever. */
  #elect(partition: number): void {
    const { isr } = this.#bench.zk.get(TOPIC, partition)
    const leader = rotate(this.#ids, partition).find((one) => this.#live.has(one) && isr.includes(one))
    const left = isr.filter((one) => this.#live.has(one))
    this.#put(partition, leader ?? -1, leader === undefined ? isr : left)
  }

  #moveLeader(partition: number, to: BrokerId): void {
    const { leader, isr } = this.#bench.zk.get(TOPIC, partition)
    if (leader === to || leader < 0 || !isr.includes(to) || !this.#live.has(to)) return
    this.#put(partition, to, isr)
    this.#announceAll(this.#ids)
  }

  #put(partition: number, leader: BrokerId, isr: readonly BrokerId[]): void {
    const { leaderEpoch, controllerEpoch } = this.#bench.zk.get(TOPIC, partition)
    this.#bench.zk.put(TOPIC, partition, { leader, leaderEpoch: leaderEpoch + 1, isr, controllerEpoch })
    this.#leaderChanges++
  }

  /** Each broker hears of it at another time; some very late. */
  #announceAll(to: readonly BrokerId[]): void {
    const bench = this.#bench
    const alive = [...this.#live]
    const states = Array.from({ length: this.#partitions }, (_, p) => bench.zk.get(TOPIC, p))
    for (const id of to) {
      const rng = bench.rng.fork(`announce ${id} ${bench.clock.now()}`)
      const at = Math.max(
        this.#arrival.get(id) ?? 0,
        bench.clock.now() + (rng.next() < 0.15 ? rng.int(500, 3000) : rng.int(1, 60)),
      )
      this.#arrival.set(id, at)
      const process = bench.brokers.get(id)!.process
      bench.clock.timer(at - bench.clock.now(), () => {
        const broker = bench.brokers.get(id)!
        if (process === undefined || broker.process !== process) return
        broker.alive = alive
        states.forEach((state, p) => void bench.leaderAndIsr(id, p, state))
      })
    }
  }

  // ---------------------------------------------------------------- invariants

  #check(): void {
    for (const id of this.#ids) {
      const process = this.#bench.brokers.get(id)!.process
      if (process === undefined) continue
      let seen = this.#seen.get(process)
      if (seen === undefined) this.#seen.set(process, (seen = new Map()))
      for (const view of process.replicas.partitions()) {
        const log = view.log
        if (log === undefined) continue
        const { partition, leaderEpoch, highWatermark } = view
        const before = seen.get(partition)
        if (highWatermark > log.logEndOffset) this.#violation(`broker ${id} ${partition}: high watermark ${highWatermark} > end`)
        if (before?.epoch === leaderEpoch && highWatermark < before.highWatermark) {
          this.#violation(
            `broker ${id} ${partition}: high watermark ${before.highWatermark} -> ${highWatermark} in epoch ${leaderEpoch}`,
          )
        }
        const same = before?.epoch === leaderEpoch
        const checked = view.isLeader
          ? this.#checkLeader(id, partition, leaderEpoch, same ? before.checked : 0, highWatermark)
          : 0
        seen.set(partition, { epoch: leaderEpoch, highWatermark, checked })
      }
    }
  }

  #checkLeader(id: BrokerId, partition: number, epoch: number, from: number, highWatermark: number): number {
    const key = `${partition}/${epoch}`
    const known = this.#leaders.get(key) ?? id
    if (known !== id) this.#violation(`partition ${partition} epoch ${epoch} has leaders ${known} and ${id}`)
    this.#leaders.set(key, id)
    if (from < highWatermark) this.#compareCanonical(id, partition, highWatermark)
    return highWatermark
  }

  #compareCanonical(id: BrokerId, partition: number, upTo: number): void {
    const values = valuesOf(this.#bench.bytes(id, partition, upTo))
    values.forEach((value, offset) => {
      const key = `${partition}@${offset}`
      const known = this.#canonical.get(key)
      if (known === undefined) this.#canonical.set(key, value)
      else if (known !== value) this.#violation(`broker ${id} ${key}: ${value}, was committed as ${known}`)
    })
  }

  #violation(what: string): void {
    if (this.#violations.length < 5) this.#violations.push(`${Math.round(this.#bench.clock.now())} ms: ${what}`)
  }

  async #healAndCompare(): Promise<void> {
    const bench = this.#bench
    bench.heal()
    bench.fates.length = 0
    await bench.run(2 * SESSION_MS + 3000)
    for (const id of this.#ids) {
      if (bench.brokers.get(id)!.process !== undefined) continue
      this.#onBrokerGone(id)
      await bench.startBroker(id)
    }
    for (const id of this.#ids) this.#onBrokerBack(id)
    await bench.run(20_000)
    for (let p = 0; p < this.#partitions && this.#violations.length === 0; p++) this.#comparePartition(p)
  }

  #comparePartition(partition: number): void {
    const bench = this.#bench
    const { leader, isr } = bench.zk.get(TOPIC, partition)
    if (isr.length !== this.#ids.length) {
      this.#violation(`partition ${partition}: ISR ${isr.join(',')} under leader ${leader} after healing`)
      return
    }
    const end = bench.end(leader, partition)
    const bytes = bench.bytes(leader, partition)
    for (const id of this.#ids) {
      if (bench.end(id, partition) !== end)
        this.#violation(`partition ${partition}: ${id} ends at ${bench.end(id, partition)}, leader at ${end}`)
      else if (!bench.bytes(id, partition).equals(bytes))
        this.#violation(`partition ${partition}: bytes of ${id} and ${leader} differ`)
    }
    this.#compareCanonical(leader, partition, end)
    const values = valuesOf(bytes)
    for (const acked of this.#acked) {
      if (acked.partition !== partition) continue
      acked.values.forEach((value, i) => {
        if (values[acked.offset + i] !== value) {
          this.#violation(`acknowledged ${value} at ${acked.offset + i}, found ${values[acked.offset + i]}`)
        }
      })
    }
    assert.equal(values.length, end, 'one value per offset')
  }
}

function rotate<T>(list: readonly T[], by: number): T[] {
  return list.map((_, i) => list[(i + by) % list.length]!)
}
